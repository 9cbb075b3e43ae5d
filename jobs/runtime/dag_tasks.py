"""What DAG files wire: a task for a verb of a stage, a group for a stage, and the task that says whether the month is whole.

Imported at parse time, so nothing here reads data, looks at a clock or imports pyspark; the verbs are imported by the task
that runs them.
"""

from __future__ import annotations

import getpass
import importlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from airflow.sdk import (
    Asset,
    BaseOperator,
    BaseSensorOperator,
    Context,
    CronPartitionTimetable,
    Param,
    RetryDecision,
    RetryPolicy,
    TaskGroup,
    TriggerRule,
    chain,
)

from jobs.runtime import logs
from jobs.runtime.errors import EXIT_BROKE, EXIT_REFUSED, CallError, CountingHouseError, UpstreamMissing
from jobs.stages import BY_NAME, STAGES, VERBS, Stage

if TYPE_CHECKING:
    from jobs.runtime.contract import Invocation, Outcome

PERIOD_PATTERNS = {
    "month": r"^\d{4}-(0[1-9]|1[0-2])$",
    "day": r"^\d{4}-(0[1-9]|1[0-2])-\d{2}$",
    "hour": r"^\d{4}-(0[1-9]|1[0-2])-\d{2}T\d{2}$",
}
EXAMPLES = {"month": "2026-10", "day": "2026-10-31", "hour": "2026-10-31T14"}
UPSTREAM_RETRIES, UPSTREAM_DELAY = 2, timedelta(minutes=5)  # how long a month waits for what it is made from
BROKEN_DELAY = timedelta(seconds=20)  # a server that was restarted, a disk that was cleared
TEST_USER = "dag_test"  # what Airflow calls the user of `airflow dags test` and DAG.test
WHOLE = "whole"

ASSETS: dict[str, Asset] = {
    table: Asset(name=table, uri=f"countinghouse://{table.replace('.', '/')}") for stage in STAGES for table in stage.outputs
}


class Ended(SystemExit):
    """A task that ends with a sentence for a person, and the exit code that the console would end with.

    Airflow logs a SystemExit without the stack trace that it prints below any other failure, AirflowFailException included.
    """

    def __init__(self, message: str, code: int, *, waits: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.waits = waits


class Patience(RetryPolicy):
    """A missing upstream is waited for, a broken run is tried once more, and whatever a person must mend fails at once."""

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """Count from the end: clearing a task gives it new tries on top of those it has used."""
        if context is not None and is_test(context):
            return RetryDecision.fail(reason="nothing is tried again in a test run")
        if isinstance(exception, Ended) and exception.waits:
            return RetryDecision.retry(UPSTREAM_DELAY, reason="waiting for the upstream publication")
        if isinstance(exception, Ended) and exception.code != EXIT_BROKE:
            return RetryDecision.fail(reason="nothing will change until a person has mended the cause")
        first_of_its_round = max_tries - try_number >= UPSTREAM_RETRIES - 1
        if first_of_its_round:
            return RetryDecision.retry(BROKEN_DELAY, reason="the run broke; one more try")
        return RetryDecision.fail(reason="the run broke twice")

    def serialize(self) -> dict[str, Any]:
        """Nothing to keep: the policy has no settings."""
        return {}


class StageVerb(BaseOperator):
    """One verb of one stage for one period, in this process or, where the environment says submit, by spark-submit."""

    ui_color = "#eef3f7"

    def __init__(self, *, stage: str, verb: str, lane: str = "main", **kwargs: Any) -> None:
        # The policy decides how many of the retries are used, and after which delay.
        super().__init__(retries=UPSTREAM_RETRIES, retry_delay=BROKEN_DELAY, retry_policy=Patience(), **kwargs)
        self.stage = stage
        self.verb = verb
        self.lane = lane

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the verb; an error made for a person ends the task with that person's sentence."""
        if not is_test(context):
            log_through_airflow()
        try:
            invocation = self.invocation(context)
            outcome = carry_out(self.verb, invocation)
        except CountingHouseError as error:
            raise end(str(error), error.exit_code, waits=isinstance(error, UpstreamMissing)) from None
        told = {"run_id": outcome.run_id, "attempt": outcome.attempt, "status": outcome.status, "message": outcome.message}
        if outcome.question:
            context["ti"].xcom_push(key="question", value=outcome.question)
        if outcome.status == "held":
            context["ti"].xcom_push(key="held", value=sorted(outcome.held))
            raise end(outcome.message, EXIT_REFUSED)
        logs.say(outcome.message)
        if self.verb == "publish":
            self._tell_assets(context, invocation, outcome)
        return told

    def invocation(self, context: Context) -> Invocation:
        """Who asks for what, as Airflow knows it."""
        from jobs.runtime.contract import Invocation

        run, params = context["dag_run"], context["params"]
        return Invocation(
            stage=self.stage,
            period=self._period(context),
            run_key=run.run_id,
            lane=self.lane,
            tenants=self._tenants(context),
            parameters={"replay": str(params["replay"])} if params.get("replay") else {},
            dag_id=run.dag_id,
            dag_run_id=run.run_id,
            task=self.task_id,
            actor=actor_of(context),
            reason=self._reason(context),
            approved_by=self._approver(context),
        )

    def _reason(self, context: Context) -> str:
        """Why this is done, and of a publication that had to be approved who has approved it."""
        reason = str(context["params"].get("reason") or context["dag_run"].note or "")
        approver = self._approver(context)
        return "; ".join(told for told in (reason, f"approved by {approver}" if approver else "") if told)

    def _approver(self, context: Context) -> str:
        """Who has approved the publication; nobody where nobody was asked."""
        if self.verb != "publish" or self.lane != "main":
            return ""
        return str(context["ti"].xcom_pull(task_ids=f"{self.stage}.approved") or "")

    def _period(self, context: Context) -> str:
        """The period of the run, as this stage names it: an hourly run posts into the month that its hour lies in."""
        from jobs.ledger.periods import Period

        grain = BY_NAME[self.stage].grain
        period = Period(period_of(context))
        return (period.at(grain) if grain else period).key

    def _tenants(self, context: Context) -> tuple[str, ...]:
        """The tenants asked for by name, less those that an earlier stage of this run has held."""
        asked = tuple(context["params"].get("tenants") or ())
        if not asked:
            return ()
        audits = sorted(task for task in self.get_flat_relative_ids(upstream=True) if task.endswith(".audit"))
        own = f"{group_name(BY_NAME[self.stage], self.lane)}.audit"
        held = {tenant for task in audits if task != own for tenant in held_by(context, task)}
        return tuple(tenant for tenant in asked if tenant not in held)

    def _tell_assets(self, context: Context, invocation: Invocation, outcome: Outcome) -> None:
        """Say in each table's asset event which version a reader gets, whoever published it."""
        from jobs.runtime import ops

        mine = [
            publication
            for unit, publication in ops.publications().items()
            if unit.stage == self.stage and unit.period in (invocation.period, "all")
        ]
        for asset in self.outlets:
            written = [(table, p) for p in mine for table in p.tables if table.name == asset.name]
            newest, publication = max(written, key=lambda found: (found[0].version, found[1].order), default=(None, None))
            context["outlet_events"][asset].extra = {
                "period": invocation.period,
                "status": outcome.status,
                "delta_version": newest.version if newest else None,
                "rows": sum(table.rows for table, _ in written),
                "run_id": publication.run_id if publication else None,
            }


class Grace(BaseSensorOperator):
    """Waits for late usage as long as the policy says, from noon UTC of the first day after the month. Past months do not wait."""

    ui_color = "#f4efe3"

    def __init__(self, *, stage: str, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", poke_interval=600, timeout=40 * 24 * 3600, **kwargs)
        self.stage = stage

    def poke(self, context: Context) -> bool:
        """Whether the grace of this run's month is over."""
        from jobs.ledger.periods import Period

        try:
            over = Period(period_of(context)).next.first_day
            settings = importlib.import_module(f"jobs.{self.stage}.settings").settings()
            grace = timedelta(hours=12 + settings.grace_hours)
        except CountingHouseError as error:
            raise end(str(error), error.exit_code) from None
        return datetime.now(UTC) >= datetime(over.year, over.month, over.day, tzinfo=UTC) + grace


class Whole(BaseOperator):
    """Red when a tenant was held or a stage was not published, so that a month is green only when all of it stands."""

    ui_color = "#f4efe3"

    def __init__(self, *, groups: Sequence[str], **kwargs: Any) -> None:
        super().__init__(trigger_rule=TriggerRule.ALL_DONE, retries=UPSTREAM_RETRIES, retry_policy=Patience(), **kwargs)
        self.groups = list(groups)

    def execute(self, context: Context) -> str:
        """Look at how every verb of this run ended."""
        if not is_test(context):
            log_through_airflow()
        run = context["dag_run"]
        tasks = [f"{group}.{verb}" for group in self.groups for verb in VERBS]
        states = context["ti"].get_task_states(dag_id=run.dag_id, task_ids=tasks, run_ids=[run.run_id]).get(run.run_id, {})
        lines, not_started, to_clear = [], [], ""
        for stage in self.groups:
            ended = {verb: str(states.get(f"{stage}.{verb}")) for verb in VERBS}
            if set(ended.values()) == {"success"}:
                continue
            to_clear = to_clear or f"{stage}.write"
            if ended["write"] == "upstream_failed":
                not_started.append(stage)
                continue
            held = held_by(context, f"{stage}.audit") if ended["audit"] == "failed" else []
            if held:
                lines.append(f"{stage}: held {', '.join(held)}; see the log of {stage}.audit")
            if ended["publish"] != "success" or not held:
                ends = (f"{verb} {state}" for verb, state in ended.items() if state != "success")
                lines.append(f"{stage}: {', '.join(ends)}")
        if not_started:
            lines.append(f"{', '.join(not_started)}: not started")
        if not lines:
            return f"{run.dag_id} {period_of(context)} is whole."
        message = (
            f"{run.dag_id} {period_of(context)} is not whole.\n  - "
            + "\n  - ".join(lines)
            + "\nWhat passed is published and stays. "
            f"Mend the cause, then clear the task {to_clear} with everything downstream; what stands is not done again."
        )
        raise end(message, EXIT_REFUSED)


def group_name(stage: Stage, lane: str = "main") -> str:
    """The task group of a stage carries its name; a further lane adds its own."""
    return stage.name if lane == "main" else f"{stage.name}_{lane}"


def stage_group(stage: Stage, lane: str = "main") -> TaskGroup:
    """write >> audit >> publish of a stage.

    A held tenant makes audit red and publish goes on for the others. When write failed there is nothing to publish, whatever
    an earlier attempt has left behind, so publish needs one of the two to have ended well; it refuses by itself what was
    staged and never judged.
    """
    with TaskGroup(group_id=group_name(stage, lane), tooltip=stage_tooltip(stage)) as group:
        write = StageVerb(task_id="write", stage=stage.name, verb="write", lane=lane)
        audit = StageVerb(task_id="audit", stage=stage.name, verb="audit", lane=lane)
        publish = StageVerb(
            task_id="publish",
            stage=stage.name,
            verb="publish",
            lane=lane,
            trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
            outlets=[ASSETS[table] for table in stage.outputs],
        )
        chain(write, audit, publish)
        write >> publish
    return group


def stage_tooltip(stage: Stage) -> str:
    """What a stage reads and writes."""
    return f"{', '.join(stage.inputs) or 'landing'} -> {', '.join(stage.outputs)}"


# A stage, a lane of one, or what makes a group; groups are made in their order, in which the UI shows them.
Step: TypeAlias = Stage | tuple[Stage, str] | Callable[[], TaskGroup]


def process(steps: Sequence[Step], graceful: bool = False) -> None:
    """A group per stage, one after the other, and at the end the task that is green only when all of it is."""
    groups = [_group(step) for step in steps]
    if graceful:
        Grace(task_id="grace", stage=str(groups[0].group_id)) >> groups[0]
    whole = Whole(task_id=WHOLE, groups=[str(group.group_id) for group in groups])
    chain(*groups, whole)
    for group in groups:
        [group.children[f"{group.group_id}.{verb}"] for verb in ("audit", "publish")] >> whole


def monthly(hour: int = 12) -> CronPartitionTimetable:
    """On the first of a month, for the month before; the run is named after that month."""
    return CronPartitionTimetable(f"0 {hour} 1 * *", timezone="UTC", run_offset=-1, key_format="%Y-%m")


def _group(step: Step) -> TaskGroup:
    if callable(step):
        return step()
    return stage_group(*step) if isinstance(step, tuple) else stage_group(step)


def daily(hour: int = 6) -> CronPartitionTimetable:
    """Every day, for the day before; the run is named after that day."""
    return CronPartitionTimetable(f"0 {hour} * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")


def hourly() -> CronPartitionTimetable:
    """Every hour, for the hour before; the run is named after that hour."""
    return CronPartitionTimetable("0 * * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%dT%H")


def params(grain: Literal["month", "day", "hour"] = "month", **more: Param) -> dict[str, Param]:
    """What a person may say to a run."""
    return {
        "period": Param(
            None,
            type=["null", "string"],
            pattern=PERIOD_PATTERNS[grain],
            title=grain.capitalize(),
            description=f"Only for a run without a partition key, for instance a test: {EXAMPLES[grain]}",
        ),
        "tenants": Param(
            [], type=["null", "array"], items={"type": "string"}, title="Tenants", description="Only these; empty means all"
        ),
        "reason": Param(
            None, type=["null", "string"], title="Reason", description="Why this is run again; kept with every commit"
        ),
        **more,
    }


def period_of(context: Context | Mapping[str, Any]) -> str:
    """The month of this run: its partition key or, where it has none, the param `period`; never a guess."""
    key = context["dag_run"].partition_key
    asked = context["params"].get("period")
    if key and asked and key != asked:
        raise CallError(
            f"the run is of month {key} and its param `period` says {asked}. Nothing was started. Leave `period` empty: "
            f"a run that has a partition key takes its month from there."
        )
    if not (key or asked):
        raise CallError(
            "this run has no month: neither a partition key nor the param `period`. Nothing was started. "
            'Trigger it with the month, for instance {"period": "2026-10"}, or make a backfill of the months you want.'
        )
    return str(key or asked)


def actor_of(context: Context) -> str:
    """The user who triggered the run; the scheduler where nobody did."""
    user = context["dag_run"].triggering_user_name
    if user == TEST_USER:
        return getpass.getuser()
    return str(user or "scheduler")


def is_test(context: Context) -> bool:
    """Whether this is `airflow dags test` or DAG.test, in which nothing waits."""
    return context["dag_run"].triggering_user_name == TEST_USER


def end(message: str, code: int, *, waits: bool = False) -> Ended:
    """Say what ended a task, where its reader looks for it: the task's log, or the terminal of a test run."""
    logs.start()
    logs.logger.error(message)
    return Ended(message, code, waits=waits)


def log_through_airflow() -> None:
    """Let the house's lines reach the task's log as lines of their own level; by stderr each would show as an error."""
    logs.start()
    for handler in list(logs.logger.handlers):
        if type(handler) is logging.StreamHandler:
            logs.logger.removeHandler(handler)
    logs.logger.propagate = True


def held_by(context: Context, audit: str) -> list[str]:
    """The tenants that an audit task of this run has held."""
    return list(context["ti"].xcom_pull(task_ids=audit, key="held") or [])


def carry_out(verb: str, invocation: Invocation) -> Outcome:
    """Run a verb here, or on the cluster of an environment whose Spark is reached by spark-submit."""
    from jobs.runtime.environment import environment

    if environment().spark == "submit":
        from jobs.runtime import submission

        return submission.submit(verb, invocation)
    from jobs.runtime import verbs

    return verbs.perform(verb, invocation)

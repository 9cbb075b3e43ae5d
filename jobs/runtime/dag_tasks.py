"""What DAG files wire: a task for a verb of a stage, a group for a stage, and the task that says whether the month is whole.

Imported at parse time, so nothing here reads data, looks at a clock or imports pyspark; the verbs are imported by the task
that runs them.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    Asset,
    BaseOperator,
    Context,
    CronPartitionTimetable,
    Param,
    RetryDecision,
    RetryPolicy,
    TaskGroup,
    TriggerRule,
    chain,
)
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from jobs.runtime.errors import CallError, CountingHouseError, Refused, RunBroke
from jobs.stages import STAGES, VERBS, Stage

if TYPE_CHECKING:
    from jobs.runtime.verbs import Invocation, Outcome

PERIOD_PATTERN = r"^\d{4}-(0[1-9]|1[0-2])$"
UPSTREAM_RETRIES, UPSTREAM_DELAY = 2, timedelta(minutes=5)  # how long a month waits for what it is made from
BROKEN_DELAY = timedelta(seconds=20)  # a server that was restarted, a disk that was cleared
TEST_USER = "dag_test"  # what Airflow calls the user of `airflow dags test` and DAG.test
WHOLE = "whole"

ASSETS: dict[str, Asset] = {
    table: Asset(name=table, uri=f"countinghouse://{table.replace('.', '/')}") for stage in STAGES for table in stage.outputs
}


class NotYet(AirflowException):
    """What the stage is made from has not been published; it may be in a few minutes."""


class Broke(AirflowException):
    """The run broke, and not by what it was asked: no server, no disk."""


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
        first_of_its_round = max_tries - try_number >= UPSTREAM_RETRIES - 1
        if isinstance(exception, NotYet):
            return RetryDecision.retry(UPSTREAM_DELAY, reason="waiting for the upstream publication")
        if first_of_its_round:
            return RetryDecision.retry(BROKEN_DELAY, reason="the run broke; one more try")
        return RetryDecision.fail(reason="the run broke twice")

    def serialize(self) -> dict[str, Any]:
        """Nothing to keep: the policy has no settings."""
        return {}


class StageVerb(BaseOperator):
    """One verb of one stage for one month, in this process or, where the environment says submit, by spark-submit."""

    ui_color = "#eef3f7"

    def __init__(self, *, stage: str, verb: str, **kwargs: Any) -> None:
        super().__init__(
            retries=UPSTREAM_RETRIES, retry_delay=BROKEN_DELAY, retry_policy=Patience(), **kwargs
        )  # the policy decides how many of them are used
        self.stage = stage
        self.verb = verb

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the verb; a person's error becomes a failure whose text is that person's."""
        try:
            invocation = self.invocation(context)
            outcome = carry_out(self.verb, invocation)
        except CountingHouseError as error:
            raise self._failure(error, is_test(context)) from None
        told = {"run_id": outcome.run_id, "attempt": outcome.attempt, "status": outcome.status, "message": outcome.message}
        if outcome.status == "held":
            context["ti"].xcom_push(key="held", value=sorted(outcome.held))
            self.log.error("%s", outcome.message)
            raise AirflowFailException(outcome.message)
        self.log.info("%s", outcome.message)
        if self.verb == "publish":
            self._tell_assets(context, invocation, outcome)
        return told

    def invocation(self, context: Context) -> Invocation:
        """Who asks for what, as Airflow knows it."""
        from jobs.runtime.verbs import Invocation

        run, params = context["dag_run"], context["params"]
        return Invocation(
            stage=self.stage,
            period=period_of(context),
            run_key=run.run_id,
            tenants=self._tenants(context),
            parameters={"replay": str(params["replay"])} if params.get("replay") else {},
            dag_id=run.dag_id,
            dag_run_id=run.run_id,
            task=self.task_id,
            actor=actor_of(context),
            reason=str(params.get("reason") or run.note or ""),
        )

    def _tenants(self, context: Context) -> tuple[str, ...]:
        """The tenants asked for by name, less those that an earlier stage of this run has held."""
        asked = tuple(context["params"].get("tenants") or ())
        if not asked:
            return ()
        audits = sorted(task for task in self.get_flat_relative_ids(upstream=True) if task.endswith(".audit"))
        own = f"{self.stage}.audit"
        held = {tenant for task in audits if task != own for tenant in held_by(context, task)}
        return tuple(tenant for tenant in asked if tenant not in held)

    def _failure(self, error: CountingHouseError, testing: bool) -> AirflowException:
        """Which kind of failure an error is; nothing waits in a test run."""
        self.log.error("%s", error)
        if testing:
            return AirflowFailException(str(error))
        if isinstance(error, Refused) and self.verb == "write":
            return NotYet(str(error))
        if isinstance(error, RunBroke):
            return Broke(str(error))
        return AirflowFailException(str(error))

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


class Whole(BaseOperator):
    """Red when a tenant was held or a stage was not published, so that a month is green only when all of it stands."""

    ui_color = "#f4efe3"

    def __init__(self, *, stages: Sequence[str], **kwargs: Any) -> None:
        super().__init__(trigger_rule=TriggerRule.ALL_DONE, **kwargs)
        self.stages = list(stages)

    def execute(self, context: Context) -> str:
        """Look at how every verb of this run ended."""
        run = context["dag_run"]
        tasks = [f"{stage}.{verb}" for stage in self.stages for verb in VERBS]
        states = context["ti"].get_task_states(dag_id=run.dag_id, task_ids=tasks, run_ids=[run.run_id]).get(run.run_id, {})
        lines, to_clear = [], ""
        for stage in self.stages:
            ended = {verb: str(states.get(f"{stage}.{verb}")) for verb in VERBS}
            if set(ended.values()) == {"success"}:
                continue
            to_clear = to_clear or f"{stage}.write"
            held = held_by(context, f"{stage}.audit") if ended["audit"] == "failed" else []
            if held:
                lines.append(f"{stage}: held {', '.join(held)}; see the log of {stage}.audit")
            if ended["publish"] != "success" or not held:
                lines.append(f"{stage}: " + ", ".join(f"{verb} {state}" for verb, state in ended.items() if state != "success"))
        if not lines:
            return f"{run.dag_id} {period_of(context)} is whole."
        message = (
            f"{run.dag_id} {period_of(context)} is not whole.\n  - " + "\n  - ".join(lines) + "\nWhat passed is published and "
            f"stays. Mend the cause, then clear the task {to_clear} with everything downstream; units that stand are not done again."
        )
        self.log.error("%s", message)
        raise AirflowFailException(message)


def stage_group(stage: Stage) -> TaskGroup:
    """write >> audit >> publish of a stage.

    A held tenant makes audit red and publish goes on for the others. When write failed there is nothing to publish, whatever
    an earlier attempt has left behind, so publish needs one of the two to have ended well; it refuses by itself what was
    staged and never judged.
    """
    with TaskGroup(group_id=stage.name, tooltip=f"{', '.join(stage.inputs) or 'landing'} -> {', '.join(stage.outputs)}") as group:
        write = StageVerb(task_id="write", stage=stage.name, verb="write")
        audit = StageVerb(task_id="audit", stage=stage.name, verb="audit")
        publish = StageVerb(
            task_id="publish",
            stage=stage.name,
            verb="publish",
            trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
            outlets=[ASSETS[table] for table in stage.outputs],
        )
        chain(write, audit, publish)
        write >> publish
    return group


def whole(stages: Sequence[Stage]) -> Whole:
    """The last task of a month; wire every group before it."""
    return Whole(task_id=WHOLE, stages=[stage.name for stage in stages])


def monthly(hour: int = 12) -> CronPartitionTimetable:
    """On the first of a month, for the month before; the run is named after that month."""
    return CronPartitionTimetable(f"0 {hour} 1 * *", timezone="UTC", run_offset=-1, key_format="%Y-%m")


def params(**more: Param) -> dict[str, Param]:
    """What a person may say to a run of a month."""
    return {
        "period": Param(
            None,
            type=["null", "string"],
            pattern=PERIOD_PATTERN,
            title="Month",
            description="Only for a run without a partition key, for instance a test: 2026-10",
        ),
        "tenants": Param(
            [], type="array", items={"type": "string"}, title="Tenants", description="Only these tenants; empty means all"
        ),
        "reason": Param("", type="string", title="Reason", description="Why this is run again; kept with every commit"),
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

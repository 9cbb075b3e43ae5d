"""What a task does with what Airflow knows, and how it ends; the verbs themselves are stood in for."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import RetryAction

from jobs.runtime import dag_tasks, environment, ops, verbs
from jobs.runtime.contract import Invocation, Outcome
from jobs.runtime.dag_approval import SIMULATED_APPROVER, Approval, Approved
from jobs.runtime.dag_tasks import Ended, Patience, StageVerb, Whole, period_of
from jobs.runtime.errors import CallError, ConfigError, CountingHouseError, Refused, RunBroke, Superseded, UpstreamMissing


class FakeTask:
    """The task instance of a context: XComs, and how other tasks of the run have ended."""

    def __init__(self, states: dict[str, str] | None = None, held: dict[str, list[str]] | None = None) -> None:
        self.states, self.held = states or {}, held or {}
        self.pushed: dict[str, Any] = {}
        self.returned: dict[str, Any] = {}
        self.questions: dict[str, str] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        told: dict[str, Any] = {"held": self.held, "question": self.questions}.get(key, self.returned)
        return told.get(task_ids)

    def get_task_states(self, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, str]]:
        return {run_ids[0]: {task: state for task, state in self.states.items() if task in task_ids}}


def context(
    key: str | None = "2026-10",
    user: str | None = None,
    task: FakeTask | None = None,
    note: str | None = None,
    **params: Any,
) -> Any:
    """A context with defaults; only what matters in a test is named there."""
    run = SimpleNamespace(
        dag_id="monthly_billing", run_id="backfill__1", partition_key=key, triggering_user_name=user, note=note
    )  # fmt: skip
    asked = {"period": None, "tenants": [], "reason": None} | params
    return {"dag_run": run, "params": asked, "ti": task or FakeTask(), "outlet_events": {}}


def verb(name: str = "write") -> StageVerb:
    return StageVerb(task_id=f"billing_aggregation.{name}", stage="billing_aggregation", verb=name)


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, Invocation]]]:
    """Let verbs end as the test says; returns what was asked of them."""

    def ending(outcome: Outcome | CountingHouseError) -> list[tuple[str, Invocation]]:
        asked: list[tuple[str, Invocation]] = []

        def perform(name: str, invocation: Invocation) -> Outcome:
            asked.append((name, invocation))
            if isinstance(outcome, CountingHouseError):
                raise outcome
            return outcome

        monkeypatch.setattr(verbs, "perform", perform)
        monkeypatch.setattr(environment, "environment", lambda: SimpleNamespace(spark="server"))
        monkeypatch.setattr(ops, "publications", dict)
        return asked

    return ending


def done(status: str = "done", **more: Any) -> Outcome:
    return Outcome("run", 1, status, "what happened", **more)


@pytest.mark.parametrize(
    ("key", "param", "month"),
    [
        pytest.param("2026-10", None, "2026-10", id="the_partition_key"),
        pytest.param(None, "2026-09", "2026-09", id="the_param_of_a_run_without_one"),
        pytest.param("2026-10", "2026-10", "2026-10", id="both_alike"),
    ],
)
def test_month_is_the_partition_key_or_the_param(key: str | None, param: str | None, month: str) -> None:
    assert period_of(context(key, period=param)) == month


@pytest.mark.parametrize(
    ("key", "param", "said"),
    [
        pytest.param(None, None, "this run has no month", id="neither"),
        pytest.param(
            "2026-10", "2026-09", "the run is of month 2026-10 and its param `period` says 2026-09", id="both_and_different"
        ),
    ],
)
def test_month_is_never_guessed(key: str | None, param: str | None, said: str) -> None:
    with pytest.raises(CallError, match=said):
        period_of(context(key, period=param))


def test_invocation_says_who_asked_for_what(performed: Any) -> None:
    asked = performed(done())
    verb().execute(context(user="ines", tenants=["b", "a"], reason="ticket 4711"))
    assert asked == [
        (
            "write",
            Invocation(
                stage="billing_aggregation",
                period="2026-10",
                run_key="backfill__1",
                tenants=("b", "a"),
                dag_id="monthly_billing",
                dag_run_id="backfill__1",
                task="billing_aggregation.write",
                actor="ines",
                reason="ticket 4711",
            ),  # fmt: skip
        )
    ]


def test_scheduler_is_the_actor_where_nobody_triggered(performed: Any) -> None:
    asked = performed(done())
    verb().execute(context(note="rates corrected"))
    assert (asked[0][1].actor, asked[0][1].reason) == ("scheduler", "rates corrected")


def test_replay_reaches_the_stage(performed: Any) -> None:
    asked = performed(done())
    verb().execute(context(replay="retail-uk/usage/2026-10.csv"))
    assert asked[0][1].parameters == {"replay": "retail-uk/usage/2026-10.csv"}


def test_held_tenants_end_the_audit_and_are_named_to_the_tasks_after_it(performed: Any) -> None:
    performed(done("held", held={"retail-uk": "x", "acme": "y"}))
    task = FakeTask()
    with pytest.raises(Ended, match="what happened") as ended:
        verb("audit").execute(context(task=task))
    assert ended.value.code == 1
    assert task.pushed == {"held": ["acme", "retail-uk"]}


@pytest.mark.parametrize(
    ("error", "code", "name", "decision"),
    [
        pytest.param(UpstreamMissing("no usage"), 1, "write", RetryAction.RETRY, id="missing_upstream_is_waited_for"),
        pytest.param(Refused("no such day"), 1, "write", RetryAction.FAIL, id="what_is_forbidden_is_not"),
        pytest.param(Refused("never judged"), 1, "publish", RetryAction.FAIL, id="refused_publication_is_not"),
        pytest.param(Superseded("newer"), 1, "publish", RetryAction.FAIL, id="superseded"),
        pytest.param(ConfigError("typo"), 2, "write", RetryAction.FAIL, id="configuration"),
        pytest.param(RunBroke("no disk"), 3, "write", RetryAction.RETRY, id="broken_run_is_tried_again"),
    ],
)
def test_errors_end_a_task_with_their_exit_code(
    performed: Any, error: CountingHouseError, code: int, name: str, decision: RetryAction
) -> None:
    performed(error)
    with pytest.raises(Ended) as ended:
        verb(name).execute(context())
    assert (str(ended.value), ended.value.code) == (str(error), code)
    assert Patience().evaluate(ended.value, 1, 2, context()).action == decision
    assert Patience().evaluate(ended.value, 1, 2, context(user="dag_test")).action == RetryAction.FAIL, (
        "a test run waits for nothing"
    )


def test_broken_run_is_tried_twice_in_each_round() -> None:
    broke = Ended("no disk", 3)
    tries = [Patience().evaluate(broke, number, last, context()).action for number, last in ((1, 2), (2, 2), (3, 4), (4, 4))]
    assert tries == [RetryAction.RETRY, RetryAction.FAIL, RetryAction.RETRY, RetryAction.FAIL]


def test_publication_tells_its_assets_which_version_a_reader_gets(performed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    performed(done("unchanged"))
    charges = dag_tasks.ASSETS["billing.charges"]
    standing = {
        ops.Unit("billing_aggregation", tenant, "2026-10"): ops.Publication(
            unit=ops.Unit("billing_aggregation", tenant, "2026-10"), run_id=f"run-{version}", attempt=1, publication_id="p",
            fingerprint="f", inputs={}, tables=(ops.TableVersion("billing.charges", version, 10),), order=version,
        )
        for tenant, version in (("a", 3), ("b", 5))
    }  # fmt: skip
    monkeypatch.setattr(ops, "publications", lambda: standing)
    publish = StageVerb(
        task_id="billing_aggregation.publish", stage="billing_aggregation", verb="publish", outlets=[charges]
    )
    given = context()
    given["outlet_events"] = {charges: SimpleNamespace(extra={})}
    publish.execute(given)
    assert given["outlet_events"][charges].extra == {
        "period": "2026-10", "status": "unchanged", "delta_version": 5, "rows": 20, "run_id": "run-5",
    }  # fmt: skip


def ended(**states: str) -> dict[str, str]:
    """How the tasks of a run ended; success where nothing is said."""
    every = {f"{stage}.{name}": "success" for stage in ("one", "two") for name in ("write", "audit", "publish")}
    return every | {name.replace("_", ".", 1): state for name, state in states.items()}


def test_whole_month_is_green() -> None:
    task = FakeTask(ended())
    assert Whole(task_id="whole", groups=["one", "two"]).execute(context(task=task)) == "monthly_billing 2026-10 is whole."


def test_month_with_a_held_tenant_is_not_whole() -> None:
    task = FakeTask(ended(two_audit="failed"), held={"two.audit": ["retail-uk"]})
    with pytest.raises(Ended, match="two: held retail-uk; see the log of two.audit") as said:
        Whole(task_id="whole", groups=["one", "two"]).execute(context(task=task))
    assert "clear the task two.write" in str(said.value)


def test_month_names_the_stage_that_broke_and_those_that_did_not_start() -> None:
    nothing = dict.fromkeys(("two_write", "two_audit", "two_publish"), "upstream_failed")
    with pytest.raises(Ended) as said:
        Whole(task_id="whole", groups=["one", "two"]).execute(context(task=FakeTask(ended(one_publish="failed", **nothing))))
    assert "  - one: publish failed\n  - two: not started\n" in str(said.value)
    assert "clear the task one.write" in str(said.value)


def test_earlier_hold_is_forgotten_once_the_audit_has_passed() -> None:
    task = FakeTask(ended(), held={"one.audit": ["retail-uk"]})
    assert "is whole" in Whole(task_id="whole", groups=["one", "two"]).execute(context(task=task))


@pytest.mark.parametrize(
    ("key", "stage", "period"),
    [
        ("2026-10-31T14", "payable_validation", "2026-10-31T14"), ("2026-10-31T14", "ledger_posting", "2026-10"),
        ("2026-10-31", "ledger_posting", "2026-10"), ("2026-10-31", "ingestion", "2026-10-31"),
    ],
)  # fmt: skip
def test_a_stage_runs_for_the_period_of_its_own_grain(key: str, stage: str, period: str) -> None:
    task = StageVerb(task_id="write", stage=stage, verb="write")
    assert task.invocation(context(key)).period == period


ANNA = {"id": "anna", "name": "anna"}
ANSWERS = {
    # case: (the answer, who triggered, whether the home is simulated, what is said; None when it counts)
    "a_second_person": ({"chosen_options": ["Approve"], "responded_by_user": ANNA}, "bert", False, None),
    "anybody_for_a_scheduled_run": ({"chosen_options": ["Approve"], "responded_by_user": ANNA}, None, False, None),
    "nothing_to_ask": ({"chosen_options": [], "nothing": True}, "bert", False, None),
    "the_one_who_triggered": ({"chosen_options": ["Approve"], "responded_by_user": ANNA}, "anna", False, "may not approve it too"),
    "rejected": ({"chosen_options": ["Reject"], "responded_by_user": ANNA}, "bert", False, "anna has rejected it"),
    "marked_by_hand": (None, "bert", False, "nobody has answered"),
    "time_ran_out": ({"chosen_options": ["Approve"], "responded_by_user": None}, "bert", False, "comes from nobody"),
    "a_simulated_approver": (
        {"chosen_options": ["Approve"], "responded_by_user": {"id": SIMULATED_APPROVER}}, "bert", False, "has no say in this home",
    ),
    "a_simulated_approver_at_home": (
        {"chosen_options": ["Approve"], "responded_by_user": {"id": SIMULATED_APPROVER}}, "bert", True, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
def test_only_another_person_may_approve(case: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, user, is_simulated, said = ANSWERS[case]
    monkeypatch.setenv("COUNTINGHOUSE_HOME", str(tmp_path))
    if is_simulated:
        (tmp_path / "simulated").touch()
    task = FakeTask()
    task.returned["suspension_selection.approve"] = answer
    ask = Approved(task_id="approved", stage="suspension_selection")
    if said is None:
        assert bool(ask.execute(context("2026-10-31", user=user, task=task))) == (case != "nothing_to_ask")
    else:
        with pytest.raises(Ended, match=said):
            ask.execute(context("2026-10-31", user=user, task=task))


def test_a_test_run_is_approved_only_in_a_simulated_home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTINGHOUSE_HOME", str(tmp_path))
    asked = context("2026-10-31", user="dag_test")
    question = Approval(task_id="approve", stage="suspension_selection", always=True)
    with pytest.raises(Ended, match="a test run cannot ask anybody"):
        question.execute(asked)
    (tmp_path / "simulated").touch()
    assert question.execute(asked)["responded_by_user"]["id"] == SIMULATED_APPROVER


def test_what_is_within_its_limits_asks_nobody(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTINGHOUSE_HOME", str(tmp_path))
    question = Approval(task_id="approve", stage="invoice_generation", always=False)
    assert question.execute(context("2026-10", user="dag_test"))["nothing"]
    task = FakeTask()
    task.questions["invoice_generation.audit"] = "too many documents"
    with pytest.raises(Ended, match="a test run cannot ask anybody"):
        question.execute(context("2026-10", user="dag_test", task=task))


def test_what_was_approved_says_by_whom() -> None:
    task = FakeTask()
    task.returned["suspension_selection.approved"] = "anna"
    publish = StageVerb(task_id="publish", stage="suspension_selection", verb="publish")
    assert (
        publish.invocation(context("2026-10-31", task=task, reason="ticket 4711")).reason == "ticket 4711; approved by anna"
    )

"""A stage that a person must approve before it publishes: the question, and the check of who has answered it."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
from airflow.sdk import BaseOperator, Context, TaskGroup, TriggerRule, chain

from jobs.runtime.dag_tasks import ASSETS, StageVerb, actor_of, end, is_test, stage_tooltip
from jobs.runtime.errors import EXIT_REFUSED
from jobs.stages import Stage

SIMULATED_APPROVER = "simulated-approver"  # answers in a home that is marked as simulated, and nowhere else


class Approval(ApprovalOperator):
    """Asks a person; where nothing was staged, or nothing is beyond its limits, there is nothing to ask.

    Rejecting does not skip what follows: the next task says who has rejected, and is red.
    """

    def __init__(self, *, stage: str, always: bool, **kwargs: Any) -> None:
        told = (f"ti.xcom_pull(task_ids='{stage}.{verb}')['message']" for verb in ("audit", "write"))
        question = f"ti.xcom_pull(task_ids='{stage}.audit', key='question')"
        super().__init__(
            subject=f"{stage}: may this be published?",
            body=f"{{{{ {' or '.join((question, *told))} }}}}",
            trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
            **kwargs,
        )
        self.stage = stage
        self.always = always

    def execute(self, context: Context) -> Any:
        """Ask, unless there is nothing to publish; a test run is answered only in a simulated home."""
        written = context["ti"].xcom_pull(task_ids=f"{self.stage}.write") or {}
        question = context["ti"].xcom_pull(task_ids=f"{self.stage}.audit", key="question")
        if written.get("status") == "unchanged" or not (self.always or question):
            return {"chosen_options": [], "nothing": True}
        if is_test(context):
            from jobs.runtime.config import simulated

            if not simulated():
                raise end(
                    f"{self.stage}: a test run cannot ask anybody, so nothing was published. Trigger the DAG in the Airflow UI "
                    f"and let a second person approve it there.",
                    EXIT_REFUSED,
                )
            return {
                "chosen_options": [self.APPROVE],
                "responded_by_user": {"id": SIMULATED_APPROVER, "name": SIMULATED_APPROVER},
            }
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Hand the answer on, whatever it is."""
        return HITLOperator.execute_complete(self, context, event)


class Approved(BaseOperator):
    """Red unless a person other than the one who triggered the run has approved.

    A task that was marked green by hand has no answer, and one whose time ran out has nobody who gave it.
    """

    ui_color = "#f4efe3"

    def __init__(self, *, stage: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def execute(self, context: Context) -> str:
        """Who approved; an empty name where nobody had to."""
        answer = context["ti"].xcom_pull(task_ids=f"{self.stage}.approve") or {}
        if answer.get("nothing"):
            return ""
        person = (answer.get("responded_by_user") or {}).get("name") or (answer.get("responded_by_user") or {}).get("id")
        if why := refusal(answer.get("chosen_options"), person, actor_of(context)):
            raise end(f"{self.stage}: {why} Nothing was published.", EXIT_REFUSED)
        return str(person)


def refusal(chosen: list[str] | None, person: str | None, triggered_by: str) -> str | None:
    """Why an answer does not count; None when it does."""
    from jobs.runtime.config import simulated

    if not chosen:
        return "nobody has answered; the task of the question was marked by hand or has failed. Clear it, it will ask again."
    if chosen != [ApprovalOperator.APPROVE]:
        return f"{person or 'the time limit'} has rejected it. Mend the policy or its inputs, then clear the write of this stage."
    if not person:
        return "the answer comes from nobody. Clear the task of the question; a person must answer."
    if person == SIMULATED_APPROVER and not simulated():
        return "a simulated approver has no say in this home. Clear the task of the question; a person must answer."
    if person == triggered_by:
        return f"{person} has triggered this run and may not approve it too. Clear the task of the question and let somebody else answer."
    return None


def approved_group(stage: Stage, always: bool = True) -> TaskGroup:
    """write >> audit >> approve >> approved >> publish of a stage.

    A gate that holds some tenants is no obstacle for the others: the question is asked for those that passed. always: whatever it is;
    else only where the audit found something beyond the limits of its policy.
    """
    with TaskGroup(group_id=stage.name, tooltip=stage_tooltip(stage)) as group:
        write = StageVerb(task_id="write", stage=stage.name, verb="write")
        audit = StageVerb(task_id="audit", stage=stage.name, verb="audit")
        approve = Approval(task_id="approve", stage=stage.name, always=always)
        approved = Approved(task_id="approved", stage=stage.name)
        publish = StageVerb(
            task_id="publish", stage=stage.name, verb="publish", outlets=[ASSETS[table] for table in stage.outputs]
        )
        chain(write, audit, approve, approved, publish)
        write >> approve
    return group

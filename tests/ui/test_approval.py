"""A day of nominations that a person must approve, in the Airflow UI: not the one who has asked for it.

Like test_backfill.py a part of `make test-ui`. It leaves docs/images/approval.png behind, for docs/runbook.md.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from jobs.runtime import airflow_home, ops, spark_server
from jobs.runtime.airflow_home import APPROVER, USER, Asked
from jobs.runtime.books import visible_arrow
from tests.suspension_selection.test_ibm_ar import FILE, TENANT

if TYPE_CHECKING:
    from tests.ui.conftest import Operator

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="the real receivables are not here (../shared/data)")

DAG, STAGE, DAY = "account_suspension", "suspension_selection", "2012-02-29"
BEFORE = "2012-01-31"  # its cash posts the invoices that are overdue on the day
QUESTION, ANSWERED = f"{STAGE}.approve", f"{STAGE}.approved"


@pytest.fixture(scope="module")
def ready(shared_home: Path) -> Path:
    """A home with real receivables, paid as far as they were on that day."""
    for feed in ("open_items", "bank_transactions", "disputes"):
        folder = shared_home / "landing" / TENANT / feed
        folder.mkdir(parents=True)
        shutil.copy(FILE, folder / FILE.name)
    server, _ = spark_server.ensure()
    try:
        days = [Asked("cash_application", day, (TENANT,)) for day in (BEFORE, DAY)]
        assert airflow_home.run_dags([Asked("ingest", DAY[:7], (TENANT,)), *days])
    finally:
        spark_server.stop(server)
    return shared_home


def test_nobody_approves_what_they_have_asked_for(operator: Operator, approver: Operator) -> None:
    run = operator.triggered(DAG, DAY)
    operator.stop_the_scheduled(DAG)  # it would wait for cash that never comes, and our day for it
    operator.look_away()
    approver.look_away()
    waits_for_a_person(operator, run)
    approves(operator, run)
    operator.look_away()
    assert operator.ended(DAG, run) == "failed"
    assert {task for task, state in operator.tasks(DAG, run).items() if state == "failed"} == {ANSWERED, "whole"}
    assert states() == [], "what was asked for and approved by one person was published"

    operator.call("POST", f"dags/{DAG}/clearTaskInstances", {
        "dry_run": False, "dag_run_id": run, "task_ids": [QUESTION], "include_downstream": True, "only_failed": False,
    })  # fmt: skip
    waits_for_a_person(operator, run)
    approves(approver, run, picture="approval.png")
    approver.look_away()
    assert operator.ended(DAG, run) == "success"
    assert set(operator.tasks(DAG, run).values()) == {"success"}
    assert states()
    (published,) = (found for unit, found in ops.publications().items() if unit.stage == STAGE)
    assert (published.actor, published.dag_run_id) == (USER, run)
    assert f"approved by {APPROVER}" in {row["reason"] for row in ops.rows(ops.RUNS) if row["verb"] == "publish"}


def waits_for_a_person(operator: Operator, run: str) -> None:
    """Return once the question is asked."""
    waiting = {"deferred", "awaiting_input"}
    operator.until(lambda: operator.tasks(DAG, run), lambda states: states[QUESTION] in waiting)


def approves(person: Operator, run: str, picture: str = "") -> None:
    """Answer yes on the page of the question."""
    person.open(f"dags/{DAG}/runs/{quote(run)}/tasks/{QUESTION}/required_actions")
    yes = person.page.get_by_role("button", name="Approve", exact=True)
    yes.wait_for()
    person.page.get_by_text("accounts").first.wait_for()  # who answers reads what would be published
    if picture:
        person.picture(picture)
    yes.click()
    expect(yes).to_be_disabled()


def states() -> list[dict[str, object]]:
    """What a reader sees of the tenant's account states."""
    return list(visible_arrow("suspension.account_states", tenant=TENANT).to_pylist())

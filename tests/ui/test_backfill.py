"""A backfill of three months, made in the Airflow UI as an operator makes it: `make test-ui`.

Not part of `make test`: it needs Chromium, and some minutes. It leaves docs/images/backfill.png behind.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from jobs.runtime import airflow_home, ops, spark_server
from jobs.simulation.world import World, simulate_world

if TYPE_CHECKING:
    from tests.ui.conftest import Operator

TENANT = "sim-utilities-05"  # the smallest, so that the runs and not the data take the time
MONTHS = ("2026-01", "2026-02", "2026-03")
STAGES = ("billing_aggregation", "invoice_generation", "ledger_posting")


@pytest.fixture(scope="module")
def ready(shared_home: Path) -> Path:
    """A home in which three months of one tenant are landed and ingested, by a run that was not a backfill."""
    simulate_world(World(scale=1, seed=7, months=len(MONTHS), first_month=MONTHS[0]), shared_home, lambda _: None)
    for month in MONTHS:
        shutil.copytree(shared_home / "outbox" / month / TENANT, shared_home / "landing" / TENANT, dirs_exist_ok=True)
    server, _ = spark_server.ensure()
    try:
        assert airflow_home.run_dag("ingest", MONTHS[-1], reason="the history of the new home")
    finally:
        spark_server.stop(server)
    return shared_home


def test_operator_backfills_three_months_in_the_ui(operator: Operator) -> None:
    page = operator.page
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog").filter(has_text="monthly_billing")
    form.get_by_text("Backfill", exact=True).first.click()
    choose(page, 0, "2026/01/01")
    choose(page, 1, "2026/03/31")
    form.locator("#element_reason").fill("the history of the new home")
    form.get_by_text("Override parameters on existing runs").click()  # without it the form sends no params at all
    assert form.get_by_text("Unpause monthly_billing on trigger").is_visible()
    start = form.get_by_role("button", name="Run Backfill")
    expect(start).to_be_enabled()
    start.click()
    form.wait_for(state="hidden")

    operator.look_away()
    states = operator.until_ended(lambda: backfilled(operator), len(MONTHS))
    assert states == dict.fromkeys(MONTHS, "success"), states

    operator.open("dags/monthly_billing/runs?run_type=backfill")
    for stage in STAGES:
        page.get_by_text(stage, exact=True).first.wait_for()
    for month in MONTHS:
        page.get_by_text(f"__{month}__").first.wait_for()
    operator.picture("backfill.png")

    published = {(unit.stage, unit.period): found for unit, found in ops.publications().items() if unit.stage in STAGES}
    assert set(published) == {(stage, month) for stage in STAGES for month in MONTHS}
    for publication in published.values():
        assert publication.dag_run_id.startswith("backfill__")
        assert publication.actor == airflow_home.USER
    told = {
        row["reason"] for row in ops.rows(ops.RUNS) if row["stage"] in STAGES and row["dag_run_id"].startswith("backfill__")
    }
    assert told == {"the history of the new home"}


def choose(page: Page, field: int, day: str) -> None:
    """Fill one of the two date fields: a click opens a small calendar with an input for the date and one for the time."""
    page.get_by_test_id("datetime-input").nth(field).click()
    popup = page.locator("[data-scope=popover][data-part=content][data-state=open]")
    popup.get_by_placeholder("YYYY/MM/DD").fill(day)
    popup.get_by_placeholder("HH:mm").fill("23:59" if field else "00:00")
    popup.get_by_placeholder("HH:mm").press("Enter")
    page.get_by_text("Date Range", exact=True).click()
    popup.wait_for(state="hidden")


def backfilled(operator: Operator) -> dict[str, str]:
    """The state of each month's backfill run."""
    runs = operator.call("GET", "dags/monthly_billing/dagRuns?run_type=backfill&limit=50")["dag_runs"]
    return {run["partition_key"]: run["state"] for run in runs}

"""A month that a missing price has made red: the price is landed, one task is cleared in the Airflow UI, the month is green.

Like test_backfill.py a part of `make test-ui`. It leaves docs/images/clear.png behind, for docs/runbook.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from jobs.runtime import ops
from jobs.runtime.books import visible_arrow
from tests.builders import ALPHA, BETA, NETWORK_FILE, UNPRICED_FILE, USAGE_FILE, dropped, moved_in

if TYPE_CHECKING:
    from tests.ui.conftest import Operator

MONTH = "2026-07"
HELD = "billing_aggregation.audit"
TO_CLEAR = "billing_aggregation.write"


@pytest.fixture(scope="module")
def ready(shared_home: Path) -> Path:
    """A home with the files of two tenants in landing; of beta a price is missing."""
    moved_in(shared_home, {ALPHA: USAGE_FILE, BETA: UNPRICED_FILE})
    return shared_home


def test_operator_clears_one_task_after_the_price_has_come(operator: Operator, ready: Path) -> None:
    page = operator.page
    assert operator.ended("ingest", operator.triggered("ingest", MONTH)) == "success"
    month = operator.triggered("monthly_billing", MONTH)
    operator.stop_the_scheduled("monthly_billing")
    operator.look_away()
    assert operator.ended("monthly_billing", month) == "failed"
    before = operator.tasks("monthly_billing", month)
    assert {task for task, state in before.items() if state == "failed"} == {HELD, "whole"}
    assert documents() == {ALPHA: 2}
    issued = {unit: publication for unit, publication in ops.publications().items() if unit.tenant_id == ALPHA}

    dropped(ready, BETA, "prices", "network.csv", NETWORK_FILE)
    assert operator.ended("ingest", operator.triggered("ingest", MONTH)) == "success"

    operator.open(f"dags/monthly_billing/runs/{quote(month)}/tasks/{TO_CLEAR}")
    page.get_by_role("button", name="Press shift+c to clear").click()
    form = page.get_by_role("dialog").filter(has_text="Affected Tasks")
    form.get_by_text(
        f"Affected Tasks: {len(before) - 1}"
    ).wait_for()  # with downstream, as the form proposes: all but `grace`
    operator.picture("clear.png")
    form.get_by_role("button", name="Confirm").click()
    form.wait_for(state="hidden")

    operator.look_away()
    assert operator.ended("monthly_billing", month) == "success"
    assert set(operator.tasks("monthly_billing", month).values()) == {"success"}
    assert documents() == {ALPHA: 2, BETA: 2}
    after = ops.publications()
    assert {unit: after[unit] for unit in issued} == issued, "what was published of the other tenant was done again"
    of_month = {publication.dag_run_id for unit, publication in after.items() if unit.stage != "ingestion"}
    assert of_month == {month}


def documents() -> dict[str, int]:
    """Documents per tenant, as a reader sees them."""
    tenants = visible_arrow("invoicing.invoices", ["tenant_id"])["tenant_id"].to_pylist()
    return {tenant: tenants.count(tenant) for tenant in set(tenants)}

"""A month through Airflow, Spark, Delta and Great Expectations: one tenant is held, mended, and the month ends green."""

from __future__ import annotations

import pytest

from jobs.runtime import airflow_home, ops
from jobs.runtime.books import visible_arrow
from jobs.runtime.identities import verify
from tests.builders import ALPHA, BETA, NETWORK_FILE, UNPRICED_FILE, USAGE_FILE, dropped, moved_in

MONTH = "2026-07"


@pytest.fixture(scope="module")
def house(spark, shared_home):
    moved_in(shared_home, {ALPHA: USAGE_FILE, BETA: UNPRICED_FILE})
    return shared_home


def issued() -> dict[str, int]:
    """Documents per tenant, as a reader sees them."""
    counted: dict[str, int] = {}
    for row in visible_arrow("invoicing.invoices").to_pylist():
        counted[row["tenant_id"]] = counted.get(row["tenant_id"], 0) + 1
    return counted


def test_a_held_tenant_makes_the_month_red_and_the_others_are_invoiced_then_it_ends_green(house):
    assert airflow_home.run_dag("ingest", MONTH)
    assert not airflow_home.run_dag("monthly_billing", MONTH), "a month with a held tenant must not be green"
    assert issued() == {ALPHA: 2}

    dropped(house, BETA, "prices", "network.csv", NETWORK_FILE)
    assert airflow_home.run_dag("ingest", MONTH)
    assert airflow_home.run_dag("monthly_billing", MONTH)
    assert issued() == {ALPHA: 2, BETA: 2}
    assert all(finding.holds for finding in verify())

    runs = {row["dag_run_id"] for row in ops.rows(ops.PUBLICATIONS) if row["stage"] != "ingestion"}
    assert all(runs), "a publication must name the DAG run it came from"


def test_a_month_that_has_not_changed_is_left_as_it_is(house):
    before = len(ops.all_publications())
    assert airflow_home.run_dag("monthly_billing", MONTH)
    assert len(ops.all_publications()) == before

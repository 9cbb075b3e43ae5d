"""A month through Airflow, Spark, Delta and Great Expectations: one tenant is held, mended, and the month ends green."""

from __future__ import annotations

import pytest

from jobs.runtime import airflow_home, ops
from jobs.runtime.books import visible_arrow
from jobs.runtime.identities import verify
from tests.builders import ALPHA, BETA, conf_file, dropped, tenant_conf

MONTH = "2026-07"
ACCOUNTS = "account,name,country,currency\na-1,Ada Somebody,GB,GBP\na-2,Bob Somebody,US,USD\n"
PRICES = "price,product,currency,since,unit_price\np-1,storage,GBP,2026-01-01,0.05\np-2,storage,USD,2026-01-01,0.07\n"
USAGE = "id,account,product,at,units\nr-1,a-1,storage,2026-07-10 12:00:00,100\nr-2,a-2,storage,2026-07-31 22:30:00,50\n"
UNPRICED = USAGE + "r-3,a-1,network,2026-07-11 12:00:00,7\n"
NETWORK = "price,product,currency,since,unit_price\np-3,network,GBP,2026-01-01,1.00\n"


@pytest.fixture(scope="module")
def house(spark, shared_home):
    for name, prefix, told in ((ALPHA, "A", USAGE), (BETA, "B", UNPRICED)):
        conf_file(shared_home, f"tenants/{name}.yaml", tenant_conf(name, prefix))
        dropped(shared_home, name, "accounts", "accounts.csv", ACCOUNTS)
        dropped(shared_home, name, "prices", "prices.csv", PRICES)
        dropped(shared_home, name, "usage", "july.csv", told)
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

    dropped(house, BETA, "prices", "network.csv", NETWORK)
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

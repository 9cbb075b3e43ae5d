"""Months of a tenant that are issued in order, and one that is far from usual: published only when a second person has said so.

The tests of this module are one story and run in the order they stand in; each says one thing about it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from jobs.runtime.config import ROOT
from jobs.runtime.errors import GateFailed, UpstreamMissing
from jobs.runtime.verbs import audit, publish, run_stage, write
from tests.builders import ALPHA, asked, conf_file, dropped, goes_through, published, tenant_conf

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow

CUSTOMERS = range(1, 13)
ACCOUNTS = "account,name,country,currency\n" + "".join(f"a-{n},Somebody,GB,GBP\n" for n in CUSTOMERS)
PRICES = "price,product,currency,since,unit_price\np-1,storage,GBP,2026-01-01,1\n"


def usage(month, customers):
    return "id,account,product,at,units\n" + "".join(
        f"{month}-{n},a-{n},storage,2026-{month}-10 12:00:00,10\n" for n in customers
    )


@pytest.fixture(scope="module")
def landed(spark, shared_home):
    """Three months have landed and are charged: four customers, then twelve, then three."""
    columns = {"record_id": "id", "account_id": "account", "product_id": "product", "usage_start": "at", "quantity": "units"}
    conf_file(shared_home, f"tenants/{ALPHA}.yaml", tenant_conf(ALPHA, usage_columns=columns))
    policy = yaml.safe_load((ROOT / "conf" / "invoice_generation.yaml").read_text())
    policy["issue_control"][0] |= {"least_documents": 4, "new_customers_share": "1"}
    conf_file(shared_home, "invoice_generation.yaml", policy)
    for feed, content in {"accounts": ACCOUNTS, "prices": PRICES}.items():
        dropped(shared_home, ALPHA, feed, f"{feed}.csv", content)
    for month, customers in {"07": range(1, 5), "08": CUSTOMERS, "09": range(1, 4)}.items():
        dropped(shared_home, ALPHA, "usage", f"{month}.csv", usage(month, customers))
    goes_through("2026-07", "ingestion")
    for month in ("2026-07", "2026-08", "2026-09"):
        goes_through(month, "billing_aggregation")
    return shared_home


def documents(spark, month):
    return published(spark, "invoicing.invoices", month).count()


def test_a_month_waits_for_the_one_before_it(landed):
    with pytest.raises(UpstreamMissing, match="2026-07 of tenant alpha is not invoiced yet and goes first"):
        goes_through("2026-08", "invoice_generation")


def test_the_first_month_asks_nobody(spark, landed):
    assert goes_through("2026-07", "invoice_generation")[0].status == "done"
    assert documents(spark, "2026-07") == 4


def test_three_times_the_documents_are_not_issued_by_whoever_runs_it(spark, landed):
    with pytest.raises(GateFailed) as refused:
        goes_through("2026-08", "invoice_generation")
    for said in ("a second person must approve it", "as many documents as usual: 1, e.g. GB: 12.00 beside 4.00"):
        assert said in str(refused.value)
    assert documents(spark, "2026-08") == 0


def test_they_are_when_somebody_else_approves(spark, landed):
    call = asked("invoice_generation", ALPHA, key="approved", period="2026-08")
    assert write(call).status == "done"
    assert "beside 4.00" in audit(call).question
    assert publish(replace(call, approved_by="anna")).status == "done"
    assert documents(spark, "2026-08") == 12


def test_nothing_is_dated_before_what_was_issued(spark, landed):
    early = asked("invoice_generation", ALPHA, key="early", period="2026-09", issue_date="2026-08-31")
    with pytest.raises(UpstreamMissing, match="would go back in time"):
        run_stage(early)
    # Three customers where eight are usual: too few ask as well, and nobody has approved.
    with pytest.raises(GateFailed, match="GB: 3.00 beside 8.00"):
        goes_through("2026-09", "invoice_generation")
    assert documents(spark, "2026-09") == 0

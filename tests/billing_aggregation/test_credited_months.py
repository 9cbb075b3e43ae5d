"""Three months of a tenant whose customers have credits: what pays which charge, what goes on, what is given back.

The tests of this module are one story and run in the order they stand in; each says one thing about it.
"""

from __future__ import annotations

import pytest

from jobs.runtime import identities, trace
from jobs.runtime.errors import UpstreamMissing
from jobs.runtime.ops import all_publications
from tests.builders import ALPHA, collected, conf_file, dropped, goes_through, published, tenant_conf

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow

ACCOUNTS = "account,name,country,currency\na-1,Ada Somebody,GB,GBP\na-2,Bob Somebody,GB,GBP\n"
PRICES = "price,product,currency,since,unit_price\np-1,storage,GBP,2026-01-01,1\np-2,compute,GBP,2026-01-01,2\n"
GRANTED = (
    "credit,account,currency,amount,since,until,products\n"
    'k-1,a-1,GBP,30,2026-07-01,2026-08-01,\nk-2,a-1,GBP,100,2026-07-01,,"[""compute""]"\nk-3,a-2,GBP,5,2026-01-01,2026-07-01,\n'
    "k-4,a-1,GBP,0,2026-07-01,,\nk-5,a-1,GBP,1,2026-07-01,,storage\n"
)
HEAD = "id,account,product,at,units,revision,withdrawn\n"
USAGE = HEAD + (
    "r-1,a-1,storage,2026-07-10 12:00:00,20,0,false\nr-2,a-1,compute,2026-07-11 12:00:00,40,0,false\n"
    "r-3,a-2,storage,2026-07-12 12:00:00,7,0,false\n"
)
AUGUST = HEAD + "r-10,a-1,compute,2026-08-10 12:00:00,50,0,false\nr-11,a-1,storage,2026-08-10 12:00:00,3,0,false\n"
LATE = HEAD + "r-2,a-1,compute,2026-07-11 12:00:00,10,1,false\nr-20,a-1,compute,2026-09-10 12:00:00,30,0,false\n"


def lines_of(spark, month, name="billing.charges"):
    return collected(published(spark, name, month), "account_id", "product_id", "kind", "credit_id", "amount")


@pytest.fixture(scope="module")
def landed(spark, shared_home):
    """Everything of July and August has landed."""
    conf = tenant_conf(ALPHA, usage_columns={
        "record_id": "id", "account_id": "account", "product_id": "product", "usage_start": "at", "quantity": "units",
        "revision": "revision", "withdrawn": "withdrawn",
    })  # fmt: skip
    conf["feeds"]["credits"] = {"columns": {
        "credit_id": "credit", "account_id": "account", "currency": "currency", "amount": "amount", "valid_from": "since",
        "valid_to": "until", "products": "products",
    }}  # fmt: skip
    conf_file(shared_home, f"tenants/{ALPHA}.yaml", conf)
    files = {"accounts": ACCOUNTS, "prices": PRICES, "usage": USAGE, "credits": GRANTED}
    for feed, content in files.items():
        dropped(shared_home, ALPHA, feed, f"{feed}.csv", content)
    dropped(shared_home, ALPHA, "usage", "august.csv", AUGUST)
    goes_through("2026-07", "ingestion", "billing_aggregation")
    return shared_home


@pytest.fixture(scope="module")
def july(landed):
    """August is charged too early; then July is invoiced."""
    goes_through("2026-08", "billing_aggregation")
    return goes_through("2026-07", "invoice_generation")


@pytest.fixture(scope="module")
def august(july):
    """August is charged again, and invoiced."""
    return goes_through("2026-08", "billing_aggregation", "invoice_generation")


@pytest.fixture(scope="module")
def september(landed, august):
    """Of July less was used than was billed."""
    dropped(landed, ALPHA, "usage", "late.csv", LATE)
    return goes_through("2026-09", "ingestion", "billing_aggregation", "invoice_generation")


def test_a_credit_that_says_nonsense_is_quarantined(spark, landed):
    told = published(spark, "raw.quarantine").where("feed = 'credits'")
    assert {tuple(row["reasons"]) for row in told.collect()} == {
        ("amount: not above 0",), ("products: not a JSON list of product ids",),
    }  # fmt: skip


def test_credits_are_lines_of_their_own_below_nothing(spark, landed):
    assert lines_of(spark, "2026-07") == [
        ("a-1", "compute", "credit", "k-1", "-24"), ("a-1", "compute", "credit", "k-2", "-56"), ("a-1", "compute", "usage", None, "80"),
        ("a-1", "storage", "credit", "k-1", "-6"), ("a-1", "storage", "usage", None, "20"), ("a-2", "storage", "usage", None, "7"),
    ]  # fmt: skip


def test_a_month_that_is_not_first_in_turn_uses_none_and_is_not_invoiced_so(spark, july):
    assert {kind for _, _, kind, _, _ in lines_of(spark, "2026-08")} == {"usage"}
    with pytest.raises(UpstreamMissing, match="both may use its customers' credits"):
        goes_through("2026-08", "invoice_generation")


def test_what_is_left_goes_to_the_next_month_until_it_expires(spark, august):
    assert lines_of(spark, "2026-08") == [
        ("a-1", "compute", "credit", "k-2", "-44"), ("a-1", "compute", "usage", None, "100"), ("a-1", "storage", "usage", None, "3"),
    ]  # fmt: skip


def test_a_second_run_changes_nothing(august):
    before = len(all_publications())
    assert {one.status for one in goes_through("2026-08", "billing_aggregation", "invoice_generation")} == {"unchanged"}
    assert len(all_publications()) == before


def test_an_adjustment_gives_back_what_a_credit_can_no_longer_pay(spark, september):
    found = lines_of(spark, "2026-09", "billing.adjustments")
    assert found == [
        ("a-1", "compute", "credit", "k-1", "9"), ("a-1", "compute", "credit", "k-2", "51"), ("a-1", "compute", "usage", None, "-60"),
        ("a-1", "storage", "credit", "k-1", "-9"),
    ]  # fmt: skip


def test_what_was_given_back_can_be_used_by_the_month_after(spark, september):
    assert lines_of(spark, "2026-09") == [("a-1", "compute", "usage", None, "60")]


def test_the_identities_hold_and_a_line_of_a_credit_names_its_file(spark, september):
    assert [found for found in identities.verify(tenant=ALPHA) if not found.holds] == []
    (number,) = (
        row["invoice_number"]
        for row in published(spark, "invoicing.invoices", "2026-08").where("account_id = 'a-1'").collect()
    )
    chain = trace.invoice(number)
    assert chain.problems == ()
    named = {(one["credit_id"], one["file_name"]) for line in chain.lines for one in line["charge"]["credit"]}
    assert named == {("k-2", "credits.csv")}

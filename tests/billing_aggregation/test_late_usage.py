"""Usage comes, is corrected and is withdrawn after its month was invoiced; the open month bills the difference.

The tests of this module are one story and run in the order they stand in; each says one thing about it.
"""

from __future__ import annotations

import pytest
import yaml

from jobs.runtime import identities, trace
from jobs.runtime.books import Books
from jobs.runtime.config import ROOT
from jobs.runtime.ops import all_publications
from jobs.runtime.status import WAITING
from jobs.runtime.verbs import run_stage
from tests.builders import ALPHA, asked, collected, conf_file, dropped, goes_through, published, tenant_conf

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow

ACCOUNTS = "account,name,country,currency\na-1,Ada Somebody,GB,GBP\na-2,Bob Somebody,GB,GBP\n"
VOLUME = '{""tiers"": [{""up_to"": 15, ""unit"": 10}, {""up_to"": null, ""unit"": 5}]}'
PRICES = (
    "price,product,model,currency,since,parameters\n"
    f'p-1,storage,volume,GBP,2026-01-01,"{VOLUME}"\n'
    'p-2,compute,per_unit,GBP,2026-01-01,"{""unit_price"": ""2""}"\n'
)
HEAD = "id,account,product,at,units,revision,withdrawn\n"
JULY = (
    HEAD
    + "r-1,a-1,storage,2026-07-10 12:00:00,15,0,false\nr-2,a-2,compute,2026-07-11 12:00:00,3,0,false\nr-3,a-2,compute,2026-07-12 12:00:00,4,0,false\n"
)
LATE = (
    HEAD
    + "r-9,a-1,storage,2026-07-20 12:00:00,1,0,false\nr-2,a-1,compute,2026-07-11 12:00:00,5,1,false\nr-3,a-2,compute,2026-07-12 12:00:00,4,1,true\n"
)
AUGUST = HEAD + "r-20,a-1,storage,2026-08-10 12:00:00,10,0,false\n"
LATER = HEAD + "r-30,a-1,storage,2026-07-21 12:00:00,4,0,false\nr-40,a-1,storage,2026-09-10 12:00:00,1,0,false\n"
CORRECTED = HEAD + "r-40,a-1,storage,2026-09-10 12:00:00,3,1,false\n"
USAGE_COLUMNS = {
    "record_id": "id", "account_id": "account", "product_id": "product", "usage_start": "at", "quantity": "units",
    "revision": "revision", "withdrawn": "withdrawn",
}  # fmt: skip
SHOWN = ("adjusts_period", "account_id", "product_id", "quantity", "usage_rows", "amount")


@pytest.fixture(scope="module")
def july(spark, shared_home):
    """July is billed and invoiced."""
    conf = tenant_conf(ALPHA, usage_columns=USAGE_COLUMNS)
    conf["feeds"]["prices"]["columns"] |= {"model": "model", "parameters": "parameters"}
    conf_file(shared_home, f"tenants/{ALPHA}.yaml", conf)
    for feed, content in {"accounts": ACCOUNTS, "prices": PRICES, "usage": JULY}.items():
        dropped(shared_home, ALPHA, feed, f"{feed}.csv", content)
    goes_through("2026-07", "ingestion", "billing_aggregation", "invoice_generation")
    return shared_home


@pytest.fixture(scope="module")
def august(july):
    """August has usage of its own, and July has changed."""
    dropped(july, ALPHA, "usage", "late.csv", LATE)
    dropped(july, ALPHA, "usage", "august.csv", AUGUST)
    return goes_through("2026-08", "ingestion", "billing_aggregation", "invoice_generation")


@pytest.fixture(scope="module")
def waiting(spark, july, august):
    """July changes once more, when policy no longer looks back that far; what its record is told."""
    dropped(july, ALPHA, "usage", "later.csv", LATER)
    policy = yaml.safe_load((ROOT / "conf/billing_aggregation.yaml").read_text())
    short = conf_file(july, "billing_aggregation.yaml", policy | {"adjustments": policy["adjustments"] | {"months": 1}})
    goes_through("2026-09", "ingestion", "billing_aggregation")
    told = collected(published(spark, "billing.late_usage", "2026-09"), "record_id", "outcome")
    billed = collected(published(spark, "billing.adjustments", "2026-09"))
    short.unlink()
    return told, billed, july


@pytest.fixture(scope="module")
def september(waiting):
    """Policy looks back far enough again, and September itself is corrected before it is closed."""
    dropped(waiting[2], ALPHA, "usage", "corrected.csv", CORRECTED)
    return goes_through("2026-09", "ingestion", "billing_aggregation")


def test_the_open_month_bills_what_is_rated_again_less_what_was_billed(spark, august):
    found = collected(
        published(spark, "billing.adjustments", "2026-08").selectExpr("string(adjusts_period) AS adjusts_period", *SHOWN[1:])
    )
    assert found == [
        ("2026-07-01", "a-1", "compute", "5", 1, "10"),  # corrected to be this account's
        ("2026-07-01", "a-1", "storage", "1", 1, "-70"),
        ("2026-07-01", "a-2", "compute", "-7", -2, "-14"),
    ]


def test_what_was_invoiced_stays_as_it_was(spark, august):
    charged = published(spark, "billing.charges", "2026-07")
    assert collected(charged, "account_id", "amount") == [("a-1", "150"), ("a-2", "14")]


def test_documents_name_the_month_that_a_line_belongs_to(spark, august):
    lines = published(spark, "invoicing.invoice_lines", "2026-08").selectExpr(
        "string(service_period) AS month", "product_id", "line_amount"
    )
    assert collected(lines) == [
        ("2026-07-01", "compute", "-14"),
        ("2026-07-01", "compute", "10"),
        ("2026-07-01", "storage", "-70"),
        ("2026-08-01", "storage", "100"),
    ]
    documents = published(spark, "invoicing.invoices", "2026-08")
    assert collected(documents, "account_id", "document_type", "net_amount") == [
        ("a-1", "invoice", "40"),
        ("a-2", "credit_note", "-14"),
    ]


def test_every_late_record_says_what_became_of_it(spark, august):
    told = published(spark, "billing.late_usage", "2026-08")
    assert collected(told, "record_id", "revision", "outcome") == [
        ("r-2", 1, "adjusted"),
        ("r-3", 1, "adjusted"),
        ("r-9", 0, "adjusted"),
    ]
    with Books() as books:
        books.open("billing.waiting", "billing.late_usage")
        assert books.rows(WAITING) == []


def test_an_auditor_walks_from_the_document_to_the_late_records(spark, august):
    (number,) = (
        row["invoice_number"]
        for row in published(spark, "invoicing.invoices", "2026-08").where("account_id = 'a-1'").collect()
    )
    chain = trace.invoice(number)
    assert chain.problems == ()
    told = {(line["charge"]["adjusts"], tuple(row["record_id"] for row in line["charge"]["usage"])) for line in chain.lines}
    assert told == {(None, ("r-20",)), ("2026-07", ("r-9",)), ("2026-07", ("r-2",))}
    assert "late.csv" in {file["file_name"] for file in chain.files}


def test_the_identities_hold(august):
    broken = [found for found in identities.verify(tenant=ALPHA) if not found.holds]
    assert broken == []


def test_a_second_run_changes_nothing(august):
    before = len(all_publications())
    assert {outcome.status for outcome in goes_through("2026-08", "billing_aggregation", "invoice_generation")} == {
        "unchanged"
    }
    assert len(all_publications()) == before


def test_what_lies_further_back_than_policy_looks_waits_and_says_so(waiting):
    told, billed, _ = waiting
    assert told == [("r-30", "waits: its month lies further back than policy looks (adjustments.months: 1)")]
    assert billed == []


def test_an_adjustment_of_an_adjustment_ends_at_the_charge_of_all_facts(spark, september):
    every = published(spark, "billing.adjustments").where("product_id = 'storage'")
    assert collected(every.selectExpr("string(period) AS month", "quantity", "amount")) == [
        ("2026-08-01", "1", "-70"), ("2026-09-01", "4", "20"),
    ]  # fmt: skip
    assert collected(published(spark, "billing.charges", "2026-09"), "quantity", "amount") == [
        ("3", "30")
    ]  # its own, as corrected
    assert collected(published(spark, "billing.late_usage", "2026-09"), "record_id") == [("r-30",)]


def test_a_month_is_the_same_from_its_rollup_and_from_its_records(spark, september):
    shown = ("charge_id", "account_id", "quantity", "amount", "usage_rows", "prices_in_force")
    before = collected(published(spark, "billing.charges", "2026-09"), *shown)
    again = run_stage(asked("billing_aggregation", ALPHA, key="all records", period="2026-09", **{"from": "raw"}))
    assert again.status == "done"
    assert collected(published(spark, "billing.charges", "2026-09"), *shown) == before

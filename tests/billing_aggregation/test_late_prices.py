"""Prices are corrected, added and withdrawn after a month was invoiced; the open month bills the difference, and says so before.

The tests of this module are one story and run in the order they stand in; each says one thing about it.
"""

from __future__ import annotations

import pytest
import yaml
from pyspark.sql import functions as F

from jobs.runtime import delta_log, identities, trace
from jobs.runtime.books import Books
from jobs.runtime.config import ROOT
from jobs.runtime.errors import GateFailed
from jobs.runtime.ops import all_publications
from jobs.runtime.status import LATE_PRICES, tell
from jobs.runtime.tables import catalog
from jobs.runtime.verbs import dry_run
from tests.builders import ALPHA, BETA, asked, collected, conf_file, dropped, goes_through, published, tenant_conf

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow

ACCOUNTS = "account,name,country,currency\na-1,Ada Somebody,GB,GBP\na-2,Bob Somebody,GB,GBP\na-3,Cyd Somebody,US,USD\n"
HEAD = "price,product,model,currency,since,until,account,revision,withdrawn,parameters\n"


def price(name, product, parameters, since="2026-01-01", until="", account="", revision="", withdrawn="", currency="GBP"):
    """A row of a price file; `parameters` is a price per unit, or all of them."""
    told = parameters if parameters.startswith("{") else f'{{"unit_price": "{parameters}"}}'
    model = "volume" if "tiers" in told else "per_unit"
    quoted = told.replace('"', '""')
    return f'{name},{product},{model},{currency},{since},{until},{account},{revision},{withdrawn},"{quoted}"\n'


def volume(first):
    return f'{{"tiers": [{{"up_to": "15", "unit": "{first}"}}, {{"up_to": null, "unit": "5"}}]}}'


PRICES = HEAD + "".join(
    [price("p-1", "storage", volume(10)), price("p-2", "compute", "2"), price("p-3", "network", "4"), price("p-4", "idle", "1"),
     price("p-5", "compute", "9", currency="USD")]
)  # fmt: skip
JULY = (
    "id,account,product,at,units\n"
    "r-1,a-1,storage,2026-07-10 12:00:00,15\nr-2,a-2,compute,2026-07-11 12:00:00,7\nr-3,a-2,network,2026-07-12 12:00:00,5\n"
    "r-4,a-3,compute,2026-07-12 12:00:00,1\n"
)
AUGUST = "id,account,product,at,units\nr-20,a-1,storage,2026-08-10 12:00:00,10\n"
SEPTEMBER = "id,account,product,at,units\nr-30,a-1,storage,2026-09-10 12:00:00,1\n"
FIRST = HEAD + "".join(
    [
        price("p-1", "storage", volume(9), revision="1"),
        price("p-2", "compute", "3", revision="1"),
        price("p-9", "network", "1", since="2026-07-12", account="a-2"),  # new, of a-2 alone
        price("p-4", "idle", "7", revision="1"),  # nobody uses it
        price(
            "p-5", "compute", "9", until="2027-01-01", currency="USD", revision="1"
        ),  # the same, as far as July is concerned
    ]
)
SECOND = HEAD + "".join(
    [
        price("p-2", "compute", "2", revision="2"),  # back again
        price("p-9", "network", "1", since="2026-07-12", account="a-2", revision="1", withdrawn="true"),
        price("p-1", "storage", volume(9), revision="2", until="2026-12-01"),
    ]
)
GONE = HEAD + price("p-3", "network", "4", revision="1", withdrawn="true")
SHOWN = ("account_id", "product_id", "price_id", "quantity", "usage_rows", "amount")


def versions():
    """The newest version of every table."""
    tables = {name: delta_log.open_table(name) for name in catalog()}
    return {name: table.version() for name, table in tables.items() if table is not None}


def policy(home, **more):
    told = yaml.safe_load((ROOT / "conf/billing_aggregation.yaml").read_text())
    return conf_file(home, "billing_aggregation.yaml", told | {"adjustments": told["adjustments"] | more})


@pytest.fixture(scope="module")
def july(spark, shared_home):
    """July of two tenants that look alike is billed and invoiced."""
    for tenant in (ALPHA, BETA):
        conf = tenant_conf(tenant, prefix=tenant[0].upper())
        conf["feeds"]["prices"]["columns"] |= {
            "model": "model", "parameters": "parameters", "valid_to": "until", "account_id": "account", "revision": "revision",
            "withdrawn": "withdrawn",
        }  # fmt: skip
        conf_file(shared_home, f"tenants/{tenant}.yaml", conf)
        for feed, content in {"accounts": ACCOUNTS, "prices": PRICES, "usage": JULY}.items():
            dropped(shared_home, tenant, feed, f"{feed}.csv", content)
    goes_through("2026-07", "ingestion", "billing_aggregation", "invoice_generation", tenants=(ALPHA, BETA))
    return shared_home


@pytest.fixture(scope="module")
def landed(july):
    """August has usage of its own, and prices of one tenant have changed since January."""
    dropped(july, ALPHA, "prices", "corrected.csv", FIRST)
    for tenant in (ALPHA, BETA):
        dropped(july, tenant, "usage", "august.csv", AUGUST)
    goes_through("2026-08", "ingestion", tenants=(ALPHA, BETA))
    return july


@pytest.fixture(scope="module")
def announced(landed):
    """What a dry run says of August, with the tables before and after it."""
    before, staged = versions(), sorted((landed / "warehouse" / "_staged").iterdir())
    said = dry_run(asked("billing_aggregation", ALPHA, BETA, period="2026-08"))
    left = [place for place in sorted((landed / "warehouse" / "_staged").iterdir()) if place not in staged]
    return said, before, versions(), [file for place in left for file in place.rglob("*.parquet")]


@pytest.fixture(scope="module")
def august(landed, announced):
    """August is billed and invoiced."""
    return goes_through("2026-08", "billing_aggregation", "invoice_generation", tenants=(ALPHA, BETA))


@pytest.fixture(scope="module")
def waiting(spark, landed, august):
    """Prices change once more, by more than policy lets a run bill; what is told of that."""
    dropped(landed, ALPHA, "prices", "again.csv", SECOND)
    dropped(landed, ALPHA, "usage", "september.csv", SEPTEMBER)
    narrow = policy(landed, largest={"GBP": "4.99"})
    goes_through("2026-09", "ingestion", "billing_aggregation")
    late = published(spark, "billing.late_prices", "2026-09").withColumn("month", F.date_format("adjusts_period", "yyyy-MM"))
    told = collected(late, "month", "price_id", "revision", "account_id", "outcome")
    billed, status = collected(published(spark, "billing.adjustments", "2026-09")), tell()
    narrow.unlink()
    return told, billed, status


@pytest.fixture(scope="module")
def september(waiting):
    """Policy lets a run bill that much again."""
    return goes_through("2026-09", "billing_aggregation", "invoice_generation")


def test_a_dry_run_announces_what_would_be_billed(announced):
    said = announced[0]
    assert f"billing_aggregation/{BETA}/2026-08" in said and f"{BETA} 2026-07" not in said
    assert f"{ALPHA} 2026-07, invoiced, would be adjusted in 2026-08:" in said
    assert "price p-1 of storage: revision 1, corrected.csv row 1" in said
    assert "price p-5" not in said  # what it says of July is what it said before
    assert "in all -23.00 GBP" in said
    assert "for example a-2, network: 20.00 GBP was billed, 5.00 GBP is what it costs: -15.00 GBP" in said or (
        "for example a-1, storage: 150.00 GBP was billed, 135.00 GBP is what it costs: -15.00 GBP" in said
    )
    assert said.endswith(
        "Nothing was written. To bill it: countinghouse run billing_aggregation --period 2026-08; if it is not meant, "
        "land what is right with a higher revision before."
    )


def test_a_dry_run_changes_no_table_and_leaves_nothing_behind(announced):
    _, before, after, left = announced
    assert after == before and left == []


def test_the_open_month_bills_the_price_that_holds_now_less_what_was_billed(spark, august):
    found = published(spark, "billing.adjustments", "2026-08").selectExpr("string(adjusts_period) AS adjusts_period", *SHOWN)
    assert collected(found) == [
        ("2026-07-01", "a-1", "storage", "p-1", "0", 0, "-15"),
        ("2026-07-01", "a-2", "compute", "p-2", "0", 0, "7"),
        ("2026-07-01", "a-2", "network", "p-3", "-5", -1, "-20"),
        ("2026-07-01", "a-2", "network", "p-9", "5", 1, "5"),
    ]


def test_a_month_is_charged_by_the_corrected_price_from_then_on(spark, august):
    assert collected(published(spark, "billing.charges", "2026-08"), "account_id", "amount") == [("a-1", "90")]
    assert collected(published(spark, "billing.charges", "2026-08", BETA), "account_id", "amount") == [("a-1", "100")]


def test_every_changed_price_says_what_became_of_it(spark, august):
    told = published(spark, "billing.late_prices", "2026-08")
    assert collected(told, "price_id", "revision", "account_id", "outcome") == [
        ("p-1", 1, "a-1", "adjusted"), ("p-2", 1, "a-2", "adjusted"), ("p-9", 0, "a-2", "adjusted"),
    ]  # fmt: skip
    with Books() as books:
        books.open("billing.late_prices")
        assert books.rows(LATE_PRICES) == []


def test_another_tenant_is_not_touched(spark, august):
    for name in ("billing.adjustments", "billing.late_prices", "billing.late_usage"):
        assert collected(published(spark, name, tenant=BETA)) == []


def test_a_second_run_changes_nothing(august):
    before = len(all_publications())
    again = goes_through("2026-08", "billing_aggregation", "invoice_generation", tenants=(ALPHA, BETA))
    assert {outcome.status for outcome in again} == {"unchanged"}
    assert len(all_publications()) == before


def test_an_auditor_walks_from_the_document_to_the_price_and_its_file(spark, august):
    (number,) = (
        row["invoice_number"]
        for row in published(spark, "invoicing.invoices", "2026-08").where("account_id = 'a-1'").collect()
    )
    chain = trace.invoice(number)
    assert chain.problems == ()
    told = {
        line["charge"]["adjusts"]: [(one["price_id"], one["revision"], one["file_name"]) for one in line["charge"]["price"]]
        for line in chain.lines
    }
    assert told == {None: [("p-1", 1, "corrected.csv")], "2026-07": [("p-1", 1, "corrected.csv")]}
    assert "corrected.csv" in {file["file_name"] for file in chain.files}


def test_the_identities_hold(august):
    assert [found for found in identities.verify(tenant=ALPHA) if not found.holds] == []


def test_what_moves_more_than_policy_allows_waits_in_a_list(waiting):
    told, billed, status = waiting
    why = "waits: adjustments of 32.00 GBP are more than policy lets a run bill by itself"
    assert told == [
        ("2026-07", "p-1", 2, "a-1", "changes nothing"), ("2026-07", "p-2", 2, "a-2", why), ("2026-07", "p-9", 1, "a-2", why),
        ("2026-08", "p-9", 1, "a-2", "changes nothing"),  # a-2 used nothing in August
    ]  # fmt: skip
    assert billed == []
    assert "alpha: price p-2 has changed for 2026-07, which is invoiced; 1 accounts, e.g. a-2: " + why in status


def test_what_goes_back_ends_at_what_was_charged_first(spark, september):
    every = published(spark, "billing.adjustments").where("account_id = 'a-2'")
    totals = every.groupBy("product_id", "price_id").agg({"amount": "sum", "quantity": "sum"})
    assert {tuple(row)[1:] for row in collected(totals)} == {("p-2", "0", "0"), ("p-3", "0", "0"), ("p-9", "0", "0")}
    with Books() as books:
        books.open("billing.late_prices")
        assert books.rows(LATE_PRICES) == []


def test_a_price_that_ends_later_bills_nothing(spark, september):
    assert collected(published(spark, "billing.adjustments", "2026-09").where("account_id = 'a-1'")) == []


def test_a_price_withdrawn_with_nothing_in_its_place_is_held_by_the_gate(landed, september):
    dropped(landed, ALPHA, "prices", "gone.csv", GONE)
    dropped(landed, ALPHA, "usage", "october.csv", AUGUST.replace("r-20", "r-40").replace("2026-08", "2026-10"))
    goes_through("2026-10", "ingestion")
    assert "1 lines would have no price in force, e.g. product network: the gate would hold the tenant" in dry_run(
        asked("billing_aggregation", ALPHA, period="2026-10")
    )
    with pytest.raises(GateFailed, match="every charge has a price in force"):
        goes_through("2026-10", "billing_aggregation")

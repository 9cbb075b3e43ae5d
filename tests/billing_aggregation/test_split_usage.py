"""Usage that lasts past midnight or a month end, and an account that is billed in another time zone, from the file to the charge.

The tests of this module are one story and run in the order they stand in; each says one thing about it.
"""

from __future__ import annotations

import pytest

from jobs.runtime import identities, trace
from jobs.runtime.verbs import run_stage
from tests.builders import ALPHA, asked, collected, conf_file, dropped, goes_through, published, tenant_conf

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow

ACCOUNTS = "account,name,country,currency,zone\na-1,Ada Somebody,GB,GBP,\nt-1,Taro Somebody,GB,GBP,Asia/Tokyo\n"
PRICES = "price,product,unit_price,currency,since,until\np-1,vm,1,GBP,2026-01-01,2026-07-15\np-2,vm,3,GBP,2026-07-15,\n"
HEAD = "id,account,product,at,until,units,revision,withdrawn\n"
JULY = (
    HEAD
    + "price-day,a-1,vm,2026-07-14 23:00:00,2026-07-15 03:00:00,4,0,false\n"  # an hour at 1, three at 3
    + "month-end,a-1,vm,2026-07-31 22:00:00,2026-08-01 02:00:00,8,0,false\n"
    + "instant,a-1,vm,2026-07-31 23:30:00,,1,0,false\n"
    + "tokyo,t-1,vm,2026-07-31 14:00:00,2026-07-31 18:00:00,8,0,false\n"  # by the clocks of London; midnight in Tokyo is 16:00
    + "tokyo-price,t-1,vm,2026-07-14 15:00:00,2026-07-14 17:00:00,2,0,false\n"
)
AGAIN = (
    HEAD
    + "month-end,a-1,vm,2026-07-31 22:00:00,2026-08-01 02:00:00,8,0,false\n"  # a duplicate
    + "instant,a-1,vm,2026-07-31 23:30:00,2026-08-01 00:30:00,1,1,false\n"  # would be in a month where it was not
    + "tokyo,t-1,vm,2026-07-31 14:00:00,2026-07-31 18:00:00,4,1,false\n"  # corrected in both its months
)
USAGE_COLUMNS = {
    "record_id": "id", "account_id": "account", "product_id": "product", "usage_start": "at", "usage_end": "until",
    "quantity": "units", "revision": "revision", "withdrawn": "withdrawn",
}  # fmt: skip
SHOWN = ("account_id", "price_id", "quantity", "usage_rows", "amount")


@pytest.fixture(scope="module")
def billed(shared_home):
    """July and August are billed from one file."""
    conf = tenant_conf(ALPHA, usage_columns=USAGE_COLUMNS)
    conf["feeds"]["accounts"]["columns"]["timezone"] = "zone"
    conf["feeds"]["prices"]["columns"]["valid_to"] = "until"
    conf_file(shared_home, f"tenants/{ALPHA}.yaml", conf)
    for feed, content in {"accounts": ACCOUNTS, "prices": PRICES, "usage": JULY}.items():
        dropped(shared_home, ALPHA, feed, f"{feed}.csv", content)
    goes_through("2026-07", "ingestion", "billing_aggregation")
    goes_through("2026-08", "billing_aggregation")
    return shared_home


@pytest.fixture(scope="module")
def again(billed):
    """The file comes again, with corrections; then July is invoiced."""
    dropped(billed, ALPHA, "usage", "again.csv", AGAIN)
    goes_through("2026-07", "ingestion", "billing_aggregation", "invoice_generation")
    goes_through("2026-08", "billing_aggregation")
    return billed


def test_each_month_and_each_price_bills_its_share(spark, billed):
    assert collected(published(spark, "billing.charges", "2026-07"), *SHOWN) == [
        ("a-1", "p-1", "1", 1, "1"),
        ("a-1", "p-2", "8", 3, "24"),  # 3 of the price day, 4 of the month end, the instant
        ("t-1", "p-1", "1", 1, "1"),  # 15 July begins in Tokyo at 16:00 of London's 14th
        ("t-1", "p-2", "5", 2, "15"),
    ]
    assert collected(published(spark, "billing.charges", "2026-08"), *SHOWN) == [
        ("a-1", "p-2", "4", 1, "12"),
        ("t-1", "p-2", "4", 1, "12"),
    ]


def test_the_files_account_counts_records_not_parts(spark, billed):
    told = published(spark, "raw.landed_files").where("feed = 'usage'")
    assert collected(told, "rows_read", "rows_accepted") == [(5, 5)]
    parts = published(spark, "raw.usage").where("record_id = 'month-end'")
    assert collected(
        parts.selectExpr("string(period)", "quantity", "part_of.part", "part_of.parts", "part_of.quantity")
    ) == [
        ("2026-07-01", "4", 1, 2, "8"),
        ("2026-08-01", "4", 2, 2, "8"),
    ]


def test_a_record_sent_again_is_a_duplicate_and_one_that_moves_is_quarantined(spark, again):
    told = published(spark, "raw.landed_files").where("file_name = 'again.csv'")
    assert collected(told, "rows_read", "rows_accepted", "rows_duplicate", "rows_quarantined") == [(3, 1, 1, 1)]
    reason = "usage_start: begins or ends in another month than the record it corrects; withdraw that one by its own times and send a new one"
    assert collected(published(spark, "raw.quarantine"), "reasons") == [([reason],)]


def test_a_correction_holds_in_all_months_of_its_record(spark, again):
    for month in ("2026-07", "2026-08"):
        told = published(spark, "billing.charges", month).where("account_id = 't-1' AND price_id = 'p-2'")
        expected = ("3", "9") if month == "2026-07" else ("2", "6")
        assert collected(told, "quantity", "amount") == [expected]


def test_an_auditor_walks_from_the_document_to_the_parts(spark, again):
    (number,) = (
        row["invoice_number"]
        for row in published(spark, "invoicing.invoices", "2026-07").where("account_id = 't-1'").collect()
    )
    chain = trace.invoice(number)
    assert chain.problems == ()
    found = {(row["record_id"], str(row["quantity"].normalize())) for line in chain.lines for row in line["charge"]["usage"]}
    assert found == {("tokyo", "2"), ("tokyo-price", "1")}


def test_the_identities_hold(again):
    assert [found for found in identities.verify(tenant=ALPHA) if not found.holds] == []


def test_a_month_is_the_same_from_its_records(spark, again):
    before = collected(published(spark, "billing.charges", "2026-08"), *SHOWN)
    assert (
        run_stage(asked("billing_aggregation", ALPHA, key="records", period="2026-08", **{"from": "raw"})).status == "done"
    )
    assert collected(published(spark, "billing.charges", "2026-08"), *SHOWN) == before

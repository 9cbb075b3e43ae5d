"""Two months of a tenant whose invoices are corrected: landed, issued in the next month, posted to what the original has open.

The tests of this module are one story and run in the order they stand in; each says one thing about it.
"""

from __future__ import annotations

import pytest

from jobs.runtime import identities
from tests.builders import ALPHA, collected, conf_file, dropped, goes_through, published, tenant_conf

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow

MONTH = ("ingestion", "billing_aggregation", "invoice_generation", "ledger_posting")
ACCOUNTS = "account,name,country,currency\n" + "".join(f"a-{n},Somebody,GB,GBP\n" for n in range(1, 5))
PRICES = "price,product,currency,since,unit_price\np-1,storage,GBP,2026-01-01,1\n"
HEAD = "id,account,product,at,units\n"
JULY = HEAD + "".join(f"r-{n},a-{n},storage,2026-07-10 12:00:00,{n}00\n" for n in range(1, 5))
AUGUST = HEAD + "r-9,a-1,storage,2026-08-10 12:00:00,50\n"


@pytest.fixture(scope="module")
def numbers(spark, shared_home):
    """July is invoiced and posted; the number of each customer's invoice."""
    columns = {"record_id": "id", "account_id": "account", "product_id": "product", "usage_start": "at", "quantity": "units"}
    conf = tenant_conf(ALPHA, usage_columns=columns)
    names = ("correction_id", "invoice_number", "action", "requested_on", "amount", "share", "reason")
    conf["feeds"]["invoice_corrections"] = {"columns": {name: name for name in names}}
    conf_file(shared_home, f"tenants/{ALPHA}.yaml", conf)
    for feed, content in {"accounts": ACCOUNTS, "prices": PRICES, "usage": JULY}.items():
        dropped(shared_home, ALPHA, feed, f"{feed}.csv", content)
    goes_through("2026-07", *MONTH)
    return {row["account_id"]: row["invoice_number"] for row in published(spark, "invoicing.invoices", "2026-07").collect()}


@pytest.fixture(scope="module")
def corrected(spark, shared_home, numbers):
    """August with what was asked for in it."""
    asked = (
        "correction_id,invoice_number,action,requested_on,amount,share,reason\n"
        f"k-1,{numbers['a-1']},cancel,2026-08-05,,,never ordered\n"
        f"k-2,{numbers['a-2']},credit,2026-08-05,,0.25,a week without service\n"
        f"k-3,{numbers['a-3']},write_off,2026-08-05,,,insolvent\n"
        f"k-4,{numbers['a-4']},credit,2026-08-05,1000,,too much\n"
        "k-5,,cancel,2026-08-05,,,nameless\nk-6,A-1,shrink,2026-08-05,,,unknown\n"
    )
    dropped(shared_home, ALPHA, "usage", "august.csv", AUGUST)
    dropped(shared_home, ALPHA, "invoice_corrections", "corrections.csv", asked)
    goes_through("2026-08", *MONTH)
    return published(spark, "invoicing.invoices", "2026-08")


def test_credit_notes_name_their_invoices_and_have_numbers_of_their_own(spark, corrected):
    july = published(spark, "invoicing.invoices", "2026-07").selectExpr(
        "invoice_id AS original_invoice_id", "account_id AS of"
    )
    notes = corrected.where("document_type = 'credit_note'").join(july, "original_invoice_id", "left")
    assert collected(notes, "of", "gross_amount", "correction_reason") == [
        ("a-1", "-120", "never ordered"), ("a-2", "-60", "a week without service"),
    ]  # fmt: skip
    assert sorted(row["invoice_number"] for row in notes.collect()) == ["ACN-2026-0000001", "ACN-2026-0000002"]


def test_what_was_refused_says_why(spark, corrected):
    assert collected(published(spark, "invoicing.corrections", "2026-08"), "correction_id", "status", "reason_code") == [
        ("k-1", "done", None), ("k-2", "done", None), ("k-3", "done", None), ("k-4", "refused", "more than is left of it"),
    ]  # fmt: skip
    reasons = {
        tuple(row["reasons"]) for row in published(spark, "raw.quarantine").where("feed = 'invoice_corrections'").collect()
    }
    assert reasons == {("invoice_number: missing",), ("action: not one of cancel, credit, debit, rebill, write_off",)}


def test_what_the_originals_have_open_is_less_and_what_is_given_up_is_gone(spark, corrected):
    items = published(spark, "ledger.open_items", "2026-08").where("open_amount <> 0")
    assert collected(items, "party_id", "open_amount") == [("a-1", "60"), ("a-2", "180"), ("a-4", "480")]
    lost = published(spark, "ledger.journal_lines", "2026-08").where("ledger_account = 'bad_debt_expense'")
    assert collected(lost, "debit") == [("360",)]


def test_the_books_hold_and_nothing_is_done_twice(corrected):
    assert [finding for finding in identities.verify() if finding.broken] == []
    assert [outcome.status for outcome in goes_through("2026-08", *MONTH)] == ["unchanged"] * 4

"""Prepaid money in the books: from unapplied cash to the invoice that took it, and back when that is taken back."""

from __future__ import annotations

import pytest

from jobs.ingestion.tables import RECEIVABLES
from jobs.invoice_generation.tables import PREPAYMENTS
from jobs.ledger_posting import events, transforms
from jobs.ledger_posting.settings import settings as settings_in_force
from jobs.ledger_posting.tables import OPEN_ITEMS
from jobs.payable_validation.tables import DECISIONS
from tests.builders import ALPHA, JULY, collected, frame, invoices, issued

RECEIVABLE, UNAPPLIED = "accounts_receivable", "unapplied_cash"


def took(amount="5", **more):
    """A row of invoicing.prepayments: invoice i-1 took five pounds."""
    return {
        "tenant_id": ALPHA, "period": "2026-07-01", "prepayment_id": "p-1", "invoice_id": "i-1", "transaction_id": "t-1", "bank_account": "B",
        "legal_entity_id": "alpha-uk", "account_id": "a-1", "currency": "GBP", "amount": amount, "booking_date": "2026-07-10",
        "applied_on": "2026-08-01", "moved_by_id": "i-1",
    } | more  # fmt: skip


BACK = took("-5", prepayment_id="p-2", moved_by_id="n-1", gives_back_id="p-1")
NOTE = issued("-12", "-10", "-2", invoice_id="n-1", document_type="credit_note", original_invoice_id="i-1")


@pytest.fixture(scope="module")
def happened(spark):
    """An invoice over 12 that took 5; its cancellation; and money that was taken for an invoice whose issue was cut short."""
    rows = frame(spark, PREPAYMENTS.schema, [took(), BACK, took(prepayment_id="p-3", invoice_id="i-9", moved_by_id="i-9")])
    return events.of_prepayments(rows, invoices(spark, issued(), NOTE), JULY)


def test_what_an_issued_document_moves_is_an_event(happened):
    assert collected(happened, "event", "source_id", "document_id", "gross") == [
        ("prepayment_applied", "p-1", "i-1", "5"), ("prepayment_given_back", "p-2", "i-1", "-5"),
    ]  # fmt: skip
    assert {str(row["posting_date"]) for row in happened.collect()} == {"2026-08-01"}


def test_it_goes_from_unapplied_cash_to_the_receivable_and_back(spark, happened):
    journal = transforms.journal_lines(happened, transforms.rules(spark, settings_in_force()))
    assert collected(journal, "source_id", "ledger_account", "debit", "credit", "party_id", "document_id") == [
        ("p-1", RECEIVABLE, "0", "5", "a-1", "i-1"), ("p-1", UNAPPLIED, "5", "0", "a-1", "i-1"),
        ("p-2", RECEIVABLE, "5", "0", "a-1", "i-1"), ("p-2", UNAPPLIED, "0", "5", "a-1", "i-1"),
    ]  # fmt: skip
    account = ("event", "happened_count", "posted_count", "happened_gross", "posted_gross")
    assert collected(transforms.events_account(happened, journal), *account) == [
        ("prepayment_applied", 1, 1, "5", "5"), ("prepayment_given_back", 1, 1, "5", "5"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("documents", "money", "open_amount"),
    [
        pytest.param([issued()], [took()], "7", id="what_is_left_to_pay"),
        pytest.param([issued()], [took("12")], "0", id="nothing_left_to_pay"),
        pytest.param([issued(), NOTE], [took(), BACK], "0", id="cancelled"),
    ],
)
def test_the_item_is_open_with_what_is_left_to_pay(spark, documents, money, open_amount):
    rows, rules = invoices(spark, *documents), transforms.rules(spark, settings_in_force())
    every = events.of_invoices(rows, JULY).unionByName(
        events.of_prepayments(frame(spark, PREPAYMENTS.schema, money), rows, JULY)
    )
    told = events.documents(rows, frame(spark, RECEIVABLES.schema, []), frame(spark, DECISIONS.schema, []))
    items = transforms.open_items(frame(spark, OPEN_ITEMS.schema, []), transforms.journal_lines(every, rules), told, JULY)
    assert collected(items, "document_id", "open_amount") == [("i-1", open_amount)]
    for control, of_items in collected(
        transforms.sub_ledger(transforms.journal_lines(every, rules), items), "control", "items"
    ):
        assert control == of_items

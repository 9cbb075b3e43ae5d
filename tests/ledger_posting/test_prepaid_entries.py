"""Prepaid money in the books: from unapplied cash to the invoice that took it, and back when that is taken back."""

from __future__ import annotations

from datetime import date

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


def item(document="i-1", period="2026-06-01", **more):
    """A row of ledger.open_items: an invoice over 12 that was paid."""
    return {
        "tenant_id": ALPHA, "period": period, "ledger_account": RECEIVABLE, "legal_entity_id": "alpha-uk", "party_id": "a-1",
        "document_id": document, "document_number": f"N-{document}", "document_date": "2026-06-01", "due_date": "2026-06-30", "currency": "GBP",
        "original_amount": "12", "open_amount": "0",
    } | more  # fmt: skip


def test_a_document_that_was_paid_keeps_its_name_when_it_is_corrected(spark):
    """Its item was closed: nothing of it would be carried on, and the credit note alone has neither number nor due date."""
    before = frame(spark, OPEN_ITEMS.schema, [item(), item("i-2")])
    documents = invoices(spark, NOTE)
    journal = transforms.journal_lines(events.of_invoices(documents, JULY), transforms.rules(spark, settings_in_force()))
    told = events.documents(documents, frame(spark, RECEIVABLES.schema, []), frame(spark, DECISIONS.schema, []))
    items = transforms.open_items(before, journal, told, JULY)
    assert collected(items, "document_id", "document_number", "original_amount", "open_amount") == [
        ("i-1", "N-i-1", "0", "-12")
    ]


def test_what_was_closed_before_is_found_as_it_stood_last(spark):
    earlier = [
        item(period="2026-04-01", open_amount="5"), item(period="2026-05-01"), item("i-2", period="2026-04-01"), item("i-3"),
        item("i-4", period="2026-05-01", tenant_id="beta"), item(tenant_id="beta"),
    ]  # fmt: skip
    corrected = frame(spark, "tenant_id string, document_id string", [
        {"tenant_id": ALPHA, "document_id": document} for document in ("i-1", "i-1", "i-3", "i-9")
    ])  # fmt: skip
    found = transforms.closed_before(frame(spark, OPEN_ITEMS.schema, earlier), corrected)
    assert collected(found, "tenant_id", "document_id", "period", "open_amount") == [(ALPHA, "i-1", date(2026, 5, 1), "0")]

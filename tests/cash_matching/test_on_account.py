"""Which receipts are on account of a customer, and what of them and of documents is left when an invoice took some when it was issued."""

from __future__ import annotations

from datetime import date

import pytest

from jobs.cash_matching import transforms
from jobs.cash_matching.tables import APPLICATIONS, UNAPPLIED
from jobs.ingestion.tables import ACCOUNTS, BANK_TRANSACTIONS
from jobs.invoice_generation.tables import PREPAYMENTS
from jobs.ledger import receipts
from jobs.ledger_posting.tables import OPEN_ITEMS
from tests.builders import ALPHA, collected, customer, failures, frame, judged, table_of
from tests.cash_matching.test_matching import IBAN, decisions, owed, paid_before, received

DAY = date(2026, 7, 31)
PAYER = {"counterparty_iban": IBAN}
KNOWN = {"accounts": [customer(iban=IBAN)]}
CASES = {
    # case: (rows, whether the receipts that wait are on account)
    "no_reference": ({"received": [received(text=None, **PAYER)], "owed": [owed()]}, True),
    "names_nothing_that_is_open": ({"received": [received(text="deposit 20260101", **PAYER)], "owed": [owed()]}, True),
    "names_what_is_paid": ({"received": [received(**PAYER)], "owed": [owed()], "applied": [paid_before("100")]}, True),
    "in_another_currency_than_what_is_owed": ({"received": [received(text=None, currency="USD", **PAYER)], "owed": [owed()]}, True),
    "nobody_knows_the_payer": ({"received": [received(text=None)], "owed": [owed()]}, False),
    "two_customers_have_the_iban": (
        {"received": [received(text=None, **PAYER)], "accounts": [customer(iban=IBAN), customer("a-2", iban=IBAN)]}, False,
    ),
    "names_an_open_document": ({"received": [received("60", **PAYER)], "owed": [owed()]}, False),
    "of_an_unknown_payer_who_names_one": ({"received": [received("60")], "owed": [owed()]}, False),
    "names_one_of_another_currency": ({"received": [received(**PAYER)], "owed": [owed(currency="USD")]}, False),
    "names_two_by_one_number": ({"received": [received(**PAYER)], "owed": [owed(), owed(document_id="d-2")]}, False),
    "claims_what_another_claims": (
        {"received": [received(**PAYER), received(transaction_id="t-2", **PAYER)], "owed": [owed()]}, False,
    ),
    "came_back": ({"received": [received(text=None, bank_code="PMNT/RCDT/ESCT/RVSL", **PAYER)]}, False),
    "on_a_bank_account_of_nobody": ({"received": [received(text=None, bank_account="?", **PAYER)]}, False),
}  # fmt: skip


@pytest.fixture(scope="module")
def waiting(spark, keep):
    cases = {name: KNOWN | case for name, (case, _) in CASES.items()}
    return collected(transforms.unapplied(decisions(spark, keep, cases), DAY), "tenant_id", "on_account")


@pytest.mark.parametrize("case", CASES)
def test_a_receipt_is_on_account_of_a_customer_who_is_known_and_names_nothing_open(waiting, case):
    assert {row[1] for row in waiting if row[0] == case} == {CASES[case][1]}


def took(amount="40", **more):
    """A row of invoicing.prepayments: an invoice took money of t-1."""
    return {
        "tenant_id": ALPHA, "period": "2026-07-01", "prepayment_id": "p", "invoice_id": "d-INV-2026-0001", "transaction_id": "t-1",
        "bank_account": "OURS", "currency": "EUR", "amount": amount, "booking_date": "2026-07-10",
    } | more  # fmt: skip


BACK = took("-15", prepayment_id="b", gives_back_id="p")


def spent(spark, *taken, applied=()):
    of = [row | {"tenant_id": ALPHA} for row in applied]
    return receipts.spent(table_of(spark, APPLICATIONS, of), table_of(spark, PREPAYMENTS, taken))


def test_a_receipt_has_left_what_was_neither_applied_nor_taken(spark):
    owners = frame(spark, "tenant_id string, bank_account string, legal_entity_id string", [])
    sole = frame(spark, "tenant_id string, sole_entity_id string", [{"tenant_id": ALPHA, "sole_entity_id": "uk"}])
    lines = [received(transaction_id=f"t-{n}") | {"tenant_id": ALPHA} for n in (1, 2, 3)]
    gone = spent(spark, took(), BACK, took("100", transaction_id="t-2"), applied=[paid_before("30", transaction_id="t-1")])
    found = transforms.receipts(table_of(spark, BANK_TRANSACTIONS, lines), gone, owners, sole, DAY)
    assert collected(found, "transaction_id", "applied", "unapplied") == [("t-1", "55", "45"), ("t-3", "0", "100")]


def test_a_document_has_open_what_was_neither_applied_nor_taken(spark):
    """The snapshot knows what was taken, not what was applied to the rest: that is not open again."""
    items = table_of(spark, OPEN_ITEMS, [owed(open_amount="60") | {"tenant_id": ALPHA}])
    payers = table_of(spark, ACCOUNTS, []).select("tenant_id", "account_id", "payer_account_id")
    before, after = spent(spark, took()), spent(spark, took(), applied=[paid_before("60")])
    assert collected(transforms.open_documents(items, before, payers), "open_amount") == [("60",)]
    assert collected(transforms.open_documents(items, after, payers), "open_amount") == []


LEFT = {
    "period": "2026-07-31", "transaction_id": "t-1", "bank_account": "OURS", "currency": "EUR", "unapplied": "60", "booking_date": "2026-07-10",
}  # fmt: skip
CONSERVED = {
    # tenant: (taken, what is left, whether money is conserved)
    "taken_and_left": ([took()], [LEFT], True),
    "taken_given_back_and_left": ([took(), BACK], [LEFT | {"unapplied": "75"}], True),
    "taken_and_still_left": ([took()], [LEFT | {"unapplied": "100"}], False),
    "given_back_and_lost": ([took(), BACK], [LEFT], False),
}  # fmt: skip


def test_money_that_was_taken_is_accounted_for(spark, shared_home):
    def of(at):
        return [row | {"tenant_id": tenant} for tenant, case in CONSERVED.items() for row in case[at]]

    lines = [received() | {"tenant_id": tenant} for tenant in CONSERVED]
    gone = receipts.spent(table_of(spark, APPLICATIONS, []), table_of(spark, PREPAYMENTS, of(0)))
    found = transforms.conservation(table_of(spark, BANK_TRANSACTIONS, lines), gone, table_of(spark, UNAPPLIED, of(1)), DAY)
    failed = failures(judged("cash_matching", "conservation", found, list(CONSERVED)))
    assert set(failed) == {tenant for tenant, (_, _, holds) in CONSERVED.items() if not holds}

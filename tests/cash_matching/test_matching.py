"""Receipts and open documents, to applications and to reasons in words. Every case is a tenant of its own, all in one job."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from jobs.cash_matching import transforms
from jobs.cash_matching.settings import Settings
from jobs.cash_matching.settings import settings as settings_in_force
from jobs.cash_matching.tables import APPLICATIONS
from jobs.ingestion.tables import ACCOUNTS, BANK_TRANSACTIONS, RECEIVABLES
from jobs.ledger_posting.tables import OPEN_ITEMS
from tests.builders import Row, collected, customer, frame, table_of

DAY = date(2026, 7, 31)
IBAN = "DE89370400440532013000"


def received(amount: str = "100", text: str | None = "INV-2026-0001", **more: Any) -> Row:
    """A row of raw.bank_transactions: money that came in on 10 July."""
    row: Row = {
        "period": "2026-07-01", "transaction_id": "t-1", "bank_account": "OURS", "booking_date": "2026-07-10", "amount": amount,
        "currency": "EUR", "remittance_text": text, "landing_id": "l-1", "row_number": 1,
    }  # fmt: skip
    return row | more


def owed(number: str = "INV-2026-0001", amount: str = "100", **more: Any) -> Row:
    """A row of ledger.open_items: an invoice of customer a-1."""
    row: Row = {
        "period": "2026-07-01", "ledger_account": "accounts_receivable", "legal_entity_id": "uk", "party_id": "a-1",
        "document_id": f"d-{number}", "document_number": number, "document_date": "2026-06-01", "due_date": "2026-07-01",
        "currency": "EUR", "original_amount": amount, "open_amount": amount,
    }  # fmt: skip
    return row | more


def paid_before(amount: str, **more: Any) -> Row:
    """A row of cash.applications of an earlier day."""
    row: Row = {
        "period": "2026-07-05", "application_id": "earlier", "transaction_id": "t-0", "bank_account": "OURS", "legal_entity_id": "uk",
        "account_id": "a-1", "document_id": "d-INV-2026-0001", "currency": "EUR", "amount": amount, "booking_date": "2026-07-05",
    }  # fmt: skip
    return row | more


def decisions(
    spark: SparkSession,
    keep: Callable[[DataFrame], DataFrame],
    cases: dict[str, dict[str, list[Row]]],
    policy: Settings | None = None,
) -> DataFrame:
    """What becomes of the receipts of every case; a case's rows are given to a tenant of its name."""
    policy = policy or settings_in_force()

    def of(kind: str) -> list[Row]:
        return [row | {"tenant_id": name} for name, case in cases.items() for row in case.get(kind, [])]

    owners = [(name, "OURS", "uk") for name in cases] + [(name, "THEIRS", "us") for name in cases]
    sole = frame(spark, "tenant_id string, sole_entity_id string", [])
    accounts = table_of(spark, ACCOUNTS, of("accounts"))
    applications = table_of(spark, APPLICATIONS, of("applied"))
    documents = transforms.open_documents(
        table_of(spark, OPEN_ITEMS, of("owed")), applications, accounts.select("tenant_id", "account_id", "payer_account_id")
    )
    keys = transforms.document_keys(documents, transforms.references(table_of(spark, RECEIVABLES, of("taken_over"))), policy)
    received = transforms.receipts(
        table_of(spark, BANK_TRANSACTIONS, of("received")),
        applications,
        spark.createDataFrame(owners, "tenant_id string, bank_account string, legal_entity_id string"),
        sole,
        DAY,
    )
    received = keep(received)
    found = keep(transforms.candidates(received, policy))
    named = transforms.named(found, keys, documents)
    return keep(transforms.decided(received, found, named, transforms.customers(accounts)))


TWO = [owed("INV-2026-0001", "60"), owed("INV-2026-0002", "40")]
NONE: list[tuple[str, str, str]] = []
APPLIED = {
    # case: (rows, (transaction, document, amount) of every application)
    "a_number_and_its_amount": ({"received": [received()], "owed": [owed()]}, [("t-1", "d-INV-2026-0001", "100")]),
    "case_and_punctuation_do_not_matter": (
        {"received": [received(text="re: inv/2026 0001, thanks")], "owed": [owed()]}, [("t-1", "d-INV-2026-0001", "100")],
    ),
    "in_the_structured_reference": (
        {"received": [received(text=None, reference="INV-2026-0001")], "owed": [owed()]}, [("t-1", "d-INV-2026-0001", "100")],
    ),
    "in_the_end_to_end_id": (
        {"received": [received(text=None, end_to_end_id="INV20260001")], "owed": [owed()]}, [("t-1", "d-INV-2026-0001", "100")],
    ),
    "several_documents_in_one_payment": (
        {"received": [received(text="INV-2026-0002 + INV-2026-0001")], "owed": TWO},
        [("t-1", "d-INV-2026-0001", "60"), ("t-1", "d-INV-2026-0002", "40")],
    ),
    "a_number_told_twice_counts_once": (
        {"received": [received(text="INV-2026-0001 (INV20260001)")], "owed": [owed()]}, [("t-1", "d-INV-2026-0001", "100")],
    ),
    "what_names_nothing_does_not_disturb": (
        {"received": [received(text="customer 4711000 INV-2026-0001 order 99881177")], "owed": [owed()]},
        [("t-1", "d-INV-2026-0001", "100")],
    ),
    "a_number_inside_a_longer_one_names_nothing": (
        {"received": [received()], "owed": [owed(), owed("2026-0001", "5")]}, [("t-1", "d-INV-2026-0001", "100")],
    ),
    "another_number_of_a_document_taken_over": (
        {"received": [received(text="0815-4711")], "owed": [owed()],
         "taken_over": [{"document_id": "d-INV-2026-0001", "references": '["x", "08154711"]'}]},
        [("t-1", "d-INV-2026-0001", "100")],
    ),
    "two_numbers_of_one_document": (
        {"received": [received(text="0815-4711 INV-2026-0001")], "owed": [owed()],
         "taken_over": [{"document_id": "d-INV-2026-0001", "references": "08154711 123456"}]},
        [("t-1", "d-INV-2026-0001", "100")],
    ),
    "what_is_left_of_a_document": (
        {"received": [received("30")], "owed": [owed()], "applied": [paid_before("70")]}, [("t-1", "d-INV-2026-0001", "30")],
    ),
    "a_payment_the_snapshot_knows_counts_once": (
        {"received": [received("30")], "owed": [owed(open_amount="30")], "applied": [paid_before("70")]},
        [("t-1", "d-INV-2026-0001", "30")],
    ),
    "what_is_left_of_a_receipt": (
        {"received": [received("100")], "owed": [owed("INV-2026-0001", "60")],
         "applied": [paid_before("40", transaction_id="t-1", document_id="d-x")]},
        [("t-1", "d-INV-2026-0001", "60")],
    ),
    "documents_of_several_customers_the_payer_pays_for": (
        {"received": [received(text="INV-2026-0001 INV-2026-0002", counterparty_iban="de89 3704 0044 0532 0130 00")],
         "owed": [TWO[0], TWO[1] | {"party_id": "a-2"}],
         "accounts": [customer("a-1", iban=IBAN), customer("a-2", payer_account_id="a-1")]},
        [("t-1", "d-INV-2026-0001", "60"), ("t-1", "d-INV-2026-0002", "40")],
    ),
    "somebody_else_pays_with_number_and_amount": (
        {"received": [received(counterparty_iban=IBAN)], "owed": [owed()], "accounts": [customer("a-9", iban=IBAN)]},
        [("t-1", "d-INV-2026-0001", "100")],
    ),
    "the_one_of_two_payments_that_pays_all": (
        {"received": [received(), received("50", transaction_id="t-2")], "owed": [owed()]}, [("t-1", "d-INV-2026-0001", "100")],
    ),
    "two_lines_of_one_name_on_two_accounts": (
        {"received": [received("60"), received("40", "INV-2026-0002", bank_account="THEIRS")],
         "owed": [TWO[0], TWO[1] | {"legal_entity_id": "us"}]},
        [("t-1", "d-INV-2026-0001", "60"), ("t-1", "d-INV-2026-0002", "40")],
    ),
}  # fmt: skip
WAITING = {
    # case: (rows, reason by transaction)
    "no_reference": ({"received": [received(text="thank you")], "owed": [owed()]}, "no reference, payer unknown"),
    "no_text": ({"received": [received(text=None)], "owed": [owed()]}, "no reference, payer unknown"),
    "a_number_too_short_to_be_one": (
        {"received": [received(text="no 12")], "owed": [owed("12")]}, "no reference, payer unknown",
    ),
    "no_reference_of_a_known_payer": (
        {"received": [received(text=None, counterparty_iban=IBAN)], "accounts": [customer(iban=IBAN)], "owed": [owed()]}, "no reference",
    ),
    "an_iban_of_two_customers_tells_nobody": (
        {"received": [received(text=None, counterparty_iban=IBAN)],
         "accounts": [customer(iban=IBAN), customer("a-2", iban=IBAN)], "owed": [owed()]}, "no reference, payer unknown",
    ),
    "a_mistyped_number": (
        {"received": [received(text="INV-2026-0010")], "owed": [owed()]}, "reference names no open document, payer unknown",
    ),
    "a_document_that_is_paid": (
        {"received": [received()], "owed": [owed()], "applied": [paid_before("100")]},
        "reference names no open document, payer unknown",
    ),
    "a_document_the_ledger_has_closed": (
        {"received": [received()], "owed": [owed(open_amount="0")]}, "reference names no open document, payer unknown",
    ),
    "what_we_owe_is_not_what_we_are_owed": (
        {"received": [received()], "owed": [owed(ledger_account="accounts_payable")]},
        "reference names no open document, payer unknown",
    ),
    "a_cent_too_little": (
        {"received": [received("99.99")], "owed": [owed()]}, "amount differs from what is open by 0.01 EUR",
    ),
    "too_much": ({"received": [received("150")], "owed": [owed()]}, "amount differs from what is open by 50.00 EUR"),
    "in_a_currency_without_cents": (
        {"received": [received("150", currency="JPY")], "owed": [owed(currency="JPY")]},
        "amount differs from what is open by 50 JPY",
    ),
    "one_of_two_documents_paid": (
        {"received": [received("60", "INV-2026-0001 INV-2026-0002")], "owed": TWO},
        "amount differs from what is open by 40.00 EUR",
    ),
    "another_currency": (
        {"received": [received()], "owed": [owed(currency="USD")]}, "the document named is in another currency",
    ),
    "two_documents_of_one_number": (
        {"received": [received()], "owed": [owed(), owed(document_id="d-2")]}, "a reference names several open documents",
    ),
    "documents_of_several_customers": (
        {"received": [received(text="INV-2026-0001 INV-2026-0002")], "owed": [TWO[0], TWO[1] | {"party_id": "a-2"}]},
        "the documents belong to several customers",
    ),
    "a_document_of_another_legal_entity": (
        {"received": [received()], "owed": [owed(legal_entity_id="us")]}, "the document belongs to another legal entity",
    ),
    "a_bank_account_of_nobody": (
        {"received": [received(bank_account="?")], "owed": [owed()]}, "the bank account belongs to no legal entity",
    ),
    "a_payment_that_came_back": (
        {"received": [received(bank_code="PMNT/RCDT/ESCT/RVSL")], "owed": [owed()]}, "a payment of ours came back",
    ),
    "two_payments_of_one_document": (
        {"received": [received(), received(transaction_id="t-2")], "owed": [owed()]}, "two receipts claim the same document",
    ),
    "three_that_overlap": (
        {"received": [received("100", "INV-2026-0001 INV-2026-0002"), received("60", transaction_id="t-2"),
                      received("40", "INV-2026-0002", transaction_id="t-3")], "owed": TWO},
        "two receipts claim the same document",
    ),
}  # fmt: skip
LEFT_OUT = {
    # rows that a run of the day does not look at
    "money_that_went_out": {"received": [received("-100")], "owed": [owed()]},
    "money_of_the_next_day": {"received": [received(booking_date="2026-08-01")], "owed": [owed()]},
    "a_receipt_that_is_applied": {
        "received": [received()], "owed": [owed()], "applied": [paid_before("100", transaction_id="t-1", document_id="d-x")]
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def all_decided(spark, keep):
    """The decisions on every case, from one job."""
    cases = {name: case for name, (case, _) in (APPLIED | WAITING).items()} | LEFT_OUT
    return decisions(spark, keep, cases)


@pytest.fixture(scope="module")
def applied(all_decided):
    told = transforms.applications(all_decided, DAY)
    columns = (
        "tenant_id",
        "transaction_id",
        "document_id",
        "amount",
        "rule",
        "account_id",
        "legal_entity_id",
        "evidence",
        "period",
    )
    return collected(told, *columns)


@pytest.fixture(scope="module")
def waiting(all_decided):
    told = transforms.unapplied(all_decided, DAY)
    return collected(told, "tenant_id", "transaction_id", "reason", "received", "applied", "unapplied", "account_id")


@pytest.mark.parametrize("case", APPLIED)
def test_a_receipt_is_applied_to_what_it_names_and_pays(applied, waiting, case):
    rows = [row for row in applied if row[0] == case]
    assert [row[1:4] for row in rows] == APPLIED[case][1]
    several = len(rows) > 1 and case != "two_lines_of_one_name_on_two_accounts"
    assert {row[4] for row in rows} == {"several_references" if several else "exact_reference"}
    applied_lines = {row[1] for row in rows}
    assert not applied_lines & {row[1] for row in waiting if row[0] == case}


@pytest.mark.parametrize("case", WAITING)
def test_every_other_receipt_waits_with_its_reason(applied, waiting, case):
    assert [row for row in applied if row[0] == case] == []
    assert {row[2] for row in waiting if row[0] == case} == {WAITING[case][1]}
    assert len([row for row in waiting if row[0] == case]) == len(WAITING[case][0]["received"])


@pytest.mark.parametrize("case", LEFT_OUT)
def test_a_run_looks_at_open_receipts_of_its_day(applied, waiting, case):
    assert [row for row in (*applied, *waiting) if row[0] == case] == []


def test_an_application_says_why_and_nothing_personal(applied):
    row = next(row for row in applied if row[0] == "what_is_left_of_a_document")
    assert row[5:7] == ("a-1", "uk")
    assert row[7] == (
        '{"document_number":"INV-2026-0001","open_amount":"30.000","receipt_amount":"30.000","named_amount":"30.000","documents":1}'
    )
    assert row[8] == DAY


def test_what_waits_tells_what_was_received_and_applied_and_who_may_owe(waiting):
    told = {row[0]: row[3:] for row in waiting}
    assert told["a_cent_too_little"] == ("99.99", "0", "99.99", "a-1")
    assert told["no_reference_of_a_known_payer"] == ("100", "0", "100", "a-1")
    assert told["no_reference"] == ("100", "0", "100", None)


def test_a_tenant_without_bank_accounts_has_one_owner_for_all(spark):
    sole = frame(spark, "tenant_id string, sole_entity_id string", [{"tenant_id": "alpha", "sole_entity_id": "uk"}])
    owners = frame(spark, "tenant_id string, bank_account string, legal_entity_id string", [])
    rows = table_of(spark, BANK_TRANSACTIONS, [received() | {"tenant_id": "alpha"}])
    found = transforms.receipts(rows, table_of(spark, APPLICATIONS, []), owners, sole, DAY)
    assert collected(found, "bank_account", "legal_entity_id") == [("OURS", "uk")]


def test_decisions_do_not_depend_on_order_or_partitioning(spark, keep):
    rng = random.Random(5)
    owing = [owed(f"INV-{n:06d}", str(rng.randint(1, 20))) for n in range(60)]
    lines = []
    for n in range(120):
        some = rng.sample(owing, rng.choice([1, 1, 2, 3]))
        off = rng.choice([0, 0, 0, 1])
        amount = sum(Decimal(row["open_amount"]) for row in some) + off
        lines.append(received(str(amount), " ".join(row["document_number"] for row in some), transaction_id=f"t-{n:03d}"))
    told = []
    for turn in range(3):
        rng.shuffle(owing)
        rng.shuffle(lines)
        rows = decisions(spark, keep, {"alpha": {"received": lines, "owed": owing}})
        parts = rows.repartition(1 + 2 * turn)
        applied = collected(transforms.applications(parts, DAY), "application_id", "transaction_id", "document_id", "amount")
        left = collected(transforms.unapplied(parts, DAY), "transaction_id", "unapplied", "reason")
        told.append((applied, left))
    assert told[0] == told[1] == told[2]
    applied, left = told[0]
    assert applied and left
    by_document = [row[2] for row in applied]
    assert len(by_document) == len(set(by_document)), "no document is paid twice"


amounts = st.decimals(min_value="0.001", max_value="999999999999.999", places=3)


@seed(20260731)
@settings(max_examples=2, deadline=None)
@given(told=st.lists(st.tuples(amounts, amounts, st.booleans()), min_size=10, max_size=40))
def test_received_is_applied_and_unapplied_to_the_last_digit(spark, keep, told):
    owing = [owed(f"INV-{n:06d}", f"{open_amount:f}", currency="KWD") for n, (open_amount, _, _) in enumerate(told)]
    lines = [
        received(f"{(open_amount if exact else other):f}", f"INV-{n:06d}", transaction_id=f"t-{n}", currency="KWD")
        for n, (open_amount, other, exact) in enumerate(told)
    ]
    rows = decisions(spark, keep, {"alpha": {"received": lines, "owed": owing}})
    transactions = table_of(spark, BANK_TRANSACTIONS, [line | {"tenant_id": "alpha"} for line in lines])
    applied, left = (
        table_of(spark, APPLICATIONS, []).drop("publication_id").unionByName(transforms.applications(rows, DAY)),
        transforms.unapplied(rows, DAY),
    )
    found = transforms.conservation(transactions, applied, left, DAY).collect()
    assert [(row["received"], row["accounted"], row["differing"]) for row in found] == [
        (sum(Decimal(line["amount"]) for line in lines), sum(Decimal(line["amount"]) for line in lines), 0)
    ]
    assert applied.count() == sum(exact or open_amount == other for open_amount, other, exact in told)

"""Accounting events to balanced entries, and what follows from the journal."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from jobs.ingestion.tables import RECEIVABLES
from jobs.ledger_posting import events, transforms
from jobs.ledger_posting.settings import Event, Settings
from jobs.ledger_posting.settings import settings as settings_in_force
from jobs.ledger_posting.tables import JOURNAL_LINES, OPEN_ITEMS, TRIAL_BALANCE
from jobs.payable_validation.tables import DECISIONS
from tests.builders import ALPHA, JULY, collected, frame, invoices, issued

CREDIT = {"document_type": "credit_note", "series": "credit_note"}
RECEIVABLE, PAYABLE, REVENUE, TAX = "accounts_receivable", "accounts_payable", "revenue", "tax_payable"
HAPPENED = (
    "tenant_id string, period date, event string, source_id string, document_id string, legal_entity_id string, party_id string, "
    "posting_date date, currency string, gross decimal(18,3), net decimal(18,3), tax decimal(18,3)"
)
POSTED = {
    # document: (row, its lines as (line, account, debit, credit))
    "an_invoice": (issued("12", "10", "2"), [(1, RECEIVABLE, "12", "0"), (2, REVENUE, "0", "10"), (3, TAX, "0", "2")]),
    "an_invoice_without_tax": (issued("10", "10", "0"), [(1, RECEIVABLE, "10", "0"), (2, REVENUE, "0", "10")]),
    "a_credit_note": (issued("-12", "-10", "-2", **CREDIT), [(1, RECEIVABLE, "0", "12"), (2, REVENUE, "10", "0"), (3, TAX, "2", "0")]),
    "a_document_of_nothing": (issued("0", "0", "0"), [(1, RECEIVABLE, "0", "0"), (2, REVENUE, "0", "0"), (3, TAX, "0", "0")]),
    "a_document_whose_tax_goes_the_other_way": (
        issued("9", "10", "-1"), [(1, RECEIVABLE, "9", "0"), (2, REVENUE, "0", "10"), (3, TAX, "1", "0")],
    ),
    "an_event_without_a_rule": (issued(document_type="proforma"), [(None, None, "0", "2")]),
}  # fmt: skip


def journal_of(spark, *rows):
    return transforms.journal_lines(
        events.of_invoices(invoices(spark, *rows), JULY), transforms.rules(spark, settings_in_force())
    )


def nothing_open(spark):
    return frame(spark, OPEN_ITEMS.schema, [])


def documents_of(spark, rows):
    items = frame(spark, RECEIVABLES.schema, [])
    return events.documents(rows, items, frame(spark, DECISIONS.schema, []))


@pytest.fixture(scope="module")
def posted(spark):
    """The journal of all documents above, in one job."""
    rows = [row | {"invoice_id": case} for case, (row, _) in POSTED.items()]
    found = {case: [] for case in POSTED}
    for case, *line in collected(journal_of(spark, *rows), "document_id", "line_no", "ledger_account", "debit", "credit"):
        found[case].append(tuple(line))
    return found


@pytest.mark.parametrize("case", POSTED)
def test_a_document_is_posted_by_its_rule(posted, case):
    if case == "an_event_without_a_rule":  # which amount it carries does not matter: the suite refuses it
        assert [line[:2] for line in posted[case]] == [(None, None)]
    else:
        assert posted[case] == POSTED[case][1]


def test_an_entry_tells_what_it_comes_from(spark):
    (line,) = {
        tuple(row)
        for row in journal_of(spark, issued()).select("event", "posting_date", "party_id", "legal_entity_id").collect()
    }
    assert line == ("invoice_issued", date(2026, 8, 1), "a-1", "alpha-uk")


def test_a_document_has_one_entry_id_and_two_documents_have_two(spark):
    rows = journal_of(spark, issued(), issued(invoice_id="i-2"), issued(tenant_id="beta"))
    assert rows.select("entry_id").distinct().count() == 3
    assert collected(journal_of(spark, issued()), "entry_id")[0] in collected(rows, "entry_id")


MONEY = st.decimals("-1000", "1000", places=2)
DOCUMENTS = st.lists(
    st.tuples(MONEY, MONEY, st.sampled_from(["EUR", "JPY"]), st.sampled_from(["x", "y"]), st.sampled_from("ab")),
    min_size=20,
    max_size=40,
)


@seed(20261121)
@settings(max_examples=2, deadline=None, database=None)
@given(DOCUMENTS, st.integers(1, 9))
def test_books_balance_whatever_is_posted(spark, drawn, parts):
    rows = []
    for n, (net, tax, currency, seller, account) in enumerate(drawn):
        kind = CREDIT if net + tax < 0 else {}
        rows.append(
            issued(
                str(net + tax),
                str(net),
                str(tax),
                invoice_id=f"i-{n}",
                currency=currency,
                legal_entity_id=seller,
                account_id=account,
                **kind,
            )
        )
    documents = invoices(spark, *rows).repartition(parts)
    happened = events.of_invoices(documents, JULY)
    journal = transforms.journal_lines(happened, transforms.rules(spark, settings_in_force())).localCheckpoint()
    entries = collected(transforms.entries(journal), "debit", "credit", "currencies", "unposted", "repeated_lines")
    assert len(entries) == len(drawn)
    assert [entry for entry in entries if entry[0] != entry[1] or entry[2:] != (1, 0, 0)] == []
    balances = {}
    for currency, balance in collected(transforms.trial_balance(journal), "currency", "balance"):
        balances.setdefault(currency, []).append(Decimal(balance))
    assert all(sum(told) == 0 for told in balances.values())
    items = transforms.open_items(nothing_open(spark), journal, documents_of(spark, documents), JULY)
    assert items.count() == len(drawn)
    assert collected(items, "document_id", "open_amount") == collected(documents, "invoice_id", "gross_amount")
    for control, of_items, unnamed in collected(transforms.sub_ledger(journal, items), "control", "items", "unnamed"):
        assert (control, unnamed) == (of_items, 0)
    account = ("happened_count", "posted_count", "happened_gross", "posted_gross")
    for told in collected(transforms.events_account(happened, journal), *account):
        assert (told[0], told[2]) == (told[1], told[3])


def item(document, ledger_account, amount, **more):
    """A row of ledger.open_items of June."""
    return {
        "tenant_id": ALPHA, "period": "2026-06-01", "ledger_account": ledger_account, "legal_entity_id": "uk", "party_id": "a-1",
        "document_id": document, "document_number": f"N-{document}", "document_date": "2026-06-01", "due_date": "2026-06-30",
        "currency": "EUR", "original_amount": amount, "open_amount": amount, "publication_id": "before",
    } | more  # fmt: skip


def line(event, source, document, ledger_account, debit="0", credit="0", **more):
    """A line of July's journal."""
    return {
        "tenant_id": ALPHA, "period": "2026-07-01", "entry_id": f"{event}-{source}", "line_no": 1, "event": event,
        "legal_entity_id": "uk", "ledger_account": ledger_account, "party_id": "a-1", "document_id": document,
        "source_id": source, "currency": "EUR", "debit": debit, "credit": credit,
    } | more  # fmt: skip


def test_open_items_carry_on_from_the_month_before(spark):
    before = frame(spark, OPEN_ITEMS.schema, [
        item("owed", RECEIVABLE, "12"), item("half", RECEIVABLE, "10"), item("paid", RECEIVABLE, "5"), item("bill", PAYABLE, "7"),
        item("old", RECEIVABLE, "9", open_amount="0"),
    ])  # fmt: skip
    journal = frame(spark, JOURNAL_LINES.schema, [
        line("cash_applied", "ap-1", "half", RECEIVABLE, credit="4"), line("cash_applied", "ap-2", "paid", RECEIVABLE, credit="5"),
        line("cash_applied", "ap-2", "paid", "unapplied_cash", debit="5"), line("payment_instructed", "in-1", "bill", PAYABLE, debit="7"),
        line("payable_accepted", "new", "new", PAYABLE, credit="3", party_id="v-1"),
    ])  # fmt: skip
    documents = frame(
        spark,
        "tenant_id string, document_id string, document_number string, document_date date, due_date date",
        [{"tenant_id": ALPHA, "document_id": "new", "document_number": "V-1", "document_date": "2026-07-03"}],
    )
    items = transforms.open_items(before, journal, documents, JULY)
    assert collected(items, "document_id", "document_number", "original_amount", "open_amount") == [
        ("bill", "N-bill", "7", "0"), ("half", "N-half", "10", "6"), ("new", "V-1", "3", "3"), ("owed", "N-owed", "12", "12"),
        ("paid", "N-paid", "5", "0"),
    ]  # fmt: skip


def test_every_event_of_the_house_balances_and_is_posted_once(spark):
    rules = transforms.rules(spark, settings_in_force())
    happened = frame(spark, HAPPENED, [
        {"tenant_id": ALPHA, "period": "2026-07-01", "event": event, "source_id": "s", "document_id": "d", "legal_entity_id": "uk",
         "party_id": "p", "posting_date": "2026-07-05", "currency": "EUR", "gross": "12", "net": "10", "tax": "2"}
        for event in get_args(Event)
    ])  # fmt: skip
    journal = transforms.journal_lines(happened, rules)
    entries = collected(transforms.entries(journal), "debit", "credit", "unposted", "nobodys")
    assert entries == [("12", "12", 0, 0)] * len(get_args(Event))
    account = ("happened_count", "posted_count", "happened_gross", "posted_gross")
    told = collected(transforms.events_account(happened, journal), *account)
    assert told == [(1, 1, "12", "12")] * len(get_args(Event))
    assert transforms.not_posted(happened, journal).count() == 0
    assert transforms.not_posted(happened, journal.where("event <> 'cash_applied'")).count() == 1


def test_what_a_payable_amount_is_rounded_by_is_owed_too(spark):
    rounded = issued("17.02", "15.20", "1.82", rounding_amount="-0.02", payable_amount="17.00", currency="INR")
    journal = journal_of(spark, rounded)
    shown = ("event", "ledger_account", "debit", "credit")
    assert collected(journal.where("event = 'document_rounded'"), *shown) == [
        ("document_rounded", "accounts_receivable", "0", "0.02"), ("document_rounded", "rounding_difference", "0.02", "0"),
    ]  # fmt: skip
    items = transforms.open_items(nothing_open(spark), journal, documents_of(spark, invoices(spark, rounded)), JULY)
    assert collected(items, "original_amount", "open_amount") == [("17", "17")]  # what can be paid
    assert journal_of(spark, issued(rounding_amount="0")).where("event = 'document_rounded'").count() == 0


def test_an_open_item_has_its_documents_dates(spark):
    documents = invoices(spark, issued())
    items = transforms.open_items(nothing_open(spark), journal_of(spark, issued()), documents_of(spark, documents), JULY)
    shown = ("document_id", "party_id", "document_date", "due_date", "original_amount", "open_amount")
    assert collected(items, *shown) == [("i-1", "a-1", date(2026, 8, 1), date(2026, 8, 31), "12", "12")]


def test_all_frames_have_their_declared_columns(spark):
    journal, documents = journal_of(spark, issued()), invoices(spark, issued())
    for rows, table in (
        (journal, JOURNAL_LINES),
        (transforms.open_items(nothing_open(spark), journal, documents_of(spark, documents), JULY), OPEN_ITEMS),
        (transforms.trial_balance(journal), TRIAL_BALANCE),
    ):
        assert rows.columns == [name for name in table.schema.fieldNames() if name != "publication_id"], table.name


LINES = [
    {"side": "debit", "ledger_account": RECEIVABLE, "amount": "gross"},
    {"side": "credit", "ledger_account": REVENUE, "amount": "net"},
]
RULE = {"id": "r", "event": "invoice_issued", "lines": LINES}


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        pytest.param([RULE, RULE | {"id": "s"}], "two rules post one event", id="one_event_twice"),
        pytest.param([RULE | {"lines": LINES[:1]}], "at least 2 items", id="a_single_line"),
        pytest.param([RULE | {"event": "invoice_sent"}], "invoice_issued", id="an_event_nobody_publishes"),
    ],
)
def test_posting_rules_that_cannot_balance_are_refused(rules, said):
    with pytest.raises(ValueError, match=said):
        Settings.model_validate({"rules": rules})

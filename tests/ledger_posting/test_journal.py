"""Accounting events to balanced entries, and what follows from the journal."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from jobs.ledger_posting import transforms
from jobs.ledger_posting.settings import Settings
from jobs.ledger_posting.settings import settings as settings_in_force
from jobs.ledger_posting.tables import JOURNAL_LINES, OPEN_ITEMS, TRIAL_BALANCE
from tests.builders import collected, invoices, issued

CREDIT = {"document_type": "credit_note", "series": "credit_note"}
RECEIVABLE, REVENUE, TAX = "accounts_receivable", "revenue", "tax_payable"
POSTED = {
    # document: (row, its lines as (line, account, debit, credit))
    "an_invoice": (issued("12", "10", "2"), [(1, RECEIVABLE, "12", "0"), (2, REVENUE, "0", "10"), (3, TAX, "0", "2")]),
    "an_invoice_without_tax": (issued("10", "10", "0"), [(1, RECEIVABLE, "10", "0"), (2, REVENUE, "0", "10")]),
    "a_credit_note": (issued("-12", "-10", "-2", **CREDIT), [(1, RECEIVABLE, "0", "12"), (2, REVENUE, "10", "0"), (3, TAX, "2", "0")]),
    "a_document_of_nothing": (issued("0", "0", "0"), [(1, RECEIVABLE, "0", "0"), (2, REVENUE, "0", "0"), (3, TAX, "0", "0")]),
    "a_document_whose_tax_goes_the_other_way": (
        issued("9", "10", "-1"), [(1, RECEIVABLE, "9", "0"), (2, REVENUE, "0", "10"), (3, TAX, "1", "0")],
    ),
    "an_event_without_a_rule": (issued(document_type="debit_note"), [(None, None, "0", "2")]),
}  # fmt: skip


def journal_of(spark, *rows):
    return transforms.journal_lines(transforms.events(invoices(spark, *rows)), transforms.rules(spark, settings_in_force()))


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
    journal = transforms.journal_lines(
        transforms.events(documents), transforms.rules(spark, settings_in_force())
    ).localCheckpoint()
    entries = collected(transforms.entries(journal), "debit", "credit", "currencies", "unposted", "repeated_lines")
    assert len(entries) == len(drawn)
    assert [entry for entry in entries if entry[0] != entry[1] or entry[2:] != (1, 0, 0)] == []
    balances = {}
    for currency, balance in collected(transforms.trial_balance(journal), "currency", "balance"):
        balances.setdefault(currency, []).append(Decimal(balance))
    assert all(sum(told) == 0 for told in balances.values())
    items = transforms.open_items(journal, documents)
    assert items.count() == len(drawn)
    assert collected(items, "document_id", "open_amount") == collected(documents, "invoice_id", "gross_amount")
    for control, of_items, invoiced, item_count, invoice_count in collected(
        transforms.sub_ledger(journal, items, documents), "control", "items", "invoiced", "item_count", "invoice_count"
    ):
        assert control == of_items == invoiced
        assert item_count == invoice_count


def test_an_open_item_has_its_documents_dates(spark):
    documents = invoices(spark, issued())
    items = transforms.open_items(journal_of(spark, issued()), documents)
    shown = ("document_id", "party_id", "document_date", "due_date", "original_amount", "open_amount")
    assert collected(items, *shown) == [("i-1", "a-1", date(2026, 8, 1), date(2026, 8, 31), "12", "12")]


def test_all_frames_have_their_declared_columns(spark):
    journal, documents = journal_of(spark, issued()), invoices(spark, issued())
    for rows, table in (
        (journal, JOURNAL_LINES),
        (transforms.open_items(journal, documents), OPEN_ITEMS),
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

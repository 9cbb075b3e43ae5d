"""Money on account and invoices, to what is deducted and what goes back. Every case is a tenant of its own, all in one job."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal

import pytest
import yaml
from chispa import assert_df_equality
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from jobs.cash_matching.tables import APPLICATIONS, UNAPPLIED
from jobs.invoice_generation import prepayments
from jobs.invoice_generation.tables import PREPAYMENTS
from jobs.ledger import receipts
from jobs.runtime.check_conf import check
from jobs.runtime.config import ROOT
from jobs.runtime.errors import ConfigError
from tests.builders import ALPHA, BETA, collected, failures, frame, invoice_settings, invoices, issued, judged, table_of

ISSUED_ON = date(2026, 8, 1)
RULES = "tenant_id string, rule string"


def asking(payable="100", **more):
    """A header of July, before anything is deducted."""
    amounts = {"rounding_amount": "0", "prepaid_amount": "0", "payable_amount": payable}
    return issued(payable, payable, "0") | amounts | {"currency": "EUR"} | more


def paid(amount="40", transaction="t-1", **more):
    """A row of cash.unapplied: money on account of a-1, booked in July."""
    return {
        "tenant_id": ALPHA, "period": "2026-07-31", "transaction_id": transaction, "bank_account": "B", "legal_entity_id": "alpha-uk",
        "account_id": "a-1", "currency": "EUR", "received": amount, "applied": "0", "unapplied": amount, "booking_date": "2026-07-10",
        "on_account": True,
    } | more  # fmt: skip


def took(amount="40", transaction="t-1", **more):
    """A row of invoicing.prepayments: invoice i-1 took money of a receipt."""
    return {
        "tenant_id": ALPHA, "period": "2026-07-01", "prepayment_id": f"p-{transaction}", "invoice_id": "i-1", "transaction_id": transaction,
        "bank_account": "B", "legal_entity_id": "alpha-uk", "account_id": "a-1", "currency": "EUR", "amount": amount,
        "booking_date": "2026-07-10", "applied_on": "2026-08-01", "moved_by_id": "i-1", "rule": "on-account v1",
    } | more  # fmt: skip


def on_hand(spark, rows, applied=(), taken=()):
    """Receipts with what they have left."""
    gone = receipts.spent(table_of(spark, APPLICATIONS, applied), table_of(spark, PREPAYMENTS, taken))
    return receipts.left(table_of(spark, UNAPPLIED, rows), gone)


def taken_by(spark, headers, rows, applied=(), taken=(), day=ISSUED_ON, rules=None):
    tenants = sorted({row["tenant_id"] for row in headers})
    told = rules if rules is not None else [{"tenant_id": tenant, "rule": "on-account v1"} for tenant in tenants]
    return prepayments.taken(invoices(spark, *headers), on_hand(spark, rows, applied, taken), frame(spark, RULES, told), day)


NOTE = {"document_type": "credit_note"}
CASES = {
    # case: (header, receipts, what is taken of which)
    "a_part": ([asking()], [paid()], [("t-1", "40")]),
    "all_that_is_asked_for_and_no_more": ([asking("39.99")], [paid()], [("t-1", "39.99")]),
    "the_oldest_first": (
        [asking()], [paid("70", "t-2", booking_date="2026-07-11"), paid("70", "t-1", booking_date="2026-07-12")], [("t-1", "30"), ("t-2", "70")],
    ),
    "of_one_day_by_their_numbers": ([asking()], [paid("70", "t-2"), paid("70", "t-1")], [("t-1", "70"), ("t-2", "30")]),
    "to_the_last_mill": ([asking("1.001", currency="KWD")], [paid("0.999", currency="KWD")], [("t-1", "0.999")]),
    "booked_on_the_day_of_issue": ([asking()], [paid(booking_date="2026-08-01")], [("t-1", "40")]),
    "booked_after_it": ([asking()], [paid(booking_date="2026-08-02")], []),
    "only_suggested": ([asking()], [paid(on_account=False)], []),
    "known_by_what_it_names": ([asking()], [paid(on_account=None)], []),
    "of_another_customer": ([asking()], [paid(account_id="a-2")], []),
    "of_nobody": ([asking()], [paid(account_id=None)], []),
    "of_another_currency": ([asking()], [paid(currency="USD")], []),
    "of_another_legal_entity": ([asking()], [paid(legal_entity_id="alpha-us")], []),
    "of_no_legal_entity": ([asking()], [paid(legal_entity_id=None)], []),
    "nothing_asked": ([asking("0")], [paid()], []),
    "a_credit_note": ([asking("-100", **NOTE)], [paid()], []),
    "a_debit_note": ([asking(document_type="debit_note", original_invoice_id="i-0")], [paid()], []),
    "rounded_to_pay": ([asking("100.40") | {"rounding_amount": "-0.40", "payable_amount": "100"}], [paid("200")], [("t-1", "100")]),
    "two_sellers_each_their_own": (
        [asking(), asking(invoice_id="i-2", legal_entity_id="alpha-us")], [paid("60"), paid("70", "t-2", legal_entity_id="alpha-us")],
        [("t-1", "60"), ("t-2", "70")],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def every_case(spark):
    headers = [row | {"tenant_id": name} for name, (rows, _, _) in CASES.items() for row in rows]
    money = [row | {"tenant_id": name} for name, (_, rows, _) in CASES.items() for row in rows]
    found = taken_by(spark, headers, money).localCheckpoint()
    return found, collected(found, "tenant_id", "transaction_id", "amount")


@pytest.mark.parametrize("case", CASES)
def test_an_invoice_takes_what_its_customer_has_paid(every_case, case):
    assert [row[1:] for row in every_case[1] if row[0] == case] == CASES[case][2]


def test_what_is_taken_tells_where_it_comes_from_and_why(every_case):
    (row,) = every_case[0].where("tenant_id = 'a_part'").collect()
    assert (row["invoice_id"], row["moved_by_id"], row["gives_back_id"], row["rule"]) == (
        "i-1",
        "i-1",
        None,
        "on-account v1",
    )
    assert (row["period"], row["applied_on"], row["booking_date"]) == (date(2026, 7, 1), ISSUED_ON, date(2026, 7, 10))
    assert every_case[0].columns == [name for name in PREPAYMENTS.schema.fieldNames() if name != "publication_id"]


def test_what_was_spent_before_is_not_there_whatever_the_statement_says(spark):
    applied = [{"tenant_id": ALPHA, "transaction_id": "t-1", "bank_account": "B", "document_id": "d", "amount": "15"}]
    before = [took("20"), took("-5", prepayment_id="back", gives_back_id="p-t-1")]
    assert collected(taken_by(spark, [asking()], [paid()], applied, before), "transaction_id", "amount") == [("t-1", "10")]


def test_a_tenant_whose_policy_does_not_deduct_takes_nothing(spark):
    both = [asking(), asking(tenant_id=BETA)]
    found = taken_by(spark, both, [paid(), paid(tenant_id=BETA)], rules=[{"tenant_id": BETA, "rule": "x v1"}])
    assert collected(found, "tenant_id") == [(BETA,)]


def test_headers_ask_for_what_is_left(spark):
    headers = [asking(), asking("50", invoice_id="i-2"), asking("30", invoice_id="i-3", tenant_id=BETA)]
    taking = table_of(
        spark, PREPAYMENTS, [took("40"), took("60", "t-2"), took("-60", "t-9", gives_back_id="p-t-8", invoice_id="i-2")]
    )
    expected = [headers[0] | {"prepaid_amount": "100", "payable_amount": "0"}, *headers[1:]]
    assert_df_equality(
        prepayments.deducted(invoices(spark, *headers), taking),
        invoices(spark, *expected),
        ignore_row_order=True,
        ignore_nullable=True,
    )


TAKEN = [took("40", "t-1"), took("60", "t-2", booking_date="2026-07-20")]  # all that an invoice over 100 asks for
BACK = {
    # case: (what corrects it, what went back before, what goes back)
    "cancelled": (["-100"], [], [("t-1", "-40"), ("t-2", "-60")]),
    "a_part_of_what_came_last": (["-10"], [], [("t-2", "-10")]),
    "more_than_came_last": (["-70"], [], [("t-1", "-10"), ("t-2", "-60")]),
    "by_two_documents_of_one_month": (["-30", "-40"], [], [("t-1", "-10"), ("t-2", "-60")]),
    "asked_for_more": (["5"], [], []),
    "more_than_there_was": (["-150"], [], [("t-1", "-40"), ("t-2", "-60")]),
    "after_a_part_went_back": (
        ["-30"], [("-20", "-20")], [("t-2", "-30")],
    ),
    "that_had_gone_back_as_far_as_it_could": (["-1"], [("-100", "-100")], []),
}  # fmt: skip


@pytest.fixture(scope="module")
def gone_back(spark):
    """The movements of every case, of documents of August."""
    notes, everything, money = [], [], []
    for name, (amounts, before, _) in BACK.items():
        mine = {"tenant_id": name}
        everything.append(asking() | mine)
        money += [row | mine for row in TAKEN]
        for at, (corrected, returned) in enumerate(before):
            everything.append(asking(corrected, **NOTE, invoice_id=f"old-{at}", original_invoice_id="i-1") | mine)
            of = {"-20": [("t-2", "-20")], "-100": [("t-1", "-40"), ("t-2", "-60")]}[returned]
            money += [took(amount, t, prepayment_id=f"b-{at}-{t}", gives_back_id=f"p-{t}") | mine for t, amount in of]
        for at, amount in enumerate(amounts):
            kind = NOTE if amount.startswith("-") else {"document_type": "debit_note"}
            notes.append(asking(amount, **kind, invoice_id=f"n-{at}", original_invoice_id="i-1", period="2026-08-01") | mine)
    found = prepayments.given_back(
        invoices(spark, *notes),
        invoices(spark, *everything),
        table_of(spark, PREPAYMENTS, money),
        date(2026, 8, 1),
        date(2026, 9, 1),
    )
    return found.localCheckpoint()


@pytest.mark.parametrize("case", BACK)
def test_what_is_taken_back_gives_back_what_it_had_paid(gone_back, case):
    rows = gone_back.where(f"tenant_id = '{case}'")
    assert collected(rows, "transaction_id", "amount") == BACK[case][2]
    assert set(collected(rows, "invoice_id", "moved_by_id", "period", "applied_on")) <= {
        ("i-1", "n-0", date(2026, 8, 1), date(2026, 9, 1))
    }
    assert {row["gives_back_id"] for row in rows.collect()} == {f"p-{transaction}" for transaction, _ in BACK[case][2]}


MONEY = st.decimals("0.01", "90", places=2)
WHO = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["EUR", "USD"]), st.sampled_from(["uk", "us"]))
DAYS = st.integers(0, 40).map(lambda n: date(2026, 6, 25) + timedelta(days=n))


@seed(20261122)
@settings(max_examples=3, deadline=None, database=None)
@given(
    st.lists(st.tuples(WHO, MONEY), min_size=4, max_size=8, unique_by=lambda told: told[0]),
    st.lists(st.tuples(WHO, MONEY, DAYS, st.booleans()), min_size=15, max_size=30),
    st.lists(st.decimals("0", "1", places=2), min_size=8, max_size=8),
)
def test_no_money_is_spent_twice_whatever_is_invoiced_paid_and_taken_back(spark, asked, received, shares):
    """Two months that go on from each other; in the second, shares of the first month's invoices are credited."""

    def owner(who):
        return {"account_id": who[0], "currency": who[1], "legal_entity_id": who[2]}

    rows = [
        paid(str(amount), f"t-{n:02d}", booking_date=day, on_account=known, **owner(who))
        for n, (who, amount, day, known) in enumerate(received)
    ]
    first = [asking(str(amount), invoice_id=f"i-{n}", **owner(who)) for n, (who, amount) in enumerate(asked)]
    july = taken_by(spark, first, rows).localCheckpoint()
    left = {row["transaction_id"]: Decimal(row["received"]) for row in rows}
    expected = []
    for header in first:  # one after the other, as a person would do it
        rest = Decimal(header["payable_amount"])
        usable = [
            r
            for r in rows
            if r["on_account"] and r["booking_date"] <= ISSUED_ON and all(r[k] == header[k] for k in owner("abc"))
        ]
        for row in sorted(usable, key=lambda r: (r["booking_date"], r["transaction_id"])):
            amount = min(rest, left[row["transaction_id"]])
            if amount > 0:
                expected.append((header["invoice_id"], row["transaction_id"], amount))
                left[row["transaction_id"]] -= amount
                rest -= amount
    assert sorted((row["invoice_id"], row["transaction_id"], row["amount"]) for row in july.collect()) == sorted(expected)

    credit = [(share * amount).quantize(Decimal("0.01")) for share, (_, amount) in zip(shares, asked, strict=False)]
    notes = [
        asking(str(-amount), **NOTE, invoice_id=f"n-{n}", original_invoice_id=f"i-{n}", period="2026-08-01", **owner(who))
        for n, (amount, (who, _)) in enumerate(zip(credit, asked, strict=True)) if amount
    ]  # fmt: skip
    second = [header | {"invoice_id": header["invoice_id"].replace("i", "j"), "period": "2026-08-01"} for header in first]
    published = [row.asDict() for row in july.collect()]
    august = taken_by(spark, second, rows, taken=published, day=date(2026, 9, 1)).unionByName(
        prepayments.given_back(
            invoices(spark, *notes), invoices(spark, *first), table_of(spark, PREPAYMENTS, published), date(2026, 8, 1), date(2026, 9, 1)
        )
    )  # fmt: skip
    movements = [*published, *(row.asDict() for row in august.collect())]
    by_receipt, by_invoice = defaultdict(Decimal), defaultdict(Decimal)
    for row in movements:
        by_receipt[row["transaction_id"]] += row["amount"]
        by_invoice[row["invoice_id"]] += row["amount"]
    assert all(0 <= amount <= Decimal(rows[int(t.removeprefix("t-"))]["received"]) for t, amount in by_receipt.items())
    for n, (_, amount) in enumerate(asked):
        took_first = sum((row["amount"] for row in published if row["invoice_id"] == f"i-{n}"), Decimal(0))
        assert by_invoice[f"i-{n}"] == min(took_first, amount - credit[n])
        assert 0 <= by_invoice[f"j-{n}"] <= amount
    assert len({row["prepayment_id"] for row in movements}) == len(movements)
    gate = prepayments.account(
        table_of(spark, PREPAYMENTS, [row.asDict() for row in august.collect()]),
        prepayments.deducted(invoices(spark, *second, *notes), august),
        on_hand(spark, rows, taken=published),
        table_of(spark, PREPAYMENTS, published),
        invoices(spark, *first),
    )
    assert failures(judged("invoice_generation", "prepayments", gate, [ALPHA])) == {}


# --- the gate, over rows as they would be if something went wrong -------------------------------------------------------

SHOWN = {"prepaid_amount": "40", "payable_amount": "60"}
GOOD = {"headers": [asking() | SHOWN], "staged": [took()], "receipts": [paid()], "before": [], "invoices": []}
GIVEN = took("-40", prepayment_id="b", gives_back_id="p-t-1", moved_by_id="n", period="2026-08-01")
GOOD_BACK = {
    "headers": [asking("-100", **NOTE, invoice_id="n", original_invoice_id="i-1")], "staged": [GIVEN], "receipts": [], "before": [took()],
    "invoices": [asking() | SHOWN],
}  # fmt: skip
THEIRS = "what is taken is on account of the invoiced customer"
SHOWS, BEYOND = "a document shows what it takes", "no receipt is taken beyond what it has left"
BROKEN = {
    # tenant: (what fails, frames, what is different, example)
    "twice_in_one_run": ({"money moves once", BEYOND, SHOWS}, GOOD, {"staged": [took(), took()]}),
    "twice_in_two": ({"money moves once"}, GOOD, {"before": [took()], "receipts": [paid("80")]}),
    "of_nothing": ({"every movement is of some money", SHOWS}, GOOD, {"staged": [took("0")]}),
    "of_another": ({THEIRS}, GOOD, {"receipts": [paid(account_id="a-2")]}),
    "of_another_currency": ({THEIRS}, GOOD, {"receipts": [paid(currency="USD")]}),
    "of_another_seller": ({THEIRS}, GOOD, {"receipts": [paid(legal_entity_id="alpha-us")]}),
    "only_suggested": ({THEIRS}, GOOD, {"receipts": [paid(on_account=False)]}),
    "later_than_its_day": ({THEIRS}, GOOD, {"receipts": [paid(booking_date="2026-08-02")]}),
    "matched_meanwhile": ({THEIRS}, GOOD, {"receipts": []}),
    "a_cent_beyond": ({BEYOND}, GOOD, {"receipts": [paid("39.99")]}),
    "two_take_one": (
        {BEYOND}, GOOD, {"staged": [took(), took(prepayment_id="q", invoice_id="i-2")], "headers": [asking() | SHOWN, asking(invoice_id="i-2") | SHOWN]},
    ),
    "not_shown": ({SHOWS}, GOOD, {"headers": [asking()]}),
    "shown_without_money": ({SHOWS}, GOOD, {"staged": [], "receipts": []}),
    "shown_wrong": ({SHOWS}, GOOD, {"headers": [asking() | {"prepaid_amount": "40.001", "payable_amount": "59.999"}]}),
    "beyond_what_is_asked": (
        {"only invoices take money, and no more than they ask for"}, GOOD, {"headers": [asking() | {"prepaid_amount": "40", "payable_amount": "-1"}]},
    ),
    "a_credit_note": ({"only invoices take money, and no more than they ask for"}, GOOD, {"headers": [asking(**NOTE) | SHOWN]}),
    "more_back_than_taken": (
        {"no more is given back than was taken", "an invoice that is taken back keeps no more than it asks for"}, GOOD_BACK,
        {"staged": [GIVEN | {"amount": "-40.001"}]},
    ),
    "back_of_nothing": ({"no more is given back than was taken"}, GOOD_BACK, {"before": []}),
    "too_little_back": ({"an invoice that is taken back keeps no more than it asks for"}, GOOD_BACK, {"staged": [GIVEN | {"amount": "-39.999"}]}),
}  # fmt: skip


@pytest.fixture(scope="module")
def judgement(spark, shared_home):
    """What the suite says of all tenants at once."""
    cases = {name: frames | more for name, (_, frames, more) in BROKEN.items()} | {"good": GOOD, "good_back": GOOD_BACK}

    def of(kind):
        return [row | {"tenant_id": name} for name, case in cases.items() for row in case[kind]]

    found = prepayments.account(
        table_of(spark, PREPAYMENTS, of("staged")),
        invoices(spark, *of("headers")),
        on_hand(spark, of("receipts")),
        table_of(spark, PREPAYMENTS, of("before")),
        invoices(spark, *of("invoices")),
    )
    return failures(judged("invoice_generation", "prepayments", found, [*cases, "without_rows"]))


@pytest.mark.parametrize("tenant", BROKEN)
def test_what_is_wrong_with_prepaid_money_is_caught_for_its_tenant(judgement, tenant):
    assert {verdict.expectation for verdict in judgement[tenant]} == BROKEN[tenant][0]


def test_tenants_whose_money_is_right_go_on(judgement):
    assert set(judgement) == set(BROKEN)


# --- the policy ---------------------------------------------------------------------------------------------------------

POLICY = {"id": "p", "version": 1, "valid_from": "2026-01-01", "deduct": True}


def test_a_policy_holds_for_its_tenants_from_its_day_on():
    told = invoice_settings(prepayments=[
        POLICY | {"valid_to": "2026-08-01"}, POLICY | {"version": 2, "valid_from": "2026-08-01", "deduct": False},
        POLICY | {"id": "own", "valid_from": "2026-08-01", "tenants": [BETA]},
    ])  # fmt: skip
    days = (date(2025, 12, 31), date(2026, 7, 31), date(2026, 8, 1))
    rules = [[found.rule if (found := told.deducts(tenant, day)) else None for day in days] for tenant in (ALPHA, BETA)]
    assert rules == [[None, "p v1", None], [None, "p v1", "own v1"]]
    assert invoice_settings().deducts(ALPHA, days[1]) is None


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        pytest.param([POLICY, POLICY], "two policies are called p v1", id="one_name"),
        pytest.param([POLICY, POLICY | {"version": 2}], "p v1 and p v2 hold for one tenant on one day", id="one_day"),
        pytest.param([{**POLICY, "deducts": True}], "Extra inputs are not permitted", id="unknown_key"),
    ],
)
def test_policies_that_contradict_each_other_are_refused(policies, said):
    with pytest.raises(ValueError, match=said):
        invoice_settings(prepayments=policies)


def test_a_policy_of_no_tenant_is_found_by_check_conf(write_conf):
    policy = yaml.safe_load((ROOT / "conf" / "invoice_generation.yaml").read_text())
    write_conf("invoice_generation.yaml", policy | {"prepayments": [POLICY | {"tenants": ["phoenics"]}]})
    with pytest.raises(ConfigError, match="prepayments, p v1 names tenant 'phoenics'; did you mean 'phoenix'?"):
        check()

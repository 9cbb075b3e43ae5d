"""Credits: which goes first, what it may pay, how it is shared out, and how it goes from month to month."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, seed
from hypothesis import settings as effort
from hypothesis import strategies as st

from jobs.billing_aggregation import credits
from jobs.billing_aggregation.credits import Credit, shares, used
from jobs.ingestion.tables import CREDITS
from jobs.ledger.facts import latest_credits
from tests.builders import (
    ALPHA,
    BETA,
    JULY,
    accounts,
    charged,
    charges,
    collected,
    customer,
    plain,
    table_of,
)


def line(amount, account="a-1", product="storage", region="eu"):
    return {"account_id": account, "product_id": product, "region": region, "amount": Decimal(amount)}


def credit(credit_id="k-1", balance="100", **more):
    return Credit(credit_id, more.pop("account_id", "a-1"), Decimal(balance), **more)


SPRING, AUTUMN = date(2026, 4, 1), date(2026, 10, 1)
CASES = {
    # lines, credits -> (place of the line, credit, amount)
    "more_than_there_is": ([line("30")], [credit()], [(0, "k-1", "30")]),
    "less_than_there_is": ([line("30")], [credit(balance="12.34")], [(0, "k-1", "12.34")]),
    "first_to_expire_goes_first": (
        [line("30")],
        [credit("k-1", "20"), credit("k-2", "20", valid_to=AUTUMN), credit("k-3", "5", valid_to=SPRING)],
        [(0, "k-3", "5"), (0, "k-2", "20"), (0, "k-1", "5")],
    ),
    "then_by_its_id": ([line("30")], [credit("k-2", "20"), credit("k-1", "20")], [(0, "k-1", "20"), (0, "k-2", "10")]),
    "of_one_product": ([line("30"), line("8", product="compute")], [credit(products=frozenset({"compute"}))], [(1, "k-1", "8")]),
    "of_one_region": ([line("30"), line("8", region=None)], [credit(region="eu")], [(0, "k-1", "30")]),
    "of_somebody_else": ([line("30", account="a-2")], [credit()], []),
    "shared_by_who_pays": ([line("30", account="a-2")], [credit(is_shared=True)], [(0, "k-1", "30")]),
    "over_several_lines": ([line("10"), line("20", product="compute")], [credit(balance="1")], [(0, "k-1", "0.33"), (1, "k-1", "0.67")]),
    "less_than_a_cent": ([line("0.004"), line("0.009")], [credit()], [(0, "k-1", "0.004"), (1, "k-1", "0.009")]),
    "something_taken_back": ([line("10"), line("-4", product="compute")], [credit()], [(0, "k-1", "6")]),
    "nothing_to_pay": ([line("-4")], [credit()], []),
    "what_an_earlier_one_left": (
        [line("10"), line("10", product="compute")],
        [credit("k-1", "15", valid_to=SPRING), credit("k-2", "15", products=frozenset({"compute"}))],
        [(0, "k-1", "7.5"), (1, "k-1", "7.5"), (1, "k-2", "2.5")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_credits_pay_in_order_within_their_scope(case):
    rows, granted, expected = CASES[case]
    found = [(place, name, plain(amount)) for place, name, amount in used(rows, granted, 2)]
    assert found == expected


amounts = st.decimals(min_value="-20", max_value="60", places=3, allow_nan=False)
granted = st.builds(
    Credit, st.text("abc", min_size=1, max_size=3), st.sampled_from(["a-1", "a-2"]),
    st.decimals(min_value="0.001", max_value="90", places=3), st.sampled_from([None, frozenset({"x"}), frozenset({"x", "y"})]),
    st.sampled_from([None, "eu"]), st.booleans(), st.sampled_from([None, SPRING, AUTUMN]),
)  # fmt: skip


@seed(3)
@effort(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.builds(line, amounts, st.sampled_from(["a-1", "a-2"]), st.sampled_from("xyz"), st.sampled_from(["eu", None])), max_size=6),
    owned=st.lists(granted, max_size=5, unique_by=lambda one: one.credit_id),
    places=st.sampled_from([0, 2, 3]),
)  # fmt: skip
def test_no_credit_pays_more_than_it_has_and_no_charge_is_paid_twice(rows, owned, places):
    found = used(rows, owned, places)
    for one in owned:
        paid = [(place, amount) for place, name, amount in found if name == one.credit_id]
        assert sum((amount for _, amount in paid), Decimal(0)) <= one.balance
        assert all(one.covers(rows[place]) and amount > 0 for place, amount in paid)
    for place, row in enumerate(rows):
        paid_for = sum((amount for at, _, amount in found if at == place), Decimal(0))
        assert paid_for <= max(row["amount"], Decimal(0))
    assert used(rows, list(reversed(owned)), places) == found


@seed(4)
@effort(max_examples=300, deadline=None)
@given(
    rooms=st.lists(st.decimals(min_value=0, max_value=1000, places=6), min_size=1, max_size=7).filter(any),
    part=st.fractions(min_value=0, max_value=1),
    places=st.sampled_from([0, 2, 3]),
)
def test_shares_add_up_to_the_last_digit_and_stay_within_their_rooms(rooms, part, places):
    whole = sum(rooms)
    amount = (whole * part.numerator / part.denominator).quantize(Decimal("0.000001"), rounding="ROUND_DOWN")
    found = shares(amount, rooms, places)
    assert sum(found) == amount
    assert all(0 <= share <= room for share, room in zip(found, rooms, strict=True))


def granted_row(credit_id="k-1", amount="100", **more):
    """A row of raw.credits."""
    row = {
        "tenant_id": ALPHA, "credit_id": credit_id, "account_id": "a-1", "currency": "EUR", "amount": amount, "valid_from": "2026-01-01",
        "revision": 0, "withdrawn": False, "shared": False, "landing_id": "l-1", "row_number": 1,
    }  # fmt: skip
    return row | more


def test_a_month_is_paid_by_what_holds_in_it_and_is_left(spark):
    told = table_of(spark, CREDITS, [
        granted_row("left", "25"), granted_row("used_up", "9"), granted_row("expired", valid_to="2026-07-01"),
        granted_row("to_come", valid_from="2026-08-01"), granted_row("gone"), granted_row("gone", revision=1, withdrawn=True),
        granted_row("other_currency", currency="USD"), granted_row("of_beta", tenant_id=BETA),
        granted_row("shared", "1000", account_id="p", shared=True, products='["compute"]'),
        granted_row("unshared", "1000", account_id="p", valid_to="2026-07-02"),
    ])  # fmt: skip
    before = charges(
        spark,
        charged("-5", kind="credit", credit_id="left"),
        charged("-9", kind="credit", credit_id="used_up"),
        charged("7"),
    )
    known = accounts(spark, customer("a-1", payer_account_id="p"), customer("p"), customer("a-9"))
    month = charges(
        spark, charged("100"), charged("-10", kind="discount"), charged("30", product_id="compute"), charged("40", account_id="a-9"),
        charged(None, product_id="unpriced", prices_in_force=0),
    ).drop("publication_id")  # fmt: skip
    usable = credits.remaining(credits.in_force(latest_credits(told), JULY), before)
    found = credits.lines(month, usable, known, JULY)
    assert found.columns == month.columns
    shown = found.select(
        "kind", "account_id", "product_id", "credit_id", "quantity", "usage_rows", "amount", "prices_in_force"
    )
    assert collected(shown) == [
        ("credit", "a-1", "compute", "left", "0", 0, "-5", 1),
        ("credit", "a-1", "compute", "shared", "0", 0, "-25", 1),
        ("credit", "a-1", "storage", "left", "0", 0, "-15", 1),
    ]
    assert found.select("charge_id").distinct().count() == 3


def test_the_account_of_credits_tells_what_is_wrong(spark):
    told = table_of(
        spark, CREDITS, [granted_row("good"), granted_row("narrow", products='["compute"]'), granted_row("small", "5")]
    )
    month = charges(
        spark, charged("20"), charged("-15", kind="credit", credit_id="good"), charged("-5", kind="credit", credit_id="narrow"),
        charged("-6", kind="credit", credit_id="small", product_id="x"),
    )  # fmt: skip
    before = charges(spark, charged("-30", kind="credit", credit_id="good"))
    back = charges(spark, charged("2", kind="credit", credit_id="good"))
    found = credits.account(told, before, month, back, accounts(spark, customer()))
    assert collected(found, "credit_id", "granted", "used_before", "used_now", "outside", "overdrawn") == [
        ("good", "100", "30", "13", 0, 0), ("narrow", "100", "0", "5", 1, 0), ("small", "5", "0", "6", 0, 1),
    ]  # fmt: skip

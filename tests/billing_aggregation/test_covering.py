"""Which credit pays what: in their order, within their scope, shared out to the last digit."""

from __future__ import annotations

import itertools
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction

from hypothesis import given, seed
from hypothesis import settings as effort
from hypothesis import strategies as st
from pyspark.sql import functions as F

from jobs.billing_aggregation import covering
from jobs.ledger.money import minor_units
from tests.builders import plain

SPRING, AUTUMN = date(2026, 4, 1), date(2026, 10, 1)
CURRENCIES = {0: "JPY", 2: "EUR", 3: "KWD"}
ROOM = "struct<account_id: string, product_id: string, region: string, amount: decimal(38,18)>"
CREDIT = (
    "struct<valid_to: date, credit_id: string, account_id: string, balance: decimal(38,18), products: array<string>, region: string, "
    "is_shared: boolean>"
)
HUGE = Decimal("999999999999999999")


def line(amount, account="a-1", product="storage", region="eu"):
    return (account, product, region, Decimal(amount))


def credit(credit_id="k-1", balance="100", account="a-1", products=None, region=None, is_shared=False, valid_to=None):
    return (valid_to, credit_id, account, Decimal(balance), products, region, is_shared)


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
    "of_one_product": ([line("30"), line("8", product="compute")], [credit(products=["compute"])], [(1, "k-1", "8")]),
    "of_one_region": ([line("30"), line("8", region=None)], [credit(region="eu")], [(0, "k-1", "30")]),
    "of_somebody_else": ([line("30", account="a-2")], [credit()], []),
    "shared_by_who_pays": ([line("30", account="a-2")], [credit(is_shared=True)], [(0, "k-1", "30")]),
    "over_several_lines": ([line("10"), line("20", product="compute")], [credit(balance="1")], [(0, "k-1", "0.33"), (1, "k-1", "0.67")]),
    "less_than_a_cent": ([line("0.004"), line("0.009")], [credit()], [(0, "k-1", "0.004"), (1, "k-1", "0.009")]),
    "something_taken_back": ([line("10"), line("-4", product="compute")], [credit()], [(0, "k-1", "6")]),
    "nothing_to_pay": ([line("-4")], [credit()], []),
    "what_an_earlier_one_left": (
        [line("10"), line("10", product="compute")],
        [credit("k-1", "15", valid_to=SPRING), credit("k-2", "15", products=["compute"])],
        [(0, "k-1", "7.5"), (1, "k-1", "7.5"), (1, "k-2", "2.5")],
    ),
    "amounts_of_eighteen_digits": (
        [line(HUGE), line("0.000000000000000001")], [credit(balance=HUGE)], [(0, "k-1", str(HUGE))],
    ),
}  # fmt: skip


def paid(spark, cases):
    """What credits pay in each case; cases: (lines, credits, decimals of the currency)."""
    rows = [(place, CURRENCIES[places], lines, owned) for place, (lines, owned, places) in enumerate(cases)]
    told = spark.createDataFrame(rows, f"place int, currency string, charges array<{ROOM}>, credits array<{CREDIT}>")
    ready = told.withColumns({"credits": covering.ranked(F.col("credits")), "minor_units": minor_units(F.col("currency"))})
    found = ready.select("place", covering.covered().alias("paid"))
    return {row["place"]: [tuple(one) for one in row["paid"]] for row in found.collect()}


def test_credits_pay_in_order_within_their_scope(spark):
    found = paid(spark, [(lines, owned, 2) for lines, owned, _ in CASES.values()])
    told = {name: [(at, which, plain(amount)) for at, which, amount in found[place]] for place, name in enumerate(CASES)}
    assert told == {name: expected for name, (_, _, expected) in CASES.items()}


amounts = st.decimals(min_value="-20", max_value="60", places=3, allow_nan=False)
an_account = st.sampled_from(["a-1", "a-2"])
lines_of_a_case = st.lists(
    st.builds(line, amounts, an_account, st.sampled_from("xyz"), st.sampled_from(["eu", None])), max_size=6
)
credits_of_a_case = st.lists(
    st.builds(
        credit, st.text("abc", min_size=1, max_size=3), st.decimals(min_value="0.001", max_value="90", places=3), an_account,
        st.sampled_from([None, ["x"], ["x", "y"]]), st.sampled_from([None, "eu"]), st.booleans(),
        st.sampled_from([None, SPRING, AUTUMN]),
    ),
    max_size=5,
    unique_by=lambda one: one[1],
)  # fmt: skip
a_case = st.tuples(lines_of_a_case, credits_of_a_case, st.sampled_from([0, 2, 3]))


def covers(owned, row):
    _, _, account, _, products, region, is_shared = owned
    return (is_shared or account == row[0]) and (not products or row[1] in products) and region in (None, row[2])


def by_hand(lines, owned, places):
    """The same in Python's fractions: each credit in turn, by largest remainder."""
    left = [Fraction(amount) for *_, amount in lines]
    found = []
    for one in sorted(owned, key=lambda one: (one[0] or date.max, one[1])):
        rooms = [max(left[at], Fraction(0)) if covers(one, row) else Fraction(0) for at, row in enumerate(lines)]
        net = sum((left[at] for at, row in enumerate(lines) if covers(one, row)), Fraction(0))
        amount = min(Fraction(one[3]), net)
        if amount > 0:
            for at, share in enumerate(spread(amount, rooms, places)):
                if share:
                    left[at] -= share
                    found.append((at, one[1], share))
    return found


def spread(amount, rooms, places):
    unit, whole = Fraction(1, 10**places), sum(rooms)
    if amount == whole:
        return rooms
    worth = [amount // unit * room / whole for room in rooms]
    told = [worth[at] // 1 * unit for at in range(len(rooms))]
    order = sorted(range(len(rooms)), key=lambda at: (-(worth[at] % 1), at))
    rest = amount - sum(told)
    for at in order:
        if rest >= unit and told[at] + unit <= rooms[at]:
            told[at], rest = told[at] + unit, rest - unit
    for at in order:
        more = min(rest, rooms[at] - told[at])
        told[at], rest = told[at] + more, rest - more
    return told


@seed(3)
@effort(max_examples=6, deadline=None)
@given(cases=st.lists(a_case, min_size=30, max_size=60))
def test_credits_pay_what_they_pay_by_hand_in_whatever_order_they_come(spark, cases):
    found = paid(spark, cases)
    for place, (lines, owned, places) in enumerate(cases):
        assert [(at, which, Fraction(amount)) for at, which, amount in found[place]] == by_hand(lines, owned, places)
        for one, told in itertools.groupby(sorted(found[place], key=lambda told: told[1]), key=lambda told: told[1]):
            assert sum(amount for *_, amount in told) <= next(each[3] for each in owned if each[1] == one)
    assert paid(spark, [(lines, owned[::-1], places) for lines, owned, places in cases]) == found


@seed(4)
@effort(max_examples=5, deadline=None)
@given(
    cases=st.lists(
        st.tuples(
            st.lists(st.decimals(min_value=0, max_value=10**15, places=18), min_size=1, max_size=7).filter(any),
            st.fractions(min_value=0, max_value=1),
            st.sampled_from([0, 2, 3]),
        ),
        min_size=30,
        max_size=60,
    )
)
def test_shares_add_up_to_the_last_digit_and_stay_within_their_rooms(spark, cases):
    with localcontext(prec=80):
        rows = [
            ((sum(rooms) * part.numerator / part.denominator).quantize(Decimal("1e-18"), rounding="ROUND_DOWN"), rooms, CURRENCIES[places])
            for rooms, part, places in cases
        ]  # fmt: skip
        told = spark.createDataFrame(rows, "amount decimal(38,18), rooms array<decimal(38,18)>, currency string")
        ready = told.withColumn("minor_units", minor_units(F.col("currency")))
        for row in ready.select("*", covering.shares().alias("shares")).collect():
            assert sum(row["shares"]) == row["amount"]
            assert all(0 <= share <= room for share, room in zip(row["shares"], row["rooms"], strict=True))

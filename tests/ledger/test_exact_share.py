"""A quantity shared out over time: exact to its last decimal, and nothing is lost between two shares."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal, localcontext
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from jobs.ledger.money import exact_share

LAST = Decimal(1).scaleb(-21)
QUANTITIES = st.decimals(min_value=-(10**16) + 1, max_value=10**16 - 1, places=21)
LENGTHS = st.integers(1, 10**14 - 1)


def until(quantity, at, of):
    with localcontext() as exact:
        exact.prec = 80
        return (quantity * at / of).quantize(LAST, rounding=ROUND_DOWN)


@st.composite
def cut(draw):
    of = draw(LENGTHS)
    places = sorted(draw(st.lists(st.integers(0, of), min_size=1, max_size=4)))
    return draw(QUANTITIES), of, [0, *places, of]


@settings(max_examples=8, deadline=None)
@given(st.lists(cut(), min_size=10, max_size=40))
def test_shares_are_exact_and_add_up(spark, cases):
    rows = [
        (case, quantity, begin, end, of)
        for case, (quantity, of, places) in enumerate(cases)
        for begin, end in pairwise(places)
    ]
    told = spark.createDataFrame(rows, "case int, quantity decimal(38,21), begin bigint, end bigint, of bigint")
    share = exact_share(F.col("quantity"), F.col("begin"), F.col("end"), F.col("of"))
    found = told.select("case", "quantity", "begin", "end", "of", share.alias("share")).collect()
    sums = dict.fromkeys(range(len(cases)), Decimal(0))
    for case, quantity, begin, end, of, got in found:
        with localcontext() as exact:
            exact.prec = 80
            assert got == until(quantity, end, of) - until(quantity, begin, of)
            sums[case] += got
    assert [sums[case] for case in range(len(cases))] == [quantity for quantity, _, _ in cases]


def test_a_third_of_three_is_one(spark):
    rows = [(Decimal(3), 3600, 7200, 10800), (Decimal("0.000000000000000000003"), 0, 1, 3), (Decimal(-10), 0, 1, 4)]
    told = spark.createDataFrame(rows, "quantity decimal(38,21), begin bigint, end bigint, of bigint")
    found = told.select(exact_share(*(F.col(name) for name in told.columns)).alias("share")).collect()
    assert [row["share"] for row in found] == [Decimal(1), LAST, Decimal("-2.5")]

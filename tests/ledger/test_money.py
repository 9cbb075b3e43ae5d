"""Money is exact: products against Python's Decimal, rounding by currency."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Context, Decimal

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from jobs.ledger.columns import QUANTITY
from jobs.ledger.money import NO_MINOR_UNITS, THREE_MINOR_UNITS, exact_product, minor_units, rounded

WIDE = Context(prec=100, rounding=ROUND_HALF_UP)
RATED_UNIT = Decimal("1E-18")
PAIR = "quantity decimal(38,21), unit_price decimal(38,21)"


def by_hand(quantity: Decimal, unit_price: Decimal) -> Decimal:
    """The product to 18 decimals, the 19th rounded half away from zero."""
    return WIDE.quantize(WIDE.multiply(quantity, unit_price), RATED_UNIT)


def products(spark, pairs):
    """What Spark says, in one job, as (quantity, unit price) -> product."""
    rows = spark.createDataFrame(pairs, PAIR).select(
        "*", exact_product(F.col("quantity"), F.col("unit_price")).alias("product")
    )
    return [(row["quantity"], row["unit_price"], row["product"]) for row in rows.collect()]


def decimals(whole_digits: int) -> st.SearchStrategy[Decimal]:
    """Decimals of up to `whole_digits` digits before the point and 21 after it, evenly over their magnitudes."""
    digits = st.integers(1, whole_digits + 21).flatmap(lambda size: st.integers(-(10**size) + 1, 10**size - 1))
    return digits.map(lambda number: Decimal(number).scaleb(-21, WIDE))


def within_reach(pair: tuple[Decimal, Decimal]) -> bool:
    return abs(WIDE.multiply(*pair)) < Decimal(10) ** 17


@seed(20261121)
@settings(max_examples=4, deadline=None, database=None)
@given(st.lists(st.tuples(decimals(16), decimals(12)).filter(within_reach), min_size=150, max_size=300))
def test_a_product_loses_no_digit_down_to_the_eighteenth_decimal(spark, pairs):
    assert [product for _, _, product in products(spark, pairs)] == [by_hand(*pair) for pair in pairs]


@pytest.fixture(scope="module")
def edge_products(spark):
    """The parametrised products below, computed in one job."""
    pairs = [(Decimal(quantity), Decimal(price)) for quantity, price, _ in EDGES.values()]
    return dict(zip(EDGES, (product for _, _, product in products(spark, pairs)), strict=True))


EDGES = {
    "twenty_one_decimals_in_the_price": ("1000", "0.000000000000000000001", "0.000000000000000001"),
    "twenty_one_decimals_in_the_quantity": ("0.000000000000000000001", "1000", "0.000000000000000001"),
    "a_tie_goes_away_from_zero": ("0.5", "0.000000000000000001", "0.000000000000000001"),
    "a_negative_tie_goes_away_from_zero": ("-0.5", "0.000000000000000001", "-0.000000000000000001"),
    "below_a_tie_goes_to_zero": ("0.499999", "0.000000000000000001", "0"),
    "a_large_amount_keeps_its_cents": ("99999999999999999", "0.999999999999999999", "99999999999999998.900000000000000001"),
    "zero": ("0", "999999999999.999999999999999999999", "0"),
    "a_third_of_a_cent": ("3", "0.003333333333333333333", "0.009999999999999999999"),
}


@pytest.mark.parametrize("case", EDGES)
def test_a_product_at_the_edge_is_what_paper_says(edge_products, case):
    quantity, price, product = EDGES[case]
    assert by_hand(Decimal(quantity), Decimal(price)) == WIDE.quantize(Decimal(product), RATED_UNIT), (
        "the case itself is wrong"
    )
    assert edge_products[case] == WIDE.quantize(Decimal(product), RATED_UNIT)


def test_an_amount_that_does_not_fit_raises(spark):
    with pytest.raises(Exception, match="OVERFLOW|OUT_OF_RANGE"):
        products(spark, [(Decimal(10) ** 16, Decimal(10) ** 6)])


def test_a_product_of_nothing_is_nothing(spark):
    assert products(spark, [(None, Decimal(1)), (Decimal(1), None)]) == [(None, Decimal(1), None), (Decimal(1), None, None)]


ROUNDED = {
    # currency, rounding, amount, amount on a document
    "yen_have_no_decimals": ("JPY", "half_up", "1234.499999", "1234"),
    "a_yen_tie_goes_up": ("JPY", "half_up", "1234.5", "1235"),
    "a_yen_tie_goes_to_even": ("JPY", "half_even", "1234.5", "1234"),
    "an_odd_yen_tie_goes_to_even": ("JPY", "half_even", "1235.5", "1236"),
    "euros_have_two": ("EUR", "half_up", "0.124999999999999999", "0.12"),
    "a_cent_tie_goes_up": ("EUR", "half_up", "0.125", "0.13"),
    "a_cent_tie_goes_to_even": ("EUR", "half_even", "0.125", "0.12"),
    "an_odd_cent_tie_goes_to_even": ("EUR", "half_even", "0.135", "0.14"),
    "a_negative_tie_goes_away_from_zero": ("EUR", "half_up", "-0.125", "-0.13"),
    "a_negative_tie_goes_to_even": ("EUR", "half_even", "-0.125", "-0.12"),
    "just_above_a_tie_is_no_tie": ("EUR", "half_even", "0.125000000000000001", "0.13"),
    "dinars_have_three": ("KWD", "half_up", "1.2345", "1.235"),
    "a_dinar_tie_goes_to_even": ("KWD", "half_even", "1.2345", "1.234"),
    "nothing": ("EUR", "half_up", "0", "0"),
}


@pytest.fixture(scope="module")
def rounded_amounts(spark):
    """The parametrised amounts below, rounded in one job."""
    rows = [(case, currency, method, Decimal(amount)) for case, (currency, method, amount, _) in ROUNDED.items()]
    amount, currency = F.col("amount"), F.col("currency")
    both = F.when(F.col("method") == "half_up", rounded(amount, currency, "half_up")).otherwise(
        rounded(amount, currency, "half_even")
    )
    frame = spark.createDataFrame(rows, "case string, currency string, method string, amount decimal(38,18)")
    return {row["case"]: row["rounded"] for row in frame.select("case", both.alias("rounded")).collect()}


@pytest.mark.parametrize("case", ROUNDED)
def test_an_amount_is_rounded_to_the_minor_units_of_its_currency(rounded_amounts, case):
    assert rounded_amounts[case] == Decimal(ROUNDED[case][3])


def test_rounding_an_amount_too_large_for_a_document_raises(spark):
    rows = spark.createDataFrame([(Decimal(10) ** 16, "EUR")], "amount decimal(38,18), currency string")
    with pytest.raises(Exception, match="OUT_OF_RANGE|OVERFLOW"):
        rows.select(rounded(F.col("amount"), F.col("currency"), "half_up")).collect()


def test_every_currency_has_the_decimals_of_iso_4217(spark):
    others = ("EUR", "USD", "GBP", "CHF", "INR", "BRL", "CNY", "HUF", "TWD")
    told = {**dict.fromkeys(NO_MINOR_UNITS, 0), **dict.fromkeys(THREE_MINOR_UNITS, 3), **dict.fromkeys(others, 2)}
    rows = spark.createDataFrame([(currency,) for currency in told], "currency string")
    found = rows.select("currency", minor_units(F.col("currency")).alias("places")).collect()
    assert {row["currency"]: row["places"] for row in found} == told
    assert "JPY" in NO_MINOR_UNITS and "KWD" in THREE_MINOR_UNITS


def test_a_sum_of_products_does_not_depend_on_partitioning(spark):
    chance = random.Random(7)
    pairs = [(Decimal(chance.randrange(10**12)).scaleb(-6), Decimal(chance.randrange(10**9)).scaleb(-9)) for _ in range(200)]
    rows = spark.createDataFrame(pairs, PAIR)
    total = F.sum(exact_product(F.col("quantity"), F.col("unit_price")))
    sums = {
        row.repartition(parts).select(total).collect()[0][0] for row in (rows, rows.orderBy("quantity")) for parts in (1, 5)
    }
    assert sums == {sum(by_hand(*pair) for pair in pairs)}
    assert QUANTITY.scale == 21

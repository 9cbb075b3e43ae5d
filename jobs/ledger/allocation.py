"""An amount shared out over several rows so that the shares add up to it exactly, in whole cents, by largest remainder."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.ledger.columns import RATED
from jobs.ledger.money import NO_MINOR_UNITS, THREE_MINOR_UNITS, exact_difference, exact_sum

UNITS = "decimal(20,0)"
BILLION = 10**9


def allocated(rows: DataFrame, group: Sequence[str], order: Sequence[str]) -> DataFrame:
    """Rows with `share`, their part of an amount.

    rows: with currency, whole (RATED, the same on every row of a group, in currency units) and weight (any decimal below 10^20;
    one below zero counts as zero; where all do, all rows weigh the same). order: decides between equal remainders and, within a
    group, names a row.
    A share is a whole number of the currency's minor units. First everyone gets what its weight is worth, rounded down; the units
    left over go one each to those who lost most. What the amount has below a minor unit goes to the first of them. Weights are
    compared to nine decimals, as proration is; the sum is exact whatever the weights.
    """
    within = Window.partitionBy(*group)
    amount = F.abs("whole")
    weight = F.greatest(F.col("weight"), F.lit(0)).cast("decimal(29,9)")
    weighed = rows.select("*", _units(amount).alias("_units"), weight.alias("_weight")).select(
        "*", F.sum("_weight").over(within).cast("decimal(29,9)").alias("_weights")
    )
    part = F.when(F.col("_weights") > 0, F.col("_weight") / F.nullif(F.col("_weights"), F.lit(0))).otherwise(F.lit(1))
    parted = weighed.select(
        "*", (part.cast("decimal(10,9)") * F.lit(BILLION).cast("decimal(10,0)")).cast("decimal(10,0)").alias("_part")
    )
    summed = parted.select("*", F.sum("_part").over(within).cast("decimal(20,0)").alias("_parts"))
    worth = (F.col("_units") * F.col("_part")).cast("decimal(31,0)")
    floored = summed.select(
        "*",
        F.call_function("div", worth, F.col("_parts")).cast(UNITS).alias("_floor"),
        (worth % F.col("_parts")).alias("_rest"),
    )
    lost_most = within.orderBy(F.col("_rest").desc(), *order)
    ranked = floored.select(
        "*",
        (F.col("_units") - F.sum("_floor").over(within)).alias("_left"),
        F.row_number().over(lost_most).alias("_rank"),
    )
    units = (F.col("_floor") + F.when(F.col("_rank") <= F.col("_left"), 1).otherwise(0)).cast(UNITS)
    below = exact_difference(amount, _of_units(F.col("_units")))
    share = exact_sum(_of_units(units), F.when(F.col("_rank") == 1, below).otherwise(F.lit(0)))
    signed = F.when(F.col("whole") < 0, exact_difference(F.lit(0), share)).otherwise(share)
    working = ("_units", "_weight", "_weights", "_part", "_parts", "_floor", "_rest", "_left", "_rank")
    return ranked.select("*", signed.cast(RATED).alias("share")).drop(*working)


def _units(amount: Column) -> Column:
    """How many whole minor units of its currency an amount has; amount: RATED, not negative."""
    currency = F.col("currency")

    def counted(places: int) -> Column:
        return (F.floor(amount, F.lit(places)).cast(f"decimal({17 + places},{places})") * F.lit(10**places)).cast(UNITS)

    return (
        F.when(currency.isin(*NO_MINOR_UNITS), counted(0))
        .when(currency.isin(*THREE_MINOR_UNITS), counted(3))
        .otherwise(counted(2))
    )


def _of_units(units: Column) -> Column:
    """So many minor units as an amount, RATED."""
    currency = F.col("currency")
    cents, mills = (units.cast(UNITS) * F.lit(unit).cast("decimal(3,3)") for unit in ("0.01", "0.001"))
    whole = units.cast("decimal(23,3)")
    amount = F.when(currency.isin(*NO_MINOR_UNITS), whole).when(currency.isin(*THREE_MINOR_UNITS), mills).otherwise(cents)
    return amount.cast(RATED)

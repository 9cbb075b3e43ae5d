"""What a quantity costs: every pricing model, read from a price's parameters into one form and evaluated in one expression.

A price becomes its `terms`. Most models are tiers: each from `lower` to `upper` (open where null; a boundary belongs to the tier
below), with a price per unit or per started block and a flat part for entering it. Either each tier bills its own part of the
quantity, or the tier that is reached bills all of it. What is left has no tiers: so much per unit. docs/pricing.md
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.billing_aggregation.proration import fee_period, proration
from jobs.ledger.columns import QUANTITY, RATED
from jobs.ledger.money import exact_product, exact_sum
from jobs.ledger.periods import Period
from jobs.ledger.pricing import (
    AVERAGE,
    CAPACITY,
    COUNT,
    HOW_MANY,
    LATEST,
    MONEY,
    PEAK,
    PERCENT,
    PRICE,
    PRICE_ON_RECORD,
    SUM,
    UNIQUE,
    WHOLE,
    by_record,
    number,
    parsed,
)  # fmt: skip

FLAT, MATRIX, PERCENTAGE_TOTAL = "flat", "matrix", "percentage_total"
PER_UNIT = ("per_unit", "unit")
PER_TRANSACTION = ("percentage", "percentage_events")
OF_THE_TIER_REACHED = ("volume", "stairstep", "blocks_top_tier", "kb_top_tier")  # the others bill each tier's own part
DECIDED_BY_RECORD = (*PER_TRANSACTION, MATRIX, PRICE_ON_RECORD)  # a month's amount is the sum of what its records cost
OF_A_RECORD = ("record_id", "usage_start", "usage_end", "tags")  # what models see of a record or part, beside its quantity

# what a price list may ask for beyond so much per unit: tiers and what else a quantity may cost, a look at single records, or
# at several charges together
TIERS, RECORDS, SETTLEMENT = "tiers", "records", "settlement"
EVERYTHING = frozenset({TIERS, RECORDS, SETTLEMENT})


def asked(prices: DataFrame) -> DataFrame:
    """What a price list asks for, in a column `asked`: tiers, records, settlement, once each. prices: raw.prices."""
    told = parsed(F.col("parameters"))
    tiered = ~F.col("model").isin(*PER_UNIT, PRICE_ON_RECORD) | told["free_units"].isNotNull() | told["measure"].isNotNull()
    together = (F.col("model") == FLAT) | told["shared"].eqNullSafe("true")
    for key in ("min_spend", "max_spend", "discount_pct", "discount_amount"):
        together = together | told[key].isNotNull()
    wanted = {TIERS: tiered, RECORDS: by_record(), SETTLEMENT: together}
    told_so = F.array_compact(F.array(*(F.when(condition, F.lit(name)) for name, condition in wanted.items())))
    return prices.select(F.explode(told_so).alias("asked")).distinct()


def terms(prices: DataFrame, period: Period, asked: frozenset[str]) -> DataFrame:
    """Prices in the form they are evaluated in: tenant_id, price_id, terms (what is asked for). prices: raw.prices.

    A number that does not fit is null, and so is then the amount, for the suite to refuse; ingestion lets none through.
    """
    told, model = parsed(F.col("parameters")), F.col("model")
    unit_price = number(F.coalesce(told["unit_price"], F.when(model == "unit", told["price"])), PRICE)
    fields = {"unit_price": unit_price.cast(QUANTITY)}
    if TIERS in asked:
        fields |= {
            "free_units": F.coalesce(number(F.coalesce(told["free_units"], told["free"]), COUNT), _zero(COUNT)),
            "tiers": _tiers(model, told),
            "of_the_tier_reached": model.isin(*OF_THE_TIER_REACHED),
            "first_flat_at_zero": told["zero_usage_charges_first_flat"].eqNullSafe("true"),
            "fixed": _money(told["fixed"]),
            "events": number(told["events"], WHOLE),
            "free_events": F.coalesce(number(told["free_events"], WHOLE), _zero(WHOLE)),
            "measure": F.coalesce(told["measure"], F.when(model == CAPACITY, PEAK).otherwise(SUM)),
        }
    if RECORDS in asked:
        fields |= {
            "rate": _share_of(told["rate_pct"]),
            "transaction_min": number(told["min"], MONEY).cast(RATED),
            "transaction_max": number(told["max"], MONEY).cast(RATED),
            "of": told["of"],
            "dimensions": told["dimensions"],
            "cells": F.transform(told["prices"], _cell),
        }
    if SETTLEMENT in asked:
        begins, ends = fee_period(F.lit(period.first_day), number(told["anchor_day"], WHOLE))
        share = proration(F.col("valid_from"), F.col("valid_to"), begins, ends, told["proration"])
        fields |= {
            "fee": exact_product(number(told["amount"], MONEY).cast(QUANTITY), share),
            "shared": told["shared"].eqNullSafe("true"),
            "discount_rate": _share_of(told["discount_pct"]),
            "discount_amount": number(told["discount_amount"], MONEY).cast(RATED),
            "discount_after_maximum": told["discount_after_maximum"].eqNullSafe("true"),
            "min_spend": number(told["min_spend"], MONEY).cast(RATED),
            "max_spend": number(told["max_spend"], MONEY).cast(RATED),
        }
    form = F.struct(*(column.alias(name) for name, column in fields.items()))
    return prices.select("tenant_id", "price_id", form.alias("terms"))


def _cell(told: Column) -> Column:
    """A price of a matrix: the values it holds at, and the price."""
    return F.struct(told["values"].alias("at"), number(told["unit_price"], PRICE).alias("unit_price"))


def _tiers(model: Column, told: Column) -> Column:
    """The tiers of a price, null where it has none: lower, upper, unit (price of a unit or block), flat, block (its size)."""

    def tier(lower: Column, upper: Column, unit: Column, flat: Column, block: Column) -> Column:
        told = {"lower": lower.cast(QUANTITY), "upper": upper.cast(QUANTITY), "unit": unit.cast(QUANTITY)}
        told |= {"flat": flat.cast(RATED), "block": block.cast(QUANTITY)}
        return F.struct(*(column.alias(name) for name, column in told.items()))

    tiers, blocks = told["tiers"], told["blocks"]
    none = F.lit(None)

    def unit(one: Column) -> Column:
        per_unit = F.when(one["unit"].isNull(), _zero(PRICE)).otherwise(number(one["unit"], PRICE)).cast(QUANTITY)
        return F.when(one["rate_pct"].isNotNull(), _share_of(one["rate_pct"])).otherwise(per_unit)

    def declared(one: Column, at: Column) -> Column:
        below = F.coalesce(number(F.get(tiers, at - 1)["up_to"], COUNT), _zero(COUNT))
        return tier(below, number(one["up_to"], COUNT), unit(one), _money(one["flat"]), none)

    def holds(block: Column) -> Column:  # how many units a tier of blocks takes in
        return exact_product(number(F.get(block, 0), COUNT), number(F.get(block, 1), WHOLE).cast(PRICE)).cast(COUNT)

    def of_blocks(block: Column, at: Column) -> Column:
        until = F.aggregate(
            F.slice(blocks, F.lit(1), at), _zero(COUNT), lambda sofar, before: (sofar + holds(before)).cast(COUNT)
        )
        last = at == F.size(blocks) - 1  # what goes beyond the last block is billed at its price, not given away
        upper = F.when(~last, (until + holds(block)).cast(COUNT))
        return tier(until, upper, number(F.get(block, 2), PRICE), _zero(MONEY), number(F.get(block, 0), COUNT))

    package = tier(_zero(COUNT), none, number(told["price"], PRICE), _zero(MONEY), number(told["size"], COUNT))
    percentage = tier(_zero(COUNT), none, _share_of(told["rate_pct"]), _zero(MONEY), none)
    return (
        F.when(model == "package", F.array(package))
        .when(model == PERCENTAGE_TOTAL, F.array(percentage))
        .when(blocks.isNotNull(), F.transform(blocks, of_blocks))
        .when(tiers.isNotNull(), F.transform(tiers, declared))
    )


def amounts(quantity: Column, events: Column, asked: frozenset[str]) -> tuple[Column, Column]:
    """What a quantity costs by the column `terms`: its part per unit and its flat part, as RATED.

    quantity: of a month and group, QUANTITY. events: how many records it came in. asked: what the terms tell of.
    Less than nothing is given back at the first tier's price, without a flat part.
    """
    terms = F.col("terms")
    if TIERS not in asked:
        return exact_product(quantity, terms["unit_price"]), _zero(MONEY).cast(RATED)
    tiers, reached_bills = terms["tiers"], terms["of_the_tier_reached"]
    free = terms["free_units"]
    left = (
        F.when(free == 0, quantity).when(quantity > free, _less(quantity, free)).otherwise(F.least(quantity, _zero(COUNT)))
    )
    billed = left.cast(QUANTITY)
    reached = F.get(F.filter(tiers, lambda one: one["upper"].isNull() | (billed <= one["upper"])), 0)

    def own_part(one: Column) -> Column:
        part = _less(F.least(billed, one["upper"]), one["lower"]).cast(QUANTITY)
        return F.when((billed > one["lower"]) | (one["lower"] == 0), _of_blocks(part, one)).otherwise(
            _zero(MONEY).cast(RATED)
        )

    per_unit = (
        F.when(tiers.isNull(), exact_product(billed, terms["unit_price"]))
        .when(reached_bills, _of_blocks(billed, reached))
        .otherwise(F.aggregate(tiers, _zero(MONEY).cast(RATED), lambda sofar, one: exact_sum(sofar, own_part(one))))
    )
    entered = F.filter(tiers, lambda one: billed > one["lower"])
    flat_parts = F.aggregate(entered, _zero(MONEY).cast(RATED), lambda sofar, one: exact_sum(sofar, one["flat"]))
    told = F.coalesce(terms["events"].cast("bigint"), events)
    owed_events = F.greatest(told - terms["free_events"].cast("bigint"), F.lit(0)).cast(QUANTITY)
    nothing = _zero(MONEY).cast(RATED)
    flat = (
        F.when(tiers.isNull(), nothing)
        .when((F.col("model") == PERCENTAGE_TOTAL) & (quantity != 0), exact_product(owed_events, terms["fixed"].cast(PRICE)))
        .when((billed == 0) & terms["first_flat_at_zero"], F.get(tiers, 0)["flat"])
        .when((billed > 0) & reached_bills, reached["flat"])
        .when(billed > 0, flat_parts)
        .otherwise(nothing)
    )
    return per_unit, flat


def _of_blocks(part: Column, tier: Column) -> Column:
    """A part of the quantity at a tier's price: per unit, or per block of which a started one counts whole."""
    block = tier["block"]
    started = F.call_function("div", part, block) + F.when(part % block > 0, 1).otherwise(0)
    return exact_product(F.when(block.isNull(), part).otherwise(started.cast(QUANTITY)), tier["unit"])


def rated_records(records: DataFrame) -> DataFrame:
    """Records with what each costs by itself, in `record_amount`, where its price looks at single records.

    records: tenant_id, account_id, price_id, model, region, unit, currency, quantity, record_amount (of the price on the record),
    record (sums.RECORD, null for a sum), terms (null where no price holds). Fills record_amount, and adds what the measures look at:
    level (what the whole record states; a level is not shared out when its record is cut), weight (the seconds that it counts for in
    an average, one at least), place (in time) and tag (the one that unique counts). A transaction is charged whole, where it begins.
    A matrix without a price for the values of a record takes its price away: the suite then names the product.
    """
    terms, record = F.col("terms"), F.col("record")
    is_first = record["begins"]
    quantity = F.when(is_first, record["stated"]).otherwise(_zero(COUNT)).cast(QUANTITY)
    month = Window.partitionBy("tenant_id", "account_id", "price_id", "region", "unit", "currency")
    order = month.orderBy(record["usage_start"], record["record_id"])
    before = F.coalesce(F.sum(quantity).over(order.rowsBetween(Window.unboundedPreceding, -1)), _zero(COUNT))
    free_left = F.greatest(_less(terms["free_units"], before), _zero(COUNT))
    owed = F.when(quantity <= 0, quantity).otherwise(F.greatest(_less(quantity, free_left), _zero(COUNT)))
    is_free_event = F.count(F.when(is_first, 1)).over(order) <= terms["free_events"]
    fixed = F.when(is_free_event, _zero(MONEY).cast(RATED)).otherwise(terms["fixed"])
    rated = exact_sum(exact_product(owed.cast(QUANTITY), terms["rate"]), fixed)
    bounded = F.least(F.greatest(rated, terms["transaction_min"]), terms["transaction_max"])  # both skip a null
    tags = F.from_json(record["tags"], "map<string,string>")
    at = F.transform(terms["dimensions"], lambda name: F.try_element_at(tags, name))
    cell = F.get(F.filter(terms["cells"], lambda one: one["at"] == at), 0)["unit_price"]
    unit_price = F.coalesce(cell, terms["unit_price"])
    seconds = F.unix_timestamp(record["usage_end"]) - F.unix_timestamp(record["usage_start"])
    unlisted = (F.col("model") == MATRIX) & unit_price.isNull()
    amount = (
        F.when(F.col("model") == MATRIX, exact_product(F.col("quantity"), unit_price))
        .when(F.col("model").isin(*PER_TRANSACTION) & ~is_first, _zero(MONEY).cast(RATED))
        .when(F.col("model").isin(*PER_TRANSACTION) & is_free_event & (owed <= 0), _zero(MONEY).cast(RATED))
        .when(F.col("model").isin(*PER_TRANSACTION), bounded)
        .otherwise(F.col("record_amount"))
    )
    told = {
        "price_id": F.when(~unlisted, F.col("price_id")),
        "prices_in_force": F.when(unlisted, 0).otherwise(F.col("prices_in_force")),
        "record_amount": amount,
        "level": record["stated"],
        "weight": F.when(terms["measure"] == AVERAGE, F.greatest(F.coalesce(seconds, F.lit(1)), F.lit(1))),
        "place": F.struct(record["usage_start"], record["record_id"]),
        "tag": F.try_element_at(tags, terms["of"]),
    }
    return records.withColumns(told).drop("terms", "record")


def of_records() -> list[Column]:
    """What the measures of single records come to in a group of rated_records(): peak, latest, distinct, average."""
    weighted = F.sum(exact_product(F.col("level"), F.col("weight").cast("decimal(34,21)")))
    average = F.coalesce(weighted / F.sum("weight").cast("decimal(18,0)"), _zero(COUNT))
    return [
        F.max("level").alias(PEAK),
        F.max_by("level", "place").alias(LATEST),
        F.size(F.collect_set("tag")).alias(UNIQUE),
        average.cast(QUANTITY).alias(AVERAGE),
    ]


def counted(asked: frozenset[str]) -> Column:
    """The quantity that a price looks at: the sum of the month's usage, or what its measure says. QUANTITY."""
    measure, found = F.col("terms")["measure"], F.col("counted")
    found = F.when(measure == HOW_MANY, F.col("events").cast(QUANTITY)).otherwise(found)
    for name in (UNIQUE, PEAK, LATEST, AVERAGE) if RECORDS in asked else ():
        found = F.when(measure == name, F.col(name).cast(QUANTITY)).otherwise(found)
    return found


def _less(one: Column, other: Column) -> Column:
    """A difference of quantities, exact: both less one digit, or Spark would drop the last decimal."""
    return (one.cast(COUNT) - other.cast(COUNT)).cast(QUANTITY)


def _share_of(percent: Column) -> Column:
    """A rate in percent as QUANTITY, exactly."""
    return (number(percent, PERCENT) * F.expr("CAST(0.01 AS DECIMAL(2,2))")).cast(QUANTITY)


def _money(text: Column) -> Column:
    """An amount that may be left out, as RATED; what is there and is no number stays null."""
    return F.when(text.isNull(), _zero(MONEY)).otherwise(number(text, MONEY)).cast(RATED)


def _zero(kind: str) -> Column:
    return F.lit(0).cast(kind)

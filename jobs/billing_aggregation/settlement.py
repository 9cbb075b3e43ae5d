"""What several charges have to settle together: tiers that linked accounts share, recurring fees, discounts, limits of spend."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.billing_aggregation.conversion import PAIR, Exchange
from jobs.billing_aggregation.models import DECIDED_BY_RECORD, FLAT
from jobs.billing_aggregation.proration import fee_period
from jobs.ledger.allocation import allocated
from jobs.ledger.columns import QUANTITY, RATED
from jobs.ledger.money import exact_difference, exact_product
from jobs.ledger.periods import Period
from jobs.ledger.pricing import WHOLE, number, parsed

USAGE, FLAT_PART, FEE, DISCOUNT, MAXIMUM, MINIMUM = "usage", "flat", "fee", "discount", "maximum", "minimum"
CREDIT = "credit"  # what a grant pays, of any of these
OF_A_PRICE = ["tenant_id", "spender_id", "product_id", "price_id", "model", "currency", "price_currency", "prices_in_force"]
OF_A_QUANTITY = [*OF_A_PRICE, "region", "unit"]
NEVER = date(9999, 12, 31)


def agreed(prices: DataFrame, accounts: DataFrame, period: Period, exchange: Exchange | None = None) -> DataFrame:
    """What an account owes by a price of its own although it may use nothing: recurring fees and minimum commitments.

    prices: raw.prices. accounts: one row per account. exchange: None where no currency is converted.
    Returns rows as a sum of usage has them once it is priced, of no quantity and no records: tenant_id, account_id, product_id,
    region, unit, currency, price_currency, payer_account_id, price_id, model, prices_in_force (2 where an earlier one still holds), quantity,
    usage_rows and record_amount. A fee is due in the month its period ends in; a commitment in every month the price holds in, whole.
    """
    told = parsed(F.col("parameters"))
    month = F.lit(period.first_day)
    of_fees = fee_period(month, number(told["anchor_day"], WHOLE))
    is_fee = F.col("model") == FLAT
    begins, ends = (
        F.when(is_fee, day).otherwise(other) for day, other in zip(of_fees, (month, F.add_months(month, 1)), strict=True)
    )
    until = F.coalesce("valid_to", F.lit(NEVER))
    is_due = (F.col("valid_from") < ends) & (until > begins) & (is_fee | told["min_spend"].isNotNull())
    own = prices.where(F.col("account_id").isNotNull() & is_due)
    of_one = Window.partitionBy("tenant_id", "account_id", "product_id", "region", "currency").orderBy(
        "valid_from", "price_id"
    )
    earlier = F.max(until).over(of_one.rowsBetween(Window.unboundedPreceding, -1))
    overlaps = F.coalesce(earlier > F.col("valid_from"), F.lit(False))
    listed = own.select(
        "tenant_id", "account_id", "product_id", "region", "unit", "model", F.col("currency").alias("price_currency"),
        F.when(~overlaps, F.col("price_id")).alias("price_id"),
        F.when(overlaps, 2).otherwise(1).alias("prices_in_force"),
    )  # fmt: skip
    owners = accounts.select("tenant_id", "account_id", "currency", "payer_account_id")
    owned = listed.join(owners, on=["tenant_id", "account_id"], how="left")
    same = F.col("currency").isNull() | (F.col("currency") == F.col("price_currency"))
    for_us = same
    if exchange is not None:
        owned = owned.join(F.broadcast(exchange.rates.select(*PAIR, F.lit(True).alias("has_rate"))), on=PAIR, how="left")
        for_us = same | F.coalesce("has_rate", F.lit(False))
    nothing = F.when(F.col("model").isin(*DECIDED_BY_RECORD), F.lit(0)).cast(RATED)
    of_nothing = {
        "price_currency": F.when(~same, F.col("price_currency")),
        "quantity": F.lit(0).cast(QUANTITY),
        "usage_rows": F.lit(0).cast("bigint"),
        "record_amount": nothing,
    }
    return owned.where(for_us).drop("has_rate").withColumns(of_nothing)


def counted_together(rows: DataFrame) -> DataFrame:
    """Rows with the quantity that decides their tier: that of all linked accounts where the price is shared among them.

    rows: one per account, price, region, unit and currency, with terms, payer_account_id, counted and events.
    Adds spender_id, who is settled with: the payer of a shared price, else the account; and own_counted, what the row itself has.
    """
    spender = F.when(F.col("terms")["shared"], F.coalesce("payer_account_id", "account_id")).otherwise(F.col("account_id"))
    together = Window.partitionBy(*OF_A_QUANTITY)
    owned = rows.withColumns({"spender_id": spender, "own_counted": F.col("counted")})
    return owned.withColumns(
        {"counted": F.sum("own_counted").over(together).cast(QUANTITY), "events": F.sum("events").over(together)}
    )


def settled(rows: DataFrame, natural: list[str]) -> DataFrame:
    """The charges that rated rows come to, a row for each kind.

    rows: as counted_together() returns them, with rated and flat, the amounts of the quantity counted together. natural: the
    columns that name a charge within its tenant, kind among them.
    Returns tenant_id, natural, prices_in_force, quantity, usage_rows, amount. Only lines of usage have a quantity; what is
    discounted or above the maximum is negative. All shares are by largest remainder, so that lines add up to the whole.
    """
    return _with_spend(_shared_out(rows), natural)


def _shared_out(rows: DataFrame) -> DataFrame:
    """Each account's own part of what was rated together, by what it used; and the fee of a price on one of its rows."""
    place = Window.partitionBy(*OF_A_PRICE).orderBy("usage_rows", "account_id", "region", "unit")
    placed = rows.withColumn("place", F.row_number().over(place))
    nothing = F.lit(0)

    def part(kind: str, whole: Column, quantity: Column = nothing, usage_rows: Column = nothing) -> Column:
        told = {"kind": F.lit(kind), "whole": whole.cast(RATED), "quantity": quantity.cast(QUANTITY)}
        told["usage_rows"] = usage_rows.cast("bigint")
        return F.struct(*(column.alias(name) for name, column in told.items()))

    fee = F.col("terms")["fee"]
    parts = F.array(
        part(USAGE, F.col("rated"), F.col("quantity"), F.col("usage_rows")),
        F.when(F.col("flat") != 0, part(FLAT_PART, F.col("flat"))),
        F.when((F.col("model") == FLAT) & (F.col("place") == 1) & (fee != 0), part(FEE, fee)),
    )
    exploded = placed.select("*", F.explode(F.array_compact(parts)).alias("part"), F.col("own_counted").alias("weight"))
    lines = exploded.drop("quantity", "usage_rows").select("*", "part.*")
    shares = allocated(lines, [*OF_A_QUANTITY, "kind"], ["account_id"])
    is_own = (F.col("kind") == FEE) | ~F.coalesce(F.col("terms")["shared"], F.lit(False))
    return shares.withColumn("amount", F.when(is_own, F.col("whole")).otherwise(F.col("share"))).drop(
        "whole", "weight", "share"
    )


def _with_spend(lines: DataFrame, natural: list[str]) -> DataFrame:
    """Lines with those that a discount, a maximum and a minimum of their price add, each over the price's month."""
    terms = F.col("terms")
    whole = lines.withColumn("total", F.sum("amount").over(Window.partitionBy(*OF_A_PRICE)))
    total = F.greatest(F.col("total"), F.lit(0).cast(RATED))

    def discount(of: Column) -> Column:
        rate = exact_product(of.cast(QUANTITY), terms["discount_rate"])
        return F.coalesce(
            rate, F.when(terms["discount_amount"].isNotNull(), F.least(terms["discount_amount"], of)), F.lit(0).cast(RATED)
        )

    def above(of: Column) -> Column:
        return F.coalesce(F.greatest(exact_difference(of, terms["max_spend"]), F.lit(0)), F.lit(0)).cast(RATED)

    last = terms["discount_after_maximum"]
    discounted = whole.withColumn(
        "discount", F.when(~last, discount(total)).otherwise(discount(exact_difference(total, above(total))))
    )
    capped = discounted.withColumn(
        "above", F.when(last, above(total)).otherwise(above(exact_difference(total, F.col("discount"))))
    )
    net = exact_difference(exact_difference(F.col("total"), F.col("discount")), F.col("above"))
    missing = F.when(terms["min_spend"].isNotNull(), F.greatest(exact_difference(terms["min_spend"], net), F.lit(0)))
    asked = capped.withColumn("missing", missing.cast(RATED))

    def piece(kind: str, amount: Column) -> Column:
        told = {"kind": F.lit(kind), "whole": amount.cast(RATED), "quantity": F.lit(0).cast(QUANTITY)}
        told["usage_rows"] = F.lit(0).cast("bigint")
        return F.when(amount != 0, F.struct(*(column.alias(name) for name, column in told.items())))

    own = F.struct("kind", F.col("amount").alias("whole"), "quantity", "usage_rows")
    pieces = F.array(
        own,
        piece(DISCOUNT, exact_difference(F.lit(0), F.col("discount"))),
        piece(MAXIMUM, exact_difference(F.lit(0), F.col("above"))),
        piece(MINIMUM, F.col("missing")),
    )
    spread = asked.select(
        "*", F.explode(F.array_compact(pieces)).alias("piece"), F.col("kind").alias("of_kind"), F.col("amount").alias("weight")
    ).drop("kind", "quantity", "usage_rows").select("*", "piece.*")  # fmt: skip
    shares = allocated(spread, [*OF_A_PRICE, "kind"], ["account_id", "region", "unit", "of_kind"])
    is_own = F.col("kind") == F.col("of_kind")
    amount = F.when(is_own, F.col("whole")).otherwise(F.col("share"))
    summed = shares.groupBy("tenant_id", *natural, "prices_in_force").agg(
        F.sum("quantity").cast(QUANTITY).alias("quantity"),
        F.sum("usage_rows").alias("usage_rows"),
        F.sum(amount).cast(RATED).alias("amount"),
    )
    is_usage = (F.col("kind") == USAGE) & ((F.col("usage_rows") > 0) | (F.col("prices_in_force") != 1))
    return summed.where(is_usage | ((F.col("kind") != USAGE) & (F.col("amount") != 0)))

"""A month of usage and the prices in force, to charges."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.billing_aggregation.tables import CHARGES
from jobs.ledger.columns import QUANTITY, RATED
from jobs.ledger.identity import natural_id
from jobs.ledger.money import exact_product
from jobs.ledger.periods import Period

PER_UNIT, PRICE_ON_RECORD = "per_unit", "price_on_record"


def revised(usage: DataFrame) -> DataFrame:
    """The rows that say something of a record that was said before."""
    return usage.where((F.col("revision") > 0) | F.col("withdrawn"))


def latest_revisions(usage: DataFrame) -> DataFrame:
    """Of every record its highest revision, unless that withdraws it. usage: raw.usage of one month.

    Only records that were revised are compared; the others pass without a shuffle.
    """
    key = ["tenant_id", "record_id"]
    spoken_of = revised(usage).select(*key).distinct()
    untouched = usage.join(F.broadcast(spoken_of), on=key, how="left_anti")
    newest = Window.partitionBy(*key).orderBy(F.col("revision").desc())
    chosen = (
        usage.join(F.broadcast(spoken_of), on=key, how="left_semi")
        .select("*", F.row_number().over(newest).alias("age"))
        .where((F.col("age") == 1) & ~F.col("withdrawn"))
        .drop("age")
    )
    return untouched.unionByName(chosen)


def charges(usage: DataFrame, prices: DataFrame, accounts: DataFrame, zones: DataFrame, period: Period) -> DataFrame:
    """Charge one month of usage, "per unit" or at the price on the record.

    usage: standing revisions of one month. prices: raw.prices. accounts: one row per account. zones: tenant_id, timezone,
    in which a tenant's days begin.
    Returns CHARGES without publication_id: amount = quantity x unit price in currency units, not rounded below 18 decimals;
    rounding belongs to the document. A charge with no price in force, or with several, keeps a null amount for the suite
    to refuse; so does one of an unknown account (null currency). Source: docs/decisions/0001-rounding.md
    """
    billed = _by_day_of_price_change(usage, price_days(prices, zones))
    dimensions = ["tenant_id", "account_id", "product_id", "region", "unit", "recorded_currency", "priced_on", "on_record"]
    product = exact_product(F.col("quantity"), F.col("unit_price"))
    sums = billed.groupBy(*dimensions).agg(
        F.sum("quantity").cast(QUANTITY).alias("quantity"),
        F.sum(F.when(F.col("on_record"), product)).cast(RATED).alias("recorded_amount"),
        F.count(F.lit(1)).alias("usage_rows"),
    )
    summed = _in_currency(sums, accounts)
    priced = _with_price(summed, prices)
    amount = F.when(
        F.col("prices_in_force") == 1,
        F.when(F.col("model") == PRICE_ON_RECORD, F.col("recorded_amount")).otherwise(
            exact_product(F.col("quantity"), F.col("unit_price"))
        ),
    )
    natural = ["kind", "account_id", "product_id", "price_id", "model", "region", "unit", "currency"]
    rated = (
        priced.select("*", amount.alias("rated"), F.lit("usage").alias("kind"))
        .groupBy("tenant_id", *natural, "prices_in_force")
        .agg(
            F.sum("quantity").cast(QUANTITY).alias("quantity"),
            F.when(F.count(F.lit(1)) == F.count("rated"), F.sum("rated").cast(RATED)).alias("amount"),
            F.sum("usage_rows").alias("usage_rows"),
        )
    )
    columns = [field.name for field in CHARGES.schema.fields if field.name != "publication_id"]
    dated = rated.withColumn("period", F.lit(period.first_day))
    return dated.withColumn("charge_id", natural_id("tenant_id", "period", *natural, "prices_in_force")).select(*columns)


def _in_currency(sums: DataFrame, accounts: DataFrame) -> DataFrame:
    """Sums with the currency they are billed in: their own where they carry a price, else that of the account."""
    billed_in = accounts.select("tenant_id", "account_id", F.col("currency").alias("account_currency"))
    currency = F.when(F.col("on_record"), F.col("recorded_currency")).otherwise(F.col("account_currency"))
    owned = sums.join(billed_in, on=["tenant_id", "account_id"], how="left").withColumn("currency", currency)
    return owned.drop("recorded_currency", "account_currency")


def price_days(prices: DataFrame, zones: DataFrame) -> DataFrame:
    """The spans of time within which no price of a product begins or ends.

    prices: raw.prices. zones: tenant_id, timezone, in which a tenant's days begin.
    Returns tenant_id, product_id, day (the first of the span), begins and ends (instants; ends is null for the last span).
    A day that a change of clocks cuts short begins at its first instant.
    """
    bounds = prices.select("tenant_id", "product_id", F.explode(F.array("valid_from", "valid_to")).alias("day"))
    days = bounds.where(F.col("day").isNotNull()).distinct().join(F.broadcast(zones), on="tenant_id", how="inner")
    begins = F.to_utc_timestamp(F.col("day").cast("timestamp"), F.col("timezone"))
    following = Window.partitionBy("tenant_id", "product_id").orderBy("day")
    return days.select(
        "tenant_id", "product_id", "day", begins.alias("begins"), F.lead(begins).over(following).alias("ends")
    )


def _by_day_of_price_change(usage: DataFrame, days: DataFrame) -> DataFrame:
    """Usage with the day that decides its price: the latest day on which a price of its product begins or ends.

    Between two such days the price is the same, so that a month of usage is summed before it is priced.
    """
    on_record = F.col("u.unit_price").isNotNull()
    within = (F.col("u.usage_start") >= F.col("d.begins")) & (
        F.col("d.ends").isNull() | (F.col("u.usage_start") < F.col("d.ends"))
    )
    same = [F.col(f"u.{name}") == F.col(f"d.{name}") for name in ("tenant_id", "product_id")]
    return usage.alias("u").join(F.broadcast(days.alias("d")), on=[*same, within], how="left").select(
        "u.tenant_id", "u.account_id", "u.product_id", "u.region", "u.unit", "u.quantity", "u.unit_price",
        F.when(on_record, F.col("u.currency")).alias("recorded_currency"),
        on_record.alias("on_record"),
        F.when(~on_record, F.col("d.day")).alias("priced_on"),
    )  # fmt: skip


def _with_price(summed: DataFrame, prices: DataFrame) -> DataFrame:
    """The price in force of each sum: the account's own before the general one, the region's before the one for all.

    Adds price_id, model, unit_price, prices_in_force: 0 where none holds on the day, 2 where several do at the best rank.
    Usage that carries its price needs no row in the price list, and its charge names none.
    """
    listed = prices.select(
        "tenant_id", "product_id", "price_id", "model", "currency", "valid_from", "valid_to",
        F.col("region").alias("price_region"), F.col("account_id").alias("price_account"),
        F.expr("CAST(get_json_object(parameters, '$.unit_price') AS DECIMAL(38,21))").alias("unit_price"),
    )  # fmt: skip
    keyed = summed.withColumn(
        "sum_id", F.struct("account_id", "product_id", "region", "unit", "currency", "priced_on", "on_record")
    )
    holds = (
        (F.col("p.valid_from") <= F.col("s.priced_on"))
        & (F.col("p.valid_to").isNull() | (F.col("s.priced_on") < F.col("p.valid_to")))
        & (F.col("p.price_region").isNull() | (F.col("p.price_region") == F.col("s.region")))
        & (F.col("p.price_account").isNull() | (F.col("p.price_account") == F.col("s.account_id")))
        & (F.col("p.model") != PRICE_ON_RECORD)
        & ~F.col("s.on_record")
    )
    same = [F.col(f"s.{name}") == F.col(f"p.{name}") for name in ("tenant_id", "product_id", "currency")]
    rank = F.when(F.col("p.price_account").isNotNull(), 2).otherwise(0) + F.when(
        F.col("p.price_region").isNotNull(), 1
    ).otherwise(0)
    matched = keyed.alias("s").join(
        F.broadcast(listed.alias("p")), on=[*same, holds], how="left"
    ).select("s.*", "p.price_id", "p.model", "p.unit_price", rank.alias("price_rank"))  # fmt: skip
    best = Window.partitionBy("tenant_id", "sum_id")
    ranked = matched.select("*", F.max("price_rank").over(best).alias("best_rank")).where(
        F.col("price_id").isNull() | (F.col("price_rank") == F.col("best_rank"))
    )
    chosen = ranked.select(
        "*",
        F.count("price_id").over(best).cast("int").alias("found"),
        F.row_number().over(best.orderBy("price_id")).alias("place"),
    ).where(F.col("place") == 1)
    on_record = F.col("on_record")
    return chosen.select(
        "tenant_id", "account_id", "product_id", "region", "unit", "currency", "quantity", "recorded_amount", "usage_rows",
        F.when(F.col("found") == 1, F.col("price_id")).alias("price_id"),
        F.when(on_record, PRICE_ON_RECORD).otherwise(F.coalesce("model", F.lit(PER_UNIT))).alias("model"),
        "unit_price",
        F.when(on_record, 1).otherwise(F.least("found", F.lit(2))).alias("prices_in_force"),
    )  # fmt: skip


def conservation(usage: DataFrame, charged: DataFrame) -> DataFrame:
    """Accepted usage beside charged usage, per tenant and product, in one pass over each.

    usage: standing revisions of the month. charged: staged CHARGES.
    Returns tenant_id, product_id, accepted_quantity, charged_quantity, accepted_rows, charged_rows.
    """
    accepted = usage.groupBy("tenant_id", "product_id").agg(
        F.sum("quantity").cast(QUANTITY).alias("accepted_quantity"), F.count(F.lit(1)).alias("accepted_rows")
    )
    rated = charged.groupBy("tenant_id", "product_id").agg(
        F.sum("quantity").cast(QUANTITY).alias("charged_quantity"), F.sum("usage_rows").alias("charged_rows")
    )
    return accepted.join(rated, on=["tenant_id", "product_id"], how="full_outer")

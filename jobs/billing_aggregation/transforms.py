"""A month of usage and the prices in force, to charges. What a quantity costs is in models.py, what charges settle in settlement.py."""

from __future__ import annotations

from decimal import Decimal

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.billing_aggregation import models, settlement
from jobs.billing_aggregation.models import EVERYTHING, RECORDS, SETTLEMENT, TIERS
from jobs.billing_aggregation.tables import CHARGES
from jobs.ledger.columns import QUANTITY, RATED
from jobs.ledger.identity import natural_id
from jobs.ledger.money import exact_product
from jobs.ledger.periods import Period
from jobs.ledger.pricing import PRICE_ON_RECORD

NATURAL = ["kind", "account_id", "product_id", "price_id", "model", "region", "unit", "currency"]  # names a charge


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


def charges(
    usage: DataFrame,
    prices: DataFrame,
    accounts: DataFrame,
    zones: DataFrame,
    period: Period,
    asked: frozenset[str] = EVERYTHING,
) -> DataFrame:
    """Charge one month of usage by the models that the price list declares, or at the price on the record.

    usage: standing revisions of one month. prices: raw.prices. accounts: one row per account. zones: tenant_id, timezone,
    in which a tenant's days begin. asked: what the price list asks for, as models.asked() tells; what it does not ask for is
    left out of the plan, so that a month of prices per unit reads and sorts no more than it needs.
    Returns CHARGES without publication_id. A month's quantity of one account, price, region and unit is rated as a whole
    (docs/pricing.md); amounts are in currency units, not rounded below 18 decimals; rounding belongs to the document. A charge
    with no price in force, or with several, keeps a null amount for the suite to refuse; so does one of an unknown account (null
    currency). Source: docs/decisions/0001-rounding.md, 0008-pricing-models.md
    """
    listed = F.broadcast(models.terms(prices, period, asked))
    sums = _summed(_by_day_of_price_change(usage, price_days(prices, zones), asked), asked)
    priced = _with_price(_in_currency(sums, accounts), prices, asked)
    if RECORDS in asked:
        priced = models.rated_records(priced.join(listed, on=["tenant_id", "price_id"], how="left"))
    if SETTLEMENT in asked:
        priced = priced.unionByName(settlement.agreed(prices, accounts, period), allowMissingColumns=True)
    rows = _by_price(priced, asked).join(listed, on=["tenant_id", "price_id"], how="left")
    if RECORDS in asked:
        rows = rows.withColumn("counted", models.capacity())
    together = SETTLEMENT in asked
    rated = _rated(settlement.counted_together(rows) if together else rows, asked)
    lines = settlement.settled(rated, NATURAL) if together else _in_lines(rated, asked)
    columns = [field.name for field in CHARGES.schema.fields if field.name != "publication_id"]
    dated = lines.withColumns({"period": F.lit(period.first_day), "credit_id": F.lit(None).cast("string")})
    return dated.withColumn("charge_id", natural_id("tenant_id", "period", *NATURAL, "prices_in_force")).select(*columns)


def _summed(billed: DataFrame, asked: frozenset[str]) -> DataFrame:
    """Usage by everything that can decide its price; a record stays by itself where its product has a price that looks at it."""
    dimensions = ["tenant_id", "account_id", "product_id", "region", "unit", "recorded_currency", "priced_on", "on_record"]
    product = exact_product(F.col("quantity"), F.col("unit_price"))
    return billed.groupBy(*dimensions, *(["record"] if RECORDS in asked else [])).agg(
        F.sum("quantity").cast(QUANTITY).alias("quantity"),
        F.sum(F.when(F.col("on_record"), product)).cast(RATED).alias("record_amount"),
        F.count(F.lit(1)).alias("usage_rows"),
    )


def _by_price(priced: DataFrame, asked: frozenset[str]) -> DataFrame:
    """The quantity of a month that one price rates as a whole.

    Returns one row per tenant and NATURAL (without kind): quantity, usage_rows, decided (the sum of what records cost by
    themselves; null where that is unknown of one), counted (the quantity that the price looks at), events (its records).
    """
    itself = F.col("model").isin(*models.DECIDED_BY_RECORD)
    known = F.count(F.when(itself, 1)) == F.count("record_amount")
    more = []
    if RECORDS in asked:
        weighted = exact_product(F.col("quantity"), F.col("weight").cast("decimal(34,21)"))
        more = [F.max("quantity").alias("peak"), F.sum(weighted).alias("weighted"), F.sum("weight").alias("weights")]
    payer = ["payer_account_id"] if SETTLEMENT in asked else []
    return priced.groupBy("tenant_id", *(name for name in NATURAL if name != "kind"), "prices_in_force", *payer).agg(
        F.sum("quantity").cast(QUANTITY).alias("quantity"),
        F.sum("quantity").cast(QUANTITY).alias("counted"),
        F.when(known, F.sum("record_amount").cast(RATED)).alias("decided"),
        F.sum("usage_rows").alias("usage_rows"),
        F.sum("usage_rows").alias("events"),
        *more,
    )


def _rated(rows: DataFrame, asked: frozenset[str]) -> DataFrame:
    """Rows with what they cost: rated (by the unit, or by their records) and flat, both RATED, null without one price in force."""
    per_unit, flat = models.amounts(F.col("counted"), F.col("events"), asked)
    nothing = F.lit(0).cast(RATED)
    by_itself = F.col("model").isin(*models.DECIDED_BY_RECORD)
    rated = F.when(by_itself, F.col("decided")).when(F.col("model") == models.FLAT, nothing).otherwise(per_unit)
    is_tiered = ~by_itself & (F.col("model") != models.FLAT)
    has_price = F.col("prices_in_force") == 1
    is_used = F.col("usage_rows") > 0  # what is agreed without usage enters no tier
    return rows.withColumns(
        {
            "rated": F.when(has_price, F.when(is_used, rated).otherwise(nothing)),
            "flat": F.when(has_price, F.when(is_used & is_tiered, flat).otherwise(nothing)),
        }
    )


def _in_lines(rows: DataFrame, asked: frozenset[str]) -> DataFrame:
    """A line for the usage and, where a flat part is owed, another of no quantity for it."""
    if TIERS not in asked:
        return rows.withColumns({"kind": F.lit("usage"), "amount": F.col("rated")})
    zero = F.lit(0)
    usage = F.struct(F.lit("usage").alias("kind"), "quantity", "usage_rows", F.col("rated").alias("amount"))
    flat = F.struct(
        F.lit("flat").alias("kind"), zero.cast(QUANTITY).alias("quantity"), zero.cast("bigint").alias("usage_rows"),
        F.col("flat").alias("amount"),
    )  # fmt: skip
    lines = F.array_compact(F.array(usage, F.when(F.col("flat") != 0, flat)))
    return rows.select("*", F.explode(lines).alias("line")).drop("quantity", "usage_rows").select("*", "line.*")


def _in_currency(sums: DataFrame, accounts: DataFrame) -> DataFrame:
    """Sums with the currency they are billed in: their own where they carry a price, else that of the account; and who pays."""
    billed_in = accounts.select("tenant_id", "account_id", "payer_account_id", F.col("currency").alias("account_currency"))
    currency = F.when(F.col("on_record"), F.col("recorded_currency")).otherwise(F.col("account_currency"))
    owned = sums.join(billed_in, on=["tenant_id", "account_id"], how="left").withColumn("currency", currency)
    return owned.drop("recorded_currency", "account_currency")


def price_days(prices: DataFrame, zones: DataFrame) -> DataFrame:
    """The spans of time within which no price of a product begins or ends.

    prices: raw.prices. zones: tenant_id, timezone, in which a tenant's days begin.
    Returns tenant_id, product_id, day (the first of the span), begins and ends (instants; ends is null for the last span),
    by_record (whether the product has a price that looks at single records).
    A day that a change of clocks cuts short begins at its first instant.
    """
    bounds = prices.select(
        "tenant_id", "product_id", models.by_record().alias("by_record"),
        F.explode(F.array("valid_from", "valid_to")).alias("day"),
    ).where(F.col("day").isNotNull())  # fmt: skip
    distinct = bounds.groupBy("tenant_id", "product_id", "day").agg(F.max("by_record").alias("by_record"))
    days = distinct.join(F.broadcast(zones), on="tenant_id", how="inner")
    begins = F.to_utc_timestamp(F.col("day").cast("timestamp"), F.col("timezone"))
    following = Window.partitionBy("tenant_id", "product_id").orderBy("day")
    return days.select(
        "tenant_id", "product_id", "day", begins.alias("begins"), F.lead(begins).over(following).alias("ends"),
        F.max("by_record").over(Window.partitionBy("tenant_id", "product_id")).alias("by_record"),
    )  # fmt: skip


def _by_day_of_price_change(usage: DataFrame, days: DataFrame, asked: frozenset[str]) -> DataFrame:
    """Usage with the day that decides its price: the latest day on which a price of its product begins or ends.

    Between two such days the price is the same, so that a month of usage is summed before it is priced. `record` tells single
    records apart where a price of the product looks at them, and is null elsewhere; it is there only if it is asked for.
    """
    alone = F.col("d.by_record") & F.col("u.unit_price").isNull()
    of_record = F.struct(*(F.col(f"u.{name}") for name in models.OF_A_RECORD))
    record = [F.when(alone, of_record).alias("record")] if RECORDS in asked else []
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
        *record,
    )  # fmt: skip


def _with_price(summed: DataFrame, prices: DataFrame, asked: frozenset[str]) -> DataFrame:
    """The price in force of each sum: the account's own before the general one, the region's before the one for all.

    Adds price_id, model, prices_in_force: 0 where none holds on the day, 2 where several do at the best rank.
    Usage that carries its price needs no row in the price list, and its charge names none.
    """
    listed = prices.select(
        "tenant_id", "product_id", "price_id", "model", "currency", "valid_from", "valid_to",
        F.col("region").alias("price_region"), F.col("account_id").alias("price_account"),
    )  # fmt: skip
    of_record = ["record"] if RECORDS in asked else []
    keyed = summed.withColumn(
        "sum_id", F.struct("account_id", "product_id", "region", "unit", "currency", "priced_on", "on_record", *of_record)
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
    ).select("s.*", "p.price_id", "p.model", rank.alias("price_rank"))  # fmt: skip
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
        "tenant_id", "account_id", "product_id", "region", "unit", "currency", "quantity", "record_amount", "usage_rows",
        "payer_account_id", *of_record,
        F.when(F.col("found") == 1, F.col("price_id")).alias("price_id"),
        F.when(on_record, PRICE_ON_RECORD).otherwise(F.coalesce("model", F.lit("per_unit"))).alias("model"),
        F.when(on_record, 1).otherwise(F.least("found", F.lit(2))).alias("prices_in_force"),
    )  # fmt: skip


def month_on_month(charged: DataFrame, before: DataFrame, times: Decimal) -> DataFrame:
    """What each product comes to beside the month before. charged, before: CHARGES of the two months.

    Returns tenant_id, product_id, currency, amount, amount_before (null where one of them has none) and is_outlier: the greater of
    the two is more than so many times the other.
    """
    key = ["tenant_id", "product_id", "currency"]
    before_credits = F.col("kind") != "credit"  # what was used is what may jump, not who pays for it
    now = charged.where(before_credits).groupBy(*key).agg(F.sum("amount").cast(RATED).alias("amount"))
    then = before.where(before_credits).groupBy(*key).agg(F.sum("amount").cast(RATED).alias("amount_before"))
    factor = F.lit(str(times)).cast("decimal(9,3)")
    amount, other = (F.abs(name).cast("decimal(38,6)") for name in ("amount", "amount_before"))  # a rough look
    jumps = (other * factor < amount) | (amount * factor < other)
    return now.join(then, on=key, how="full_outer").withColumn("is_outlier", F.coalesce(jumps, F.lit(False)))


def conservation(usage: DataFrame, charged: DataFrame) -> DataFrame:
    """Accepted usage beside charged usage, per tenant, month and product, in one pass over each.

    usage: standing revisions. charged: CHARGES of the same months, adjustments among them; fees and discounts count no usage. Returns
    tenant_id, period, product_id, accepted_quantity, charged_quantity, accepted_rows, charged_rows, 0 where there is none.
    """
    key = ["tenant_id", "period", "product_id"]
    accepted = usage.groupBy(*key).agg(
        F.sum("quantity").cast(QUANTITY).alias("accepted_quantity"), F.count(F.lit(1)).alias("accepted_rows")
    )
    rated = charged.groupBy(*key).agg(
        F.sum("quantity").cast(QUANTITY).alias("charged_quantity"), F.sum("usage_rows").alias("charged_rows")
    )
    nothing, no_rows = F.lit(0).cast(QUANTITY), F.lit(0).cast("bigint")
    return accepted.join(rated, on=key, how="full_outer").select(
        *key,
        *(F.coalesce(name, nothing).alias(name) for name in ("accepted_quantity", "charged_quantity")),
        *(F.coalesce(name, no_rows).alias(name) for name in ("accepted_rows", "charged_rows")),
    )

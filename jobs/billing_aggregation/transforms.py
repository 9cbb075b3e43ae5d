"""A month of usage and the prices in force, to charges. What a quantity costs is in models.py, what charges settle in settlement.py."""

from __future__ import annotations

from decimal import Decimal

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.billing_aggregation import conversion, models, settlement, sums
from jobs.billing_aggregation.conversion import Exchange
from jobs.billing_aggregation.models import EVERYTHING, RECORDS, SETTLEMENT, TIERS
from jobs.billing_aggregation.tables import CHARGES
from jobs.ledger.columns import QUANTITY, RATED
from jobs.ledger.identity import natural_id
from jobs.ledger.periods import Period
from jobs.ledger.price_spans import price_spans
from jobs.ledger.pricing import PRICE_ON_RECORD

# names a charge
NATURAL = ["kind", "account_id", "product_id", "price_id", "model", "region", "unit", "currency", "price_currency"]


def charges(
    usage: DataFrame,
    prices: DataFrame,
    accounts: DataFrame,
    zones: DataFrame,
    period: Period,
    asked: frozenset[str] = EVERYTHING,
    exchange: Exchange | None = None,
) -> DataFrame:
    """Charge one month of usage, read record by record. zones: as price_spans.billing_zones() returns them.

    usage: standing revisions of one month; the rest, and what comes back, as in charges_of_sums().
    """
    summed = sums.of_usage(usage, price_spans(prices, zones), asked)
    return charges_of_sums(summed, prices, accounts, period, asked, exchange)


def charges_of_sums(
    summed: DataFrame,
    prices: DataFrame,
    accounts: DataFrame,
    period: Period,
    asked: frozenset[str] = EVERYTHING,
    exchange: Exchange | None = None,
) -> DataFrame:
    """Charge a month's sums of usage by the models that the price list declares, or at the price on the record.

    summed: as sums.of_usage() returns them. prices: raw.prices. accounts: one row per account. asked: what the price list asks for,
    as models.asked() tells; what it does not ask for is left out of the plan, so that a month of prices per unit reads and sorts
    no more than it needs. exchange: None where no currency is converted.
    Returns CHARGES without publication_id. A month's quantity of one account, price, region and unit is rated as a whole
    (docs/pricing.md); amounts are in currency units, not rounded below 18 decimals; rounding belongs to the document. A charge
    with no price in force, or with several, keeps a null amount for the suite to refuse; so does one of an unknown account (null
    currency). Source: docs/decisions/0001-rounding.md, 0008-pricing-models.md
    """
    listed = F.broadcast(models.terms(prices, period, asked))
    priced = _with_price(_in_currency(summed, accounts, exchange), _in_currencies(prices, exchange), asked)
    if RECORDS in asked:
        priced = models.rated_records(priced.join(listed, on=["tenant_id", "price_id"], how="left"))
    if SETTLEMENT in asked:
        priced = priced.unionByName(settlement.agreed(prices, accounts, period, exchange), allowMissingColumns=True)
    rows = _by_price(priced, asked).join(listed, on=["tenant_id", "price_id"], how="left")
    if TIERS in asked:
        rows = rows.withColumn("counted", models.counted(asked))
    together = SETTLEMENT in asked
    rated = _rated(settlement.counted_together(rows) if together else rows, asked)
    lines = settlement.settled(rated, NATURAL) if together else _in_lines(rated, asked)
    columns = [field.name for field in CHARGES.schema.fields if field.name != "publication_id"]
    dated = conversion.converted(lines, exchange).withColumns(
        {"period": F.lit(period.first_day), "credit_id": F.lit(None).cast("string")}
    )
    return dated.withColumn("charge_id", natural_id("tenant_id", "period", *NATURAL, "prices_in_force")).select(*columns)


def _by_price(priced: DataFrame, asked: frozenset[str]) -> DataFrame:
    """The quantity of a month that one price rates as a whole.

    Returns one row per tenant and NATURAL (without kind): quantity, usage_rows, decided (the sum of what records cost by
    themselves; null where that is unknown of one), counted (the quantity that the price looks at), events (its records).
    """
    itself = F.col("model").isin(*models.DECIDED_BY_RECORD)
    known = F.count(F.when(itself, 1)) == F.count("record_amount")
    more = models.of_records() if RECORDS in asked else []
    payer = ["payer_account_id"] if SETTLEMENT in asked else []
    return priced.groupBy("tenant_id", *(name for name in NATURAL if name != "kind"), "prices_in_force", *payer).agg(
        F.sum("quantity").cast(QUANTITY).alias("quantity"),
        F.sum("quantity").cast(QUANTITY).alias("counted"),
        F.when(known, F.sum("record_amount").cast(RATED)).alias("decided"),
        F.sum("usage_rows").alias("usage_rows"),
        F.coalesce(F.sum("events"), F.lit(0)).alias("events"),  # what is agreed without usage tells of none
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
        return rows.withColumns({"kind": F.lit(settlement.USAGE), "amount": F.col("rated")})
    zero = F.lit(0)
    usage = F.struct(F.lit(settlement.USAGE).alias("kind"), "quantity", "usage_rows", F.col("rated").alias("amount"))
    flat = F.struct(
        F.lit("flat").alias("kind"), zero.cast(QUANTITY).alias("quantity"), zero.cast("bigint").alias("usage_rows"),
        F.col("flat").alias("amount"),
    )  # fmt: skip
    lines = F.array_compact(F.array(usage, F.when(F.col("flat") != 0, flat)))
    return rows.select("*", F.explode(lines).alias("line")).drop("quantity", "usage_rows").select("*", "line.*")


def _in_currency(summed: DataFrame, accounts: DataFrame, exchange: Exchange | None) -> DataFrame:
    """Sums with the currency they are billed in, and who pays: that of the account, or their own where they carry a price.

    Adds recorded_price_currency too, the currency of a price on the record that can be converted into the account's.
    """
    billed_in = accounts.select("tenant_id", "account_id", "payer_account_id", F.col("currency").alias("account_currency"))
    owned = summed.join(billed_in, on=["tenant_id", "account_id"], how="left")
    is_converted = F.lit(False)
    if exchange is not None:
        pairs = exchange.rates.select(
            "tenant_id", F.col("price_currency").alias("recorded_currency"), F.col("currency").alias("account_currency"),
            F.lit(True).alias("has_rate"),
        )  # fmt: skip
        owned = owned.join(F.broadcast(pairs), on=["tenant_id", "recorded_currency", "account_currency"], how="left")
        is_converted = F.col("on_record") & F.coalesce("has_rate", F.lit(False))
    keeps = F.col("on_record") & ~is_converted
    told = {
        "currency": F.when(keeps, F.col("recorded_currency")).otherwise(F.col("account_currency")),
        "recorded_price_currency": F.when(is_converted, F.col("recorded_currency")),
    }
    return owned.withColumns(told).drop("recorded_currency", "account_currency", "has_rate")


def _in_currencies(prices: DataFrame, exchange: Exchange | None) -> DataFrame:
    """Prices with the currencies they can be billed in: their own, and what a rate converts them into (price_currency is theirs)."""
    own = prices.withColumn("price_currency", F.lit(None).cast("string"))
    if exchange is None:
        return own
    others = prices.withColumnRenamed("currency", "price_currency").join(
        F.broadcast(exchange.rates.select(*conversion.PAIR)), on=["tenant_id", "price_currency"], how="inner"
    )
    return own.unionByName(others)


def _with_price(summed: DataFrame, prices: DataFrame, asked: frozenset[str]) -> DataFrame:
    """The price in force of each sum: one in its currency, else one to convert; the account's own, then the region's, then the others.

    prices: as _in_currencies() returns them. Adds price_id, model, price_currency (of a price to convert) and prices_in_force: 0 where
    none holds on the day, 2 where several do at the best rank.
    Usage that carries its price needs no row in the price list, and its charge names none.
    """
    listed = prices.select(
        "tenant_id", "product_id", "price_id", "model", "currency", "price_currency", "valid_from", "valid_to",
        F.col("region").alias("price_region"), F.col("account_id").alias("price_account"),
    )  # fmt: skip
    of_record = ["record"] if RECORDS in asked else []
    of_sum = ["account_id", "product_id", "region", "unit", "currency", "recorded_price_currency", "priced_on", "on_record"]
    keyed = summed.withColumn("sum_id", F.struct(*of_sum, *of_record))
    holds = (
        (F.col("p.valid_from") <= F.col("s.priced_on"))
        & (F.col("p.valid_to").isNull() | (F.col("s.priced_on") < F.col("p.valid_to")))
        & (F.col("p.price_region").isNull() | (F.col("p.price_region") == F.col("s.region")))
        & (F.col("p.price_account").isNull() | (F.col("p.price_account") == F.col("s.account_id")))
        & (F.col("p.model") != PRICE_ON_RECORD)
        & ~F.col("s.on_record")
    )
    same = [F.col(f"s.{name}") == F.col(f"p.{name}") for name in ("tenant_id", "product_id", "currency")]
    prefers = (
        (4, F.col("p.price_currency").isNull()),
        (2, F.col("p.price_account").isNotNull()),
        (1, F.col("p.price_region").isNotNull()),
    )
    rank = sum((F.when(condition, weight).otherwise(0) for weight, condition in prefers), F.lit(0))
    matched = keyed.alias("s").join(
        F.broadcast(listed.alias("p")), on=[*same, holds], how="left"
    ).select("s.*", "p.price_id", "p.model", "p.price_currency", rank.alias("price_rank"))  # fmt: skip
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
        "events", "payer_account_id", *of_record,
        F.when(F.col("found") == 1, F.col("price_id")).alias("price_id"),
        F.when(on_record, F.col("recorded_price_currency")).when(F.col("found") == 1, F.col("price_currency")).alias("price_currency"),
        F.when(on_record, PRICE_ON_RECORD).otherwise(F.coalesce("model", F.lit("per_unit"))).alias("model"),
        F.when(on_record, 1).otherwise(F.least("found", F.lit(2))).alias("prices_in_force"),
    )  # fmt: skip


def month_on_month(charged: DataFrame, before: DataFrame, times: Decimal) -> DataFrame:
    """What each product comes to beside the month before. charged, before: CHARGES of the two months.

    Returns tenant_id, product_id, currency, amount, amount_before (null where one of them has none) and is_outlier: the greater of
    the two is more than so many times the other.
    """
    key = ["tenant_id", "product_id", "currency"]
    before_credits = F.col("kind") != settlement.CREDIT  # what was used is what may jump, not who pays for it
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

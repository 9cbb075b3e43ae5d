"""Usage and prices that came after a month was invoiced: it is rated again, and the difference is billed in the open one.

Source: docs/decisions/0009-adjustments.md
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.billing_aggregation.tables import ADJUSTMENTS
from jobs.billing_aggregation.transforms import NATURAL
from jobs.ledger.columns import QUANTITY, RATED
from jobs.ledger.identity import natural_id
from jobs.ledger.periods import Period
from jobs.ledger.pricing import PRICE_ON_RECORD

ADJUSTED, CHANGES_NOTHING = "adjusted", "changes nothing"  # what became of what came late, if it does not wait
ACCOUNT = ["tenant_id", "period", "account_id"]  # of an adjusted month: period is that month, until it stands in ADJUSTMENTS
CHANGED_PRICES = ["price_id", "revision", "product_id", "landing_id", "row_number"]  # the statement that made the change


def concerned(accounts_named: DataFrame, accounts: DataFrame) -> DataFrame:
    """The accounts to rate again: those named, and all that share a payer with one of them, since tiers may be shared.

    accounts_named: ACCOUNT. accounts: one row per account. Returns ACCOUNT and payer_account_id; an account that nobody knows pays
    for itself.
    """
    payer = F.coalesce("payer_account_id", "account_id").alias("payer_account_id")
    paying = accounts.select("tenant_id", "account_id", payer)
    named = accounts_named.select(*ACCOUNT).distinct()
    known = named.join(paying, on=["tenant_id", "account_id"], how="left").select(*ACCOUNT, payer)
    payers = known.select("tenant_id", "period", "payer_account_id").distinct()
    mates = paying.join(F.broadcast(payers), on=["tenant_id", "payer_account_id"], how="inner").select(*known.columns)
    return known.unionByName(mates).distinct()


def concerned_by_prices(changed: DataFrame, billed: DataFrame) -> DataFrame:
    """Whom changed prices may bill otherwise: who was billed for what they speak of, and whose own price it is.

    changed: a row for every statement of a price that held at one time or another: tenant_id, period (the month), CHANGED_PRICES,
    currency, price_region, price_account. billed: CHARGES of the same months. Returns ACCOUNT and CHANGED_PRICES.
    """
    listed_in = F.coalesce("price_currency", "currency").alias("currency")
    lines = billed.where(F.col("model") != PRICE_ON_RECORD).select(*ACCOUNT, "product_id", "region", listed_in).distinct()
    same = ["tenant_id", "period", "product_id", "currency"]
    speaks_of = (F.col("price_region").isNull() | (F.col("price_region") == F.col("region"))) & (
        F.col("price_account").isNull() | (F.col("price_account") == F.col("account_id"))
    )
    using = lines.join(F.broadcast(changed), on=same, how="inner").where(speaks_of).select(*ACCOUNT, *CHANGED_PRICES)
    own = changed.where(F.col("price_account").isNotNull()).withColumn("account_id", F.col("price_account"))
    return using.unionByName(own.select(*ACCOUNT, *CHANGED_PRICES)).distinct()


def only(rows: DataFrame, accounts: DataFrame) -> DataFrame:
    """The rows of these accounts, of any month. accounts: tenant_id, account_id."""
    return rows.join(F.broadcast(accounts), on=["tenant_id", "account_id"], how="left_semi")


def of(rows: DataFrame, accounts: DataFrame) -> DataFrame:
    """The rows of these accounts and months. accounts: ACCOUNT."""
    return rows.join(F.broadcast(accounts), on=ACCOUNT, how="left_semi")


def prices_of(prices: DataFrame, accounts: DataFrame) -> DataFrame:
    """The general prices, and those of these accounts' own. prices: raw.prices. accounts: tenant_id, account_id."""
    return prices.where(F.col("account_id").isNull()).unionByName(only(prices, accounts))


def as_charges(adjusted: DataFrame) -> DataFrame:
    """Adjustments as the charges of the months they belong to. adjusted: ADJUSTMENTS."""
    return adjusted.withColumn("period", F.col("adjusts_period")).drop("adjusts_period")


def differences(rated: DataFrame, billed: DataFrame, period: Period) -> DataFrame:
    """What is still to bill where months were rated again: the new less what was billed, which may be less than nothing.

    rated, billed: CHARGES of the months that are adjusted, the new ones and all that was billed for them, adjustments too.
    period: the open month. Returns ADJUSTMENTS without publication_id, a row for every charge that changed; the amount is null
    where one of them is unknown, and prices_in_force are those of the new charge.
    """
    key = ["tenant_id", "period", *NATURAL, "credit_id"]
    told = ("quantity", "usage_rows", "amount")
    of_now = ("prices_in_force", "exchange_rate", "rate_date")
    now = rated.select(*key, *told, *of_now)
    unsaid = (F.lit(None).cast(rated.schema[name].dataType).alias(name) for name in of_now)
    before = billed.select(*key, *((-F.col(name)).alias(name) for name in told), *unsaid)
    known = F.count(F.lit(1)) == F.count("amount")
    summed = now.unionByName(before).groupBy(*key).agg(
        F.sum("quantity").cast(QUANTITY).alias("quantity"),
        F.sum("usage_rows").alias("usage_rows"),
        F.when(known, F.sum("amount").cast(RATED)).alias("amount"),
        F.coalesce(F.max("prices_in_force"), F.lit(1)).alias("prices_in_force"),  # a charge that is gone had one
        *(F.max(name).alias(name) for name in ("exchange_rate", "rate_date")),
    )  # fmt: skip
    nothing = (F.col("quantity") == 0) & (F.col("usage_rows") == 0) & (F.col("amount") == 0)
    dated = summed.where(~F.coalesce(nothing, F.lit(False))).withColumnsRenamed({"period": "adjusts_period"})
    columns = [field.name for field in ADJUSTMENTS.schema.fields if field.name != "publication_id"]
    return (
        dated.withColumn("period", F.lit(period.first_day))
        .withColumn("charge_id", natural_id("tenant_id", "period", "adjusts_period", *NATURAL, "credit_id"))
        .select(*columns)
    )


def too_large(changes: DataFrame, accounts: DataFrame, limits: Mapping[str, Decimal]) -> DataFrame:
    """The accounts whose adjustments of a month are more than a program may bill by itself, taken together by payer.

    changes: as differences() returns them. accounts: as concerned() returns them. limits: the largest sum of absolute amounts by
    currency; a currency without one has none. Returns ACCOUNT and why, in words.
    """
    payer = ["tenant_id", "period", "payer_account_id"]
    summed = as_charges(changes).join(accounts, on=ACCOUNT, how="inner").groupBy(*payer, "currency").agg(
        F.sum(F.abs("amount")).alias("moved")
    )  # fmt: skip
    over = summed.where(F.col("moved") > _limit(limits))
    why = F.concat(
        F.lit("waits: adjustments of "), F.round("moved", 2).cast("decimal(38,2)").cast("string"), F.lit(" "), F.col("currency"),
        F.lit(" are more than policy lets a run bill by itself"),
    )  # fmt: skip
    told = over.groupBy(*payer).agg(F.min(why).alias("why"))
    return accounts.join(F.broadcast(told), on=payer, how="inner").select(*ACCOUNT, "why")


def _limit(limits: Mapping[str, Decimal]) -> Column:
    """The limit of the row's currency; null, which nothing exceeds, where it has none."""
    found = F.lit(None).cast(RATED)
    for currency, amount in sorted(limits.items()):
        found = F.when(F.col("currency") == currency, F.lit(str(amount)).cast(RATED)).otherwise(found)
    return found


def billable(changes: DataFrame, waits: DataFrame) -> DataFrame:
    """ADJUSTMENTS without those of accounts that wait. waits: ACCOUNT."""
    of_months = waits.withColumnsRenamed({"period": "adjusts_period"})
    return changes.join(of_months, on=["tenant_id", "adjusts_period", "account_id"], how="left_anti")


def outcomes(late: DataFrame, waits: DataFrame, period: Period) -> DataFrame:
    """What became of every late record: LATE_USAGE without publication_id.

    late: rows of billing.waiting. waits: ACCOUNT and why. period: the open month.
    """
    outcome = F.coalesce("why", F.lit(ADJUSTED)).alias("outcome")
    return late.join(waits, on=ACCOUNT, how="left").select(
        "tenant_id", F.lit(period.first_day).alias("period"), F.col("period").alias("adjusts_period"), "record_id", "revision",
        "account_id", "product_id", "quantity", outcome, "landing_id", "row_number",
    )  # fmt: skip


def price_outcomes(named: DataFrame, changes: DataFrame, waits: DataFrame, period: Period) -> DataFrame:
    """What became of every changed price, for each account it concerns: LATE_PRICES without publication_id.

    named: ACCOUNT and CHANGED_PRICES. changes: as differences() returns them. waits: ACCOUNT, why and is_old (nobody has looked
    what it changes). period: the open month.
    """
    of_product = [*ACCOUNT, "product_id"]
    moved = as_charges(changes).select(*of_product, F.lit(True).alias("is_moved")).distinct()
    known = named.join(moved, on=of_product, how="left").join(waits, on=ACCOUNT, how="left")
    may_move = F.coalesce("is_moved", "is_old", F.lit(False))
    outcome = F.when(may_move, F.coalesce("why", F.lit(ADJUSTED))).otherwise(F.lit(CHANGES_NOTHING))
    return known.select(
        "tenant_id", F.lit(period.first_day).alias("period"), F.col("period").alias("adjusts_period"), "price_id", "revision",
        "product_id", "account_id", outcome.alias("outcome"), "landing_id", "row_number",
    )  # fmt: skip

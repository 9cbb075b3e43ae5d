"""Credits: what a customer was granted is used up by its charges, oldest expiry first, and never beyond what they come to.

Here is which credits a month has and what is left of them; what each pays of which charge is decided in covering.py. Only customers
who have a credit are looked at. Source: docs/decisions/0010-credits.md
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.billing_aggregation import covering
from jobs.billing_aggregation.settlement import CREDIT
from jobs.billing_aggregation.tables import CHARGES
from jobs.billing_aggregation.transforms import NATURAL
from jobs.ledger.columns import QUANTITY, RATED
from jobs.ledger.identity import natural_id
from jobs.ledger.money import exact_difference, minor_units
from jobs.ledger.periods import Period

CHARGED = [name for name in NATURAL if name != "kind"]  # names what a charge is for; all kinds of it are covered together
OF_A_CUSTOMER = ["tenant_id", "payer_account_id", "currency"]


def in_force(credits: DataFrame, period: Period) -> DataFrame:
    """The credits that may be used in a month: not withdrawn, and holding on one of its days. credits: one row per credit."""
    holds = (F.col("valid_from") < F.lit(period.next.first_day)) & (
        F.col("valid_to").isNull() | (F.col("valid_to") > F.lit(period.first_day))
    )
    return credits.where(holds & ~F.coalesce("withdrawn", F.lit(False)))


def remaining(credits: DataFrame, charged: DataFrame) -> DataFrame:
    """Credits with their balance: what was granted less what was used. charged: CHARGES that have used some."""
    return _with(credits, charged, exact_difference(F.col("amount"), F.coalesce("used", F.lit(0).cast(RATED))))


def taken(credits: DataFrame, charged: DataFrame) -> DataFrame:
    """Credits with what these charges have used of them as their balance: all that a month which is rated again may use."""
    return _with(credits, charged, F.coalesce("used", F.lit(0).cast(RATED)))


def _with(credits: DataFrame, charged: DataFrame, balance: Column) -> DataFrame:
    joined = credits.join(sums(charged), on=["tenant_id", "credit_id"], how="left")
    return joined.withColumn("balance", balance.cast(RATED)).drop("used").where(F.col("balance") > 0)


def sums(charged: DataFrame) -> DataFrame:
    """What charges have used of each credit: tenant_id, credit_id, used. charged: CHARGES."""
    of_credits = charged.where(F.col("kind") == CREDIT)
    return of_credits.groupBy("tenant_id", "credit_id").agg((-F.sum("amount")).cast(RATED).alias("used"))


def lines(charged: DataFrame, credits: DataFrame, accounts: DataFrame, period: Period) -> DataFrame:
    """The charges of kind credit that a month's charges come to: CHARGES without publication_id, below nothing.

    charged: CHARGES of the month without publication_id, by all accounts that share a payer. credits: raw.credits, one row per credit,
    with balance. accounts: one row per account.
    """
    payers = accounts.select(
        "tenant_id", "account_id", F.coalesce("payer_account_id", "account_id").alias("payer_account_id")
    )
    payer = F.coalesce("payer_account_id", "account_id").alias("payer_account_id")

    def owned(rows: DataFrame) -> DataFrame:
        found = rows.join(payers, on=["tenant_id", "account_id"], how="left")
        return found.withColumn("payer_account_id", payer)

    granted = owned(
        credits.select(
            "tenant_id", "credit_id", "account_id", "currency", "balance", "products", "region", "shared", "valid_to"
        )
    )
    is_shared = F.coalesce("shared", F.lit(False)) & (F.col("account_id") == F.col("payer_account_id"))
    owned_credits = granted.groupBy(*OF_A_CUSTOMER).agg(
        covering.ranked(
            F.collect_set(
                F.struct(
                    "valid_to", "credit_id", "account_id", "balance",
                    F.from_json("products", "array<string>").alias("products"), "region", is_shared.alias("is_shared"),
                )
            )
        ).alias("credits")
    )  # fmt: skip
    summed = charged.where(F.col("prices_in_force") == 1).groupBy("tenant_id", *CHARGED).agg(
        F.sum("amount").cast(RATED).alias("amount")
    )  # fmt: skip
    owned_charges = (
        owned(summed)
        .join(F.broadcast(owned_credits.select(*OF_A_CUSTOMER)), on=OF_A_CUSTOMER, how="left_semi")
        .groupBy(*OF_A_CUSTOMER)
        .agg(F.sort_array(F.collect_set(F.struct(*CHARGED, "amount"))).alias("charges"))
    )
    found = (
        owned_charges.join(owned_credits, on=OF_A_CUSTOMER, how="inner")
        .withColumn("minor_units", minor_units(F.col("currency")))
        .select("tenant_id", "charges", F.explode(covering.covered()).alias("paid"))
        .select("tenant_id", "paid.*", F.element_at("charges", F.col("paid.place") + 1).alias("charge"))
        .select(
            "tenant_id",
            "credit_id",
            *(F.col(f"charge.{name}") for name in CHARGED),
            (-F.col("amount")).cast(RATED).alias("amount"),
        )
    )
    columns = [field.name for field in CHARGES.schema.fields if field.name != "publication_id"]
    return (
        found.withColumns(
            {
                "kind": F.lit(CREDIT), "period": F.lit(period.first_day), "quantity": F.lit(0).cast(QUANTITY),
                "usage_rows": F.lit(0).cast("bigint"), "prices_in_force": F.lit(1),
                "exchange_rate": F.lit(None).cast(QUANTITY), "rate_date": F.lit(None).cast("date"),
            }
        )
        .withColumn("charge_id", natural_id("tenant_id", "period", *NATURAL, "credit_id"))
        .select(*columns)
    )  # fmt: skip


def account(
    credits: DataFrame, before: DataFrame, charged: DataFrame, adjusted: DataFrame, accounts: DataFrame
) -> DataFrame:
    """Every credit that a run uses or gives back, beside what was granted and used before.

    credits: one row per credit. before: CHARGES of invoiced months, adjustments among them. charged, adjusted: what this run bills, as
    CHARGES. accounts: one row per account. Returns tenant_id, credit_id, granted (null where there is no such credit), used_before,
    used_now (less than nothing where some is given back), outside (charges it was used for and may not be) and overdrawn (charges of
    the month that it brings below nothing).
    """
    key = ["tenant_id", "credit_id"]
    now = sums(charged.unionByName(adjusted)).withColumnsRenamed({"used": "used_now"})
    then = sums(before).withColumnsRenamed({"used": "used_before"})
    payers = accounts.select(
        "tenant_id", "account_id", F.coalesce("payer_account_id", "account_id").alias("payer_account_id")
    )
    scopes = credits.select(
        *key, F.col("account_id").alias("owner"), F.col("currency").alias("granted_in"), F.col("amount").cast(RATED).alias("granted"),
        F.from_json("products", "array<string>").alias("scope"), F.col("region").alias("granted_region"),
        F.coalesce("shared", F.lit(False)).alias("is_shared"),
    )  # fmt: skip
    of_credits = charged.where(F.col("kind") == CREDIT).join(payers, on=["tenant_id", "account_id"], how="left")
    is_its_own = (F.col("owner") == F.col("account_id")) | (
        F.col("is_shared") & (F.col("owner") == F.col("payer_account_id"))
    )
    is_inside = (
        is_its_own & (F.col("granted_in") == F.col("currency"))
        & (F.col("scope").isNull() | F.array_contains("scope", F.col("product_id")))
        & (F.col("granted_region").isNull() | F.col("granted_region").eqNullSafe(F.col("region")))
    )  # fmt: skip
    scoped = of_credits.join(scopes, on=key, how="left").select(
        "tenant_id", *CHARGED, "credit_id", (~F.coalesce(is_inside, F.lit(False))).cast("int").alias("is_outside")
    )
    covered = charged.groupBy("tenant_id", *CHARGED).agg(F.sum("amount").alias("net"))
    same = [F.col(f"c.{name}").eqNullSafe(F.col(f"n.{name}")) for name in ("tenant_id", *CHARGED)]
    below = (F.col("n.net") < 0).cast("int").alias("is_below")
    judged = (
        scoped.alias("c")
        .join(covered.alias("n"), on=same, how="left")
        .select("c.tenant_id", "c.credit_id", "c.is_outside", below)
        .groupBy(*key)
        .agg(F.sum("is_outside").alias("outside"), F.sum("is_below").alias("overdrawn"))
    )
    joined = now.join(then, on=key, how="left").join(judged, on=key, how="left")
    nothing = F.lit(0).cast(RATED)
    return joined.join(scopes, on=key, how="left").select(
        *key, "granted", F.coalesce("used_before", nothing).alias("used_before"), "used_now",
        *(F.coalesce(name, F.lit(0)).alias(name) for name in ("outside", "overdrawn")),
    )  # fmt: skip

"""Facts as they stand: what a replayed file replaced no longer counts, and of a record's revisions the highest does."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def standing(rows: DataFrame, replaced: Iterable[tuple[str, str]]) -> DataFrame:
    """Rows of a raw table less those of landings that a replay has replaced: tenant_id and landing_id of each."""
    of_tenant: dict[str, list[str]] = {}
    for tenant, landing in replaced:
        of_tenant.setdefault(tenant, []).append(landing)
    for tenant, landings in of_tenant.items():
        rows = rows.where((F.col("tenant_id") != tenant) | ~F.col("landing_id").isin(landings))
    return rows


def current_accounts(accounts: DataFrame) -> DataFrame:
    """One row per tenant and account: the one with the latest valid_from."""
    newest = Window.partitionBy("tenant_id", "account_id").orderBy(
        F.col("valid_from").desc(), F.col("landing_id"), F.col("row_number")
    )
    return accounts.select("*", F.row_number().over(newest).alias("age")).where(F.col("age") == 1).drop("age")


def latest_prices(prices: DataFrame) -> DataFrame:
    """One row per tenant and price: its highest revision, unless that withdraws it. prices: standing rows of raw.prices."""
    return _highest(prices, "price_id").where(~F.coalesce("withdrawn", F.lit(False)))


def latest_credits(credits: DataFrame) -> DataFrame:
    """One row per tenant and credit: its highest revision, withdrawn or not. credits: standing rows of raw.credits."""
    return _highest(credits, "credit_id")


def _highest(rows: DataFrame, key: str) -> DataFrame:
    newest = Window.partitionBy("tenant_id", key).orderBy(
        F.coalesce("revision", F.lit(0)).desc(), F.col("landing_id").desc(), F.col("row_number").desc()
    )
    return rows.select("*", F.row_number().over(newest).alias("age")).where(F.col("age") == 1).drop("age")

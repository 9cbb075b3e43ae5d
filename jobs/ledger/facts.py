"""Facts as they stand: what a replayed file replaced no longer counts, and of a record's revisions the highest does."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def standing(rows: DataFrame, landed_files: DataFrame) -> DataFrame:
    """Rows less those of landings that a replay has replaced. rows and landed_files: tables of raw."""
    replaced = landed_files.where(F.col("replaces_landing_id").isNotNull()).select(
        "tenant_id", F.col("replaces_landing_id").alias("landing_id")
    )
    return rows.join(F.broadcast(replaced), on=["tenant_id", "landing_id"], how="left_anti")


def current_accounts(accounts: DataFrame) -> DataFrame:
    """One row per tenant and account: the one with the latest valid_from."""
    newest = Window.partitionBy("tenant_id", "account_id").orderBy(
        F.col("valid_from").desc(), F.col("landing_id"), F.col("row_number")
    )
    return accounts.select("*", F.row_number().over(newest).alias("age")).where(F.col("age") == 1).drop("age")

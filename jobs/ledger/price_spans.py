"""The spans of time within which no price of a product begins or ends: usage of one span can be summed before it is priced.

Two stages need this page: ingestion sums usage as it lands, billing aggregation prices the sums.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.ledger.pricing import by_record

ZONES = "tenant_id string, timezone string, billing_zone string"


def billing_zones(spark: SparkSession, tenants: Mapping[str, str], accounts: DataFrame) -> DataFrame:
    """The time zones in which the days of tenants' usage begin, as ZONES; billing_zone is null for the tenant's own.

    tenants: each with its time zone. accounts: raw.accounts, all of them, since usage keeps the zone it landed with.
    """
    own = spark.createDataFrame([(name, zone, None) for name, zone in tenants.items()], ZONES)
    named = accounts.where(F.col("timezone").isNotNull())
    others = named.select("tenant_id", "timezone", F.col("timezone").alias("billing_zone")).distinct()
    return own.unionByName(others)


def price_spans(prices: DataFrame, zones: DataFrame) -> DataFrame:
    """The spans of every product with a price.

    prices: raw.prices. zones: as billing_zones() returns them.
    Returns tenant_id, product_id, billing_zone, day (the first of the span), begins and ends (instants; ends is null for the last span),
    by_record (whether the product has a price that looks at single records).
    A day that a change of clocks cuts short begins at its first instant.
    """
    bounds = prices.select(
        "tenant_id", "product_id", by_record().alias("by_record"), F.explode(F.array("valid_from", "valid_to")).alias("day")
    ).where(F.col("day").isNotNull())
    distinct = bounds.groupBy("tenant_id", "product_id", "day").agg(F.max("by_record").alias("by_record"))
    days = distinct.join(F.broadcast(zones), on="tenant_id", how="inner")
    begins = F.to_utc_timestamp(F.col("day").cast("timestamp"), F.col("timezone"))
    following = Window.partitionBy("tenant_id", "product_id", "billing_zone").orderBy("day")
    return days.select(
        "tenant_id", "product_id", "billing_zone", "day", begins.alias("begins"), F.lead(begins).over(following).alias("ends"),
        F.max("by_record").over(Window.partitionBy("tenant_id", "product_id")).alias("by_record"),
    )  # fmt: skip


def within_spans(rows: DataFrame, spans: DataFrame, moment: str) -> DataFrame:
    """Rows with the span that a moment of theirs lies in: span_day and by_record, both null before the first price of the product.

    rows: tenant_id, product_id, billing_zone and the moment's column among others. spans: as price_spans() returns them.
    """
    at = F.col(f"u.{moment}")
    within = (at >= F.col("d.begins")) & (F.col("d.ends").isNull() | (at < F.col("d.ends")))
    same = [F.col(f"u.{name}") == F.col(f"d.{name}") for name in ("tenant_id", "product_id")]
    same += [F.col("u.billing_zone").eqNullSafe(F.col("d.billing_zone"))]
    return rows.alias("u").join(F.broadcast(spans.alias("d")), on=[*same, within], how="left").select(
        "u.*", F.col("d.day").alias("span_day"), F.col("d.by_record").alias("by_record")
    )  # fmt: skip

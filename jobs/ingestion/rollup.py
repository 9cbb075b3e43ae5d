"""Usage summed as it lands, so that closing a month reads what is billed, not every record: billing.usage_rollup.

Sums of sums are exact, whatever else lands later. What does not add up is marked, and billing aggregation goes back to the records
for it: docs/decisions/0011-rollup.md
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.ledger.columns import QUANTITY, RATED
from jobs.ledger.money import exact_product
from jobs.ledger.price_spans import within_spans
from jobs.ledger.usage_parts import begins

KEY = (
    "tenant_id", "period", "landing_id", "account_id", "product_id", "region", "unit", "currency", "on_record", "billing_zone",
    "span_day",
)  # fmt: skip


def rolled_up(usage: DataFrame, spans: DataFrame) -> DataFrame:
    """Accepted usage by everything that decides its price, and by landing: USAGE_ROLLUP without publication_id.

    usage: rows of raw.usage. spans: as price_spans() returns them of the prices known now; a price that comes later may begin
    within a row's first and last usage, which the row tells.
    """
    on_record = F.col("unit_price").isNotNull()
    keyed = within_spans(usage, spans, "usage_start").withColumns(
        {"on_record": on_record, "currency": F.when(on_record, F.col("currency"))}
    )
    product = exact_product(F.col("quantity"), F.col("unit_price"))
    return keyed.groupBy(*KEY).agg(
        F.sum("quantity").cast(QUANTITY).alias("quantity"),
        F.sum(F.when(F.col("on_record"), product)).cast(RATED).alias("record_amount"),
        F.count(F.lit(1)).alias("usage_rows"),
        F.count(F.when(begins(), 1)).alias("events"),
        F.count(F.when(F.col("withdrawn"), 1)).alias("revised_rows"),
        F.min("usage_start").alias("first_usage"),
        F.max("usage_start").alias("last_usage"),
    )


def said_again(landed: DataFrame, earlier: DataFrame, doubtful: DataFrame) -> DataFrame:
    """Marks, as USAGE_ROLLUP without publication_id, for the accounts and products of records that stand in several revisions.

    landed: rows of raw.usage that this run accepts. earlier: those of runs before. doubtful: tenant_id, record_id of those that may
    occur more than once. A mark belongs to the landing that says the record again, and goes with it; it has no quantity.
    """
    record = ["tenant_id", "record_id"]
    told = [F.col(name) for name in ("tenant_id", "period", "record_id", "landing_id", "account_id", "product_id")]
    told.append(begins().alias("begins"))
    named = F.broadcast(doubtful.select(*record))
    new = landed.select(*told).join(named, on=record, how="left_semi").withColumn("is_new", F.lit(True))
    old = earlier.select(*told).join(named, on=record, how="left_semi").withColumn("is_new", F.lit(False))
    every = Window.partitionBy(*record)
    said_by = F.collect_set(F.when(F.col("is_new"), F.col("landing_id"))).over(every)
    several = new.unionByName(old).select(
        "*", F.count(F.when(F.col("begins"), 1)).over(every).alias("times"), said_by.alias("said_by")
    )
    marked = several.where(F.col("times") > 1).withColumn("landing_id", F.explode("said_by"))
    keys = marked.select("tenant_id", "period", "landing_id", "account_id", "product_id").distinct()
    none, no_rows = F.lit(None), F.lit(0).cast("bigint")
    return keys.select(
        "*",
        *(none.cast("string").alias(name) for name in ("region", "unit", "currency", "billing_zone")),
        none.cast("boolean").alias("on_record"),
        none.cast("date").alias("span_day"),
        F.lit(0).cast(QUANTITY).alias("quantity"),
        none.cast(RATED).alias("record_amount"),
        no_rows.alias("usage_rows"),
        no_rows.alias("events"),
        F.lit(1).cast("bigint").alias("revised_rows"),
        *(none.cast("timestamp").alias(name) for name in ("first_usage", "last_usage")),
    )

"""A month of usage to the sums that prices look at: from the rollup that was made as it landed, or from the records.

Both give the same sums. The records are read where sums of sums do not tell: docs/decisions/0011-rollup.md
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.billing_aggregation.models import OF_A_RECORD, RECORDS
from jobs.ledger.columns import QUANTITY, RATED
from jobs.ledger.money import exact_product
from jobs.ledger.price_spans import within_spans
from jobs.ledger.usage_parts import begins, stated

RECORD_KEY = ["tenant_id", "period", "record_id"]
ACCOUNT_AND_PRODUCT = ["tenant_id", "account_id", "product_id"]
RECORD = (  # OF_A_RECORD, what it comes to as a whole, and whether it begins here
    "struct<record_id: string, usage_start: timestamp, usage_end: timestamp, tags: string, stated: decimal(38,21), begins: boolean>"
)
DIMENSIONS = ["tenant_id", "account_id", "product_id", "region", "unit", "recorded_currency", "priced_on", "on_record"]


def revised(usage: DataFrame) -> DataFrame:
    """The rows that say something of a record that was said before."""
    return usage.where((F.col("revision") > 0) | F.col("withdrawn"))


def latest_revisions(usage: DataFrame) -> DataFrame:
    """Of every record its highest revision with all its parts, unless that withdraws it. usage: raw.usage."""
    highest = F.max("revision").over(Window.partitionBy(*RECORD_KEY))
    said = usage.select("*", highest.alias("highest"))
    return said.where((F.col("revision") == F.col("highest")) & ~F.col("withdrawn")).drop("highest")


def latest_of_few(usage: DataFrame) -> DataFrame:
    """The same where few records were revised: only they are compared, the others pass without a shuffle."""
    spoken_of = F.broadcast(revised(usage).select(*RECORD_KEY).distinct())
    untouched = usage.join(spoken_of, on=RECORD_KEY, how="left_anti")
    return untouched.unionByName(latest_revisions(usage.join(spoken_of, on=RECORD_KEY, how="left_semi")))


def of_month(
    rollup: DataFrame, usage: DataFrame | None, single: DataFrame, spans: DataFrame, asked: frozenset[str]
) -> DataFrame:
    """The sums of a month from its rollup, and from its records for what told_by_records() names.

    usage: raw.usage of the month; None where single is known to be empty. Returns what of_usage() returns.
    """
    if usage is None:
        return of_rollup(rollup, spans, asked)
    named = F.broadcast(single)
    records = latest_revisions(usage.join(named, on=ACCOUNT_AND_PRODUCT, how="left_semi"))
    rest = rollup.join(named, on=ACCOUNT_AND_PRODUCT, how="left_anti")
    return of_usage(records, spans, asked).unionByName(of_rollup(rest, spans, asked))


def of_usage(usage: DataFrame, spans: DataFrame, asked: frozenset[str]) -> DataFrame:
    """Usage by everything that can decide its price; a record stays by itself where its product has a price that looks at it.

    usage: standing revisions of one month. spans: as price_spans() returns them. asked: as models.asked() tells.
    Returns DIMENSIONS (priced_on is a day on which the price holds that held at the usage; on_record tells usage that carries its
    price, in recorded_currency), record if it is asked for, quantity, record_amount, usage_rows, events
    (records that begin in the month).
    """
    on_record = F.col("unit_price").isNotNull()
    dated = within_spans(usage, spans, "usage_start")
    of_record = F.struct(*OF_A_RECORD, stated("quantity").alias("stated"), begins().alias("begins"))
    keyed = dated.select(
        "tenant_id", "account_id", "product_id", "region", "unit", "quantity", "unit_price",
        F.when(on_record, F.col("currency")).alias("recorded_currency"),
        on_record.alias("on_record"),
        F.when(~on_record, F.col("span_day")).alias("priced_on"),
        begins().alias("begins"),
        *([F.when(F.col("by_record") & ~on_record, of_record).alias("record")] if RECORDS in asked else []),
    )  # fmt: skip
    product = exact_product(F.col("quantity"), F.col("unit_price"))
    return keyed.groupBy(*DIMENSIONS, *(["record"] if RECORDS in asked else [])).agg(
        F.sum("quantity").cast(QUANTITY).alias("quantity"),
        F.sum(F.when(F.col("on_record"), product)).cast(RATED).alias("record_amount"),
        F.count(F.lit(1)).alias("usage_rows"),
        F.count(F.when(F.col("begins"), 1)).alias("events"),
    )


def of_rollup(rollup: DataFrame, spans: DataFrame, asked: frozenset[str]) -> DataFrame:
    """The same from rows of billing.usage_rollup, less those that told_by_records() names."""
    dated = within_spans(rollup.drop("span_day"), spans, "first_usage")
    keyed = dated.withColumns(
        {
            "recorded_currency": F.col("currency"),
            "priced_on": F.when(~F.col("on_record"), F.col("span_day")),
            "record": F.lit(None).cast(RECORD),
        }
    )
    return keyed.groupBy(*DIMENSIONS, *(["record"] if RECORDS in asked else [])).agg(
        F.sum("quantity").cast(QUANTITY).alias("quantity"),
        F.sum("record_amount").cast(RATED).alias("record_amount"),
        F.sum("usage_rows").alias("usage_rows"),
        F.sum(F.coalesce("events", "usage_rows")).alias("events"),
    )


def told_by_records(rollup: DataFrame, spans: DataFrame) -> DataFrame:
    """ACCOUNT_AND_PRODUCT whose sums do not tell: records withdrawn or said again, prices that look at records or change in between.

    rollup: billing.usage_rollup of one month. spans: as price_spans() returns them of the prices known now.
    """
    revised = rollup.where(F.col("revised_rows") > 0).select(*ACCOUNT_AND_PRODUCT)
    crossed = (F.col("first_usage") < F.col("begins")) & (F.col("begins") <= F.col("last_usage"))
    same = [F.col(f"r.{name}") == F.col(f"d.{name}") for name in ("tenant_id", "product_id")]
    same += [F.col("r.billing_zone").eqNullSafe(F.col("d.billing_zone"))]
    listed = rollup.where(~F.col("on_record")).alias("r").join(
        F.broadcast(spans.alias("d")), on=[*same, crossed | F.col("d.by_record")], how="left_semi"
    )  # fmt: skip
    return revised.unionByName(listed.select(*ACCOUNT_AND_PRODUCT)).distinct()

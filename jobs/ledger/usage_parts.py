"""Usage that lasts past midnight or a month end stands in raw.usage in parts, each of one day and month: what a reader has to know.

Where records are cut is in jobs/ingestion/splitting.py. Source: docs/decisions/0012-splitting.md
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from jobs.ledger.columns import QUANTITY, optional

PART_OF = T.StructType(  # null for a record that stands whole
    [
        optional("part", T.IntegerType()),  # 1 is where the record begins
        optional("parts", T.IntegerType()),
        optional("quantity", QUANTITY),  # this, the start and the end as the source states them
        optional("usage_start", T.TimestampType()),
        optional("usage_end", T.TimestampType()),
        optional("last_period", T.DateType()),  # the month that its last part belongs to
    ]
)
STATED = ("quantity", "usage_start", "usage_end")


def begins() -> Column:
    """Whether a row of raw.usage is a record, or the first part of one: counting these counts records."""
    return F.coalesce(F.col("part_of.part"), F.lit(1)) == 1


def stated(name: str) -> Column:
    """A column of raw.usage as the source states it of the whole record; one of STATED."""
    return F.coalesce(F.col(f"part_of.{name}"), F.col(name))


def whole(usage: DataFrame) -> DataFrame:
    """One row per record as its source states it, in the month it begins in. usage: raw.usage, all parts of a record or the first."""
    return usage.where(begins()).withColumns({name: stated(name) for name in STATED})

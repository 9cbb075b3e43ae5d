"""Usage that lasts past midnight or a month end, cut into parts that each belong to one day and one month.

A quantity is shared out by time, to its last decimal: the parts of a record add up to it. What carries its own price is cut at month
ends only, since no price list of a day can change it. Source: docs/decisions/0012-splitting.md
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.ledger.money import exact_share
from jobs.ledger.usage_parts import PART_OF, STATED

CUTS = "array<struct<at: timestamp, period: date>>"


def with_cuts(usage: DataFrame, timezone: str, zones: DataFrame | None, longest_days: int) -> DataFrame:
    """Typed usage with the month it begins in, and where it has to be cut.

    timezone: in which its tenants bill. zones: tenant_id, account_id and billing_zone of the accounts that are billed in another;
    None where there are none. longest_days: what lasts longer is a mistake and stays whole, to be quarantined.
    Adds billing_zone (null where it is the tenant's), period, part_of (of the first part; null where nothing is cut) and cuts (the
    instants after the start at which a part begins, each with the month it belongs to).
    """
    if zones is None:
        zoned = usage.withColumn("billing_zone", F.lit(None).cast("string"))
        zone = None if timezone == "UTC" else F.lit(timezone)
    else:
        zoned = usage.join(F.broadcast(zones), on=["tenant_id", "account_id"], how="left")
        zone = F.coalesce("billing_zone", F.lit(timezone))

    def day(moment: Column) -> Column:
        return F.to_date(moment if zone is None else F.from_utc_timestamp(moment, zone))

    def midnight(of: Column) -> Column:
        moment = of.cast("timestamp")
        return moment if zone is None else F.to_utc_timestamp(moment, zone)

    def cut(on: Column) -> Column:
        return F.struct(midnight(on).alias("at"), F.trunc(on, "month").alias("period"))

    first = day(F.col("usage_start"))
    last = day(F.col("usage_end") - F.expr("INTERVAL '0.000001' SECOND"))  # an end belongs to what it ends
    month, last_month = F.trunc(first, "month"), F.trunc(last, "month")
    lasts = (F.col("usage_end") > F.col("usage_start")) & (F.datediff("usage_end", "usage_start") <= longest_days)
    on_record = F.col("unit_price").isNotNull()
    days = F.transform(F.sequence(F.date_add(first, 1), last), cut)
    months = F.transform(F.sequence(F.add_months(month, 1), last_month, F.expr("INTERVAL 1 MONTH")), cut)
    cuts = F.when(lasts & ~on_record & (last > first), days).when(lasts & on_record & (last_month > month), months)
    found = zoned.withColumns({"period": month, "cuts": cuts.cast(CUTS)})
    part_of = F.struct(F.lit(1).alias("part"), (F.size("cuts") + 1).alias("parts"), *STATED, last_month.alias("last_period"))
    return found.withColumn("part_of", F.when(F.col("cuts").isNotNull(), part_of).cast(PART_OF))


def in_parts(usage: DataFrame) -> DataFrame:
    """Accepted usage with a row for every part: its own period, start, end and quantity; part_of tells what the source states.

    usage: as with_cuts() returns it. A record that is not cut passes as it is.
    """
    begins = F.concat(F.array(F.struct(F.col("usage_start").alias("at"), F.col("period"))), F.col("cuts"))
    every = usage.select("*", F.posexplode_outer(begins).alias("place", "begin"))
    is_part = F.col("place").isNotNull()
    from_, until = F.col("begin.at"), F.coalesce(F.get(F.col("cuts"), F.col("place"))["at"], F.col("usage_end"))
    of = F.unix_micros("usage_end") - F.unix_micros("usage_start")
    before, after = (F.unix_micros(moment) - F.unix_micros("usage_start") for moment in (from_, until))
    told = {
        "period": F.when(is_part, F.col("begin.period")).otherwise(F.col("period")),
        "quantity": F.when(is_part, exact_share(F.col("quantity"), before, after, of)).otherwise(F.col("quantity")),
        "usage_start": F.when(is_part, from_).otherwise(F.col("usage_start")),
        "usage_end": F.when(is_part, until).otherwise(F.col("usage_end")),
        "part_of": F.when(is_part, F.col("part_of").withField("part", (F.col("place") + 1))),
    }
    return every.withColumns(told).drop("place", "begin", "cuts")

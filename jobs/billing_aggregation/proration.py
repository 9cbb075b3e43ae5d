"""The part of a recurring fee that is owed where a price does not hold for the whole of a fee's period.

A fee's period is the calendar month or, with an anchor day, from one anniversary to the next. It is billed in the month it ends
in, which for an anniversary is the month of the next one. A month without that day has its anniversary on its last day.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from jobs.ledger.columns import QUANTITY

ACTUAL_DAYS, FIXED_30 = "actual_days", "fixed_30"
MONTH_OF_30 = 30


def anniversary(month: Column, day: Column) -> Column:
    """The day of a month that an anchor day (1 to 31) falls on: the last one where the month is shorter. month: its first day."""
    return F.least(F.date_add(month, day.cast("int") - 1), F.last_day(month))


def fee_period(month: Column, anchor: Column) -> tuple[Column, Column]:
    """First day, and first day after, of the period whose fee is billed in a month. anchor: a day of the month, or null."""
    following, before = (F.add_months(month, by) for by in (1, -1))
    begins = F.when(anchor.isNull(), month).otherwise(anniversary(before, anchor))
    return begins, F.when(anchor.isNull(), following).otherwise(anniversary(month, anchor))


def proration(since: Column, until: Column, begins: Column, ends: Column, method: Column) -> Column:
    """The share of a period [begins, ends) that [since, until) covers, as QUANTITY: to nine decimals, half up.

    All are dates; until may be null. method: actual_days counts days; fixed_30 takes every month for 30 days; null owes the
    whole fee for any day. Nothing covered is 0, all of it is 1. Source: vectors/proration_vectors.jsonl
    """
    covered_from, covered_to = F.greatest(since, begins), F.least(until, ends)  # least skips a null
    days, length = F.date_diff(covered_to, covered_from), F.date_diff(ends, begins)
    months = (F.year(covered_to) - F.year(covered_from)) * 12 + F.month(covered_to) - F.month(covered_from)
    days_of_30 = months * MONTH_OF_30 + F.dayofmonth(covered_to) - F.dayofmonth(covered_from)
    share = (
        F.when(days <= 0, F.lit(0))
        .when(method.isNull() | (days >= length), F.lit(10**9))
        .when(method == FIXED_30, _billionths(F.greatest(days_of_30, F.lit(0)), F.lit(MONTH_OF_30)))
        .otherwise(_billionths(days, length))
    )
    return (F.least(share, F.lit(10**9)).cast("decimal(10,0)") * F.expr("CAST(0.000000001 AS DECIMAL(9,9))")).cast(QUANTITY)


def _billionths(part: Column, whole: Column) -> Column:
    """part / whole in billionths, half up, in whole numbers only. Both are small and not negative."""
    return F.call_function("div", part.cast("bigint") * 2 * 10**9 + whole, whole.cast("bigint") * 2)

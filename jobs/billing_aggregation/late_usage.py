"""Which invoiced months have changed, and what a run does about it. What is computed is in adjustments.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.billing_aggregation import adjustments, sums
from jobs.billing_aggregation.adjustments import ACCOUNT
from jobs.billing_aggregation.settings import settings
from jobs.billing_aggregation.tables import ADJUSTMENTS, CHARGES, LATE_USAGE
from jobs.ledger.periods import Period
from jobs.runtime import storage
from jobs.runtime.config import digest
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Unit
from jobs.stages import BILLING_AGGREGATION, INGESTION, INVOICE_GENERATION

CONCERNED, CHANGES = "adjusting/concerned", "adjusting/changes"  # what a run notes beside its candidates
USAGE_OF = "raw.usage "  # an input of a unit: what was known of an earlier month's usage when it was adjusted
Months = dict[str, list[str]]  # invoiced months, each with the tenants whose usage of it has changed
Rate = Callable[[DataFrame, DataFrame, Period], DataFrame]  # usage and accounts of a month to its charges


def changed_months(snapshot: Snapshot, tenant: str, period: Period) -> dict[str, str]:
    """The invoiced months whose usage, or the policy for it, has changed since it was last billed; with both, as they are now.

    The earliest month that is not invoiced yet takes them, so that two months that run at once do not both bill a difference.
    """
    mine = {unit: publication for unit, publication in snapshot.latest.items() if unit.tenant_id == tenant}
    issued = sorted(unit.period for unit in mine if unit.stage == INVOICE_GENERATION.name and unit.period < period.key)
    used = {unit.period for unit in mine if unit.stage == INGESTION.name and unit.lane == "usage"}
    still_open = [month for month in used if month < period.key and month not in issued]
    billed: dict[str, str] = {}
    for month in issued:
        for name, fingerprint in mine[Unit(BILLING_AGGREGATION.name, tenant, month)].inputs.items():
            if name == "raw.usage":
                billed[month] = fingerprint
            elif name.startswith(USAGE_OF):
                billed[name.removeprefix(USAGE_OF)] = fingerprint
    found, policy = {}, digest(settings().late_usage.resolved())[:16]
    for month, seen in billed.items():
        usage = snapshot.fingerprint(Unit(INGESTION.name, tenant, month, "usage")) or ""
        now = f"{usage} by {policy}"  # what waited by one policy may be billed by the next
        if seen not in (usage, now) and not any(month < other for other in still_open):
            found[month] = now
    return found


def adjust(house: House, accounts: DataFrame, rate: Rate) -> dict[str, str]:
    """Rate the concerned accounts of each changed month again; stage the differences and what became of every late record.

    accounts: one row per account. Nothing is staged where nothing has changed; where it had, its rows go.
    """
    changed = _changed(house)
    if not changed and not _has_adjusted(house):
        return {}
    policy = settings().late_usage
    recent = {month: tenants for month, tenants in changed.items() if house.run.month.months_since(month) <= policy.months}
    records = _late_records(house, changed)
    named = reduce(
        DataFrame.unionByName, [_of_months(records, recent).select(*ACCOUNT), *_left_behind(house, recent, records)]
    )
    adjustments.concerned(named, accounts).write.mode("overwrite").parquet(house.place(CONCERNED))
    again = _nothing(house).drop("publication_id")
    for month, tenants in recent.items():
        mine = _concerned(house).where(F.col("period") == F.lit(Period(month).first_day))
        usage = adjustments.only(sums.latest_revisions(_usage(house, {month: tenants})), mine)
        again = again.unionByName(rate(usage, adjustments.only(accounts, mine), Period(month)))
    differences = adjustments.differences(again, _billed(house, recent), house.run.month)
    differences.write.mode("overwrite").parquet(house.place(CHANGES))
    waits = _waits(house)
    why = F.lit(f"waits: its month lies further back than policy looks (late_usage.months: {policy.months})")
    old = records.select(*ACCOUNT).distinct().where(~_in(recent)).withColumn("why", why)
    return {
        ADJUSTMENTS.name: house.stage(adjustments.billable(_changes(house), waits), ADJUSTMENTS.name),
        LATE_USAGE.name: house.stage(
            adjustments.outcomes(records, waits.unionByName(old), house.run.month), LATE_USAGE.name
        ),
    }


def adjusted(house: House) -> DataFrame:
    """The adjustments that this run has staged; none where it has staged no table for them."""
    if house.was_staged(ADJUSTMENTS.name):
        return house.staged(ADJUSTMENTS.name)
    return house.spark.createDataFrame([], ADJUSTMENTS.schema)


def account(house: House) -> tuple[DataFrame, DataFrame] | None:
    """Usage of the adjusted accounts' months, and all that is billed for it with this run; None where it adjusts nothing."""
    if not storage.exists(house.place(CONCERNED)):
        return None
    months: Months = {}
    for row in _concerned(house).select("tenant_id", "period").distinct().collect():  # tenants and months, no more
        months.setdefault(str(row["period"])[:7], []).append(row["tenant_id"])
    if not months:
        return None
    mine = _concerned(house).join(_waits(house), on=ACCOUNT, how="left_anti")
    usage = reduce(
        DataFrame.unionByName,
        (sums.latest_revisions(_usage(house, {month: tenants})) for month, tenants in months.items()),
    )
    billed = _billed(house, months).unionByName(adjustments.as_charges(adjusted(house)))
    return adjustments.of(usage, mine), adjustments.of(billed, mine)


def _changed(house: House) -> Months:
    """Changed months of all tenants of the run, oldest first."""
    found: Months = {}
    for tenant in house.run.tenants:
        for month in changed_months(house.snapshot, tenant, house.run.month):
            found.setdefault(month, []).append(tenant)
    return dict(sorted(found.items()))


def _has_adjusted(house: House) -> bool:
    units = (house.snapshot.latest.get(unit) for unit in house.run.units)
    mine = (ADJUSTMENTS.name, LATE_USAGE.name)
    return any(written.name in mine and written.rows for unit in units if unit for written in unit.tables)


def _late_records(house: House, changed: Months) -> DataFrame:
    """Late records of these months that no earlier month has adjusted."""
    told = _of_months(house.read_all_months("billing.waiting"), changed)
    dealt_with = house.read_all_months(LATE_USAGE.name).where(
        (F.col("outcome") == adjustments.ADJUSTED) & (F.col("period") < F.lit(house.run.month.first_day))
    )
    return told.join(dealt_with, on=["tenant_id", "landing_id", "row_number"], how="left_anti")


def _left_behind(house: House, recent: Months, records: DataFrame) -> list[DataFrame]:
    """ACCOUNT of usage that late records speak of and that another account may have had, and of usage that a replay has replaced."""
    found, key = [], ["tenant_id", "period", "record_id"]
    corrected = records.where(F.col("revision") > 0).select(*key).distinct()
    if not corrected.isEmpty():
        found.append(_usage(house, recent).join(F.broadcast(corrected), on=key, how="left_semi").select(*ACCOUNT))
    if replaced := [landing for _, landing in house.replaced()]:
        every = _of_months(house.read_all_months("raw.usage"), recent)
        found.append(every.where(F.col("landing_id").isin(replaced)).select(*ACCOUNT))
    return found


def _usage(house: House, months: Months) -> DataFrame:
    return _of_months(house.standing("raw.usage"), months)


def _billed(house: House, months: Months) -> DataFrame:
    """All that was billed to the concerned accounts for these months: their charges, and what earlier months have adjusted."""
    charged = _of_months(house.read_all_months(CHARGES.name), months)
    earlier = house.read_all_months(ADJUSTMENTS.name).where(F.col("period") < F.lit(house.run.month.first_day))
    every = charged.unionByName(_of_months(adjustments.as_charges(earlier), months))
    return adjustments.of(every, _concerned(house))


def _concerned(house: House) -> DataFrame:
    return house.spark.read.parquet(house.place(CONCERNED))


def _changes(house: House) -> DataFrame:
    return house.spark.read.parquet(house.place(CHANGES))


def _waits(house: House) -> DataFrame:
    return adjustments.too_large(_changes(house), _concerned(house), settings().late_usage.largest)


def _of_months(rows: DataFrame, months: Months) -> DataFrame:
    return rows.where(_in(months))


def _in(months: Months) -> Column:
    wanted: Column = F.lit(False)
    for month, tenants in months.items():
        wanted = wanted | ((F.col("period") == F.lit(Period(month).first_day)) & F.col("tenant_id").isin(tenants))
    return wanted


def _nothing(house: House) -> DataFrame:
    return house.spark.createDataFrame([], CHARGES.schema)

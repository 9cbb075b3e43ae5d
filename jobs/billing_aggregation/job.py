"""Raw usage and price lists to charges, and to adjustments of months that were invoiced before all their usage had come."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.billing_aggregation import adjustments, models, transforms
from jobs.billing_aggregation.adjustments import ACCOUNT
from jobs.billing_aggregation.settings import settings
from jobs.billing_aggregation.tables import ADJUSTMENTS, CHARGES, LATE_USAGE
from jobs.ledger.facts import current_accounts
from jobs.ledger.periods import Period
from jobs.ledger.tenants import chosen
from jobs.runtime import storage
from jobs.runtime.config import digest
from jobs.runtime.contract import Invocation, Planned, Written
from jobs.runtime.errors import UpstreamMissing
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Unit
from jobs.runtime.tables import Table
from jobs.stages import BILLING_AGGREGATION, INGESTION, INVOICE_GENERATION

WHAT_TO_DO = "Land the missing or mended price or account (countinghouse land, then run ingestion)"
CONCERNED, CHANGES = "adjusting/concerned", "adjusting/changes"  # what a run notes beside its candidates
Months = dict[str, list[str]]  # months to adjust, each with the tenants whose usage of it came late
USAGE_OF = "raw.usage "  # an input of a unit: what was known of an earlier month's usage when it was adjusted


def plan(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """One unit per tenant with usage in the month, or late usage to bill in it; a month that was invoiced is frozen."""
    planned = []
    for tenant in chosen(invocation.tenants):
        usage = snapshot.fingerprint(Unit(INGESTION.name, tenant, period.key, "usage"))
        late = _late_months(snapshot, tenant, period)
        if usage is None and not late:
            if invocation.tenants:
                raise UpstreamMissing(
                    f"billing_aggregation {period}: no usage of tenant {tenant} was published for this month. Nothing was "
                    f"charged. Land it and run ingestion first."
                )
            continue
        inputs = {"raw.usage": usage} if usage else {}
        for feed in ("accounts", "prices"):
            inputs[f"raw.{feed}"] = snapshot.fingerprint(Unit(INGESTION.name, tenant, "all", feed)) or ""
        inputs |= {USAGE_OF + month: seen for month, seen in late.items()}
        issued = snapshot.latest.get(Unit(INVOICE_GENERATION.name, tenant, period.key))
        frozen = f"invoiced by {issued.run_id}, frozen since; later usage is billed in an open month" if issued else None
        planned.append(Planned(Unit(BILLING_AGGREGATION.name, tenant, period.key), inputs, frozen=frozen))
    if not planned:
        raise UpstreamMissing(
            f"billing_aggregation {period}: no tenant has usage published for this month. Nothing was charged. "
            f"Run ingestion of {period} first, or look whether files stand in landing."
        )
    return planned


def _late_months(snapshot: Snapshot, tenant: str, period: Period) -> dict[str, str]:
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
    policy, found = settings().late_usage, {}
    for month, seen in billed.items():
        usage = snapshot.fingerprint(Unit(INGESTION.name, tenant, month, "usage")) or ""
        now = f"{usage} by {digest(policy.resolved())[:16]}"  # what waited by one policy may be billed by the next
        is_ours = not any(month < other for other in still_open)
        if seen not in (usage, now) and is_ours and _months_between(month, period) <= policy.months:
            found[month] = now
    return found


def _months_between(month: str, period: Period) -> int:
    then, now = Period(month).first_day, period.first_day
    return (now.year - then.year) * 12 + now.month - then.month


def write(house: House) -> Written:
    """Stage the month's charges, and what earlier months still owe it."""
    asked = _asked(house)
    accounts = current_accounts(house.standing("raw.accounts"))
    charges = transforms.charges(_usage(house), _prices(house), accounts, _zones(house), house.run.month, asked)
    staged = {CHARGES.name: house.stage(charges, CHARGES.name)}
    if late := _late(house):
        staged |= _adjust(house, late, accounts, asked)
    elif _has_adjusted(house):  # what was adjusted before no longer is
        staged |= {table.name: house.stage(_nothing(house, table), table.name) for table in (ADJUSTMENTS, LATE_USAGE)}
    return Written(staged)


def _late(house: House) -> Months:
    """Months to adjust, oldest first, each with the tenants whose usage of it came late."""
    found: Months = {}
    for tenant in house.run.tenants:
        for month in _late_months(house.snapshot, tenant, house.run.month):
            found.setdefault(month, []).append(tenant)
    return dict(sorted(found.items()))


def _has_adjusted(house: House) -> bool:
    units = (house.snapshot.latest.get(unit) for unit in house.run.units)
    return any(written.name == ADJUSTMENTS.name and written.rows for unit in units if unit for written in unit.tables)


def _adjust(house: House, late: Months, accounts: DataFrame, asked: frozenset[str]) -> dict[str, str]:
    """Rate the concerned accounts of each month again; stage the differences and what became of every late record."""
    records = _late_records(house, late)
    named = reduce(DataFrame.unionByName, [records.select(*ACCOUNT), *_left_behind(house, late, records)])
    adjustments.concerned(named, accounts).write.mode("overwrite").parquet(house.place(CONCERNED))
    rated = []
    for month, tenants in late.items():
        mine = (
            _concerned(house)
            .where(F.col("adjusts_period") == F.lit(Period(month).first_day))
            .select("tenant_id", "account_id")
        )
        usage = adjustments.only(transforms.latest_revisions(_usage_of(house, {month: tenants})), mine)
        prices, known = adjustments.prices_of(_prices(house), mine), adjustments.only(accounts, mine)
        rated.append(transforms.charges(usage, prices, known, _zones(house), Period(month), asked))
    again = reduce(DataFrame.unionByName, rated)
    adjustments.differences(again, _billed(house, late), house.run.month).write.mode("overwrite").parquet(
        house.place(CHANGES)
    )
    waits = _waits(house)
    billable = house.spark.read.parquet(house.place(CHANGES)).join(waits, on=ACCOUNT, how="left_anti")
    return {
        ADJUSTMENTS.name: house.stage(billable, ADJUSTMENTS.name),
        LATE_USAGE.name: house.stage(adjustments.outcomes(records, waits, house.run.month), LATE_USAGE.name),
    }


def _late_records(house: House, late: Months) -> DataFrame:
    """Late records of these months that no earlier month has adjusted, with adjusts_period for period."""
    told = _of_months(house.read_all_months("billing.waiting"), late).withColumnsRenamed({"period": "adjusts_period"})
    dealt_with = house.read_all_months(LATE_USAGE.name).where(
        (F.col("outcome") == adjustments.ADJUSTED) & (F.col("period") < F.lit(house.run.month.first_day))
    )
    return told.join(dealt_with, on=["tenant_id", "landing_id", "row_number"], how="left_anti").drop("publication_id")


def _left_behind(house: House, late: Months, records: DataFrame) -> list[DataFrame]:
    """ACCOUNT of usage that late records speak of and that another account may have had, and of usage that a replay has replaced."""
    found = []
    corrected = records.where(F.col("revision") > 0).select("tenant_id", "adjusts_period", "record_id").distinct()
    if not corrected.isEmpty():
        key = ["tenant_id", "adjusts_period", "record_id"]
        found.append(_usage_of(house, late).join(F.broadcast(corrected), on=key, how="left_semi").select(*ACCOUNT))
    if replaced := [landing for _, landing in house.replaced()]:
        every = _of_months(house.read_all_months("raw.usage"), late).where(F.col("landing_id").isin(replaced))
        found.append(every.withColumnsRenamed({"period": "adjusts_period"}).select(*ACCOUNT))
    return found


def _usage_of(house: House, late: Months) -> DataFrame:
    """Standing usage of the months to adjust, with adjusts_period beside period."""
    return _of_months(house.standing("raw.usage"), late).withColumn("adjusts_period", F.col("period"))


def _billed(house: House, late: Months) -> DataFrame:
    """All that was billed to the concerned accounts for these months: their charges, and what earlier months have adjusted."""
    charged = _of_months(house.read_all_months(CHARGES.name), late)
    earlier = house.read_all_months(ADJUSTMENTS.name).where(F.col("period") < F.lit(house.run.month.first_day))
    every = charged.unionByName(_of_months(adjustments.as_charges(earlier), late))
    return every.withColumn("adjusts_period", F.col("period")).join(
        F.broadcast(_concerned(house)), on=ACCOUNT, how="left_semi"
    ).drop("adjusts_period")  # fmt: skip


def _concerned(house: House) -> DataFrame:
    return house.spark.read.parquet(house.place(CONCERNED))


def _waits(house: House) -> DataFrame:
    changes = house.spark.read.parquet(house.place(CHANGES))
    return adjustments.too_large(changes, _concerned(house), settings().late_usage.largest)


def _of_months(rows: DataFrame, late: Months) -> DataFrame:
    wanted: Column = F.lit(False)
    for month, tenants in late.items():
        wanted = wanted | ((F.col("period") == F.lit(Period(month).first_day)) & F.col("tenant_id").isin(tenants))
    return rows.where(wanted)


def audit(house: House) -> dict[str, DataFrame]:
    """charges, adjustments: the staged rows. conservation: accepted usage beside charged usage, of the month and of adjusted ones.

    month_on_month: what each product comes to beside the month before.
    """
    charged = house.staged(CHARGES.name)
    account = transforms.conservation(_usage(house), charged)
    last = F.add_months(F.lit(house.run.month.first_day), -1)
    before = house.read_all_months(CHARGES.name).where(F.col("period") == last)
    compared = transforms.month_on_month(charged, before, settings().outliers.times)
    if not storage.exists(house.place(CONCERNED)) or _concerned(house).isEmpty():
        nothing = house.staged(ADJUSTMENTS.name) if house.was_staged(ADJUSTMENTS.name) else _nothing(house, ADJUSTMENTS)
        return {"charges": charged, "adjustments": nothing, "conservation": account, "month_on_month": compared}
    adjusted, mine = house.staged(ADJUSTMENTS.name), _concerned(house).join(_waits(house), on=ACCOUNT, how="left_anti")
    late: Months = {}
    for row in _concerned(house).select("tenant_id", "adjusts_period").distinct().collect():
        late.setdefault(str(row["adjusts_period"])[:7], []).append(row["tenant_id"])
    months = [transforms.latest_revisions(_usage_of(house, {month: tenants})) for month, tenants in late.items()]
    usage = reduce(DataFrame.unionByName, months).join(F.broadcast(mine), on=ACCOUNT, how="left_semi")
    billed = _billed(house, late).withColumn("adjusts_period", F.col("period"))
    of_late = adjustments.account(usage, billed.join(F.broadcast(mine), on=ACCOUNT, how="left_semi"), adjusted)
    return {
        "charges": charged, "adjustments": adjusted, "conservation": account.unionByName(of_late), "month_on_month": compared,
    }  # fmt: skip


def _nothing(house: House, table: Table) -> DataFrame:
    return house.spark.createDataFrame([], table.schema)


def _usage(house: House) -> DataFrame:
    usage = house.standing_of_month("raw.usage")
    if transforms.revised(usage).isEmpty():  # told by the files' statistics; most months end here
        return usage
    return transforms.latest_revisions(usage)


def _prices(house: House) -> DataFrame:
    return house.standing("raw.prices")


def _zones(house: House) -> DataFrame:
    zones = [(name, tenant.timezone) for name, tenant in chosen(house.run.tenants).items()]
    return house.spark.createDataFrame(zones, "tenant_id string, timezone string")


def _asked(house: House) -> frozenset[str]:
    return frozenset(row["asked"] for row in models.asked(_prices(house)).collect())  # three words at most

"""Invoiced months whose usage or prices have changed, and what a run does about it. What is computed is in adjustments.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.billing_aggregation import adjustments, crediting, sums
from jobs.billing_aggregation.adjustments import ACCOUNT, CHANGED_PRICES
from jobs.billing_aggregation.price_changes import PriceChange, PriceLists
from jobs.billing_aggregation.settings import settings
from jobs.billing_aggregation.tables import ADJUSTMENTS, CHARGES, LATE_PRICES, LATE_USAGE
from jobs.ledger.months import invoiced, open_before
from jobs.ledger.periods import Period
from jobs.runtime.config import digest
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Unit
from jobs.runtime.tables import Table
from jobs.stages import BILLING_AGGREGATION, INGESTION

CONCERNED, CHANGES, RATED_AGAIN = (
    "adjusting/concerned",
    "adjusting/changes",
    "adjusting/rated",
)  # noted beside the candidates
USAGE_OF, PRICES_OF = (
    "raw.usage ",
    "raw.prices ",
)  # inputs of a unit: what was known of an earlier month when it was adjusted
Months = dict[str, list[str]]  # invoiced months, each with the tenants of whom it has changed
Rate = Callable[[DataFrame, DataFrame, Period], DataFrame]  # usage and accounts of a month to its charges


@dataclass(frozen=True)
class Changed:
    """The invoiced months of a tenant that an open one has to look at, and what is known of them now."""

    usage: Mapping[str, str]  # month -> its usage, and the policy
    prices: Mapping[str, str]  # month -> what the prices that changed say of it, and the policy
    price_changes: Mapping[str, Sequence[PriceChange]]  # of the same months

    @property
    def months(self) -> list[str]:
        """The months, oldest first."""
        return sorted({*self.usage, *self.prices})

    @property
    def inputs(self) -> dict[str, str]:
        """What the content of the open month depends on besides its own facts."""
        told = {USAGE_OF + month: seen for month, seen in self.usage.items()}
        return told | {PRICES_OF + month: seen for month, seen in self.prices.items()}


def changed_months(snapshot: Snapshot, lists: PriceLists, tenant: str, period: Period) -> Changed:
    """The invoiced months whose usage or prices, or the policy for both, have changed since they were last billed.

    The earliest month that is not invoiced yet takes them, so that two months that run at once do not both bill a difference.
    """
    issued = [month for month in invoiced(snapshot, tenant) if month < period.key]
    still_open = open_before(snapshot, tenant, period.key)
    now = snapshot.fingerprint(Unit(INGESTION.name, tenant, "all", "prices")) or ""
    usage_by: dict[str, str] = {}
    prices_by: dict[str, str] = {}
    listed_by: dict[str, set[str]] = {}  # the price lists that a month was billed by
    for month in issued:
        inputs = snapshot.latest[Unit(BILLING_AGGREGATION.name, tenant, month)].inputs
        by = inputs.get("raw.prices", now)
        listed_by.setdefault(month, set()).add(by)
        for name, seen in inputs.items():
            if name == "raw.usage":
                usage_by[month] = seen
            elif name.startswith(USAGE_OF):
                usage_by[name.removeprefix(USAGE_OF)] = seen
            elif name.startswith(PRICES_OF):
                prices_by[name.removeprefix(PRICES_OF)] = seen
                listed_by.setdefault(name.removeprefix(PRICES_OF), set()).add(by)
    policy = digest(settings().adjustments.resolved())[:16]  # what waited by one policy may be billed by the next
    usage, prices, changes = {}, {}, {}
    for month in (month for month in issued if not any(month < other for other in still_open)):
        landed = snapshot.fingerprint(Unit(INGESTION.name, tenant, month, "usage")) or ""
        if month in usage_by and usage_by[month] not in (landed, f"{landed} by {policy}"):
            usage[month] = f"{landed} by {policy}"
        if listed_by[month] != {now} and (found := lists.changes(tenant, Period(month), listed_by[month])):
            seen = f"{lists.fingerprint(tenant, Period(month), found)} by {policy}"
            if prices_by.get(month) != seen:
                prices[month], changes[month] = seen, found
    return Changed(usage, prices, changes)


@dataclass(frozen=True)
class Looked:
    """What rating the changed months again has shown; the differences themselves stand in the run's own place."""

    months: Months  # oldest first
    records: DataFrame  # late records: rows of billing.waiting
    prices: DataFrame  # ACCOUNT and CHANGED_PRICES: what changed prices may bill otherwise
    waits: DataFrame  # ACCOUNT, why and is_old: nobody has looked, since the month lies too far back


def adjust(house: House, accounts: DataFrame, rate: Rate) -> dict[str, str]:
    """Rate the concerned accounts of each changed month again; stage the differences, and what became of what came late.

    accounts: one row per account. Nothing is staged where nothing has changed; where it had, its rows go.
    """
    found = changed(house)
    if not _months(found) and not _had(house, ADJUSTMENTS, LATE_USAGE, LATE_PRICES):
        return {}
    looked = look_again(house, found, accounts, rate)
    usage = adjustments.outcomes(looked.records, looked.waits, house.run.month)
    told = {ADJUSTMENTS: adjustments.billable(changes(house), looked.waits), LATE_USAGE: usage}
    if any(one.prices for one in found.values()) or _had(house, LATE_PRICES):
        told[LATE_PRICES] = adjustments.price_outcomes(looked.prices, changes(house), looked.waits, house.run.month)
    return house.stage_all({table.name: rows for table, rows in told.items()})


def look_again(house: House, found: Mapping[str, Changed], accounts: DataFrame, rate: Rate) -> Looked:
    """Rate the changed months again, for whoever is concerned and as far back as policy looks; note the differences."""
    months, policy = _months(found), settings().adjustments
    recent = {month: tenants for month, tenants in months.items() if house.run.month.months_since(month) <= policy.months}
    records, prices = _late_records(house, months), _late_prices(house, found, months)
    named = [_of_months(rows, recent).select(*ACCOUNT) for rows in (records, prices)]
    named += _left_behind(house, recent, records)
    concerned = house.keep(adjustments.concerned(reduce(DataFrame.unionByName, named), accounts), CONCERNED)
    again = _nothing(house).drop("publication_id")
    for month, tenants in recent.items():
        mine = concerned.where(F.col("period") == F.lit(Period(month).first_day))
        usage = adjustments.only(sums.latest_revisions(_usage(house, {month: tenants})), mine)
        again = again.unionByName(rate(usage, adjustments.only(accounts, mine), Period(month)))
    again = _with_credits(house, again, recent, accounts)
    house.keep(adjustments.differences(again, billed(house, recent), house.run.month), CHANGES)
    why = F.lit(f"waits: its month lies further back than policy looks (adjustments.months: {policy.months})")
    every = records.select(*ACCOUNT).unionByName(prices.select(*ACCOUNT)).distinct()
    old = every.where(~_in(recent)).withColumns({"why": why, "is_old": F.lit(True)})
    return Looked(months, records, prices, _waits(house).withColumn("is_old", F.lit(False)).unionByName(old))


def adjusted(house: House) -> DataFrame:
    """The adjustments that this run has staged; none where it has staged no table for them."""
    if house.was_staged(ADJUSTMENTS.name):
        return house.staged(ADJUSTMENTS.name)
    return house.spark.createDataFrame([], ADJUSTMENTS.schema)


def account(house: House) -> tuple[DataFrame, DataFrame] | None:
    """Usage of the adjusted accounts' months, and all that is billed for it with this run; None where it adjusts nothing."""
    if not house.was_kept(CONCERNED):
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
    every = _billed(house, months).unionByName(adjustments.as_charges(adjusted(house)))
    return adjustments.of(usage, mine), adjustments.of(every, mine)


def _with_credits(house: House, rated: DataFrame, months: Months, accounts: DataFrame) -> DataFrame:
    """Months rated again with the credits that were used in them. rated: CHARGES without publication_id."""
    if not crediting.tenants(house):
        return rated
    every = noted = house.keep(rated, RATED_AGAIN)  # so that no month is rated twice
    known = billed(house, months)
    for month, tenants in months.items():
        mine = _of_months(noted, {month: tenants})
        lines = crediting.again(house, mine, _of_months(known, {month: tenants}), accounts, Period(month))
        every = every.unionByName(lines)
    return every


def changes(house: House) -> DataFrame:
    """The differences that this run has found, as adjustments.differences() returns them."""
    return house.kept(CHANGES)


def billed(house: House, months: Months) -> DataFrame:
    """All that was billed to the concerned accounts for these months."""
    return adjustments.of(_billed(house, months), _concerned(house))


def changed(house: House) -> dict[str, Changed]:
    """The invoiced months that a run has to look at, by tenant."""
    lists = PriceLists(house.snapshot, house.run.tenants)
    return {tenant: changed_months(house.snapshot, lists, tenant, house.run.month) for tenant in house.run.tenants}


def _months(found: Mapping[str, Changed]) -> Months:
    """The changed months of all tenants of the run, oldest first."""
    months: Months = {}
    for tenant, one in found.items():
        for month in one.months:
            months.setdefault(month, []).append(tenant)
    return dict(sorted(months.items()))


def _had(house: House, *tables: Table) -> bool:
    """Whether one of these tables has rows of the units of this run."""
    units, names = (house.snapshot.latest.get(unit) for unit in house.run.units), {table.name for table in tables}
    return any(written.name in names and written.rows for unit in units if unit for written in unit.tables)


def _late_records(house: House, changed: Months) -> DataFrame:
    """Late records of these months that no earlier month has adjusted."""
    told = _of_months(house.read_all_months("billing.waiting"), changed)
    dealt_with = house.read_all_months(LATE_USAGE.name).where(
        (F.col("outcome") == adjustments.ADJUSTED) & (F.col("period") < F.lit(house.run.month.first_day))
    )
    of_months = dealt_with.withColumn("period", F.col("adjusts_period"))
    return told.join(of_months, on=["tenant_id", "period", "landing_id", "row_number"], how="left_anti")


def _late_prices(house: House, found: Mapping[str, Changed], months: Months) -> DataFrame:
    """Whom the changed prices of these months concern, less what an earlier month has dealt with: ACCOUNT and CHANGED_PRICES."""
    statements = {
        (tenant, Period(month).first_day, *(one.source[name] for name in ("price_id", "revision", "landing_id", "row_number")),
         *(said[name] for name in ("product_id", "currency", "region", "account_id")))
        for tenant, of in found.items() for month, prices in of.price_changes.items() for one in prices for said in one.said
    }  # fmt: skip
    columns = (
        "tenant_id string, period date, price_id string, revision int, landing_id string, row_number bigint, product_id string, "
        "currency string, price_region string, price_account string"
    )
    if not statements:  # told so, Spark leaves out everything that would be joined with them
        return _nothing(house).select(
            *ACCOUNT, *(F.lit(None).cast(LATE_PRICES.schema[name].dataType).alias(name) for name in CHANGED_PRICES)
        )
    told = house.spark.createDataFrame(sorted(statements, key=repr), columns)
    dealt_with = house.read_all_months(LATE_PRICES.name).where(
        F.col("outcome").isin(adjustments.ADJUSTED, adjustments.CHANGES_NOTHING)
        & (F.col("period") < F.lit(house.run.month.first_day))
    )
    of_months = dealt_with.withColumn("period", F.col("adjusts_period"))
    concerned = adjustments.concerned_by_prices(told, _billed(house, months))
    return concerned.join(of_months, on=[*ACCOUNT, "landing_id", "row_number"], how="left_anti").select(
        *ACCOUNT, *CHANGED_PRICES
    )


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
    """All that was billed for these months: their charges, and what earlier months have adjusted."""
    charged = _of_months(house.read_all_months(CHARGES.name), months)
    earlier = house.read_all_months(ADJUSTMENTS.name).where(F.col("period") < F.lit(house.run.month.first_day))
    return charged.unionByName(_of_months(adjustments.as_charges(earlier), months))


def _concerned(house: House) -> DataFrame:
    return house.kept(CONCERNED)


def _waits(house: House) -> DataFrame:
    return adjustments.too_large(changes(house), _concerned(house), settings().adjustments.largest)


def _of_months(rows: DataFrame, months: Months) -> DataFrame:
    return rows.where(_in(months))


def _in(months: Months) -> Column:
    wanted: Column = F.lit(False)
    for month, tenants in months.items():
        wanted = wanted | ((F.col("period") == F.lit(Period(month).first_day)) & F.col("tenant_id").isin(tenants))
    return wanted


def _nothing(house: House) -> DataFrame:
    return house.spark.createDataFrame([], CHARGES.schema)

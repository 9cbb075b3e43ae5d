"""Raw usage and price lists to charges, and to adjustments of months whose usage or prices have changed since they were invoiced."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.billing_aggregation import adjustments, announcement, corrections, crediting, models, sums, transforms
from jobs.billing_aggregation.conversion import Rates
from jobs.billing_aggregation.price_changes import PriceLists
from jobs.billing_aggregation.settings import settings
from jobs.billing_aggregation.tables import CHARGES
from jobs.ledger.facts import current_accounts, latest_prices
from jobs.ledger.months import TURN, frozen_by, turn_of
from jobs.ledger.periods import Period
from jobs.ledger.price_spans import billing_zones, price_spans
from jobs.ledger.tenants import chosen
from jobs.runtime.contract import Invocation, Planned, Written
from jobs.runtime.errors import UpstreamMissing
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Unit
from jobs.runtime.session import side_by_side
from jobs.stages import BILLING_AGGREGATION, INGESTION

FEW = 100_000  # revised records that are sent to every task rather than all records sorted; some ten megabytes of ids
RAW = "raw"  # parameter `from`: rate every record again instead of what was summed as it landed
WHAT_TO_DO = "Land the missing or mended price or account (countinghouse land, then run ingestion)"


def plan(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """One unit per tenant with usage in the month, or changes of earlier ones to bill in it; what was invoiced is frozen."""
    planned, tenants = [], chosen(invocation.tenants)
    lists, rates = PriceLists(snapshot, list(tenants)), Rates(settings().conversion, snapshot, list(tenants))
    for tenant in tenants:
        usage = snapshot.fingerprint(Unit(INGESTION.name, tenant, period.key, "usage"))
        changed = corrections.changed_months(snapshot, lists, tenant, period)
        if usage is None and not changed.months:
            if invocation.tenants:
                raise UpstreamMissing(
                    f"billing_aggregation {period}: no usage of tenant {tenant} was published for this month. Nothing was "
                    f"charged. Land it and run ingestion first."
                )
            continue
        inputs = {"raw.usage": usage} if usage else {}
        for feed in ("accounts", "prices"):
            inputs[f"raw.{feed}"] = snapshot.fingerprint(Unit(INGESTION.name, tenant, "all", feed)) or ""
        if rates.policy is not None:
            inputs["raw.fx_rates"] = rates.fingerprint(tenant, period)
        inputs |= changed.inputs
        if granted := snapshot.fingerprint(Unit(INGESTION.name, tenant, "all", "credits")):
            inputs |= {"raw.credits": granted, TURN: turn_of(snapshot, tenant, period.key)}
        issued = frozen_by(snapshot, tenant, period.key)
        frozen = f"invoiced by {issued.run_id}, frozen since; what changes is billed in an open month" if issued else None
        parameters = {"from": RAW} if invocation.parameters.get("from") == RAW else {}
        unit, announced = Unit(BILLING_AGGREGATION.name, tenant, period.key), bool(changed.months)
        planned.append(Planned(unit, inputs, parameters=parameters, frozen=frozen, announced=announced))
    if not planned:
        raise UpstreamMissing(
            f"billing_aggregation {period}: no tenant has usage published for this month. Nothing was charged. "
            f"Run ingestion of {period} first, or look whether files stand in landing."
        )
    return planned


def write(house: House) -> Written:
    """Stage the month's charges, and what earlier months still owe it."""
    rating = _rating(house)
    month, exchange = house.run.month, rating.rates.exchange(house.spark, house.run.month)
    told = (rating.prices, rating.accounts, month, rating.asked, exchange)
    charges = transforms.charges_of_sums(_sums(house, rating), *told)
    credited = crediting.with_credits(house, charges, rating.accounts)
    charged, adjusted = side_by_side(
        (
            lambda: {CHARGES.name: house.stage(credited, CHARGES.name)},
            lambda: corrections.adjust(house, rating.accounts, rating.of_records),
        )
    )
    return Written(charged | adjusted)


def preview(house: House) -> str:
    """What a run would bill for months that were invoiced, in words; nothing is staged for publication."""
    rating, changed = _rating(house), corrections.changed(house)
    looked = corrections.look_again(house, changed, rating.accounts, rating.of_records)
    return announcement.told(house, changed, looked)


@dataclass(frozen=True)
class _Rating:
    """What usage is rated by: the prices and accounts in force, one row each, and what the price list asks for."""

    prices: DataFrame
    accounts: DataFrame
    zones: DataFrame
    asked: frozenset[str]
    rates: Rates

    def of_records(self, usage: DataFrame, accounts: DataFrame, period: Period) -> DataFrame:
        """The charges of a month of some accounts' usage."""
        prices = adjustments.prices_of(self.prices, accounts)
        exchange = self.rates.exchange(self.prices.sparkSession, period)
        return transforms.charges(usage, prices, accounts, self.zones, period, self.asked, exchange)


def _rating(house: House) -> _Rating:
    prices = latest_prices(house.standing("raw.prices"))
    accounts, rates = house.standing("raw.accounts"), Rates(settings().conversion, house.snapshot, house.run.tenants)
    of_tenants = {name: tenant.timezone for name, tenant in chosen(house.run.tenants).items()}
    zones = billing_zones(house.spark, of_tenants, house.read_all_months("raw.accounts"))
    asked = frozenset(row["asked"] for row in models.asked(prices).collect())  # three words at most
    return _Rating(prices, current_accounts(accounts), zones, asked, rates)


def _sums(house: House, rating: _Rating) -> DataFrame:
    """The month's sums: from the rollup, and from the records where it does not tell, or nothing may be built on it."""
    spans, asked = price_spans(rating.prices, rating.zones), rating.asked
    if house.run.parameters.get("from") == RAW or not was_rolled_up(house):
        return sums.of_usage(_usage(house), spans, asked)
    rollup = house.standing_of_month("billing.usage_rollup")
    single = house.keep(sums.told_by_records(rollup, spans), "sums_told_by_records")  # small, and read twice
    usage = house.standing_of_month("raw.usage") if house.keeps_rows("sums_told_by_records") else None
    return sums.of_month(rollup, usage, single, spans, asked)


def was_rolled_up(house: House) -> bool:
    """Whether all usage of the month was summed as it landed; what an earlier version of the house has landed was not."""
    of_month = {Unit(INGESTION.name, tenant, house.run.month.key, "usage") for tenant in house.run.tenants}
    brought = (
        {table.name: table.rows for table in told.tables} for told in house.snapshot.publications if told.unit in of_month
    )
    return all("billing.usage_rollup" in tables or not tables.get("raw.usage") for tables in brought)


def audit(house: House) -> dict[str, DataFrame]:
    """charges, adjustments: the staged rows. conservation: accepted usage beside charged usage, of the month and of adjusted ones.

    month_on_month: what each product comes to beside the month before. credits: every credit used, beside what was granted.
    """
    accepted, charged = _usage(house), house.staged(CHARGES.name)
    last = F.add_months(F.lit(house.run.month.first_day), -1)
    before = house.read_all_months(CHARGES.name).where(F.col("period") == last)
    every = charged
    if of_late := corrections.account(house):
        accepted, every = accepted.unionByName(of_late[0]), charged.unionByName(of_late[1])
    return {
        "charges": charged,
        "adjustments": corrections.adjusted(house),
        "conservation": transforms.conservation(accepted, every),
        "month_on_month": transforms.month_on_month(charged, before, settings().outliers.times),
        "credits": crediting.account(house),
    }


def _usage(house: House) -> DataFrame:
    """The month's usage as it now stands: of every record its latest revision."""
    usage = house.standing_of_month("raw.usage")
    revised = sums.revised(usage).limit(FEW + 1).count()  # where there is none, the statistics of the files tell it
    if not revised:
        return usage
    return sums.latest_of_few(usage) if revised <= FEW else sums.latest_revisions(usage)

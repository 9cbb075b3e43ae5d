"""Raw usage and price lists to charges, and to adjustments of months whose usage or prices have changed since they were invoiced."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.billing_aggregation import adjustments, announcement, corrections, crediting, models, transforms
from jobs.billing_aggregation.price_changes import PriceLists
from jobs.billing_aggregation.settings import settings
from jobs.billing_aggregation.tables import CHARGES
from jobs.ledger.facts import current_accounts, latest_prices
from jobs.ledger.months import TURN, turn_of
from jobs.ledger.periods import Period
from jobs.ledger.tenants import chosen
from jobs.runtime.contract import Invocation, Planned, Written
from jobs.runtime.errors import UpstreamMissing
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Unit
from jobs.stages import BILLING_AGGREGATION, INGESTION, INVOICE_GENERATION

WHAT_TO_DO = "Land the missing or mended price or account (countinghouse land, then run ingestion)"


def plan(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """One unit per tenant with usage in the month, or changes of earlier ones to bill in it; what was invoiced is frozen."""
    planned, tenants = [], chosen(invocation.tenants)
    lists = PriceLists(snapshot, list(tenants))
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
        inputs |= changed.inputs
        if granted := snapshot.fingerprint(Unit(INGESTION.name, tenant, "all", "credits")):
            inputs |= {"raw.credits": granted, TURN: turn_of(snapshot, tenant, period.key)}
        issued = snapshot.latest.get(Unit(INVOICE_GENERATION.name, tenant, period.key))
        frozen = f"invoiced by {issued.run_id}, frozen since; what changes is billed in an open month" if issued else None
        unit = Unit(BILLING_AGGREGATION.name, tenant, period.key)
        planned.append(Planned(unit, inputs, frozen=frozen, announced=bool(changed.months)))
    if not planned:
        raise UpstreamMissing(
            f"billing_aggregation {period}: no tenant has usage published for this month. Nothing was charged. "
            f"Run ingestion of {period} first, or look whether files stand in landing."
        )
    return planned


def write(house: House) -> Written:
    """Stage the month's charges, and what earlier months still owe it."""
    accounts, rate = _rating(house)
    charged = crediting.with_credits(house, rate(_usage(house), None, house.run.month), accounts)
    staged = {CHARGES.name: house.stage(charged, CHARGES.name)}
    return Written(staged | corrections.adjust(house, accounts, rate))


def preview(house: House) -> str:
    """What a run would bill for months that were invoiced, in words; nothing is staged for publication."""
    accounts, rate = _rating(house)
    changed = corrections.changed(house)
    return announcement.told(house, changed, corrections.look_again(house, changed, accounts, rate))


def _rating(house: House) -> tuple[DataFrame, corrections.Rate]:
    """The accounts, one row each, and how a month of usage is charged: for some of them, or for all."""
    prices = latest_prices(house.standing("raw.prices"))
    accounts = current_accounts(house.standing("raw.accounts"))
    tenants = [(name, tenant.timezone) for name, tenant in chosen(house.run.tenants).items()]
    zones = house.spark.createDataFrame(tenants, "tenant_id string, timezone string")
    asked = frozenset(row["asked"] for row in models.asked(prices).collect())  # three words at most

    def rate(usage: DataFrame, of: DataFrame | None, period: Period) -> DataFrame:
        if of is None:
            return transforms.charges(usage, prices, accounts, zones, period, asked)
        return transforms.charges(usage, adjustments.prices_of(prices, of), of, zones, period, asked)

    return accounts, rate


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
    usage = house.standing_of_month("raw.usage")
    if transforms.revised(usage).isEmpty():  # told by the files' statistics; most months end here
        return usage
    return transforms.latest_revisions(usage)

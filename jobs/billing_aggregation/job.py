"""Raw usage and price lists to charges, and to adjustments of months that were invoiced before all their usage had come."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.billing_aggregation import adjustments, late_usage, models, transforms
from jobs.billing_aggregation.settings import settings
from jobs.billing_aggregation.tables import CHARGES
from jobs.ledger.facts import current_accounts
from jobs.ledger.periods import Period
from jobs.ledger.tenants import chosen
from jobs.runtime.contract import Invocation, Planned, Written
from jobs.runtime.errors import UpstreamMissing
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Unit
from jobs.stages import BILLING_AGGREGATION, INGESTION, INVOICE_GENERATION

WHAT_TO_DO = "Land the missing or mended price or account (countinghouse land, then run ingestion)"


def plan(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """One unit per tenant with usage in the month, or late usage to bill in it; a month that was invoiced is frozen."""
    planned = []
    for tenant in chosen(invocation.tenants):
        usage = snapshot.fingerprint(Unit(INGESTION.name, tenant, period.key, "usage"))
        late = late_usage.changed_months(snapshot, tenant, period)
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
        inputs |= {late_usage.USAGE_OF + month: seen for month, seen in late.items()}
        issued = snapshot.latest.get(Unit(INVOICE_GENERATION.name, tenant, period.key))
        frozen = f"invoiced by {issued.run_id}, frozen since; later usage is billed in an open month" if issued else None
        planned.append(Planned(Unit(BILLING_AGGREGATION.name, tenant, period.key), inputs, frozen=frozen))
    if not planned:
        raise UpstreamMissing(
            f"billing_aggregation {period}: no tenant has usage published for this month. Nothing was charged. "
            f"Run ingestion of {period} first, or look whether files stand in landing."
        )
    return planned


def write(house: House) -> Written:
    """Stage the month's charges, and what earlier months still owe it."""
    prices, accounts = house.standing("raw.prices"), current_accounts(house.standing("raw.accounts"))
    tenants = [(name, tenant.timezone) for name, tenant in chosen(house.run.tenants).items()]
    zones = house.spark.createDataFrame(tenants, "tenant_id string, timezone string")
    asked = frozenset(row["asked"] for row in models.asked(prices).collect())  # three words at most

    def rated(usage: DataFrame, of: DataFrame, period: Period) -> DataFrame:
        return transforms.charges(usage, adjustments.prices_of(prices, of), of, zones, period, asked)

    charges = transforms.charges(_usage(house), prices, accounts, zones, house.run.month, asked)
    staged = {CHARGES.name: house.stage(charges, CHARGES.name)}
    return Written(staged | late_usage.adjust(house, accounts, rated))


def audit(house: House) -> dict[str, DataFrame]:
    """charges, adjustments: the staged rows. conservation: accepted usage beside charged usage, of the month and of adjusted ones.

    month_on_month: what each product comes to beside the month before.
    """
    accepted, charged = _usage(house), house.staged(CHARGES.name)
    last = F.add_months(F.lit(house.run.month.first_day), -1)
    before = house.read_all_months(CHARGES.name).where(F.col("period") == last)
    every = charged
    if of_late := late_usage.account(house):
        accepted, every = accepted.unionByName(of_late[0]), charged.unionByName(of_late[1])
    return {
        "charges": charged,
        "adjustments": late_usage.adjusted(house),
        "conservation": transforms.conservation(accepted, every),
        "month_on_month": transforms.month_on_month(charged, before, settings().outliers.times),
    }


def _usage(house: House) -> DataFrame:
    usage = house.standing_of_month("raw.usage")
    if transforms.revised(usage).isEmpty():  # told by the files' statistics; most months end here
        return usage
    return transforms.latest_revisions(usage)

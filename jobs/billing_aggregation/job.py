"""Raw usage and price lists to charges."""

from __future__ import annotations

from pyspark.sql import DataFrame

from jobs.billing_aggregation import models, transforms
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
    """One unit per tenant with usage in the month; a month that was invoiced is frozen."""
    planned = []
    for tenant in chosen(invocation.tenants):
        usage = snapshot.fingerprint(Unit(INGESTION.name, tenant, period.key, "usage"))
        if usage is None:
            if invocation.tenants:
                raise UpstreamMissing(
                    f"billing_aggregation {period}: no usage of tenant {tenant} was published for this month. Nothing was "
                    f"charged. Land it and run ingestion first."
                )
            continue
        inputs = {"raw.usage": usage}
        for feed in ("accounts", "prices"):
            inputs[f"raw.{feed}"] = snapshot.fingerprint(Unit(INGESTION.name, tenant, "all", feed)) or ""
        issued = snapshot.latest.get(Unit(INVOICE_GENERATION.name, tenant, period.key))
        frozen = f"invoiced by {issued.run_id}, frozen since; later usage stands in billing.waiting" if issued else None
        planned.append(Planned(Unit(BILLING_AGGREGATION.name, tenant, period.key), inputs, frozen=frozen))
    if not planned:
        raise UpstreamMissing(
            f"billing_aggregation {period}: no tenant has usage published for this month. Nothing was charged. "
            f"Run ingestion of {period} first, or look whether files stand in landing."
        )
    return planned


def write(house: House) -> Written:
    """Stage the month's charges."""
    zones = house.spark.createDataFrame(
        [(name, tenant.timezone) for name, tenant in chosen(house.run.tenants).items()], "tenant_id string, timezone string"
    )
    prices = _prices(house)
    asked = frozenset(row["asked"] for row in models.asked(prices).collect())  # three words at most
    charges = transforms.charges(_usage(house), prices, current_accounts(_accounts(house)), zones, house.run.month, asked)
    return Written({"billing.charges": house.stage(charges, "billing.charges")})


def audit(house: House) -> dict[str, DataFrame]:
    """charges: the staged rows. conservation: accepted usage beside charged usage."""
    charged = house.staged("billing.charges")
    return {"charges": charged, "conservation": transforms.conservation(_usage(house), charged)}


def _usage(house: House) -> DataFrame:
    usage = house.standing_of_month("raw.usage")
    if transforms.revised(usage).isEmpty():  # told by the files' statistics; most months end here
        return usage
    return transforms.latest_revisions(usage)


def _prices(house: House) -> DataFrame:
    return house.standing("raw.prices")


def _accounts(house: House) -> DataFrame:
    return house.standing("raw.accounts")

"""Which months of a tenant are invoiced, and which of those that are not comes first."""

from __future__ import annotations

from jobs.runtime.config import digest
from jobs.runtime.house import Snapshot
from jobs.runtime.ops import Publication, Unit
from jobs.stages import INGESTION, INVOICE_GENERATION, MONTH_FROZEN

TURN = "turn"  # an input of charges that share something with other months: as turn_of() told it when they were made

FREEZING = ("main", MONTH_FROZEN)  # the lanes of invoice_generation that freeze a month
CARRIED = "invoicing.carried_forward"  # an input of a month's documents: the months whose charges they take, as carried_from() tells


def invoiced(snapshot: Snapshot, tenant: str) -> list[str]:
    """The months that were invoiced, oldest first."""
    mine = (unit for unit in snapshot.latest if unit.stage == INVOICE_GENERATION.name and unit.tenant_id == tenant)
    return sorted(unit.period for unit in mine if unit.lane == "main")


def frozen_by(snapshot: Snapshot, tenant: str, month: str) -> Publication | None:
    """What has invoiced a month, or has begun to, so that it will be: what its documents are made of changes no more (law 7)."""
    for lane in FREEZING:
        if found := snapshot.latest.get(Unit(INVOICE_GENERATION.name, tenant, month, lane)):
            return found
    return None


def open_before(snapshot: Snapshot, tenant: str, month: str) -> list[str]:
    """The months before this one that have usage and are not invoiced yet, oldest first."""
    mine = (unit for unit in snapshot.latest if unit.stage == INGESTION.name and unit.tenant_id == tenant)
    used = {unit.period for unit in mine if unit.lane == "usage" and unit.period < month}
    return sorted(used - set(invoiced(snapshot, tenant)))


def turn_of(snapshot: Snapshot, tenant: str, month: str) -> str:
    """What a month that shares something with others depends on: which ones went before it, and whether it is its turn."""
    gone = digest(*(other for other in invoiced(snapshot, tenant) if other != month))[:16]
    waits_for = open_before(snapshot, tenant, month)[:1]
    return f"after {gone}" + "".join(f", waits for {other}" for other in waits_for)


def carried_from(snapshot: Snapshot, tenant: str, month: str) -> list[str]:
    """The invoiced months before this one whose charges that were carried forward no other month has taken yet, oldest first.

    The earliest month that is not invoiced yet takes them; so of two that run at once only one bills a charge. What it cannot issue
    either, it carries forward itself.
    """
    if open_before(snapshot, tenant, month):
        return []
    mine = (
        publication
        for unit, publication in snapshot.latest.items()
        if unit.stage == INVOICE_GENERATION.name and unit.tenant_id == tenant and unit.period != month
    )
    taken = {other for publication in mine for other in publication.inputs.get(CARRIED, "").split(", ")}
    return [other for other in invoiced(snapshot, tenant) if other < month and other not in taken]

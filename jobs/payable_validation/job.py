"""Vendor invoices to decisions: accept, hold or reject, with every reason."""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.ledger.facts import standing
from jobs.ledger.periods import Period
from jobs.ledger.tenants import Tenant, chosen
from jobs.payable_validation import transforms
from jobs.payable_validation.settings import rules_in_force, rules_of
from jobs.payable_validation.tables import DECISIONS, REASONS
from jobs.runtime.contract import Invocation, Planned, Written
from jobs.runtime.errors import UpstreamMissing
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Unit
from jobs.stages import INGESTION

WHAT_TO_DO = (
    "Look at the payables that the gate names in payables.decisions and payables.reasons, mend the rule or the mapping"
)
STAGE = "payable_validation"
READ = ("payables", "vendors", "purchase_orders")
SEEN = "seen"  # what was complete when a run wrote, kept beside its candidates: files go on landing while it is judged


def plan(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """One unit per tenant that has payables. An hour before one that was decided is frozen: that one took its payables along."""
    period = period.required("hour", STAGE)
    every = rules_in_force()
    planned = []
    for name, tenant in chosen(invocation.tenants).items():
        inputs = _inputs(snapshot, name, period)
        if not any(unit.endswith("/payables") for unit in inputs):
            if invocation.tenants:
                raise UpstreamMissing(
                    f"{STAGE} {period}: no payables of tenant {name} were published. Nothing was decided. Land them and run "
                    f"ingestion first."
                )
            continue
        configuration = {f"{rule.id}:{rule.version}": rule.resolved() for rule in rules_of(tenant, every)}
        configuration["tenant"] = _of_tenant(tenant)
        unit = Unit(STAGE, name, period.key)
        planned.append(Planned(unit, inputs, configuration, frozen=_decided_later(snapshot, name, period)))
    if not planned:
        raise UpstreamMissing(
            f"{STAGE} {period}: no tenant has payables published. Nothing was decided. Run ingestion first, or look whether "
            f"files stand in landing."
        )
    return planned


def _of_tenant(tenant: Tenant) -> str:
    """What else of a tenant's configuration decides."""
    entities = (f"{country}:{entity}" for country, entity in transforms.entities(tenant).items())
    return "|".join((tenant.business_line, tenant.timezone, tenant.legal_entities[0].id, *entities))


def _inputs(snapshot: Snapshot, tenant: str, period: Period) -> dict[str, str]:
    """Everything landed that a run of this hour can see: facts without a month, and payables up to the month of the hour.

    A month begins on the tenant's clocks, up to a day before or after it does in UTC.
    """
    last = (period.ends + timedelta(days=1)).strftime("%Y-%m")
    return {
        unit.id: publication.fingerprint
        for unit, publication in snapshot.latest.items()
        if (unit.stage, unit.tenant_id) == (INGESTION.name, tenant)
        and unit.lane in READ
        and (unit.period == "all" or unit.period <= last)
    }


def _decided_later(snapshot: Snapshot, tenant: str, period: Period) -> str | None:
    later = snapshot.overtaken(Unit(STAGE, tenant, period.key))
    if later is None:
        return None
    return f"decided up to {later} already, with everything received before; what landed since is for the next hour's run"


def write(house: House) -> Written:
    """Stage the decisions that are new or have changed, and their reasons."""
    every = rules_in_force()
    mine = chosen(house.run.tenants)
    wanted = {rule for tenant in mine.values() for rule in rules_of(tenant, every)}
    rules = [rule for rule in every if rule in wanted]
    complete = [(name,) for name in sorted(house.snapshot.complete)]
    house.keep(house.spark.createDataFrame(complete, "publication_id string"), SEEN)
    decided = house.keep(
        transforms.decide(
            house.standing("raw.payables"),
            house.standing("raw.vendors"),
            house.standing("raw.purchase_orders"),
            house.read_all_months(DECISIONS.name),
            transforms.houses(house.spark, mine),
            rules,
            house.run.month,
        ),
        "decided",
    )
    return Written(
        house.stage_all({DECISIONS.name: transforms.decisions_of(decided), REASONS.name: transforms.reasons_of(decided)})
    )


def audit(house: House) -> dict[str, DataFrame]:
    """decisions: the staged ones beside their reasons. conservation: what was received when they were written, beside all of them."""
    staged, reasons = house.staged(DECISIONS.name), house.staged(REASONS.name)
    seen = house.kept(SEEN)
    replaced = house.replaced({row["publication_id"] for row in seen.collect()})

    def then(name: str) -> DataFrame:
        return house.read_all_months(name).join(F.broadcast(seen), on="publication_id", how="left_semi")

    payables = standing(then("raw.payables"), replaced)
    every = then(DECISIONS.name).unionByName(staged)
    return {
        "decisions": transforms.with_reason_counts(staged, reasons),
        "conservation": transforms.conservation(payables, every, house.run.month),
    }

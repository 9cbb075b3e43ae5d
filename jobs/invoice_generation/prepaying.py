"""Where prepaid money comes from, and how a month takes it: before its numbers, by one commit that cash matching cannot overlook.

Source: docs/decisions/0017-prepayments.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.invoice_generation import prepayments
from jobs.invoice_generation.settings import Settings
from jobs.invoice_generation.tables import PREPAYMENTS
from jobs.ledger import receipts
from jobs.runtime import delta_log, faults, ops
from jobs.runtime.config import digest
from jobs.runtime.errors import OutOfTurn, RunBroke
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Publication, TableVersion, Unit
from jobs.stages import CASH_MATCHING, INVOICE_GENERATION

LANE = INVOICE_GENERATION.parts[0]  # the unit by which a month's money is taken, before its documents are numbered
TAKEN = "prepayments"  # the place of staged prepayments among those of the staged tables; its rows bear an id of their own
UNAPPLIED, APPLICATIONS = "cash.unapplied", "cash.applications"


def newest_cash(snapshot: Snapshot, tenant: str) -> Publication | None:
    """The publication of a tenant's newest day of cash."""
    days = [p for unit, p in snapshot.latest.items() if (unit.stage, unit.tenant_id) == (CASH_MATCHING.name, tenant)]
    return max(days, key=lambda publication: publication.unit.period, default=None)


def inputs(snapshot: Snapshot, tenant: str, policy: Settings, issue_date: date) -> dict[str, str]:
    """What a month's documents depend on besides, where money on account is deducted."""
    if policy.deducts(tenant, issue_date) is None:
        return {}
    cash = newest_cash(snapshot, tenant)
    return {UNAPPLIED: cash.fingerprint if cash else ""}


def configuration(policy: Settings, tenant: str, issue_date: date) -> dict[str, str]:
    """The part of the policy that a tenant's documents of a day depend on; empty where nothing is deducted."""
    deducting = policy.deducts(tenant, issue_date)
    return {"prepayments": deducting.resolved()} if deducting else {}


def concerned(house: House, policy: Settings, issue_date: date) -> bool:
    """Whether a run may move prepaid money: to deduct it, or to give back what was deducted."""
    before = {unit.tenant_id for unit in house.snapshot.latest if (unit.stage, unit.lane) == (INVOICE_GENERATION.name, LANE)}
    return any(policy.deducts(tenant, issue_date) or tenant in before for tenant in house.run.tenants)


def write(house: House, headers: DataFrame, policy: Settings, issue_date: date) -> str:
    """Stage what the month's documents take, and give back; returns where. headers: all of them, before anything is deducted."""
    deducting = {tenant: policy.deducts(tenant, issue_date) for tenant in house.run.tenants}
    rows = [(tenant, found.rule) for tenant, found in deducting.items() if found]
    rules = house.spark.createDataFrame(rows, "tenant_id string, rule string")
    published, invoices = house.read_all_months(PREPAYMENTS.name), house.read_all_months("invoicing.invoices")
    moved = prepayments.taken(headers, _receipts(house), rules, issue_date).unionByName(
        prepayments.given_back(headers, invoices, published, house.run.month.first_day, issue_date)
    )
    own = House(house.spark, house.snapshot, replace(house.run, publication_id=_own_id(house)))
    return own.stage(moved, PREPAYMENTS.name)


def audit(house: House) -> DataFrame:
    """The frame of the gate `prepayments`; without rows where the run moves no prepaid money."""
    if not house.was_staged(PREPAYMENTS.name):
        return house.spark.createDataFrame([], prepayments.ACCOUNT)
    return prepayments.account(
        house.staged(PREPAYMENTS.name),
        house.staged("invoicing.invoices"),
        _receipts(house),
        house.read_all_months(PREPAYMENTS.name),
        house.read_all_months("invoicing.invoices"),
    )


def take(house: House, place: str, passing: Sequence[str], note: Mapping[str, object]) -> None:
    """Let the money be taken for the tenants that pass, once and for good: what was staged, as long as all of it is still there.

    Raises OutOfTurn where cash matching has applied some of it since. A run that was killed afterwards finds it taken and goes on.
    """
    own_id, month = _own_id(house), house.run.month
    lanes = {tenant: Unit(INVOICE_GENERATION.name, tenant, month.key, LANE) for tenant in passing}
    counts = delta_log.staged_rows(delta_log.staged_files(place))
    units = {tenant: unit for tenant, unit in sorted(lanes.items()) if counts.get(tenant)}
    holders = [unit for unit in house.run.units if unit.tenant_id in units]
    turns = [Unit(CASH_MATCHING.name, tenant, "turn") for tenant in units]
    told = dict(note) | {
        "publication_id": own_id, "tenants": list(units),
        "units": [{"tenant_id": tenant, "period": month.key, "lane": LANE} for tenant in units],
    }  # fmt: skip
    for _ in range(delta_log.RETRIES):
        standing = ops.fences(turns)  # read before the snapshot: what is published after it has moved one of them
        now = house.looking_again()
        taken_by = {now.snapshot.latest[unit].publication_id for unit in lanes.values() if unit in now.snapshot.latest}
        if own_id in taken_by or not (units or taken_by):
            return
        if taken_by:
            raise OutOfTurn(
                f"invoice_generation {month}: another run has taken money for documents of this month meanwhile. Nothing was taken here; "
                f"that run is finished first. Run this again."
            )
        _all_there(now, place, list(units))
        version = delta_log.promote(PREPAYMENTS, place, own_id, units, str(month.first_day), told)
        faults.reach("publish:prepayments")
        done = [
            Publication(
                unit=unit,
                run_id=house.run.run_id,
                attempt=house.run.attempt,
                publication_id=own_id,
                fingerprint=digest(unit.id, own_id),
                inputs={},
                tables=(TableVersion(PREPAYMENTS.name, version, counts[tenant]),),
                configuration_hash=str(note["configuration_hash"]),
                code_version=str(note["code_version"]),
                actor=str(note["actor"]),
                dag_run_id=str(note["dag_run_id"]),
                fenced=False,
            )
            for tenant, unit in units.items()
        ]
        if ops.take(done, told, holders, standing):
            faults.reach("publish:taken")
            return
    raise RunBroke(f"{house.run.run_id}: other runs kept spending the same money. Nothing was issued; run this again.")


def _all_there(now: House, place: str, tenants: Sequence[str]) -> None:
    staged = now.read_staged(PREPAYMENTS.name, place).where(
        F.col("tenant_id").isin(*tenants) & F.col("gives_back_id").isNull()
    )
    gone = prepayments.beside_receipts(staged, _receipts(now)).where(
        F.col("receipt_left").isNull() | (F.col("receipt_taken") > F.col("receipt_left"))
    )
    found, example = gone.agg(F.count(F.lit(1)), F.min("transaction_id")).collect()[0]
    if found:
        raise OutOfTurn(
            f"invoice_generation {now.run.period}: {found} receipts, e.g. transaction {example}, were spent by cash matching since the "
            f"documents were made. No money was taken and no number. Clear the write of this stage, or run it again."
        )


def _receipts(house: House) -> DataFrame:
    """What each tenant's newest day of cash has left unapplied, less all that was spent of it since."""
    days = []
    for tenant in house.run.tenants:
        if cash := newest_cash(house.snapshot, tenant):
            days.append((tenant, date.fromisoformat(cash.unit.period)))
    newest = house.spark.createDataFrame(days, "tenant_id string, period date")
    rows = house.read_all_months(UNAPPLIED).join(F.broadcast(newest), on=["tenant_id", "period"], how="left_semi")
    gone = receipts.spent(house.read_all_months(APPLICATIONS), house.read_all_months(PREPAYMENTS.name))
    return receipts.left(rows, gone)


def _own_id(house: House) -> str:
    """The publication by which this run's money is taken: another than that of its documents, which come later."""
    return ops.part_id(house.run.publication_id, LANE)

"""Where prepaid money comes from, and how a month takes it: when it is frozen (freezing.py), so that cash matching cannot overlook it.

Source: docs/decisions/0017-prepayments.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.invoice_generation import prepayments
from jobs.invoice_generation.settings import Settings
from jobs.invoice_generation.tables import PREPAYMENTS
from jobs.ledger import receipts
from jobs.runtime import delta_log, faults, ops
from jobs.runtime.errors import OutOfTurn
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Publication, TableVersion, Unit
from jobs.stages import CASH_MATCHING, INVOICE_GENERATION, MONEY_TAKEN

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
    before = {unit.tenant_id for unit in house.snapshot.latest if unit == _taking(unit.tenant_id, unit.period)}
    return any(policy.deducts(tenant, issue_date) or tenant in before for tenant in house.run.tenants)


def _taking(tenant: str, month: str) -> Unit:
    return Unit(INVOICE_GENERATION.name, tenant, month, MONEY_TAKEN)


def write(house: House, headers: DataFrame, policy: Settings, issue_date: date) -> str:
    """Stage what the month's documents take, and give back; returns where. headers: all of them, before anything is deducted."""
    deducting = {tenant: policy.deducts(tenant, issue_date) for tenant in house.run.tenants}
    rows = [(tenant, found.rule) for tenant, found in deducting.items() if found]
    rules = house.spark.createDataFrame(rows, "tenant_id string, rule string")
    published, invoices = house.read_all_months(PREPAYMENTS.name), house.read_all_months("invoicing.invoices")
    moved = prepayments.taken(headers, _receipts(house), rules, issue_date).unionByName(
        prepayments.given_back(headers, invoices, published, house.run.month.first_day, issue_date)
    )
    own = House(house.spark, house.snapshot, replace(house.run, publication_id=own_id(house)))
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


@dataclass(frozen=True)
class Money:
    """What the documents that passed take of money on account, as it was staged."""

    place: str
    units: Mapping[str, Unit]  # tenant -> the unit by which it is taken
    rows: Mapping[str, int]  # tenant -> rows

    @property
    def turns(self) -> list[Unit]:
        """The turns of those who spend the same money."""
        return [ops.turn_of(Unit(CASH_MATCHING.name, tenant, "all")) for tenant in self.units]


def money(house: House, place: str | None, passing: Sequence[str]) -> Money | None:
    """What is staged in a place for the tenants that pass; None where that is nothing."""
    rows = delta_log.staged_rows(delta_log.staged_files(place)) if place else {}
    units = {tenant: _taking(tenant, house.run.month.key) for tenant in sorted(passing) if rows.get(tenant)}
    return Money(place, units, rows) if place and units else None


def staged_for(now: House, money: Money, note: Mapping[str, object]) -> dict[Unit, TableVersion]:
    """Let the rows stand in their table, where nobody sees them yet; raises OutOfTurn where some of the money is spent by now."""
    month = now.run.month
    _all_there(now, money)
    told = dict(note) | {
        "publication_id": own_id(now), "tenants": list(money.units),
        "units": [{"tenant_id": tenant, "period": month.key, "lane": MONEY_TAKEN} for tenant in money.units],
    }  # fmt: skip
    version = delta_log.promote(PREPAYMENTS, money.place, own_id(now), money.units, str(month.first_day), told)
    faults.reach("publish:prepayments")
    return {unit: TableVersion(PREPAYMENTS.name, version, money.rows[tenant]) for tenant, unit in money.units.items()}


def _all_there(now: House, money: Money) -> None:
    staged = now.read_staged(PREPAYMENTS.name, money.place).where(
        F.col("tenant_id").isin(*money.units) & F.col("gives_back_id").isNull()
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


def own_id(house: House) -> str:
    """The publication by which this run's money is taken: another than that of its documents, which come later."""
    return ops.part_id(house.run.publication_id, MONEY_TAKEN)

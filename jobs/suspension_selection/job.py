"""Receivables to the accounts that are warned, suspended, terminated or let return on a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from jobs.ledger import receipts
from jobs.ledger.facts import current_accounts
from jobs.ledger.periods import Period
from jobs.ledger.tenants import Tenant, chosen
from jobs.runtime.contract import Invocation, Planned, Written
from jobs.runtime.errors import UpstreamMissing
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Publication, Unit
from jobs.runtime.shown import money
from jobs.stages import CASH_MATCHING, INGESTION, INVOICE_GENERATION, LEDGER_POSTING, MONEY_TAKEN, SUSPENSION_SELECTION
from jobs.suspension_selection import transforms
from jobs.suspension_selection.settings import Policy, settings
from jobs.suspension_selection.tables import ACCOUNT_STATES, CANDIDATES

WHAT_TO_DO = "Look at the figures: mend the receivables, the cash or the policy that nominates so many"
OUTCOMES = "outcomes"  # the place where a run writes down what becomes of every account
FACTS = ("accounts", "disputes", "promises", "exemptions")


def plan(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """One unit per tenant with open items by the month of the day; refused where its cash is older than the policy allows."""
    policies = settings()
    planned = []
    for name, tenant in chosen(invocation.tenants).items():
        ledger = _newest(snapshot, LEDGER_POSTING.name, name, period.month)
        if ledger is None:
            if invocation.tenants:
                raise UpstreamMissing(
                    f"suspension_selection {period}: no open items of tenant {name} were published by then. Nobody was nominated. "
                    f"Run ledger_posting of {period.month} first."
                )
            continue
        unit = Unit(SUSPENSION_SELECTION.name, name, period.key)
        assigned = policies.of(name, period.first_day)
        if later := snapshot.overtaken(unit):
            planned.append(
                Planned(unit, {}, frozen=f"{later} was decided already, and its states go on from what was then known")
            )
            continue
        stale = _stale(snapshot, tenant, period, assigned[None])
        if stale:
            planned.append(Planned(unit, {}, left_out=stale))
            continue
        configuration = {segment or "all": policy.resolved() for segment, policy in assigned.items()}
        planned.append(Planned(unit, _inputs(snapshot, name, period, ledger), configuration))
    if not planned:
        raise UpstreamMissing(
            f"suspension_selection {period}: no tenant has open items published by then. Nobody was nominated. "
            f"Run ledger_posting of {period.month} first."
        )
    return planned


def _newest(snapshot: Snapshot, stage: str, tenant: str, period: Period) -> Publication | None:
    """The publication of a stage's newest period up to one."""
    found = [
        publication
        for unit, publication in snapshot.latest.items()
        if unit.stage == stage and unit.tenant_id == tenant and unit.lane == "main" and unit.period <= period.key
    ]
    return max(found, key=lambda publication: publication.unit.period, default=None)


def _stale(snapshot: Snapshot, tenant: Tenant, period: Period, policy: Policy) -> str | None:
    """Why nobody may be nominated on what is known of the tenant's cash; a tenant without statements is judged without."""
    if "bank_transactions" not in tenant.feeds:
        return None
    cash = _newest(snapshot, CASH_MATCHING.name, tenant.tenant, period)
    oldest = str(period.first_day - timedelta(days=policy.cash_age_days))
    if cash is not None and cash.unit.period >= oldest:
        return None
    known = f"the newest is of {cash.unit.period}" if cash else "there is none"
    return (
        f"suspension_selection {period}: cash of tenant {tenant.tenant} was not matched up to {oldest}, {known}. Nobody of this tenant "
        f"was nominated: it may have paid. Run cash_matching of {period} first."
    )


def _inputs(snapshot: Snapshot, tenant: str, period: Period, ledger: Publication) -> dict[str, str]:
    told = {ledger.unit.id: ledger.fingerprint}
    for unit, publication in snapshot.latest.items():
        if unit.tenant_id != tenant:
            continue
        is_cash = unit.stage == CASH_MATCHING.name and unit.period <= period.key
        is_fact = unit.stage == INGESTION.name and (
            unit.lane in FACTS or (unit.lane == "open_items" and unit.period <= period.month.key)
        )
        took_cash = unit.stage == INVOICE_GENERATION.name and unit.lane == MONEY_TAKEN and unit.period <= period.month.key
        if is_cash or is_fact or took_cash:
            told[unit.id] = publication.fingerprint
    return told


def write(house: House) -> Written:
    """Write down what the policy makes of every account; then stage the candidates and the changes of state that follow."""
    day = house.run.month.first_day
    evaluated = house.keep(_evaluated(house, house.keep(_documents(house), "documents")), OUTCOMES)
    return Written(
        house.stage_all(
            {
                CANDIDATES.name: transforms.candidates(evaluated),
                ACCOUNT_STATES.name: transforms.changes(evaluated, _states(house), day),
            }
        )
    )


def audit(house: House) -> dict[str, DataFrame]:
    """candidates: every candidate beside its documents and its change of state. share: how many are nominated, per policy."""
    day, assigned = house.run.month.first_day, _assigned(house)
    staged, evaluated = house.staged(CANDIDATES.name), house.kept(OUTCOMES)
    account = transforms.candidates_account(
        staged, house.staged(ACCOUNT_STATES.name), _documents(house), _states(house), evaluated, assigned, day
    )
    policies = transforms.distinct_policies(assigned)
    return {"candidates": account, "share": transforms.shares(house.spark, staged, evaluated, policies)}


def summary(house: House) -> str:
    """For whoever approves: how many accounts are nominated for what, what they owe, and one example of each."""
    return told(transforms.by_action(house.staged(CANDIDATES.name)).collect())


def told(actions: Sequence[Row]) -> str:
    """The rows of by_action() in words."""
    lines = []
    for row in sorted(actions, key=lambda row: (row["action"], row["currency"] or "")):
        owing = (
            f", {money(row['overdue'], row['currency'])} {row['currency']} overdue"
            if row["overdue"] and row["currency"]
            else ""
        )
        because = f", {row['first']['held_because']}" if row["first"]["held_because"] else ""
        first = f"{row['first']['account_id']} of {row['first']['tenant_id']}"
        lines.append(f"{row['action']}: {row['accounts']:,} accounts{owing}, e.g. {first}{because}")
    return "Nominated:\n  - " + "\n  - ".join(lines) if lines else "Nobody is nominated."


def _evaluated(house: House, documents: DataFrame) -> DataFrame:
    """Every account with what its policy makes of it. documents: what was open on the day."""
    day, policies = house.run.month.first_day, transforms.distinct_policies(_assigned(house))
    accounts = _accounts(house, documents)
    disputes, promises, exemptions, taken_over = (
        _raw(house, feed) for feed in ("disputes", "promises", "exemptions", "open_items")
    )
    counted = transforms.counting(
        house.spark, documents, accounts, disputes, promises, exemptions, taken_over, policies, day
    )
    cash = _days_of(house, CASH_MATCHING.name, house.run.month)
    cover = transforms.covers(_unapplied(house, cash), _on(house, "cash.suggestions", cash), documents)
    return transforms.evaluated(accounts, counted, cover, _states(house, day), policies, day)


def _unapplied(house: House, days: dict[str, date]) -> DataFrame:
    """What receipts had left on the day of the run: as the newest day of cash has them, less what invoices took when they were issued."""
    on = F.lit(house.run.month.first_day)
    applied = house.read_all_months("cash.applications").where(F.col("period") <= on)
    taken = house.read_all_months("invoicing.prepayments").where(F.col("applied_on") <= on)
    return receipts.left(_on(house, "cash.unapplied", days), receipts.spent(applied, taken)).withColumn(
        "unapplied", F.col("left")
    )


def _assigned(house: House) -> dict[str, dict[str | None, Policy]]:
    told = settings()
    return {tenant: told.of(tenant, house.run.month.first_day) for tenant in house.run.tenants}


def _accounts(house: House, documents: DataFrame) -> DataFrame:
    known = current_accounts(_raw(house, "accounts"))
    return transforms.with_policy(
        house.spark, known, documents, house.read_all_months(ACCOUNT_STATES.name), _assigned(house)
    )


def _raw(house: House, feed: str) -> DataFrame:
    return house.standing(f"raw.{feed}")


def _states(house: House, day: date | None = None) -> DataFrame:
    """The state of each account at the beginning of a day, or now."""
    mine = [p.publication_id for p in house.snapshot.publications if p.unit.stage == SUSPENSION_SELECTION.name]
    order = house.spark.createDataFrame(
        [(publication_id, place) for place, publication_id in enumerate(dict.fromkeys(mine))],
        "publication_id string, place int",
    )
    return transforms.standing_states(house.read_all_months(ACCOUNT_STATES.name), order, day)


def _documents(house: House) -> DataFrame:
    """What every receivable has still open on the day of the run."""
    day = house.run.month
    months = _days_of(house, LEDGER_POSTING.name, day.month)
    items = _on(house, "ledger.open_items", months)
    posted = house.spark.createDataFrame(
        [(publication_id,) for tenant in house.run.tenants for publication_id in _posted(house, tenant)],
        "publication_id string",
    )
    applied = house.read_all_months("cash.applications").join(
        F.broadcast(posted.withColumn("is_posted", F.lit(True))), on="publication_id", how="left"
    )
    is_posted, by_then = F.coalesce("is_posted", F.lit(False)), F.col("period") <= F.lit(day.first_day)
    amount = F.when(~is_posted & by_then, F.col("amount")).when(is_posted & ~by_then, -F.col("amount"))
    moved = applied.select("tenant_id", "document_id", amount.alias("amount")).where(F.col("amount").isNotNull())
    return transforms.open_on(items, moved, day.first_day)


def _posted(house: House, tenant: str) -> set[str]:
    """The publications of applications that the open items in use contain already: those the ledger of their month was made from."""
    newest = _newest(house.snapshot, LEDGER_POSTING.name, tenant, house.run.month.month)
    posted_from = {
        unit.period: publication.inputs
        for unit, publication in house.snapshot.latest.items()
        if unit.stage == LEDGER_POSTING.name and unit.tenant_id == tenant and unit.lane == "main"
        if newest is not None and unit.period <= newest.unit.period
    }
    found: set[str] = set()
    so_far: dict[str, set[str]] = {}
    for publication in house.snapshot.publications:
        unit = publication.unit
        if unit.stage != CASH_MATCHING.name or unit.tenant_id != tenant:
            continue
        so_far.setdefault(unit.id, set()).add(publication.publication_id)
        if posted_from.get(unit.period[:7], {}).get(unit.id) == publication.fingerprint:
            found |= so_far[unit.id]
    return found


def _days_of(house: House, stage: str, period: Period) -> dict[str, date]:
    """The newest period of a stage by tenant, as its tables carry it."""
    found = {tenant: _newest(house.snapshot, stage, tenant, period) for tenant in house.run.tenants}
    return {tenant: Period(told.unit.period).first_day for tenant, told in found.items() if told}


def _on(house: House, name: str, days: dict[str, date]) -> DataFrame:
    """The rows of a derived table that are of these periods."""
    told = house.spark.createDataFrame(list(days.items()), "tenant_id string, period date")
    return house.read_all_months(name).join(F.broadcast(told), on=["tenant_id", "period"], how="left_semi")

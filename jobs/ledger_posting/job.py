"""The accounting events of every stage to the journal; the journal's only writer."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.ledger.facts import current_accounts
from jobs.ledger.periods import Period
from jobs.ledger.tenants import Tenant, chosen
from jobs.ledger_posting import events, transforms
from jobs.ledger_posting.settings import settings
from jobs.ledger_posting.tables import JOURNAL_LINES
from jobs.runtime.contract import Invocation, Planned, Written
from jobs.runtime.errors import CallError, UpstreamMissing
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Unit
from jobs.stages import CASH_MATCHING, INGESTION, INVOICE_GENERATION, LEDGER_POSTING, PAYABLE_VALIDATION, PAYMENT_PLANNING

WHAT_TO_DO = "Mend the posting rules in conf/ledger_posting.yaml, or the legal entities of the tenant"
MAIN, RECEIPTS = LEDGER_POSTING.lanes


def plan(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """One unit per tenant with something to post in the month; what is posted stays posted, what is new is added."""
    rules = settings().resolved()
    if invocation.lane not in LEDGER_POSTING.lanes:
        raise CallError(
            f"ledger_posting has no lane '{invocation.lane}'; its lanes are {', '.join(LEDGER_POSTING.lanes)}. Nothing was started."
        )
    planned = []
    for name, tenant in chosen(invocation.tenants).items():
        inputs = _inputs(snapshot, name, period, invocation.lane)
        if not inputs:
            if invocation.tenants:
                raise UpstreamMissing(
                    f"ledger_posting {period}: nothing of tenant {name} was published for this month that could be posted. "
                    f"Nothing was posted. Run the stages before it first."
                )
            continue
        configuration = {"rules": rules, "entities": _owners_told(tenant)}
        planned.append(Planned(Unit(LEDGER_POSTING.name, name, period.key, invocation.lane), inputs, configuration))
    if not planned:
        raise UpstreamMissing(
            f"ledger_posting {period}: no tenant has anything published for this month that could be posted. Nothing was "
            f"posted. Run the stages before it first."
        )
    return planned


def _inputs(snapshot: Snapshot, tenant: str, period: Period, lane: str) -> dict[str, str]:
    """The publications that a lane's entries of the month come from; for the main lane also the months it carries on."""
    lines = snapshot.latest.get(Unit(INGESTION.name, tenant, period.key, "bank_transactions"))
    if lane == RECEIPTS:
        return {lines.unit.id: lines.fingerprint} if lines else {}
    happened: dict[str, str] = {}
    carried: dict[str, str] = {}
    for unit, publication in snapshot.latest.items():
        if unit.tenant_id != tenant:
            continue
        of_the_month = unit.period[:7] == period.key
        if unit.stage == LEDGER_POSTING.name and (unit.period < period.key or (of_the_month and unit.lane == RECEIPTS)):
            (happened if of_the_month else carried)[unit.id] = publication.fingerprint
        elif of_the_month and (
            (
                unit.stage in (INVOICE_GENERATION.name, PAYABLE_VALIDATION.name, PAYMENT_PLANNING.name, CASH_MATCHING.name)
                and unit.lane == "main"  # documents post nothing
            )
            or (unit.stage == INGESTION.name and unit.lane == "open_items")
        ):
            happened[unit.id] = publication.fingerprint
    return happened | carried if happened else {}


def _owners_told(tenant: Tenant) -> str:
    return "; ".join(
        f"{e.id}: {', '.join(e.serves)} {', '.join(a.iban for a in e.bank_accounts)}" for e in tenant.legal_entities
    )


def write(house: House) -> Written:
    """Stage the entries that are not in the journal yet; in the main lane also open items and the trial balance."""
    happened = _happened(house)
    fresh = transforms.not_posted(happened, house.read(JOURNAL_LINES.name))
    staged = {
        JOURNAL_LINES.name: house.stage(
            transforms.journal_lines(fresh, transforms.rules(house.spark, settings())), JOURNAL_LINES.name
        )
    }
    if _lane(house) == MAIN:
        journal = _journal_of_month(house)
        documents = events.documents(house.read("invoicing.invoices"), _receivables(house), house.read("payables.decisions"))
        before = _items_before(house).unionByName(transforms.closed_before(_earlier_items(house), _corrected(house)))
        items = transforms.open_items(before, journal, documents, house.run.month)
        staged |= house.stage_all({"ledger.open_items": items, "ledger.trial_balance": transforms.trial_balance(journal)})
    return Written(staged)


def audit(house: House) -> dict[str, DataFrame]:
    """journal: every new entry. events: what happened beside what is posted. sub_ledger: control accounts beside open items."""
    journal = _journal_of_month(house)
    happened = _happened(house)
    of_receipts = F.col("event").isin(*transforms.RECEIPT_EVENTS)
    of_lane = journal.where(of_receipts if _lane(house) == RECEIPTS else ~of_receipts)
    earlier = house.read_all_months(JOURNAL_LINES.name).where(F.col("period") < F.lit(house.run.month.first_day))
    if _lane(house) == MAIN:
        items = house.staged("ledger.open_items")
    else:  # it moves no item
        earlier, journal, items = earlier.limit(0), journal.limit(0), house.read("ledger.open_items").limit(0)
    return {
        "journal": transforms.entries(house.staged(JOURNAL_LINES.name)),
        "events": transforms.events_account(happened, of_lane),
        "sub_ledger": transforms.sub_ledger(earlier.unionByName(journal), items),
    }


def _lane(house: House) -> str:
    return house.run.units[0].lane


def _journal_of_month(house: House) -> DataFrame:
    return house.read(JOURNAL_LINES.name).unionByName(house.staged(JOURNAL_LINES.name))


def _earlier_items(house: House) -> DataFrame:
    return house.read_all_months("ledger.open_items").where(F.col("period") < F.lit(house.run.month.first_day))


def _corrected(house: House) -> DataFrame:
    """The documents that those of the month correct."""
    correcting = house.read("invoicing.invoices").where(F.col("original_invoice_id").isNotNull())
    return correcting.select("tenant_id", F.col("original_invoice_id").alias("document_id"))


def _items_before(house: House) -> DataFrame:
    """Each tenant's items of its newest month before this one."""
    earlier = _earlier_items(house)
    newest = earlier.groupBy("tenant_id").agg(F.max("period").alias("period"))
    return earlier.join(F.broadcast(newest), on=["tenant_id", "period"], how="left_semi")


def _happened(house: House) -> DataFrame:
    """Every event of the month that the run's lane posts."""
    month = house.run.month
    if _lane(house) == RECEIPTS:
        return events.of_transactions(_transactions(house), month)
    sources = (
        events.of_invoices(house.read("invoicing.invoices"), month),
        events.of_write_offs(house.read("invoicing.corrections"), _items_before(house), month),
        events.of_receivables(_receivables(house), month),
        events.of_payables(house.read("payables.decisions"), month),
        events.of_payments(house.read("payables.payment_instructions"), month),
        events.of_applications(house.read("cash.applications"), month),
        events.of_prepayments(house.read("invoicing.prepayments"), house.read("invoicing.invoices"), month),
    )
    return reduce(DataFrame.unionByName, sources)


def _transactions(house: House) -> DataFrame:
    """Statement lines with the legal entity that owns the account; a tenant that declares no accounts has one owner for all."""
    owners, first = [], []
    for name, tenant in chosen(house.run.tenants).items():
        accounts = [(name, account.iban, entity.id) for entity in tenant.legal_entities for account in entity.bank_accounts]
        owners += accounts
        first.append((name, None if accounts else tenant.legal_entities[0].id))
    owned = house.spark.createDataFrame(owners, "tenant_id string, bank_account string, owner string")
    alone = house.spark.createDataFrame(first, "tenant_id string, only_owner string")
    lines = house.standing_of_month("raw.bank_transactions")
    return (
        lines.join(F.broadcast(owned), on=["tenant_id", "bank_account"], how="left")
        .join(F.broadcast(alone), on="tenant_id", how="left")
        .withColumn("legal_entity_id", F.coalesce("owner", "only_owner"))
    )


def _receivables(house: House) -> DataFrame:
    """Receivables of another system with the legal entity that serves the customer's country, or the first one."""
    served, first = [], []
    for name, tenant in chosen(house.run.tenants).items():
        served += [(name, country, entity.id) for entity in tenant.legal_entities for country in entity.serves]
        first.append((name, tenant.legal_entities[0].id))
    entities = house.spark.createDataFrame(served, "tenant_id string, country string, serving string")
    otherwise = house.spark.createDataFrame(first, "tenant_id string, first_entity string")
    accounts = current_accounts(house.standing("raw.accounts")).select("tenant_id", "account_id", "country")
    items = house.standing_of_month("raw.open_items")
    return (
        items.join(accounts, on=["tenant_id", "account_id"], how="left")
        .join(F.broadcast(entities), on=["tenant_id", "country"], how="left")
        .join(F.broadcast(otherwise), on="tenant_id", how="left")
        .withColumn("legal_entity_id", F.coalesce("serving", "first_entity"))
    )

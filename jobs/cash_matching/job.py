"""Bank lines and open items to applications, and to what is left for a person with ranked suggestions."""

from __future__ import annotations

import json
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.cash_matching import transforms
from jobs.cash_matching.settings import settings
from jobs.cash_matching.suggestions import payers, suggestions
from jobs.cash_matching.tables import APPLICATIONS, SUGGESTIONS, UNAPPLIED
from jobs.ledger.facts import current_accounts
from jobs.ledger.periods import Period
from jobs.ledger.receipts import spent
from jobs.ledger.tenants import Tenant, chosen
from jobs.runtime.contract import Invocation, Planned, Written
from jobs.runtime.errors import UpstreamMissing
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Unit
from jobs.runtime.session import side_by_side
from jobs.stages import CASH_MATCHING, INGESTION, INVOICE_GENERATION, LEDGER_POSTING, MONEY_TAKEN

WHAT_TO_DO = (
    "Compare raw.bank_transactions and cash.applications of the tenant; a replayed statement may say other than it did"
)
FEEDS = ("bank_transactions", "accounts", "open_items")


def plan(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """One unit per tenant with bank lines of this day's month or an earlier one."""
    policy = settings().resolved()
    planned = []
    for name, tenant in chosen(invocation.tenants).items():
        inputs = _inputs(snapshot, name, period)
        if not any(unit.endswith(FEEDS[0]) for unit in inputs):
            if invocation.tenants:
                raise UpstreamMissing(
                    f"cash_matching {period}: no bank lines of tenant {name} were published for {period.month} or before. "
                    f"Nothing was applied. Land its statements and run ingestion first."
                )
            continue
        unit = Unit(CASH_MATCHING.name, name, period.key)
        later = snapshot.overtaken(unit)
        frozen = f"matched up to {later} already, with everything booked before" if later else None
        configuration = {"policy": policy, "bank_accounts": json.dumps(_owners(name, tenant))}
        planned.append(Planned(unit, inputs, configuration, frozen=frozen))
    if not planned:
        raise UpstreamMissing(
            f"cash_matching {period}: no tenant has bank lines published for {period.month} or before. Nothing was applied. "
            f"Land statements and run ingestion first."
        )
    return planned


def _inputs(snapshot: Snapshot, tenant: str, period: Period) -> dict[str, str]:
    """What a day's run reads, by unit: bank lines, customers, what the ledger has made receivables of, and money that invoices took.

    Not the ledger's own publications: they change with every application that was made here, and would wake this stage again.
    """
    month = period.month.key
    found: dict[str, str] = {}
    for unit, publication in snapshot.latest.items():
        if unit.tenant_id == tenant and unit.stage == INVOICE_GENERATION.name and unit.lane == MONEY_TAKEN:
            found[unit.id] = publication.fingerprint  # of any month: it has taken what is here to be applied
        if unit.tenant_id != tenant or not (unit.period == "all" or unit.period <= month):
            continue
        if unit.stage == INGESTION.name and unit.lane in FEEDS:
            found[unit.id] = publication.fingerprint
        elif unit.stage == LEDGER_POSTING.name and unit.lane == "main":
            found |= {
                name: fingerprint
                for name, fingerprint in publication.inputs.items()
                if name.startswith(f"{INVOICE_GENERATION.name}/") or name.endswith("/open_items")
            }
    return found


def _owners(name: str, tenant: Tenant) -> list[tuple[str, str, str]]:
    """Which of a tenant's legal entities a bank account belongs to: tenant, account, entity."""
    return [(name, account.iban, entity.id) for entity in tenant.legal_entities for account in entity.bank_accounts]


def write(house: House) -> Written:
    """Apply what names what it pays; stage the applications, what is left, and what a person is offered for it."""
    policy, day = settings(), _day(house)

    def owed() -> tuple[DataFrame, DataFrame]:
        documents = house.keep(_documents(house), "documents")
        further = transforms.references(_taken_over(house))
        return documents, house.keep(transforms.document_keys(documents, further, policy), "keys")

    def paid() -> tuple[DataFrame, DataFrame]:
        received = house.keep(_receipts(house), "receipts")
        return received, house.keep(transforms.candidates(received, policy), "candidates")

    (documents, keys), (received, found) = side_by_side((owed, paid))
    named = house.keep(transforms.named(found, keys, documents), "named")
    decided = house.keep(transforms.decided(received, found, named, transforms.customers(_accounts(house))), "decided")
    paying = house.keep(payers(decided, documents, _names(house), policy), "payers")
    return Written(
        house.stage_all(
            {
                SUGGESTIONS.name: suggestions(decided, paying, documents, keys, policy, day),
                APPLICATIONS.name: transforms.applications(decided, day),
                UNAPPLIED.name: transforms.unapplied(decided, day),
            }
        )
    )


def audit(house: House) -> dict[str, DataFrame]:
    """conservation: money received beside money accounted for. applications: each beside its receipt and its document."""
    published, staged = house.read_all_months(APPLICATIONS.name), house.staged(APPLICATIONS.name)
    return {
        "conservation": transforms.conservation(
            _transactions(house),
            spent(published.unionByName(staged), _prepayments(house)),
            house.staged(UNAPPLIED.name),
            _day(house),
        ),
        "applications": transforms.applications_account(staged, published, _receipts(house), _documents(house)),
    }


def _day(house: House) -> date:
    return house.run.month.first_day


def _transactions(house: House) -> DataFrame:
    return house.standing("raw.bank_transactions")


def _accounts(house: House) -> DataFrame:
    return current_accounts(house.standing("raw.accounts"))


def _taken_over(house: House) -> DataFrame:
    return house.standing("raw.open_items")


def _prepayments(house: House) -> DataFrame:
    return house.read_all_months("invoicing.prepayments")


def _spent(house: House) -> DataFrame:
    """What is published of receipts that went to documents: matched to them, or deducted when they were issued."""
    return spent(house.read_all_months(APPLICATIONS.name), _prepayments(house))


def _names(house: House) -> DataFrame:
    """What customers are called, here and in the system they were taken over from."""
    return (
        _accounts(house)
        .select("tenant_id", "account_id", "legal_name")
        .unionByName(_taken_over(house).select("tenant_id", "account_id", "legal_name"))
    )


def _receipts(house: House) -> DataFrame:
    owned, alone = [], []
    for name, tenant in chosen(house.run.tenants).items():
        owners = _owners(name, tenant)
        owned += owners
        alone += [] if owners else [(name, tenant.legal_entities[0].id)]
    return transforms.receipts(
        _transactions(house),
        _spent(house),
        house.spark.createDataFrame(owned, "tenant_id string, bank_account string, legal_entity_id string"),
        house.spark.createDataFrame(alone, "tenant_id string, sole_entity_id string"),
        _day(house),
    )


def _documents(house: House) -> DataFrame:
    """Open documents as the newest snapshot of each tenant has them, less what was applied since."""
    month = house.run.month.month
    items = house.read_all_months("ledger.open_items").where(F.col("period") <= F.lit(month.first_day))
    newest = items.groupBy("tenant_id").agg(F.max("period").alias("period"))
    payers = _accounts(house).select("tenant_id", "account_id", "payer_account_id")
    return transforms.open_documents(
        items.join(F.broadcast(newest), on=["tenant_id", "period"], how="left_semi"),
        _spent(house),
        payers,
    )

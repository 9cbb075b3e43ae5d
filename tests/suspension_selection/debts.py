"""Builders of debts, of what excuses them, and of policies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from jobs.cash_matching.tables import SUGGESTIONS, UNAPPLIED
from jobs.ingestion.tables import ACCOUNTS, DISPUTES, EXEMPTIONS, PROMISES, RECEIVABLES
from jobs.ledger_posting.tables import OPEN_ITEMS
from jobs.suspension_selection import transforms
from jobs.suspension_selection.settings import Policy
from jobs.suspension_selection.tables import ACCOUNT_STATES
from tests.builders import ALPHA, Row, frame, table_of

DAY = date(2026, 7, 31)
COUNTS = [
    {"name": "warned", "when": {"unpaid_count": 1}},
    {"name": "suspended", "when": {"unpaid_count": 2}},
    {"name": "terminated", "when": {"unpaid_count": 3}, "final": True},
]


def policy(**more: Any) -> Policy:
    """One unpaid invoice warns, two suspend, three terminate; as far as the debts say."""
    told: dict[str, Any] = {
        "id": "test", "version": 1, "valid_from": "2000-01-01", "one_step": False, "cash_age_days": 0, "covered_share": "1", "share_max": "1",
        "allowed_anyway": 0, "states": COUNTS,
    }  # fmt: skip
    return Policy.model_validate(told | more)


def when(condition: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A policy of one state, entered when a condition holds."""
    return {"states": [{"name": "suspended", "when": condition}]} | more


def owed(document_id: str = "d-1", amount: str = "100", due: str = "2026-07-01", account: str = "a-1", **more: Any) -> Row:
    """A row of ledger.open_items: an invoice over a hundred euros, thirty days overdue."""
    row: Row = {
        "tenant_id": ALPHA, "period": "2026-07-01", "ledger_account": "accounts_receivable", "legal_entity_id": "one", "party_id": account,
        "document_id": document_id, "document_number": f"N-{document_id}", "document_date": "2026-06-01", "due_date": due, "currency": "EUR",
        "original_amount": amount, "open_amount": amount,
    }  # fmt: skip
    return row | more


def received(amount: str = "100", transaction: str = "t-1", account: str | None = "a-1", **more: Any) -> Row:
    """A row of cash.unapplied: money of a customer that nobody has applied."""
    row: Row = {
        "tenant_id": ALPHA, "period": "2026-07-31", "transaction_id": transaction, "bank_account": "B", "account_id": account, "currency": "EUR",
        "received": amount, "applied": "0", "unapplied": amount,
    }  # fmt: skip
    return row | more


def suggested(transaction: str = "t-1", account: str | None = "a-1", rank: int = 1, **more: Any) -> Row:
    """A row of cash.suggestions."""
    return {
        "tenant_id": ALPHA,
        "transaction_id": transaction,
        "bank_account": "B",
        "rank": rank,
        "account_id": account,
    } | more


def was(state: str, since: str = "2026-07-01", account: str = "a-1", **more: Any) -> Row:
    """A row of suspension.account_states."""
    return {"tenant_id": ALPHA, "account_id": account, "valid_from": since, "state": state, "publication_id": "s-1"} | more


@dataclass(frozen=True)
class Facts:
    """What is known of one tenant."""

    items: tuple[Row, ...] = ()
    rules: Mapping[str, Any] = field(default_factory=dict)
    segments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # segment -> policy of its own
    accounts: tuple[Row, ...] = ()
    moved: tuple[Row, ...] = ()
    disputes: tuple[Row, ...] = ()
    promises: tuple[Row, ...] = ()
    exemptions: tuple[Row, ...] = ()
    taken_over: tuple[Row, ...] = ()
    unapplied: tuple[Row, ...] = ()
    suggestions: tuple[Row, ...] = ()
    states: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Evaluated:
    """What comes of the facts of several tenants."""

    assigned: dict[str, dict[str | None, Policy]]
    documents: DataFrame
    accounts: DataFrame
    before: DataFrame
    now: DataFrame
    every: DataFrame
    day: date

    @property
    def candidates(self) -> DataFrame:
        """The day's candidates."""
        return transforms.candidates(self.every)

    @property
    def changes(self) -> DataFrame:
        """The changes of state that follow."""
        return transforms.changes(self.every, self.now, self.day)


def evaluated(spark: SparkSession, told: Mapping[str, Facts], place: Path, day: date = DAY) -> Evaluated:
    """All tenants in one job; no join may cross them. place: a new folder in which the outcome stands, as a run's does."""

    def stood(rows_of: DataFrame, name: str) -> DataFrame:
        rows_of.write.parquet(str(place / name))
        return spark.read.parquet(str(place / name))

    def rows(name: str) -> list[Row]:
        return [row | {"tenant_id": tenant} for tenant, facts in told.items() for row in getattr(facts, name)]

    named: dict[str, str] = {}  # equal rules are one policy, so that Spark compiles each once

    def rules(more: Mapping[str, Any]) -> Policy:
        return policy(id=named.setdefault(json.dumps(more, sort_keys=True), f"p{len(named)}"), **more)

    assigned: dict[str, dict[str | None, Policy]] = {
        tenant: {None: rules(facts.rules)} | {segment: rules(more) for segment, more in facts.segments.items()}
        for tenant, facts in told.items()
    }
    policies = transforms.distinct_policies(assigned)
    moved = frame(spark, "tenant_id string, document_id string, amount decimal(18,3)", rows("moved"))
    documents = stood(transforms.open_on(table_of(spark, OPEN_ITEMS, rows("items")), moved, day), "documents")
    states = table_of(spark, ACCOUNT_STATES, rows("states"))
    order = frame(spark, "publication_id string, place int", [{"publication_id": f"s-{n}", "place": n} for n in range(1, 4)])
    accounts = transforms.with_policy(spark, table_of(spark, ACCOUNTS, rows("accounts")), documents, states, assigned)
    counted = transforms.counting(
        spark, documents, accounts, table_of(spark, DISPUTES, rows("disputes")), table_of(spark, PROMISES, rows("promises")),
        table_of(spark, EXEMPTIONS, rows("exemptions")), table_of(spark, RECEIVABLES, rows("taken_over")), policies, day,
    )  # fmt: skip
    cover = transforms.covers(
        table_of(spark, UNAPPLIED, rows("unapplied")), table_of(spark, SUGGESTIONS, rows("suggestions")), documents
    )
    before, now = transforms.standing_states(states, order, day), transforms.standing_states(states, order)
    every = stood(transforms.evaluated(accounts, counted, cover, before, policies, day), "outcomes")
    return Evaluated(assigned, documents, accounts, before, now, every, day)

"""What auditors ask of a table: its history, its rows as of then, and what changed between two versions. No Spark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from jobs.runtime import delta_log, storage
from jobs.runtime.books import OPS, Books, Row, Version, known, known_tenant, quoted, snapshot_at, versions
from jobs.runtime.config import nearest
from jobs.runtime.errors import CallError
from jobs.runtime.tables import catalog

SOURCE = ("tenant_id", "landing_id", "row_number")

GRAIN: dict[str, tuple[str, ...]] = {  # the key of each table, as its declaration's comment tells it
    "raw.landed_files": ("tenant_id", "landing_id"),
    "raw.quarantine": SOURCE,
    "raw.accounts": SOURCE,
    "raw.prices": SOURCE,
    "raw.usage": (*SOURCE, "usage_start"),  # a record may stand in parts
    "raw.vendors": SOURCE,
    "raw.purchase_orders": SOURCE,
    "raw.payables": SOURCE,
    "raw.bank_transactions": SOURCE,
    "raw.open_items": SOURCE,
    "raw.disputes": SOURCE,
    "raw.promises": SOURCE,
    "raw.exemptions": SOURCE,
    "raw.credits": SOURCE,
    "raw.fx_rates": SOURCE,
    "raw.invoice_corrections": SOURCE,
    "raw.tax_rates": SOURCE,
    "raw.tax_registrations": SOURCE,
    "billing.waiting": SOURCE,
    "billing.usage_rollup": (
        "tenant_id",
        "period",
        "landing_id",
        "account_id",
        "product_id",
        "region",
        "unit",
        "currency",
        "on_record",
        "billing_zone",
        "span_day",
    ),  # fmt: skip
    "billing.charges": ("tenant_id", "period", "charge_id"),
    "billing.adjustments": ("tenant_id", "period", "charge_id"),
    "billing.late_usage": ("tenant_id", "period", "adjusts_period", "landing_id", "row_number"),
    "billing.late_prices": ("tenant_id", "period", "adjusts_period", "landing_id", "row_number", "account_id"),
    "invoicing.invoices": ("tenant_id", "invoice_id"),
    "invoicing.invoice_lines": ("tenant_id", "invoice_id", "line_no"),
    "invoicing.invoice_taxes": ("tenant_id", "invoice_id", "tax_category", "tax_component", "tax_rate"),
    "invoicing.carried_forward": ("tenant_id", "period", "charge_id"),
    "invoicing.number_register": ("tenant_id", "legal_entity_id", "series", "fiscal_year", "number"),
    "invoicing.corrections": ("tenant_id", "correction_id"),
    "invoicing.documents": ("tenant_id", "invoice_id", "format"),
    "invoicing.prepayments": ("tenant_id", "prepayment_id"),
    "invoicing.focus_files": ("tenant_id", "period", "payer_account_id", "currency", "format"),
    "payables.decisions": ("tenant_id", "payable_id", "decided_at"),
    "payables.reasons": ("tenant_id", "payable_id", "decided_at", "rule_id"),
    "payables.payment_batches": ("tenant_id", "batch_id"),
    "payables.payment_instructions": ("tenant_id", "instruction_id"),
    "cash.applications": ("tenant_id", "application_id"),
    "cash.unapplied": ("tenant_id", "period", "bank_account", "transaction_id"),
    "cash.suggestions": ("tenant_id", "period", "bank_account", "transaction_id", "rank"),
    "suspension.candidates": ("tenant_id", "period", "account_id", "action"),
    "suspension.account_states": ("tenant_id", "account_id", "valid_from"),
    "ledger.journal_lines": ("tenant_id", "entry_id", "line_no"),
    "ledger.open_items": ("tenant_id", "period", "ledger_account", "party_id", "document_id"),
    "ledger.trial_balance": ("tenant_id", "period", "legal_entity_id", "ledger_account", "currency"),
}
RUN_COLUMNS = ("publication_id",)
COMPLETE, INCOMPLETE = "complete", "incomplete: not visible"


@dataclass(frozen=True)
class AsOf:
    """Rows of a table as they were seen at one of its versions."""

    table: str
    version: int
    committed: Version
    columns: tuple[str, ...]
    rows: tuple[Row, ...]  # as many as asked for
    total: int


@dataclass(frozen=True)
class Difference:
    """What changed between two versions of a table, row by row of its grain; run columns do not count."""

    table: str
    older: int
    newer: int
    key: tuple[str, ...]
    counts: Mapping[str, int]  # added, removed, changed, unchanged
    changed_columns: Mapping[str, int]  # column -> rows in which it changed
    added: tuple[Row, ...]  # examples
    removed: tuple[Row, ...]
    changed: tuple[Row, ...]  # key, and "old -> new" by column


def history(name: str, tenant: str | None = None, limit: int | None = None) -> list[Row]:
    """The versions of a table, newest first: what each commit did, for which run, and whether its publication is complete."""
    known_tenant(tenant)
    complete = snapshot_at().complete
    told = []
    for found in versions(name):
        note = found.note
        tenants = list(note.get("tenants") or [])
        if tenant is not None and found.publication_id and tenant not in tenants:
            continue
        state = "" if found.publication_id is None else COMPLETE if found.publication_id in complete else INCOMPLETE
        told.append(
            {
                "version": found.version,
                "at": found.at,
                "operation": found.operation,
                "stage": note.get("stage"),
                "period": note.get("period"),
                "run_id": note.get("run_id"),
                "attempt": note.get("attempt"),
                "actor": note.get("actor"),
                "reason": note.get("reason"),
                "dag_run_id": note.get("dag_run_id"),
                "tenants": 1 if tenant and tenants else len(tenants),
                "rows_added": _rows_added(name, found.version, tenant),
                "publication_id": found.publication_id,
                "publication": state,
            }  # fmt: skip
        )
        if limit is not None and len(told) == limit:
            break
    return told


def _rows_added(name: str, version: int, tenant: str | None) -> int | None:
    """The rows of the files that a version added, from their statistics; None where the log no longer tells."""
    try:
        log = storage.read_text(f"{delta_log.location(name)}/_delta_log/{version:020d}.json")
    except FileNotFoundError:
        return None
    added = [action["add"] for line in log.splitlines() if line and "add" in (action := json.loads(line))]
    mine = [add for add in added if tenant is None or add["partitionValues"].get("tenant_id") in (tenant, None)]
    return sum(int(json.loads(add.get("stats") or "{}").get("numRecords", 0)) for add in mine)


def as_of(
    name: str,
    version: int | None = None,
    at: str | None = None,
    tenant: str | None = None,
    limit: int | None = 20,
    where: Sequence[str] = (),
) -> AsOf:
    """The rows of a table that a reader could see at a version, or at a moment; at the newest version without either.

    where: conditions like account_id=4711, all of which hold. Personal columns are masked (law 14).
    """
    known_tenant(tenant)
    if version is not None and at is not None:
        raise CallError("either --version or --at says when, not both.")
    moment = moment_of(at) if at else None
    found = version_at(name, version, moment)
    with Books(tenant, snapshot_at(moment)) as books:
        books.open_as(name, "asked", found.version, mask=True)
        columns = books.columns_of("asked")
        condition, values = _condition(where, columns)
        total = books.one(f"SELECT count(*) AS n FROM asked WHERE {condition}", values)["n"]
        order = ", ".join(quoted(column) for column in GRAIN.get(name, ("at",) if name in OPS else ()))
        ordered = f" ORDER BY {order}" if order else ""
        only = f" LIMIT {limit}" if limit is not None else ""
        rows = books.rows(f"SELECT * FROM asked WHERE {condition}{ordered}{only}", values)
    return AsOf(name, found.version, found, tuple(columns), tuple(rows), int(total))


def _condition(where: Sequence[str], columns: Sequence[str]) -> tuple[str, list[str]]:
    conditions, values = ["true"], []
    for told in where:
        column, equals, value = told.partition("=")
        if not equals:
            raise CallError(f"'{told}' is not a condition; one is written COLUMN=VALUE, like account_id=4711.")
        if column not in columns:
            raise CallError(f"there is no column '{column}'; {nearest(column, columns)}")
        conditions.append(f"{quoted(column)}::varchar = ?")
        values.append(value)
    return " AND ".join(conditions), values


def moment_of(text: str) -> datetime:
    """A moment from 2026-11-01 (the end of that day) or 2026-11-01T12:00, in UTC unless it says otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CallError(f"'{text}' is not a moment. One is written 2026-11-01 or 2026-11-01T12:00, in UTC.") from None
    if len(text) == len("2026-11-01"):
        moment = datetime.combine(moment.date(), time.max)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def version_at(name: str, version: int | None = None, moment: datetime | None = None) -> Version:
    """A version of a table by number, or the newest one that had been committed by a moment."""
    found = versions(name)
    if version is not None:
        for one in found:
            if one.version == version:
                return one
        raise CallError(f"{name} has no version {version}; it has {found[-1].version} to {found[0].version}.")
    for one in found:
        if moment is None or one.at <= moment:
            return one
    raise CallError(
        f"{name} did not exist at that time; its first version was made at {found[-1].at:%Y-%m-%dT%H:%M:%S} UTC."
    )


def diff(name: str, older: int, newer: int, tenant: str | None = None, examples: int = 5) -> Difference:
    """Added, removed and changed rows between two versions, by the table's grain. Personal columns are compared, not shown."""
    known_tenant(tenant)
    version_at(name, older)
    version_at(name, newer)
    if name not in GRAIN:
        raise CallError(f"{known(name)} only ever grows and has no key to compare by; ask `audit history {name}` instead.")
    key = GRAIN[name]
    personal = catalog()[name].personal
    with Books(tenant) as books:
        books.open_as(name, "older", older)
        books.open_as(name, "newer", newer)
        columns = [column for column in books.columns_of("newer") if column not in RUN_COLUMNS]
        others = [column for column in columns if column not in key]
        same_row = " AND ".join(f"o.{quoted(c)} IS NOT DISTINCT FROM n.{quoted(c)}" for c in key)
        changed = {c: f"(o.{quoted(c)}::varchar IS DISTINCT FROM n.{quoted(c)}::varchar)" for c in others}
        # A grain is never wholly null, so the tenant tells on which side a row stands.
        books.connection.execute(
            f"""
            CREATE TEMP TABLE compared AS
            SELECT {", ".join(f"coalesce(o.{quoted(c)}, n.{quoted(c)}) AS {quoted(c)}" for c in key)},
                   {", ".join(f"{_shown('o', c, personal)} AS {quoted('old ' + c)}" for c in others)},
                   {", ".join(f"{_shown('n', c, personal)} AS {quoted('new ' + c)}" for c in others)},
                   {", ".join(f"{told} AS {quoted('is ' + c)}" for c, told in changed.items())},
                   CASE WHEN o.tenant_id IS NULL THEN 'added' WHEN n.tenant_id IS NULL THEN 'removed'
                        WHEN {" OR ".join(changed.values()) or "false"} THEN 'changed' ELSE 'unchanged' END AS verdict
            FROM older o FULL OUTER JOIN newer n ON {same_row}
            """
        )
        counts = dict.fromkeys(("added", "removed", "changed", "unchanged"), 0)
        counts |= {row["verdict"]: row["n"] for row in books.rows("SELECT verdict, count(*) AS n FROM compared GROUP BY 1")}
        per_column = books.one(
            "SELECT " + ", ".join(f"count(*) FILTER ({quoted('is ' + c)}) AS {quoted(c)}" for c in others)
            + " FROM compared WHERE verdict = 'changed'"
        )  # fmt: skip
        found: dict[str, tuple[Row, ...]] = {}
        for verdict in ("added", "removed", "changed"):
            rows = books.rows(
                f"SELECT * FROM compared WHERE verdict = ? ORDER BY {', '.join(map(quoted, key))} LIMIT {examples}",
                [verdict],
            )
            found[verdict] = tuple(_example(row, verdict, key, others) for row in rows)
    return Difference(
        name, older, newer, key, counts, {c: n for c, n in per_column.items() if n},
        found["added"], found["removed"], found["changed"],
    )  # fmt: skip


def _shown(side: str, column: str, personal: Sequence[str]) -> str:
    told = f"{side}.{quoted(column)}"
    return f"CASE WHEN {told} IS NOT NULL THEN '(personal)' END" if column in personal else told


def _example(row: Row, verdict: str, key: Sequence[str], others: Sequence[str]) -> Row:
    example: dict[str, Any] = {column: row[column] for column in key}
    for column in others:
        if verdict == "changed":
            if row[f"is {column}"]:
                example[column] = {"old": row[f"old {column}"], "new": row[f"new {column}"]}
        else:
            example[column] = row[f"{'new' if verdict == 'added' else 'old'} {column}"]
    return example

"""A small house made by hand, without Spark: two tenants, one month from landed file to journal, and what can be done to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from deltalake import write_deltalake

from jobs.runtime import delta_log, ops
from jobs.runtime.ops import Publication, TableVersion, Unit
from jobs.runtime.tables import catalog

JANUARY, FEBRUARY = date(2026, 1, 1), date(2026, 2, 1)
SECRET = "Ada Secret"
Row = dict[str, Any]


def an_id(*parts: str) -> str:
    """An id that looks like one."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def publication_of(stage: str, tenant: str, attempt: int = 1) -> str:
    """The publication id of a tenant's January in a stage."""
    return an_id(stage, tenant, str(attempt))[:32]


def commit(
    name: str, rows: Iterable[Row], publication_id: str, tenant: str, stage: str, period: str = "2026-01", **note: Any
) -> TableVersion:
    """Commit rows as a run would: appended, or in place of the tenant's month. Not visible before complete()."""
    declared = catalog()[name]
    table = delta_log.create_published(declared)
    schema = pa.schema(table.schema().to_arrow())
    listed = [dict.fromkeys(schema.names) | row | {"tenant_id": tenant, "publication_id": publication_id} for row in rows]
    story = {
        "publication_id": publication_id, "run_id": f"{stage}-{period}-{tenant}", "attempt": 1, "stage": stage, "period": period,
        "tenants": [tenant], "actor": "ada", "reason": "", "units": [{"tenant_id": tenant, "period": period, "lane": "main"}],
    } | note  # fmt: skip
    how: dict[str, Any] = {"mode": "append"}
    if declared.kind == "derived":
        how = {"mode": "overwrite", "predicate": f"tenant_id = '{tenant}' AND period = '{period}-01'"}
    data = pa.Table.from_pylist(listed, schema=schema)
    write_deltalake(table, data, commit_properties=delta_log.properties(story, [(publication_id, 1)]), **how)
    current = delta_log.open_table(name)
    assert current is not None
    return TableVersion(name, int(current.version()), len(listed))


def complete(
    stage: str, tenant: str, publication_id: str, tables: Iterable[TableVersion], units: dict[tuple[str, str], Row]
) -> None:
    """Let a publication be seen: one row per unit (period, lane) of it."""
    ops.complete(
        [
            Publication(
                unit=Unit(stage, tenant, period, lane), run_id=f"{stage}-2026-01-{tenant}", attempt=1, publication_id=publication_id,
                fingerprint=f"{publication_id}/{lane}", inputs=inputs, tables=tuple(tables), actor="ada", dag_run_id="scheduled__2026-01",
                fenced=False,
            )
            for (period, lane), inputs in units.items()
        ],
        {"publication_id": publication_id},
    )  # fmt: skip


def ended(stage: str, tenant: str, verb: str, status: str, publication_id: str, seconds: float = 1.0, **more: Any) -> None:
    """A line of ops.runs."""
    ops.append(
        ops.RUNS,
        [{"run_id": f"{stage}-2026-01-{tenant}", "attempt": 1, "stage": stage, "period": "2026-01", "lane": "main", "verb": verb,
          "status": status, "tenants": [tenant], "publication_id": publication_id, "message": "", "seconds": seconds, "actor": "ada",
          "detail": '{"held": []}'} | more],
    )  # fmt: skip


def verdict(stage: str, tenant: str, success: bool = True, severity: str = "critical", **more: Any) -> None:
    """A line of ops.gate_results."""
    ops.append(
        ops.GATE_RESULTS,
        [{"run_id": f"{stage}-2026-01-{tenant}", "attempt": 1, "stage": stage, "period": "2026-01", "suite": f"{stage}.suite",
          "expectation": "what is promised holds", "tenant_id": tenant, "severity": severity, "success": success,
          "failing": 0 if success else 3, "example": None if success else "some-id", "notes": "It would be billed twice."} | more],
    )  # fmt: skip


def tenant_file(home: Path, tenant: str) -> None:
    """conf/tenants/<tenant>.yaml in the home."""
    entity = {
        "id": f"{tenant}-de",
        "country": "DE",
        "timezone": "Europe/Berlin",
        "invoice_prefix": tenant[:3].upper(),
        "tax_policy": "none",
    }
    folder = home / "conf" / "tenants"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{tenant}.yaml").write_text(
        yaml.safe_dump({"tenant": tenant, "business_line": "cloud", "legal_entities": [entity]})
    )


def used(record: str, day: int, quantity: str, row: int, **more: Any) -> Row:
    """A usage row of January."""
    return {
        "period": JANUARY, "record_id": record, "account_id": "A1", "product_id": "X", "quantity": Decimal(quantity), "unit": "hour",
        "usage_start": datetime(2026, 1, day, 12, tzinfo=UTC), "revision": 0, "withdrawn": False, "landing_id": "usage-file", "row_number": row,
    } | more  # fmt: skip


def charge(number: int, price: str, quantity: str, amount: str, rows: int, **more: Any) -> Row:
    """A charge of January; its id follows from its number."""
    return {
        "period": JANUARY, "charge_id": an_id("charge", str(number)), "kind": "usage", "account_id": "A1", "product_id": "X", "price_id": price,
        "model": "per_unit", "unit": "hour", "currency": "EUR", "quantity": Decimal(quantity), "amount": Decimal(amount), "usage_rows": rows,
        "prices_in_force": 1,
    } | more  # fmt: skip


CHARGES = (charge(1, "P1", "5", "0.5", 1), charge(2, "P2", "10", "2", 2))


def invoiced(tenant: str, number: int = 1) -> Row:
    """The header of the month's invoice: 2.50 and 19 % on it."""
    prefix = tenant[:3].upper()
    return {
        "period": JANUARY, "invoice_id": an_id("invoice", tenant, str(number)), "legal_entity_id": f"{tenant}-de", "account_id": "A1",
        "customer_country": "DE", "document_type": "invoice", "series": "invoice", "fiscal_year": 2026, "number": number,
        "invoice_number": f"{prefix}-2026-{number:07d}", "issue_date": FEBRUARY, "due_date": date(2026, 3, 1), "currency": "EUR",
        "net_amount": Decimal("2.50"), "tax_amount": Decimal("0.48"), "gross_amount": Decimal("2.98"), "line_count": 2,
    }  # fmt: skip


def furnish(home: Path, tenants: Iterable[str] = ("alpha", "beta")) -> None:
    """Land, charge, invoice and post January for each tenant, every publication complete."""
    for tenant in tenants:
        tenant_file(home, tenant)
        land(tenant)
        bill(tenant)
        issue(tenant)
        post(tenant)


def land(tenant: str) -> None:
    """One file of each feed: five usage rows read, four accepted, of which one is a revision of another."""
    stage, mine = "ingestion", publication_of("ingestion", tenant)

    def file(feed: str, read: int, accepted: int, quarantined: int = 0) -> Row:
        return {
            "landing_id": f"{feed}-file", "feed": feed, "file_name": f"{feed}.csv", "content_sha256": an_id(feed, tenant), "status": "landed",
            "mapping_version": "m1", "bytes": 100, "rows_read": read, "rows_accepted": accepted, "rows_quarantined": quarantined,
            "rows_duplicate": read - accepted - quarantined,
        }  # fmt: skip

    prices = [
        {
            "price_id": "P1",
            "valid_from": date(2025, 1, 1),
            "valid_to": date(2026, 1, 16),
            "parameters": '{"unit_price":"0.10"}',
            "row_number": 1,
        },
        {"price_id": "P2", "valid_from": date(2026, 1, 16), "parameters": '{"unit_price":"0.20"}', "row_number": 2},
    ]
    every = {"product_id": "X", "model": "per_unit", "currency": "EUR", "landing_id": "prices-file"}
    account = {
        "account_id": "A1", "legal_name": SECRET, "country": "DE", "currency": "EUR", "valid_from": date(2025, 1, 1), "landing_id": "accounts-file",
        "row_number": 1,
    }  # fmt: skip
    usage = [
        used("r1", 10, "5", 1), used("r2", 20, "7", 2), used("r3", 20, "100", 3), used("r3", 20, "3", 4, revision=1),
    ]  # fmt: skip
    reasons = [
        {
            "feed": "usage",
            "landing_id": "usage-file",
            "row_number": 5,
            "reasons": ["quantity: missing", "unit: missing"],
            "source_row": "{}",
        }
    ]
    tables = [
        commit(
            "raw.landed_files", [file("usage", 6, 4, 1), file("accounts", 1, 1), file("prices", 2, 2)], mine, tenant, stage
        ),
        commit("raw.quarantine", reasons, mine, tenant, stage),
        commit("raw.accounts", [account], mine, tenant, stage),
        commit("raw.prices", [every | price for price in prices], mine, tenant, stage),
        commit("raw.usage", usage, mine, tenant, stage),
    ]
    complete(
        stage, tenant, mine, tables,
        {("all", "files"): {}, ("all", "accounts"): {}, ("all", "prices"): {}, ("2026-01", "usage"): {}},
    )  # fmt: skip
    ended(stage, tenant, "audit", "done", mine)
    ended(stage, tenant, "publish", "done", mine)
    verdict(stage, tenant)


def bill(tenant: str, rows: Iterable[Row] = CHARGES, attempt: int = 1, seen: bool = True) -> str:
    """Charges of January, complete unless `seen` is false; returns the publication."""
    stage, mine = "billing_aggregation", publication_of("billing_aggregation", tenant, attempt)
    version = commit("billing.charges", rows, mine, tenant, stage)
    if seen:
        usage = f"{publication_of('ingestion', tenant)}/usage"
        complete(stage, tenant, mine, [version], {("2026-01", "main"): {"raw.usage": usage}})
        ended(stage, tenant, "publish", "done", mine)
        verdict(stage, tenant)
    return mine


def issue(tenant: str, in_focus: str = "2.98") -> None:
    """One invoice over both charges, and a FOCUS file that says what it costs."""
    stage, mine = "invoice_generation", publication_of("invoice_generation", tenant)
    head = invoiced(tenant)
    same = {
        "period": JANUARY,
        "invoice_id": head["invoice_id"],
        "currency": "EUR",
        "tax_category": "S",
        "tax_rate": Decimal("0.19"),
    }
    lines = [
        same | {"line_no": at, "charge_id": one["charge_id"], "product_id": "X", "unit": "hour", "quantity": one["quantity"],
                "rated_amount": one["amount"], "line_amount": one["amount"], "tax_rule": "none/standard",
                "line_taxes": [{"component": "VAT", "rate": Decimal("0.19"), "amount": Decimal(0)}]}
        for at, one in enumerate(CHARGES, start=1)
    ]  # fmt: skip
    taxes = [same | {"taxable_amount": head["net_amount"], "tax_amount": head["tax_amount"], "tax_rule": "none/standard"}]
    register = [
        {
            key: head[key]
            for key in ("period", "legal_entity_id", "series", "fiscal_year", "number", "invoice_number", "invoice_id")
        }
    ]
    file = {
        "period": JANUARY, "payer_account_id": head["account_id"], "currency": "EUR", "format": "csv",
        "file_path": f"{tenant}/focus/2026-01/A1.csv", "row_count": 3, "billed_cost": Decimal(in_focus),
        "invoice_numbers": [head["invoice_number"]],
    }  # fmt: skip
    tables = [
        commit("invoicing.invoices", [head], mine, tenant, stage),
        commit("invoicing.invoice_lines", lines, mine, tenant, stage),
        commit("invoicing.invoice_taxes", taxes, mine, tenant, stage),
        commit("invoicing.number_register", register, mine, tenant, stage),
        commit("invoicing.focus_files", [file], mine, tenant, stage),
    ]
    charged = f"{publication_of('billing_aggregation', tenant)}/main"
    complete(stage, tenant, mine, tables, {("2026-01", "main"): {"billing.charges": charged}})
    ended(stage, tenant, "publish", "done", mine)
    verdict(stage, tenant)


def entry(tenant: str, debit: str = "2.98") -> list[Row]:
    """The journal entry of the month's invoice."""
    same = {
        "period": JANUARY, "entry_id": an_id("entry", tenant), "event": "invoice_issued", "rule_id": "invoice-issued", "posting_date": FEBRUARY,
        "legal_entity_id": f"{tenant}-de", "party_id": "A1", "document_id": invoiced(tenant)["invoice_id"],
        "source_id": invoiced(tenant)["invoice_id"], "currency": "EUR",
    }  # fmt: skip
    sides = (("accounts_receivable", debit, "0"), ("revenue", "0", "2.50"), ("tax_payable", "0", "0.48"))
    return [
        same | {"line_no": at, "ledger_account": account, "debit": Decimal(left), "credit": Decimal(right)}
        for at, (account, left, right) in enumerate(sides, start=1)
    ]


def post(tenant: str, debit: str = "2.98") -> None:
    """The invoice in the journal, its open item and the trial balance."""
    stage, mine = "ledger_posting", publication_of("ledger_posting", tenant)
    lines = entry(tenant, debit)
    item = {key: lines[0][key] for key in ("period", "legal_entity_id", "party_id", "document_id", "currency")}
    item |= {
        "ledger_account": "accounts_receivable",
        "document_number": invoiced(tenant)["invoice_number"],
        "document_date": FEBRUARY,
        "due_date": date(2026, 3, 1),
        "original_amount": Decimal("2.98"),
        "open_amount": Decimal("2.98"),
    }
    balances = [
        {key: line[key] for key in ("period", "legal_entity_id", "ledger_account", "currency", "debit", "credit")}
        | {"balance": line["debit"] - line["credit"], "line_count": 1}
        for line in lines
    ]
    tables = [
        commit("ledger.journal_lines", lines, mine, tenant, stage),
        commit("ledger.open_items", [item], mine, tenant, stage),
        commit("ledger.trial_balance", balances, mine, tenant, stage),
    ]
    complete(stage, tenant, mine, tables, {("2026-01", "main"): {}})
    ended(stage, tenant, "publish", "done", mine)
    verdict(stage, tenant)

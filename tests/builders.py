"""Builders with defaults, so that a test shows only what matters to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from jobs.billing_aggregation.tables import ADJUSTMENTS, CHARGES
from jobs.ingestion import transforms
from jobs.ingestion.feeds import FEEDS
from jobs.ingestion.settings import Settings as IngestionSettings
from jobs.ingestion.tables import ACCOUNTS, LANDED_FILES, PRICES, USAGE
from jobs.invoice_generation.settings import RoundingPolicy, Settings
from jobs.invoice_generation.tables import INVOICES
from jobs.invoice_generation.transforms import billed as all_that_is_billed
from jobs.ledger.periods import Period
from jobs.ledger.tenants import LegalEntity, Tenant
from jobs.ledger.tenants import Mapping as FeedMapping
from jobs.runtime import faults
from jobs.runtime.contract import Invocation, Outcome
from jobs.runtime.gates import Judgement, Verdict, judge
from jobs.runtime.house import Snapshot, visible, visible_rows
from jobs.runtime.tables import Table, catalog
from jobs.runtime.verbs import run_stage
from jobs.stages import BILLING_AGGREGATION, INGESTION, INVOICE_GENERATION, LEDGER_POSTING

ALPHA, BETA = "alpha", "beta"
OF_A_MONTH = (INGESTION, BILLING_AGGREGATION, INVOICE_GENERATION, LEDGER_POSTING)  # the stages that bill a month
JULY = Period("2026-07")
Row = dict[str, Any]


def at(text: str) -> datetime:
    """A moment, from its ISO form in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def table_of(spark: SparkSession, table: Table, rows: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Rows of a published table; a column nobody mentions is null."""
    return frame(spark, table.schema, rows)


def frame(spark: SparkSession, schema: T.StructType | str, rows: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Rows of any schema; decimals and dates may be written as text."""
    kinds = T.StructType.fromDDL(schema) if isinstance(schema, str) else schema
    known = set(kinds.fieldNames())
    told = []
    for row in rows:
        assert set(row) <= known, f"unknown columns {set(row) - known}"
        told.append(tuple(_as(field.dataType, row.get(field.name)) for field in kinds.fields))
    return spark.createDataFrame(told, kinds)


def _as(kind: T.DataType, value: Any) -> Any:
    if isinstance(value, str):
        if isinstance(kind, T.DecimalType):
            return Decimal(value)
        if isinstance(kind, T.DateType):
            return date.fromisoformat(value)
        if isinstance(kind, T.TimestampType):
            return at(value)
    if isinstance(kind, T.StructType) and value is not None:
        return tuple(_as(field.dataType, value.get(field.name)) for field in kind.fields)
    return value


def published(spark: SparkSession, name: str, month: str | None = None, tenant: str = ALPHA) -> DataFrame:
    """What a reader sees of a tenant's rows of a table, or of one of its months."""
    table = catalog()[name]
    seen = visible_rows(spark, table, visible(table, Snapshot.now())).where(f"tenant_id = '{tenant}'")
    return seen.where(f"period = '{month}-01'") if month else seen


def goes_through(month: str, *stages: str, tenants: Sequence[str] = (ALPHA,)) -> list[Outcome]:
    """Run these stages of a month, one after the other."""
    return [run_stage(asked(stage, *tenants, key=month, period=month)) for stage in stages]


def collected(rows: DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """Rows as plain tuples in a fixed order, decimals without trailing zeros."""
    chosen = rows.select(*columns) if columns else rows
    return sorted((tuple(_plain(value) for value in row) for row in chosen.collect()), key=repr)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    return value


def plain(value: Decimal | None) -> str | None:
    """A decimal as a person writes it: 1.50 is 1.5 and 0E-18 is 0."""
    if value is None:
        return None
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


# --- rows -------------------------------------------------------------------------------------------------------------


def used(quantity: str = "1", **more: Any) -> Row:
    """A row of raw.usage: one unit of storage by account a-1 on 10 July."""
    row: Row = {
        "tenant_id": ALPHA, "period": "2026-07-01", "record_id": "r-1", "account_id": "a-1", "product_id": "storage",
        "usage_start": "2026-07-10T12:00:00", "quantity": quantity, "unit": "GB", "region": "eu", "revision": 0,
        "withdrawn": False, "landing_id": "l-1", "row_number": 1,
    }  # fmt: skip
    return row | more


def priced(unit_price: str = "0.05", **more: Any) -> Row:
    """A row of raw.prices: storage in euros, for everybody, since January."""
    row: Row = {
        "tenant_id": ALPHA, "price_id": "p-1", "product_id": "storage", "model": "per_unit", "currency": "EUR",
        "parameters": f'{{"unit_price": "{unit_price}"}}', "valid_from": "2026-01-01", "landing_id": "l-2", "row_number": 1,
    }  # fmt: skip
    return row | more


def customer(account_id: str = "a-1", **more: Any) -> Row:
    """A row of raw.accounts: a German customer billed in euros."""
    row: Row = {
        "tenant_id": ALPHA, "account_id": account_id, "legal_name": "Somebody", "country": "DE", "currency": "EUR",
        "valid_from": "2020-01-01", "landing_id": "l-3", "row_number": 1,
    }  # fmt: skip
    return row | more


def charged(amount: str | None = "10", **more: Any) -> Row:
    """A row of billing.charges."""
    row: Row = {
        "tenant_id": ALPHA, "period": "2026-07-01", "charge_id": "c-1", "kind": "usage", "account_id": "a-1",
        "product_id": "storage", "price_id": "p-1", "model": "per_unit", "region": "eu", "unit": "GB", "currency": "EUR",
        "quantity": "1", "amount": amount, "usage_rows": 1, "prices_in_force": 1,
    }  # fmt: skip
    return row | more


def issued(gross: str = "12", net: str = "10", tax: str = "2", **more: Any) -> Row:
    """A row of invoicing.invoices."""
    row: Row = {
        "tenant_id": ALPHA, "period": "2026-07-01", "invoice_id": "i-1", "legal_entity_id": "alpha-uk", "account_id": "a-1",
        "customer_country": "GB", "document_type": "invoice", "series": "invoice", "fiscal_year": 2026, "number": 1,
        "invoice_number": "A-1", "issue_date": "2026-08-01", "due_date": "2026-08-31", "currency": "GBP", "net_amount": net,
        "tax_amount": tax, "gross_amount": gross, "line_count": 1,
    }  # fmt: skip
    return row | more


def usage(spark: SparkSession, *rows: Row) -> DataFrame:
    """raw.usage; rows get record ids of their own unless they name one."""
    return table_of(spark, USAGE, [row | ({"record_id": f"r-{n}"} if row["record_id"] == "r-1" else {}) | {"row_number": n}
                                   for n, row in enumerate(rows, start=1)])  # fmt: skip


def prices(spark: SparkSession, *rows: Row) -> DataFrame:
    """raw.prices."""
    return table_of(spark, PRICES, rows)


def accounts(spark: SparkSession, *rows: Row) -> DataFrame:
    """raw.accounts."""
    return table_of(spark, ACCOUNTS, rows)


def charges(spark: SparkSession, *rows: Row) -> DataFrame:
    """billing.charges."""
    return table_of(spark, CHARGES, rows)


def billed(spark: SparkSession, *rows: Row) -> DataFrame:
    """What documents are made from: billing.charges, and no adjustments."""
    return all_that_is_billed(charges(spark, *rows), table_of(spark, ADJUSTMENTS, []))


def invoices(spark: SparkSession, *rows: Row) -> DataFrame:
    """invoicing.invoices."""
    return table_of(spark, INVOICES, rows)


def landed(spark: SparkSession, *rows: Row) -> DataFrame:
    """raw.landed_files."""
    return table_of(spark, LANDED_FILES, rows)


def source(spark: SparkSession, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> DataFrame:
    """Rows as decoding leaves them: every value a text, rows numbered from 1, one landing of tenant alpha."""
    names = list(columns) or list(dict.fromkeys(name for row in rows for name in row if not name.startswith("_")))
    told = [
        (
            row.get("_tenant", ALPHA),
            row.get("_landing", "l-1"),
            row.get("_row", n),
            row.get("_malformed"),
            *(row.get(c) for c in names),
        )
        for n, row in enumerate(rows, start=1)
    ]
    fields = "tenant_id string, landing_id string, row_number bigint, _malformed string"
    return spark.createDataFrame(told, ", ".join([fields, *(f"`{name}` string" for name in names)]))


GOOD_USAGE: Row = {
    "record_id": "r", "account_id": "a", "product_id": "p", "usage_start": "2026-07-10 12:00:00", "quantity": "1",
    "usage_end": None, "unit_price": None, "currency": None, "revision": None, "withdrawn": None,
}  # fmt: skip
GOOD_PRICE: Row = {
    "price_id": "p", "product_id": "x", "model": "per_unit", "currency": "EUR", "parameters": '{"unit_price": "0.1"}',
    "valid_from": "2026-01-01", "valid_to": None,
}  # fmt: skip
GOOD_ACCOUNT = {"account_id": "a", "legal_name": "Somebody", "country": "DE", "currency": "EUR", "valid_from": "2026-01-01",
                "timezone": None}  # fmt: skip
GOOD_CORRECTION = {"correction_id": "k", "invoice_number": "A-1", "action": "rebill", "requested_on": "2026-07-10", "month": None,
                   "amount": None, "share": None, "line_no": None}  # fmt: skip
GOOD = {
    "usage": GOOD_USAGE,
    "prices": GOOD_PRICE,
    "accounts": GOOD_ACCOUNT,
    "invoice_corrections": GOOD_CORRECTION,
}  # a source row that is accepted, by feed


def canonical(rows: DataFrame, feed: str, mapping: FeedMapping, timezone: str = "UTC", totals: int = 0) -> DataFrame:
    """Source rows through a mapping, with usual settings."""
    settings = ingestion_settings()
    return transforms.canonical(
        [transforms.mapped(rows, FEEDS[feed], mapping, settings, timezone, totals)], FEEDS[feed], settings
    )


# --- policies and tenants ---------------------------------------------------------------------------------------------


def ingestion_settings(**more: Any) -> IngestionSettings:
    """Usage from this century only."""
    told: dict[str, Any] = {"earliest_usage": "2000-01-01", "latest_usage": "2099-12-31", "longest_usage_days": 366}
    told["quarantined_share_max"] = "0.05"
    return IngestionSettings.model_validate(told | more)


def rounding(method: str = "half_up", level: str = "line", tax_level: str = "document") -> RoundingPolicy:
    """Where rounding happens, and how."""
    return RoundingPolicy.model_validate({"method": method, "level": level, "tax_level": tax_level})


ISSUE_CONTROL = {
    "months": 3, "least_documents": 2, "documents_share": "0.5", "amount_share": "0.5", "noticeable_share": "0.05",
    "new_customers_share": "0.5", "outlier_times": "20",
}  # fmt: skip


def invoice_settings(**more: Any) -> Settings:
    """How charges become documents."""
    told = {
        "rounding": {"method": "half_up", "level": "line", "tax_level": "document"},
        "default_payment_terms_days": 30,
        "due_dates": "unmoved",
        "issue_day": 1,
        "series": {
            "invoice": {"suffix": "", "title": "invoice"},
            "credit_note": {"suffix": "CN", "title": "credit note"},
            "debit_note": {"suffix": "DN", "title": "debit note"},
            "corrective_invoice": {"suffix": "CI", "title": "corrective invoice"},
        },
        "issue_control": [ISSUE_CONTROL],
        "numbering": {"*": {"format": "{prefix}{suffix}-{year}-{number:07d}"}},
    }
    return Settings.model_validate(told | more)


def entity(id: str = "alpha-uk", **more: Any) -> LegalEntity:
    """A British seller."""
    told = {"id": id, "country": "GB", "timezone": "Europe/London", "invoice_prefix": "A", "tax_policy": "gb-seller"}
    return LegalEntity.model_validate(told | more)


def tenant(name: str = ALPHA, entities: Sequence[LegalEntity] = (), **feeds: Any) -> Tenant:
    """A tenant with one British seller and the feeds it is given."""
    told = {
        "tenant": name,
        "business_line": "cloud",
        "legal_entities": tuple(entities) or (entity(f"{name}-uk"),),
        "feeds": feeds,
    }
    return Tenant.model_validate(told)


def plain_mapping(feed: str, **more: Any) -> FeedMapping:
    """A mapping whose source columns are called as the feed's columns that are required or named in `also`."""
    also = more.pop("also", ())
    names = {name: name for name in (*FEEDS[feed].required, *FEEDS[feed].key, *also)}
    return FeedMapping.model_validate({"columns": names | more.pop("columns", {})} | more)


def tenant_conf(name: str, prefix: str = "A", usage_columns: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """conf/tenants/<name>.yaml of a small British utility with three CSV feeds."""
    return {
        "tenant": name,
        "business_line": "cloud",
        "legal_entities": [
            {"id": f"{name}-uk", "country": "GB", "timezone": "Europe/London", "invoice_prefix": prefix, "tax_policy": "gb-seller"}
        ],
        "feeds": {
            "accounts": {"columns": {"account_id": "account", "legal_name": "name", "country": "country", "currency": "currency"}},
            "prices": {
                "columns": {
                    "price_id": "price", "product_id": "product", "model": {"constant": "per_unit"}, "currency": "currency",
                    "parameters": {"sql": "to_json(named_struct('unit_price', unit_price))"}, "valid_from": "since",
                }
            },
            "usage": {
                "timezone": "Europe/London",
                "control_totals": ["units"],
                "columns": dict(
                    usage_columns
                    or {"record_id": "id", "account_id": "account", "product_id": "product", "usage_start": "at", "quantity": "units"}
                ),
            },
        },
    }  # fmt: skip


def conf_file(home: Path, name: str, content: object) -> Path:
    """A file in a home's own conf/: text as it stands, anything else as YAML."""
    path = home / "conf" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def dropped(home: Path, tenant_id: str, feed: str, name: str, content: str | bytes) -> Path:
    """A complete file in landing."""
    path = home / "landing" / tenant_id / feed / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


ACCOUNTS_FILE = "account,name,country,currency\na-1,Ada Somebody,GB,GBP\na-2,Bob Somebody,US,USD\n"
PRICES_FILE = "price,product,currency,since,unit_price\np-1,storage,GBP,2026-01-01,0.05\np-2,storage,USD,2026-01-01,0.07\n"
USAGE_FILE = "id,account,product,at,units\nr-1,a-1,storage,2026-07-10 12:00:00,100\nr-2,a-2,storage,2026-07-31 23:30:00,50\n"
UNPRICED_FILE = USAGE_FILE + "r-3,a-1,network,2026-07-11 12:00:00,7\n"  # of network there is no price yet
NETWORK_FILE = "price,product,currency,since,unit_price\np-3,network,GBP,2026-01-01,1.00\n"


def moved_in(home: Path, usage: Mapping[str, str], accounts: str = ACCOUNTS_FILE, prices: str = PRICES_FILE) -> None:
    """Tenants by name, each with its configuration in the home's own conf/ and its files in landing."""
    for name, told in usage.items():
        conf_file(home, f"tenants/{name}.yaml", tenant_conf(name, prefix=name[0].upper()))
        dropped(home, name, "accounts", "accounts.csv", accounts)
        dropped(home, name, "prices", "prices.csv", prices)
        dropped(home, name, "usage", "july.csv", told)


def asked(stage: str, *tenants: str, key: str = "test", period: str = "2026-07", **parameters: str) -> Invocation:
    """A call of a stage."""
    return Invocation(stage=stage, period=period, run_key=key, tenants=tenants, parameters=parameters, actor="tester")


def at_point(patched: pytest.MonkeyPatch, point: str, happens: Callable[[], object]) -> None:
    """Let something happen once, where the next run comes to one of the points at which a test may kill it."""
    honest, left = faults.reach, [happens]

    def reach(name: str) -> None:
        if name == point and left:
            left.pop()()
        honest(name)

    patched.setattr(faults, "reach", reach)


def dies() -> None:
    """What happens where a run dies."""
    raise KeyboardInterrupt


# --- gates ------------------------------------------------------------------------------------------------------------


def judged(stage: str, gate: str, rows: DataFrame, tenants: Sequence[str]) -> Judgement:
    """What one suite of a stage says of a frame."""
    return judge(stage, {gate: rows}, [gate], sorted(tenants), "test.1")


def failures(judgement: Judgement) -> dict[str, list[Verdict]]:
    """What failed, by tenant, warnings too."""
    failed: dict[str, list[Verdict]] = {}
    for verdict in judgement.verdicts:
        if not verdict.success:
            failed.setdefault(verdict.tenant_id, []).append(verdict)
    return failed

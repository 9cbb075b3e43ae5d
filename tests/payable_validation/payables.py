"""Rows of vendor invoices with defaults that no rule speaks against, so that a test shows only what matters to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from jobs.ingestion.tables import PAYABLES, PURCHASE_ORDERS, VENDORS
from jobs.ledger.periods import Period
from jobs.ledger.rules import Rule
from jobs.ledger.tenants import Tenant
from jobs.payable_validation import transforms
from jobs.payable_validation.settings import rules_in_force
from jobs.payable_validation.tables import DECISIONS
from tests.builders import ALPHA, Row, entity, table_of, tenant

HOUR = Period("2026-07-31T14")
IBAN, OTHER_IBAN = "DE89370400440532013000", "GB29NWBK60161331926819"


def bought(gross: str | None = "119", net: str | None = "100", tax: str | None = "19", **more: Any) -> Row:
    """A row of raw.payables: a German invoice over a cloud, in euros, received in July."""
    row: Row = {
        "tenant_id": ALPHA, "period": "2026-07-01", "record_id": "r-1", "payable_id": None, "invoice_number": "INV-001",
        "vendor_id": "v-1", "business_line": "cloud", "country": "DE", "invoice_date": "2026-07-10",
        "received_at": "2026-07-12T09:00:00", "currency": "EUR", "gross_amount": gross, "net_amount": net, "tax_amount": tax,
        "po_number": None, "iban": IBAN, "vendor_tax_id": "DE136695976", "document_type": "invoice", "landing_id": "l-1",
        "row_number": 1,
    }  # fmt: skip
    return row | more


def vendor(vendor_id: str = "v-1", **more: Any) -> Row:
    """A row of raw.vendors: a German vendor in good standing."""
    row: Row = {
        "tenant_id": ALPHA, "vendor_id": vendor_id, "legal_name": "Somebody", "country": "DE", "tax_id": "DE136695976",
        "iban": IBAN, "status": "active", "valid_from": "2020-01-01", "landing_id": "l-2", "row_number": 1,
    }  # fmt: skip
    return row | more


def ordered(quantity: str = "10", unit_price: str = "10", **more: Any) -> Row:
    """A row of raw.purchase_orders: a hundred euros with vendor v-1."""
    row: Row = {
        "tenant_id": ALPHA, "po_number": "PO-1", "line_no": 1, "vendor_id": "v-1", "quantity": quantity,
        "unit_price": unit_price, "currency": "EUR", "landing_id": "l-3", "row_number": 1,
    }  # fmt: skip
    return row | more


def buyer(name: str = ALPHA, line: str = "cloud") -> Tenant:
    """A tenant whose entities pay in Britain, Germany, France and Japan."""
    british = entity(f"{name}-uk", serves=("GB", "FR"))
    german = entity(f"{name}-de", country="DE", timezone="Europe/Berlin", invoice_prefix="D", serves=("DE",))
    japanese = entity(f"{name}-jp", country="JP", timezone="Asia/Tokyo", invoice_prefix="J", serves=("JP",))
    return tenant(name, (british, german, japanese)).model_copy(update={"business_line": line})


def numbered(rows: Iterable[Row]) -> list[Row]:
    """Rows with record ids and row numbers of their own, unless they name one."""
    return [
        row | ({"record_id": f"r-{n}"} if row["record_id"] == "r-1" else {}) | {"row_number": n}
        for n, row in enumerate(rows, start=1)
    ]


def decided(
    spark: SparkSession,
    payables: Sequence[Row],
    vendors: Sequence[Row] | None = None,
    orders: Sequence[Row] = (),
    before: DataFrame | None = None,
    rules: Sequence[Rule] | None = None,
    hour: Period = HOUR,
    tenants: Iterable[Tenant] | None = None,
) -> DataFrame:
    """What a run of the hour decides."""
    known = {one.tenant: one for one in (tenants if tenants is not None else [buyer()])}
    return transforms.decide(
        table_of(spark, PAYABLES, payables),
        table_of(spark, VENDORS, [vendor()] if vendors is None else vendors),
        table_of(spark, PURCHASE_ORDERS, orders),
        before if before is not None else table_of(spark, DECISIONS, []),
        transforms.houses(spark, known),
        rules_in_force() if rules is None else rules,
        hour,
    )

"""The canonical record types: which columns a feed has, which are required, and what names a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import types as T

from jobs.ingestion import tables
from jobs.ledger.tenants import Feed
from jobs.runtime.tables import Table

UNREVISED = {"revision": "0", "withdrawn": "false"}  # what a record says that says nothing of revisions, empty cells too
ALWAYS = {"valid_from": "1970-01-01"}  # a fact that does not say since when has always held


@dataclass(frozen=True)
class FeedType:
    """One feed: the table it lands in and what a record of it must say."""

    name: Feed
    table: Table
    required: tuple[str, ...]
    key: tuple[str, ...]  # names a record within its tenant
    may_be_identified_by_content: bool = False  # the key may be left out; equal rows then count as the mapping says
    defaults: Mapping[str, str] = field(default_factory=dict)  # of columns that a mapping leaves out
    month_of: str | None = None  # the column whose month a row belongs to; None for facts that belong to no month

    @property
    def columns(self) -> tuple[T.StructField, ...]:
        """The canonical columns, as their table types them."""
        own = {"tenant_id", "period", "billing_zone", "part_of", "landing_id", "row_number", "publication_id"}
        return tuple(field for field in self.table.schema.fields if field.name not in own)


FEEDS: dict[str, FeedType] = {
    feed.name: feed
    for feed in (
        FeedType(
            "accounts",
            tables.ACCOUNTS,
            ("account_id", "legal_name", "country", "currency"),
            ("account_id", "valid_from"),
            defaults=ALWAYS,
        ),
        FeedType(
            "prices",
            tables.PRICES,
            ("price_id", "product_id", "model", "currency", "parameters", "valid_from"),
            ("price_id",),
            defaults=UNREVISED,
        ),
        FeedType(
            "usage",
            tables.USAGE,
            ("record_id", "account_id", "product_id", "usage_start", "quantity"),
            ("record_id",),
            may_be_identified_by_content=True,
            defaults=UNREVISED,
            month_of="usage_start",
        ),
        FeedType(
            "vendors", tables.VENDORS, ("vendor_id", "legal_name", "country"), ("vendor_id", "valid_from"), defaults=ALWAYS
        ),
        FeedType(
            "purchase_orders",
            tables.PURCHASE_ORDERS,
            ("po_number", "line_no", "vendor_id", "quantity", "unit_price", "currency"),
            ("po_number", "line_no"),
        ),
        FeedType(
            "payables",
            tables.PAYABLES,
            ("received_at",),  # what else an invoice lacks is for the rules to say, so that it is held or rejected by name
            ("record_id",),
            may_be_identified_by_content=True,
            defaults={"document_type": "invoice"},
            month_of="received_at",
        ),
        FeedType(
            "bank_transactions",
            tables.BANK_TRANSACTIONS,
            ("transaction_id", "bank_account", "booking_date", "amount", "currency"),
            ("transaction_id", "bank_account"),
            month_of="booking_date",
        ),
        FeedType(
            "open_items",
            tables.RECEIVABLES,
            ("document_id", "account_id", "document_date", "due_date", "currency", "original_amount", "open_amount"),
            ("document_id",),
            defaults={"document_type": "invoice"},
            month_of="document_date",
        ),
        FeedType(
            "disputes",
            tables.DISPUTES,
            ("document_id", "account_id", "valid_from"),
            ("document_id", "valid_from"),
            defaults=ALWAYS,
        ),
        FeedType(
            "promises",
            tables.PROMISES,
            ("account_id", "promise_date"),
            ("account_id", "promise_date", "valid_from"),
            defaults=ALWAYS,
        ),
        FeedType(
            "exemptions",
            tables.EXEMPTIONS,
            ("account_id", "kind", "valid_from"),
            ("account_id", "kind", "jurisdiction", "valid_from"),
            defaults=ALWAYS | {"jurisdiction": "*"},
        ),
        FeedType(
            "fx_rates",
            tables.FX_RATES,
            ("source", "base_currency", "quote_currency", "rate", "rate_date"),
            ("source", "base_currency", "quote_currency", "rate_date"),
            defaults=UNREVISED,
        ),
        FeedType(
            "invoice_corrections",
            tables.INVOICE_CORRECTIONS,
            ("correction_id", "action", "requested_on"),
            ("correction_id",),
        ),
        FeedType(
            "tax_rates",
            tables.TAX_RATES,
            ("jurisdiction", "rate", "valid_from"),
            ("jurisdiction", "tax_class", "component", "valid_from"),
            defaults=UNREVISED | {"tax_class": "standard", "component": "Sales tax"},
        ),
        FeedType(
            "tax_registrations",
            tables.TAX_REGISTRATIONS,
            ("tax_id", "country", "status", "checked_at"),
            ("tax_id", "country", "checked_at"),
        ),
        FeedType(
            "credits",
            tables.CREDITS,
            ("credit_id", "account_id", "currency", "amount", "valid_from"),
            ("credit_id",),
            defaults=UNREVISED | {"shared": "false"},
        ),
    )
}

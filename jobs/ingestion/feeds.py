"""The canonical record types: which columns a feed has, which are required, and what names a record."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import types as T

from jobs.ingestion import tables
from jobs.ledger.tenants import Feed
from jobs.runtime.tables import Table


@dataclass(frozen=True)
class FeedType:
    """One feed: the table it lands in and what a record of it must say."""

    name: Feed
    table: Table
    required: tuple[str, ...]
    key: tuple[str, ...]  # names a record within its tenant
    may_be_identified_by_content: bool = False  # the key may be left out; equal rows then count as the mapping says

    @property
    def columns(self) -> tuple[T.StructField, ...]:
        """The canonical columns, as their table types them."""
        own = {"tenant_id", "period", "landing_id", "row_number", "publication_id"}
        return tuple(field for field in self.table.schema.fields if field.name not in own)


FEEDS: dict[str, FeedType] = {
    feed.name: feed
    for feed in (
        FeedType(
            "accounts", tables.ACCOUNTS, ("account_id", "legal_name", "country", "currency"), ("account_id", "valid_from")
        ),
        FeedType(
            "prices",
            tables.PRICES,
            ("price_id", "product_id", "model", "currency", "parameters", "valid_from"),
            ("price_id",),
        ),
        FeedType(
            "usage",
            tables.USAGE,
            ("record_id", "account_id", "product_id", "usage_start", "quantity"),
            ("record_id",),
            may_be_identified_by_content=True,
        ),
    )
}

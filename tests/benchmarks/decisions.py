"""The second half of `make bench`: payables through the rules, receipts against open items, accounts through the policy.

One tenant whose customers owe one document each; a tenth as many receipts as documents come in; and as many vendor invoices
are to be decided. Everything lands and is posted by the real path; what is measured are the stages that decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import yaml

from tests.benchmarks.rows import MACROS

TENANT = "bench-decisions"
MONTH, DAY, HOUR = "2026-07", "2026-07-31", "2026-07-31T23"
IBAN = "GB33BUKB20201555555555"
DOCUMENTS_OF_A_RECEIPT = 10
PAYABLES_OF_A_VENDOR = 100
STAGES = (  # stage, period, what it decides on: a key of World.counts
    ("payable_validation", HOUR, "payables"),
    ("cash_matching", DAY, "receipts"),
    ("suspension_selection", DAY, "accounts"),
)


@dataclass(frozen=True)
class World:
    """So many accounts with a document each, and as many payables; a tenth as many receipts."""

    size: int

    @property
    def counts(self) -> dict[str, int]:
        """Rows by what they are."""
        return {
            "accounts": self.size,
            "open_items": self.size,
            "receipts": self.size // DOCUMENTS_OF_A_RECEIPT,
            "payables": self.size,
        }


# Of ten documents of 31 days before the last of the month eight are overdue; one account in twelve owes enough to go further.
ACCOUNTS = """
    SELECT printf('A-%07d', range) AS account_id, printf('Customer %d Limited', range) AS legal_name, 'GB' AS country, 'GBP' AS currency,
        printf('DE%020d', range) AS iban
    FROM range({size})
"""
OPEN_ITEMS = """
    SELECT printf('INV-2026-%07d', range) AS document_id, printf('A-%07d', range) AS account_id, DATE '2026-07-01' AS document_date,
        DATE '2026-07-01' + (drawn(range, 1) % 38)::INT AS due_date, 'GBP' AS currency,
        ((drawn(range, 2) % 100000 + 100) / 100)::DECIMAL(18, 2) AS original_amount,
        ((drawn(range, 2) % 100000 + 100) / 100)::DECIMAL(18, 2) AS open_amount
    FROM range({size})
"""
# Six of ten name their document and pay it, one says nothing, one misspells the number, one is short, one comes without payer.
RECEIPTS = """
    SELECT printf('T-%07d', i) AS transaction_id, printf('S-%d', i // 1000) AS statement_id, '{iban}' AS bank_account,
        DATE '2026-07-15' AS booking_date, 'GBP' AS currency,
        (CASE kind WHEN 8 THEN owed - 0.5 ELSE owed END)::DECIMAL(18, 2) AS amount,
        CASE WHEN kind < 9 THEN printf('Customer %d Ltd', document) END AS counterparty_name,
        CASE WHEN kind < 9 THEN printf('DE%020d', document) END AS counterparty_iban,
        CASE WHEN kind < 6 THEN printf('invoice INV-2026-%07d thanks', document) WHEN kind = 6 THEN 'thank you'
             WHEN kind = 7 THEN printf('inv INV-2062-%07d', document) ELSE printf('INV-2026-%07d', document) END AS remittance_text
    FROM (
        SELECT range AS i, range % 10 AS kind, range * {each} AS document, (drawn(range * {each}, 2) % 100000 + 100) / 100 AS owed
        FROM range({receipts})
    )
"""
VENDORS = """
    SELECT printf('V-%06d', range) AS vendor_id, printf('Vendor %d', range) AS legal_name, 'GB' AS country, '{iban}' AS iban
    FROM range({vendors})
"""
# One in a hundred does not add up, one comes twice, one is of a vendor nobody knows.
PAYABLES = """
    SELECT printf('P-%08d', i) AS record_id, printf('P-%08d', i) AS payable_id,
        printf('N-%08d', CASE WHEN kind = 2 THEN i - 1 ELSE i END) AS invoice_number,
        CASE WHEN kind = 3 THEN 'V-nobody' ELSE printf('V-%06d', vendor) END AS vendor_id, 'GB' AS country, DATE '2026-07-10' AS invoice_date,
        TIMESTAMP '2026-07-12 09:00:00' AS received_at, 'GBP' AS currency, (net * 1.2 + CASE kind WHEN 5 THEN 1 ELSE 0 END)::DECIMAL(18, 2)
            AS gross_amount, net::DECIMAL(18, 2) AS net_amount, (net * 0.2)::DECIMAL(18, 2) AS tax_amount, '{iban}' AS iban
    FROM (
        SELECT range AS i, range % 100 AS kind, (range // 100) % {vendors} AS vendor,
            (drawn(CASE WHEN range % 100 = 2 THEN range - 1 ELSE range END, 3) % 10000 + 10) / 2.0 AS net
        FROM range({size})
    )
"""
FEEDS = {
    "accounts": ("account_id", "legal_name", "country", "currency", "iban"),
    "open_items": (
        "document_id", "account_id", "document_date", "due_date", "currency", "original_amount", "open_amount",
    ),
    "bank_transactions": (
        "transaction_id", "statement_id", "bank_account", "booking_date", "currency", "amount", "counterparty_name",
        "counterparty_iban", "remittance_text",
    ),
    "vendors": ("vendor_id", "legal_name", "country", "iban"),
    "payables": (
        "record_id", "payable_id", "invoice_number", "vendor_id", "country", "invoice_date", "received_at", "currency",
        "gross_amount", "net_amount", "tax_amount", "iban",
    ),
}  # fmt: skip
QUERIES = {
    "accounts": ACCOUNTS,
    "open_items": OPEN_ITEMS,
    "bank_transactions": RECEIPTS,
    "vendors": VENDORS,
    "payables": PAYABLES,
}
POLICY = {  # as conf/suspension_selection.yaml, for a tenant of which nearly everybody is overdue
    "id": "bench", "version": 1, "valid_from": "2000-01-01", "one_step": False, "cash_age_days": 31, "covered_share": "1", "share_max": "1",
    "allowed_anyway": 5,
    "states": [
        {"name": "warned", "when": {"oldest_overdue_days": 1}},
        {"name": "suspended", "when": {"all": [{"oldest_overdue_days": 14}, {"overdue_balance": {"GBP": "900"}}]}},
    ],
}  # fmt: skip


def write(world: World, home: Path) -> None:
    """The tenant's configuration and files in a home."""
    entity = {
        "id": "one", "country": "GB", "timezone": "UTC", "invoice_prefix": "BENCH", "tax_policy": "gb-seller",
        "bank_accounts": [{"iban": IBAN, "currency": "GBP"}],
    }  # fmt: skip
    feeds = {
        name: {"format": "parquet", "columns": {column: column for column in columns}} for name, columns in FEEDS.items()
    }
    conf = {"tenant": TENANT, "business_line": "cloud", "legal_entities": [entity], "feeds": feeds}
    for name, content in ((f"tenants/{TENANT}.yaml", conf), ("suspension_selection.yaml", {"policies": [POLICY]})):
        path = home / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    counts = {
        "size": world.size, "receipts": world.counts["receipts"], "each": DOCUMENTS_OF_A_RECEIPT, "iban": IBAN,
        "vendors": max(1, world.size // PAYABLES_OF_A_VENDOR),
    }  # fmt: skip
    with duckdb.connect(config={"threads": 2, "autoload_known_extensions": False}) as connection:
        connection.execute(MACROS)
        for feed, query in QUERIES.items():
            path = home / "landing" / TENANT / feed / f"{feed}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            connection.execute(f"COPY ({query.format(**counts)}) TO '{path}' (FORMAT parquet)")

"""The rows that `make bench` lands: drawn by arithmetic on row numbers, so that every machine draws the same ones.

A month of usage of one tenant, in no order, priced per unit: every account uses ten of forty products, two of which change
their price on the 16th. A few records are delivered twice, a few say something else under an id that was there before, and
a few cannot be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import yaml

PERIOD = "2026-01"
PRODUCTS, PRODUCTS_OF_AN_ACCOUNT, PRODUCTS_REPRICED = 40, 10, 2
ONE_REPEATED_IN, ONE_CONTRADICTED_IN, ONE_UNUSABLE_IN = 10_000, 20_000, 20_000

MACROS = """
    CREATE OR REPLACE MACRO stirred(x) AS xor(x, x >> 15);
    CREATE OR REPLACE MACRO drawn(i, salt) AS
        stirred((stirred(((i + 1) * 2654435761 + salt * 40503) % 4294967296) * 1779033703) % 4294967296);
"""

USAGE = """
    SELECT
        CASE WHEN fault = 1 THEN NULL ELSE record END AS record,
        CASE WHEN fault = 2 THEN NULL ELSE printf('A-%06d', account) END AS account,
        printf('P-%03d', (account + 4 * (drawn(i, 2) % {slots})) % {products}) AS product,
        CASE WHEN fault = 3 THEN TIMESTAMP '1970-01-01' ELSE TIMESTAMP '2026-01-01' + to_seconds((drawn(i, 3) % 2678400)::INT) END
            AS started_at,
        CASE WHEN fault = 4 THEN NULL ELSE ((drawn(i, 4) % 90000000 + 1 + contradicts) / 1000000)::DECIMAL(18, 6) END AS quantity,
        'GB-hour' AS unit,
        CASE account % 3 WHEN 0 THEN 'eu-west' WHEN 1 THEN 'eu-north' ELSE 'us-east' END AS region
    FROM (
        SELECT
            i, drawn(i, 1) % {accounts} AS account, printf('%08x', drawn(i, 5)) || printf('%08x', (i * 2654435761) % 4294967296) AS record,
            CASE WHEN i % {unusable} = 7 THEN 1 + (i // {unusable}) % 4 ELSE 0 END AS fault, contradicts
        FROM (
            SELECT range AS i, 0 AS contradicts FROM range({begin}, {end})
            UNION ALL
            SELECT range, 0 FROM range({begin_before}, {end_before}) WHERE range % {repeated} = 11
            UNION ALL
            SELECT range, 1 FROM range({begin_before}, {end_before}) WHERE range % {contradicted} = 13
        )
    )
"""

ACCOUNTS = """
    SELECT printf('A-%06d', range) AS account, printf('Account %d', range) AS name, 'DE' AS country, 'EUR' AS currency
    FROM range({accounts})
"""

PRICES = """
    SELECT
        printf('P-%03d/%d', range, chapter) AS price, printf('P-%03d', range) AS product, 'per_unit' AS model, 'EUR' AS currency,
        printf('{{"unit_price": "0.%08d"}}', 100000 + drawn(range, 6) % 90000000 + chapter) AS parameters,
        CASE chapter WHEN 1 THEN DATE '2025-01-01' ELSE DATE '2026-01-16' END AS valid_from,
        CASE WHEN chapter = 1 AND range < {repriced} THEN DATE '2026-01-16' END AS valid_to
    FROM range({products}), (VALUES (1), (2)) AS chapters (chapter)
    WHERE chapter = 1 OR range < {repriced}
"""

COLUMNS: dict[str, dict[str, str]] = {
    "accounts": {"account_id": "account", "legal_name": "name", "country": "country", "currency": "currency"},
    "prices": {
        "price_id": "price", "product_id": "product", "model": "model", "currency": "currency", "parameters": "parameters",
        "valid_from": "valid_from", "valid_to": "valid_to",
    },
    "usage": {
        "record_id": "record", "account_id": "account", "product_id": "product", "usage_start": "started_at",
        "quantity": "quantity", "unit": "unit", "region": "region",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Month:
    """One tenant's month of usage."""

    tenant: str
    rows: int
    accounts: int
    files: int


def write_tenant(month: Month, home: Path) -> None:
    """Write a tenant's configuration and its accounts, prices and usage in the home's landing, as Parquet."""
    _write_mapping(month.tenant, home)
    counts = {"accounts": month.accounts, "products": PRODUCTS, "repriced": PRODUCTS_REPRICED}
    with duckdb.connect(config={"threads": 2, "autoload_known_extensions": False}) as connection:
        connection.execute(MACROS)
        _write(connection, PRICES.format(**counts), _file(home, month.tenant, "prices", 0))
        _write(connection, ACCOUNTS.format(**counts), _file(home, month.tenant, "accounts", 0))
        size = -(-month.rows // month.files)
        for number in range(month.files):
            begin, before = number * size, max(0, number - 1) * size
            ends = {"end": min(month.rows, begin + size), "end_before": begin}
            faults = {"repeated": ONE_REPEATED_IN, "contradicted": ONE_CONTRADICTED_IN, "unusable": ONE_UNUSABLE_IN}
            query = USAGE.format(**counts, **faults, **ends, begin=begin, begin_before=before, slots=PRODUCTS_OF_AN_ACCOUNT)
            _write(connection, query, _file(home, month.tenant, "usage", number))


def write_late(month: Month, home: Path, one_in: int) -> int:
    """Another file of usage for a month that was written before, with records of their own; how many."""
    count = month.rows // one_in
    counts = {"accounts": month.accounts, "products": PRODUCTS}
    faults = {"repeated": ONE_REPEATED_IN, "contradicted": ONE_CONTRADICTED_IN, "unusable": ONE_UNUSABLE_IN}
    ends = {"begin": month.rows, "end": month.rows + count, "begin_before": 0, "end_before": 0}
    with duckdb.connect(config={"threads": 2, "autoload_known_extensions": False}) as connection:
        connection.execute(MACROS)
        query = USAGE.format(**counts, **faults, **ends, slots=PRODUCTS_OF_AN_ACCOUNT)
        _write(connection, query, _file(home, month.tenant, "usage", month.files))
    return count


def files_for(rows: int) -> int:
    """How many files a month of so many rows is delivered in."""
    return max(2, min(16, rows // 1_250_000))


def _file(home: Path, tenant: str, feed: str, number: int) -> Path:
    path = home / "landing" / tenant / feed / f"{feed}-{PERIOD}-{number + 1:02d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")


def _write_mapping(tenant: str, home: Path) -> None:
    """conf/tenants/<tenant>.yaml of the home; the mapping is the same for all tenants, so that one branch reads them all."""
    feeds: dict[str, dict[str, Any]] = {name: {"format": "parquet", "columns": columns} for name, columns in COLUMNS.items()}
    feeds["usage"]["control_totals"] = ["quantity"]
    entity = {"id": f"{tenant}-de", "country": "DE", "timezone": "UTC", "invoice_prefix": "BENCH", "tax_policy": "gb-seller"}
    content = {"tenant": tenant, "business_line": "cloud", "legal_entities": [entity], "feeds": feeds}
    path = home / "conf" / "tenants" / f"{tenant}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

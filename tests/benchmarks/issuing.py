"""The third part of `make bench`: documents of ten lines each, from charges to numbers and the journal.

One tenant with as many customers as documents; every customer uses each of ten products once. Everything lands and is charged by the
real path; what is measured are the stages that issue and post. Rendering is told apart (papers.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import yaml

from tests.benchmarks.rows import MACROS

TENANT = "bench-issuing"
MONTH = "2026-07"
LINES = 10  # of a document
STAGES = ("invoice_generation", "ledger_posting")
FILE_ROWS = 1_250_000
COUNTRIES = ("GB", "GB", "GB", "DE", "FR", "IE", "US", "JP")  # five of eight customers are abroad


@dataclass(frozen=True)
class World:
    """So many documents."""

    documents: int

    @property
    def lines(self) -> int:
        """Lines of all of them."""
        return self.documents * LINES


ACCOUNTS = """
    SELECT printf('A-%07d', range) AS account_id, printf('Customer %d Limited', range) AS legal_name, 'GBP' AS currency,
        list_extract({countries}, 1 + (drawn(range, 1) % {of})::INT) AS country
    FROM range({documents})
"""
PRICES = """
    SELECT printf('P-%02d', range) AS price_id, printf('product-%02d', range) AS product_id, 'per_unit' AS model, 'GBP' AS currency,
        printf('{{"unit_price": "0.%03d"}}', 1 + range * 37 % 999) AS parameters, DATE '2026-01-01' AS valid_from
    FROM range({lines})
"""
USAGE = """
    SELECT printf('R-%09d', range) AS record_id, printf('A-%07d', range // {lines}) AS account_id,
        printf('product-%02d', range % {lines}) AS product_id, TIMESTAMP '2026-07-10 12:00:00' AS usage_start,
        (1 + drawn(range, 2) % 100000)::DECIMAL(18, 3) / 8 AS quantity
    FROM range({begin}, {end})
"""
FEEDS = {
    "accounts": ("account_id", "legal_name", "country", "currency"),
    "prices": ("price_id", "product_id", "model", "currency", "parameters", "valid_from"),
    "usage": ("record_id", "account_id", "product_id", "usage_start", "quantity"),
}


def write(world: World, home: Path) -> None:
    """The tenant's configuration and files in a home."""
    entity = {"id": "one", "country": "GB", "timezone": "UTC", "invoice_prefix": "BENCH", "tax_policy": "gb-seller"}
    feeds = {
        name: {"format": "parquet", "columns": {column: column for column in columns}} for name, columns in FEEDS.items()
    }
    conf = {"tenant": TENANT, "business_line": "cloud", "legal_entities": [entity], "feeds": feeds}
    path = home / "conf" / "tenants" / f"{TENANT}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(conf, sort_keys=False), encoding="utf-8")
    told = {"countries": list(COUNTRIES), "of": len(COUNTRIES), "documents": world.documents, "lines": LINES}
    with duckdb.connect(config={"threads": 2, "autoload_known_extensions": False}) as connection:
        connection.execute(MACROS)

        def drawn(feed: str, query: str, number: int = 1, **more: int) -> None:
            target = home / "landing" / TENANT / feed / f"{feed}-{number:02d}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            connection.execute(f"COPY ({query.format(**told, **more)}) TO '{target}' (FORMAT parquet)")

        drawn("accounts", ACCOUNTS)
        drawn("prices", PRICES)
        for number, begin in enumerate(range(0, world.lines, FILE_ROWS), start=1):
            drawn("usage", USAGE, number, begin=begin, end=min(begin + FILE_ROWS, world.lines))

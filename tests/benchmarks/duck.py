"""The same work in DuckDB, in a process of its own: `python duck.py land|charge|whole|compare <request.json>`, the answer on stdout as JSON.

land: landing files to accepted, quarantined and repeated usage, as jobs/ingestion does it. charge: the published usage to
priced charges, as jobs/billing_aggregation does it. whole: both at once, without keeping the usage. Types, checks, keys and columns are those of our tables.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.benchmarks.measure import Measured, measured, peak_megabytes

TYPED = """
    CREATE OR REPLACE TEMP VIEW typed AS
    SELECT
        f.tenant AS tenant_id, date_trunc('month', u.started_at)::DATE AS period, u.record AS record_id, u.account AS account_id,
        u.product AS product_id, u.started_at AS usage_start, u.quantity::DECIMAL(38, 21) AS quantity, u.unit, u.region,
        0 AS revision, false AS withdrawn, f.place AS file_order, u.file_row_number + 1 AS row_number,
        list_filter([
            CASE WHEN u.record IS NULL THEN 'record_id: missing' END,
            CASE WHEN u.account IS NULL THEN 'account_id: missing' END,
            CASE WHEN u.product IS NULL THEN 'product_id: missing' END,
            CASE WHEN u.started_at IS NULL THEN 'usage_start: missing' END,
            CASE WHEN u.quantity IS NULL THEN 'quantity: missing' END,
            CASE WHEN u.started_at::DATE NOT BETWEEN DATE '2000-01-01' AND DATE '2099-12-31' THEN 'usage_start: outside the window' END
        ], lambda reason: reason IS NOT NULL) AS reasons
    FROM read_parquet({files}, filename = true, file_row_number = true) AS u
    JOIN files AS f ON f.path = u.filename
"""

# Only ids that occur more than once are compared, as ours are, which spares DuckDB a window over every row.
DOUBTFUL = """
    CREATE OR REPLACE TEMP TABLE doubtful AS
    SELECT tenant_id, record_id FROM typed WHERE len(reasons) = 0 GROUP BY ALL HAVING count(*) > 1
"""
SETTLED = """
    CREATE OR REPLACE TEMP TABLE settled AS
    SELECT
        *, row_number() OVER (PARTITION BY tenant_id, record_id ORDER BY file_order, row_number) AS turn,
        row_number() OVER (
            PARTITION BY tenant_id, record_id, account_id, product_id, usage_start, quantity, unit, region
            ORDER BY file_order, row_number
        ) AS same_turn
    FROM typed SEMI JOIN doubtful USING (tenant_id, record_id) WHERE len(reasons) = 0
"""
ACCEPTED = """
    COPY (
        SELECT * EXCLUDE (reasons) FROM typed ANTI JOIN doubtful USING (tenant_id, record_id) WHERE len(reasons) = 0
        UNION ALL
        SELECT * EXCLUDE (reasons, turn, same_turn) FROM settled WHERE turn = 1
        ORDER BY account_id, product_id
    ) TO '{folder}/usage' (FORMAT parquet, PARTITION_BY (tenant_id, period), OVERWRITE)
"""
QUARANTINED = """
    COPY (
        SELECT tenant_id, file_order, row_number, reasons, to_json(struct_pack(
            record := record_id, account := account_id, product := product_id, started_at := usage_start, quantity := quantity
        )) AS source_row
        FROM typed WHERE len(reasons) > 0
        UNION ALL
        SELECT tenant_id, file_order, row_number, ['record_id: landed before with other content'], NULL
        FROM settled WHERE turn > 1 AND same_turn = 1
    ) TO '{folder}/quarantine' (FORMAT parquet, PARTITION_BY (tenant_id), OVERWRITE)
"""
COUNTED = """
    COPY (
        SELECT file_order, count(*) AS rows_read, count(*) FILTER (WHERE len(reasons) > 0) AS rows_unusable, sum(quantity) AS quantity
        FROM typed GROUP BY ALL
    ) TO '{folder}/files.parquet' (FORMAT parquet)
"""

CHARGED = """
    COPY (
        WITH revised AS (SELECT DISTINCT tenant_id, record_id FROM usage WHERE revision > 0 OR withdrawn),
        standing AS (
            SELECT * FROM usage ANTI JOIN revised USING (tenant_id, record_id)
            UNION ALL
            SELECT * FROM usage SEMI JOIN revised USING (tenant_id, record_id)
            QUALIFY row_number() OVER (PARTITION BY tenant_id, record_id ORDER BY revision DESC) = 1 AND NOT withdrawn
        ),
        bounds AS (
            SELECT tenant_id, product_id, list_sort(list_distinct(list(day))) AS days
            FROM (SELECT tenant_id, product_id, unnest([valid_from, valid_to]) AS day FROM prices) WHERE day IS NOT NULL GROUP BY ALL
        ),
        summed AS (
            SELECT
                tenant_id, account_id, product_id, standing.region, standing.unit, accounts.currency,
                list_filter(days, lambda day: day <= make_timestamp(epoch_us(usage_start))::DATE)[-1] AS priced_on, sum(quantity) AS quantity, count(*) AS usage_rows
            FROM standing
            LEFT JOIN accounts USING (tenant_id, account_id) LEFT JOIN bounds USING (tenant_id, product_id)
            GROUP BY ALL
        ),
        priced AS (
            SELECT
                s.*, p.price_id, count(p.price_id) OVER one AS found, (
                    s.quantity::DECIMAL(24, 6) * (p.parameters ->> '$.unit_price')::DECIMAL(14, 8)
                )::DECIMAL(38, 18) AS rated
            FROM summed AS s LEFT JOIN prices AS p
                ON p.tenant_id = s.tenant_id AND p.product_id = s.product_id AND p.currency = s.currency
                AND p.valid_from <= s.priced_on AND (p.valid_to IS NULL OR s.priced_on < p.valid_to)
            WINDOW one AS (
                PARTITION BY s.tenant_id, s.account_id, s.product_id, s.region, s.unit, s.currency, s.priced_on
            )
        ),
        charges AS (
            SELECT
                tenant_id, account_id, product_id, price_id, region, unit, currency, least(found, 2) AS prices_in_force,
                sum(quantity) AS quantity, sum(rated) AS amount, sum(usage_rows)::BIGINT AS usage_rows
            FROM priced GROUP BY ALL
        )
        SELECT
            *, DATE '{first_day}' AS period,
            sha256(concat_ws('|', tenant_id, account_id, product_id, price_id, region, unit, currency)) AS charge_id
        FROM charges ORDER BY account_id, product_id
    ) TO '{folder}/charges' (FORMAT parquet, PARTITION_BY (tenant_id, period), OVERWRITE)
"""

# What is accepted, without writing it: for the whole job at once, from the delivered files to charges.
STANDING = """
    CREATE OR REPLACE TEMP VIEW usage AS
    SELECT * EXCLUDE (reasons) FROM typed ANTI JOIN doubtful USING (tenant_id, record_id) WHERE len(reasons) = 0
    UNION ALL
    SELECT * EXCLUDE (reasons, turn, same_turn) FROM settled WHERE turn = 1
"""

SAME_USAGE = """
    SELECT count(*), sum(hash(record_id, account_id, product_id, epoch_us(usage_start), quantity, unit, region, row_number)::HUGEINT)
    FROM {rows}
"""
SAME_CHARGES = """
    SELECT
        count(*) AS charges,
        count(*) FILTER (WHERE o.amount IS DISTINCT FROM d.amount OR o.quantity IS DISTINCT FROM d.quantity
            OR o.usage_rows IS DISTINCT FROM d.usage_rows) AS different,
        sum(o.amount)::VARCHAR AS amount, sum(d.amount)::VARCHAR AS amount_there
    FROM ({ours}) AS o FULL JOIN ({theirs}) AS d USING (tenant_id, account_id, product_id, price_id, region, unit, currency)
"""


def main() -> None:
    """Do what the command line asks."""
    verb, request = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    config = {
        "threads": request["threads"],
        "autoload_known_extensions": False,
        "temp_directory": f"{request['folder']}/spill",
    }
    with duckdb.connect(config=config) as connection:
        connection.execute("SET preserve_insertion_order = false")
        answer = {"land": land, "charge": charge, "whole": whole, "compare": compare}[verb](connection, request)
    sys.stdout.write(json.dumps(answer | {"peak_megabytes": peak_megabytes(os.getpid())}))


def land(connection: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> dict[str, Any]:
    """Landing, repeated; the medians."""
    steps = (*_accepting(connection, request), *(sql.format(**request) for sql in (ACCEPTED, QUARANTINED, COUNTED)))
    return _repeated(connection, steps, request, ("usage", "quarantine"))


def charge(connection: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> dict[str, Any]:
    """Aggregation of the usage that we have published, repeated; the medians."""
    _views(connection, request, ("usage", "accounts", "prices"))
    return _repeated(connection, (CHARGED.format(**request),), request, ("charges",))


def whole(connection: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> dict[str, Any]:
    """From the delivered files to charges in one go, usage itself not written, repeated; the medians."""
    _views(connection, request, ("accounts", "prices"))
    charging = CHARGED.format(**(request | {"folder": f"{request['folder']}/whole"}))
    (Path(request["folder"]) / "whole").mkdir(exist_ok=True)
    return _repeated(connection, (*_accepting(connection, request), STANDING, charging), request, ("whole/charges",))


def _accepting(connection: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> tuple[str, ...]:
    """Read, type, check and compare what was delivered."""
    connection.execute("CREATE TEMP TABLE files (path VARCHAR, tenant VARCHAR, place INT)")
    connection.executemany("INSERT INTO files VALUES (?, ?, ?)", request["files"])
    return TYPED.format(files=[path for path, _, _ in request["files"]]), DOUBTFUL, SETTLED


def compare(connection: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> dict[str, Any]:
    """What DuckDB has landed and charged, beside what we have published; equal is equal to the last digit."""
    _views(connection, request, ("usage",))
    theirs = f"read_parquet('{request['folder']}/usage/*/*/*.parquet', hive_partitioning = true)"
    landed = {}
    for side, rows in (("ours", "usage"), ("duckdb", theirs)):
        count, told = connection.execute(SAME_USAGE.format(rows=rows)).fetchone() or (0, 0)
        landed[side] = {"rows": count, "checksum": str(told)}
    names = ("charges", "different", "amount", "amount_there")
    whole = f"SELECT * FROM read_parquet('{request['folder']}/whole/charges/*/*/*.parquet', hive_partitioning = true)"
    charges = f"SELECT * FROM read_parquet('{request['folder']}/charges/*/*/*.parquet', hive_partitioning = true)"
    pairs = {
        "charges": (f"SELECT * FROM {_published(request['charges'])}", charges),
        "rebuilt": (f"SELECT * FROM {_published(request['rebuilt'])}", charges),
        "whole": (f"SELECT * FROM {_published(request['charges'])}", whole),
    }
    told = {
        name: dict(
            zip(names, connection.execute(SAME_CHARGES.format(ours=ours, theirs=there)).fetchone() or (), strict=True)
        )
        for name, (ours, there) in pairs.items()
    }
    same = landed["ours"] == landed["duckdb"] and not any(pair["different"] for pair in told.values())
    return {"usage": landed, **told, "equal": same}


def _views(connection: duckdb.DuckDBPyConnection, request: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        connection.execute(f"CREATE TEMP VIEW {name} AS SELECT * FROM {_published(request[name])}")


def _published(files: list[str]) -> str:
    return f"read_parquet({files}, hive_partitioning = true)"


def _repeated(
    connection: duckdb.DuckDBPyConnection, steps: tuple[str, ...], request: dict[str, Any], written: tuple[str, ...]
) -> dict[str, Any]:
    told: list[Measured] = []
    for _ in range(request["repeat"]):
        for folder in written:
            shutil.rmtree(Path(request["folder"]) / folder, ignore_errors=True)
        with measured([os.getpid()]) as one:
            for sql in steps:
                connection.execute(sql)
        told.append(one)
    return {key: statistics.median(asdict(one)[key] for one in told) for key in asdict(told[0])}


if __name__ == "__main__":
    main()

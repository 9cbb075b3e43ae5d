"""The FOCUS files of a run: one per payer, currency and format, written and read back by the workers, never through the driver.

The same rows give the same bytes: rows are sorted, numbers and moments are written in one way only, and nothing comes from a
clock. A file that stands in documents/ is never rewritten.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from jobs.invoice_generation.focus import COLUMNS, NAMES
from jobs.ledger.identity import natural_id
from jobs.runtime import storage

OF_A_FILE = ("tenant_id", "period", "payer_account_id", "currency")
WRITTEN = (
    "tenant_id string, period date, payer_account_id string, currency string, format string, file_path string, "
    "content_sha256 string, found_sha256 string, file_bytes bigint, row_count bigint, billed_cost decimal(38,3), "
    "invoice_numbers array<string>"
)
_TEXT, _COUNT = pa.string(), pa.int64()
_WRITTEN = pa.schema(
    [
        ("tenant_id", _TEXT), ("period", pa.date32()), ("payer_account_id", _TEXT), ("currency", _TEXT), ("format", _TEXT),
        ("file_path", _TEXT), ("content_sha256", _TEXT), ("found_sha256", _TEXT), ("file_bytes", _COUNT), ("row_count", _COUNT),
        ("billed_cost", pa.decimal128(38, 3)), ("invoice_numbers", pa.list_(_TEXT)),
    ]
)  # fmt: skip


def _arrow(kind: T.DataType) -> pa.DataType:
    if isinstance(kind, T.DecimalType):
        return pa.decimal128(kind.precision, kind.scale)
    if isinstance(kind, T.TimestampType):
        return pa.timestamp("us", tz="UTC")
    return pa.int32() if isinstance(kind, T.IntegerType) else pa.string()


SCHEMA = pa.schema([(column.name, _arrow(column.kind)) for column in COLUMNS])  # of a Parquet file


def file_path(tenant_id: str, month: str, payer_account_id: str, currency: str, file_id: str, kind: str) -> str:
    """Where a file stands below documents/. Of the payer's id stands there what every file system takes; the id makes it unique."""
    shown = re.sub(r"[^A-Za-z0-9]+", "-", payer_account_id)[:40].strip("-") or "payer"
    return f"{tenant_id}/focus/{month}/{shown}-{currency}-{file_id[:16]}.{kind}"


def write(rows: DataFrame, staged: str, standing: str) -> DataFrame:
    """Write the files of every payer below `staged` and let them stand below `standing`.

    rows: focus.ROWS with InvoiceId. Returns WRITTEN, a row per file: content_sha256 is what was written; found_sha256 is what stands
    there, and file_bytes, row_count and billed_cost are read from that.
    """
    named = rows.withColumn("file_id", natural_id(*OF_A_FILE))
    return named.groupBy(*OF_A_FILE).applyInArrow(_writer(staged, standing), WRITTEN)


def _writer(staged: str, standing: str) -> Callable[[pa.Table], pa.Table]:
    def written(rows: pa.Table) -> pa.Table:
        head = rows.slice(0, 1).to_pylist()[0]
        content = ordered(rows)
        key = {name: head[name] for name in OF_A_FILE}
        told = []
        for kind in sorted(head["formats"]):
            path = file_path(
                head["tenant_id"],
                f"{head['period']:%Y-%m}",
                head["payer_account_id"],
                head["currency"],
                head["file_id"],
                kind,
            )
            rendered = RENDER[kind](content)
            storage.write_bytes(f"{staged}/{path}", rendered)
            storage.place_once(f"{staged}/{path}", f"{standing}/{path}")
            stands = storage.read_bytes(f"{standing}/{path}")
            same = stands == rendered  # another file is not looked into; the hashes tell
            costs, numbers = READ[kind](stands) if same else ([], [])
            told.append(
                key
                | {
                    "format": kind,
                    "file_path": path,
                    "content_sha256": hashlib.sha256(rendered).hexdigest(),
                    "found_sha256": hashlib.sha256(stands).hexdigest(),
                    "file_bytes": len(stands),
                    "row_count": len(costs),
                    "billed_cost": sum(costs, Decimal(0)),
                    "invoice_numbers": sorted(set(numbers)),
                }
            )
        return pa.Table.from_pylist(told, schema=_WRITTEN)

    return written


def ordered(rows: pa.Table) -> pa.Table:
    """The columns of the specification alone, document by document: its lines in their order, then its taxes."""
    by = [("InvoiceId", "ascending"), ("x_LineNumber", "ascending"), ("ChargeDescription", "ascending")]
    return rows.select(list(NAMES)).cast(SCHEMA).sort_by(by).combine_chunks()


def as_csv(rows: pa.Table) -> bytes:
    """Rows as CSV in UTF-8: decimals without exponent or trailing zeros, moments as 2026-07-31T22:00:00Z, null as nothing."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.column_names)
    shown = [[_shown(value) for value in column.to_pylist()] for column in rows.columns]
    writer.writerows(zip(*shown, strict=True))
    return text.getvalue().encode()


def _shown(value: Any) -> str | None:
    if isinstance(value, Decimal):
        text = f"{value:f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return None if value is None else str(value)


def as_parquet(rows: pa.Table) -> bytes:
    """Rows as Parquet: decimals as decimals, moments in UTC."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="snappy")
    return bytes(sink.getvalue())


def _from_csv(content: bytes) -> tuple[list[Decimal], list[str]]:
    told = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    return [Decimal(row["BilledCost"]) for row in told], [row["InvoiceId"] for row in told]


def _from_parquet(content: bytes) -> tuple[list[Decimal], list[str]]:
    told = pq.read_table(pa.BufferReader(content), columns=["BilledCost", "InvoiceId"])
    return told["BilledCost"].to_pylist(), told["InvoiceId"].to_pylist()


RENDER: dict[str, Callable[[pa.Table], bytes]] = {"csv": as_csv, "parquet": as_parquet}
READ: dict[str, Callable[[bytes], tuple[list[Decimal], list[str]]]] = {"csv": _from_csv, "parquet": _from_parquet}


def compared(written: DataFrame, rows: DataFrame) -> DataFrame:
    """Every file, written or wanted: file_path (the payer's id where it was not written), is_same (what stands there is what was judged).

    written: WRITTEN. rows: focus.ROWS.
    """
    formats = F.explode("formats").alias("format")
    judged = rows.select(*OF_A_FILE, formats, "BilledCost").groupBy(*OF_A_FILE, "format").agg(
        F.sum("BilledCost").alias("judged_cost"), F.count(F.lit(1)).alias("judged_rows")
    )  # fmt: skip
    both = judged.join(written, on=[*OF_A_FILE, "format"], how="full_outer")
    is_same = (
        F.col("content_sha256").eqNullSafe(F.col("found_sha256"))
        & F.col("billed_cost").eqNullSafe(F.col("judged_cost"))
        & F.col("row_count").eqNullSafe(F.col("judged_rows"))
    )
    return both.select(F.coalesce("file_path", "payer_account_id").alias("file_path"), is_same.alias("is_same"))

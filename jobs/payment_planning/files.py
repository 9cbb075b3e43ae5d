"""The bank files of a run: written and read back by the workers, one batch at a time, never through the driver."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.payment_planning import pain
from jobs.runtime import storage

WRITTEN = "tenant_id string, batch_id string, file_name string, content_sha256 string"
FOUND = (
    "tenant_id string, batch_id string, file_sha256 string, file_problem string, file_message_id string, group_count bigint, "
    "group_sum decimal(38,5), info_count bigint, info_sum decimal(38,5), file_count bigint, file_sum decimal(38,5), "
    "file_names bigint, file_currency string, file_value_date string, file_debtor_account string"
)
_TEXT, _COUNT, _SUM = pa.string(), pa.int64(), pa.decimal128(38, 5)
_WRITTEN = pa.schema([("tenant_id", _TEXT), ("batch_id", _TEXT), ("file_name", _TEXT), ("content_sha256", _TEXT)])
_FOUND = pa.schema(
    [
        ("tenant_id", _TEXT), ("batch_id", _TEXT), ("file_sha256", _TEXT), ("file_problem", _TEXT), ("file_message_id", _TEXT),
        ("group_count", _COUNT), ("group_sum", _SUM), ("info_count", _COUNT), ("info_sum", _SUM), ("file_count", _COUNT),
        ("file_sum", _SUM), ("file_names", _COUNT), ("file_currency", _TEXT), ("file_value_date", _TEXT), ("file_debtor_account", _TEXT),
    ]
)  # fmt: skip


def file_name(batch_id: str) -> str:
    """What a batch's file is called, below documents/<tenant>/payments/."""
    return f"{batch_id}.xml"


def below(root: str, tenant_id: str, name: str) -> str:
    """Where a tenant's bank file stands below a root of documents."""
    return f"{root}/{tenant_id}/payments/{name}"


def write(paid: DataFrame, root: str, created: datetime) -> DataFrame:
    """Write the file of every batch below `root`. paid: as transforms.lines() returns it. Returns WRITTEN, a row per batch."""
    needed = paid.select(
        "tenant_id", "batch_id", "method", "currency", "value_date", "debtor_name", "debtor_account", "debtor_bic", "end_to_end_id",
        "amount", "creditor_name", "creditor_account", "is_sepa", "invoice_number", "payable_id",
    )  # fmt: skip
    return needed.groupBy("tenant_id", "batch_id").applyInArrow(_writer(root, created), WRITTEN)


def _writer(root: str, created: datetime) -> Callable[[pa.Table], pa.Table]:
    def written(rows: pa.Table) -> pa.Table:
        together = rows.to_pylist()
        head = together[0]
        batch = pain.Batch(
            head["batch_id"], head["method"], head["currency"], head["value_date"], created, head["debtor_name"],
            head["debtor_account"], head["debtor_bic"],
        )  # fmt: skip
        content = pain.rendered(batch, payments(together))
        name = file_name(batch.batch_id)
        storage.write_bytes(below(root, head["tenant_id"], name), content)
        told = {
            "tenant_id": head["tenant_id"],
            "batch_id": batch.batch_id,
            "file_name": name,
            "content_sha256": hashlib.sha256(content).hexdigest(),
        }
        return pa.Table.from_pylist([told], schema=_WRITTEN)

    return written


def payments(rows: list[dict[str, Any]]) -> list[pain.Payment]:
    """The payments that some instructions are part of: one per end-to-end id, an invoice less its credit notes."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        parts.setdefault(row["end_to_end_id"], []).append(row)
    made = []
    for name, together in parts.items():
        invoice = next(row for row in together if row["amount"] > 0)
        credit_notes = sorted(row["invoice_number"] or row["payable_id"] for row in together if row is not invoice)
        made.append(
            pain.Payment(
                end_to_end_id=name,
                amount=sum((row["amount"] for row in together), Decimal(0)),
                creditor_name=invoice["creditor_name"] or "",
                creditor_account=invoice["creditor_account"],
                is_sepa=invoice["is_sepa"],
                invoice_number=invoice["invoice_number"] or invoice["payable_id"],
                credit_notes=tuple(credit_notes),
            )
        )
    return made


def read_back(batches: DataFrame, root: str) -> DataFrame:
    """What the file of every batch says, read from where it was written. batches: PAYMENT_BATCHES. Returns FOUND."""
    named = batches.select("tenant_id", "batch_id", F.col("file_name"))
    return named.repartition("tenant_id", "batch_id").mapInArrow(_reader(root), FOUND)


def _reader(root: str) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def read(chunks: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for chunk in chunks:
            for row in chunk.to_pylist():
                told = _told(row, root)
                yield pa.RecordBatch.from_pylist([told], schema=_FOUND)

    return read


def _told(row: dict[str, Any], root: str) -> dict[str, Any]:
    keys = {"tenant_id": row["tenant_id"], "batch_id": row["batch_id"]}
    place = below(root, row["tenant_id"], row["file_name"] or "")
    if not row["file_name"] or not storage.exists(place):
        return keys | {"file_problem": "there is no file"}
    content = storage.read_bytes(place)
    said = pain.found(content)
    return keys | {
        "file_sha256": hashlib.sha256(content).hexdigest(), "file_problem": said.problem or None, "file_message_id": said.message_id,
        "group_count": said.group_count, "group_sum": said.group_sum, "info_count": said.info_count, "info_sum": said.info_sum,
        "file_count": said.count, "file_sum": said.sum, "file_names": said.names, "file_currency": said.currencies,
        "file_value_date": said.value_dates, "file_debtor_account": said.debtor_accounts,
    }  # fmt: skip

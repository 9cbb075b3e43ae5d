"""Two small tables, one of each kind, and candidates for them, written without Spark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import types as T

from jobs.ledger.columns import PERIOD, PUBLICATION, TENANT, optional
from jobs.runtime import delta_log
from jobs.runtime.environment import warehouse
from jobs.runtime.tables import Table

_SCHEMA = T.StructType([TENANT, PERIOD, optional("value", T.LongType()), PUBLICATION])
DERIVED = Table("test.derived", _SCHEMA, kind="derived")
ISSUED = Table("test.issued", _SCHEMA, kind="issued")


def staged(table: Table, publication: str, rows: Sequence[tuple[str, int]], period: str = "2026-07-01") -> str:
    """Stage (tenant, value) rows as a run does; returns where."""
    place = f"{warehouse()}/_staged/{publication}/{table.path}"
    for tenant in sorted({tenant for tenant, _ in rows}):
        folder = Path(place) / f"tenant_id={tenant}" / f"period={period}"
        folder.mkdir(parents=True)
        values = [value for owner, value in rows if owner == tenant]
        content = pa.table({"value": pa.array(values, pa.int64()), "publication_id": [publication] * len(values)})
        pq.write_table(content, folder / f"part-{publication}.parquet")
    return place


def rows_of(table: Table) -> list[tuple[Any, ...]]:
    """All rows of a published table: tenant, period, value, publication."""
    current = delta_log.open_table(table.name)
    assert current is not None, table.name
    return sorted(
        (row["tenant_id"], str(row["period"]), row["value"], row["publication_id"])
        for row in current.to_pyarrow_table().to_pylist()
    )

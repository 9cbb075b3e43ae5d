"""What a table is: its schema, how it is replaced or grown, and where its declaration is found."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pyspark.sql import types as T

from jobs.stages import STAGES

SCHEMA_VERSION = 1  # of every table; a change of schema is a migration with a test (law 15)


@dataclass(frozen=True)
class Table:
    """One published table.

    kind "derived": a unit's rows are replaced as a whole, partitioned by the unit (law 5).
    kind "issued": rows are only ever appended; Delta itself refuses an update or a delete.
    unit: the columns that say which publication unit a row belongs to.
    order: how rows are sorted within their files.
    """

    name: str
    schema: T.StructType  # grain stands in the declaration's comment; last column is publication_id
    kind: Literal["derived", "issued"]
    unit: tuple[str, ...] = ("tenant_id", "period")
    order: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()  # columns that never leave this table (law 14)

    @property
    def path(self) -> str:
        """Where it lies below the warehouse."""
        return self.name.replace(".", "/")


@cache
def catalog() -> dict[str, Table]:
    """Every published table by name, read from jobs/<stage>/tables.py."""
    found: dict[str, Table] = {}
    for stage in STAGES:
        module = importlib.import_module(f"jobs.{stage.name}.tables")
        for table in vars(module).values():
            if isinstance(table, Table):
                found[table.name] = table
    return found

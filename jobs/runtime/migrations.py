"""A home made by an earlier version is brought to the schema of this one by the first run: columns are added, nothing is rewritten.

Rows of before have null in a column that was added; readers change nothing, and are shown it as null before that too (books.py). A
column that changed its type is refused by name; that takes a migration of its own. Source: law 15.
"""

from __future__ import annotations

import json

from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import CommitFailedError

from jobs.runtime import delta_log, storage
from jobs.runtime.config import digest
from jobs.runtime.environment import warehouse
from jobs.runtime.errors import RunBroke
from jobs.runtime.logs import say
from jobs.runtime.tables import Table, catalog


def bring_up_to_date() -> None:
    """Add what the tables of this home lack. Costs the reading of one small file once it is done."""
    told = digest(*(table.name + table.schema.json() for table in catalog().values()))
    marker = f"{warehouse()}/_schemas"
    if storage.exists(marker) and storage.read_text(marker) == told:
        return
    for table in catalog().values():
        _add_columns(table)
    storage.write_bytes(marker, told.encode())


def _add_columns(table: Table) -> None:
    for _ in range(delta_log.RETRIES):
        current = delta_log.open_table(table.name)
        missing = _missing(table, current) if current is not None else None
        if current is None or missing is None or not missing.fields:
            return
        names = [field.name for field in missing.fields]
        note = {"userMetadata": json.dumps({"reason": f"columns added by a later version: {', '.join(names)}"})}
        try:
            current.alter.add_columns(missing.fields, commit_properties=CommitProperties(custom_metadata=note))
        except CommitFailedError:
            continue  # another process did it, or published; look again
        say(f"{table.name}: columns added: {', '.join(names)}")
        return


def _missing(table: Table, current: DeltaTable) -> Schema:
    """The declared columns that a table lacks; a type that differs is refused."""
    declared, there = Schema.from_json(table.schema.json()), {field.name: field for field in current.schema().fields}
    for field in declared.fields:
        if field.name in there and there[field.name].type != field.type:
            raise RunBroke(
                f"{table.name}: column {field.name} is {there[field.name].type} in this home and {field.type} in this version. Nothing was "
                f"read or written. Use the version that made the home, or migrate the table first."
            )
    return Schema([field for field in declared.fields if field.name not in there])

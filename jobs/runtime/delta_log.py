"""Commits to published tables: the files that were judged become part of the table, nothing is computed or written again.

Spark computes and writes candidates into a place of the run's own; publishing is a commit of metadata that takes
milliseconds, is atomic between processes, and dies with the process that makes it. Source: docs/decisions/0003.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote

from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.transaction import AddAction

from jobs.runtime import storage
from jobs.runtime.environment import environment, warehouse
from jobs.runtime.errors import RunBroke
from jobs.runtime.tables import SCHEMA_VERSION, Table

RETRIES = 50
HISTORY_YEARS = 10  # law 15: file and log retention, set when a table is created


@dataclass(frozen=True)
class Commit:
    """One version of a table, as its log tells it."""

    version: int
    publication_id: str | None
    note: dict[str, Any]
    operation: str


def location(name: str) -> str:
    """The address of a published table, from schema.table."""
    return f"{warehouse()}/{name.replace('.', '/')}"


def open_table(name: str) -> DeltaTable | None:
    """The table at its newest version; None before its first publication."""
    try:
        return DeltaTable(location(name), storage_options=environment().storage_options or None)
    except TableNotFoundError:
        return None


def create(name: str, schema_json: str, partition_by: Iterable[str], append_only: bool) -> DeltaTable:
    """Open a table, creating it with its retention and properties where it does not exist."""
    found = open_table(name)
    if found is not None:
        return found
    try:
        return _create(name, schema_json, list(partition_by), append_only)
    except CommitFailedError:  # another process has just created it
        found = open_table(name)
        if found is None:
            raise
        return found


def _create(name: str, schema_json: str, partition_by: list[str], append_only: bool) -> DeltaTable:
    days = f"interval {HISTORY_YEARS * 365 + 3} days"
    return DeltaTable.create(
        location(name),
        schema=Schema.from_json(schema_json),
        mode="ignore",
        partition_by=partition_by,
        name=name,
        description=f"schema_version={SCHEMA_VERSION}",
        configuration={
            "delta.appendOnly": str(append_only).lower(),
            "delta.enableDeletionVectors": "false",
            "delta.checkpointInterval": "10",  # as Spark has it; delta-rs would let every reader go through a hundred commits
            "delta.logRetentionDuration": days,
            "delta.deletedFileRetentionDuration": days,
        },
        storage_options=environment().storage_options or None,
        commit_properties=CommitProperties(custom_metadata={"userMetadata": json.dumps({"reason": "table created"})}),
    )


def data_files(table: DeltaTable, wanted: list[tuple[str, str, Any]] | None = None) -> list[str]:
    """Where the files of an opened table stand; Delta writes a path of a disk as it would stand in an address.

    wanted: conditions on partition columns that a file has to meet.
    """
    return [uri if "://" in uri else unquote(uri) for uri in table.file_uris(wanted or None)]


def plain_files(name: str, version: int, wanted: list[tuple[str, str, Any]]) -> list[str] | None:
    """The files that one version of a table is made of; None if they do not tell all, as with deleted rows or renamed columns.

    Ours do, since they are made so; whoever changes a table by other tools raises what its readers have to know.
    """
    table = DeltaTable(location(name), version=version, storage_options=environment().storage_options or None)
    return data_files(table, wanted) if table.protocol().min_reader_version == 1 else None


def create_published(table: Table) -> DeltaTable:
    """Open or create one table of the catalog."""
    return create(table.name, table.schema.json(), table.unit, append_only=table.kind == "issued")


def promote(
    table: Table, staged: str, publication_id: str, tenants: Iterable[str], period: str, note: dict[str, Any]
) -> int:
    """Commit the staged files of `tenants` to the published table, exactly once; returns the version.

    A derived table's units (tenant, period) are replaced as a whole, an issued table only grows. The Delta transaction
    id of the publication makes a second commit of the same candidate impossible, whoever tries it.
    """
    wanted = set(tenants)
    actions = _place(table, staged, wanted)
    filters: list[tuple[str, str, Any]] | None = None
    mode: Literal["append", "overwrite"] = "append"
    if table.kind == "derived":
        mode, filters = "overwrite", [("tenant_id", "in", sorted(wanted))]
        if "period" in table.unit:
            filters.append(("period", "=", period))

    def commit(current: DeltaTable) -> None:
        current.create_write_transaction(
            actions,
            mode=mode,
            schema=current.schema(),
            partition_by=list(table.unit),
            partition_filters=filters,
            commit_properties=properties(note | {"publication_id": publication_id}, [(publication_id, 1)]),
        )

    create_published(table)
    commit_once(table.name, publication_id, commit)
    return version_of(table.name, publication_id)


def promote_fenced(
    table: Table,
    staged: str,
    publication_id: str,
    tenants: Iterable[str],
    note: Mapping[str, Any],
    current: DeltaTable,
    fences: Mapping[str, int],
) -> None:
    """Append staged files to `current` only if none of its fences has moved since it was opened.

    Raises CommitFailedError when another process moved one: what was staged was computed from a state that has passed.
    """
    actions = _place(table, staged, set(tenants))
    current.create_write_transaction(
        actions,
        mode="append",
        schema=current.schema(),
        partition_by=list(table.unit),
        commit_properties=properties(
            dict(note) | {"publication_id": publication_id}, [(publication_id, 1), *((k, v + 1) for k, v in fences.items())]
        ),
    )


def _place(table: Table, staged: str, tenants: set[str]) -> list[AddAction]:
    """Let the staged files of these tenants stand in the table's folder; the actions that would add them."""
    actions = []
    for file in staged_files(staged):
        if file.unit["tenant_id"] not in tenants:
            continue
        storage.place(f"{staged}/{file.path}", f"{location(table.name)}/{file.path}")
        stats = json.dumps({"numRecords": file.rows})
        actions.append(AddAction(file.path, file.bytes, file.unit, file.modified_ms, True, stats))
    return actions


def commit_once(name: str, publication_id: str, commit: Callable[[DeltaTable], None]) -> None:
    """Run `commit` on the newest version unless this publication has already committed here; others' commits are stepped over."""
    for _ in range(RETRIES):
        current = open_table(name)
        assert current is not None, name
        if current.transaction_version(publication_id) is not None:
            return
        try:
            commit(current)
        except CommitFailedError:
            continue  # somebody else's commit came first; look again
        return
    raise RunBroke(f"{name}: {RETRIES} commits in a row met somebody else's. Nothing was published; run this again.")


def properties(note: dict[str, Any], transactions: Iterable[tuple[str, int]]) -> CommitProperties:
    """What a commit carries: its story for DESCRIBE HISTORY (law 9) and the transaction ids that make it happen once."""
    return CommitProperties(
        custom_metadata={"userMetadata": json.dumps(note, sort_keys=True, ensure_ascii=False)},
        app_transactions=[Transaction(app_id, version) for app_id, version in transactions],
    )


@dataclass(frozen=True)
class StagedFile:
    """A Parquet file that a run has staged for a table."""

    path: str  # relative to the staged place, with its partition folders, as Hive writes them
    bytes: int
    modified_ms: int
    rows: int

    @property
    def unit(self) -> dict[str, str]:
        """The values of the partition columns."""
        pairs = (folder.split("=", 1) for folder in self.path.split("/")[:-1])
        return {name: unquote(value) for name, value in pairs}


def staged_files(staged: str) -> list[StagedFile]:
    """What a run has staged in one place."""
    return [
        StagedFile(file.path, file.bytes, file.modified_ms, storage.parquet_rows(f"{staged}/{file.path}"))
        for file in storage.files_below(staged, ".parquet")
    ]


def staged_rows(files: Iterable[StagedFile]) -> dict[str, int]:
    """Rows per tenant."""
    rows: dict[str, int] = {}
    for file in files:
        rows[file.unit["tenant_id"]] = rows.get(file.unit["tenant_id"], 0) + file.rows
    return rows


def commits(name: str, newest: int | None = None) -> list[Commit]:
    """The versions of a table, newest first; all of them, or the `newest` so many.

    Read from the log's files by their names: a history asked for while others commit would count its versions wrong.
    """
    table = open_table(name)
    if table is None:
        return []
    last = int(table.version())
    first = 0 if newest is None else max(0, last - newest + 1)
    return [_commit_of(name, version) for version in range(last, first - 1, -1)]


def _commit_of(name: str, version: int) -> Commit:
    log = storage.read_text(f"{location(name)}/_delta_log/{version:020d}.json")
    told: dict[str, Any] = next(
        (action["commitInfo"] for line in log.splitlines() if "commitInfo" in (action := json.loads(line))), {}
    )
    try:
        note = json.loads(told.get("userMetadata") or "{}")
    except ValueError:
        note = {}
    return Commit(version, note.get("publication_id"), note, str(told.get("operation")))


def version_of(name: str, publication_id: str) -> int:
    """The version in which a publication was committed to a table."""
    for size in (20, None):
        for commit in commits(name, size):
            if commit.publication_id == publication_id:
                return commit.version
    raise RunBroke(f"{name} carries publication {publication_id} but its history does not tell where.")

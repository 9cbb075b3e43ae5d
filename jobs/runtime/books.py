"""Published tables for plain readers: DuckDB over delta-rs, without Spark, and never a row of an incomplete publication.

What may be seen is what house.visible lets a stage see, of an older version or an older moment too; every table is held to
one tenant when that is asked for (law 12).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import Schema

from jobs.ledger.periods import Period
from jobs.runtime import delta_log, ops, storage
from jobs.runtime.config import nearest
from jobs.runtime.errors import CallError
from jobs.runtime.house import Snapshot, Visible, visible
from jobs.runtime.tables import Table, catalog

OPS = (ops.RUNS, ops.PUBLICATIONS, ops.GATE_RESULTS, ops.METRICS)
MASKED = "(personal)"

Row = dict[str, Any]


@dataclass(frozen=True)
class Version:
    """One version of a table, with the story its commit tells."""

    version: int
    at: datetime
    operation: str
    note: Mapping[str, Any]

    @property
    def publication_id(self) -> str | None:
        """The publication that made it; None for the version that created the table, and for maintenance."""
        return self.note.get("publication_id")


def snapshot_at(moment: datetime | None = None) -> Snapshot:
    """The publications that were complete at a moment; those that are now, without one."""
    if moment is None:
        return Snapshot.now()
    complete = sum(1 for row in ops.rows(ops.PUBLICATIONS) if row["at"] <= moment)
    return Snapshot.of(ops.all_publications()[:complete])


def known(name: str) -> str:
    """The name of a table that exists; anything else is a wrong call."""
    names = (*catalog(), *OPS)
    if name not in names:
        raise CallError(f"there is no table '{name}'; {nearest(name, names)}")
    if not storage.exists(f"{delta_log.location(name)}/_delta_log"):
        raise CallError(f"{name} has not been published yet; nothing can be read from it. Run its stage first.")
    return name


def known_tenant(name: str | None) -> str | None:
    """The tenant asked for, checked; None stands for all of them."""
    if name is not None:
        from jobs.ledger.tenants import chosen

        chosen((name,))
    return name


def versions(name: str, newest: int | None = None) -> list[Version]:
    """The versions of a table, newest first."""
    table = delta_log.open_table(known(name))
    assert table is not None, name
    told = []
    for entry in table.history(newest):
        try:
            note = json.loads(entry.get("userMetadata") or "{}")
        except ValueError:
            note = {}
        at = datetime.fromtimestamp(int(entry.get("timestamp") or 0) / 1000, UTC)
        told.append(Version(int(entry["version"]), at, str(entry.get("operation")), note))
    return told


def visible_arrow(name: str, columns: Sequence[str] = (), tenant: str | None = None, period: str | None = None) -> pa.Table:
    """The rows of a published table that may be seen, as Arrow; empty before its first publication."""
    with Books(tenant) as books:
        books.open(name)
        shown = ", ".join(quoted(column) for column in columns) or "*"
        where = f" WHERE period = DATE '{Period(period).first_day}'" if period else ""
        found = books.connection.execute(f"SELECT {shown} FROM {name}{where}").to_arrow_table()
        assert isinstance(found, pa.Table)
        return found


class Books:
    """A DuckDB session in which published tables stand as views under their names, complete publications only."""

    def __init__(self, tenant: str | None = None, snapshot: Snapshot | None = None) -> None:
        self.tenant = tenant
        self.snapshot = snapshot or Snapshot.now()
        self.connection = duckdb.connect(config={"autoload_known_extensions": False, "autoinstall_known_extensions": False})
        self.connection.execute("SET TimeZone = 'UTC'")
        self._opened: set[str] = set()

    def __enter__(self) -> Books:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def open(self, *names: str) -> None:
        """Let these tables stand in the session; one that does not exist yet is empty."""
        for name in names:
            if name not in self._opened:
                self.open_as(name, name, None)
                self._opened.add(name)

    def open_as(self, name: str, view: str, version: int | None, mask: bool = False) -> Visible:
        """Let a table stand under a name of its own, at one version; `mask` hides its personal columns."""
        schema = view.rpartition(".")[0]
        if schema:
            self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        if name in OPS:
            seen, parts = Visible(version), [self._part(name, version, "true")]
        else:
            table = catalog()[name]
            seen = visible(table, self.snapshot, version)
            parts = self._parts(table, seen)
        rows = " UNION ALL BY NAME ".join(f"SELECT {self._columns(name, mask)} FROM {part}" for part in parts)
        self.connection.execute(f"CREATE OR REPLACE VIEW {view} AS {rows}")
        return seen

    def columns_of(self, view: str) -> list[str]:
        """The columns of a view, in order."""
        return [str(row["column_name"]) for row in self.rows(f"DESCRIBE {view}")]

    def rows(self, query: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[Row]:
        """What a query finds; decimals stay exact."""
        done = self.connection.execute(query, parameters)
        names = [column[0] for column in done.description or ()]
        return [dict(zip(names, values, strict=True)) for values in done.fetchall()]

    def one(self, query: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> Row:
        """The single row a query finds."""
        return self.rows(query, parameters)[0]

    def _parts(self, table: Table, seen: Visible) -> list[str]:
        """The visible rows, and none with every declared column: what an earlier version of the house has made may lack some."""
        declared = pa.schema(Schema.from_json(table.schema.json()).to_arrow()).empty_table()
        none = f"({self._register(f'{table.name}@none', declared)})"
        if seen.version is None:
            return [none]
        hidden = "true"
        if seen.hidden:
            hidden = f"publication_id NOT IN ({', '.join(map(literal, sorted(seen.hidden)))})"
        if seen.without:
            hidden = f"NOT ({of_units(seen.without)})"
        others = sorted(seen.at_other_versions.items())
        parts = [self._part(table.name, seen.version, hidden)]
        parts += [self._part(table.name, version, of_units(units)) for version, units in others]
        return [*parts, none]

    def _part(self, name: str, version: int | None, condition: str) -> str:
        table = delta_log.open_table(name)
        if table is None:
            return self._register(f"{name}@none", ops.SCHEMAS[name].empty_table())
        if version is not None:
            table.load_as_version(version)
        found = self._register(f"{name}@{table.version()}", table.to_pyarrow_dataset())
        held = "true"
        if self.tenant is not None:
            told = literal(self.tenant)
            held = f"list_contains(tenants, {told})" if name == ops.RUNS else f"tenant_id = {told}"
        return f"(SELECT * FROM {found} WHERE {condition} AND {held})"

    def _columns(self, name: str, mask: bool) -> str:
        if name == ops.RUNS and self.tenant is not None:  # a run of several tenants speaks of all of them
            told = literal(self.tenant)
            alone = "len(tenants) = 1 OR tenants IS NULL"
            return f"* REPLACE ([{told}] AS tenants, CASE WHEN {alone} THEN message END AS message, CASE WHEN {alone} THEN detail END AS detail)"
        personal = catalog()[name].personal if mask and name not in OPS else ()
        if not personal:
            return "*"
        masked = (f"CASE WHEN {quoted(c)} IS NOT NULL THEN '{MASKED}' END AS {quoted(c)}" for c in personal)
        return f"* REPLACE ({', '.join(masked)})"

    def _register(self, name: str, data: object) -> str:
        self.connection.register(name, data)
        return quoted(name)


def of_units(units: Iterable[tuple[str, str]]) -> str:
    """A condition that names units of a derived table."""
    told = [f"(tenant_id = {literal(tenant)} AND period = DATE '{Period(period).first_day}')" for tenant, period in units]
    return " OR ".join(told) or "false"


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'

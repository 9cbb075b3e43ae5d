"""The house's own books: runs, publications and gate results, and the fence that lets only the current attempt publish.

These tables are written without Spark, in milliseconds. ops.publications is where a publication over several tables
becomes visible (law 4); each unit's Delta transaction id in that table is its fence: attempt n registers 2n and completes
with 2n+1, so the row of an attempt that was superseded is refused by the table itself. Stages whose runs go on from each other have
a turn instead, one fence for all their periods: whoever publishes first moves it, and to begin claims nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from jobs.runtime import delta_log, storage
from jobs.runtime.config import digest
from jobs.runtime.errors import OutOfTurn, RunBroke, Superseded

RUNS, PUBLICATIONS, GATE_RESULTS, METRICS = "ops.runs", "ops.publications", "ops.gate_results", "ops.metrics"

COMPACT_EVERY = 32  # commits; each has left one small file
_TEXT, _WHEN = pa.string(), pa.timestamp("us", tz="UTC")

SCHEMAS: dict[str, pa.Schema] = {
    RUNS: pa.schema(  # one row per run_id, attempt, verb and status: a verb starts, then it is done, held or failed
        [
            ("run_id", _TEXT),
            ("attempt", pa.int64()),
            ("stage", _TEXT),
            ("period", _TEXT),
            ("lane", _TEXT),
            ("verb", _TEXT),
            ("status", _TEXT),
            ("tenants", pa.list_(_TEXT)),
            ("publication_id", _TEXT),
            ("message", _TEXT),
            ("detail", _TEXT),
            ("seconds", pa.float64()),
            ("dag_id", _TEXT),
            ("dag_run_id", _TEXT),
            ("task", _TEXT),
            ("actor", _TEXT),
            ("reason", _TEXT),
            ("code_version", _TEXT),
            ("session_id", _TEXT),
            ("at", _WHEN),
        ]
    ),  # fmt: skip
    PUBLICATIONS: pa.schema(  # one row per complete publication of a unit (stage, tenant, period, lane)
        [
            ("unit", _TEXT),
            ("stage", _TEXT),
            ("tenant_id", _TEXT),
            ("period", _TEXT),
            ("lane", _TEXT),
            ("run_id", _TEXT),
            ("attempt", pa.int64()),
            ("publication_id", _TEXT),
            ("fingerprint", _TEXT),
            ("inputs", _TEXT),
            ("configuration_hash", _TEXT),
            ("code_version", _TEXT),
            ("parameters", _TEXT),
            ("tables", pa.list_(pa.struct([("name", _TEXT), ("version", pa.int64()), ("rows", pa.int64())]))),
            ("actor", _TEXT),
            ("dag_run_id", _TEXT),
            ("at", _WHEN),
        ]
    ),  # fmt: skip
    GATE_RESULTS: pa.schema(  # one row per run_id, attempt, suite, expectation and tenant
        [
            ("run_id", _TEXT),
            ("attempt", pa.int64()),
            ("stage", _TEXT),
            ("period", _TEXT),
            ("suite", _TEXT),
            ("expectation", _TEXT),
            ("tenant_id", _TEXT),
            ("severity", _TEXT),
            ("success", pa.bool_()),
            ("failing", pa.int64()),
            ("example", _TEXT),
            ("notes", _TEXT),
            ("at", _WHEN),
        ]
    ),  # fmt: skip
    METRICS: pa.schema(  # one row per measurement: what was measured, of which stage, period, verb or table, and how much
        [
            ("date", pa.date32()),
            ("name", _TEXT),  # seconds of a verb | rows that a publication brought to a table
            ("tenant_id", _TEXT),  # null where all tenants of a run were measured together
            ("dimensions", _TEXT),
            ("value", pa.float64()),
            ("run_id", _TEXT),
            ("at", _WHEN),
        ]
    ),  # fmt: skip
}


@dataclass(frozen=True)
class Unit:
    """What is judged, published and replaced as a whole (law 3)."""

    stage: str
    tenant_id: str
    period: str  # 2026-10, or "all" for facts that belong to no month
    lane: str = "main"

    @property
    def id(self) -> str:
        """The unit's key in ops.publications and the name of its fence."""
        return "/".join((self.stage, self.tenant_id, self.period, self.lane))


@dataclass(frozen=True)
class TableVersion:
    """A table at one version, with the rows a publication brought to it."""

    name: str
    version: int
    rows: int


@dataclass(frozen=True)
class Publication:
    """A complete publication of one unit."""

    unit: Unit
    run_id: str
    attempt: int
    publication_id: str
    fingerprint: str
    inputs: dict[str, str]
    tables: tuple[TableVersion, ...]
    configuration_hash: str = ""
    code_version: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    actor: str = ""
    dag_run_id: str = ""
    fenced: bool = True  # whether its unit registered an attempt of its own
    order: int = 0  # place among all publications; later ones stand for earlier ones of the same unit


@cache
def _exists(name: str) -> bool:
    arrow = SCHEMAS[name]
    delta_log.create(name, _schema_json(arrow), (), append_only=True)
    return True


def _schema_json(arrow: pa.Schema) -> str:
    from deltalake import Schema

    return str(Schema.from_arrow(arrow).to_json())


def table(name: str, version: int | None = None) -> DeltaTable:
    """One of the ops tables, created when it is first needed; its newest version or the one asked for."""
    _exists(name)
    found = delta_log.open_table(name)
    if found is None:  # the home was removed while the process ran
        _exists.cache_clear()
        return table(name, version)
    if version is not None:
        found.load_as_version(version)
    return found


def append(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows to an ops table; the moment is the only clock this house reads."""
    now = datetime.now(UTC)
    moment = {"at": now, "date": now.date()}
    filled = [{column: (row | moment).get(column) for column in SCHEMAS[name].names} for row in rows]
    for _ in range(delta_log.RETRIES):
        current = table(name)
        try:
            write_deltalake(current, pa.Table.from_pylist(filled, schema=SCHEMAS[name]), mode="append")
        except CommitFailedError:
            continue  # another process has just created the table
        _compact_sometimes(name)
        return
    raise RunBroke(f"{name} could not be written. Run this again.")


def _compact_sometimes(name: str) -> None:
    """Put the small files of many commits together, so that reading the books does not grow slower with every task."""
    current = table(name)
    if current.version() % COMPACT_EVERY == 0:
        with suppress(Exception):  # somebody else may be at it; the next time will do
            current.optimize.compact()


def rows(name: str, at: DeltaTable | None = None) -> list[dict[str, Any]]:
    """All rows of an ops table, in commit order of their moments; as of now, or as of an opened version. They are for reading only."""
    found = (row for file in delta_log.data_files(at or table(name)) for row in _rows_of(file, name))
    return sorted(found, key=lambda row: row["at"])


@lru_cache(maxsize=1024)
def _rows_of(file: str, name: str) -> tuple[dict[str, Any], ...]:
    """The rows of one file of an ops table, read once a process: every verb asks for the books several times, and a file that Delta names
    is never written again, nor is its name given to another."""
    told = SCHEMAS[name].names
    return tuple({column: row.get(column) for column in told} for row in storage.parquet_table(file).to_pylist())


def publications() -> dict[Unit, Publication]:
    """The latest complete publication of every unit."""
    latest: dict[Unit, Publication] = {}
    for publication in all_publications():
        latest[publication.unit] = publication
    return latest


def all_publications(at: DeltaTable | None = None) -> list[Publication]:
    """Every complete publication, oldest first; as of now, or as of an opened version of ops.publications."""
    return [
        Publication(
            unit=Unit(row["stage"], row["tenant_id"], row["period"], row["lane"]),
            run_id=row["run_id"],
            attempt=row["attempt"],
            publication_id=row["publication_id"],
            fingerprint=row["fingerprint"],
            inputs=json.loads(row["inputs"]),
            tables=tuple(TableVersion(**named) for named in row["tables"]),
            configuration_hash=row["configuration_hash"],
            code_version=row["code_version"],
            parameters=json.loads(row["parameters"]),
            actor=row["actor"],
            dag_run_id=row["dag_run_id"],
            order=order,
        )
        for order, row in enumerate(rows(PUBLICATIONS, at))
    ]


def register_attempt(units: Iterable[Unit], looked_at: DeltaTable | None = None) -> int | None:
    """Take over these units: the number of the new attempt, higher than any that ever worked on one of them.

    looked_at: the version of ops.publications by which it was decided that there is something to do. None is returned, and nothing taken
    over, where somebody has begun or published one of the units since: the decision may be stale.
    """
    wanted = sorted(unit.id for unit in units)
    for _ in range(delta_log.RETRIES):
        current = table(PUBLICATIONS)
        if looked_at is not None and any(_fence(current, unit_id) != _fence(looked_at, unit_id) for unit_id in wanted):
            return None
        attempt = 1 + max((_fence(current, unit_id) // 2 for unit_id in wanted), default=0)
        try:
            _commit(
                current, [], [(unit_id, 2 * attempt) for unit_id in wanted], {"attempt": attempt, "reason": "attempt begins"}
            )
        except CommitFailedError:
            continue
        return attempt
    raise RunBroke("ops.publications could not be written. Nothing was started; run this again.")


def complete(done: Sequence[Publication], note: dict[str, Any], turns: Mapping[Unit, int] = MappingProxyType({})) -> None:
    """Make publications visible, all at once; refused when a newer attempt has taken over one of the units.

    turns: for stages whose runs go on from each other, how far each turn had moved before this run looked at what is published. Whoever
    publishes first moves it; what the others computed is stale then. So of several runs at once one always gets through, also of
    two that post one month: who has begun later has not taken over.
    """
    for _ in range(delta_log.RETRIES):
        current = table(PUBLICATIONS)
        if not turns:
            refuse_superseded((p.unit for p in done if p.fenced), done[0].attempt, current)
        for turn in (turn for turn, told in turns.items() if _fence(current, turn.id) != told):
            raise OutOfTurn(
                f"{turn.stage} of tenant {turn.tenant_id}: another run went first. What this one computed is stale and stays "
                f"invisible. Clear the write of this stage, or run it again."
            )
        fences = [(p.unit.id, max(2 * p.attempt + 1, _fence(current, p.unit.id))) for p in done if p.fenced] + _moved(turns)
        try:
            _commit(current, [_row(publication) for publication in done], fences, note)
        except CommitFailedError:
            continue
        _compact_sometimes(PUBLICATIONS)
        return
    raise RunBroke("ops.publications could not be written. Nothing became visible; run this again.")


def _moved(turns: Mapping[Unit, int]) -> list[tuple[str, int]]:
    """The turns further each, by as much as an attempt: where one is a unit's own fence, who is at that unit is superseded."""
    return [(turn.id, told + 2) for turn, told in turns.items()]


def part_id(publication_id: str, lane: str) -> str:
    """What a part of a publication is known by that is published before the rest of it."""
    return digest(publication_id, lane)[:32]


def turn_of(unit: Unit) -> Unit:
    """The fence of those whose runs go on from each other: one for all periods of a stage's tenant and lane."""
    return Unit(unit.stage, unit.tenant_id, "turn", unit.lane)


def fences(units: Iterable[Unit], at: DeltaTable | None = None) -> dict[Unit, int]:
    """How far these fences have been moved: by now, or at an opened version of ops.publications."""
    current = at or table(PUBLICATIONS)
    return {unit: _fence(current, unit.id) for unit in units}


def take(done: Sequence[Publication], note: dict[str, Any], holders: Sequence[Unit], turns: Mapping[Unit, int]) -> bool:
    """Make publications visible that take what other runs spend or change; False where one of their fences has moved.

    holders: the units whose attempt this is; a newer one refuses it. turns: the fences of those runs, turns or units, as fences() told them
    before what is taken was looked at. Runs that are under way there come too late then: they look again, and see what was taken.
    """
    current = table(PUBLICATIONS)
    refuse_superseded(holders, done[0].attempt, current)
    if any(_fence(current, turn.id) != told for turn, told in turns.items()):
        return False
    try:
        still_mine = [(unit.id, _fence(current, unit.id)) for unit in holders]
        _commit(current, [_row(publication) for publication in done], _moved(turns) + still_mine, note)
    except CommitFailedError:
        return False
    _compact_sometimes(PUBLICATIONS)
    return True


def refuse_superseded(units: Iterable[Unit], attempt: int, at: DeltaTable | None = None) -> None:
    """Raise Superseded where an attempt no longer holds these units: by now, or at an opened version of ops.publications."""
    current = at or table(PUBLICATIONS)
    for unit in units:
        standing = _fence(current, unit.id)
        if standing != 2 * attempt:
            newer = f"attempt {standing // 2}" if standing // 2 > attempt else "an earlier call of this attempt"
            raise Superseded(
                f"{unit.id}: {newer} has taken over from attempt {attempt}. What attempt {attempt} committed stays invisible. "
                f"Nothing to do if the newer one succeeds."
            )


def _fence(current: DeltaTable, unit_id: str) -> int:
    return current.transaction_version(unit_id) or 0


def _commit(current: DeltaTable, rows: list[dict[str, Any]], fences: list[tuple[str, int]], note: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    write_deltalake(
        current,
        pa.Table.from_pylist([row | {"at": now} for row in rows], schema=SCHEMAS[PUBLICATIONS]),
        mode="append",
        commit_properties=delta_log.properties(note, fences),
    )


def _row(publication: Publication) -> dict[str, Any]:
    unit = publication.unit
    return {
        "unit": unit.id, "stage": unit.stage, "tenant_id": unit.tenant_id, "period": unit.period, "lane": unit.lane,
        "run_id": publication.run_id, "attempt": publication.attempt, "publication_id": publication.publication_id,
        "fingerprint": publication.fingerprint, "inputs": json.dumps(publication.inputs, sort_keys=True),
        "configuration_hash": publication.configuration_hash, "code_version": publication.code_version,
        "parameters": json.dumps(publication.parameters, sort_keys=True),
        "tables": [{"name": t.name, "version": t.version, "rows": t.rows} for t in publication.tables],
        "actor": publication.actor, "dag_run_id": publication.dag_run_id,
    }  # fmt: skip

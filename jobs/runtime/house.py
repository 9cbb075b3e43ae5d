"""What a stage works with: published tables to read, a place of its own to write to, and the run it belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from jobs.ledger.facts import standing
from jobs.ledger.periods import Period
from jobs.runtime import delta_log, faults, ops, storage
from jobs.runtime.environment import environment, warehouse
from jobs.runtime.ops import Publication, Unit
from jobs.runtime.session import side_by_side
from jobs.runtime.tables import Table, catalog


@dataclass(frozen=True)
class Snapshot:
    """Which publications were complete at one moment; a run reads every table as of this."""

    publications: tuple[Publication, ...]  # oldest first
    latest: Mapping[Unit, Publication]
    complete: frozenset[str]  # publication ids
    versions: Mapping[str, frozenset[int]]  # table -> versions that belong to complete publications

    @staticmethod
    def now() -> Snapshot:
        """The publications that are complete now."""
        return Snapshot.of(ops.all_publications())

    @staticmethod
    def of(publications: Iterable[Publication]) -> Snapshot:
        """These publications, oldest first."""
        every = tuple(publications)
        versions: dict[str, set[int]] = {}
        for publication in every:
            for table in publication.tables:
                versions.setdefault(table.name, set()).add(table.version)
        return Snapshot(
            publications=every,
            latest={publication.unit: publication for publication in every},
            complete=frozenset(publication.publication_id for publication in every),
            versions={name: frozenset(found) for name, found in versions.items()},
        )

    def until(self, table: str, version: int) -> Snapshot:
        """Without the publications that came to a table after one of its versions."""
        return Snapshot.of(
            publication
            for publication in self.publications
            if all(written.version <= version for written in publication.tables if written.name == table)
        )

    def fingerprint(self, unit: Unit) -> str | None:
        """What the unit's current content is known by; None where it was never published."""
        publication = self.latest.get(unit)
        return publication.fingerprint if publication else None

    def overtaken(self, unit: Unit) -> str | None:
        """The newest period of the same stage, tenant and lane after this one; None where none was published.

        A stage whose runs go on from each other has then dealt with everything up to there, so the earlier period is frozen.
        """
        mine = (unit.stage, unit.tenant_id, unit.lane)
        later = (u.period for u in self.latest if (u.stage, u.tenant_id, u.lane) == mine and u.period > unit.period)
        return max(later, default=None)


@dataclass(frozen=True)
class Visible:
    """How to read a table so that only complete publications are seen."""

    version: int | None  # None: the table does not exist yet
    hidden: frozenset[str] = frozenset()  # publication ids whose rows are not to be seen
    at_other_versions: Mapping[int, tuple[tuple[str, str], ...]] = field(
        default_factory=dict
    )  # version -> units, derived tables
    without: tuple[tuple[str, str], ...] = ()  # units of derived tables to leave out of `version`


def visible(table: Table, snapshot: Snapshot, version: int | None = None) -> Visible:
    """The newest version or the one asked for, less what publications that are not complete have committed to it."""
    current = delta_log.open_table(table.name)
    if current is None:
        return Visible(None)
    at = int(current.version()) if version is None else version
    told = snapshot if version is None else snapshot.until(table.name, version)
    known = told.versions.get(table.name, frozenset())
    if all(earlier in known for earlier in range(1, at + 1)):
        return Visible(at)
    dangling = [
        commit
        for commit in delta_log.commits(table.name)
        if commit.version <= at and commit.publication_id and commit.publication_id not in told.complete
    ]
    if table.kind == "issued":
        return Visible(at, hidden=frozenset(str(commit.publication_id) for commit in dangling))
    touched = {(unit["tenant_id"], unit["period"]) for commit in dangling for unit in commit.note["units"]}
    elsewhere: dict[int, list[tuple[str, str]]] = {}
    for publication in told.latest.values():
        unit = (publication.unit.tenant_id, publication.unit.period)
        for written in publication.tables:
            if written.name == table.name and unit in touched:
                elsewhere.setdefault(written.version, []).append(unit)
    return Visible(at, at_other_versions={v: tuple(u) for v, u in elsewhere.items()}, without=tuple(sorted(touched)))


def visible_rows(
    spark: SparkSession, table: Table, seen: Visible, tenants: Collection[str] | None = None, period: Period | None = None
) -> DataFrame:
    """The rows of a table that `seen` lets a reader see. tenants, period: whose and of when, if not all."""
    if seen.version is None:
        return spark.createDataFrame([], table.schema)
    rows = _rows_at(spark, table, seen.version, tenants, period)
    if seen.hidden:
        rows = rows.where(~F.col("publication_id").isin(*sorted(seen.hidden)))
    if seen.without:
        rows = rows.where(~_of_units(seen.without))
        for version, units in seen.at_other_versions.items():
            rows = rows.unionByName(_rows_at(spark, table, version, tenants, period).where(_of_units(units)))
    return rows


def _rows_at(
    spark: SparkSession, table: Table, version: int, tenants: Collection[str] | None, period: Period | None
) -> DataFrame:
    """One version of a table, read by Delta, or as the files that its log names (docs/decisions/0004-spark-server.md)."""
    wanted: list[tuple[str, str, Any]] = []
    if tenants is not None:
        wanted.append(("tenant_id", "in", sorted(tenants)))
    if period is not None:
        wanted += [("period", ">=", str(period.first_day)), ("period", "<=", str(period.last_day))]
    place = delta_log.location(table.name)
    files = None if environment().delta_plans_reads else delta_log.plain_files(table.name, version, wanted)
    if files is None:
        rows = spark.read.format("delta").option("versionAsOf", version).load(place)
    elif files:
        rows = spark.read.schema(table.schema).option("basePath", place).parquet(*files).select(*table.schema.names)
    else:
        return spark.createDataFrame([], table.schema)  # told so, Spark leaves out every join with them
    if tenants is not None:
        rows = rows.where(F.col("tenant_id").isin(*tenants))
    if period is not None:
        rows = rows.where(F.col("period").between(F.lit(period.first_day), F.lit(period.last_day)))
    return rows


def rows_told(
    table: Table, snapshot: Snapshot, columns: Sequence[str], tenants: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """The visible rows of a small issued table, read from Delta without Spark. tenants: of whom, if not of all."""
    seen = visible(table, snapshot)
    if seen.version is None:
        return []
    found = delta_log.open_table(table.name)
    assert found is not None
    found.load_as_version(seen.version)
    of_tenants: list[tuple[str, str, Any]] | None = None if tenants is None else [("tenant_id", "in", sorted(tenants))]
    rows = found.to_pyarrow_table(filters=of_tenants, columns=[*columns, "publication_id"]).to_pylist()
    return [row for row in rows if row["publication_id"] not in seen.hidden]


def standing_told(
    table: Table, snapshot: Snapshot, columns: Sequence[str], tenants: Collection[str]
) -> list[dict[str, Any]]:
    """The same of a raw table, without what replays have replaced. columns: landing_id among them."""
    files = rows_told(catalog()["raw.landed_files"], snapshot, ("replaces_landing_id",), tenants)
    replaced = {row["replaces_landing_id"] for row in files}
    return [row for row in rows_told(table, snapshot, columns, tenants) if row["landing_id"] not in replaced]


def _of_units(units: Iterable[tuple[str, str]]) -> Column:
    condition = F.lit(False)
    for tenant, period in units:
        condition = condition | ((F.col("tenant_id") == tenant) & (F.col("period") == F.lit(Period(period).first_day)))
    return condition


@dataclass(frozen=True)
class Run:
    """One attempt of one stage over the units it has to do."""

    run_id: str
    attempt: int
    stage: str
    period: Period | None  # None for a run that belongs to no month
    units: tuple[Unit, ...]
    publication_id: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[Unit, Mapping[str, str]] = field(
        default_factory=dict
    )  # told when it is published: what each unit was made from

    @property
    def tenants(self) -> tuple[str, ...]:
        """The tenants of this run, each once, sorted."""
        return tuple(sorted({unit.tenant_id for unit in self.units}))

    @property
    def month(self) -> Period:
        """The month of a run that has one."""
        assert self.period is not None, f"{self.stage} belongs to no month"
        return self.period


class House:
    """Reads published tables at one snapshot, and writes candidates to the run's own place."""

    def __init__(self, spark: SparkSession, snapshot: Snapshot, run: Run) -> None:
        self.spark, self.snapshot, self.run = spark, snapshot, run

    def looking_again(self) -> House:
        """The same run, with what is complete by now."""
        return House(self.spark, Snapshot.now(), self.run)

    def read(self, name: str) -> DataFrame:
        """A published table, for the tenants of this run and, where the table has months, for its month."""
        return self._read(name, self.run.period)

    def read_all_months(self, name: str) -> DataFrame:
        """A published table, for the tenants of this run, every month."""
        return self._read(name, None)

    def _read(self, name: str, period: Period | None) -> DataFrame:
        table = catalog()[name]
        of = period if "period" in table.unit else None
        return visible_rows(self.spark, table, visible(table, self.snapshot), self.run.tenants, of)

    def standing(self, name: str) -> DataFrame:
        """A raw table, every month, without what replays have replaced."""
        return standing(self.read_all_months(name), self.replaced())

    def standing_of_month(self, name: str) -> DataFrame:
        """A raw table, the month of the run, without what replays have replaced."""
        return standing(self.read(name), self.replaced())

    def replaced(self, seen: Collection[str] | None = None) -> list[tuple[str, str]]:
        """Tenant and landing of what replays have replaced; few, so that no table has to be joined for them.

        seen: the publications to look at, if not all.
        """
        told = (row for row in self._replacing if seen is None or row["publication_id"] in seen)
        return sorted((row["tenant_id"], row["replaces_landing_id"]) for row in told)

    @cached_property
    def _replacing(self) -> list[dict[str, Any]]:
        """The landings of this run's tenants that replace another; read once a run."""
        files = rows_told(catalog()["raw.landed_files"], self.snapshot, ("tenant_id", "replaces_landing_id"))
        return [row for row in files if row["tenant_id"] in self.run.tenants and row["replaces_landing_id"]]

    @property
    def own_place(self) -> str:
        """Where this attempt keeps what it stages and notes."""
        return f"{warehouse()}/_staged/{self.run.run_id}/{self.run.attempt}"

    def place(self, name: str) -> str:
        """Where this run stages candidates of a table."""
        return self.beside(name.replace(".", "/"))

    def beside(self, name: str) -> str:
        """A place of this run's own beside its staged tables, for what is no table."""
        return f"{self.own_place}/{name}"

    def stage(self, rows: DataFrame, name: str, suffix: str = "") -> str:
        """Write candidates for a table; returns where. The rows get this run's publication id as their last column."""
        table = catalog()[name]
        expected = [column.name for column in table.schema.fields]
        conforming = rows.withColumn("publication_id", F.lit(self.run.publication_id)).select(*expected).to(table.schema)
        spread = environment().shuffle_partitions if table.order else 1
        keys = (*table.unit, *table.order[:1])
        place = self.place(name) + suffix
        (
            conforming.repartition(spread, *keys)
            .sortWithinPartitions(*table.unit, *table.order)
            .write.mode("overwrite")
            .partitionBy(*table.unit)
            .parquet(place)
        )
        faults.reach(f"write:after:{name}")
        return place

    def stage_all(self, candidates: Mapping[str, DataFrame]) -> dict[str, str]:
        """Write candidates for several tables that do not need each other; returns where, by table."""
        places = side_by_side(partial(self.stage, rows, name) for name, rows in candidates.items())
        return dict(zip(candidates, places, strict=True))

    def staged(self, name: str, suffix: str = "") -> DataFrame:
        """The candidates of this run for a table, as they were staged."""
        return self.read_staged(name, self.place(name) + suffix)

    def read_staged(self, name: str, place: str) -> DataFrame:
        """Candidates for a table that stand in some place."""
        return self.spark.read.schema(catalog()[name].schema).parquet(place)

    def keep(self, rows: DataFrame, name: str) -> DataFrame:
        """Write rows beside the staged tables and read them back: what follows is planned, and computed, without what they follow from.

        Not persist(): a plan is analysed for it and then again for each use, and the memory is the server's, which all runs share.
        """
        rows.write.mode("overwrite").parquet(self.beside(name))
        return self.kept(name)

    def kept(self, name: str) -> DataFrame:
        """What this run, in this or an earlier task, keeps under a name."""
        schema = storage.spark_schema(
            self._kept_files(name)[0]
        )  # told here; Spark would start a job to look, for every query
        return self.spark.read.schema(T.StructType.fromJson(schema)).parquet(self.beside(name))

    def keeps_rows(self, name: str) -> bool:
        """Whether there is a row in what this run keeps under a name."""
        return any(storage.parquet_rows(file) for file in self._kept_files(name))

    def _kept_files(self, name: str) -> list[str]:
        place = self.beside(name)
        return [f"{place}/{file.path}" for file in storage.files_below(place, ".parquet")]

    def was_kept(self, name: str) -> bool:
        """Whether this run keeps anything under a name."""
        return storage.exists(self.beside(name))

    def was_staged(self, name: str) -> bool:
        """Whether this run has candidates for a table."""
        return storage.exists(self.place(name))

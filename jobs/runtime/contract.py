"""What a stage offers, what it is asked, and what it answers; the verbs (verbs.py) stand between.

A job says what there is to do and does it; nothing here reads or writes.
"""

from __future__ import annotations

import importlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Protocol

from pyspark.sql import DataFrame

from jobs.ledger.periods import Period
from jobs.runtime.config import ROOT, digest
from jobs.runtime.errors import CallError
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import TableVersion, Unit
from jobs.stages import BY_NAME

NOTHING_TO_DO = "unchanged"
COMPUTING = ("house.py", "session.py", "spark_server.py", "tables.py")  # the part of the runtime that rows pass through


@dataclass(frozen=True)
class Invocation:
    """Who asks for what."""

    stage: str
    period: str
    run_key: str  # the DAG run's id, or what the console made up; one run_key is one run of a stage
    tenants: tuple[str, ...] = ()
    lane: str = "main"  # of a stage that has several, each judged and published by itself (law 3)
    parameters: Mapping[str, str] = field(default_factory=dict)
    dag_id: str = ""
    dag_run_id: str = ""
    task: str = ""
    actor: str = ""
    reason: str = ""
    approved_by: str = ""  # who has approved what is beyond its limits; another person than the actor

    @property
    def run_id(self) -> str:
        """The name of the run in ops.runs, in commits and in gate results."""
        lane = "" if self.lane == "main" else f"-{self.lane}"
        return f"{self.stage}{lane}-{self.period}-{digest(self.run_key)[:8]}"


@dataclass(frozen=True)
class Outcome:
    """How a verb ended."""

    run_id: str
    attempt: int
    status: str  # done | unchanged | held
    message: str
    tables: tuple[TableVersion, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    question: str = ""  # what a person must approve before it is published


@dataclass(frozen=True)
class Planned:
    """A unit that a run would bring up to date, and everything its content depends on."""

    unit: Unit
    inputs: Mapping[str, str]  # what it reads -> fingerprint of that
    configuration: Mapping[str, str] = field(default_factory=dict)  # the resolved part this unit uses
    parameters: Mapping[str, str] = field(default_factory=dict)
    frozen: str | None = None  # why nothing may be written for it any more
    left_out: str | None = None  # why this tenant cannot go on now although the others can: what it is made from is stale
    announced: bool = False  # whether a dry run has something to compute and show for it: the job's preview(house)
    fenced: bool = True  # False for a unit found while writing; it stands and falls with the planned units of its tenant

    def fingerprint(self, code: str) -> str:
        """Equal fingerprint, equal content: nothing is written (law 6)."""
        told = [json.dumps(dict(part), sort_keys=True) for part in (self.inputs, self.configuration, self.parameters)]
        return digest(self.unit.id, *told, code)


@dataclass(frozen=True)
class Written:
    """What a stage has staged."""

    staged: Mapping[str, str]  # table -> place
    found: Sequence[Planned] = ()  # units that only the writing brought to light: the months a landed file belongs to


class Job(Protocol):
    """What jobs/<stage>/job.py offers."""

    def plan(self, snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
        """The units there are to do; raises a CountingHouseError when the call or an input is wrong."""

    def write(self, house: House) -> Written:
        """Stage candidates; returns where, by table."""

    def audit(self, house: House) -> dict[str, DataFrame]:
        """The frame of each gate.

        A job may also offer summary(house), a sentence about what was staged for whoever has to approve it,
        before_publish(...), which makes ready what only those that passed may have, and preview(house), what a dry run shows.
        """


def job_of(stage: str) -> Any:
    """The job module of a stage."""
    if stage not in BY_NAME:
        from jobs.runtime.config import nearest

        raise CallError(f"unknown stage '{stage}'; {nearest(stage, BY_NAME)} Nothing was started.")
    return importlib.import_module(f"jobs.{stage}.job")


@cache
def code_version(stage: str, root: Path = ROOT) -> str:
    """A hash over what computes a stage: its own code, the shared code, what reads and stages its rows, and the lock.

    `root` is a checkout, or the zip that spark-submit ships: the same sources give the same hash in both.
    """
    house: Traversable = zipfile.Path(root) if zipfile.is_zipfile(root) else root
    files = [house / "requirements.lock", *(house / "jobs" / "runtime" / name for name in COMPUTING)]
    for folder in (stage, "ledger"):
        files += _sources(house / "jobs" / folder)
    return digest(*(file.read_text(encoding="utf-8") for file in files))[:16]


def _sources(folder: Traversable) -> Iterator[Traversable]:
    """The Python files below a folder, in the order of their names; a zip knows no glob before Python 3.12."""
    for entry in sorted(folder.iterdir(), key=lambda found: found.name):
        if entry.is_dir():
            yield from _sources(entry)
        elif entry.name.endswith(".py"):
            yield entry

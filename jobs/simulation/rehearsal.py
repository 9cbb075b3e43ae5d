"""make run: a simulated world, month after month through Airflow, and at the end the figures beside the truth.

Hourly and daily processes run once a month, in its last hour and on its last day.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from jobs.ledger.periods import Grain, Period
from jobs.runtime import config
from jobs.runtime.environment import landing
from jobs.runtime.errors import CallError
from jobs.simulation.collecting import collect
from jobs.simulation.world import World, simulate_world

DAGS: dict[str, Grain] = {  # in the order of a month: bill, pay, collect, nominate
    "ingest": "month",
    "monthly_billing": "month",
    "vendor_payables": "hour",
    "cash_application": "day",
    "account_suspension": "day",
}


def months(world: World) -> list[str]:
    """The months of a world, first to last."""
    found = [Period(world.first_month)]
    while len(found) < world.months:
        found.append(found[-1].next)
    return [month.key for month in found]


def prepare(world: World, home: Path, progress: Callable[[str], None]) -> bool:
    """Make the world where there is none yet; whether it was made. Another world's home is refused."""
    marker = home / config.SIMULATED
    wanted = json.dumps({"scale": world.scale, "seed": world.seed, "months": world.months, "first_month": world.first_month})
    known = home / "truth" / "world.json"
    if marker.exists() and known.exists():
        if known.read_text() != wanted:
            raise CallError(
                f"{config.display(home)} holds another simulated world ({known.read_text()}). Nothing was changed. "
                f"Point COUNTINGHOUSE_HOME elsewhere, or remove that folder."
            )
        return False
    simulate_world(world, home, progress)
    known.write_text(wanted)
    progress("the world stands; its truth lies beside it in truth/")
    return True


def deliver(home: Path, month: str) -> int:
    """Drop a month's files into landing, each complete or not at all; how many were new there."""
    delivered = 0
    for source in sorted((home / "outbox" / month).glob("*/*/*")):
        folder = landing() / source.parent.parent.name / source.parent.name
        target = folder / source.name
        if target.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{source.name}.part"
        shutil.copyfile(source, partial)
        partial.rename(target)
        delivered += 1
    return delivered


def rehearse(world: World, home: Path, progress: Callable[[str], None], run_dag: Callable[[str, str], bool]) -> bool:
    """Every month of the world: deliver, then every process. run_dag: runs one DAG for one period, says whether it succeeded."""
    prepare(world, home, progress)
    well = True
    for month in months(world):
        collect(world, home, month)
        files = deliver(home, month)
        progress(f"{month}: {files} files delivered" if files else f"{month}: nothing new was delivered")
        for dag_id, grain in DAGS.items():
            well = run_dag(dag_id, Period(month).at(grain).key) and well
    return well

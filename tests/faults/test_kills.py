"""Processes are killed between every two commits and inside writes; a run afterwards ends as if nothing had happened.

Every case starts from the same small home, loses one process to SIGKILL, looks at what a reader sees in between, and runs
again. The tables then equal those of an undisturbed run row for row, the publication's id aside.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable

from jobs.runtime import faults, spark_server
from jobs.runtime.tables import catalog
from jobs.stages import BY_NAME
from tests.builders import ACCOUNTS_FILE, ALPHA, BETA, OF_A_MONTH, moved_in
from tests.conftest import forget_home
from tests.faults.readers import seen, seen_everywhere

MONTHS = ("2026-07", "2026-08")
USAGE = "id,account,product,at,units\n" + "".join(
    f"{month}-{number},a-{1 + number % 3},storage,{month}-1{number} 12:00:00,{number}.5\n"
    for month in MONTHS
    for number in range(1, 7)
)
LIMIT = 180
LANDED = ("raw.landed_files", "raw.quarantine", "raw.accounts", "raw.prices", "raw.usage")  # what the small home brings


def call(home: Path, stage: str, period: str = MONTHS[0], **surroundings: str) -> subprocess.Popen[str]:
    """A run of a stage in a process of its own."""
    command = [sys.executable, "-m", "jobs.runtime", "run", stage, "--period", period, "--tenant", ALPHA, "--tenant", BETA]
    return subprocess.Popen(
        command,
        env=os.environ | {"COUNTINGHOUSE_HOME": str(home)} | surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How a process ended, and what it said."""
    said, _ = process.communicate(timeout=LIMIT)
    return process.returncode, said


def points(stage: str) -> list[str]:
    """Every place in a stage where a process can die between two commits, or inside its writing."""
    tables = [name for name in BY_NAME[stage].outputs if stage != "ingestion" or name in LANDED]
    written = [f"write:after:{name}" for name in tables if name != "invoicing.number_register"]
    numbered = ["publish:numbered"] if stage == "invoice_generation" else []
    return [*written, "publish:started", *numbered, *(f"publish:after:{name}" for name in tables), "publish:complete"]


@pytest.fixture(scope="module")
def before(spark, tmp_path_factory) -> Iterator[dict[str, Path]]:
    """A home as it stands before each stage, and ("after") after the last; all of them use the server of this test session."""
    folder = tmp_path_factory.mktemp("kills")
    first = folder / "home"
    (first / "spark").mkdir(parents=True)
    shutil.copy(Path(os.environ["COUNTINGHOUSE_HOME"]) / "spark" / "server.json", first / "spark" / "server.json")
    moved_in(first, {ALPHA: USAGE, BETA: USAGE}, accounts=ACCOUNTS_FILE + "a-3,Cid Somebody,GB,GBP\n")
    homes = {}
    for stage in OF_A_MONTH:
        homes[stage.name] = shutil.copytree(first, folder / f"before-{stage.name}")
        code, said = ended(call(first, stage.name))
        assert code == 0, said
    homes["after"] = first
    yield homes
    forget_home()


def copy(before: dict[str, Path], stage: str, to: Path) -> Path:
    """A home of this case's own."""
    return shutil.copytree(before[stage], to / "home")


def after_stage(before: dict[str, Path], stage: str) -> Path:
    """The undisturbed home right after a stage."""
    names = [other.name for other in OF_A_MONTH]
    following = names[names.index(stage) + 1 :]
    return before[following[0]] if following else before["after"]


@pytest.mark.parametrize(("stage", "point"), [(stage.name, point) for stage in OF_A_MONTH for point in points(stage.name)])
def test_a_task_killed_at_any_point_and_run_again_ends_as_if_nothing_had_happened(before, tmp_path, stage, point):
    home = copy(before, stage, tmp_path)
    untouched = {table: seen(home, table) for table in BY_NAME[stage].outputs}
    whole = {table: seen(after_stage(before, stage), table) for table in BY_NAME[stage].outputs}

    code, said = ended(call(home, stage, **{faults.KILL_AT: point}))
    assert code == -signal.SIGKILL, f"{point} was not reached: {said}"
    in_between = {table: seen(home, table) for table in BY_NAME[stage].outputs}
    assert in_between == (whole if point == "publish:complete" else untouched), "a reader saw half a publication"

    code, said = ended(call(home, stage))
    assert code == 0, said
    assert {table: seen(home, table) for table in BY_NAME[stage].outputs} == whole
    assert numbers(home) == numbers(after_stage(before, stage)), "a number was skipped or used twice"


def wait_for(log: Path, text: str) -> None:
    """Until a log says something."""
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        if log.exists() and text in log.read_text():
            return
        time.sleep(0.05)
    pytest.fail(f"'{text}' was never said")


def numbers(home: Path) -> list[tuple[str, str, int]]:
    """Every number that was ever reserved, whether seen or not."""
    place = home / "warehouse" / "invoicing" / "number_register"
    rows = DeltaTable(str(place)).to_pyarrow_table().to_pylist() if place.exists() else []
    return sorted((row["tenant_id"], row["series"], row["number"]) for row in rows)


@pytest.mark.parametrize("stage", ["ingestion", "billing_aggregation", "invoice_generation"])
def test_a_spark_server_killed_inside_a_write_is_replaced_by_the_next_run(before, tmp_path, stage):
    home = copy(before, stage, tmp_path)
    (home / "spark" / "server.json").unlink()
    shutil.rmtree(home / "logs", ignore_errors=True)  # of the stages before
    os.environ["COUNTINGHOUSE_HOME"], mine = str(home), os.environ["COUNTINGHOUSE_HOME"]
    try:
        server, _ = spark_server.ensure()
        process = call(home, stage)
        wait_for(home / "logs" / "countinghouse.jsonl", "writing candidates")
        time.sleep(1)
        os.kill(server.pid, signal.SIGKILL)
        code, said = ended(process)
        assert code != 0, said
        assert "Traceback" not in said
        code, said = ended(call(home, stage))
        assert code == 0, said
        assert seen_everywhere(home) == seen_everywhere(after_stage(before, stage))
    finally:
        spark_server.stop()
        os.environ["COUNTINGHOUSE_HOME"] = mine


def test_two_months_and_two_tenants_published_at_once_do_not_fail_each_other(before, tmp_path):
    one_by_one, at_once = (copy(before, "billing_aggregation", tmp_path / name) for name in ("one", "two"))
    for stage in OF_A_MONTH[1:]:
        for month in MONTHS:
            code, said = ended(call(one_by_one, stage.name, month))
            assert code == 0, said
        running = [call(at_once, stage.name, month) for month in MONTHS]
        for process in running:
            code, said = ended(process)
            assert code == 0, said
    for home in (one_by_one, at_once):  # the month that was posted first did not know the other; asked again, it does
        for month in MONTHS:
            code, said = ended(call(home, "ledger_posting", month))
            assert code == 0, said
    told = [{name: len(rows) for name, rows in seen_everywhere(home).items()} for home in (one_by_one, at_once)]
    assert told[0] == told[1]
    taken = numbers(at_once)
    assert len(taken) == len(set(taken)) == len(numbers(one_by_one)), "a number was skipped or used twice"
    assert {name: rows for name, rows in seen_everywhere(at_once).items() if name.startswith(("billing", "raw"))} == {
        name: rows for name, rows in seen_everywhere(one_by_one).items() if name.startswith(("billing", "raw"))
    }


def test_airflow_killed_with_its_task_leaves_a_month_that_the_next_run_finishes(before, tmp_path):
    home = copy(before, "billing_aggregation", tmp_path)
    program = (
        "import sys; from jobs.runtime import airflow_home; from jobs.runtime.session import shared\n"
        "with shared():\n    sys.exit(0 if airflow_home.run_dag('monthly_billing', '2026-07') else 1)\n"
    )
    surroundings = os.environ | {"COUNTINGHOUSE_HOME": str(home)}
    point = {faults.KILL_AT: "publish:after:invoicing.invoice_lines"}
    killed = subprocess.run(
        [sys.executable, "-c", program], env=surroundings | point, capture_output=True, text=True, timeout=LIMIT
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert seen(home, "invoicing.invoices") == []
    again = subprocess.run([sys.executable, "-c", program], env=surroundings, capture_output=True, text=True, timeout=LIMIT)
    assert again.returncode == 0, again.stderr[-2000:]
    assert seen_everywhere(home) == seen_everywhere(before["after"])
    assert set(catalog()) >= set(seen_everywhere(home))

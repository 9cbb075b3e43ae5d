"""The Airflow of a home as an operator has it: `countinghouse airflow` from its start to its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.runtime import airflow_home
from jobs.runtime.config import ROOT

READY_SECONDS, STOP_SECONDS = 240, 90


def ours(home: Path, **more: str) -> dict[str, str]:
    """The surroundings of an operator at the terminal: the home, and nothing that Airflow was told before."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return plain | {"COUNTINGHOUSE_HOME": str(home)} | more


@contextmanager
def served(home: Path) -> Iterator[str]:
    """The address of this home's Airflow; afterwards nothing of it may be left running."""
    before = signal.signal(signal.SIGTERM, lambda number, _: pytest.exit(f"ended by signal {number}", 128 + number))
    log = home / "serve.log"
    surroundings = ours(home, **{airflow_home.PORT: str(airflow_home._any_port())})
    with log.open("w") as output:
        command = [sys.executable, "-m", "jobs.runtime", "airflow"]
        process = subprocess.Popen(command, stdout=output, stderr=output, env=surroundings, cwd=ROOT)
    try:
        began = time.monotonic()
        while not (told := re.search(r"Airflow is ready at (http://127\.0\.0\.1:\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() - began < READY_SECONDS, log.read_text()
            time.sleep(1)
        yield told[1]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
    assert code == 0, log.read_text()
    assert processes_of(home) == []


def processes_of(home: Path) -> list[str]:
    """What still runs of Airflow and Spark for a home, told by its surroundings."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"COUNTINGHOUSE_HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0")
            told = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if mine and int(process.name) != os.getpid() and ("airflow" in told or "spark" in told.lower()):
            found.append(told)
    return found

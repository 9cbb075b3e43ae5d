"""One Spark session for all tests, in a home of this test session; a test that writes gets a home of its own.

Before anything of the project is imported, COUNTINGHOUSE_HOME points at a temporary folder, so that no test can reach ./var.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # `tests.builders` is found however pytest was called
    sys.path.insert(0, str(ROOT))

SESSION_HOME = Path(tempfile.mkdtemp(prefix="countinghouse-tests-"))
for name in [name for name in os.environ if name.startswith("COUNTINGHOUSE_") and name != "COUNTINGHOUSE_JARS"]:
    del os.environ[name]  # a test must not depend on who calls it
os.environ["COUNTINGHOUSE_HOME"] = str(SESSION_HOME)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def pytest_unconfigure() -> None:
    """Whatever happened: no server is left behind, and no file."""
    if (SESSION_HOME / "spark" / "server.json").exists():
        os.environ["COUNTINGHOUSE_HOME"] = str(SESSION_HOME)
        from jobs.runtime import spark_server

        spark_server.stop()
    shutil.rmtree(SESSION_HOME, ignore_errors=True)


def _ended(number: int, _frame: object) -> None:
    pytest.exit(f"ended by signal {number}", returncode=128 + number)


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """The session that everything shares, on a server of this test session. Java is required; without it this says so."""
    from jobs.runtime import session

    before = signal.signal(signal.SIGTERM, _ended)  # a time limit ends the server too
    try:
        with session.shared() as shared:
            yield shared
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _settled(folder: Path) -> Iterator[Path]:
    """A new home which finds the server of the test session, where one runs; afterwards the home before it."""
    from tests.homes import forget_home

    before = os.environ["COUNTINGHOUSE_HOME"]
    (folder / "spark").mkdir(parents=True)
    record = SESSION_HOME / "spark" / "server.json"
    if record.exists():
        shutil.copy(record, folder / "spark" / "server.json")
    os.environ["COUNTINGHOUSE_HOME"] = str(folder)
    forget_home()
    try:
        yield folder
    finally:
        os.environ["COUNTINGHOUSE_HOME"] = before
        forget_home()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home of the test's own."""
    with _settled(tmp_path / "home") as folder:
        yield folder


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home that the tests of one module share."""
    with _settled(tmp_path_factory.mktemp("house") / "home") as folder:
        yield folder


@pytest.fixture
def write_conf(home: Path) -> Callable[[str, object], Path]:
    """Put a file into the home's own conf/: text as it stands, anything else as YAML."""
    from tests.builders import conf_file

    return lambda name, content: conf_file(home, name, content)

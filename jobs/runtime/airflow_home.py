"""The Airflow of a home: its settings, `make airflow` (everything up, everything down again), and runs in this process.

Airflow reads its settings when it is imported, so it is imported here inside functions only, after they are set.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from jobs.ledger.periods import Period
from jobs.runtime import config, logs, spark_server
from jobs.runtime.environment import environment as spark_environment
from jobs.runtime.errors import CallError, RunBroke
from jobs.runtime.logs import say

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

USER, APPROVER = "admin", "approver"  # what the one has asked for, the other may approve
USERS = {USER: "admin", APPROVER: "user"}  # their roles
PORT = "COUNTINGHOUSE_AIRFLOW_PORT"
DEFAULT_PORT = 8080
START_SECONDS = 180
STOP_SECONDS = 30


@dataclass(frozen=True)
class Asked:
    """A DAG run to make in this process."""

    dag_id: str
    period: str
    tenants: tuple[str, ...] = ()
    reason: str = ""


def folder(home: Path | None = None) -> Path:
    """AIRFLOW_HOME of a home."""
    return (home or config.home()) / "airflow"


def environment(home: Path, port: int = DEFAULT_PORT) -> dict[str, str]:
    """The variables under which every Airflow process of this home runs."""
    airflow = folder(home)
    here = "127.0.0.1,localhost"
    without_proxy = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), here)))
    return {
        "COUNTINGHOUSE_HOME": str(home),
        "AIRFLOW_HOME": str(airflow),
        "AIRFLOW__CORE__DAGS_FOLDER": str(config.ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(airflow / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow / 'airflow.db'}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__INSTANCE_NAME": "Counting House",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "SCARF_ANALYTICS": "false",
        "GX_ANALYTICS_ENABLED": "false",
        "NO_PROXY": without_proxy,
        "no_proxy": without_proxy,
    }


def passwords(home: Path | None = None) -> dict[str, str]:
    """The passwords of this home's users, made when they are first asked for and readable by their owner only."""
    file = folder(home) / "passwords.json"
    known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    if missing := USERS.keys() - known.keys():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        known |= {user: secrets.token_urlsafe(12) for user in sorted(missing)}
        file.write_text(json.dumps(known))
    return known


def prepare() -> None:
    """Set this process up for the home's Airflow and bring the metadata database to its version, once.

    A process that has imported Airflow stays with the metadata database it began with, also when it turns to another home,
    as tests do: Airflow cannot be told a second time. What the tasks read and write is the home of the moment.
    """
    wanted = environment(config.home())
    if "airflow" not in sys.modules:
        os.environ.update(wanted)
    elif os.environ.get("AIRFLOW__CORE__DAGS_FOLDER") != wanted["AIRFLOW__CORE__DAGS_FOLDER"]:
        raise CallError(
            "Airflow was imported in this process with settings that are not of this project. Nothing was started. "
            "Call jobs.runtime.airflow_home.prepare() before anything imports it, or start a new process."
        )
    passwords()
    with _out_of_sight():
        from airflow.version import version

        done = _in_use() / f"migrated-{version}"
        if not done.exists():
            from airflow.utils import db

            db.initdb()
            done.touch()


def _in_use() -> Path:
    """AIRFLOW_HOME of this process."""
    return Path(os.environ.get("AIRFLOW_HOME") or folder())


def run_dag(dag_id: str, period: str, tenants: Sequence[str] = (), reason: str = "") -> bool:
    """One DAG run in this process; whether it ended green."""
    return run_dags([Asked(dag_id, period, tuple(tenants), reason)])


def run_dags(asked: Sequence[Asked]) -> bool:
    """DAG runs one after the other in this process, without a scheduler; whether all ended green.

    They stand in the metadata database under their month, as scheduled ones do; what the tasks log goes to a file.
    """
    if serving():
        raise CallError(
            "Airflow is running on this home, and its scheduler would run the same tasks. Nothing was started. "
            "Trigger the run or the backfill there, or stop it first."
        )
    prepare()
    with _out_of_sight():
        bag = _dag_bag()
    all_green = True
    for run in asked:
        if run.dag_id not in bag.dags:
            raise CallError(f"unknown DAG '{run.dag_id}'; {config.nearest(run.dag_id, bag.dags)} Nothing was started.")
        began = time.monotonic()
        told = {"period": run.period, "tenants": list(run.tenants), "reason": run.reason}
        with _out_of_sight(), _named_after(run.period):
            state = str(bag.dags[run.dag_id].test(run_conf=told).state)
        green = state == "success"
        more = "" if green else f"; see {config.display(_log_file())}"
        say(f"{run.dag_id} {run.period}: {state}, {time.monotonic() - began:.1f} s{more}")
        all_green = all_green and green
    return all_green


@cache
def _dag_bag() -> DagBag:
    """The DAG files, read once a process."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(config.ROOT / "dags"))
    if bag.import_errors:
        raise RunBroke(f"the DAG files cannot be read: {'; '.join(map(str, bag.import_errors.values()))}")
    return bag


@contextmanager
def _named_after(period: str) -> Iterator[None]:
    """Give the runs made inside their partition key: DAG.test has no parameter for it."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import event

    def name(_mapper: Any, _connection: Any, run: Any) -> None:
        run.partition_key = period
        named = Period(period)
        run.partition_date = named.begins.replace(hour=12 if named.grain == "month" else named.begins.hour, tzinfo=UTC)

    event.listen(DagRun, "before_insert", name)
    try:
        yield
    finally:
        event.remove(DagRun, "before_insert", name)


_sight: list[IO[str]] = []


def _log_file() -> Path:
    return _in_use() / "logs" / "in-process.log"


@contextmanager
def _out_of_sight() -> Iterator[None]:
    """Send what Airflow writes to the terminal to a file; the house's own lines still reach the terminal."""
    logs.start()
    file = _log_file()
    if not _sight or _sight[-1].name != str(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        _sight.append(file.open("a", buffering=1, encoding="utf-8"))  # never closed: Airflow's log handlers keep it
    with redirect_stdout(_sight[-1]), redirect_stderr(_sight[-1]):
        yield


def serving() -> bool:
    """Whether `serve` runs on this home."""
    try:
        pid = int((folder() / "serving.pid").read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return False
    return pid != os.getpid()


def serve() -> int:
    """Run this home's Airflow and Spark server until SIGINT or SIGTERM, then stop both; the exit code."""
    home = config.home()
    if serving():
        raise CallError("Airflow is already running on this home. Nothing was started. Stop it first, or use it.")
    stop = _Stop()
    port = _port()
    surroundings = os.environ | environment(home, port) | _log_ports()
    surroundings["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    known = passwords(home)
    folder(home).joinpath("serving.pid").write_text(str(os.getpid()))
    server, mine = spark_server.ensure() if spark_environment().spark == "server" else (None, False)
    log = folder(home) / "standalone.log"
    try:
        with log.open("w") as output:
            airflow = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"], stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                env=surroundings, cwd=config.ROOT, start_new_session=True,
            )  # fmt: skip
        family = _Family(airflow)
        try:
            if _wait_until_healthy(airflow, port, stop, log):
                say(f"Airflow is ready at http://127.0.0.1:{port}; Ctrl-C stops everything")
                for user, secret in known.items():  # for the person at the terminal, not for the log file
                    sys.stderr.write(f"         user {user}, password {secret}\n")
            while not stop.asked and airflow.poll() is None:
                time.sleep(0.2)
            died = not stop.asked
        finally:
            say("stopping Airflow ...")
            family.stop()
    finally:
        if server and mine:
            spark_server.stop(server)
        folder(home).joinpath("serving.pid").unlink(missing_ok=True)
        stop.restore()
    if died:
        raise RunBroke(f"Airflow ended by itself with exit code {airflow.returncode}. See {config.display(log)}.")
    say("stopped")
    return 0


class _Stop:
    """Whether a person or a supervisor asked us to stop."""

    def __init__(self) -> None:
        self.asked = False
        self._before = {kind: signal.signal(kind, self._ask) for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def _ask(self, *_: object) -> None:
        self.asked = True

    def restore(self) -> None:
        for kind, handler in self._before.items():
            signal.signal(kind, handler)


class _Family:
    """`airflow standalone` and all that it starts, found by descent too: some of it leaves the process group."""

    def __init__(self, root: subprocess.Popen[bytes]) -> None:
        import psutil  # type: ignore[import-untyped]

        self._popen, self._root = root, psutil.Process(root.pid)

    def _members(self) -> set[Any]:
        import psutil

        try:
            found = {self._root, *self._root.children(recursive=True)}
        except psutil.NoSuchProcess:
            found = set()
        return found | {process for process in psutil.process_iter() if _group(process.pid) == self._popen.pid}

    def stop(self) -> None:
        """SIGINT, on which `airflow standalone` ends its children (SIGTERM would orphan them), then SIGKILL for the rest."""
        import psutil

        known = self._members()
        if self._popen.poll() is None:
            os.kill(self._popen.pid, signal.SIGINT)
        ends = time.monotonic() + STOP_SECONDS
        while time.monotonic() < ends and self._popen.poll() is None:
            known |= self._members()
            time.sleep(0.2)
        known |= self._members()
        for process in known:
            try:
                process.kill()  # psutil compares the start time, so a reused process id is never hit
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(known, timeout=10)
        self._popen.wait(timeout=10)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def _port() -> int:
    """The port that was asked for, else the usual one, else any that is free."""
    named = os.environ.get(PORT)
    if named:
        if not named.isdigit() or not _free(int(named)):
            raise CallError(f"{PORT}={named} is not a free port of this machine. Nothing was started.")
        return int(named)
    return DEFAULT_PORT if _free(DEFAULT_PORT) else _any_port()


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    """A free port below those that the system gives to outgoing connections: one of these could be taken before Airflow binds."""
    for port in random.sample(range(20_000, 30_000), 100):
        if _free(port):
            return port
    raise RunBroke("no free port was found between 20000 and 30000. Nothing was started.")


def _log_ports() -> dict[str, str]:
    """Two homes on one machine must not meet at the ports on which running tasks show their logs."""
    names = ("AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT", "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT")
    return {name: str(_any_port()) for name in names}


def _wait_until_healthy(airflow: subprocess.Popen[bytes], port: int, stop: _Stop, log: Path) -> bool:
    """True when every part answers; False when asked to stop before."""
    say("starting Airflow ...")
    began = time.monotonic()
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while not stop.asked:
        if "address already in use" in log.read_text(errors="replace"):  # Airflow itself would wait for ever
            raise RunBroke(f"port {port} was taken by another process while Airflow started. Start it again.")
        if airflow.poll() is not None or time.monotonic() - began > START_SECONDS:
            waited = time.monotonic() - began
            raise RunBroke(f"Airflow did not become healthy within {waited:.0f} s. See {config.display(log)}.")
        try:
            with direct.open(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5) as answer:
                parts = json.load(answer)
        except (OSError, ValueError):
            parts = {}
        if all(parts.get(part, {}).get("status") == "healthy" for part in ("metadatabase", "scheduler", "dag_processor")):
            say(f"Airflow ready after {time.monotonic() - began:.1f} s", port=port)
            return True
        time.sleep(0.5)
    return False

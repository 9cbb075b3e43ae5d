"""The warm Spark Connect server of a home: started once, shared by every task, stopped by whoever started it.

Source of the choice, with figures: docs/decisions/0004-spark-server.md
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from jobs.runtime import config
from jobs.runtime.environment import environment
from jobs.runtime.errors import RunBroke
from jobs.runtime.logs import say

START_SECONDS = 90
CLIENT_MARKS = ("SPARK_REMOTE", "SPARK_LOCAL_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_API_MODE")
JARS = ("io.delta_delta-spark_4.2_2.13-4.4.0.jar", "io.delta_delta-storage-4.4.0.jar")
LOCAL_FILES_JAR = "com.globalmentor_hadoop-bare-naked-local-fs-0.1.0.jar"


@dataclass(frozen=True)
class Server:
    """A running server: where it listens and the secret that opens it."""

    pid: int
    port: int
    token: str

    @property
    def url(self) -> str:
        """For SparkSession.builder.remote; by the name localhost, for which the client asks no TLS beside a token."""
        return f"sc://localhost:{self.port}/;token={self.token}"

    def alive(self) -> bool:
        """Whether the process runs and listens."""
        try:
            os.kill(self.pid, 0)
        except OSError:
            return False
        with socket.socket() as probe:
            probe.settimeout(2)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _folder() -> Path:
    folder = config.home() / "spark"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def running() -> Server | None:
    """The home's server, if one runs."""
    try:
        server = Server(**json.loads((_folder() / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return server if server.alive() else None


@contextmanager
def _locked() -> Iterator[None]:
    with (_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure() -> tuple[Server, bool]:
    """The home's server, and whether this call had to start it."""
    with _locked():
        server = running()
        if server:
            return server, False
        return _start(), True


def stop(server: Server | None = None) -> bool:
    """Stop the home's server; whether there was one."""
    server = server or running()
    if server is None:
        return False
    beside = _children(server.pid)
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(server.pid, how)
        except OSError:
            break
        for _ in range(50):
            if not server.alive() and not _exists(server.pid):
                break
            time.sleep(0.1)
        else:
            continue
        break
    for process in psutil.wait_procs(beside, timeout=5)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    if running() is None:  # what another process has started meanwhile stays on record
        (_folder() / "server.json").unlink(missing_ok=True)
    return True


def _children(pid: int) -> list[psutil.Process]:
    """What the server has started: the host of its Spark, and Python workers. They end after it, by themselves."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _exists(pid: int) -> bool:
    try:
        done, _ = os.waitpid(pid, os.WNOHANG)  # a child of ours would stay a zombie
        return done == 0
    except ChildProcessError:
        return Path(f"/proc/{pid}").exists()


def java() -> str:
    """The Java to use, checked: 17 or newer."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not found or not Path(found).exists():
        raise RunBroke(
            "no Java was found (neither JAVA_HOME nor PATH). Spark was not started, nothing was written. "
            "Install Java 17 or newer (Debian: openjdk-17-jre-headless) and run this again."
        )
    told = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = told.split('"')[1] if '"' in told else "0"
    if int(version.split(".")[0].split("-")[0] or 0) < 17:
        raise RunBroke(
            f"Java {version} was found, 17 or newer is needed. Spark was not started, nothing was written. "
            "Install a newer Java or point JAVA_HOME at one."
        )
    return found


def spark_conf() -> dict[str, str]:
    """What every session of this house runs with, however it is got."""
    return {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(environment().shuffle_partitions),
        "spark.databricks.delta.snapshotPartitions": str(min(environment().shuffle_partitions, os.cpu_count() or 2)),
        **_named_files(environment().delta_plans_reads),
        "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
        "spark.sql.sources.partitionOverwriteMode": "static",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        # A month asks the same questions again and again; beyond the default of 100 each would be compiled, and warmed, anew.
        # Without the number of its place in the plan in its name, a class that was compiled for one query serves the others too.
        "spark.sql.codegen.cache.maxEntries": "5000",
        "spark.sql.codegen.useIdInClassName": "false",
        **_codegen(environment().compile_queries),
        "spark.sql.adaptive.enabled": str(environment().replan_queries).lower(),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def _named_files(delta_plans_reads: bool) -> dict[str, str]:
    """Files that a task names are looked at one after the other; beyond 32 Spark would start a task for each."""
    return {} if delta_plans_reads else {"spark.sql.sources.parallelPartitionDiscovery.threshold": "100000"}


def _codegen(compiled: bool) -> dict[str, str]:
    """Whether queries become code of their own. Uncompiled, Spark 4.2 fails on partitions pruned while running ("has not finished")."""
    if compiled:
        return {}
    return {
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.optimizer.dynamicPartitionPruning.enabled": "false",
    }


def unmarked() -> dict[str, str]:
    """The surroundings of this process without the marks of a Connect client, with which a driver would try to be one too."""
    return {name: value for name, value in os.environ.items() if name not in CLIENT_MARKS}


def jar_folder() -> Path:
    """Where set-up put the jars."""
    return Path(os.environ.get("COUNTINGHOUSE_JARS") or config.ROOT / ".jars")


def _start() -> Server:
    import pyspark

    java()
    jars = [jar_folder() / name for name in JARS]
    local_files = jar_folder() / LOCAL_FILES_JAR
    if missing := [jar.name for jar in (*jars, local_files) if not jar.exists()]:
        raise RunBroke(f"jars are missing ({', '.join(missing)}). Spark was not started. Run `make setup`.")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    spark_home = Path(pyspark.__file__).parent
    scratch = _folder() / "scratch"
    conf = spark_conf() | {
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.port": str(port),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "no-metastore"),
        "spark.connect.session.manager.defaultSessionTimeout": "30m",
        "spark.executorEnv.PYTHONPATH": str(config.ROOT),
        "spark.python.worker.reuse": "true",
        "spark.python.daemon.module": "jobs.runtime.python_workers",
        # Hadoop's own starts a chmod for every file and folder it makes, five for one small file of a table.
        "spark.driver.extraClassPath": str(local_files),
        "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
        "spark.log.level": environment().log_level,
    }
    command = [str(spark_home / "bin" / "spark-submit"), "--master", f"local[{environment().cores}]"]
    command += ["--driver-memory", environment().driver_memory]
    command += ["--driver-java-options", environment().java_options] if environment().java_options else []
    command += ["--jars", ",".join(map(str, jars))]
    for key, value in conf.items():
        command += ["--conf", f"{key}={value}"]
    log = _folder() / "server.log"
    surroundings = unmarked() | {
        "SPARK_HOME": str(spark_home),
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": token,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(config.ROOT),
    }
    say("starting the Spark server of this home ...")
    began = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, str(Path(__file__).with_name("spark_host.py"))], stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=surroundings,
            start_new_session=True,
        )  # fmt: skip
    server = Server(process.pid, port, token)
    while not server.alive():
        if process.poll() is not None or time.monotonic() - began > START_SECONDS:
            tail = log.read_text(errors="replace").splitlines()[-3:]
            raise RunBroke(
                f"the Spark server did not start: {' | '.join(tail)}. Nothing was written. See {config.display(log)}."
            )
        time.sleep(0.1)
    record = _folder() / "server.json"
    record.touch(mode=0o600)
    record.write_text(json.dumps(asdict(server)))
    say(f"Spark server ready after {time.monotonic() - began:.1f} s", pid=server.pid, port=port)
    return server

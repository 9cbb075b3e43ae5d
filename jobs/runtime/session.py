"""One way to get a session, whichever kind of Spark the environment names."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TypeVar

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.runtime import config, spark_server
from jobs.runtime.environment import environment
from jobs.runtime.errors import CallError, RunBroke
from jobs.runtime.logs import say
from jobs.runtime.spark_server import Server

T = TypeVar("T")
AT_ONCE = (
    2  # while one query is planned another computes; more would wait for each other and fill the memory. Source: decision 4
)
_shared: list[SparkSession] = []
_kept: list[list[Server]] = []


@contextmanager
def shared() -> Iterator[SparkSession]:
    """One session for everything this process does inside; session() hands it out instead of opening its own."""
    with session() as spark:
        _shared.append(spark)
        try:
            yield spark
        finally:
            _shared.pop()


def warm(spark: SparkSession) -> None:
    """Let a fresh server load what the first stage would wait for, while this process makes other things ready."""
    place = str(config.home() / "spark" / "warm")

    def first_steps() -> None:
        with suppress(Exception):  # whatever is wrong, the first stage says it better
            spark.range(8).write.format("delta").mode("overwrite").save(place)
            rows = spark.read.format("delta").option("versionAsOf", 0).load(place).withColumn("part", F.col("id") % 2)
            summed = rows.groupBy("part").agg(F.sum("id").alias("id")).join(rows, on="part", how="left_anti")
            summed.repartition("part").write.mode("overwrite").partitionBy("part").parquet(f"{place}_parquet")

    Thread(target=first_steps, daemon=True).start()


@contextmanager
def kept() -> Iterator[None]:
    """A server that has to be started inside stays until the end, for all pieces of work together."""
    started: list[Server] = []
    _kept.append(started)
    try:
        yield
    finally:
        _kept.pop()
        for server in started:
            spark_server.stop(server)


@contextmanager
def session() -> Iterator[SparkSession]:
    """A session for one piece of work; a server that had to be started for it is stopped with it, or with kept()."""
    if _shared:
        yield _shared[-1]
        return
    kind = environment().spark
    if kind == "submit":
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # a cluster's Python may lie elsewhere, and says so itself
        builder = SparkSession.builder.appName("countinghouse")
        for key, value in spark_server.spark_conf().items():
            builder = builder.config(key, value)
        yield builder.getOrCreate()
        return
    started = None
    if kind == "server":
        server, is_mine = spark_server.ensure()
        url, started = server.url, server if is_mine else None
    else:
        url = os.environ.get("SPARK_REMOTE", "")
        if not url:
            raise CallError("this environment uses a Spark Connect server, and SPARK_REMOTE does not say where it is.")
    spark = connect(url)
    try:
        yield spark
    finally:
        close(spark)
        if started and _kept:
            _kept[-1].append(started)
        elif started:
            spark_server.stop(started)


def connect(url: str, session_id: str | None = None) -> SparkSession:
    """A Connect session that gives up on a dead server within seconds; the client's own patience is ten minutes."""
    from pyspark.sql.connect.client.retries import DefaultPolicy

    logging.getLogger("pyspark.sql.connect.logging").addFilter(_silence)
    address = url + (f";session_id={session_id}" if session_id else "")
    spark = SparkSession.builder.remote(address).create()
    spark.client.set_retry_policies([DefaultPolicy(max_retries=6, initial_backoff=200, max_backoff=4000)])
    if session_id is None:
        try:
            for key, value in spark_server.spark_conf().items():
                if key.startswith(("spark.sql.ansi", "spark.sql.session.timeZone", "spark.sql.shuffle")):
                    spark.conf.set(key, value)
        except Exception as error:
            raise RunBroke(f"the Spark server does not answer ({type(error).__name__}). Nothing was written.") from None
    return spark


def _silence(_record: logging.LogRecord) -> bool:
    """The client logs stack traces of what is told in a sentence anyway; a filter stays when Airflow enables every logger."""
    return False


def side_by_side(pieces: Iterable[Callable[[], T]]) -> list[T]:
    """Pieces of work of one session that do not need each other, two at a time; what they return, in their order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [begun.result() for begun in [pool.submit(piece) for piece in pieces]]


def close(spark: SparkSession) -> None:
    """Let the server forget the session; a server that has died is not waited for."""
    try:
        spark.stop()
    except Exception as error:
        say(f"the Spark server was gone at the end ({type(error).__name__})")


def interrupt(session_id: str) -> None:
    """Stop what a superseded attempt's session still does on the server: a killed client's write would go on by itself."""
    server = spark_server.running() if environment().spark == "server" else None
    url = server.url if server else os.environ.get("SPARK_REMOTE", "")
    if not url:
        return
    try:
        old = connect(url, session_id)
        old.interruptAll()
        close(old)
    except Exception as error:
        say(f"nothing left to interrupt of an earlier attempt ({type(error).__name__})")


def session_id(spark: SparkSession) -> str:
    """The Connect session's id; empty on a classic session."""
    return str(getattr(spark, "session_id", ""))

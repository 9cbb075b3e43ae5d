"""Where the house stands: its home, its warehouse, and where Spark comes from."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from jobs.runtime import config


class Environment(config.Strict):
    """conf/environments/<name>.yaml; COUNTINGHOUSE_ENVIRONMENT names it, `local` otherwise."""

    spark: Literal["server", "connect", "submit"]  # own warm server, somebody's server, classic session in a cluster
    driver_memory: str = "3g"
    java_options: str = ""  # of the server's JVM
    cores: str = "*"
    shuffle_partitions: int = Field(default=4, ge=1)
    compile_queries: bool = True  # into code of their own; at 100,000 rows a month that costs more than it saves
    replan_queries: bool = True  # while they run, by what came out so far (adaptive execution); the same holds
    delta_plans_reads: bool = True  # which files to read, by a query for each table; false: the task asks the log itself
    log_level: Literal["INFO", "WARN", "ERROR"] = (
        "WARN"  # of the server; INFO tells every step, a hundred thousand lines a month
    )
    warehouse: str | None = None  # URL of the Delta tables; default <home>/warehouse
    documents: str | None = None  # URL of bank files and documents; default <home>/documents
    storage_options: dict[str, str] = Field(default={})  # what plain readers of an object store need


@cache
def environment() -> Environment:
    """The environment of this process."""
    name = os.environ.get("COUNTINGHOUSE_ENVIRONMENT", "local")
    return config.load(config.conf_roots()[0] / "environments" / f"{name}.yaml", Environment)


def warehouse() -> str:
    """The root of the Delta tables."""
    return environment().warehouse or str(config.home() / "warehouse")


def documents() -> str:
    """The root of what leaves the house: bank files, and later XML and PDF."""
    return environment().documents or str(config.home() / "documents")


def landing() -> Path:
    """Where feeds are dropped: landing/<tenant>/<feed>/."""
    return config.home() / "landing"


def reports() -> Path:
    """HTML reports and Data Docs."""
    return config.home() / "reports"

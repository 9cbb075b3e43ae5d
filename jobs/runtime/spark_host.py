"""Holds the Spark of a home's server (spark_server.py); what spark-submit runs, never imported.

The Connect service comes in as a plugin of a plain session. Spark's own main class for it keeps the classes of every session
apart, so that each task would compile, and warm up, all generated code anew (docs/decisions/0004-spark-server.md).
"""

from contextlib import suppress
from typing import Any

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.sql import SparkSession

FOREVER = 2**62  # milliseconds

if __name__ == "__main__":
    spark = SparkSession.builder.getOrCreate()
    jvm: Any = spark.sparkContext._jvm
    with suppress(Py4JError, OSError):  # waits inside the JVM, so it ends when that does
        jvm.java.lang.Thread.sleep(FOREVER)

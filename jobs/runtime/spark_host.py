"""Holds the Spark of a home's server (spark_server.py); what spark-submit runs, never imported.

The Connect service comes in as a plugin of a plain session. Spark's own main class for it keeps the classes of every session
apart, so that each task would compile, and warm up, all generated code anew (docs/decisions/0004-spark-server.md).
"""

import os
import time

from pyspark.sql import SparkSession

if __name__ == "__main__":
    server = os.getppid()
    spark = SparkSession.builder.getOrCreate()
    while os.getppid() == server:  # whatever this process hears of it, it ends when the server does, and not before
        time.sleep(0.5)

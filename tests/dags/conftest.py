"""Airflow reads its settings when it is imported, and these tests import it while they are collected."""

import os
from pathlib import Path

from jobs.runtime import airflow_home

os.environ.update(airflow_home.environment(Path(os.environ["COUNTINGHOUSE_HOME"])))

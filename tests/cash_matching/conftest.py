"""What the tests of cash matching share."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="module")
def keep(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Callable[[DataFrame], DataFrame]:
    """Write rows down and read them again, as the stage does between its steps: plans stay small."""
    place, number = tmp_path_factory.mktemp("kept"), count()

    def keep(rows: DataFrame) -> DataFrame:
        path = str(place / str(next(number)))
        rows.write.parquet(path)
        return spark.read.parquet(path)

    return keep

"""A server of a home's own, from its start to its end."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from jobs.runtime import session as sessions
from jobs.runtime import spark_server
from jobs.runtime.session import close, connect, kept, session


@pytest.fixture
def started(home, monkeypatch):
    """A server that a process has started which was a Connect client before; stopped afterwards."""
    (home / "spark" / "server.json").unlink(missing_ok=True)  # that of the test session
    monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    monkeypatch.setattr(sessions, "_shared", [])  # nor its session
    telling = spark_server.environment().model_copy(update={"log_level": "INFO"})
    monkeypatch.setattr(spark_server, "environment", lambda: telling)
    with kept():
        with session():
            pass
        server = spark_server.running()
        assert server, "what had to be started is there for the next piece of work"
        yield server
    assert spark_server.running() is None


@pytest.mark.slow  # a server of its own: make test-slow
def test_a_later_session_has_nothing_to_compile_that_an_earlier_one_has_asked(started, home):
    def compiled_by_a_session() -> int:
        before = log.read_text(errors="replace").count("Code generated in")
        spark = connect(started.url)
        rows = spark.range(100).select((F.col("id") % 7).alias("k"), F.col("id").cast("decimal(18,3)").alias("v"))
        assert len(rows.groupBy("k").agg(F.sum("v")).collect()) == 7
        close(spark)
        return log.read_text(errors="replace").count("Code generated in") - before

    log = home / "spark" / "server.log"
    assert compiled_by_a_session() > 0, "the server's log does not tell any more what it compiles"
    assert compiled_by_a_session() == 0

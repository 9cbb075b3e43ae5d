"""A stage on a cluster, as far as one machine can show it: every verb by spark-submit, the packages imported from the zip.

Here and not in tests/e2e because each verb starts a JVM of its own: about a minute.
"""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from jobs.runtime import airflow_home, ops
from jobs.runtime.books import visible_arrow
from jobs.runtime.config import ROOT
from jobs.runtime.contract import code_version
from scripts import packages
from tests.builders import ALPHA, USAGE_FILE, moved_in
from tests.homes import forget_home

MONTH = "2026-07"


@pytest.fixture
def cluster(home, tmp_path, monkeypatch):
    """A home whose environment is `cluster`: two local cores are the cluster, with as many partitions as fit them."""
    moved_in(home, {ALPHA: USAGE_FILE})
    (home / "spark" / "server.json").unlink(missing_ok=True)  # no verb may find a server to turn to
    conf = shutil.copytree(ROOT / "conf", tmp_path / "conf")
    named = conf / "environments" / "cluster.yaml"
    named.write_text(yaml.safe_dump(yaml.safe_load(named.read_text()) | {"shuffle_partitions": 2}))
    monkeypatch.setenv("COUNTINGHOUSE_CONF", str(conf))
    monkeypatch.setenv("COUNTINGHOUSE_ENVIRONMENT", "cluster")
    monkeypatch.setenv("COUNTINGHOUSE_ZIP", str(packages.write(tmp_path / "countinghouse.zip")))
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps({"conn_type": "spark", "host": "local[2]"}))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    forget_home()
    return home


def test_a_stage_through_spark_submit_publishes_under_the_code_version_of_the_checkout(cluster):
    of_checkout = code_version("ingestion")
    assert airflow_home.run_dag("ingest", MONTH)
    published = ops.publications()
    assert {unit.period for unit in published} == {"all", MONTH}
    assert {publication.code_version for publication in published.values()} == {of_checkout}
    assert visible_arrow("raw.usage", ["record_id"]).num_rows == 2
    assert {path.name.split("-")[0] for path in cluster.glob("warehouse/_answers/*/*.json")} == {"write", "audit", "publish"}
    assert not (cluster / "spark" / "server.json").exists()

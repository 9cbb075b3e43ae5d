"""What every DAG keeps: its name, its runbook, its month, one group a stage, its outlets, and no Spark at parse time."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import CronPartitionTimetable

from jobs.runtime.dag_tasks import PERIOD_PATTERNS, WHOLE
from jobs.stages import STAGES, VERBS, Stage

DAGS = Path(__file__).resolve().parents[2] / "dags"
FILES = sorted(DAGS.glob("*.py"))
GROUPS_OF: dict[str, tuple[str, ...]] = {
    "ingest": ("ingestion",),
    "monthly_billing": ("billing_aggregation", "invoice_generation", "ledger_posting", "invoice_generation_documents"),
    "vendor_payables": ("ingestion", "payable_validation", "payment_planning", "ledger_posting"),
    "cash_application": ("ingestion", "ledger_posting_receipts", "cash_matching", "ledger_posting"),
    "account_suspension": ("suspension_selection",),
}
GRAINS = {
    "ingest": "month", "monthly_billing": "month", "vendor_payables": "hour", "cash_application": "day", "account_suspension": "day",
}  # fmt: skip
APPROVED = ("suspension_selection", "invoice_generation")  # groups with a person between audit and publish


@pytest.fixture(scope="module")
def bag() -> DagBag:
    """All DAG files, read as Airflow reads them; no metadata database."""
    return DagBag(str(DAGS))


def test_dag_files_are_read_without_an_error(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == set(GROUPS_OF)


def test_every_stage_and_lane_runs_in_a_dag() -> None:
    wired = {group for groups in GROUPS_OF.values() for group in groups}
    assert wired == {stage.name if lane == "main" else f"{stage.name}_{lane}" for stage in STAGES for lane in stage.lanes}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_file_name_is_the_name_of_its_only_dag(bag: DagBag, file: Path) -> None:
    assert [dag.dag_id for dag in bag.dags.values() if dag.fileloc == str(file)] == [file.stem]


@pytest.mark.parametrize("dag_id", GROUPS_OF)
def test_runbook_says_what_an_operator_looks_for(bag: DagBag, dag_id: str) -> None:
    runbook = bag.dags[dag_id].doc_md or ""
    for needed in ("**When.**", "When something is red", "audit", "frozen", "rice", "half-way", "Backfill",
                   f"airflow backfill create --dag-id {dag_id}", "Exit codes"):  # fmt: skip
        assert needed in runbook, f"{dag_id}: the runbook does not speak of {needed}"


@pytest.mark.parametrize("dag_id", GROUPS_OF)
def test_groups_are_stages_of_write_audit_publish(bag: DagBag, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    groups = {name: group for name, group in dag.task_group.get_task_group_dict().items() if name}
    assert tuple(groups) == GROUPS_OF[dag_id]
    for name, group in groups.items():
        if name in APPROVED:
            continue
        assert set(group.children) == {f"{name}.{verb}" for verb in VERBS}
        assert dag.get_task(f"{name}.audit").upstream_task_ids == {f"{name}.write"}
        assert dag.get_task(f"{name}.publish").upstream_task_ids == {f"{name}.write", f"{name}.audit"}
        assert dag.get_task(f"{name}.publish").trigger_rule == "all_done_min_one_success"


@pytest.mark.parametrize("name", APPROVED)
def test_what_needs_approval_is_published_only_after_it(bag: DagBag, name: str) -> None:
    dag = next(dag for dag in bag.dags.values() if dag.has_task(f"{name}.approve"))
    assert dag.get_task(f"{name}.approve").upstream_task_ids == {f"{name}.write", f"{name}.audit"}
    assert dag.get_task(f"{name}.approved").upstream_task_ids == {f"{name}.approve"}
    publish = dag.get_task(f"{name}.publish")
    assert (publish.upstream_task_ids, publish.trigger_rule) == ({f"{name}.approved"}, "all_success")


def test_stages_follow_each_other_by_publication(bag: DagBag) -> None:
    dag = bag.dags["monthly_billing"]
    assert dag.get_task("invoice_generation.write").upstream_task_ids == {"billing_aggregation.publish"}
    assert dag.get_task("ledger_posting.write").upstream_task_ids == {"invoice_generation.publish"}


@pytest.mark.parametrize("dag_id", GROUPS_OF)
def test_last_task_hears_of_every_audit_and_publication(bag: DagBag, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    assert [task.task_id for task in dag.leaves] == [WHOLE]
    assert dag.get_task(WHOLE).trigger_rule == "all_done"
    assert dag.get_task(WHOLE).upstream_task_ids == {
        f"{group}.{verb}" for group in GROUPS_OF[dag_id] for verb in ("audit", "publish")
    }


@pytest.mark.parametrize("dag_id", GROUPS_OF)
def test_runs_are_named_after_the_period_before(bag: DagBag, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    timetable = dag.timetable
    assert isinstance(timetable, CronPartitionTimetable)
    told = (timetable.expression, timetable.run_offset, timetable.key_format, str(timetable.timezone))
    assert (
        told
        == {
            "month": ("0 12 1 * *", -1, "%Y-%m", "UTC"),
            "day": (f"0 {7 if dag_id == 'account_suspension' else 6} * * *", -1, "%Y-%m-%d", "UTC"),
            "hour": ("0 * * * *", -1, "%Y-%m-%dT%H", "UTC"),
        }[GRAINS[dag_id]]
    )
    assert dag.start_date is not None and dag.start_date.isoformat() == "2010-12-01T00:00:00+00:00"
    assert not dag.catchup


@pytest.mark.parametrize("dag_id", GROUPS_OF)
def test_params_of_a_run_may_all_be_left_empty(bag: DagBag, dag_id: str) -> None:
    params = bag.dags[dag_id].params
    assert {name: params[name] for name in params} == {"period": None, "tenants": [], "reason": None} | (
        {"replay": None} if dag_id == "ingest" else {}
    )
    assert params.get_param("period").schema["pattern"] == PERIOD_PATTERNS[GRAINS[dag_id]]
    for name in params:
        assert "null" in params.get_param(name).schema["type"], f"{name}: the form would insist on a value"


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_published_table_is_an_outlet(bag: DagBag, stage: Stage) -> None:
    publish = next(
        dag.get_task(f"{stage.name}.publish") for dag in bag.dags.values() if dag.has_task(f"{stage.name}.publish")
    )
    assert {(asset.name, asset.uri) for asset in publish.outlets} == {
        (table, f"countinghouse://{table.replace('.', '/')}") for table in stage.outputs
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_dag_file_looks_at_no_clock_and_reads_no_data(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    clocks = {"now", "today", "utcnow", "time", "days_ago"}
    assert not {name for name in called if name.rpartition(".")[2] in clocks | {"open", "read_text", "get"}}


def test_parsing_imports_no_spark(tmp_path: Path) -> None:
    """The scheduler parses every file again and again; each is looked at after those before it, in one process."""
    heavy = {"pyspark", "delta", "great_expectations", "pandas", "pyarrow", "deltalake", "duckdb"}
    code = "\n".join(
        (
            "import runpy, sys",
            *(f"import jobs.runtime.{name}" for name in ("dag_tasks", "dag_approval")),
            f"for file in {[str(file) for file in FILES]!r}:",
            "    runpy.run_path(file)",
            f"    found = sorted({{m.split('.')[0] for m in sys.modules}} & {heavy!r})",
            "    assert not found, f'{file}: {found}'",
        )
    )
    environment = {"AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=DAGS.parent, check=False
    )
    assert ended.returncode == 0, f"imported while parsing: {ended.stderr.strip().splitlines()[-1:]}"

"""Two small tenants go through the month: every stage twice, one of them held for a missing price, and late usage.

The tests of this module are one story and run in the order they stand in; each says one thing about it.
"""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from jobs.runtime import delta_log, ops
from jobs.runtime.errors import GateFailed, UpstreamMissing
from jobs.runtime.house import Snapshot, visible, visible_rows
from jobs.runtime.ops import Unit
from jobs.runtime.tables import catalog
from jobs.runtime.verbs import dry_run, run_stage
from tests.builders import ALPHA, BETA, NETWORK_FILE, OF_A_MONTH, UNPRICED_FILE, USAGE_FILE, asked, dropped, moved_in, plain

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow; test_airflow.py has them through Airflow

AFTER_INGESTION = ("billing_aggregation", "invoice_generation", "ledger_posting")
LATE = "id,account,product,at,units\nr-9,a-1,storage,2026-07-20 12:00:00,1000\n"
BAD = USAGE_FILE + "r-4,,storage,sometime,x\n"


def rows(spark, name, tenant_id):
    """What a reader sees of a table."""
    table = catalog()[name]
    return visible_rows(spark, table, visible(table, Snapshot.now())).where(f"tenant_id = '{tenant_id}'").collect()


def versions():
    """Every published table at its newest version."""
    return {name: table.version() for name in catalog() if (table := delta_log.open_table(name)) is not None}


def stages_of(key, *tenants):
    return [run_stage(asked(stage, *tenants, key=key)) for stage in AFTER_INGESTION]


@pytest.fixture(scope="module")
def house(spark, shared_home):
    """Both tenants' files, landed."""
    moved_in(shared_home, {ALPHA: BAD, BETA: UNPRICED_FILE})
    return shared_home


@pytest.fixture(scope="module")
def ingested(house):
    """Ingestion, for the first time."""
    return run_stage(asked("ingestion", ALPHA, BETA))


@pytest.fixture(scope="module")
def refused(ingested):
    """Billing, for the first time: beta has usage without a price."""
    with pytest.raises(GateFailed) as held:
        run_stage(asked("billing_aggregation", ALPHA, BETA))
    return held.value


@pytest.fixture(scope="module")
def billed(refused):
    """Alpha goes on to be invoiced and posted."""
    return [run_stage(asked(stage, ALPHA)) for stage in AFTER_INGESTION[1:]]


@pytest.fixture(scope="module")
def mended(house, billed):
    """The price is landed, and everything is run again."""
    dropped(house, BETA, "prices", "network.csv", NETWORK_FILE)
    run_stage(asked("ingestion", ALPHA, BETA, key="mend"))
    return stages_of("mend", ALPHA, BETA)


@pytest.fixture(scope="module")
def late(house, mended):
    """Usage of July comes after July was invoiced."""
    before = versions()
    dropped(house, ALPHA, "usage", "late.csv", LATE)
    return before, run_stage(asked("ingestion", ALPHA, BETA, key="late"))


def test_every_row_of_a_file_is_accounted_for(spark, ingested):
    assert ingested.status == "done"
    (file,) = [row for row in rows(spark, "raw.landed_files", ALPHA) if row["feed"] == "usage"]
    assert (file["rows_read"], file["rows_accepted"], file["rows_quarantined"], file["rows_duplicate"]) == (3, 2, 1, 0)
    assert {name: plain(total) for name, total in file["control_totals"].items()} == {"units": "150"}


def test_a_bad_row_is_quarantined_with_all_its_reasons(spark, ingested):
    (row,) = rows(spark, "raw.quarantine", ALPHA)
    assert (row["feed"], row["row_number"]) == ("usage", 3)
    assert sorted(row["reasons"]) == ["account_id: missing", "quantity: not a number that fits", "usage_start: not a time"]


def test_usage_belongs_to_the_month_of_the_legal_entity(spark, ingested):
    assert {str(row["period"]) for row in rows(spark, "raw.usage", ALPHA)} == {"2026-07-01"}


def test_a_missing_price_holds_its_tenant_and_says_everything(refused):
    assert refused.exit_code == 1
    said = refused.message
    assert "billing_aggregation.charges, tenant beta, 2026-07: 1 of" in said
    assert "every charge has a price in force: 1, e.g. product network in GBP" in said
    assert "Nothing of beta was published by billing_aggregation; 1 other tenants go on." in said
    assert "Land the missing or mended price" in said and "docs/runbook.md" in said
    assert "Somebody" not in said


def test_a_held_tenant_publishes_nothing_and_keeps_its_candidates(spark, house, refused):
    assert rows(spark, "billing.charges", BETA) == []
    assert len(rows(spark, "billing.charges", ALPHA)) == 2
    assert list((house / "warehouse" / "_staged").rglob("tenant_id=beta"))
    with pytest.raises(UpstreamMissing, match="no charges of tenant beta"):
        run_stage(asked("invoice_generation", BETA))


def test_the_verdicts_are_kept(refused):
    failed = [row for row in ops.rows(ops.GATE_RESULTS) if not row["success"] and row["severity"] == "critical"]
    assert {(row["tenant_id"], row["expectation"]) for row in failed} == {(BETA, "every charge has a price in force")}


def test_what_a_run_took_and_brought_is_measured(billed):
    measured = [(row["name"], row["tenant_id"], json.loads(row["dimensions"]), row["value"])
                for row in ops.rows(ops.METRICS) if row["run_id"] == billed[0].run_id]  # fmt: skip
    of = {"stage": "invoice_generation", "period": "2026-07"}
    assert ("rows", ALPHA, of | {"table": "invoicing.invoices"}, 2.0) in measured
    taken = {told["verb"]: value for name, tenant, told, value in measured if name == "seconds" and tenant is None}
    assert set(taken) == {"write", "audit", "publish"} and min(taken.values()) > 0


def test_the_other_tenant_is_invoiced_and_posted(spark, billed):
    assert [outcome.status for outcome in billed] == ["done", "done"]
    told = sorted((row["invoice_number"], row["currency"], plain(row["net_amount"]), plain(row["tax_amount"]), plain(row["gross_amount"]))
                  for row in rows(spark, "invoicing.invoices", ALPHA))  # fmt: skip
    assert [row[1:] for row in sorted(told, key=lambda row: row[1])] == [("GBP", "5", "1", "6"), ("USD", "3.5", "0", "3.5")]
    assert [row[0] for row in told] == ["A-2026-0000001", "A-2026-0000002"]
    journal = rows(spark, "ledger.journal_lines", ALPHA)
    assert sum(row["debit"] - row["credit"] for row in journal) == Decimal(0) and len(journal) == 5
    assert sorted(plain(row["open_amount"]) for row in rows(spark, "ledger.open_items", ALPHA)) == ["3.5", "6"]


@pytest.mark.parametrize("stage", [stage.name for stage in OF_A_MONTH])
def test_a_second_run_of_a_stage_changes_nothing(billed, stage):
    before, publications = versions(), len(ops.all_publications())
    outcome = run_stage(asked(stage, ALPHA, key="again"))
    assert outcome.status == "unchanged" and "nothing to do" in outcome.message
    assert versions() == before
    assert len(ops.all_publications()) == publications


@pytest.mark.parametrize("stage", [stage.name for stage in OF_A_MONTH if stage.name != "ingestion"])
def test_a_dry_run_says_what_would_be_done(billed, stage):
    before = versions()
    said = dry_run(asked(stage, ALPHA))
    assert "frozen" in said or "nothing to do" in said
    assert versions() == before


def test_once_the_price_is_there_the_held_tenant_is_finished_and_the_other_left_alone(spark, mended):
    assert [outcome.status for outcome in mended] == ["done"] * 3
    assert sorted(row["currency"] for row in rows(spark, "invoicing.invoices", BETA)) == ["GBP", "USD"]
    gross = {row["currency"]: plain(row["gross_amount"]) for row in rows(spark, "invoicing.invoices", BETA)}
    assert gross == {"GBP": "14.4", "USD": "3.5"}
    assert len(rows(spark, "invoicing.invoices", ALPHA)) == 2
    assert sorted(row["number"] for row in rows(spark, "invoicing.number_register", ALPHA)) == [1, 2]


def test_when_all_is_done_nothing_is_left_to_do(mended):
    before = versions()
    assert {
        outcome.status for outcome in (run_stage(asked("ingestion", ALPHA, BETA, key="end")), *stages_of("end", ALPHA, BETA))
    } == {"unchanged"}
    assert versions() == before


def test_usage_that_comes_after_its_month_was_invoiced_is_kept_and_waits_in_view(spark, late):
    _, outcome = late
    assert outcome.status == "done"
    assert {row["record_id"] for row in rows(spark, "raw.usage", ALPHA)} == {"r-1", "r-2", "r-9"}
    (waiting,) = rows(spark, "billing.waiting", ALPHA)
    assert (waiting["record_id"], plain(waiting["quantity"]), str(waiting["period"])) == ("r-9", "1000", "2026-07-01")
    assert "after its month was invoiced" in waiting["reason"]


def test_what_was_invoiced_stays_as_it_was(late):
    before, _ = late
    outcomes = stages_of("late", ALPHA, BETA)
    assert {outcome.status for outcome in outcomes} == {"unchanged"}
    assert "frozen" in outcomes[0].message
    frozen = [name for name in versions() if name.split(".")[0] in ("invoicing", "ledger") or name == "billing.charges"]
    assert {name: versions()[name] for name in frozen} == {name: before[name] for name in frozen}


def test_every_commit_tells_its_story(late):
    (published,) = [p for p in ops.all_publications() if p.unit == Unit("invoice_generation", ALPHA, "2026-07")]
    for table in published.tables:
        (commit,) = [commit for commit in delta_log.commits(table.name) if commit.version == table.version]
        told = commit.note
        assert (told["run_id"], told["attempt"], told["stage"], told["period"]) == (
            published.run_id,
            1,
            "invoice_generation",
            "2026-07",
        )
        assert told["actor"] == "tester" and ALPHA in told["tenants"] and told["code_version"] == published.code_version
        assert told["input_versions"]["billing.charges"] >= 1
    assert published.parameters == {"issue_date": "2026-08-01"}


def test_no_personal_data_is_in_the_books_of_the_house(house, late):
    told = [str(row) for name in ops.SCHEMAS for row in ops.rows(name)]
    told += [str(commit.note) for name in catalog() for commit in delta_log.commits(name)]
    assert not [text for text in told if "Somebody" in text]
    assert not [path for path in (house / "reports").rglob("*") if path.is_file() and b"Somebody" in path.read_bytes()]

"""A month through Airflow, Spark, Delta and Great Expectations: one tenant is held, mended, and the month ends green.

The tests of this module are one story and run in the order they stand in. tests/runtime/test_verbs.py tells it verb by verb.
"""

from __future__ import annotations

import pytest

from jobs.runtime import airflow_home, delta_log, ops
from jobs.runtime.books import visible_arrow
from jobs.runtime.identities import verify
from jobs.runtime.ops import Unit
from jobs.runtime.tables import catalog
from tests.builders import ALPHA, BETA, NETWORK_FILE, UNPRICED_FILE, USAGE_FILE, dropped, moved_in, plain

MONTH = "2026-07"
BAD = USAGE_FILE + "r-4,,storage,sometime,x\n"


@pytest.fixture(scope="module")
def house(spark, shared_home):
    moved_in(shared_home, {ALPHA: BAD, BETA: UNPRICED_FILE})
    return shared_home


def issued() -> dict[str, int]:
    """Documents per tenant, as a reader sees them."""
    counted: dict[str, int] = {}
    for row in visible_arrow("invoicing.invoices").to_pylist():
        counted[row["tenant_id"]] = counted.get(row["tenant_id"], 0) + 1
    return counted


def test_a_held_tenant_makes_the_month_red_and_the_others_are_invoiced_then_it_ends_green(house):
    assert airflow_home.run_dag("ingest", MONTH)
    assert not airflow_home.run_dag("monthly_billing", MONTH), "a month with a held tenant must not be green"
    assert issued() == {ALPHA: 2}

    dropped(house, BETA, "prices", "network.csv", NETWORK_FILE)
    assert airflow_home.run_dag("ingest", MONTH)
    assert airflow_home.run_dag("monthly_billing", MONTH)
    assert issued() == {ALPHA: 2, BETA: 2}
    assert all(finding.holds for finding in verify())

    runs = {row["dag_run_id"] for row in ops.rows(ops.PUBLICATIONS) if row["stage"] != "ingestion"}
    assert all(runs), "a publication must name the DAG run it came from"


def test_a_month_that_has_not_changed_is_left_as_it_is(house):
    before = len(ops.all_publications())
    assert airflow_home.run_dag("monthly_billing", MONTH)
    assert len(ops.all_publications()) == before


def rows(name: str) -> list[dict[str, object]]:
    """What a reader sees of alpha's rows of a table."""
    return list(visible_arrow(name, tenant=ALPHA).to_pylist())


def test_every_row_of_a_file_is_accounted_for_and_a_bad_one_kept_with_all_its_reasons(house):
    (file,) = [row for row in rows("raw.landed_files") if row["feed"] == "usage"]
    assert (file["rows_read"], file["rows_accepted"], file["rows_quarantined"], file["rows_duplicate"]) == (3, 2, 1, 0)
    assert {name: plain(total) for name, total in dict(file["control_totals"]).items()} == {"units": "150"}
    (row,) = rows("raw.quarantine")
    assert (row["feed"], row["row_number"]) == ("usage", 3)
    assert sorted(row["reasons"]) == ["account_id: missing", "quantity: not a number that fits", "usage_start: not a time"]


def test_documents_are_numbered_taxed_and_posted(house):
    told = {row["currency"]: row for row in rows("invoicing.invoices")}
    amounts = {
        currency: [plain(row[f"{name}_amount"]) for name in ("net", "tax", "gross")] for currency, row in told.items()
    }
    assert amounts == {"GBP": ["5", "1", "6"], "USD": ["3.5", "0", "3.5"]}
    assert sorted(row["invoice_number"] for row in told.values()) == ["A-2026-0000001", "A-2026-0000002"]
    assert sorted(row["number"] for row in rows("invoicing.number_register")) == [1, 2]
    journal = rows("ledger.journal_lines")
    assert sum(row["debit"] - row["credit"] for row in journal) == 0 and len(journal) == 5
    assert sorted(plain(row["open_amount"]) for row in rows("ledger.open_items")) == ["3.5", "6"]


def test_the_verdicts_are_kept(house):
    failed = [row for row in ops.rows(ops.GATE_RESULTS) if not row["success"] and row["severity"] == "critical"]
    assert {(row["tenant_id"], row["expectation"]) for row in failed} == {(BETA, "every charge has a price in force")}


def test_every_commit_tells_its_story_and_names_nobody(house):
    (published,) = [one for one in ops.all_publications() if one.unit == Unit("invoice_generation", ALPHA, MONTH)]
    for table in published.tables:
        (told,) = [commit.note for commit in delta_log.commits(table.name) if commit.version == table.version]
        assert (told["run_id"], told["dag_run_id"], told["period"]) == (published.run_id, published.dag_run_id, MONTH)
        assert ALPHA in told["tenants"] and told["code_version"] == published.code_version
    said = [str(row) for name in ops.SCHEMAS for row in ops.rows(name)]
    said += [str(commit.note) for name in catalog() for commit in delta_log.commits(name)]
    assert not [text for text in said if "Somebody" in text]

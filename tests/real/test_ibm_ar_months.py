"""Real receivables of a hundred customers through the DAGs: landed by a mapping, paid by their settlements, and looked at on every
month-end of 2012 and 2013. `make test-real`."""

from __future__ import annotations

import calendar
import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from jobs.ledger.periods import Period
from jobs.runtime import airflow_home, ops
from jobs.runtime.airflow_home import Asked
from jobs.runtime.books import visible_arrow
from jobs.runtime.config import SIMULATED
from tests.suspension_selection.test_ibm_ar import FILE, TENANT, day, expected_states, told  # noqa: F401

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="the real receivables are not here (../shared/data)")

MONTH_ENDS = tuple(date(year, month, calendar.monthrange(year, month)[1]) for year in (2012, 2013) for month in range(1, 13))


@pytest.fixture(scope="module")
def house(spark, shared_home: Path) -> Path:
    """The home after one call that ran every month-end, each after the one before: its cash, then its nominations."""
    (shared_home / SIMULATED).write_text("{}")  # nobody is there to approve
    for feed in ("open_items", "bank_transactions", "disputes"):
        folder = shared_home / "landing" / TENANT / feed
        folder.mkdir(parents=True)
        shutil.copy(FILE, folder / FILE.name)
    asked = [
        Asked(dag_id, str(end), (TENANT,), "every month-end of two years")
        for end in MONTH_ENDS
        for dag_id in ("cash_application", "account_suspension")
    ]
    assert airflow_home.run_dags([Asked("ingest", "2012-01", (TENANT,), ""), *asked])
    return shared_home


def test_the_states_of_every_month_end_are_those_of_a_plain_computation(house, told):  # noqa: F811
    changes = sorted(
        visible_arrow("suspension.account_states", tenant=TENANT).to_pylist(), key=lambda row: row["valid_from"]
    )
    found = []
    for end in MONTH_ENDS:
        states = {row["account_id"]: row["state"] for row in changes if row["valid_from"] <= end}
        found.append({account: state for account, state in states.items() if state != "current"})
    assert found == expected_states(told, MONTH_ENDS)
    assert {state for states in found for state in states.values()} == {"warned", "suspended", "terminated"}


def test_what_was_received_is_applied_or_left_to_the_last_digit(house, told):  # noqa: F811
    received = sum(Decimal(row["InvoiceAmount"]) for row in told if day(row["SettledDate"]) <= MONTH_ENDS[-1])
    applied = sum(row["amount"] for row in visible_arrow("cash.applications", tenant=TENANT).to_pylist())
    last = [row for row in visible_arrow("cash.unapplied", tenant=TENANT).to_pylist() if row["period"] == MONTH_ENDS[-1]]
    assert applied + sum(row["unapplied"] for row in last) == received
    assert applied > received * Decimal("0.9"), "a settlement names its invoice and pays it"


def test_the_books_balance_and_every_gate_has_passed(house):
    assert all(row["success"] for row in ops.rows(ops.GATE_RESULTS) if row["severity"] == "critical")
    balances = visible_arrow("ledger.trial_balance", tenant=TENANT).to_pylist()
    assert balances and sum(row["debit"] - row["credit"] for row in balances) == 0
    assert Period("2013-12").first_day in {row["period"] for row in balances}

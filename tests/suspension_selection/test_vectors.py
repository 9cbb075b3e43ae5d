"""Expected states of public billing systems, each row with its facts and its condition as a policy of its own, all in one job."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.builders import collected
from tests.suspension_selection.debts import DAY, Facts, evaluated, owed

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT.parent / "shared" / "data" / "vectors" / "overdue_vectors.jsonl"
LISTED = {
    int(line)
    for line in re.findall(
        r"^\| (\d+) \|", (ROOT / "docs" / "suspension-vectors.md").read_text(encoding="utf-8"), re.MULTILINE
    )
}
pytestmark = pytest.mark.skipif(not VECTORS.exists(), reason="the vectors are not here")
VECTOR_ROWS = [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines()] if VECTORS.exists() else []
LEAF = {
    "count": "unpaid_count",
    "balance": "overdue_balance",
    "total unpaid": "overdue_balance",
    "days since earliest unpaid": "oldest_overdue_days",
}
CLEAR = {"CLEAR": "current", False: "current", "clears": "current", True: "overdue", "overdue like any unpaid": "overdue"}


def leaf(subject, amount, currency):
    """One comparison of the policy language."""
    if LEAF[subject] == "overdue_balance":
        return {"overdue_balance": {currency: amount}}
    return {LEAF[subject]: int(amount)}


def states_of(vector):
    """The states of a row's condition; None where the language has no words for it."""
    told, currency = vector.get("condition"), vector.get("currency", "USD")
    if told is None:  # a scenario without a condition: any unpaid invoice is overdue
        return [{"name": "overdue", "when": {"unpaid_count": 1}}]
    subject = next((subject for subject in LEAF if told.startswith(subject)), None)
    if subject is None:
        return None
    rest = told.removeprefix(subject).lstrip(": ")
    if re.fullmatch(r">= ?[0-9.]+", rest):
        return [{"name": "overdue", "when": leaf(subject, rest.strip(">= "), currency)}]
    steps = re.findall(r"(?:>=)?([0-9.]+) ([A-Z][A-Z0-9]+)", rest)
    return [{"name": name.lower(), "when": leaf(subject, amount, currency)} for amount, name in steps] or None


def facts_of(vector):
    """A row's facts as debts, and the day they are looked at; None where no debt can say them."""
    if "unpaid_count" in vector:
        return tuple(owed(f"d-{n}", due="2026-07-30") for n in range(vector["unpaid_count"])), (), DAY
    if "unpaid_balance" in vector:
        amount = vector["unpaid_balance"]
        return (owed("d-1", amount, due="2026-07-30", currency=vector.get("currency", "USD")),), (), DAY
    if "days" in vector:
        return (owed(due=str(DAY - timedelta(days=vector["days"]))),), (), DAY
    if "earliest_unpaid" in vector:
        day = date.fromisoformat(vector["as_of"])
        month, of_month = vector["earliest_unpaid"][:5].split("-")
        return (owed(due=str(day.replace(month=int(month), day=int(of_month))), document_date="2012-05-01"),), (), day
    if vector.get("scenario") == "external payment recorded":
        return (owed(due="2026-07-30"),), ({"document_id": "d-1", "amount": "100"},), DAY
    if vector.get("scenario") == "no payment method on file":
        return (owed(due="2026-07-30"),), (), DAY
    return None


def said(vector):
    """The row as facts under a policy, the day and the state it expects; None where it cannot be said."""
    states, facts = states_of(vector), facts_of(vector)
    expected = vector.get("expected")
    if states is None or facts is None or expected is None:
        return None
    expected = CLEAR.get(expected, str(expected).lower())
    if expected not in {"current", *(state["name"] for state in states)}:
        return None
    items, moved, day = facts
    return Facts(items, {"states": states}, moved=moved), day, expected


SAID = {line: said(vector) for line, vector in enumerate(VECTOR_ROWS, start=1)}


@pytest.fixture(scope="module")
def found(spark, tmp_path_factory):
    """The state of every row that can be said, on its day; rows of one day in one job."""
    told = {}
    days = {row[1] for row in SAID.values() if row}
    for day in sorted(days):
        of_day = {f"line {line}": row[0] for line, row in SAID.items() if row and row[1] == day}
        outcome = evaluated(spark, of_day, tmp_path_factory.mktemp("vectors"), day)
        moved = dict(collected(outcome.changes, "tenant_id", "state"))
        told |= {int(name.removeprefix("line ")): moved.get(name, "current") for name in of_day}
    return told


@pytest.mark.parametrize("line", [line for line, row in SAID.items() if row])
def test_a_vector_that_can_be_said_agrees(found, line):
    assert found[line] == SAID[line][2]


def test_every_vector_is_either_run_or_listed_with_what_is_missing():
    run = {line for line, row in SAID.items() if row}
    assert run & LISTED == set(), "can be said after all; take it off docs/suspension-vectors.md"
    assert run | LISTED == set(SAID), "neither run nor listed in docs/suspension-vectors.md"
    assert len(run) == 14

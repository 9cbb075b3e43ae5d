"""A year of labelled payments of a real kind, through landing, ledger and matching: nothing is applied wrongly."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal

import pytest

from jobs.runtime.books import visible_arrow
from jobs.runtime.verbs import run_stage
from tests.builders import asked, dropped
from tests.cash_matching.pay_to_inv import DATA, TENANT, by_pair, by_payment, of_year

pytestmark = [
    pytest.mark.slow,  # whole runs of several stages: make test-slow
    pytest.mark.skipif(not DATA.exists(), reason="the labelled payments are not beside this checkout (../shared/data)"),
]


@pytest.fixture(scope="module")
def matched(spark, shared_home):
    """The fiscal year 2024: its payments, what was applied, and what is suggested first for the others."""
    invoices, payments, among = of_year("2024")
    dropped(shared_home, TENANT, "open_items", "invoices.csv", invoices)
    dropped(shared_home, TENANT, "bank_transactions", "payments.csv", payments)
    run_stage(asked("ingestion", TENANT, period="2024-09"))
    run_stage(asked("ledger_posting", TENANT, period="2024-09"))
    run_stage(asked("cash_matching", TENANT, period="2024-12-31"))
    applied: dict[str, set[str]] = defaultdict(set)
    for row in visible_arrow("cash.applications", tenant=TENANT).to_pylist():
        applied[row["transaction_id"]].add(row["document_id"])
    first = {
        row["transaction_id"]: set(row["document_ids"])
        for row in visible_arrow("cash.suggestions", tenant=TENANT).to_pylist()
        if row["rank"] == 1
    }
    return among, dict(applied), first


def test_every_row_lands(matched):
    assert visible_arrow("raw.quarantine", tenant=TENANT).num_rows == 0
    assert visible_arrow("raw.bank_transactions", tenant=TENANT).num_rows == len(matched[0])


def test_what_is_applied_is_right(matched):
    among, applied, _ = matched
    assert by_payment(applied, among).precision == 1
    assert by_pair(applied, among).precision == 1
    assert by_payment(applied, among).recall > 0.35


def test_what_is_suggested_first_is_mostly_right(matched):
    among, applied, first = matched
    left = among - set(applied)
    assert by_payment(first, left).recall > 0.85
    assert by_pair(first, left).precision > 0.95


def test_received_is_applied_and_unapplied_to_the_last_digit(matched):
    received: dict[str, Decimal] = defaultdict(Decimal)
    for row in visible_arrow("raw.bank_transactions", tenant=TENANT).to_pylist():
        received[row["currency"]] += row["amount"]
    accounted: dict[str, Decimal] = defaultdict(Decimal)
    for table, column in (("cash.applications", "amount"), ("cash.unapplied", "unapplied")):
        for row in visible_arrow(table, tenant=TENANT).to_pylist():
            accounted[row["currency"]] += row[column]
    assert accounted == received and len(received) > 5


def test_nobody_is_named_beside_the_reasons(matched):
    names = {"Bertolini", "Dubois", "Nexus", "Galaxy", "Schmidt"}
    for table in ("cash.applications", "cash.unapplied", "cash.suggestions"):
        told = json.dumps(visible_arrow(table, tenant=TENANT).to_pylist(), default=str)
        assert not [name for name in names if name in told]

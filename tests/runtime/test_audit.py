"""The audit commands over a house made by hand: what is seen, what is not, and what is said of it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from typer.testing import CliRunner

from jobs.runtime import audit, delta_log, identities, trace
from jobs.runtime.audit_cli import app
from jobs.runtime.books import MASKED, Books, visible_arrow
from jobs.runtime.errors import CallError, CountingHouseError
from jobs.runtime.tables import catalog
from tests.runtime import handmade
from tests.runtime.handmade import SECRET, an_id, charge, publication_of

ENTRY_LINES = 3


def call(*arguments):
    """One audit command: its exit code and what it said."""
    done = CliRunner().invoke(app, list(arguments))
    if isinstance(done.exception, CountingHouseError):
        return done.exception.exit_code, done.output + str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.mark.parametrize("name", sorted(catalog()))
def test_delta_rs_creates_and_reads_every_table(home, name):
    created = delta_log.create_published(catalog()[name])
    assert created.version() == 0
    assert visible_arrow(name).num_rows == 0
    handmade.commit(
        name, [{"period": handmade.JANUARY} if "period" in catalog()[name].schema.names else {}], "p1", "alpha", "stage"
    )
    read = delta_log.open_table(name)
    assert read.to_pyarrow_dataset().count_rows() == 1
    assert read.to_pyarrow_table().schema.names == catalog()[name].schema.names
    with Books() as books:
        books.open_as(name, "at_one", 0)
        assert books.one("SELECT count(*) AS n FROM at_one") == {"n": 0}


@pytest.mark.parametrize("name", sorted(catalog()))
def test_every_table_has_a_grain_of_its_own_columns(name):
    assert set(audit.GRAIN[name]) <= set(catalog()[name].schema.names)
    assert audit.GRAIN[name][0] == "tenant_id"


def test_an_incomplete_publication_of_an_issued_table_is_not_seen(house):
    handmade.commit("ledger.journal_lines", handmade.entry("alpha", "99"), "dangling", "alpha", "ledger_posting")
    assert visible_arrow("ledger.journal_lines", tenant="alpha").num_rows == ENTRY_LINES
    newest = audit.history("ledger.journal_lines")[0]
    assert newest["publication"] == audit.INCOMPLETE
    assert newest["rows_added"] == ENTRY_LINES
    assert audit.as_of("ledger.journal_lines", version=newest["version"]).total == 2 * ENTRY_LINES
    assert all(finding.holds for finding in identities.verify())


def test_an_incomplete_publication_of_a_derived_table_leaves_what_stood_before(house):
    before = visible_arrow("billing.charges", ["charge_id", "quantity"]).to_pylist()
    handmade.bill("alpha", [charge(1, "P1", "777", "77.7", 1)], attempt=2, seen=False)
    assert sorted(visible_arrow("billing.charges", ["charge_id", "quantity"]).to_pylist(), key=str) == sorted(
        before, key=str
    )
    assert audit.history("billing.charges")[0]["publication"] == audit.INCOMPLETE
    at_that_version = audit.as_of("billing.charges", version=3, tenant="alpha")
    assert {row["quantity"] for row in at_that_version.rows} == {Decimal(5), Decimal(10)}
    assert trace.invoice("ALP-2026-0000001").problems == ()


def test_history_tells_who_when_and_why(house):
    newest, older, created = audit.history("billing.charges")
    assert (newest["run_id"], newest["actor"], newest["stage"]) == (
        "billing_aggregation-2026-01-beta",
        "ada",
        "billing_aggregation",
    )
    assert (newest["rows_added"], newest["tenants"], newest["publication"]) == (2, 1, audit.COMPLETE)
    assert (older["run_id"], created["operation"]) == ("billing_aggregation-2026-01-alpha", "CREATE TABLE")
    assert [row["version"] for row in audit.history("billing.charges", tenant="alpha")] == [1, 0]


def test_as_of_a_version_and_a_moment(house):
    committed = audit.version_at("billing.charges", 1).at
    assert audit.as_of("billing.charges", version=1).total == 2
    assert audit.as_of("billing.charges").total == 4
    assert audit.as_of("billing.charges", tenant="beta").total == 2
    assert audit.as_of("billing.charges", where=["price_id=P1"]).total == 2
    later = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d")
    assert audit.as_of("billing.charges", at=later).total == 4
    # Its commit stood before its publication was complete; at that moment nobody could see it.
    assert audit.as_of("billing.charges", at=committed.isoformat()).total == 0
    with pytest.raises(CallError, match="did not exist at that time"):
        audit.as_of("billing.charges", at="2020-01-01")


def test_personal_columns_are_masked(house):
    (row,) = audit.as_of("raw.accounts", tenant="alpha").rows
    assert row["legal_name"] == MASKED
    assert row["country"] == "DE"
    for arguments in (("as-of", "raw.accounts", "--json"), ("diff", "raw.accounts", "--from", "0", "--to", "1", "--json")):
        code, said = call(*arguments)
        assert code == 0
        assert SECRET not in said


def test_diff_counts_by_the_grain(house):
    changed = [charge(1, "P1", "6", "0.6", 2), charge(3, "P2", "1", "0.2", 1)]
    handmade.bill("alpha", changed, attempt=2)
    found = audit.diff("billing.charges", 2, 3)
    assert dict(found.counts) == {"added": 1, "removed": 1, "changed": 1, "unchanged": 2}
    assert dict(found.changed_columns) == {"quantity": 1, "amount": 1, "usage_rows": 1}
    assert found.changed[0]["quantity"] == {"old": Decimal(5), "new": Decimal(6)}
    assert found.added[0]["charge_id"] == an_id("charge", "3")
    assert dict(audit.diff("billing.charges", 2, 3, tenant="beta").counts) == {
        "added": 0,
        "removed": 0,
        "changed": 0,
        "unchanged": 2,
    }


def test_trace_goes_from_the_invoice_to_the_rows_of_the_file(house):
    chain = trace.invoice("ALP-2026-0000001")
    assert chain.problems == ()
    first, second = (line["charge"] for line in chain.lines)
    assert [(row["record_id"], row["row_number"]) for row in first["usage"]] == [("r1", 1)]
    assert sorted((row["record_id"], row["revision"], row["row_number"]) for row in second["usage"]) == [
        ("r2", 0, 2),
        ("r3", 1, 4),
    ]
    assert second["usage_quantity"] == second["quantity"] == Decimal(10)
    assert second["price"][0]["parameters"] == '{"unit_price":"0.20"}'
    assert {file["file_name"] for file in chain.files} == {"usage.csv", "prices.csv"}
    assert all(row["content_sha256"] for row in first["usage"])
    assert chain.register["number"] == 1
    assert len(chain.journal) == ENTRY_LINES
    made = {row["table"]: row for row in chain.made_by}
    assert made["raw.usage"]["publication_id"] == publication_of("ingestion", "alpha")
    assert (made["billing.charges"]["version"], made["billing.charges"]["actor"]) == (1, "ada")
    assert made["ledger.journal_lines"]["dag_run_id"] == "scheduled__2026-01"


def test_trace_is_not_misled_by_usage_that_came_later(house):
    late = publication_of("ingestion", "alpha", 2)
    version = handmade.commit(
        "raw.usage", [handmade.used("r9", 21, "50", 1, landing_id="late-file")], late, "alpha", "ingestion"
    )
    handmade.complete("ingestion", "alpha", late, [version], {("2026-01", "usage"): {}})
    assert trace.invoice("ALP-2026-0000001").problems == ()
    assert all(
        finding.holds
        for finding in identities.verify(tenant="alpha")
        if finding.identity == "accepted usage = charged quantity"
    )


def test_trace_says_loudly_what_does_not_add_up(home):
    handmade.tenant_file(home, "alpha")
    handmade.land("alpha")
    handmade.bill("alpha", [handmade.CHARGES[0] | {"quantity": Decimal(6)}, handmade.CHARGES[1]])
    handmade.issue("alpha")
    code, said = call("trace", "invoice", "ALP-2026-0000001")
    assert code == 1
    assert "DOES NOT ADD UP" in said
    assert "NOT WHAT WAS CHARGED" in said
    assert "bills 6.0" in said


def test_trace_as_a_tree_and_as_json(house):
    code, tree = call("trace", "invoice", an_id("invoice", "beta", "1")[:10], "--rows", "1")
    assert code == 0
    assert tree.startswith("invoice BET-2026-0000001 of beta: 2.98 EUR")
    assert "2 rows add up to 10: as charged" in tree
    assert "usage.csv row 1" in tree
    code, told = call("trace", "invoice", "BET-2026-0000001", "--json")
    assert json.loads(told)["invoice"]["gross_amount"] == "2.980"
    assert SECRET not in tree + told


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        pytest.param(("history", "billing.charge"), "did you mean 'billing.charges'", id="table"),
        pytest.param(("as-of", "billing.charges", "--version", "9"), "it has 0 to 2", id="version"),
        pytest.param(("diff", "billing.charges", "--from", "0", "--to", "9"), "it has 0 to 2", id="diff_version"),
        pytest.param(("as-of", "billing.charges", "--at", "yesterday"), "not a moment", id="moment"),
        pytest.param(("as-of", "billing.charges", "--where", "acount_id=1"), "did you mean 'account_id'", id="column"),
        pytest.param(("trace", "invoice", "ALP-2026-1"), "nearest is ALP-2026-0000001 of tenant alpha", id="invoice"),
        pytest.param(
            ("trace", "invoice", "ALP-2026-0000001", "--tenant", "beta"),
            "nearest is BET-2026-0000001",
            id="other_tenants_invoice",
        ),
        pytest.param(("verify", "--tenant", "alpa"), "did you mean 'alpha'", id="tenant"),
        pytest.param(("history", "billing.waiting"), "has not been published yet", id="not_yet"),
    ],
)
def test_a_wrong_call_gets_the_nearest_name(house, arguments, hint):
    code, said = call(*arguments)
    assert code == CallError.exit_code
    assert hint in said
    assert "Traceback" not in said


OF_MONEY_THAT_MOVES = {  # nothing of it stands in this house, and nothing was carried forward
    "what was carried forward is issued once at most",
    "every accepted payable is posted once, at its gross", "a payment batch = its instructions",
    "only what was accepted is paid, and once", "no receipt is applied beyond its amount",
    "no document is paid beyond what it asks", "received = applied + unapplied",
    "prepaid amounts = what invoices took of receipts", "what invoices took of receipts is posted once, and what goes back",
}  # fmt: skip


def test_verify_holds(house):
    findings = identities.verify()
    assert {finding.identity for finding in findings} == {one.name for one in identities.IDENTITIES} - OF_MONEY_THAT_MOVES
    assert all(finding.holds and finding.compared for finding in findings)
    assert {finding.tenant_id for finding in identities.verify(tenant="beta")} == {"beta"}
    code, said = call("verify", "--period", "2026-01")
    assert code == 0
    assert "DOES NOT HOLD" not in said


def test_verify_names_what_does_not_hold(home):
    handmade.tenant_file(home, "alpha")
    handmade.land("alpha")
    handmade.bill("alpha", [handmade.CHARGES[0] | {"quantity": Decimal("5.000000000000000000001")}, handmade.CHARGES[1]])
    handmade.issue("alpha")
    handmade.post("alpha", debit="2.99")
    broken = {finding.identity for finding in identities.verify() if not finding.holds}
    assert broken == {
        "accepted usage = charged quantity", "debits = credits", "every issued invoice is posted once, at its gross",
        "open items = control account", "trial balance = journal, and adds up to zero",
    }  # fmt: skip
    code, said = call("verify")
    assert code == 1
    assert f"5 of {len(identities.IDENTITIES)} identities do not hold" in said


def test_verify_names_a_focus_file_that_is_not_its_invoices(home):
    handmade.tenant_file(home, "alpha")
    handmade.land("alpha")
    handmade.bill("alpha")
    handmade.issue("alpha", in_focus="2.97")
    broken = {finding.identity: finding.example for finding in identities.verify() if not finding.holds}
    assert broken == {"FOCUS files = the invoices they name": "alpha/focus/2026-01/A1.csv"}


def test_verify_names_payments_that_nobody_accepted(home):
    handmade.tenant_file(home, "alpha")
    instruction = {
        "period": date(2026, 1, 31),
        "instruction_id": "i-1",
        "batch_id": "b-1",
        "payable_id": "p-1",
        "currency": "EUR",
    }
    batch = {"period": date(2026, 1, 31), "batch_id": "b-1", "currency": "EUR", "instruction_count": 1}
    mine = handmade.publication_of("payment_planning", "alpha")
    tables = [
        handmade.commit(
            "payables.payment_instructions", [instruction | {"amount": Decimal("2.98")}], mine, "alpha", "payment_planning"
        ),
        handmade.commit(
            "payables.payment_batches", [batch | {"control_sum": Decimal("2.99")}], mine, "alpha", "payment_planning"
        ),
    ]
    handmade.complete("payment_planning", "alpha", mine, tables, {("2026-01-31T23", "main"): {}})
    broken = {finding.identity: finding.example for finding in identities.verify() if not finding.holds}
    assert broken == {"a payment batch = its instructions": "b-1", "only what was accepted is paid, and once": "p-1"}


@pytest.mark.parametrize(("numbers", "holds"), [((2,), True), ((3,), False), ((1,), False)], ids=["next", "gap", "repeat"])
def test_verify_looks_for_gaps_and_repeats(house, numbers, holds):
    rows = [{key: value for key, value in handmade.invoiced("alpha", number).items()
             if key in ("period", "legal_entity_id", "series", "fiscal_year", "number", "invoice_number")}
            | {"invoice_id": an_id("other", str(number))} for number in numbers]  # fmt: skip
    handmade.commit("invoicing.number_register", rows, "reserved", "alpha", "invoice_generation")
    (series,) = (f for f in identities.verify(tenant="alpha") if f.identity == "numbers run from 1 without gap or repeat")
    assert series.holds is holds
    assert identities.reserved_only("alpha") == 1

"""make sql: reading only, complete publications only, one tenant if asked."""

from __future__ import annotations

import pytest

from jobs.runtime import delta_log, sql_shell
from jobs.runtime.errors import CallError
from jobs.runtime.sql_shell import Shell, statements
from tests.runtime import handmade
from tests.runtime.handmade import charge


@pytest.fixture(scope="module")
def house(spark, shared_home):
    """Alpha's and beta's January, and for alpha two publications that were never completed."""
    handmade.furnish(shared_home)
    handmade.commit("ledger.journal_lines", handmade.entry("alpha", "99"), "dangling", "alpha", "ledger_posting")
    handmade.bill("alpha", [charge(1, "P1", "777", "77.7", 1)], attempt=2, seen=False)
    return shared_home


@pytest.fixture
def ask(house, spark):
    """Ask one statement; the rows of its answer."""

    def asked(statement, tenant=None):
        frame, _ = Shell(spark, tenant).answer(statement)
        return [tuple(row) for row in frame.collect()]

    return asked


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE invoicing.invoices",
        "DELETE FROM invoicing.invoices",
        "INSERT INTO ops.runs SELECT * FROM ops.runs",
        "FROM ops.runs INSERT INTO ops.runs SELECT *",
        "WITH a AS (SELECT 1) INSERT INTO ops.runs SELECT * FROM a",
        "CREATE TABLE copied AS SELECT * FROM invoicing.invoices",
        "UPDATE invoicing.invoices SET net_amount = 0",
        "VACUUM invoicing.invoices",
        "OPTIMIZE invoicing.invoices",
        "RESTORE TABLE invoicing.invoices TO VERSION AS OF 0",
        "SET spark.sql.ansi.enabled = false",
        "CALL something()",
        "SELECT 1; DROP TABLE invoicing.invoices",
        "EXPLAIN DROP TABLE invoicing.invoices",
        "SELECT reflect('java.lang.System', 'getenv')",
        "SELECT * FROM delta.`/anywhere`",
        "SELECT * FROM parquet.`/anywhere`",
        "SELECT FROM WHERE",
        "",
    ],
)
def test_what_does_more_than_read_is_refused(home, statement):
    with pytest.raises(CallError) as refused:
        Shell(spark=None).answer(statement)
    assert "\n" not in str(refused.value)


def test_a_misspelt_table_gets_the_nearest_name(home):
    with pytest.raises(CallError, match=r"did you mean 'invoicing.invoices'"):
        Shell(spark=None).answer("SELECT * FROM invoicing.invoice")


def test_a_text_is_parted_into_statements():
    assert statements("SELECT ';' AS a; -- one; two\nSELECT 2;;") == ["SELECT ';' AS a", "-- one; two\nSELECT 2"]


def test_tables_stand_under_their_names(ask, house):
    assert ask("SELECT count(*) FROM invoicing.invoices") == [(2,)]
    assert ask("SELECT count(*) FROM invoicing.invoices VERSION AS OF 1") == [(1,)]
    assert ask(
        "WITH i AS (SELECT * FROM invoicing.invoices) SELECT count(*) FROM i JOIN raw.accounts a USING (tenant_id)"
    ) == [(2,)]
    assert [row[0] for row in ask("DESCRIBE HISTORY invoicing.invoices")] == [2, 1, 0]
    assert ("invoicing", "invoices", False) in ask("SHOW TABLES IN invoicing") or ask(
        "EXPLAIN SELECT 1 FROM invoicing.invoices"
    )
    assert delta_log.open_table("invoicing.invoices").version() == 2  # registering commits nothing


def test_incomplete_publications_are_not_seen(ask, house, spark):
    assert ask("SELECT count(*) FROM ledger.journal_lines") == [(6,)]
    assert ask("SELECT count(*) FROM ledger.journal_lines VERSION AS OF 3") == [(9,)]
    assert ask("SELECT DISTINCT billing.charges.quantity FROM billing.charges ORDER BY 1") == [(5,), (10,)]
    assert ask("SELECT (SELECT max(quantity) FROM billing.charges) AS most") == [(10,)]
    _, notes = Shell(spark).answer("SELECT * FROM billing.charges")
    assert len(notes) == 1
    assert "incomplete publications are left out" in notes[0]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT DISTINCT tenant_id FROM billing.charges",
        "SELECT DISTINCT c.tenant_id FROM billing.charges c",
        "SELECT DISTINCT tenant_id FROM billing.charges VERSION AS OF 2",
        "SELECT DISTINCT tenant_id FROM ops.publications",
        "SELECT DISTINCT explode(tenants) FROM ops.runs",
        "SELECT DISTINCT tenant_id FROM (SELECT * FROM raw.usage UNION ALL SELECT * FROM raw.usage)",
    ],
)
def test_a_session_held_to_a_tenant_sees_no_other(ask, statement):
    assert ask(statement, tenant="beta") == [("beta",)]


def test_a_session_held_to_a_tenant_reads_no_history(ask):
    with pytest.raises(CallError, match="speaks of every tenant"):
        ask("DESCRIBE HISTORY billing.charges", tenant="beta")


def test_another_home_on_the_same_server_sees_its_own_tables(house, home, spark, ask):
    handmade.furnish(home, ["alpha"])
    frame, _ = Shell(spark).answer("SELECT count(*) FROM invoicing.invoices")
    assert frame.collect()[0][0] == 1
    assert delta_log.open_table("invoicing.invoices").version() == 1


def test_one_statement_and_a_conversation(house, spark, capsys, monkeypatch):
    sql_shell.main("SELECT currency, sum(gross_amount) AS gross FROM invoicing.invoices GROUP BY currency")
    assert "5.96" in capsys.readouterr().out
    with pytest.raises(CallError, match=r"UNRESOLVED_COLUMN.*\(nothing was changed\)"):
        sql_shell.main("SELECT nope FROM invoicing.invoices")
    lines = iter(["SELECT count(*)", "FROM invoicing.invoices;", "DROP TABLE x;", "quit"])
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    sql_shell.main()
    said = capsys.readouterr().out
    assert "(1 row)" in said
    assert "CallError: 'DROP TABLE x'" in said

"""make sql: a Spark SQL session in which every table stands under its name, for reading only, complete publications only."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlglot
import typer
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sqlglot import exp
from sqlglot.errors import SqlglotError

from jobs.runtime import delta_log, ops, shown, storage
from jobs.runtime.books import OPS, known_tenant, literal
from jobs.runtime.config import nearest
from jobs.runtime.errors import CallError, CountingHouseError, RunBroke
from jobs.runtime.house import Snapshot, visible, visible_rows
from jobs.runtime.session import session
from jobs.runtime.tables import catalog

ROWS = 200  # what a terminal is given of an answer
READING = "Only SELECT, WITH, DESCRIBE, SHOW and EXPLAIN are answered; nothing was run."
BY_PATH = ("delta", "parquet", "csv", "json", "text", "orc", "avro", "binaryfile", "xml")
NOT_SQL = ("reflect", "java_method", "try_reflect")  # functions that call into the server
WELCOME = """Spark SQL over {tables} tables{held}. Statements end with ; and `quit` leaves. Try:
  SHOW TABLES IN invoicing;
  SELECT currency, count(*), sum(gross_amount) FROM invoicing.invoices GROUP BY currency;
  DESCRIBE HISTORY invoicing.invoices;   SELECT * FROM invoicing.invoices VERSION AS OF 1 LIMIT 5;"""

_EXPLAIN = re.compile(r"^\s*(EXPLAIN(?:\s+(?:EXTENDED|CODEGEN|COST|FORMATTED))?)\s+(.*)$", re.IGNORECASE | re.DOTALL)
_DESCRIBE = re.compile(
    r"^\s*DESC(?:RIBE)?\s+(?P<what>HISTORY\s+|DETAIL\s+|EXTENDED\s+|FORMATTED\s+|TABLE\s+(?:EXTENDED\s+)?)?"
    r"`?(?P<schema>\w+)`?\.`?(?P<table>\w+)`?(?:\s+LIMIT\s+\d+|\s+`?\w+`?)?\s*$",
    re.IGNORECASE,
)
_SHOW = re.compile(
    r"^\s*SHOW\s+(TABLES|VIEWS|SCHEMAS|DATABASES|COLUMNS|FUNCTIONS|TBLPROPERTIES|CREATE\s+TABLE|PARTITIONS)\b[^;]*$",
    re.IGNORECASE,
)
_WHOLE_TABLE = re.compile(r"^\s*(SHOW\s+PARTITIONS|DESC(?:RIBE)?\s+(HISTORY|DETAIL))\b", re.IGNORECASE)


@dataclass
class Shell:
    """One session and the tables that stand in it."""

    spark: SparkSession
    tenant: str | None = None
    standing: set[str] = field(default_factory=set)
    _before: dict[str, dict[str, str]] = field(
        default_factory=dict
    )  # schema -> table -> where it lay when this session began

    def register(self) -> int:
        """Let every table that exists stand under its name; how many there are."""
        for name in (*catalog(), *OPS):
            self._stand(name)
        return len(self.standing)

    def answer(self, statement: str) -> tuple[DataFrame, list[str]]:
        """The answer to one statement that only reads, and what has to be said about it."""
        text = statement.strip().rstrip(";").strip()
        explain = _EXPLAIN.match(text)
        if explain:
            query, notes = self._seen(explain[2])
            return self.spark.sql(f"{explain[1]} {query}"), notes
        described, listed = _DESCRIBE.match(text), _SHOW.match(text)
        if described or listed:
            if self.tenant is not None and _WHOLE_TABLE.match(text):
                raise CallError(
                    f"this speaks of every tenant, and the session is held to {self.tenant}. Ask `countinghouse audit history`."
                )
            if described:
                self._known(f"{described['schema']}.{described['table']}".lower())
            return self.spark.sql(text), []
        query, notes = self._seen(text)
        return self.spark.sql(query), notes

    def _seen(self, text: str) -> tuple[str, list[str]]:
        """A query that sees complete publications only, and of one tenant if the session is held to one."""
        query = _query(text)
        notes: list[str] = []
        rewritten = False
        own = {cte.alias_or_name.lower() for cte in query.find_all(exp.CTE)}
        for table in list(query.find_all(exp.Table)):
            if not isinstance(table.this, exp.Identifier) or (not table.db and table.name.lower() in own):
                continue  # a table function, or a name the statement itself defines
            name = f"{table.db}.{table.name}".lower() if table.db else table.name.lower()
            self._known(name)
            replaced = self._replacement(name, table, notes)
            if replaced is not None:
                rewritten = True
                table.replace(replaced)
        if not rewritten:
            return text, notes
        for column in query.find_all(exp.Column):
            column.set("db", None)  # schema.table.column: the table stands under its alias now
        return query.sql(dialect="spark"), notes

    def _replacement(self, name: str, table: exp.Table, notes: list[str]) -> exp.Expression | None:
        """What stands for a table in a statement; None where it can stand as it is."""
        alias = table.alias or table.name
        told_version = table.args.get("version")
        if told_version is not None:
            if self.tenant is None:
                return None
            return self._of_tenant(name, table, told_version.copy()).subquery(alias)
        if name in OPS:
            if self.tenant is None:
                return None
            return self._of_tenant(name, table, None).subquery(alias)
        declared = catalog()[name]
        seen = visible(declared, Snapshot.now())
        if not (seen.hidden or seen.without or self.tenant):
            return None
        if seen.hidden or seen.without:
            notes.append(
                f"{name}: commits of incomplete publications are left out; VERSION AS OF shows a version as it was committed."
            )
        rows = visible_rows(self.spark, declared, seen)
        if self.tenant is not None:
            rows = rows.where(F.col("tenant_id") == self.tenant)
        view = f"seen_{name.replace('.', '_')}"
        rows.createOrReplaceTempView(view)
        return exp.alias_(exp.to_table(view), alias, table=True)

    def _of_tenant(self, name: str, table: exp.Table, version: exp.Expression | None) -> exp.Select:
        """The rows of the session's tenant; a run of several tenants keeps what it says of the others to itself."""
        plain = exp.Table(this=table.this.copy(), db=table.args["db"].copy(), version=version)
        held = literal(self.tenant or "")
        if name != ops.RUNS:
            return exp.select("*").from_(plain).where(sqlglot.condition(f"tenant_id = {held}", dialect="spark"))
        told = {
            "tenants": f"array({held}) AS tenants",
            "message": "CASE WHEN size(tenants) = 1 THEN message END AS message",
            "detail": "CASE WHEN size(tenants) = 1 THEN detail END AS detail",
        }
        columns = [sqlglot.parse_one(told.get(column, column), dialect="spark") for column in ops.SCHEMAS[name].names]
        return (
            exp.select(*columns).from_(plain).where(sqlglot.condition(f"array_contains(tenants, {held})", dialect="spark"))
        )

    def _known(self, name: str) -> None:
        names = (*catalog(), *OPS)
        if name.partition(".")[0] in BY_PATH and "." in name:
            raise CallError("files are not read by their path here, a table stands under its name. Nothing was run.")
        if name not in names:
            raise CallError(f"there is no table '{name}'; {nearest(name, names)}")
        self._stand(name)
        if name not in self.standing:
            raise CallError(f"{name} has not been published yet. Nothing was run.")

    def _stand(self, name: str) -> None:
        """Register one table, if it exists and does not stand yet."""
        location = delta_log.location(name)
        if name in self.standing or not storage.exists(f"{location}/_delta_log"):
            return
        schema = name.partition(".")[0]
        if schema not in self._before:
            self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            self._before[schema] = self._registered(schema)
        before = self._before[schema].get(name)
        if before is not None and before.removeprefix("file:").rstrip("/") != location.removeprefix("file://").rstrip("/"):
            self.spark.sql(
                f"DROP TABLE {name}"
            )  # the name of another home's table, on a server that serves both; files stay
            before = None
        if before is None:
            self.spark.sql(f"CREATE TABLE IF NOT EXISTS {name} USING delta LOCATION {literal(location)}")
        self.standing.add(name)

    def _registered(self, schema: str) -> dict[str, str]:
        """Where the tables of a schema lie that an earlier session of this server has registered."""
        found = {}
        for row in self.spark.sql(f"SHOW TABLE EXTENDED IN {schema} LIKE '*'").collect():
            told = re.search(r"^Location: (.*)$", row["information"], re.MULTILINE)
            if told and not row["isTemporary"]:
                found[f"{schema}.{row['tableName']}"] = told[1].strip()
        return found


def _query(text: str) -> exp.Expression:
    """One statement as a tree, refused unless all it does is read."""
    try:
        parsed = [tree for tree in sqlglot.parse(text, dialect="spark") if tree is not None]
    except SqlglotError as error:
        told = (getattr(error, "errors", None) or [{}])[0]
        where = f" in line {told['line']}, column {told['col']}" if told.get("line") else ""
        raise CallError(f"the statement could not be understood{where}. {READING}") from None
    if len(parsed) != 1 or not isinstance(parsed[0], exp.Query):
        raise CallError(f"'{' '.join(text.split())[:60]}' is not one statement that reads. {READING}")
    query = parsed[0]
    if any(not isinstance(found, exp.Query) for found in query.find_all(exp.DML, exp.DDL, exp.Command, exp.Into)):
        raise CallError(f"the statement does more than read. {READING}")
    for function in query.find_all(exp.Func):
        if (function.name if isinstance(function, exp.Anonymous) else function.sql_name()).lower() in NOT_SQL:
            raise CallError(f"a function of the statement calls into the server. {READING}")
    return query


def show(frame: DataFrame) -> str:
    """An answer as a table of text, cut after ROWS rows."""
    names: list[str] = []
    for column in frame.columns:
        names.append(column if column not in names else f"{column} ({names.count(column) + 1 + len(names)})")
    found = frame.limit(ROWS + 1).collect()
    rows = [dict(zip(names, (_plain(value) for value in row), strict=True)) for row in found[:ROWS]]
    more = f"\n… more than {ROWS} rows; add a LIMIT or a WHERE." if len(found) > ROWS else ""
    count = "" if more else f"\n({len(rows)} row{'s' if len(rows) != 1 else ''})"
    return shown.table(rows, names, full=True) + more + count


def _plain(value: object) -> object:
    return value.asDict(recursive=True) if hasattr(value, "asDict") else value


def statements(text: str) -> list[str]:
    """The statements of a text, parted by semicolons that stand in no quotes and no comments."""
    from sqlglot.tokens import Tokenizer, TokenType

    found, begin = [], 0
    try:
        for token in Tokenizer(dialect="spark").tokenize(text):
            if token.token_type == TokenType.SEMICOLON:
                found.append(text[begin : token.start])
                begin = token.end + 1
    except SqlglotError:
        return [text]
    return [one.strip() for one in (*found, text[begin:]) if one.strip()]


def main(statement: str | None = None, tenant: str | None = None) -> None:
    """Answer the statements given, or ask for them until `quit`."""
    known_tenant(tenant)
    for noisy in ("sqlglot", "SQLQueryContextLogger"):  # their complaints come back as one sentence
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    with session() as spark:
        shell = Shell(spark, tenant)
        if statement is not None:
            for one in statements(statement):
                _say(shell, one)
            return
        held = f", held to tenant {tenant}" if tenant else ""
        typer.echo(WELCOME.format(tables=shell.register(), held=held))
        _converse(shell)


def _converse(shell: Shell) -> None:
    """Read statements from the terminal; an error is a sentence, and the next statement is asked for."""
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (gives input() its line editing)

    waiting: Sequence[str] = ()
    while True:
        try:
            line = input("   ...> " if waiting else "sql> ")
        except EOFError:
            return
        except KeyboardInterrupt:
            typer.echo("")
            waiting = ()
            continue
        if not waiting and line.strip().rstrip(";").lower() in ("quit", "exit"):
            return
        waiting = (*waiting, line) if line.strip() or waiting else ()
        if not line.rstrip().endswith(";"):
            continue
        text, waiting = "\n".join(waiting), ()
        for one in statements(text):
            try:
                _say(shell, one)
            except KeyboardInterrupt:
                shell.spark.interruptAll()
                typer.echo("stopped.")
            except CountingHouseError as error:
                typer.echo(str(error))
                if isinstance(error, RunBroke):
                    return


def _say(shell: Shell, statement: str) -> None:
    try:
        frame, notes = shell.answer(statement)
        for note in notes:
            typer.echo(f"note: {note}")
        typer.echo(show(frame))
    except PySparkException as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if "UNAVAILABLE" in first or "RETRIES_EXCEEDED" in first:
            raise RunBroke("the Spark server does not answer. Nothing was changed; start this again.") from None
        raise CallError(f"{first[:300]} (nothing was changed)") from None

"""countinghouse: the console; the same code that the DAGs submit."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from jobs.ledger.periods import Period
from jobs.runtime import audit_cli, config, verbs
from jobs.runtime.contract import Invocation, Outcome
from jobs.runtime.errors import EXIT_BROKE, EXIT_REFUSED, CallError, CountingHouseError, RunBroke
from jobs.runtime.logs import say

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
server = typer.Typer(no_args_is_help=True, help="The Spark server of this home.")
app.add_typer(server, name="server")
app.add_typer(audit_cli.app, name="audit")

PeriodOption = Annotated[str, typer.Option("--period", help="The month, like 2026-10.")]
Tenants = Annotated[Optional[list[str]], typer.Option("--tenant", help="Only this tenant; may be repeated.")]  # noqa: UP045


@app.command()
def land(feed: str, files: list[Path], tenant: Annotated[str, typer.Option("--tenant", help="Whose files.")]) -> None:
    """Copy files into landing, atomically."""
    from jobs.ingestion.files import land as put
    from jobs.ledger.tenants import chosen

    for path in put(feed, chosen((tenant,))[tenant], files):
        tell(f"landed {config.display(path)}")


@app.command()
def run(
    stage: str,
    period: PeriodOption,
    tenant: Tenants = None,
    verb: Annotated[Optional[str], typer.Option(help="Only write, audit or publish.")] = None,  # noqa: UP045
    issue_date: Annotated[Optional[str], typer.Option(help="The date on the documents; fixed at first issue.")] = None,  # noqa: UP045
    replay: Annotated[Optional[str], typer.Option(help="tenant/feed/file to read again with a mended mapping.")] = None,  # noqa: UP045
    lane: Annotated[str, typer.Option(help="Of a stage that has several: receipts, documents, ...")] = "main",
    validated_share: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Lane documents: share of files that the official rules are run on; 1 is all."),
    ] = None,
    from_raw: Annotated[
        bool, typer.Option("--from-raw", help="Rate every usage record, not the sums made at landing.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in every commit.")] = "",
    run_key: Annotated[Optional[str], typer.Option(help="Name of the run; verbs given one by one share it.")] = None,  # noqa: UP045
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, do nothing.")] = False,
) -> None:
    """Run one stage for one month: write, audit, publish."""
    Period(period)
    named = {
        "issue_date": issue_date, "replay": replay, "validated_share": validated_share, "from": "raw" if from_raw else None,
    }  # fmt: skip
    invocation = Invocation(
        stage=stage,
        period=period,
        run_key=run_key or f"console-{secrets.token_hex(4)}",
        tenants=tuple(tenant or ()),
        lane=lane,
        parameters={key: value for key, value in named.items() if value is not None},
        actor=os.environ.get("COUNTINGHOUSE_ACTOR") or getpass.getuser(),
        reason=reason,
    )
    if dry_run:
        tell(verbs.dry_run(invocation))
        return
    conclude(verbs.perform(verb, invocation) if verb else verbs.run_stage(invocation))


@app.command("validate-documents")
def validate_documents(
    period: PeriodOption,
    tenant: Tenants = None,
    share: Annotated[str, typer.Option(help="Of documents, chosen by their ids; 1 is all.")] = "1",
) -> None:
    """Look at the files of a month's documents as they stand: their hashes, and the official rules; nothing is changed."""
    from jobs.invoice_generation import document_lane
    from jobs.ledger.tenants import chosen
    from jobs.runtime.house import Snapshot
    from jobs.runtime.session import session

    month, part = (
        Period(period).required("month", "invoice_generation"),
        document_lane.validated_share({document_lane.SHARE: share}),
    )
    names = tuple(chosen(tuple(tenant or ())))
    with session() as spark:
        found = document_lane.looked_at(spark, Snapshot.now(), month, names, part)
    for one in found:
        wrong = f", e.g. {one.example}" if one.example else ""
        tell(
            f"{one.tenant_id} {period}: {one.files} files, {one.changed} are not what is listed, {one.failed} break a rule{wrong}"
        )
    if not found:
        tell(f"{period}: no documents were rendered.")
    if any(one.changed or one.failed for one in found):
        raise typer.Exit(EXIT_REFUSED)


@app.command("check-conf")
def check_conf() -> None:
    """Validate everything in conf/; nothing is started."""
    from jobs.runtime.check_conf import check

    tell(check())


@app.command()
def rehearse(
    scale: Annotated[int, typer.Option(help="1: five tenants, 100,000 usage rows a month; 20: eighty tenants.")] = 1,
    seed: Annotated[int, typer.Option(help="Another seed is another world.")] = 7,
    months: Annotated[int, typer.Option(help="How many months.")] = 3,
) -> None:
    """Make a simulated world and bill it through Airflow, month after month; ends with the figures beside the truth, and fails where they differ."""
    from jobs.runtime import airflow_home, report
    from jobs.runtime.report_facts import facts
    from jobs.runtime.session import shared, warm
    from jobs.simulation.rehearsal import prepare
    from jobs.simulation.rehearsal import rehearse as play
    from jobs.simulation.world import World

    before, world = _versions(), World(scale=scale, seed=seed, months=months)
    with ThreadPoolExecutor(1) as beside:
        made = beside.submit(prepare, world, config.home(), say)  # while the server starts
        with shared() as spark:
            if not before:
                warm(spark)
                import_module("great_expectations")  # takes seconds, which the first gate would wait for
            made.result()
            well = play(world, config.home(), say, airflow_home.run_dag)
    told = facts()
    report.write(told)
    tell(report.summary(told))
    if before and before == _versions():
        tell("Nothing has changed: every table stands at the version it had before this run.")
    wrong = report.wrong(told)
    if wrong:
        tell(f"This is not as it should be: {'; '.join(wrong)}. The report names where.")
    if wrong or not well:
        raise typer.Exit(EXIT_REFUSED)


def _versions() -> dict[str, int]:
    """The version of every published table that exists."""
    from jobs.runtime import delta_log
    from jobs.runtime.tables import catalog

    opened = {name: delta_log.open_table(name) for name in catalog()}
    return {name: int(table.version()) for name, table in opened.items() if table is not None}


@app.command("simulate-world")
def simulate_world(
    directory: Path,
    scale: Annotated[int, typer.Option(help="1: five tenants; 20: eighty tenants.")] = 1,
    seed: Annotated[int, typer.Option(help="Another seed is another world.")] = 7,
    months: Annotated[int, typer.Option(help="How many months.")] = 3,
) -> None:
    """Write a seeded world, in the real feed formats, with its truth beside it."""
    from jobs.simulation.world import World
    from jobs.simulation.world import simulate_world as simulate

    simulate(World(scale=scale, seed=seed, months=months), directory.resolve(), say)
    tell(f"{directory}: outbox/ holds each month's deliveries, conf/ the tenants, truth/ what is right.")


@app.command()
def airflow() -> None:
    """The Airflow UI on loopback with the Spark server beside it, until Ctrl-C."""
    from jobs.runtime import airflow_home

    airflow_home.serve()


@app.command()
def sql(
    statement: Annotated[Optional[str], typer.Option("-e", help="One statement instead of a shell.")] = None,  # noqa: UP045
    tenant: Annotated[Optional[str], typer.Option("--tenant", help="Hold every table to one tenant.")] = None,  # noqa: UP045
) -> None:
    """Spark SQL over every published table, with VERSION AS OF and DESCRIBE HISTORY."""
    from jobs.runtime import sql_shell

    sql_shell.main(statement, tenant)


@app.command()
def status(tenant: Annotated[Optional[str], typer.Option("--tenant")] = None) -> None:  # noqa: UP045
    """Periods, last runs, gates, quarantine, and what waits for a person."""
    from jobs.runtime import status as books

    tell(books.tell(tenant))


@app.command("report")
def write_report() -> None:
    """Write the HTML report, and say on one screen what it shows."""
    from jobs.runtime import report

    report.write()
    tell(report.summary())


@server.command("start")
def server_start() -> None:
    """Start the server, or say that it runs."""
    from jobs.runtime import spark_server

    found, started = spark_server.ensure()
    tell(f"Spark server {'started' if started else 'runs already'}: pid {found.pid}, port {found.port}")


@server.command("stop")
def server_stop() -> None:
    """Stop the server."""
    from jobs.runtime import spark_server

    tell("Spark server stopped." if spark_server.stop() else "No Spark server runs for this home.")


def conclude(outcome: Outcome) -> None:
    """Say how a verb ended; a held tenant is exit code 1."""
    tell(outcome.message)
    if outcome.status == "held":
        raise typer.Exit(EXIT_REFUSED)


def tell(text: str) -> None:
    """The console's answer, on standard output."""
    typer.echo(text)


def main() -> None:
    """Entry point: errors become a sentence and an exit code, never a stack trace."""
    code = 0
    try:
        code = app(standalone_mode=False) or 0  # typer hands the code of an Exit back
    except typer.Exit as ended:
        code = ended.exit_code
    except CountingHouseError as error:
        typer.echo(str(error), err=True)
        code = error.exit_code
    except KeyboardInterrupt:
        code = EXIT_BROKE
    except BaseException as error:  # a panic of a Rust library is no Exception
        code = _broke(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a Connect client whose server has died hangs in its own clean-up


def _broke(error: BaseException) -> int:
    """Errors that nobody foresaw, in a sentence; the whole story goes to the log file."""
    import errno
    import traceback

    if hasattr(error, "format_message"):  # a wrong call; typer brings a click of its own, so its class has no one name
        typer.echo(f"{CallError.__name__}: {error.format_message()} Nothing was started.", err=True)
        return CallError.exit_code
    if isinstance(error, typer.Abort):
        return EXIT_BROKE
    text = str(error)
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in text:
        message = "the disk is full. Nothing became visible; what was published before stands. Make room and run this again."
    else:
        first = text.splitlines()[0][:300] if text else ""
        message = f"{type(error).__name__}: {first}. Nothing of this verb became visible. Run it again; see logs/countinghouse.jsonl."
    try:
        log = config.home() / "logs"
        log.mkdir(parents=True, exist_ok=True)
        with (log / "countinghouse.jsonl").open("a") as stream:
            stream.write(json.dumps({"level": "ERROR", "trace": traceback.format_exc()}) + "\n")
    except OSError:
        typer.echo("(the log file could not be written)", err=True)
    broke: Any = RunBroke(message)
    typer.echo(str(broke), err=True)
    return EXIT_BROKE

"""countinghouse: the console; the same code that the DAGs submit."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from jobs.ledger.periods import Period
from jobs.runtime import config, verbs
from jobs.runtime.errors import EXIT_BROKE, EXIT_REFUSED, CallError, CountingHouseError, RunBroke
from jobs.runtime.verbs import Invocation, Outcome

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
server = typer.Typer(no_args_is_help=True, help="The Spark server of this home.")
app.add_typer(server, name="server")

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
    reason: Annotated[str, typer.Option(help="Why; kept in every commit.")] = "",
    run_key: Annotated[Optional[str], typer.Option(help="Name of the run; verbs given one by one share it.")] = None,  # noqa: UP045
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, do nothing.")] = False,
) -> None:
    """Run one stage for one month: write, audit, publish."""
    Period(period)
    named = {"issue_date": issue_date, "replay": replay}
    invocation = Invocation(
        stage=stage,
        period=period,
        run_key=run_key or f"console-{secrets.token_hex(4)}",
        tenants=tuple(tenant or ()),
        parameters={key: value for key, value in named.items() if value is not None},
        actor=os.environ.get("COUNTINGHOUSE_ACTOR") or getpass.getuser(),
        reason=reason,
    )
    if dry_run:
        tell(verbs.dry_run(invocation))
        return
    report(verbs.perform(verb, invocation) if verb else verbs.run_stage(invocation))


@app.command("check-conf")
def check_conf() -> None:
    """Validate everything in conf/; nothing is started."""
    from jobs.runtime.check_conf import check

    tell(check())


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


def report(outcome: Outcome) -> None:
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
        app(standalone_mode=False)
    except typer.Exit as ended:
        code = ended.exit_code
    except CountingHouseError as error:
        typer.echo(str(error), err=True)
        code = error.exit_code
    except Exception as error:
        code = _broke(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a Connect client whose server has died hangs in its own clean-up


def _broke(error: Exception) -> int:
    """Errors that nobody foresaw, in a sentence; the whole story goes to the log file."""
    import errno
    import traceback

    import click

    if isinstance(error, click.ClickException):
        typer.echo(f"{CallError.__name__}: {error.format_message()}", err=True)
        return CallError.exit_code
    if isinstance(error, click.exceptions.Abort):
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

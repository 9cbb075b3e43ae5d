"""`make bench`: a month of usage landed and charged by the real path, and by DuckDB on the same files, side by side.

Then the stages that decide, at a million rows and a tenth of that (tests/benchmarks/decisions.py), and those that issue and post, at a
million documents of ten lines and a tenth of that (issuing.py); as many documents are rendered (papers.py).

Every figure of docs/benchmarks.md comes from here. Nothing is touched but a scratch folder, which is removed, and
artifacts/bench.json. Run as `.venv/bin/python tests/benchmarks/bench.py [--rows N] [--decisions N] [--documents N] [--papers N] [--tenants 0] [--small] [--scratch DIR]
[--repeat N]`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console
from rich.table import Table

from jobs.runtime import delta_log, ops, session, spark_server, verbs
from jobs.runtime.config import ROOT
from jobs.runtime.contract import Invocation
from jobs.runtime.environment import environment
from jobs.runtime.logs import say
from tests.benchmarks import decisions, issuing, papers
from tests.benchmarks.measure import Children, Measured, family, measured, peak_megabytes
from tests.benchmarks.rows import PERIOD, Month, files_for, write_late, write_tenant

ROWS, SMALL_ROWS = 20_000_000, 200_000
DECISIONS, SMALL_DECISIONS = 1_000_000, 10_000
DOCUMENTS, SMALL_DOCUMENTS = 1_000_000, 1_000
PAPERS, SMALL_PAPERS = 1_000_000, 1_000
ROWS_OF_AN_ACCOUNT = 1_000
BIG, LITTLE = "bench-big", ("bench-little-1", "bench-little-2")
TENANT_COUNTS, ROWS_OF_A_TINY_TENANT = (1, 20, 80), 200
THREADS = 2
ONE_LATE_IN = 100
CHEAP_ROWS = 3_000_000  # up to so many rows landing is repeated too
VERBS = ("write", "audit", "publish")
BESIDE = (("landing", "land"), ("rebuild", "charge"), ("rebuild", "whole"), ("close", "whole"))  # what DuckDB does beside it
GROWING = ("landing", "rebuild", "close")

Figures = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything, show it and keep it; 1 when DuckDB and we disagree."""
    asked = _asked(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # a time limit stops the server too
    made = asked.scratch is None
    scratch = Path(tempfile.mkdtemp(prefix="countinghouse-bench-")) if made else asked.scratch
    rows = SMALL_ROWS if asked.small else asked.rows
    figures: Figures = {"rows": rows, "processors": os.cpu_count(), "scales": []}
    try:
        for count in (rows // 10, rows) if rows else ():
            figures["scales"].append(_scale(count, rows // ROWS_OF_AN_ACCOUNT, scratch / f"home-{count}", asked.repeat))
            _keep(figures)
        if figures["scales"]:
            figures["growth"] = _growth(*figures["scales"])
        size = SMALL_DECISIONS if asked.small else asked.decisions
        figures["decisions"] = [_decisions(count, scratch / f"decisions-{count}") for count in (size // 10, size) if count]
        _keep(figures)
        documents = SMALL_DOCUMENTS if asked.small else asked.documents
        figures["issuing"] = [
            _issuing(count, scratch / f"issuing-{count}") for count in (documents // 10, documents) if count
        ]
        _keep(figures)
        size = SMALL_PAPERS if asked.small else asked.papers
        figures["papers"] = [_papers(count, scratch / f"papers-{count}") for count in (size // 10, size) if count]
        _keep(figures)
        if asked.tenants:
            figures["tenants"] = _further_tenants(scratch / "home-tenants")
            _keep(figures)
    finally:
        if made:
            shutil.rmtree(scratch, ignore_errors=True)
    _show(figures)
    return 0 if all(scale["duckdb_compare"]["equal"] for scale in figures["scales"]) else 1


def _keep(figures: Figures) -> None:
    """What is known so far, so that a run that is cut short has told something."""
    target = ROOT / "artifacts" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows",
        type=int,
        default=ROWS,
        help="usage rows of the month; a tenth of them is run before, for growth; 0 leaves it out",
    )
    parser.add_argument(
        "--decisions", type=int, default=DECISIONS, help="payables, accounts and open items; 0 leaves this part out"
    )
    parser.add_argument(
        "--documents", type=int, default=DOCUMENTS, help="of ten lines, to be issued; 0 leaves this part out"
    )
    parser.add_argument(
        "--papers", type=int, default=PAPERS, help="documents of ten lines, to be rendered; 0 leaves this part out"
    )
    parser.add_argument(
        "--tenants", type=int, choices=(0, 1), default=1, help="the cost of a further tenant; 0 leaves this part out"
    )
    parser.add_argument("--small", action="store_true", help=f"{SMALL_ROWS:,} rows: whether it works, not how fast")
    parser.add_argument("--scratch", type=Path, help="an own folder, which is then kept; default a temporary one")
    parser.add_argument("--repeat", type=int, default=3, help="how often what is cheap is repeated; medians are told")
    return parser.parse_args(arguments)


@contextmanager
def _home(home: Path) -> Iterator[int]:
    """A home with a warm server of its own; its process id."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    before = {name: os.environ.get(name) for name in ("COUNTINGHOUSE_HOME", "COUNTINGHOUSE_ENVIRONMENT")}
    os.environ |= {"COUNTINGHOUSE_HOME": str(home), "COUNTINGHOUSE_ENVIRONMENT": "bench"}
    try:
        with session.shared():
            server = spark_server.running()
            assert server is not None
            yield server.pid
    finally:
        spark_server.stop()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _scale(rows: int, accounts: int, home: Path, repeat: int) -> Figures:
    """Land and charge a month of `rows` rows, ours and DuckDB's; charge it again from its records, and after late rows."""
    told: Figures = {"rows": rows, "accounts": accounts}
    with _home(home) as server, Children(server) as workers:
        say(f"{rows:,} rows: drawing them")
        big = Month(BIG, rows, accounts, files_for(rows))
        little = [Month(name, 4_000, 40, 2) for name in LITTLE]
        for month in (*little, big):
            write_tenant(month, home)
        told["landing_megabytes"] = sum(path.stat().st_size for path in home.glob("landing/*/*/*")) / 2**20
        held_back = _hold_back(home / "landing" / BIG / "usage")
        _all_verbs("ingestion", LITTLE, server)  # warms the server up, and is there for the tenants to be told apart
        _all_verbs("billing_aggregation", LITTLE, server)
        told["landing_accounts_and_prices"] = _all_verbs("ingestion", (BIG,), server)
        held_back()
        told["landing"] = _all_verbs("ingestion", (BIG,), server, repeat if rows <= CHEAP_ROWS else 1)
        told["rollup"] = _rollup(server, home / "rollup", repeat)
        told["close"] = _all_verbs("billing_aggregation", (BIG,), server, repeat)
        charges = _files("billing.charges")
        told["rebuild"] = _all_verbs("billing_aggregation", (BIG,), server, repeat, name="all-records", **{"from": "raw"})
        told["server_peak_megabytes"] = peak_megabytes(server)
        published = {name: _files(f"raw.{name}") for name in ("usage", "accounts", "prices")}
        delivered = [(str(path), BIG, at) for at, path in enumerate(sorted((home / "landing" / BIG / "usage").glob("*")))]
        request = published | {
            "charges": charges, "rebuilt": _files("billing.charges"), "threads": THREADS, "repeat": repeat, "files": delivered,
            "folder": str(home / "duckdb"), "first_day": f"{PERIOD}-01",
        }  # fmt: skip
        (home / "duckdb").mkdir()
        for verb in ("land", "charge", "whole", "compare"):
            told[f"duckdb_{verb}"] = _duckdb(verb, request, home)
        told["late_rows"] = write_late(big, home, ONE_LATE_IN)
        told["late_landing"] = _all_verbs("ingestion", (BIG,), server, name="late")
        told["close_after_late_rows"] = _all_verbs("billing_aggregation", (BIG,), server, repeat, name="late")
    told["workers_peak_megabytes"] = workers.megabytes
    shutil.rmtree(home)
    return told


def _hold_back(folder: Path) -> Callable[[], object]:
    """Take a folder out of landing until the returned function is called."""
    aside = folder.parent / f".{folder.name}"
    folder.rename(aside)
    return lambda: aside.rename(folder)


def _rollup(server: int, folder: Path, repeat: int) -> Figures:
    """What summing the usage takes of landing's seconds: the same sums once more, of the usage that was published."""
    from jobs.ingestion.rollup import rolled_up
    from jobs.ledger.price_spans import ZONES, price_spans

    took = []
    with session.session() as spark:
        zones = spark.createDataFrame([(BIG, "UTC", None)], ZONES)
        usage, prices = (
            spark.read.format("delta").load(delta_log.location(name)).where(f"tenant_id = '{BIG}'")
            for name in ("raw.usage", "raw.prices")
        )
        for _ in range(repeat):
            with measured(_roots(server)) as one:
                rows = rolled_up(usage, price_spans(prices, zones)).repartition(THREADS, "account_id")
                rows.sortWithinPartitions("account_id", "product_id").write.mode("overwrite").parquet(str(folder))
            took.append(one)
    return _median(took)


def _all_verbs(
    stage: str,
    tenants: tuple[str, ...],
    server: int,
    repeat: int = 1,
    period: str = PERIOD,
    name: str = "",
    **parameters: str,
) -> Figures:
    """Each verb of a stage by the real path; write is done `repeat` times, because it does its work until it is published."""
    told: Figures = {}
    key = f"bench-{stage}-{'-'.join(tenants)}-{name}"
    invocation = Invocation(stage, period, run_key=key, tenants=tenants, parameters=parameters)
    for verb in VERBS:
        took = []
        for _ in range(repeat if verb == "write" else 1):
            _forget_hashes()
            with measured(_roots(server)) as one:
                outcome = verbs.perform(verb, invocation)
            assert outcome.status == "done", outcome.message
            took.append(one)
        told[verb] = _median(took)
    return told


def _roots(server: int) -> tuple[int, ...]:
    """Our own process and the server's, which is its child only when this process has started it."""
    me = os.getpid()
    return (me,) if server in family([me]) else (me, server)


def _forget_hashes() -> None:
    """A real run is a process of its own and hashes its files anew."""
    from jobs.ingestion import files

    files._sha256.cache_clear()


def _median(took: Sequence[Measured]) -> Figures:
    return {key: statistics.median(asdict(one)[key] for one in took) for key in asdict(took[0])}


def _files(table: str) -> list[str]:
    """The files of the published version, without those of the little tenants."""
    opened = delta_log.open_table(table)
    assert opened is not None, table
    return sorted(uri for uri in opened.file_uris() if f"tenant_id={BIG}/" in uri)


def _duckdb(verb: str, request: Figures, home: Path) -> Figures:
    asked = home / "request.json"
    asked.write_text(json.dumps(request), encoding="utf-8")
    command = [sys.executable, str(Path(__file__).with_name("duck.py")), verb, str(asked)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    told: Figures = json.loads(said)
    say(f"DuckDB {verb}: {told.get('seconds', 0):.1f} s")
    return told


def _further_tenants(home: Path) -> Figures:
    """Landing and aggregation of 1, 20 and 80 tiny tenants that share one mapping."""
    told: Figures = {}
    with _home(home) as server:
        names = [f"bench-tiny-{number:03d}" for number in range(2 + sum(TENANT_COUNTS))]
        left = iter(names)
        for count in (2, *TENANT_COUNTS):  # the first two only warm the server up
            tenants = tuple(next(left) for _ in range(count))
            for tenant in tenants:
                write_tenant(Month(tenant, ROWS_OF_A_TINY_TENANT, 10, 1), home)
            took = {stage: _all_verbs(stage, tenants, server) for stage in ("ingestion", "billing_aggregation")}
            told[str(count)] = took
    shutil.rmtree(home)
    few, many = TENANT_COUNTS[0], TENANT_COUNTS[-1]
    told.pop("2")
    told["seconds_per_further_tenant"] = {
        stage: {
            verb: (told[str(many)][stage][verb]["seconds"] - told[str(few)][stage][verb]["seconds"]) / (many - few)
            for verb in VERBS
        }
        for stage in ("ingestion", "billing_aggregation")
    }
    return told


def _decisions(size: int, home: Path) -> Figures:
    """What the deciding stages take for a tenant of so many accounts, open items and payables, and a tenth as many receipts."""
    world = decisions.World(size)
    told: Figures = {"size": size, "counts": world.counts}
    mine = (decisions.TENANT,)
    with _home(home) as server, Children(server) as workers:
        say(f"{size:,} payables, accounts and open items: drawing and landing them")
        decisions.write(world, home)
        _all_verbs("ingestion", mine, server, period=decisions.MONTH)
        _all_verbs("ledger_posting", mine, server, period=decisions.MONTH)
        for stage, period, _ in decisions.STAGES:
            told[stage] = _all_verbs(stage, mine, server, period=period)
            told[f"{stage}_published"] = _published(stage)
        told["server_peak_megabytes"] = peak_megabytes(server)
    told["workers_peak_megabytes"] = workers.megabytes
    shutil.rmtree(home)
    return told


def _issuing(documents: int, home: Path) -> Figures:
    """What it takes to issue so many documents of ten lines, and to post them."""
    world = issuing.World(documents)
    told: Figures = {"documents": documents, "lines": world.lines}
    mine = (issuing.TENANT,)
    with _home(home) as server, Children(server) as workers:
        say(f"{documents:,} documents: drawing, landing and charging them")
        issuing.write(world, home)
        for stage in ("ingestion", "billing_aggregation"):
            _all_verbs(stage, mine, server, period=issuing.MONTH)
        for stage in issuing.STAGES:
            told[stage] = _all_verbs(stage, mine, server, period=issuing.MONTH)
        told["published"] = _published(issuing.STAGES[0])
        told["server_peak_megabytes"] = peak_megabytes(server)
    told["workers_peak_megabytes"] = workers.megabytes
    shutil.rmtree(home)
    return told


def _papers(size: int, home: Path) -> Figures:
    """What it takes to render, validate, read back and let stand so many documents of ten lines."""
    with _home(home) as server, Children(server) as workers, session.session() as spark:
        say(f"{size:,} documents of {papers.LINES} lines: drawing and rendering them")
        papers.figures(spark, 100, home / "warm", server, environment().shuffle_partitions)
        told = papers.figures(spark, size, home / "papers", server, environment().shuffle_partitions)
        told["server_peak_megabytes"] = peak_megabytes(server)
    told["workers_peak_megabytes"] = workers.megabytes
    shutil.rmtree(home)
    return told


def _published(stage: str) -> dict[str, int]:
    """Rows by table of a stage's only publication."""
    (publication,) = (found for unit, found in ops.publications().items() if unit.stage == stage)
    return {table.name: table.rows for table in publication.tables}


def _work(stage: Figures, key: str = "seconds") -> float:
    """Write and publish; the audit is told apart."""
    return float(stage["write"][key] + stage["publish"][key])


def _growth(less: Figures, more: Figures) -> Figures:
    told: Figures = {"rows": more["rows"] / less["rows"]}
    for what in GROWING:
        told[what] = {key: _work(more[what], key) / _work(less[what], key) for key in ("seconds", "cpu_seconds")}
    return told


def _show(figures: Figures) -> None:
    console = Console(width=125)
    for scale in figures["scales"]:
        table = Table(title=f"{scale['rows']:,} usage rows, {scale['duckdb_compare']['charges']['charges']:,} charges")
        for heading in (
            "",
            "seconds",
            "CPU s",
            "DuckDB s",
            "DuckDB CPU s",
            "ratio",
            "CPU ratio",
            "rows/s",
            "rows/CPU s",
            "others",
        ):
            table.add_column(heading, justify="right" if heading else "left")
        for what, duck in BESIDE:
            _show_row(table, what, scale[what], scale[f"duckdb_{duck}"], scale["rows"])
        console.print(table)
        close, late = _work(scale["close"]), _work(scale["close_after_late_rows"])
        console.print(
            f"of landing, summing the usage: {scale['rollup']['seconds']:.1f} s; a close after {scale['late_rows']:,} late rows: "
            f"{late:.1f} s, {late / close:.2f} times the close before (landing them {_work(scale['late_landing']):.1f} s)"
        )
        ducks = max(scale[f"duckdb_{verb}"]["peak_megabytes"] for verb in ("land", "charge", "whole"))
        console.print(
            f"peak memory: server {scale['server_peak_megabytes']:,.0f} MB, its Python workers {scale['workers_peak_megabytes']:,.0f} MB, "
            f"DuckDB {ducks:,.0f} MB; results {'equal' if scale['duckdb_compare']['equal'] else 'NOT EQUAL'}"
        )
    if growth := figures.get("growth"):
        told = ", ".join(f"{what} {growth[what]['seconds']:.1f} (CPU {growth[what]['cpu_seconds']:.1f})" for what in GROWING)
        console.print(f"growth with {growth['rows']:.0f} times the rows: {told}")
    if figures["decisions"]:
        _show_decisions(console, figures["decisions"])
    if figures["issuing"]:
        _show_issuing(console, figures["issuing"])
    if figures["papers"]:
        _show_papers(console, figures["papers"])
    if "tenants" in figures:
        _show_tenants(console, figures["tenants"])


def _show_tenants(console: Console, tenants: Figures) -> None:
    table = Table(title="tiny tenants that share a mapping: seconds of write + audit + publish")
    for heading in ("tenants", "ingestion", "billing_aggregation"):
        table.add_column(heading, justify="right")
    for count in map(str, TENANT_COUNTS):
        table.add_row(
            count, *(f"{sum(verb['seconds'] for verb in tenants[count][stage].values()):.1f}" for stage in tenants[count])
        )
    per = tenants["seconds_per_further_tenant"]
    table.add_row("each further one", *(f"{sum(stage.values()):.3f}" for stage in per.values()))
    console.print(table)


def _show_row(table: Table, what: str, stage: Figures, duck: Figures, rows: int) -> None:
    """A stage beside what DuckDB takes, and its audit."""
    seconds, cpu, audit = _work(stage), _work(stage, "cpu_seconds"), stage["audit"]
    table.add_row(
        f"{what}: write, publish", f"{seconds:.1f}", f"{cpu:.1f}", f"{duck['seconds']:.1f}", f"{duck['cpu_seconds']:.1f}",
        f"{seconds / duck['seconds']:.2f}", f"{cpu / duck['cpu_seconds']:.2f}", f"{rows / seconds:,.0f}", f"{rows / cpu:,.0f}",
        f"{stage['write']['others_share']:.0%} / {duck['others_share']:.0%}",
    )  # fmt: skip
    table.add_row(
        f"{what}: audit", f"{audit['seconds']:.1f}", f"{audit['cpu_seconds']:.1f}", *[""] * 6, f"{audit['others_share']:.0%}"
    )


def _show_decisions(console: Console, scales: list[Figures]) -> None:
    table = Table(title="deciding: write and publish; the audit apart")
    for heading in ("", "rows", "seconds", "CPU s", "rows/s and core", "audit s", "growth", "others"):
        table.add_column(heading, justify="right" if heading else "left")
    for at, scale in enumerate(scales):
        for stage, _, what in decisions.STAGES:
            seconds, cpu, rows = _work(scale[stage]), _work(scale[stage], "cpu_seconds"), scale["counts"][what]
            growth = f"{seconds / _work(scales[0][stage]):.1f}" if at else ""
            table.add_row(
                f"{stage}: {what}", f"{rows:,}", f"{seconds:.1f}", f"{cpu:.1f}", f"{rows / cpu:,.0f}",
                f"{scale[stage]['audit']['seconds']:.1f}", growth, f"{scale[stage]['write']['others_share']:.0%}",
            )  # fmt: skip
    console.print(table)
    for scale in scales:
        published = ", ".join(
            f"{name} {rows:,}" for stage, *_ in decisions.STAGES for name, rows in scale[f"{stage}_published"].items()
        )
        console.print(
            f"{scale['size']:,}: server {scale['server_peak_megabytes']:,.0f} MB at most, workers {scale['workers_peak_megabytes']:,.0f} MB; "
            f"{published}"
        )


def _show_issuing(console: Console, scales: list[Figures]) -> None:
    table = Table(title="issuing documents of ten lines, and posting them: write and publish; the audit apart")
    for heading in ("", "documents", "seconds", "CPU s", "lines/s and core", "audit s", "growth", "others"):
        table.add_column(heading, justify="right" if heading else "left")
    for at, scale in enumerate(scales):
        for stage in issuing.STAGES:
            seconds, cpu = _work(scale[stage]), _work(scale[stage], "cpu_seconds")
            growth = f"{seconds / _work(scales[0][stage]):.1f}" if at else ""
            table.add_row(
                stage, f"{scale['documents']:,}", f"{seconds:.1f}", f"{cpu:.1f}", f"{scale['lines'] / cpu:,.0f}",
                f"{scale[stage]['audit']['seconds']:.1f}", growth, f"{scale[stage]['write']['others_share']:.0%}",
            )  # fmt: skip
    console.print(table)
    for scale in scales:
        console.print(
            f"{scale['documents']:,}: server {scale['server_peak_megabytes']:,.0f} MB at most, workers "
            f"{scale['workers_peak_megabytes']:,.0f} MB; {', '.join(f'{name} {rows:,}' for name, rows in scale['published'].items())}"
        )


def _show_papers(console: Console, scales: list[Figures]) -> None:
    table = Table(title=f"documents of {papers.LINES} lines to files")
    for heading in ("", "documents", "seconds", "CPU s", "documents/s and core", "lines/s and core", "growth", "others"):
        table.add_column(heading, justify="right" if heading else "left")
    named = {
        "frame": "brought together", "ubl": "UBL", "ubl_and_rules": f"UBL, {papers.SHARE:.0%} by the official rules", "pdf": "PDF",
        "exact_checks": "read back, exact checks", "place": "let stand",
    }  # fmt: skip
    for at, scale in enumerate(scales):
        for what, name in ((what, name) for what, name in named.items() if what in scale):
            told, rate = scale[what], scale[what]["documents_per_cpu_second"]
            growth = f"{told['seconds'] / scales[0][what]['seconds']:.1f}" if at else ""
            table.add_row(
                name, f"{scale['documents']:,}", f"{told['seconds']:.1f}", f"{told['cpu_seconds']:.1f}", f"{rate:,.0f}",
                f"{rate * papers.LINES:,.0f}", growth, f"{told['others_share']:.0%}",
            )  # fmt: skip
    console.print(table)
    for scale in scales:
        checked = f"{scale['validated']:,} validated, {scale['wrong']} wrong; " if "validated" in scale else ""
        console.print(
            f"{scale['documents']:,}: {checked}UBL {scale['ubl_bytes'] / scale['documents']:,.0f} "
            f"bytes each, PDF {scale['pdf_bytes'] / scale['documents']:,.0f}; server {scale['server_peak_megabytes']:,.0f} MB at most, "
            f"workers {scale['workers_peak_megabytes']:,.0f} MB"
        )


if __name__ == "__main__":
    raise SystemExit(main())

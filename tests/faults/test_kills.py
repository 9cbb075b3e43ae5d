"""Processes are killed between every two commits and inside writes; a run afterwards ends as if nothing had happened.

Every case starts from the same small home, loses one process to SIGKILL, looks at what a reader sees in between, and runs
again. The tables then equal those of an undisturbed run row for row, the publication's id aside.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable

from jobs.runtime import faults, spark_server
from jobs.runtime.errors import EXIT_BROKE, UpstreamMissing
from jobs.runtime.tables import catalog
from jobs.stages import BY_NAME
from tests.builders import ACCOUNTS_FILE, ALPHA, BETA, OF_A_MONTH, conf_file, dropped, moved_in, tenant_conf
from tests.faults.readers import seen, seen_everywhere
from tests.homes import forget_home

MONTHS = ("2026-07", "2026-08")
USAGE = "id,account,product,at,units\n" + "".join(
    f"{month}-{number},a-{1 + number % 3},storage,{month}-1{number} 12:00:00,{number}500\n"
    for month in MONTHS
    for number in range(1, 7)
)
EARLIER = "2026-06"  # is invoiced before the story begins; some of its usage comes with July's
HEAD = "id,account,product,at,units\n"
ON_TIME, LATE = (
    f"{HEAD}june-1,a-1,storage,2026-06-10 12:00:00,1000\n",
    f"{HEAD}june-2,a-1,storage,2026-06-11 12:00:00,1000\n",
)
AGREED = "price,product,currency,since,unit_price,until,only\np-6,storage,GBP,2026-06-01,0.05,2026-07-01,a-1\n"  # for that month, afterwards
NEWCOMER = "account,name,country,currency\na-4,Dora Somebody,GB,GBP\n"  # and has used nothing yet
LIMIT = 600  # seconds: a hang ends the test, a loaded machine does not
IBAN = "GB33BUKB20201555555555"
PAYABLES = (
    "id,number,vendor,day,received,gross,net,tax,iban\n"
    f"b-1,N-1,v-1,2026-07-10,2026-07-12 09:00:00,120,100,20,{IBAN}\n"
    f"b-2,N-1,v-1,2026-07-11,2026-07-12 10:00:00,120,100,20,{IBAN}\n"  # the same again
    f"b-3,N-3,v-2,2026-07-10,2026-07-12 09:00:00,60,50,10,{IBAN}\n"  # of a vendor nobody knows
)
VENDORS = f"vendor,name,iban\nv-1,Somebody,{IBAN}\n"
RECEIPTS = (  # one names what it pays, one is of a payer and an amount that only a person can be sure of
    "id,statement,bank,day,amount,words,name\n"
    f"t-1,s-1,{IBAN},2026-09-10,{{paid}},{{number}},\n"
    f"t-2,s-1,{IBAN},2026-09-11,{{meant}},something,{{name}}\n"
)
STEPS = (  # a house's whole story, in its order: bill, pay, collect, nominate
    ("ingestion", MONTHS[0]),
    ("billing_aggregation", MONTHS[0]),
    ("invoice_generation", MONTHS[0]),
    ("invoice_generation documents", MONTHS[0]),  # a lane of its own
    ("payable_validation", "2026-07-31T23"),
    ("payment_planning", "2026-07-31T23"),
    ("ledger_posting", MONTHS[0]),
    ("cash_matching", "2026-09-30"),
    ("suspension_selection", "2026-09-30"),
)
PERIOD = dict(STEPS)
RENDERED = "invoicing.documents"
ASKED = (  # about June's first invoice
    "correction_id,invoice_number,action,requested_on,share,reason\nk-1,{number},credit,2026-07-15,0.5,half a month without service\n"
)
LANDED = (  # the tables that the small home's files reach
    "raw.landed_files", "raw.quarantine", "raw.accounts", "raw.prices", "raw.usage", "raw.vendors", "raw.payables",
    "raw.bank_transactions", "billing.waiting", "billing.usage_rollup",
)  # fmt: skip
NOTHING_IN = ("raw.quarantine", "invoicing.carried_forward")  # they are written all the same
WHEREVER = ("write:registered", "write:staged", "audit:judged", "audit:stored", "publish:started", "publish:complete")


def call(home: Path, stage: str, period: str | None = None, **surroundings: str) -> subprocess.Popen[str]:
    """A run of a stage in a process of its own, for its period of the story or another one."""
    name, _, lane = stage.partition(" ")
    asked = ["--period", period or PERIOD[stage], "--lane", lane or "main", "--tenant", ALPHA, "--tenant", BETA]
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.runtime", "run", name, *asked],
        env=os.environ | {"COUNTINGHOUSE_HOME": str(home)} | surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How a process ended, and what it said."""
    said, _ = process.communicate(timeout=LIMIT)
    return process.returncode, said


def outputs(step: str) -> list[str]:
    """The tables that a step of the story writes."""
    stage, _, lane = step.partition(" ")
    if lane:
        return [RENDERED]
    elsewhere = (RENDERED, "invoicing.prepayments")  # nothing is prepaid here; test_prepaid_months.py dies at taking money
    return [name for name in BY_NAME[stage].outputs if name not in elsewhere and (stage != "ingestion" or name in LANDED)]


def points(stage: str) -> list[str]:
    """Every place in a stage where a process can die between two commits, inside its writing, and beside its judging."""
    tables = outputs(stage)
    written = [f"write:after:{name}" for name in tables if name != "invoicing.number_register"]
    between = {
        "invoice_generation": ["publish:frozen", "publish:numbered", "publish:focus"],
        "invoice_generation documents": ["publish:documents"],
    }
    numbered = between.get(stage, [])
    return [*WHEREVER, *written, *numbered, *(f"publish:after:{name}" for name in tables)]


def furnished(home: Path) -> None:
    """Two tenants with everything a house has: customers and usage, vendors and their invoices, a bank, a month that is invoiced."""
    moved_in(home, {ALPHA: ON_TIME, BETA: ON_TIME}, accounts=ACCOUNTS_FILE + "a-3,Cid Somebody,GB,GBP\n")
    for stage in OF_A_MONTH:
        code, said = ended(call(home, stage.name, EARLIER))
        assert code == 0, said
    for name in (ALPHA, BETA):
        dropped(home, name, "usage", "story.csv", USAGE)
        dropped(home, name, "usage", "late.csv", LATE)
        dropped(home, name, "prices", "agreed.csv", AGREED)
        dropped(home, name, "accounts", "new.csv", NEWCOMER)
        conf = tenant_conf(name, prefix=name[0].upper())
        conf["feeds"]["prices"]["columns"] |= {"valid_to": "until", "account_id": "only"}
        conf["legal_entities"][0]["bank_accounts"] = [{"iban": IBAN, "currency": "GBP"}]
        conf["outputs"] = {"focus": ["csv", "parquet"]}
        asked = ("correction_id", "invoice_number", "action", "requested_on", "share", "reason")
        conf["feeds"] |= {
            "invoice_corrections": {"columns": {column: column for column in asked}},
            "payables": {
                "columns": {
                    "record_id": "id", "payable_id": "id", "invoice_number": "number", "vendor_id": "vendor", "country": {"constant": "GB"},
                    "invoice_date": "day", "received_at": "received", "currency": {"constant": "GBP"}, "gross_amount": "gross",
                    "net_amount": "net", "tax_amount": "tax", "iban": "iban",
                }
            },
            "vendors": {"columns": {"vendor_id": "vendor", "legal_name": "name", "country": {"constant": "GB"}, "iban": "iban"}},
            "bank_transactions": {
                "columns": {
                    "transaction_id": "id", "statement_id": "statement", "bank_account": "bank", "booking_date": "day",
                    "value_date": "day", "amount": "amount", "currency": {"constant": "GBP"}, "remittance_text": "words",
                    "counterparty_name": "name",
                }
            },
        }  # fmt: skip
        conf_file(home, f"tenants/{name}.yaml", conf)
        dropped(home, name, "vendors", "vendors.csv", VENDORS)
        dropped(home, name, "invoice_corrections", "june.csv", ASKED.format(number=f"{name[0].upper()}-2026-0000001"))
        dropped(home, name, "payables", "july.csv", PAYABLES)
        number = f"{name[0].upper()}-2026-0000003"  # that of a-3's invoice of July in both; June's was the first
        receipts = RECEIPTS.format(paid="480.00", number=number, meant="660.00", name="Ada Somebody")
        dropped(home, name, "bank_transactions", "september.csv", receipts)


@pytest.fixture(scope="module")
def before(spark, tmp_path_factory) -> Iterator[dict[str, Path]]:
    """A home as it stands before each stage, and ("after") after the last; all of them use the server of this test session."""
    folder = tmp_path_factory.mktemp("kills")
    first = folder / "home"
    (first / "spark").mkdir(parents=True)
    shutil.copy(Path(os.environ["COUNTINGHOUSE_HOME"]) / "spark" / "server.json", first / "spark" / "server.json")
    furnished(first)
    homes = {}
    for stage, _ in STEPS:
        homes[stage] = shutil.copytree(first, folder / f"before-{stage}")
        code, said = ended(call(first, stage))
        assert code == 0, said
    homes["after"] = first
    yield homes
    forget_home()


def test_the_story_has_something_for_every_stage_to_do(before):
    for stage, _ in STEPS:
        earlier, later = seen_everywhere(before[stage]), seen_everywhere(after_stage(before, stage))
        for table in outputs(stage):
            assert later[table] != earlier[table] or table in NOTHING_IN, (
                f"{stage} adds nothing to {table}: no kill is met there"
            )


def copy(before: dict[str, Path], stage: str, to: Path) -> Path:
    """A home of this case's own."""
    return shutil.copytree(before[stage], to / "home")


def after_stage(before: dict[str, Path], stage: str) -> Path:
    """The undisturbed home right after a stage."""
    names = [*PERIOD, "after"]
    return before[names[names.index(stage) + 1]]


@pytest.mark.parametrize(("stage", "point"), [(stage, point) for stage in PERIOD for point in points(stage)])
def test_a_task_killed_at_any_point_and_run_again_ends_as_if_nothing_had_happened(before, tmp_path, stage, point):
    home = copy(before, stage, tmp_path)
    untouched = {table: seen(home, table) for table in outputs(stage)}
    whole = {table: seen(after_stage(before, stage), table) for table in outputs(stage)}

    code, said = ended(call(home, stage, **{faults.KILL_AT: point}))
    assert code == -signal.SIGKILL, f"{point} was not reached: {said}"
    in_between = {table: seen(home, table) for table in outputs(stage)}
    assert in_between == (whole if point == "publish:complete" else untouched), "a reader saw half a publication"

    code, said = ended(call(home, stage))
    assert code == 0, said
    assert {table: seen(home, table) for table in outputs(stage)} == whole
    assert numbers(home) == numbers(after_stage(before, stage)), "a number was skipped or used twice"
    assert handed_out(home) == handed_out(after_stage(before, stage)), "a file differs"


def wait_for(log: Path, text: str) -> None:
    """Until a log says something."""
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        if log.exists() and text in log.read_text():
            return
        time.sleep(0.05)
    pytest.fail(f"'{text}' was never said")


def numbers(home: Path) -> list[tuple[str, str, int]]:
    """Every number that was ever reserved, whether seen or not."""
    place = home / "warehouse" / "invoicing" / "number_register"
    rows = DeltaTable(str(place)).to_pyarrow_table().to_pylist() if place.exists() else []
    return sorted((row["tenant_id"], row["series"], row["number"]) for row in rows)


def handed_out(home: Path) -> dict[str, bytes]:
    """Every file that stands in documents/."""
    root = home / "documents"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("stage", [stage for stage in PERIOD if stage != "ledger_posting"])
def test_a_spark_server_killed_inside_a_write_is_replaced_by_the_next_run(before, tmp_path, stage):
    home = copy(before, stage, tmp_path)
    (home / "spark" / "server.json").unlink()
    shutil.rmtree(home / "logs", ignore_errors=True)  # of the stages before
    os.environ["COUNTINGHOUSE_HOME"], mine = str(home), os.environ["COUNTINGHOUSE_HOME"]
    try:
        server, _ = spark_server.ensure()
        process = call(home, stage)
        wait_for(home / "logs" / "countinghouse.jsonl", "writing candidates")
        time.sleep(1)
        os.kill(server.pid, signal.SIGKILL)
        code, said = ended(process)
        assert code != 0, said
        assert "Traceback" not in said
        code, said = ended(call(home, stage))
        assert code == 0, said
        assert seen_everywhere(home) == seen_everywhere(after_stage(before, stage))
    finally:
        spark_server.stop()
        os.environ["COUNTINGHOUSE_HOME"] = mine


def test_two_months_and_two_tenants_published_at_once_do_not_fail_each_other(before, tmp_path):
    one_by_one, at_once = (copy(before, "billing_aggregation", tmp_path / name) for name in ("one", "two"))
    for stage in OF_A_MONTH[1:]:
        for month in MONTHS:
            code, said = ended(call(one_by_one, stage.name, month))
            assert code == 0, said
        issues = (
            stage.name == "invoice_generation"
        )  # in order, so the later month may have to come again; and one month twice at once
        running = [call(at_once, stage.name, month) for month in (MONTHS[:1] * issues + MONTHS)]
        told = [ended(process) for process in running]
        if issues:
            assert {code for code, _ in told} <= {0, EXIT_BROKE, UpstreamMissing.exit_code}, told
            told = [ended(call(at_once, stage.name, month)) for month in MONTHS]
        for code, said in told:
            assert code == 0, said
    for home in (one_by_one, at_once):  # the month that was posted first did not know the other; asked again, it does
        for month in MONTHS:
            code, said = ended(call(home, "ledger_posting", month))
            assert code == 0, said
    told = [{name: len(rows) for name, rows in seen_everywhere(home).items()} for home in (one_by_one, at_once)]
    assert told[0] == told[1]
    taken = numbers(at_once)
    assert len(taken) == len(set(taken)) == len(numbers(one_by_one)), "a number was skipped or used twice"
    assert {name: rows for name, rows in seen_everywhere(at_once).items() if name.startswith(("billing", "raw"))} == {
        name: rows for name, rows in seen_everywhere(one_by_one).items() if name.startswith(("billing", "raw"))
    }


IN_TURN = (  # stage, two of its periods, and what must come out alike in whichever order they were published
    ("payable_validation", ("2026-07-31T22", "2026-07-31T23"), "payables.decisions", ("payable_id", "decision", "gross_amount")),
    ("payment_planning", ("2026-07-31T23", "2026-08-01T00"), "payables.payment_instructions", ("payable_id", "amount")),
    ("cash_matching", ("2026-09-29", "2026-09-30"), "cash.applications", ("transaction_id", "document_id", "amount")),
    ("suspension_selection", ("2026-09-30", "2026-10-01"), "suspension.account_states", ("account_id", "state")),
)  # fmt: skip


@pytest.mark.parametrize(("stage", "periods", "table", "facts"), IN_TURN, ids=lambda value: value if "_" in value else "")
def test_two_periods_at_once_of_a_stage_whose_runs_go_on_from_each_other_do_each_thing_once(
    before, tmp_path, stage, periods, table, facts
):
    def told(home):
        return sorted(tuple(str(row[name]) for name in ("tenant_id", *facts)) for row in seen(home, table))

    one_by_one, at_once = (copy(before, stage, tmp_path / name) for name in ("one", "two"))
    if stage == "suspension_selection":  # it requires the cash of its day
        for home in (one_by_one, at_once):
            code, said = ended(call(home, "cash_matching", periods[1]))
            assert code == 0, said
    for period in periods:
        code, said = ended(call(one_by_one, stage, period))
        assert code == 0, said
    running = [call(at_once, stage, period) for period in periods]
    for process in running:
        code, said = ended(process)
        assert code == 0, said
    assert told(at_once) == told(one_by_one) != []


def test_airflow_killed_with_its_task_leaves_a_month_that_the_next_run_finishes(before, tmp_path):
    home = copy(before, "billing_aggregation", tmp_path)
    issued = seen(home, "invoicing.invoices")
    program = (
        "import sys; from jobs.runtime import airflow_home; from jobs.runtime.session import shared\n"
        "with shared():\n    sys.exit(0 if airflow_home.run_dag('monthly_billing', '2026-07') else 1)\n"
    )
    surroundings = os.environ | {"COUNTINGHOUSE_HOME": str(home)}
    point = {faults.KILL_AT: "publish:after:invoicing.invoice_lines"}
    killed = subprocess.run(
        [sys.executable, "-c", program], env=surroundings | point, capture_output=True, text=True, timeout=LIMIT
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert seen(home, "invoicing.invoices") == issued
    again = subprocess.run([sys.executable, "-c", program], env=surroundings, capture_output=True, text=True, timeout=LIMIT)
    assert again.returncode == 0, again.stderr[-2000:]
    undisturbed = copy(before, "billing_aggregation", tmp_path / "undisturbed")
    for stage in (*(stage.name for stage in OF_A_MONTH[1:]), "invoice_generation documents"):
        code, said = ended(call(undisturbed, stage))
        assert code == 0, said
    assert seen_everywhere(home) == seen_everywhere(undisturbed)
    assert set(catalog()) >= set(seen_everywhere(home))

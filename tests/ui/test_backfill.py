"""A backfill of three months, made in the Airflow UI as an operator makes it: `make test-ui`.

Not part of `make test`: it needs Chromium, and some minutes. It leaves docs/images/backfill.png behind.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.runtime import airflow_home, ops, spark_server
from jobs.simulation.world import World, simulate_world

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "backfill.png"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TENANT = "sim-utilities-05"  # the smallest, so that the runs and not the data take the time
MONTHS = ("2026-01", "2026-02", "2026-03")
STAGES = ("billing_aggregation", "invoice_generation", "ledger_posting")
READY_SECONDS, RUNS_SECONDS = 240, 1500

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; `make setup` brings it")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)")


@pytest.fixture(scope="module")
def ingested(shared_home: Path) -> Path:
    """A home in which three months of one tenant are landed and ingested, by a run that was not a backfill."""
    simulate_world(World(scale=1, seed=7, months=len(MONTHS), first_month=MONTHS[0]), shared_home, lambda _: None)
    for month in MONTHS:
        shutil.copytree(shared_home / "outbox" / month / TENANT, shared_home / "landing" / TENANT, dirs_exist_ok=True)
    server, _ = spark_server.ensure()
    try:
        assert airflow_home.run_dag("ingest", MONTHS[-1], reason="the history of the new home")
    finally:
        spark_server.stop(server)
    return shared_home


@pytest.fixture(scope="module")
def address(ingested: Path) -> Iterator[str]:
    """Where `make airflow` serves this home; afterwards nothing of it may be left running."""
    code = "from jobs.runtime import airflow_home; raise SystemExit(airflow_home.serve())"
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    surroundings = ours | {"COUNTINGHOUSE_HOME": str(ingested)}
    log = ingested / "serve.log"
    with log.open("w") as output:
        serving = subprocess.Popen([sys.executable, "-c", code], stdout=output, stderr=output, env=surroundings, cwd=ROOT)
    try:
        began = time.monotonic()
        while not (told := re.search(r"Airflow is ready at (http://127\.0\.0\.1:\d+)", log.read_text())):
            assert serving.poll() is None, log.read_text()
            assert time.monotonic() - began < READY_SECONDS, log.read_text()
            time.sleep(1)
        yield told[1]
    finally:
        serving.send_signal(signal.SIGTERM)
        code_at_end = serving.wait(timeout=90)
    assert code_at_end == 0, log.read_text()
    assert processes_of(ingested) == []


def processes_of(home: Path) -> list[str]:
    """What still runs for a home, told by its surroundings."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"COUNTINGHOUSE_HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0")
            if mine and int(process.name) != os.getpid():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.fixture
def page(address: str) -> Iterator[playwright.Page]:
    """The page of monthly_billing, logged in."""
    switches = ["no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-background-networking", "no-first-run"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[f"--{switch}" for switch in switches])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(f"{address}/dags/monthly_billing")
        page.fill("input[name=username]", airflow_home.USER)
        page.fill("input[name=password]", airflow_home.password())
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Trigger").first.wait_for()
        yield page
        browser.close()


def test_operator_backfills_three_months_in_the_ui(page: playwright.Page, address: str, ingested: Path) -> None:
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog").filter(has_text="monthly_billing")
    form.get_by_text("Backfill", exact=True).first.click()
    choose(page, 0, "2026/01/01")
    choose(page, 1, "2026/03/31")
    form.locator("#element_reason").fill("the history of the new home")
    form.get_by_text("Override parameters on existing runs").click()  # without it the form sends no params at all
    assert form.get_by_text("Unpause monthly_billing on trigger").is_visible()
    start = form.get_by_role("button", name="Run Backfill")
    playwright.expect(start).to_be_enabled()
    start.click()
    form.wait_for(state="hidden")

    page.goto("about:blank")  # the page would draw its grid again every few seconds, on the cores that the runs need
    states = wait_for_backfills(page, address)
    assert states == dict.fromkeys(MONTHS, "success"), states

    page.goto(f"{address}/dags/monthly_billing/runs?run_type=backfill")
    for stage in STAGES:
        page.get_by_text(stage, exact=True).first.wait_for()
    for month in MONTHS:
        page.get_by_text(f"__{month}__").first.wait_for()
    page.wait_for_timeout(5_000)  # the grid draws itself in steps
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(PICTURE))

    published = {(unit.stage, unit.period): found for unit, found in ops.publications().items() if unit.stage in STAGES}
    assert set(published) == {(stage, month) for stage in STAGES for month in MONTHS}
    for publication in published.values():
        assert publication.dag_run_id.startswith("backfill__")
        assert publication.actor == airflow_home.USER
    told = {
        row["reason"] for row in ops.rows(ops.RUNS) if row["stage"] in STAGES and row["dag_run_id"].startswith("backfill__")
    }
    assert told == {"the history of the new home"}


def choose(page: playwright.Page, field: int, day: str) -> None:
    """Fill one of the two date fields: a click opens a small calendar with an input for the date and one for the time."""
    page.get_by_test_id("datetime-input").nth(field).click()
    popup = page.locator("[data-scope=popover][data-part=content][data-state=open]")
    popup.get_by_placeholder("YYYY/MM/DD").fill(day)
    popup.get_by_placeholder("HH:mm").fill("23:59" if field else "00:00")
    popup.get_by_placeholder("HH:mm").press("Enter")
    page.get_by_text("Date Range", exact=True).click()
    popup.wait_for(state="hidden")


def wait_for_backfills(page: playwright.Page, address: str) -> dict[str, str]:
    """The state of each month's backfill run, once none is on its way any more."""
    began = time.monotonic()
    while True:
        answer = page.request.get(f"{address}/api/v2/dags/monthly_billing/dagRuns?run_type=backfill&limit=50")
        states = {run["partition_key"]: run["state"] for run in answer.json()["dag_runs"]}
        if len(states) == len(MONTHS) and not {"queued", "running"} & set(states.values()):
            return states
        assert time.monotonic() - began < RUNS_SECONDS, states
        time.sleep(3)

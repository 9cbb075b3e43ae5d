"""The Airflow of a home as an operator has it: `make airflow` behind an address, Chromium before it.

A module says which home by a fixture `ready`, the home in the state in which Airflow is started on it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from jobs.runtime import airflow_home
from jobs.runtime.config import ROOT
from tests.serving import served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PICTURES = ROOT / "docs" / "images"
RUNS_SECONDS = 1500


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Chromium there is no UI to test."""
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine (Debian: apt-get install chromium)"))


@pytest.fixture(scope="module")
def address(ready: Path) -> Iterator[str]:
    """Where `make airflow` serves this home; until the module is through."""
    with served(ready) as where:
        yield where


@dataclass(frozen=True)
class Operator:
    """A person before the UI, logged in, and the API that the UI itself calls."""

    page: Page
    address: str

    def open(self, path: str) -> None:
        """A page of the UI."""
        self.page.goto(f"{self.address}/{path}")

    def look_away(self) -> None:
        """Leave the UI: a page would draw its grid again every few seconds, on the cores that the runs need."""
        self.page.goto("about:blank")

    def picture(self, name: str) -> None:
        """Keep what the page shows for the documentation."""
        self.page.wait_for_timeout(5_000)  # the grid draws itself in steps
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(PICTURES / name))

    def call(self, method: str, path: str, told: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the API answers."""
        answer = self.page.request.fetch(f"{self.address}/api/v2/{path}", method=method, data=told)
        assert answer.ok, answer.text()
        return dict(answer.json())

    def triggered(self, dag_id: str, period: str) -> str:
        """The id of a new run of a period; the DAG is unpaused for it."""
        self.call("PATCH", f"dags/{dag_id}?update_mask=is_paused", {"is_paused": False})
        told = self.call("POST", f"dags/{dag_id}/dagRuns", {"logical_date": None, "partition_key": period})
        return str(told["dag_run_id"])

    def stop_the_scheduled(self, dag_id: str) -> None:
        """Unpausing starts the newest period too; it would wait for what has never landed, and the runs of a DAG go one by one."""
        path = f"dags/{dag_id}/dagRuns"
        begun = self.until(
            lambda: {one["dag_run_id"]: one["state"] for one in self.call("GET", f"{path}?run_type=scheduled")["dag_runs"]},
            lambda states: len(states) == 1,
        )
        for scheduled in begun:
            stop = f"{self.address}/api/v2/{path}/{quote(scheduled)}?update_mask=state"

            def stopped(where: str = stop) -> dict[str, str]:
                answer = self.page.request.fetch(where, method="PATCH", data={"state": "failed"})
                assert answer.ok or answer.status == 500, answer.text()  # SQLite has one writer, and the scheduler may be it
                return {where: "failed" if answer.ok else "busy"}

            self.until(stopped, lambda states: "busy" not in states.values())

    def ended(self, dag_id: str, run: str) -> str:
        """How a run ended, once it has."""
        path = f"dags/{dag_id}/dagRuns/{quote(run)}"
        return self.until_ended(lambda: {run: self.call("GET", path)["state"]})[run]

    def tasks(self, dag_id: str, run: str) -> dict[str, str]:
        """The states of a run's tasks."""
        told = self.call("GET", f"dags/{dag_id}/dagRuns/{quote(run)}/taskInstances")
        return {task["task_id"]: task["state"] for task in told["task_instances"]}

    def until_ended(self, asked: Callable[[], dict[str, str]], how_many: int = 1) -> dict[str, str]:
        """States by name, once there are so many and none of them is on its way any more."""
        return self.until(asked, lambda states: len(states) == how_many and not {"queued", "running"} & set(states.values()))

    def until(self, asked: Callable[[], dict[str, str]], enough: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """States by name, once they are enough."""
        began = time.monotonic()
        while not enough(states := asked()):
            assert time.monotonic() - began < RUNS_SECONDS, states
            time.sleep(3)
        return states


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser; each person has a context of it, and so a login, of their own."""
    switches = ["no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-background-networking", "no-first-run"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[f"--{switch}" for switch in switches])
        yield browser
        browser.close()


def before_the_ui(chromium: Browser, address: str, user: str) -> Operator:
    """A person who has logged in, at the page of monthly_billing."""
    page = chromium.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{address}/dags/monthly_billing")
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", airflow_home.passwords()[user])
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Trigger").first.wait_for()
    return Operator(page, address)


@pytest.fixture
def operator(chromium: Browser, address: str) -> Operator:
    """Whoever runs the months."""
    return before_the_ui(chromium, address, airflow_home.USER)


@pytest.fixture
def approver(chromium: Browser, address: str) -> Operator:
    """Whoever may say yes to what the other has asked for."""
    return before_the_ui(chromium, address, airflow_home.APPROVER)

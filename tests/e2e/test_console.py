"""Bad input at the console: each ends with a sentence that says what to do, and with its exit code; never with a stack trace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.runtime import cli
from tests.builders import ALPHA, BETA, conf_file, dropped, tenant_conf

ROOT = Path(__file__).resolve().parents[2]
ACCOUNTS = "account,name,country,currency\na-1,Ada Somebody,GB,GBP\n"
PRICES = "price,product,currency,since,unit_price\np-1,storage,GBP,2026-01-01,0.05\n"
USAGE = "id,account,product,at,units\nr-1,a-1,storage,2026-07-10 12:00:00,100\n"


@pytest.fixture
def said_by(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """The console in this process: exit code, and all it said. test_errors.py and the tests below start processes of their own."""

    def called(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["countinghouse", *words])
        monkeypatch.setattr(os, "_exit", sys.exit)  # so the console ends its process
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out + told.err

    return called


def console(home: Path, *words: str, **surroundings: str) -> tuple[int, str]:
    """The console in a process of its own: exit code, and all it said."""
    done = subprocess.run(
        [sys.executable, "-m", "jobs.runtime", *words],
        env=os.environ | {"COUNTINGHOUSE_HOME": str(home)} | surroundings,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def tenant_home(home: Path) -> Path:
    """A home with one tenant and nothing landed."""
    conf_file(home, f"tenants/{ALPHA}.yaml", tenant_conf(ALPHA))
    return home


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(("run", "ingestion", "--period", "2026-13"), 2, "'2026-13' is not a month", id="no_such_month"),
        pytest.param(
            ("run", "ingestion", "--period", "2026-07", "--tenant", "alfa"), 2, "unknown tenant 'alfa'", id="unknown_tenant"
        ),
        pytest.param(("run", "billing", "--period", "2026-07"), 2, "did you mean 'billing_aggregation'", id="unknown_stage"),
        pytest.param(("run", "ingestoin", "--period", "2026-07"), 2, "did you mean 'ingestion'", id="misspelt_stage"),
        pytest.param(
            ("run", "billing_aggregation", "--period", "2026-07"), 1, "Run ingestion of 2026-07 first", id="nothing_landed"
        ),
        pytest.param(("land", "usages", "--tenant", ALPHA, "x.csv"), 2, "did you mean 'usage'", id="unknown_feed"),
        pytest.param(("land", "usage", "--tenant", ALPHA, "nowhere.csv"), 2, "is not a file", id="no_such_file"),
        pytest.param(("audit", "history", "billing.charge"), 2, "did you mean 'billing.charges'", id="unknown_table"),
        pytest.param(("run", "ingestion"), 2, "Missing option '--period'", id="missing_option"),
    ],
)
def test_a_wrong_call_says_so_and_starts_nothing(tenant_home, said_by, words, code, said):
    ended, told = said_by(*words)
    assert (ended, said in told, "Traceback" in told) == (code, True, False), told


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "is empty (0 bytes)", id="empty"),
        pytest.param(b"PK\x03\x04\x00\x00\x08", "is a binary file", id="binary"),
        pytest.param("id,account\nä".encode("latin-1"), "is not utf-8", id="wrong_encoding"),
    ],
)
def test_a_file_that_cannot_be_read_is_not_landed(tenant_home, said_by, tmp_path, content, said):
    source = tmp_path / "delivery.csv"
    source.write_bytes(content)
    ended, told = said_by("land", "usage", "--tenant", ALPHA, str(source))
    assert (ended, said in told, "Nothing was landed" in told) == (2, True, True), told
    assert not list((tenant_home / "landing").glob("**/*.csv"))


def test_a_landing_file_that_points_outside_is_refused(tenant_home, said_by, tmp_path):
    outside = tmp_path / "outside.csv"
    outside.write_text(USAGE)
    folder = tenant_home / "landing" / ALPHA / "usage"
    folder.mkdir(parents=True)
    (folder / "link.csv").symlink_to(outside)
    ended, told = said_by("run", "ingestion", "--period", "2026-07")
    assert (ended, "points outside landing" in told) == (2, True), told


def test_a_misspelt_key_in_conf_names_file_key_and_the_nearest_name(tenant_home, said_by):
    conf_file(tenant_home, "billing_aggregation.yaml", "grace_hour: 3\n")
    ended, told = said_by("check-conf")
    assert (ended, "did you mean 'grace_hours'" in told, "billing_aggregation.yaml" in told) == (2, True, True), told


def test_without_java_nothing_is_started(tenant_home, tmp_path):
    (tenant_home / "spark" / "server.json").unlink(missing_ok=True)
    dropped(tenant_home, ALPHA, "accounts", "accounts.csv", ACCOUNTS)
    ended, told = console(tenant_home, "run", "ingestion", "--period", "2026-07", JAVA_HOME=str(tmp_path / "no-java"))
    assert (ended, "no Java was found" in told, "openjdk-17" in told) == (3, True, True), told


@pytest.mark.slow  # two stages in processes of their own: make test-slow
def test_a_price_that_is_missing_or_overlaps_holds_its_tenant(spark, tenant_home):
    conf_file(tenant_home, f"tenants/{BETA}.yaml", tenant_conf(BETA))
    missing, overlapping = PRICES.replace("storage", "network"), f"{PRICES}p-2,storage,GBP,2026-03-01,0.06\n"
    for tenant, prices in ((ALPHA, missing), (BETA, overlapping)):
        for feed, content in (("accounts", ACCOUNTS), ("prices", prices), ("usage", USAGE)):
            dropped(tenant_home, tenant, feed, f"{feed}.csv", content)
    ended, told = console(tenant_home, "run", "ingestion", "--period", "2026-07")
    assert ended == 0, told
    ended, told = console(tenant_home, "run", "billing_aggregation", "--period", "2026-07")
    assert ended == 1, told
    for said in (
        f"tenant {ALPHA}, 2026-07", "every charge has a price in force",
        f"tenant {BETA}, 2026-07", "no charge has two prices in force",
        "product storage in GBP", f"Nothing of {ALPHA}, {BETA}",
    ):  # fmt: skip
        assert said in told, told

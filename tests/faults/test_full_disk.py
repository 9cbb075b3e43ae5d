"""A disk that fills up: said in a sentence, nothing half done, and the run goes on once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import ALPHA, conf_file, dropped, tenant_conf

ROOT = Path(__file__).resolve().parents[2]
LANDED = {
    "accounts": "account,name,country,currency\na-1,Ada Somebody,GB,GBP\n",
    "prices": "price,product,currency,since,unit_price\np-1,storage,GBP,2026-01-01,0.05\n",
    "usage": "id,account,product,at,units\nr-1,a-1,storage,2026-07-10 12:00:00,100\n",
}


def ingestion(home: Path) -> tuple[int, str]:
    """Ingestion in a process of its own: exit code, and all it said."""
    done = subprocess.run(
        [sys.executable, "-m", "jobs.runtime", "run", "ingestion", "--period", "2026-07"],
        env=os.environ | {"COUNTINGHOUSE_HOME": str(home)}, cwd=ROOT, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def small_disk(tmp_path: Path):
    """A disk of 32 megabytes; needs the right to mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)], capture_output=True, check=False
    ).returncode:
        pytest.skip("this user may not mount a small disk to fill")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], capture_output=True, check=False)


def test_a_full_disk_is_said_in_a_sentence_and_the_run_goes_on_once_there_is_room(spark, home, small_disk):
    narrow = small_disk / "home"
    (narrow / "spark").mkdir(parents=True)
    (narrow / "spark" / "server.json").write_text((home / "spark" / "server.json").read_text())
    conf_file(narrow, f"tenants/{ALPHA}.yaml", tenant_conf(ALPHA))
    for feed, content in LANDED.items():
        dropped(narrow, ALPHA, feed, f"{feed}.csv", content)
    ballast = narrow / "ballast"
    ballast.write_bytes(b"0" * (shutil.disk_usage(narrow).free - 8192))
    ended, told = ingestion(narrow)
    assert (ended, "the disk is full" in told, "Traceback" in told) == (3, True, False), told
    ballast.unlink()
    ended, told = ingestion(narrow)
    assert ended == 0, told

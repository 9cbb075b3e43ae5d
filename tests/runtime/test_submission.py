"""What spark-submit ships says of itself what the checkout says, and what it answers is told as if it had happened here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from jobs.runtime import submission, verbs
from jobs.runtime.config import ROOT
from jobs.runtime.contract import Outcome, code_version
from jobs.runtime.errors import GateFailed, RunBroke, UpstreamMissing
from jobs.runtime.ops import TableVersion
from jobs.stages import STAGES
from scripts import packages
from tests.builders import asked

STAGE = "billing_aggregation"
SAYS = """
import json
from jobs.runtime import contract
from jobs.stages import STAGES
print(json.dumps({"root": str(contract.ROOT)} | {stage.name: contract.code_version(stage.name) for stage in STAGES}))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what the zip is made of."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in packages.PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in packages.BESIDE:
        shutil.copy(ROOT / name, folder / name)
    return folder


def version(root: Path, target: Path) -> str:
    """The code version of one stage, from a zip made of `root`."""
    code_version.cache_clear()
    return code_version(STAGE, packages.write(target, root))


def test_code_imported_from_the_zip_has_the_code_version_of_the_checkout(tmp_path):
    whole = packages.write(tmp_path / "countinghouse.zip")
    ended = subprocess.run(
        [sys.executable, "-c", SAYS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(whole)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"root": str(whole)} | {stage.name: code_version(stage.name) for stage in STAGES}


@pytest.mark.parametrize(
    ("name", "other"),
    [
        pytest.param(f"jobs/{STAGE}/transforms.py", True, id="the_stage"),
        pytest.param("jobs/ledger/money.py", True, id="the_shared_domain"),
        pytest.param("jobs/runtime/house.py", True, id="what_rows_pass_through"),
        pytest.param("requirements.lock", True, id="the_lock"),
        pytest.param("jobs/ledger_posting/transforms.py", False, id="another_stage"),
        pytest.param("jobs/runtime/report.py", False, id="what_computes_nothing"),
    ],
)
def test_a_changed_source_changes_the_code_version_of_what_it_computes(checkout, tmp_path, name, other):
    before = version(checkout, tmp_path / "before.zip")
    assert before == code_version(STAGE, checkout)
    changed, content = checkout / name, (checkout / name).read_text(encoding="utf-8")
    changed.write_text(content + "# changed\n", encoding="utf-8")
    try:
        assert (version(checkout, tmp_path / "after.zip") != before) == other
    finally:
        changed.write_text(content, encoding="utf-8")


def test_a_place_without_the_sources_has_no_code_version(checkout, tmp_path):
    incomplete = packages.write(tmp_path / "countinghouse.zip", checkout)
    with zipfile.ZipFile(incomplete) as whole, zipfile.ZipFile(tmp_path / "less.zip", "w") as less:
        for entry in whole.infolist():
            if entry.filename != "requirements.lock":
                less.writestr(entry, whole.read(entry))
    with pytest.raises((KeyError, OSError)):
        code_version(STAGE, tmp_path / "less.zip")


def test_equal_sources_are_equal_zips(checkout, tmp_path):
    first, second = (packages.write(tmp_path / name, checkout).read_bytes() for name in ("first.zip", "second.zip"))
    assert first == second


@pytest.mark.parametrize(
    "error",
    [GateFailed("held. What to do."), UpstreamMissing("no usage. What to do."), RunBroke("no disk. What to do.")],
    ids=repr,
)
def test_an_error_on_the_cluster_is_the_same_error_to_the_task(monkeypatch, error):
    def performed(_verb, _invocation):
        raise error

    monkeypatch.setattr(verbs, "perform", performed)
    answer = json.loads(json.dumps(submission.answer("write", asked(STAGE))))
    with pytest.raises(type(error)) as told:
        submission.read_answer(answer)
    assert str(told.value) == str(error)


def test_an_ending_on_the_cluster_is_the_same_ending_to_the_task(monkeypatch):
    ended = Outcome("run", 2, "held", "one is held", (TableVersion("billing.charges", 3, 10),), held={"beta": "no price"})
    monkeypatch.setattr(verbs, "perform", lambda _verb, _invocation: ended)
    assert submission.read_answer(json.loads(json.dumps(submission.answer("audit", asked(STAGE))))) == ended


def test_without_the_zip_nothing_is_submitted(home, monkeypatch):
    monkeypatch.setenv("COUNTINGHOUSE_ZIP", str(home / "none.zip"))
    with pytest.raises(RunBroke, match="none.zip does not exist. Nothing was submitted. Make it with `make zip`"):
        submission.submit("write", asked(STAGE))

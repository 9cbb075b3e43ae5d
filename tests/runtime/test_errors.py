"""Errors are a sentence and an exit code, never a stack trace."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from jobs.runtime import cli, errors
from jobs.runtime.config import ROOT


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.CallError, 2), (errors.ConfigError, 2), (errors.GateFailed, 1), (errors.Refused, 1), (errors.UpstreamMissing, 1),
        (errors.Superseded, 1), (errors.RunBroke, 3),
    ],
)  # fmt: skip
def test_an_error_is_told_with_its_kind_and_ends_with_its_code(kind, code):
    error = kind("what was refused. What to do.")
    assert (error.exit_code, str(error)) == (code, f"{kind.__name__}: what was refused. What to do.")
    assert isinstance(error, errors.CountingHouseError)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(
            OSError(errno.ENOSPC, "No space left on device"), "the disk is full. Nothing became visible", id="a_full_disk"
        ),
        pytest.param(
            ValueError("one line\nand another"),
            "ValueError: one line. Nothing of this verb became visible",
            id="anything_else",
        ),
    ],
)
def test_what_nobody_foresaw_is_a_sentence_and_a_line_in_the_log(home, capsys, error, said):
    code = None
    try:
        raise error
    except Exception as raised:
        code = cli._broke(raised)
    assert code == 3
    told = capsys.readouterr().err
    assert said in told and "Traceback" not in told
    assert "Traceback" in (home / "logs" / "countinghouse.jsonl").read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(
            ["run", "billing_aggregation", "--period", "2026-10"],
            1,
            ": billing_aggregation 2026-10: no tenant has usage",
            id="no_input",
        ),
        pytest.param(["rnu"], 2, "CallError: No such command 'rnu'", id="no_command"),
    ],
)
def test_the_console_ends_with_a_sentence_and_a_code(home, words, code, said):
    ended = subprocess.run(
        [sys.executable, "-c", "from jobs.runtime.cli import main; main()", *words],
        capture_output=True, text=True, timeout=120, cwd=ROOT, env=os.environ | {"COUNTINGHOUSE_HOME": str(home)}, check=False,
    )  # fmt: skip
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr and "Traceback" not in ended.stderr

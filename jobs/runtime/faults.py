"""Where a test may kill the process: the points between any two commits, by name."""

from __future__ import annotations

import os
import signal

KILL_AT = "COUNTINGHOUSE_KILL_AT"  # e.g. publish:after:billing.charges


def reach(point: str) -> None:
    """Die here with SIGKILL when the environment names this point; otherwise nothing."""
    if os.environ.get(KILL_AT) == point:
        os.kill(os.getpid(), signal.SIGKILL)

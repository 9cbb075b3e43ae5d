"""Where a test may kill the process: the points between any two commits, by name."""

from __future__ import annotations

import os
import signal
import time

KILL_AT = "COUNTINGHOUSE_KILL_AT"  # e.g. publish:after:billing.charges
PAUSE_AT = "COUNTINGHOUSE_PAUSE_AT"  # the same names; sleeps an hour, so that a test can kill from outside


def reach(point: str) -> None:
    """Die here with SIGKILL, or wait to be killed, when the environment names this point; otherwise nothing."""
    if os.environ.get(KILL_AT) == point:
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get(PAUSE_AT) == point:
        time.sleep(3600)

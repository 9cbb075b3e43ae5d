"""Wall seconds, processor seconds and memory of a piece of work and of every process that does it, read from /proc.

Processor seconds are beside the wall seconds because they stay the same when a machine is shared.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.5


@dataclass
class Measured:
    """What one piece of work took."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    others_share: float = 0.0  # of the machine's processors, taken by processes that are not part of the work


@contextmanager
def measured(roots: Iterable[int]) -> Iterator[Measured]:
    """Measure what happens inside, in the processes `roots` and those they have started."""
    roots = tuple(roots)
    result = Measured()
    busy, own, began = _machine_seconds(), _own_seconds(roots), time.monotonic()
    yield result
    result.seconds = time.monotonic() - began
    result.cpu_seconds = _own_seconds(roots) - own
    available = result.seconds * (os.cpu_count() or 1)
    result.others_share = max(0.0, (_machine_seconds() - busy - result.cpu_seconds) / available)


def _machine_seconds() -> float:
    """Processor seconds the whole machine has spent on anything."""
    user, nice, system, _, _, irq, softirq = (int(word) for word in (PROC / "stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def _own_seconds(roots: Iterable[int]) -> float:
    """Processor seconds of processes and their descendants, those that have ended and were waited for included."""
    total = 0.0
    for pid in family(roots):
        fields = _stat(pid)
        total += sum(int(ticks) for ticks in fields[11:15]) / TICKS if fields else 0.0
    return total


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the command's name; none when the process is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def family(roots: Iterable[int]) -> set[int]:
    """Processes and all they have started."""
    parents = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit() and (fields := _stat(int(folder.name))):
            parents[int(folder.name)] = int(fields[1])
    found = {pid for pid in roots if pid in parents}
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found


def peak_megabytes(pid: int) -> float:
    """The most memory a process has ever had resident; 0 when it is gone."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


def _command(pid: int) -> bytes:
    """What a process was started as; nothing when it is gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


class Children:
    """Watches the processes below `parent`, which come and go, for the most memory that all of them had."""

    def __init__(self, parent: int) -> None:
        """Watch from `with` on."""
        self.parent, self.megabytes = parent, 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Children:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Watch no longer."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            command = _command(self.parent)
            # A process that has only just been forked still seems to have all the memory of its parent.
            own = (pid for pid in family([self.parent]) - {self.parent} if _command(pid) != command)
            self.megabytes = max(self.megabytes, sum(peak_megabytes(pid) for pid in own))

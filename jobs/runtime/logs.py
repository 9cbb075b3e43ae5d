"""Structured logs: one JSON object a line in the home's log file, and one readable line on the terminal. Ids and counts only."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.runtime import config

logger = logging.getLogger("countinghouse")


class _JsonLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        return json.dumps(told | getattr(record, "facts", {}), ensure_ascii=False, default=str)


def start() -> None:
    """Send this process's log to the terminal and to <home>/logs/countinghouse.jsonl."""
    if logger.handlers:
        return
    logger.setLevel(logging.INFO)
    logger.propagate = False
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(terminal)
    try:
        folder = config.home() / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        to_file = logging.FileHandler(folder / "countinghouse.jsonl")
        to_file.setFormatter(_JsonLine())
        logger.addHandler(to_file)
    except OSError as error:  # a full or read-only disk must not keep the error that follows from being read
        logger.warning("no log file: %s", error.strerror)


def say(message: str, **facts: object) -> None:
    """One line of progress, with its facts for whoever reads the log file."""
    start()
    logger.info(message, extra={"facts": facts})


@contextmanager
def step(what: str, **facts: object) -> Iterator[None]:
    """Tell that a long piece of work begins, and how long it took."""
    say(f"{what} ...", **facts)
    began = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - began:.1f} s", **facts, seconds=round(time.monotonic() - began, 2))

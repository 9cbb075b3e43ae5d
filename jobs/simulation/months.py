"""Months in a time zone, as seconds since 1970 in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

HOUR = 3600


@dataclass(frozen=True)
class Month:
    """A calendar month; in which instants it begins and ends depends on the time zone."""

    year: int
    number: int

    @classmethod
    def named(cls, name: str) -> Month:
        """The month called as in 2026-01; a ValueError for anything else."""
        if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", name):
            raise ValueError(f"'{name}' is not a month; write it as 2026-01")
        return cls(int(name[:4]), int(name[5:]))

    @property
    def name(self) -> str:
        """The month as the project's keys write it: 2026-01."""
        return f"{self.year:04d}-{self.number:02d}"

    def later(self, months: int) -> Month:
        """The month so many months later, or earlier where the number is negative."""
        count = self.year * 12 + self.number - 1 + months
        return Month(count // 12, count % 12 + 1)

    def day(self, number: int) -> date:
        """A day of this month."""
        return date(self.year, self.number, number)

    def span(self, zone: str) -> tuple[int, int]:
        """The first second of the month in a zone, and the first second that is no longer in it."""
        return _midnight(self, zone), _midnight(self.later(1), zone)


def local_seconds(instants: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """What the clocks of a zone show at each instant, as seconds since their own 1970-01-01 00:00."""
    if not len(instants):
        return instants
    first = int(instants.min()) // HOUR
    offsets = _offsets(zone, first, int(instants.max()) // HOUR)
    shown: NDArray[np.int64] = instants + offsets[instants // HOUR - first]
    return shown


@lru_cache(maxsize=256)
def _offsets(zone: str, first_hour: int, last_hour: int) -> NDArray[np.int64]:
    """The offset to UTC in every hour; the zones of the simulated sellers change theirs on the hour only."""
    clock = ZoneInfo(zone)
    hours = (datetime.fromtimestamp(hour * HOUR, UTC).astimezone(clock) for hour in range(first_hour, last_hour + 1))
    offsets = [hour.utcoffset() or timedelta(0) for hour in hours]
    return np.array([int(offset.total_seconds()) for offset in offsets], dtype=np.int64)


def _midnight(month: Month, zone: str) -> int:
    return int(datetime(month.year, month.number, 1, tzinfo=ZoneInfo(zone)).timestamp())

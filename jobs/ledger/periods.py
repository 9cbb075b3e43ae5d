"""What a run is named after: a month 2026-10, a day 2026-10-31 or an hour 2026-10-31T14."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from jobs.runtime.errors import CallError

Grain = Literal["month", "day", "hour"]
FORMATS: dict[Grain, str] = {"month": "%Y-%m", "day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H"}
_SHAPES: dict[Grain, re.Pattern[str]] = {
    "month": re.compile(r"[0-9]{4}-[0-9]{2}"),
    "day": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "hour": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}"),
}
WRITTEN = "A month is written like 2026-10, a day like 2026-10-31, an hour like 2026-10-31T14."


@dataclass(frozen=True, order=True)
class Period:
    """One calendar month, day or hour; months and days are those of the legal entity, hours are UTC."""

    key: str

    def __post_init__(self) -> None:
        try:
            self.begins  # noqa: B018 - reading it is the check
        except (ValueError, StopIteration):
            raise CallError(f"'{self.key}' is not a month, a day or an hour. Nothing was started. {WRITTEN}") from None

    @property
    def grain(self) -> Grain:
        """What kind of period it is."""
        return next(grain for grain, shape in _SHAPES.items() if shape.fullmatch(self.key))

    @property
    def begins(self) -> datetime:
        """Its first moment, without a zone."""
        return datetime.strptime(self.key, FORMATS[self.grain])

    @property
    def ends(self) -> datetime:
        """The first moment after it, without a zone."""
        if self.grain == "month":
            return (self.begins + timedelta(days=31)).replace(day=1)
        return self.begins + (timedelta(days=1) if self.grain == "day" else timedelta(hours=1))

    @property
    def first_day(self) -> date:
        """The day it begins on; for a month its first day. The value of the column `period` in tables."""
        return self.begins.date()

    @property
    def last_day(self) -> date:
        """The last day that belongs to it."""
        return (self.ends - timedelta(microseconds=1)).date()

    @property
    def next(self) -> Period:
        """The period of the same kind after it."""
        return Period(self.ends.strftime(FORMATS[self.grain]))

    @property
    def month(self) -> Period:
        """The month it lies in."""
        return Period(self.key[:7])

    def months_since(self, earlier: str) -> int:
        """How many months lie between an earlier month and this one."""
        then, now = Period(earlier).first_day, self.first_day
        return (now.year - then.year) * 12 + now.month - then.month

    def at(self, grain: Grain) -> Period:
        """The period of a coarser grain it lies in; of a month its last day, of a day its last hour."""
        if len(FORMATS[grain]) <= len(FORMATS[self.grain]):
            return Period(self.begins.strftime(FORMATS[grain]))
        return Period((self.ends - timedelta(microseconds=1)).strftime(FORMATS[grain]))

    def required(self, grain: Grain | None, asked_by: str) -> Period:
        """Itself, refused when whoever asks needs another kind of period."""
        if grain is not None and grain != self.grain:
            raise CallError(
                f"{asked_by} runs by {grain}, and '{self.key}' is a {self.grain}. Nothing was started. {WRITTEN}"
            )
        return self

    def __str__(self) -> str:
        return self.key

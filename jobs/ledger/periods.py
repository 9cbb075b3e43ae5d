"""A billed month, and how it is written: 2026-10."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from jobs.runtime.errors import CallError

_MONTH = re.compile(r"(?!0000)[0-9]{4}-(0[1-9]|1[0-2])")


@dataclass(frozen=True, order=True)
class Period:
    """One calendar month, in the time zone of the legal entity that bills it."""

    key: str

    def __post_init__(self) -> None:
        if not _MONTH.fullmatch(self.key):
            raise CallError(
                f"'{self.key}' is not a month. Nothing was started. A month is written as year and month, like 2026-10."
            )

    @property
    def first_day(self) -> date:
        """The first day of the month."""
        return date(int(self.key[:4]), int(self.key[5:]), 1)

    @property
    def next(self) -> Period:
        """The month after."""
        year, month = int(self.key[:4]), int(self.key[5:])
        return Period(f"{year + month // 12:04d}-{month % 12 + 1:02d}")

    def __str__(self) -> str:
        return self.key

"""Business days: neither a weekend nor a public holiday of the country that pays, nor a day on which the currency's market rests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache

import holidays

from jobs.runtime.config import nearest
from jobs.runtime.errors import ConfigError

# Where a currency is settled. The euro rests with TARGET; other currencies with the holidays of the country that issues them.
SETTLED_IN = {
    "AED": "AE", "AUD": "AU", "BGN": "BG", "BRL": "BR", "CAD": "CA", "CHF": "CH", "CNY": "CN", "CZK": "CZ", "DKK": "DK", "GBP": "GB",
    "HKD": "HK", "HUF": "HU", "INR": "IN", "ISK": "IS", "JPY": "JP", "KRW": "KR", "KWD": "KW", "MXN": "MX", "NOK": "NO", "NZD": "NZ",
    "PLN": "PL", "RON": "RO", "SEK": "SE", "SGD": "SG", "THB": "TH", "TRY": "TR", "USD": "US", "ZAR": "ZA",
}  # fmt: skip
TARGET = "ECB"  # closing days of the euro's settlement system, as the European Central Bank publishes them
LONGEST_REST = 30  # days; no market rests longer, so that a search for the next business day ends


@dataclass(frozen=True)
class Market:
    """Whose days count: a country, perhaps one part of it, and the currency that is paid."""

    country: str  # ISO 3166 alpha-2
    currency: str  # ISO 4217
    subdivision: str | None = None  # of the country, where its holidays differ: ENG of GB

    def is_open(self, day: date) -> bool:
        """Whether payments are settled on a day."""
        if day.weekday() in _weekend(self.country) or day in _rest(self.country, self.subdivision, day.year):
            return False
        return day not in _rest_of_currency(self.currency, day.year)

    def on_or_after(self, day: date) -> date:
        """The day itself or the first business day after it."""
        return self._search(day, 1)

    def on_or_before(self, day: date) -> date:
        """The day itself or the last business day before it."""
        return self._search(day, -1)

    def first_possible(self, moment: datetime, cut_off: time) -> date:
        """The first business day on which an instruction can be settled that is given at a moment of the payer's clocks."""
        too_late = moment.time() >= cut_off
        return self.on_or_after(moment.date() + timedelta(days=1 if too_late else 0))

    def days(self, first: date, last: date) -> Iterator[tuple[date, date, date]]:
        """Every day of a span with the business day on or before it and the one on or after it."""
        for offset in range((last - first).days + 1):
            day = first + timedelta(days=offset)
            yield day, self.on_or_before(day), self.on_or_after(day)

    def _search(self, day: date, step: int) -> date:
        for distance in range(LONGEST_REST):
            found = day + timedelta(days=step * distance)
            if self.is_open(found):
                return found
        raise ConfigError(f"{self.country}/{self.currency} has no business day within {LONGEST_REST} days of {day}.")


def check_country(country: str, subdivision: str | None = None) -> None:
    """Refuse a country or a part of it whose holidays nobody knows."""
    known = holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        raise ConfigError(
            f"no holiday calendar of country '{country}' is known; {nearest(country, known)} Nothing was started."
        )
    if subdivision is not None and subdivision not in known[country]:
        raise ConfigError(
            f"'{subdivision}' is no part of {country} with holidays of its own; {nearest(subdivision, known[country])} Nothing was started."
        )


@cache
def _rest(country: str, subdivision: str | None, year: int) -> frozenset[date]:
    check_country(country, subdivision)
    return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=year, expand=False))


@cache
def _weekend(country: str) -> frozenset[int]:
    check_country(country)
    return frozenset(holidays.country_holidays(country).weekend)


@cache
def _rest_of_currency(currency: str, year: int) -> frozenset[date]:
    if currency == "EUR":
        return frozenset(holidays.financial_holidays(TARGET, years=year, expand=False))
    issuer = SETTLED_IN.get(currency)
    return _rest(issuer, None, year) if issuer else frozenset()

"""conf/billing_aggregation.yaml."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from jobs.ledger.money import Rounding
from jobs.ledger.periods import Period
from jobs.runtime import config


class Adjustments(config.Strict):
    """How far a change of an invoiced month is billed without being asked."""

    months: int = Field(ge=0, le=120)
    largest: dict[Annotated[str, Field(pattern="^[A-Z]{3}$")], Annotated[Decimal, Field(ge=0)]]


class Outliers(config.Strict):
    """From when on a product's month is worth a look: so many times the month before, or so small a part of it."""

    times: Decimal = Field(gt=1)


class Conversion(config.Strict):
    """Whose exchange rates turn a price in another currency into the account's, of which day, and how a charge is rounded."""

    source: str = Field(min_length=1)
    day: Literal["first_of_month", "last_of_month", "last_of_month_before"]
    oldest_days: int = Field(ge=0, le=31)
    rounding: Rounding
    decimals: int = Field(ge=0, le=18)

    def day_of(self, month: Period) -> date:
        """The day whose rates a month is converted at; where it has none, the latest before it within oldest_days."""
        if self.day == "last_of_month":
            return month.last_day
        return month.first_day - timedelta(days=self.day == "last_of_month_before")


class Settings(config.Strict):
    """When a month is billed, and what becomes of usage and prices that come later."""

    grace_hours: int = Field(ge=0, le=744)
    adjustments: Adjustments
    outliers: Outliers
    conversion: Conversion | None = None  # without it a price counts for accounts of its own currency only


def settings() -> Settings:
    """The settings in force."""
    return config.load(config.stage_file("billing_aggregation"), Settings)

"""conf/billing_aggregation.yaml."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from jobs.runtime import config


class Adjustments(config.Strict):
    """How far a change of an invoiced month is billed without being asked."""

    months: int = Field(ge=0, le=120)
    largest: dict[Annotated[str, Field(pattern="^[A-Z]{3}$")], Annotated[Decimal, Field(ge=0)]]


class Outliers(config.Strict):
    """From when on a product's month is worth a look: so many times the month before, or so small a part of it."""

    times: Decimal = Field(gt=1)


class Settings(config.Strict):
    """When a month is billed, and what becomes of usage and prices that come later."""

    grace_hours: int = Field(ge=0, le=744)
    adjustments: Adjustments
    outliers: Outliers


def settings() -> Settings:
    """The settings in force."""
    return config.load(config.stage_file("billing_aggregation"), Settings)

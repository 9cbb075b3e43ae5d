"""conf/invoice_generation.yaml."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import Field, field_validator

from jobs.ledger.money import Rounding
from jobs.ledger.periods import Period
from jobs.runtime import config


class RoundingPolicy(config.Strict):
    """Where rounding happens, and how; tax_level holds where a tax policy leaves it open."""

    method: Rounding
    level: Literal["line", "document"]
    tax_level: Literal["line", "document"]


class Holding(config.Strict):
    """Which documents are not issued but carried forward to the next month, although their tax is decided."""

    minimum: dict[str, Decimal] = Field(default={})  # currency -> the smallest net amount an invoice is written for
    zero_total: Literal["issue", "carry"] = "issue"
    negative_total: Literal["credit_note", "carry"] = "credit_note"

    @field_validator("minimum")
    @classmethod
    def _above_nothing(cls, told: dict[str, Decimal]) -> dict[str, Decimal]:
        for currency, amount in told.items():
            if not re.fullmatch("[A-Z]{3}", currency) or amount <= 0:
                raise ValueError(f"'{currency}: {amount}' is not an ISO 4217 code and an amount above 0")
        return told


class Series(config.Strict):
    """A series of numbers per legal entity and fiscal year."""

    suffix: str = Field(pattern="^[A-Z]{0,3}$")
    title: str


class Settings(config.Strict):
    """How charges become documents."""

    rounding: RoundingPolicy
    holding: Holding = Holding()
    oldest_id_check_days: int | None = Field(
        default=None, ge=1
    )  # how old a registry's check of a tax id may be at the tax point
    default_payment_terms_days: int = Field(ge=0, le=365)
    issue_day: int = Field(ge=1, le=28)
    series: dict[Literal["invoice", "credit_note"], Series]
    number_format: str

    @field_validator("number_format")
    @classmethod
    def _formats(cls, pattern: str) -> str:
        try:
            shown = {pattern.format(prefix="P", suffix="", year=2026, number=number) for number in (1, 2)}
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError("knows {prefix}, {suffix}, {year} and {number}") from error
        if len(shown) < 2:
            raise ValueError("must contain {number}")
        return pattern

    def issue_date(self, period: Period) -> date:
        """The issue date of a month's documents where the run does not name one."""
        return period.next.first_day.replace(day=self.issue_day)


def settings() -> Settings:
    """The settings in force."""
    return config.load(config.stage_file("invoice_generation"), Settings)

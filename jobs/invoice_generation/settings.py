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
    """Where rounding happens, and how."""

    method: Rounding
    level: Literal["line", "document"]
    tax_level: Literal["line", "document"]


class Series(config.Strict):
    """A series of numbers per legal entity and fiscal year."""

    suffix: str = Field(pattern="^[A-Z]{0,3}$")
    title: str


class Documents(config.Strict):
    """Which files a document has, and how closely they are looked at."""

    formats: tuple[Literal["ubl", "pdf"], ...] = Field(default=("ubl", "pdf"), min_length=1)
    validated_share: Decimal = Field(
        default=Decimal("0.05"), ge=0, le=1
    )  # of documents whose UBL the official rules are run on
    default_language: str = Field(
        default="en", pattern="^[a-z]{2}$"
    )  # of PDFs for customers of a country that no language names
    units: dict[str, str] = Field(default={})  # as usage calls a unit -> code of UN/ECE Recommendation 20

    @field_validator("formats")
    @classmethod
    def _each_format_once(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        if len(formats) != len(set(formats)):
            raise ValueError("a format is named twice")
        return formats

    @field_validator("units")
    @classmethod
    def _codes(cls, units: dict[str, str]) -> dict[str, str]:
        for unit, code in units.items():
            if not re.fullmatch("[A-Z0-9]{2,3}", code):
                raise ValueError(f"unit '{unit}' has '{code}', which is no code of UN/ECE Recommendation 20")
        return units


class Settings(config.Strict):
    """How charges become documents."""

    rounding: RoundingPolicy
    default_payment_terms_days: int = Field(ge=0, le=365)
    issue_day: int = Field(ge=1, le=28)
    series: dict[Literal["invoice", "credit_note"], Series]
    number_format: str
    documents: Documents = Documents()

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

"""Tax policies: which rate a seller charges, by customer country and date, each line with its source."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from pydantic import Field, model_validator

from jobs.runtime import config
from jobs.runtime.errors import ConfigError


class TaxRate(config.Strict):
    """One line of a policy."""

    id: str
    countries: tuple[str, ...] = Field(min_length=1)  # ISO 3166 alpha-2; "*" is every country
    category: str = Field(pattern="^[A-Z]{1,2}$")  # UNCL 5305
    rate: Decimal = Field(ge=0, le=1)  # a share: "0.20"
    valid_from: date
    valid_to: date | None = None  # the first day it no longer holds
    source: str


class TaxPolicy(config.Strict):
    """conf/taxes/<policy>.yaml; the first line that fits country and date decides."""

    policy: str
    rates: tuple[TaxRate, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> TaxPolicy:
        ids = [rate.id for rate in self.rates]
        if len(ids) != len(set(ids)):
            raise ValueError("two rates carry one id")
        return self

    def in_force(self, day: date) -> tuple[TaxRate, ...]:
        """The lines that hold on a day, in the order in which they decide."""
        return tuple(
            rate for rate in self.rates if rate.valid_from <= day and (rate.valid_to is None or day < rate.valid_to)
        )


def tax_policies() -> dict[str, TaxPolicy]:
    """Every policy by name."""
    return {name: policy for name, (_, policy) in config.load_all("taxes", TaxPolicy).items()}


def tax_policy(name: str, policies: dict[str, TaxPolicy]) -> TaxPolicy:
    """A policy by name."""
    if name not in policies:
        raise ConfigError(
            f"tax policy '{name}' does not exist in conf/taxes/; {config.nearest(name, policies)} Nothing was started."
        )
    return policies[name]

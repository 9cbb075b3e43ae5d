"""conf/payment_planning.yaml."""

from __future__ import annotations

from datetime import date, time
from typing import Literal

from pydantic import Field, field_validator, model_validator

from jobs.ledger.calendars import check_country
from jobs.ledger.policies import Dated, of_tenant, one_a_day
from jobs.payment_planning import terms
from jobs.runtime import config
from jobs.runtime.errors import ConfigError

Method = Literal["sepa", "transfer", "immediate"]


class Policy(Dated):
    """When and how accepted payables are paid."""

    horizon_days: int = Field(ge=0, le=366)
    business_day: Literal["previous", "next"]
    default_terms: str
    credit_notes: Literal["leave_open", "net"]
    cut_offs: dict[Method, time]
    payment_methods: dict[str, Method]
    subdivisions: dict[str, str] = Field(default={})

    @field_validator("default_terms")
    @classmethod
    def _is_understood(cls, text: str) -> str:
        if not terms.understood(text):
            raise ValueError(f"'{text}' is not in the grammar of payment terms; 'net 30', 'eom+10' and 'immediate' are")
        return text

    @field_validator("cut_offs")
    @classmethod
    def _every_method_has_one(cls, told: dict[Method, time]) -> dict[Method, time]:
        if missing := {"sepa", "transfer", "immediate"} - set(told):
            raise ValueError(f"no cut-off of {', '.join(sorted(missing))}")
        return told

    @field_validator("payment_methods")
    @classmethod
    def _words_as_they_are_compared(cls, told: dict[str, Method]) -> dict[str, Method]:
        return {" ".join(word.lower().split()): method for word, method in told.items()}

    @field_validator("subdivisions")
    @classmethod
    def _parts_exist(cls, told: dict[str, str]) -> dict[str, str]:
        for country, part in told.items():
            try:
                check_country(country, part)
            except ConfigError as error:
                raise ValueError(error.message) from None
        return told


class Settings(config.Strict):
    """The payment policies, by tenant and date."""

    policies: tuple[Policy, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_policy_a_day(self) -> Settings:
        one_a_day(self.policies)
        return self

    def of(self, tenant: str, day: date) -> Policy:
        """The policy of a tenant on a day: its own before the one for everybody."""
        if policy := of_tenant(self.policies, tenant, day):
            return policy
        raise ConfigError(
            f"conf/payment_planning.yaml has no policy of tenant {tenant} on {day}. Nothing was started; add one."
        )


def settings() -> Settings:
    """The settings in force."""
    return config.load(config.stage_file("payment_planning"), Settings)

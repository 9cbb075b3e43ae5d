"""conf/suspension_selection.yaml: the policy language."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from jobs.ledger.policies import Dated, meet
from jobs.runtime import config
from jobs.runtime.errors import ConfigError

CURRENT = "current"  # the state of an account that owes nothing for too long; before all others
Currency = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]


class Condition(config.Strict):
    """What must be true of an account's debts: one comparison, or all or any of several."""

    all: tuple[Condition, ...] | None = Field(default=None, min_length=1)
    any: tuple[Condition, ...] | None = Field(default=None, min_length=1)
    unpaid_count: int | None = Field(default=None, ge=1)  # at least so many invoices count
    overdue_balance: dict[Currency, Decimal] | None = Field(default=None, min_length=1)  # at least so much in one of these
    oldest_overdue_days: int | None = Field(default=None, ge=1)  # the oldest that counts fell due at least so many days ago

    @model_validator(mode="after")
    def _says_one_thing(self) -> Condition:
        said = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(
                f"a condition says exactly one thing of all, any, {', '.join(LEAVES)}; this one says {len(said)}"
            )
        return self

    @model_validator(mode="after")
    def _thresholds_are_positive(self) -> Condition:
        if self.overdue_balance and min(self.overdue_balance.values()) <= 0:
            raise ValueError("a balance of nothing is overdue for nobody; say a positive amount")
        return self


LEAVES = ("unpaid_count", "overdue_balance", "oldest_overdue_days")


class State(config.Strict):
    """A state an account can be put into."""

    name: str = Field(pattern="^[a-z][a-z0-9_]{1,30}$")
    when: Condition
    min_days: int = Field(default=0, ge=0)  # so long it must have been in the state before
    final: bool = False  # no return from it


class Policy(Dated):
    """The states of an account, and when it enters them."""

    segments: tuple[str, ...] = ()  # of customers; none named is all
    minimum_open: dict[Currency, Decimal] = Field(default={})
    one_step: bool
    cash_age_days: int = Field(ge=0, le=366)
    covered_share: Decimal = Field(gt=0, le=1)
    share_max: Decimal = Field(ge=0, le=1)
    allowed_anyway: int = Field(ge=0)
    states: tuple[State, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _states_are_told_apart(self) -> Policy:
        names = [state.name for state in self.states]
        if len(names) != len(set(names)) or CURRENT in names or "hold" in names or "reinstate" in names:
            raise ValueError("every state has a name of its own, and none is called current, hold or reinstate")
        return self


class Settings(config.Strict):
    """The suspension policies, by tenant, segment and date."""

    policies: tuple[Policy, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_policy_a_day(self) -> Settings:
        for number, one in enumerate(self.policies):
            for other in self.policies[number + 1 :]:
                if one.rule == other.rule:
                    raise ValueError(f"two policies are called {one.rule}")
                if meet(one.tenants, other.tenants) and meet(one.segments, other.segments) and one.overlaps(other):
                    raise ValueError(f"{one.rule} and {other.rule} hold for one tenant and segment on one day")
        return self

    def of(self, tenant: str, day: date) -> dict[str | None, Policy]:
        """The policies of a tenant on a day by segment; under None the one of every segment that has none of its own."""
        holding = [p for p in self.policies if p.holds(day) and (not p.tenants or tenant in p.tenants)]
        ranked = sorted(holding, key=lambda policy: not policy.tenants)  # its own first
        found: dict[str | None, Policy] = {}
        for policy in ranked:
            for segment in policy.segments or (None,):
                found.setdefault(segment, policy)
        if None not in found:
            raise ConfigError(
                f"conf/suspension_selection.yaml has no policy for all segments of tenant {tenant} on {day}. Nothing was started; add one."
            )
        own = found[None].tenants
        return {
            s: p for s, p in found.items() if s is None or p.tenants or not own
        }  # the tenant's own goes before a segment's


def settings() -> Settings:
    """The settings in force."""
    return config.load(config.stage_file("suspension_selection"), Settings)

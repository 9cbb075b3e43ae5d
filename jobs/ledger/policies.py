"""What every policy in conf/ has in common: a name and a version, the days it holds, and the tenants it holds for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TypeVar

from pydantic import Field

from jobs.runtime import config


class Dated(config.Strict):
    """One version of a policy."""

    id: str
    version: int = Field(ge=1)
    valid_from: date
    valid_to: date | None = None  # the first day it no longer holds
    tenants: tuple[str, ...] = ()  # for whom; nobody named is everybody

    @property
    def rule(self) -> str:
        """What decided, by id and version (law 10)."""
        return f"{self.id} v{self.version}"

    def holds(self, day: date) -> bool:
        """Whether it is in force on a day."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    def overlaps(self, other: Dated) -> bool:
        """Whether both hold on some day."""
        return (self.valid_to is None or other.valid_from < self.valid_to) and (
            other.valid_to is None or self.valid_from < other.valid_to
        )


def meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two policies name somebody in common, or are both for whoever is not named."""
    return bool(set(one) & set(other)) or (not one and not other)


Policy = TypeVar("Policy", bound=Dated)


def one_a_day(policies: Sequence[Policy]) -> Sequence[Policy]:
    """These policies; a ValueError where two have one name, or two hold for one tenant on one day."""
    for number, one in enumerate(policies):
        for other in policies[number + 1 :]:
            if one.rule == other.rule:
                raise ValueError(f"two policies are called {one.rule}")
            if meet(one.tenants, other.tenants) and one.overlaps(other):
                raise ValueError(f"{one.rule} and {other.rule} hold for one tenant on one day")
    return policies


def of_tenant(policies: Sequence[Policy], tenant: str, day: date) -> Policy | None:
    """The policy of a tenant on a day: its own before the one for everybody; None where none holds."""
    holding = [policy for policy in policies if policy.holds(day)]
    own = (policy for policy in holding if tenant in policy.tenants)
    return next(own, None) or next((policy for policy in holding if not policy.tenants), None)

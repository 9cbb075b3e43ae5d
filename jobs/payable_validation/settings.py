"""conf/payable_validation.yaml, and the rules it names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from pydantic import Field

from jobs.ledger import rules as language
from jobs.ledger.rules import Rule
from jobs.ledger.tenants import BusinessLine, Column, Tenant
from jobs.payable_validation.checks import CHECKS
from jobs.payable_validation.record import RECORD
from jobs.runtime import config


class Settings(config.Strict):
    """Where the rules stand."""

    rules: str = Field(pattern="^[a-z][a-z0-9_]*$")  # the folder below conf/rules/


def settings() -> Settings:
    """The settings in force, their rules validated."""
    told = config.load(config.stage_file("payable_validation"), Settings)
    language.rules(told.rules, RECORD, CHECKS)
    return told


def rules_in_force() -> tuple[Rule, ...]:
    """Every rule, validated, in a fixed order."""
    told = config.load(config.stage_file("payable_validation"), Settings)
    return language.rules(told.rules, RECORD, CHECKS)


def rules_of(tenant: Tenant, every: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules that can speak of a tenant's payables: of the countries its legal entities serve, and of its business lines."""
    countries = {country for entity in tenant.legal_entities for country in (entity.country, *entity.serves)}
    return tuple(rule for rule in every if rule.concerns(_lines(tenant), countries))


def _lines(tenant: Tenant) -> set[str]:
    """The business lines that its payables can name; all of them where their source says it row by row."""
    own: set[str] = {tenant.business_line}
    mapping = tenant.feeds.get("payables")
    how = mapping.columns.get("business_line") if mapping else None
    if how is None:
        return own
    if isinstance(how, Column) and how.constant is not None:
        return own | {how.constant}
    if isinstance(how, Column) and how.map is not None:
        return own | set(how.map.values())
    return set(get_args(BusinessLine))

"""conf/ledger_posting.yaml: the posting rules."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from jobs.runtime import config


class PostingLine(config.Strict):
    """One line of an entry: which amount of the event goes to which ledger account, on which side."""

    side: Literal["debit", "credit"]
    ledger_account: Literal["accounts_receivable", "revenue", "tax_payable"]
    amount: Literal["gross", "net", "tax"]


class PostingRule(config.Strict):
    """What one kind of event posts."""

    id: str
    event: Literal["invoice_issued", "credit_note_issued"]
    lines: tuple[PostingLine, ...] = Field(min_length=2)


class Settings(config.Strict):
    """The posting rules, one per event."""

    rules: tuple[PostingRule, ...]

    @model_validator(mode="after")
    def _one_rule_per_event(self) -> Settings:
        events = [rule.event for rule in self.rules]
        if len(events) != len(set(events)):
            raise ValueError("two rules post one event")
        return self


def settings() -> Settings:
    """The settings in force."""
    return config.load(config.stage_file("ledger_posting"), Settings)

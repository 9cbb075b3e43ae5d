"""conf/ledger_posting.yaml: the posting rules."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from jobs.runtime import config

Event = Literal[
    "invoice_issued", "credit_note_issued", "debit_note_issued", "corrective_invoice_issued", "document_rounded", "written_off",
    "receivable_taken_over", "payable_accepted", "payment_instructed", "cash_received", "cash_paid_out", "cash_applied",
    "prepayment_applied", "prepayment_given_back",
]  # fmt: skip
Account = Literal[
    "accounts_receivable", "accounts_payable", "revenue", "expense", "tax_payable", "input_tax", "bank", "unapplied_cash",
    "payments_in_transit", "opening_balance", "bad_debt_expense", "rounding_difference",
]  # fmt: skip


class PostingLine(config.Strict):
    """One line of an entry: which amount of the event goes to which ledger account, on which side."""

    side: Literal["debit", "credit"]
    ledger_account: Account
    amount: Literal["gross", "net", "tax"]


class PostingRule(config.Strict):
    """What one kind of event posts."""

    id: str
    event: Event
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

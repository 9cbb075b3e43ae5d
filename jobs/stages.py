"""The stages, in the order a month passes through them.

Standard library only: DAG files import this at parse time. A stage is found by its name in jobs/, expectations/, conf/,
tests/ and as the task group of its DAG; stages never import each other and meet in the tables named here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Stage:
    """One stage: what it reads, what it alone writes, and which suites judge it before anything is published."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    gates: tuple[str, ...]  # functions of expectations/<name>.py
    grain: Literal["month", "day", "hour"] | None = (
        "month"  # what its runs are named after: month, day, hour; None takes any
    )
    lanes: tuple[str, ...] = ("main",)  # parts that are run, judged and published one without the other
    in_turn: bool = False  # its runs go on from each other, so two of one tenant never publish side by side
    looks_back: bool = False  # it reads what it has left itself, but of frozen months: two may run side by side
    parts: tuple[str, ...] = ()  # lanes that a run of its main lane publishes before the rest of it, which must then follow
    earlier_runs_of: tuple[str, ...] = ()  # stages that come after it, of which it reads what earlier runs have left
    lane_gates: tuple[tuple[str, tuple[str, ...]], ...] = ()  # lane -> the gates that judge it alone, and no other lane

    def gates_of(self, lane: str) -> tuple[str, ...]:
        """The gates that judge a lane: its own where it has some, else all that are no other lane's own."""
        own = dict(self.lane_gates)
        claimed = {gate for gates in own.values() for gate in gates}
        return own.get(lane) or tuple(gate for gate in self.gates if gate not in claimed)


INGESTION = Stage(
    name="ingestion",
    inputs=(),
    outputs=(
        "raw.landed_files", "raw.quarantine", "raw.accounts", "raw.prices", "raw.usage", "billing.usage_rollup",
        "billing.waiting", "raw.vendors", "raw.purchase_orders", "raw.payables", "raw.bank_transactions", "raw.open_items", "raw.disputes",
        "raw.promises", "raw.exemptions", "raw.credits", "raw.fx_rates", "raw.invoice_corrections", "raw.tax_rates", "raw.tax_registrations",
    ),
    gates=("files", "usage"),
    grain=None,
    in_turn=True,  # every process begins with it
)  # fmt: skip
BILLING_AGGREGATION = Stage(
    name="billing_aggregation",
    inputs=(
        "raw.landed_files", "raw.accounts", "raw.prices", "raw.usage", "raw.credits", "raw.fx_rates", "billing.usage_rollup",
        "billing.waiting",         "billing.charges", "billing.adjustments", "billing.late_usage", "billing.late_prices",
    ),
    outputs=("billing.charges", "billing.adjustments", "billing.late_usage", "billing.late_prices"),
    gates=("charges", "adjustments", "conservation", "month_on_month", "credits"),
    looks_back=True,
)  # fmt: skip
MONTH_FROZEN, MONEY_TAKEN = "frozen", "prepayments"  # lanes in which issuing a month begins: docs/decisions/0006, 0017
INVOICE_GENERATION = Stage(
    name="invoice_generation",
    inputs=(
        "raw.landed_files", "raw.accounts", "raw.exemptions", "raw.tax_rates", "raw.tax_registrations", "raw.invoice_corrections",
        "billing.charges", "billing.adjustments", "invoicing.carried_forward", "invoicing.invoices", "invoicing.invoice_lines",
        "invoicing.invoice_taxes", "invoicing.corrections", "invoicing.documents", "invoicing.prepayments", "cash.unapplied",
        "cash.applications",
    ),
    outputs=(
        "invoicing.invoices", "invoicing.invoice_lines", "invoicing.invoice_taxes", "invoicing.carried_forward",
        "invoicing.number_register", "invoicing.focus_files", "invoicing.corrections", "invoicing.documents",
        "invoicing.prepayments",
    ),
    gates=("invoices", "lines", "corrections", "prepayments", "issue_control", "focus", "documents"),
    lanes=("main", "documents"),  # what is issued stands, whether or not it can be rendered
    lane_gates=(("documents", ("documents",)),),
    looks_back=True,  # documents are made of what the main lane has issued; drafts stand beside earlier months
    parts=(MONTH_FROZEN, MONEY_TAKEN),  # before documents are numbered, what they are made of is taken, so that nobody changes it
    earlier_runs_of=("cash_matching",),  # money that is on account when a month is issued
)  # fmt: skip
PAYABLE_VALIDATION = Stage(
    name="payable_validation",
    inputs=("raw.landed_files", "raw.payables", "raw.vendors", "raw.purchase_orders", "payables.decisions"),
    outputs=("payables.decisions", "payables.reasons"),
    gates=("decisions", "conservation"),
    grain="hour",
    in_turn=True,
)
PAYMENT_PLANNING = Stage(
    name="payment_planning",
    inputs=("raw.landed_files", "raw.vendors", "payables.decisions", "payables.payment_instructions"),
    outputs=("payables.payment_batches", "payables.payment_instructions"),
    gates=("batches", "instructions"),
    grain="hour",
    in_turn=True,
)
CASH_MATCHING = Stage(
    name="cash_matching",
    inputs=(
        "raw.landed_files",
        "raw.bank_transactions",
        "raw.accounts",
        "raw.open_items",
        "ledger.open_items",
        "cash.applications",
        "invoicing.prepayments",
    ),
    outputs=("cash.applications", "cash.unapplied", "cash.suggestions"),
    gates=("conservation", "applications"),
    grain="day",
    in_turn=True,
)
SUSPENSION_SELECTION = Stage(
    name="suspension_selection",
    inputs=(
        "raw.landed_files", "raw.accounts", "raw.open_items", "raw.disputes", "raw.promises", "raw.exemptions", "ledger.open_items",
        "cash.applications", "cash.unapplied", "cash.suggestions", "invoicing.prepayments", "suspension.account_states",
    ),
    outputs=("suspension.candidates", "suspension.account_states"),
    gates=("candidates", "share"),
    grain="day",
    in_turn=True,
)  # fmt: skip
LEDGER_POSTING = Stage(
    name="ledger_posting",
    inputs=(
        "raw.landed_files", "raw.accounts", "raw.open_items", "raw.bank_transactions", "invoicing.invoices",
        "invoicing.corrections", "invoicing.prepayments", "payables.decisions",
        "payables.payment_instructions", "cash.applications", "ledger.journal_lines", "ledger.open_items",
    ),
    outputs=("ledger.journal_lines", "ledger.open_items", "ledger.trial_balance"),
    gates=("journal", "events", "sub_ledger"),
    in_turn=True,
    lanes=("main", "receipts"),  # money that came in is posted whether or not it can be matched
)  # fmt: skip

STAGES: tuple[Stage, ...] = (
    INGESTION,
    BILLING_AGGREGATION,
    INVOICE_GENERATION,
    PAYABLE_VALIDATION,
    PAYMENT_PLANNING,
    CASH_MATCHING,
    LEDGER_POSTING,
    SUSPENSION_SELECTION,
)
BY_NAME: dict[str, Stage] = {stage.name: stage for stage in STAGES}
WRITER_OF: dict[str, str] = {table: stage.name for stage in STAGES for table in stage.outputs}

VERBS: tuple[str, ...] = ("write", "audit", "publish")

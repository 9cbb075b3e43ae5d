"""The stages, in the order a month passes through them.

Standard library only: DAG files import this at parse time. A stage is found by its name in jobs/, expectations/, conf/,
tests/ and as the task group of its DAG; stages never import each other and meet in the tables named here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stage: what it reads, what it alone writes, and which suites judge it before anything is published."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    gates: tuple[str, ...]  # functions of expectations/<name>.py


INGESTION = Stage(
    name="ingestion",
    inputs=(),
    outputs=("raw.landed_files", "raw.quarantine", "raw.accounts", "raw.prices", "raw.usage", "billing.waiting"),
    gates=("files", "usage"),
)
BILLING_AGGREGATION = Stage(
    name="billing_aggregation",
    inputs=("raw.landed_files", "raw.accounts", "raw.prices", "raw.usage"),
    outputs=("billing.charges",),
    gates=("charges", "conservation"),
)
INVOICE_GENERATION = Stage(
    name="invoice_generation",
    inputs=("raw.landed_files", "raw.accounts", "billing.charges"),
    outputs=("invoicing.invoices", "invoicing.invoice_lines", "invoicing.invoice_taxes", "invoicing.number_register"),
    gates=("invoices", "lines"),
)
LEDGER_POSTING = Stage(
    name="ledger_posting",
    inputs=("invoicing.invoices", "invoicing.invoice_taxes"),
    outputs=("ledger.journal_lines", "ledger.open_items", "ledger.trial_balance"),
    gates=("journal", "sub_ledger"),
)

STAGES: tuple[Stage, ...] = (INGESTION, BILLING_AGGREGATION, INVOICE_GENERATION, LEDGER_POSTING)
BY_NAME: dict[str, Stage] = {stage.name: stage for stage in STAGES}
WRITER_OF: dict[str, str] = {table: stage.name for stage in STAGES for table in stage.outputs}

VERBS: tuple[str, ...] = ("write", "audit", "publish")

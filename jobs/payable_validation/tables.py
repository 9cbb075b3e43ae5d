"""What payable validation publishes: a decision on every vendor invoice, and every reason behind it."""

from __future__ import annotations

from pyspark.sql import types as T

from jobs.ledger.columns import AMOUNT, COUNT, CURRENCY, PERIOD, PUBLICATION, TENANT, optional
from jobs.runtime.tables import Table

ACCEPT, HOLD, REJECT = "accept", "hold", "reject"  # what a decision may be

# one row per payable and moment of decision; the latest stands, a decision that has not changed is not repeated
DECISIONS = Table(
    "payables.decisions",
    T.StructType(
        [
            TENANT,
            PERIOD,  # the day of the deciding run
            optional("payable_id", T.StringType()),
            optional("source_id", T.StringType()),  # what its source records call it; differs from payable_id where several
            # payables come from one: another currency, or lines that came after the decision
            optional("decided_at", T.StringType()),  # the hour of the deciding run: 2026-10-31T14; where that
            # hour was run again and decided otherwise, 2026-10-31T14#02, which sorts behind it
            optional("decision", T.StringType()),  # accept | hold | reject
            optional("rules", T.StringType()),  # hash of the rules that applied
            optional("reason_count", COUNT),
            optional(
                "rule_ids", T.ArrayType(T.StringType())
            ),  # the rules that spoke, sorted; payables.reasons has their words
            optional("vendor_id", T.StringType()),
            optional("legal_entity_id", T.StringType()),
            optional("business_line", T.StringType()),
            optional("country", T.StringType()),
            optional("document_type", T.StringType()),  # invoice | credit_note; a credit note's amounts are negative
            optional("invoice_number", T.StringType()),
            optional("invoice_date", T.DateType()),
            optional("received_on", T.DateType()),
            optional("due_date", T.DateType()),  # as the invoice says; null where it does not
            optional("terms", T.StringType()),
            optional("currency", CURRENCY),
            optional("gross_amount", AMOUNT),
            optional("net_amount", AMOUNT),
            optional("tax_amount", AMOUNT),
            optional("line_count", COUNT),  # source records it is made of
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("vendor_id", "invoice_number"),
)

REASONS = Table(  # one row per decision and rule that spoke against it
    "payables.reasons",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("payable_id", T.StringType()),
            optional("decided_at", T.StringType()),
            optional("rule_id", T.StringType()),
            optional("rule_version", T.IntegerType()),
            optional("severity", T.StringType()),  # reject | hold | warn
            optional("reason_code", T.StringType()),
            optional("message", T.StringType()),  # for a person; carries ids and amounts, nothing personal
            optional("evidence", T.StringType()),  # JSON: the values that decided, without personal columns
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("payable_id", "rule_id"),
)

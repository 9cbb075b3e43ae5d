"""What suspension selection publishes: who is nominated for which action, and the states accounts have been in."""

from __future__ import annotations

from pyspark.sql import types as T

from jobs.ledger.columns import AMOUNT, COUNT, CURRENCY, PERIOD, PUBLICATION, TENANT, optional
from jobs.runtime.tables import Table

CANDIDATES = Table(  # one row per as-of day, account and action
    "suspension.candidates",
    T.StructType(
        [
            TENANT,
            PERIOD,  # the as-of day
            optional("account_id", T.StringType()),
            optional("action", T.StringType()),  # the state it would enter, "reinstate", or "hold"
            optional("from_state", T.StringType()),
            optional("to_state", T.StringType()),
            optional("held_because", T.StringType()),  # what turned a candidate into a hold, in words; null otherwise
            optional("unpaid_count", COUNT),
            optional("oldest_overdue_days", T.IntegerType()),
            optional("currency", CURRENCY),  # of the balance that decided
            optional("overdue_balance", AMOUNT),
            optional("document_ids", T.ArrayType(T.StringType())),  # the invoices that count
            optional("policy_rule", T.StringType()),  # id and version of the condition that decided
            PUBLICATION,
        ]
    ),
    kind="derived",
    order=("account_id",),
)

ACCOUNT_STATES = Table(  # one row per account and change of state
    "suspension.account_states",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("account_id", T.StringType()),
            optional("valid_from", T.DateType()),
            optional("state", T.StringType()),
            optional("previous_state", T.StringType()),
            optional("policy_rule", T.StringType()),
            optional("document_ids", T.ArrayType(T.StringType())),
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("account_id",),
)

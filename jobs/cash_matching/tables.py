"""What cash matching publishes: applications of receipts to open items, and what is left for a person with suggestions."""

from __future__ import annotations

from pyspark.sql import types as T

from jobs.ledger.columns import AMOUNT, CURRENCY, PERIOD, PUBLICATION, TENANT, optional
from jobs.runtime.tables import Table

APPLICATIONS = Table(  # one row per receipt and document it pays
    "cash.applications",
    T.StructType(
        [
            TENANT,
            PERIOD,  # the day of the matching run
            optional("application_id", T.StringType()),
            optional("transaction_id", T.StringType()),
            optional("bank_account", T.StringType()),
            optional("legal_entity_id", T.StringType()),
            optional("account_id", T.StringType()),
            optional("document_id", T.StringType()),
            optional("currency", CURRENCY),
            optional("amount", AMOUNT),
            optional("booking_date", T.DateType()),
            optional("rule", T.StringType()),  # how it was found: exact_reference | several_references | ...
            optional("evidence", T.StringType()),  # JSON: the document number and amounts that agreed; nothing personal
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("transaction_id",),
    personal=("bank_account",),
)

UNAPPLIED = Table(  # one row per receipt with money left, as of the day of the run
    "cash.unapplied",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("transaction_id", T.StringType()),
            optional("bank_account", T.StringType()),
            optional("legal_entity_id", T.StringType()),
            optional("account_id", T.StringType()),  # the customer, where the payer is known
            optional("currency", CURRENCY),
            optional("received", AMOUNT),
            optional("applied", AMOUNT),
            optional("unapplied", AMOUNT),
            optional("booking_date", T.DateType()),
            optional("reason", T.StringType()),  # in words
            optional("on_account", T.BooleanType()),  # the payer is a customer by IBAN, and nothing that is open is named
            PUBLICATION,
        ]
    ),
    kind="derived",
    order=("transaction_id",),
    personal=("bank_account",),
)

SUGGESTIONS = Table(  # one row per unapplied receipt and rank
    "cash.suggestions",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("transaction_id", T.StringType()),
            optional("bank_account", T.StringType()),
            optional("rank", T.IntegerType()),
            optional("account_id", T.StringType()),
            optional("document_ids", T.ArrayType(T.StringType())),
            optional("currency", CURRENCY),
            optional("amount", AMOUNT),
            optional("score", T.DecimalType(5, 4)),
            optional("reason", T.StringType()),  # in words, without names
            PUBLICATION,
        ]
    ),
    kind="derived",
    order=("transaction_id", "rank"),
    personal=("bank_account",),
)

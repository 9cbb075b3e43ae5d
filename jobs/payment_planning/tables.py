"""What payment planning publishes: payment batches, each with one bank file, and the instructions in them."""

from __future__ import annotations

from pyspark.sql import types as T

from jobs.ledger.columns import AMOUNT, COUNT, CURRENCY, PERIOD, PUBLICATION, TENANT, optional
from jobs.runtime.tables import Table

PAYMENT_BATCHES = Table(  # one row per batch: legal entity, currency, method, value date and the run that made it
    "payables.payment_batches",
    T.StructType(
        [
            TENANT,
            PERIOD,  # the day of the planning run
            optional("batch_id", T.StringType()),
            optional("legal_entity_id", T.StringType()),
            optional("currency", CURRENCY),
            optional("method", T.StringType()),  # sepa | transfer | immediate
            optional("value_date", T.DateType()),
            optional("instruction_count", COUNT),
            optional("control_sum", AMOUNT),
            optional("file_name", T.StringType()),  # below documents/<tenant>/payments/
            optional("content_sha256", T.StringType()),
            PUBLICATION,
        ]
    ),
    kind="issued",
)

PAYMENT_INSTRUCTIONS = Table(  # one row per payable that is paid
    "payables.payment_instructions",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("instruction_id", T.StringType()),
            optional("batch_id", T.StringType()),
            optional("payable_id", T.StringType()),
            optional("vendor_id", T.StringType()),
            optional("legal_entity_id", T.StringType()),
            optional("invoice_number", T.StringType()),
            optional("due_date", T.DateType()),
            optional("value_date", T.DateType()),
            optional("currency", CURRENCY),
            optional("amount", AMOUNT),
            optional("end_to_end_id", T.StringType()),
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("batch_id", "payable_id"),
)

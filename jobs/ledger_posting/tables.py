"""What ledger posting publishes. It is the journal's only writer."""

from __future__ import annotations

from pyspark.sql import types as T

from jobs.ledger.columns import AMOUNT, COUNT, CURRENCY, PERIOD, PUBLICATION, TENANT, optional
from jobs.runtime.tables import Table

JOURNAL_LINES = Table(  # one row per tenant, entry_id and line_no
    "ledger.journal_lines",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("entry_id", T.StringType()),
            optional("line_no", T.IntegerType()),
            optional("event", T.StringType()),  # what happened, as the posting rules name it
            optional("rule_id", T.StringType()),
            optional("legal_entity_id", T.StringType()),
            optional("posting_date", T.DateType()),
            optional("ledger_account", T.StringType()),  # as conf/ledger_posting.yaml names them
            optional("party_id", T.StringType()),  # customer account or vendor; null where nobody knows yet
            optional("document_id", T.StringType()),  # the item of the sub-ledger that the line moves
            optional("source_id", T.StringType()),  # what happened: the document, instruction, transaction or application
            optional("currency", CURRENCY),
            optional("debit", AMOUNT),
            optional("credit", AMOUNT),
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("entry_id", "line_no"),
)

OPEN_ITEMS = Table(  # one row per tenant, month, control account, party and document that is open at its end or moved in it
    "ledger.open_items",
    T.StructType(
        [
            TENANT,
            PERIOD,  # the month at whose end it stands so
            optional("ledger_account", T.StringType()),  # accounts_receivable | accounts_payable
            optional("legal_entity_id", T.StringType()),
            optional("party_id", T.StringType()),
            optional("document_id", T.StringType()),
            optional("document_number", T.StringType()),  # as it is printed on the document
            optional("document_date", T.DateType()),
            optional("due_date", T.DateType()),
            optional("currency", CURRENCY),
            optional("original_amount", AMOUNT),
            optional("open_amount", AMOUNT),
            PUBLICATION,
        ]
    ),
    kind="derived",
    order=("party_id",),
)

TRIAL_BALANCE = Table(  # one row per tenant, period, legal entity, ledger account and currency
    "ledger.trial_balance",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("legal_entity_id", T.StringType()),
            optional("ledger_account", T.StringType()),
            optional("currency", CURRENCY),
            optional("debit", AMOUNT),
            optional("credit", AMOUNT),
            optional("balance", AMOUNT),
            optional("line_count", COUNT),
            PUBLICATION,
        ]
    ),
    kind="derived",
)

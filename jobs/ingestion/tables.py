"""What ingestion publishes: every landed row, accepted or quarantined, and the files they came in."""

from __future__ import annotations

from pyspark.sql import types as T

from jobs.ledger.columns import COUNT, CURRENCY, PERIOD, PUBLICATION, QUANTITY, RATE, RATED, TENANT, optional
from jobs.ledger.usage_parts import PART_OF
from jobs.runtime.tables import Table

SOURCE = (optional("landing_id", T.StringType()), optional("row_number", T.LongType()))

LANDED_FILES = Table(  # one row per tenant and landing: a file's content, read with one version of its mapping
    "raw.landed_files",
    T.StructType(
        [
            TENANT,
            optional("landing_id", T.StringType()),
            optional("feed", T.StringType()),
            optional("file_name", T.StringType()),
            optional("content_sha256", T.StringType()),
            optional("mapping_version", T.StringType()),
            optional("replaces_landing_id", T.StringType()),  # set when a file was replayed after its mapping was mended
            optional("status", T.StringType()),  # landed | refused_duplicate | refused_unreadable
            optional("reason", T.StringType()),  # why it was refused, in words
            optional("bytes", COUNT),
            optional("rows_read", COUNT),
            optional("rows_accepted", COUNT),
            optional("rows_quarantined", COUNT),
            optional("rows_duplicate", COUNT),
            optional("control_totals", T.MapType(T.StringType(), QUANTITY)),  # exact sums of the columns the mapping names
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
)

QUARANTINE = Table(  # one row per tenant, landing and row number
    "raw.quarantine",
    T.StructType(
        [
            TENANT,
            optional("feed", T.StringType()),
            *SOURCE,
            optional("reasons", T.ArrayType(T.StringType())),  # all of them, "column: what is wrong"
            optional("source_row", T.StringType()),  # JSON; personal columns are left out, the landed file keeps them
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
)

ACCOUNTS = Table(  # one row per source record; the current one has the latest valid_from
    "raw.accounts",
    T.StructType(
        [
            TENANT,
            optional("account_id", T.StringType()),
            optional("legal_name", T.StringType()),
            optional("country", T.StringType()),  # ISO 3166 alpha-2
            optional("currency", CURRENCY),
            optional("payer_account_id", T.StringType()),
            optional("region", T.StringType()),
            optional("postal_code", T.StringType()),
            optional("city", T.StringType()),
            optional("street", T.StringType()),
            optional("tax_id", T.StringType()),
            optional("is_business", T.BooleanType()),
            optional("payment_terms_days", T.IntegerType()),
            optional("credit_limit", QUANTITY),
            optional("segment", T.StringType()),
            optional("email", T.StringType()),
            optional("iban", T.StringType()),
            optional("status", T.StringType()),
            optional(
                "timezone", T.StringType()
            ),  # IANA; in which the account's days and months begin, if not in the tenant's
            optional("tax_jurisdiction", T.StringType()),  # in which it is taxed, as the feed tax_rates names it
            optional("valid_from", T.DateType()),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
    order=("account_id",),
    personal=("legal_name", "postal_code", "city", "street", "tax_id", "email", "iban"),
)

PRICES = Table(  # one row per source record: a price in force from valid_from to valid_to; its highest revision holds
    "raw.prices",
    T.StructType(
        [
            TENANT,
            optional("price_id", T.StringType()),
            optional("product_id", T.StringType()),
            optional("model", T.StringType()),
            optional("currency", CURRENCY),
            optional("parameters", T.StringType()),  # JSON, as the model documents it: per_unit has {"unit_price": "0.05"}
            optional("valid_from", T.DateType()),
            optional("valid_to", T.DateType()),  # the first day it no longer holds
            optional("region", T.StringType()),
            optional("unit", T.StringType()),
            optional("account_id", T.StringType()),
            optional("revision", T.IntegerType()),
            optional("withdrawn", T.BooleanType()),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
    order=("product_id",),
)

USAGE_COLUMNS = (
    optional("record_id", T.StringType()),
    optional("account_id", T.StringType()),
    optional("product_id", T.StringType()),
    optional("usage_start", T.TimestampType()),
    optional("usage_end", T.TimestampType()),
    optional("quantity", QUANTITY),
    optional("unit", T.StringType()),
    optional("region", T.StringType()),
    optional("unit_price", QUANTITY),
    optional("currency", CURRENCY),
    optional("tags", T.StringType()),  # JSON
    optional("revision", T.IntegerType()),
    optional("withdrawn", T.BooleanType()),
)

USAGE = Table(  # one row per source record, or per part of one that lasts past midnight or a month end
    "raw.usage",
    T.StructType(
        [
            TENANT,
            PERIOD,
            *USAGE_COLUMNS,
            optional("billing_zone", T.StringType()),  # in which its account was billed as it landed, if not in the tenant's
            optional("part_of", PART_OF),  # the record that this is a part of, as its source states it; null if it is whole
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("account_id", "product_id"),
)

USAGE_ROLLUP = Table(  # one row per tenant, period, landing, account, product, region, unit, currency, on_record, billing_zone and span_day
    "billing.usage_rollup",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("landing_id", T.StringType()),
            optional("account_id", T.StringType()),
            optional("product_id", T.StringType()),
            optional("region", T.StringType()),
            optional("unit", T.StringType()),
            optional("currency", CURRENCY),  # of a price on the record, else null
            optional("on_record", T.BooleanType()),  # whether the records carry their price; null for a mark
            optional("billing_zone", T.StringType()),  # in which its days begin, if not in the tenant's
            optional("span_day", T.DateType()),  # since when no price of the product changed, as known when it landed
            optional("quantity", QUANTITY),  # of all accepted rows, withdrawn ones too
            optional("record_amount", RATED),  # at the prices on the records
            optional("usage_rows", COUNT),
            optional(
                "events", COUNT
            ),  # the records that begin in these rows; null where an earlier version summed them: all
            optional("revised_rows", COUNT),  # more than 0: records here are withdrawn or said again, so sums do not tell
            optional("first_usage", T.TimestampType()),  # usage_start
            optional("last_usage", T.TimestampType()),
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("account_id", "product_id"),
)

WAITING = Table(  # one row per usage record that came after its month was invoiced
    "billing.waiting",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("record_id", T.StringType()),
            optional("revision", T.IntegerType()),
            optional("account_id", T.StringType()),
            optional("product_id", T.StringType()),
            optional("quantity", QUANTITY),
            optional("reason", T.StringType()),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
)

VENDORS = Table(  # one row per source record; the current one has the latest valid_from
    "raw.vendors",
    T.StructType(
        [
            TENANT,
            optional("vendor_id", T.StringType()),
            optional("legal_name", T.StringType()),
            optional("country", T.StringType()),
            optional("tax_id", T.StringType()),
            optional("iban", T.StringType()),
            optional("iban_changed_at", T.DateType()),
            optional("status", T.StringType()),  # active | blocked
            optional("payment_method", T.StringType()),
            optional("terms", T.StringType()),
            optional("valid_from", T.DateType()),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
    order=("vendor_id",),
    personal=("legal_name", "tax_id", "iban"),
)

PURCHASE_ORDERS = Table(  # one row per purchase order line
    "raw.purchase_orders",
    T.StructType(
        [
            TENANT,
            optional("po_number", T.StringType()),
            optional("line_no", T.IntegerType()),
            optional("vendor_id", T.StringType()),
            optional("quantity", QUANTITY),
            optional("unit_price", QUANTITY),
            optional("currency", CURRENCY),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
    order=("po_number",),
)

PAYABLES = Table(  # one row per source record; records of one payable_id are lines of one vendor invoice
    "raw.payables",
    T.StructType(
        [
            TENANT,
            PERIOD,  # the month it was received in
            optional("record_id", T.StringType()),
            optional("payable_id", T.StringType()),  # null: the record is a whole invoice
            optional("invoice_number", T.StringType()),
            optional("vendor_id", T.StringType()),
            optional("business_line", T.StringType()),
            optional("country", T.StringType()),
            optional("invoice_date", T.DateType()),
            optional("received_at", T.TimestampType()),
            optional("currency", CURRENCY),
            optional("gross_amount", QUANTITY),
            optional("net_amount", QUANTITY),
            optional("tax_amount", QUANTITY),
            optional("po_number", T.StringType()),
            optional("terms", T.StringType()),
            optional("due_date", T.DateType()),
            optional("iban", T.StringType()),
            optional("vendor_tax_id", T.StringType()),
            optional("lines", T.StringType()),  # JSON
            optional("document_type", T.StringType()),  # invoice | credit_note
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("vendor_id", "invoice_number"),
    personal=("iban", "vendor_tax_id"),
)

BANK_TRANSACTIONS = Table(  # one row per statement line; money that came in is positive
    "raw.bank_transactions",
    T.StructType(
        [
            TENANT,
            PERIOD,  # the month it was booked in
            optional("transaction_id", T.StringType()),
            optional("statement_id", T.StringType()),
            optional("bank_account", T.StringType()),
            optional("booking_date", T.DateType()),
            optional("value_date", T.DateType()),
            optional("amount", QUANTITY),
            optional("currency", CURRENCY),
            optional("counterparty_name", T.StringType()),
            optional("counterparty_iban", T.StringType()),
            optional("reference", T.StringType()),
            optional("remittance_text", T.StringType()),
            optional("bank_code", T.StringType()),
            optional("end_to_end_id", T.StringType()),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("transaction_id",),
    personal=("counterparty_name", "counterparty_iban", "reference", "remittance_text"),
)

RECEIVABLES = Table(  # one row per receivable of another system; raw, where ledger.open_items is the house's own
    "raw.open_items",
    T.StructType(
        [
            TENANT,
            PERIOD,  # the month of its document
            optional("document_id", T.StringType()),
            optional("account_id", T.StringType()),
            optional("document_type", T.StringType()),
            optional("document_date", T.DateType()),
            optional("due_date", T.DateType()),
            optional("currency", CURRENCY),
            optional("original_amount", QUANTITY),
            optional("open_amount", QUANTITY),
            optional("legal_name", T.StringType()),
            optional("references", T.StringType()),  # JSON list, or references separated by blanks
            optional("disputed", T.BooleanType()),
            optional("promise_date", T.DateType()),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("account_id", "document_id"),
    personal=("legal_name",),
)

DISPUTES = Table(  # one row per dispute of a document, from the day it is raised to the day it is settled
    "raw.disputes",
    T.StructType(
        [
            TENANT,
            optional("document_id", T.StringType()),
            optional("account_id", T.StringType()),
            optional("valid_from", T.DateType()),
            optional("valid_to", T.DateType()),  # the first day it no longer holds
            optional("reason", T.StringType()),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
)

PROMISES = Table(  # one row per promise to pay a document, or all of an account's where it names none
    "raw.promises",
    T.StructType(
        [
            TENANT,
            optional("account_id", T.StringType()),
            optional("document_id", T.StringType()),
            optional("valid_from", T.DateType()),  # the day it was made
            optional("promise_date", T.DateType()),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
)

EXEMPTIONS = Table(  # one row per exemption of an account: from suspension (dunning) or from tax
    "raw.exemptions",
    T.StructType(
        [
            TENANT,
            optional("account_id", T.StringType()),
            optional("kind", T.StringType()),  # dunning | tax
            optional("valid_from", T.DateType()),
            optional("valid_to", T.DateType()),  # the first day it no longer holds
            optional("reason", T.StringType()),
            optional("jurisdiction", T.StringType()),  # of a tax exemption: a country, region or jurisdiction; *: all
            optional("certificate_id", T.StringType()),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
)

# one row per source record: what one unit of a currency is worth in another on a day; its highest revision holds
FX_RATES = Table(
    "raw.fx_rates",
    T.StructType(
        [
            TENANT,
            optional("source", T.StringType()),  # whose rate it is, as a policy names it
            optional("base_currency", CURRENCY),
            optional("quote_currency", CURRENCY),
            optional("rate", QUANTITY),  # units of the quote currency for one of the base currency
            optional("rate_date", T.DateType()),
            optional("revision", T.IntegerType()),
            optional("withdrawn", T.BooleanType()),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
)

INVOICE_CORRECTIONS = Table(  # one row per source record: what somebody asks to be done about an issued document
    "raw.invoice_corrections",
    T.StructType(
        [
            TENANT,
            optional("correction_id", T.StringType()),
            optional("invoice_number", T.StringType()),  # null where a whole month is rebilled
            optional("action", T.StringType()),  # cancel | credit | debit | rebill | write_off
            optional("requested_on", T.DateType()),
            optional("line_no", T.IntegerType()),  # of the document; null: all of its lines
            optional("amount", QUANTITY),  # net; of a write-off gross
            optional("share", QUANTITY),  # of each line, instead of an amount
            optional("month", T.StringType()),  # yyyy-MM, of a rebill: each of its invoices
            optional("reason", T.StringType()),  # the document says it
            optional("requested_by", T.StringType()),  # an id, not a name
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
)

# one row per source record: a component of the tax that a jurisdiction takes; its highest revision holds
TAX_RATES = Table(
    "raw.tax_rates",
    T.StructType(
        [
            TENANT,
            optional("jurisdiction", T.StringType()),
            optional("tax_class", T.StringType()),
            optional("component", T.StringType()),  # state, county, city, district: whose part it is
            optional("rate", RATE),  # a share
            optional("valid_from", T.DateType()),
            optional("valid_to", T.DateType()),  # the first day it no longer holds
            optional("revision", T.IntegerType()),
            optional("withdrawn", T.BooleanType()),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
)

TAX_REGISTRATIONS = Table(  # one row per check of a tax id at its registry
    "raw.tax_registrations",
    T.StructType(
        [
            TENANT,
            optional("tax_id", T.StringType()),
            optional("country", T.StringType()),
            optional("status", T.StringType()),  # valid | invalid | in_check
            optional("checked_at", T.TimestampType()),
            optional("registry", T.StringType()),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
    personal=("tax_id",),
)

CREDITS = Table(  # one row per source record: what a customer may use up instead of paying; its highest revision holds
    "raw.credits",
    T.StructType(
        [
            TENANT,
            optional("credit_id", T.StringType()),
            optional("account_id", T.StringType()),
            optional("currency", CURRENCY),
            optional("amount", QUANTITY),
            optional("valid_from", T.DateType()),
            optional("valid_to", T.DateType()),  # the first day it no longer holds
            optional("products", T.StringType()),  # JSON list of product ids; null: all
            optional("region", T.StringType()),
            optional("shared", T.BooleanType()),  # with the accounts that its account pays for
            optional("reason", T.StringType()),
            optional("revision", T.IntegerType()),
            optional("withdrawn", T.BooleanType()),
            *SOURCE,
            PUBLICATION,
        ]
    ),
    kind="issued",
    unit=("tenant_id",),
)

"""What invoice generation publishes: numbered, taxed documents. Issued once, never changed."""

from __future__ import annotations

from pyspark.sql import types as T

from jobs.ledger.columns import AMOUNT, COUNT, CURRENCY, PERIOD, PUBLICATION, QUANTITY, RATE, RATED, TENANT, optional
from jobs.runtime.tables import Table

LINE_TAXES = T.ArrayType(  # in the order of their names
    T.StructType([optional("component", T.StringType()), optional("rate", RATE), optional("amount", AMOUNT)])
)

INVOICES = Table(  # one row per tenant and invoice_id (legal entity, account, currency, period, document type)
    "invoicing.invoices",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("invoice_id", T.StringType()),
            optional("legal_entity_id", T.StringType()),
            optional("account_id", T.StringType()),
            optional("customer_country", T.StringType()),
            optional("customer_region", T.StringType()),
            optional("document_type", T.StringType()),  # invoice | credit_note | debit_note | corrective_invoice
            optional("series", T.StringType()),
            optional("fiscal_year", T.IntegerType()),  # in which it begins
            optional("number", T.LongType()),  # the place in the series; taken at issue, null while staged
            optional("invoice_number", T.StringType()),
            optional("issue_date", T.DateType()),
            optional("due_date", T.DateType()),
            optional("currency", CURRENCY),
            optional("net_amount", AMOUNT),
            optional("tax_amount", AMOUNT),
            optional("gross_amount", AMOUNT),
            optional("rounding_amount", AMOUNT),  # what a jurisdiction rounds the gross amount by: BT-114
            optional("prepaid_amount", AMOUNT),  # what was paid before: BT-113
            optional("payable_amount", AMOUNT),  # gross + rounding - prepaid: BT-115
            optional("line_count", COUNT),
            optional("original_invoice_id", T.StringType()),  # the document this one corrects or credits
            optional("correction_reason", T.StringType()),  # why it does
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("account_id",),
)

INVOICE_LINES = Table(  # one row per tenant, invoice_id and line_no
    "invoicing.invoice_lines",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("invoice_id", T.StringType()),
            optional("line_no", T.IntegerType()),
            optional("charge_id", T.StringType()),
            optional("corrects_charge_id", T.StringType()),  # of a correction: the charge of the line that it corrects
            optional(
                "service_period", T.DateType()
            ),  # first day of the month it belongs to; an earlier one for an adjustment
            optional("product_id", T.StringType()),
            optional("region", T.StringType()),
            optional("unit", T.StringType()),
            optional("quantity", QUANTITY),
            optional("currency", CURRENCY),
            optional("rated_amount", RATED),  # the charge, before rounding
            optional("line_amount", AMOUNT),  # net, in minor units of the currency
            optional("tax_category", T.StringType()),  # UNCL 5305: S standard, G export, ...
            optional("tax_rate", RATE),  # of all components together
            optional(
                "line_taxes", LINE_TAXES
            ),  # each component's tax of this line; over a document they add up to its taxes
            optional("tax_rule", T.StringType()),  # which line of which tax policy decided
            optional("tax_reason", T.StringType()),  # why: the facts that decided, in words, nothing personal
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("invoice_id", "line_no"),
)

INVOICE_TAXES = Table(  # one row per tenant, invoice_id, tax category, component and rate
    "invoicing.invoice_taxes",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("invoice_id", T.StringType()),
            optional("tax_category", T.StringType()),
            optional("tax_component", T.StringType()),  # VAT, or the parts a tax has: CGST, SGST, HST, PST, ...
            optional("tax_rate", RATE),
            optional("currency", CURRENCY),
            optional("taxable_amount", AMOUNT),  # of each component the same lines
            optional("tax_amount", AMOUNT),
            optional("tax_rule", T.StringType()),
            optional("exemption_code", T.StringType()),  # VATEX code where no tax is charged: BT-121
            optional("exemption_reason", T.StringType()),  # what the document then has to say: BT-120
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("invoice_id",),
)

CARRIED_FORWARD = Table(  # one row per tenant, month and charge_id: a charge that waits for a later month's documents
    "invoicing.carried_forward",
    T.StructType(
        [
            TENANT,
            PERIOD,  # the month on whose documents it is not
            optional("charge_id", T.StringType()),
            optional("service_period", T.DateType()),  # first day of the month it belongs to
            optional("invoice_id", T.StringType()),  # the document it would have been on
            optional("legal_entity_id", T.StringType()),
            optional("account_id", T.StringType()),
            optional("reason_code", T.StringType()),
            optional("reason", T.StringType()),  # in words, nothing personal
            optional("kind", T.StringType()),
            optional("product_id", T.StringType()),
            optional("price_id", T.StringType()),
            optional("region", T.StringType()),
            optional("unit", T.StringType()),
            optional("quantity", QUANTITY),
            optional("currency", CURRENCY),
            optional("amount", RATED),  # of the charge, before rounding
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("account_id",),
)

NUMBER_REGISTER = Table(  # one row per tenant, legal entity, series, fiscal year and number
    "invoicing.number_register",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("legal_entity_id", T.StringType()),
            optional("series", T.StringType()),
            optional("fiscal_year", T.IntegerType()),
            optional("number", T.LongType()),
            optional("invoice_number", T.StringType()),
            optional("invoice_id", T.StringType()),  # null where the number is voided
            optional("void_reason", T.StringType()),  # why no document carries the number
            PUBLICATION,
        ]
    ),
    kind="issued",
)

CORRECTIONS = Table(  # one row per tenant and correction_id: what became of what somebody asked for
    "invoicing.corrections",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("correction_id", T.StringType()),
            optional("action", T.StringType()),  # cancel | credit | debit | rebill | write_off
            optional("original_invoice_id", T.StringType()),
            optional("invoice_id", T.StringType()),  # the document that was made; null where none was
            optional("status", T.StringType()),  # done | refused
            optional("reason_code", T.StringType()),  # why it was refused
            optional("legal_entity_id", T.StringType()),
            optional("account_id", T.StringType()),
            optional("currency", CURRENCY),
            optional("written_off", AMOUNT),  # gross, of a write-off that names an amount
            optional("effective_on", T.DateType()),  # the issue date of the month's documents
            PUBLICATION,
        ]
    ),
    kind="issued",
)

PREPAYMENTS = (
    Table(  # one row per receipt and invoice it was deducted from, and per month in which some of that is given back
        "invoicing.prepayments",
        T.StructType(
            [
                TENANT,
                PERIOD,  # the month of the documents whose issue moves it
                optional("prepayment_id", T.StringType()),
                optional("invoice_id", T.StringType()),  # the invoice it pays
                optional("transaction_id", T.StringType()),  # the receipt it is taken from
                optional("bank_account", T.StringType()),
                optional("legal_entity_id", T.StringType()),
                optional("account_id", T.StringType()),
                optional("currency", CURRENCY),
                optional("amount", AMOUNT),  # below nothing where it goes back to the receipt
                optional("booking_date", T.DateType()),  # of the receipt
                optional("applied_on", T.DateType()),  # the issue date of the document that moves it
                optional("moved_by_id", T.StringType()),  # that document: the invoice itself, or what corrects it
                optional("gives_back_id", T.StringType()),  # the prepayment that goes back; null where one is taken
                optional("rule", T.StringType()),  # id and version of the policy
                PUBLICATION,
            ]
        ),
        kind="issued",
        order=("invoice_id",),
        personal=("bank_account",),
    )
)

FOCUS_FILES = Table(  # one row per tenant, month, payer, currency and format; a file of FOCUS 1.2 (docs/focus.md)
    "invoicing.focus_files",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("payer_account_id", T.StringType()),  # who pays for the invoiced accounts
            optional("currency", CURRENCY),
            optional("format", T.StringType()),  # csv | parquet
            optional("file_path", T.StringType()),  # below documents/
            optional("content_sha256", T.StringType()),
            optional("file_bytes", COUNT),
            optional("row_count", COUNT),
            optional("billed_cost", AMOUNT),  # the gross amounts of its documents
            optional("invoice_numbers", T.ArrayType(T.StringType())),
            PUBLICATION,
        ]
    ),
    kind="issued",
)

DOCUMENTS = Table(  # one row per tenant, invoice_id and format; a file that stands in documents/ (docs/documents.md)
    "invoicing.documents",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("invoice_id", T.StringType()),
            optional("invoice_number", T.StringType()),
            optional("format", T.StringType()),  # ubl | pdf
            optional("left_out", T.StringType()),  # why there is no such file, as a code; null where there is one
            optional("layout", T.StringType()),  # ubl: en16931 | peppol; pdf: invoice | credit_note
            optional("language", T.StringType()),  # of a PDF: ISO 639-1
            optional("file_path", T.StringType()),  # below documents/
            optional("content_sha256", T.StringType()),
            optional("file_bytes", COUNT),
            optional("rules_checked", T.BooleanType()),  # whether the official rules of the layout were run on it
            optional("failed_rules", T.ArrayType(T.StringType())),  # ids of those that failed; null where they were not run
            PUBLICATION,
        ]
    ),
    kind="issued",
    order=("invoice_id",),
)

"""What invoice generation promises: a document adds up to the last digit, and every charge is on exactly one, or carried forward."""

from __future__ import annotations

from great_expectations import ExpectationSuite

from expectations.promises import no_rows, suite, unique


def invoices() -> ExpectationSuite:
    """Over documents beside what their lines and taxes add up to: one row per document."""
    return suite(
        "invoice_generation.invoices",
        [
            unique(
                "a document stands once",
                ("tenant_id", "invoice_id"),
                "invoice_id",
                "A document that stands twice is owed twice.",
            ),
            no_rows(
                "net = sum of lines",
                "net IS DISTINCT FROM lines OR line_count IS DISTINCT FROM line_count_found",
                "invoice_id",
                "A customer who adds the lines up would not find the total.",
            ),
            no_rows(
                "tax = sum of taxes",
                "tax IS DISTINCT FROM taxes",
                "invoice_id",
                "The tax return would not match the documents.",
            ),
            no_rows(
                "taxes are those of the lines",
                "taxes IS DISTINCT FROM lines_tax OR taxable IS DISTINCT FROM lines_taxable",
                "invoice_id",
                "A part of the tax would be on no line, or a line taxed that is not there.",
            ),
            no_rows(
                "payable = gross + rounding - prepaid",
                "payable IS DISTINCT FROM gross + rounding - prepaid",
                "invoice_id",
                "The customer would be asked for another amount than is owed.",
            ),
            no_rows(
                "gross = net + tax", "gross IS DISTINCT FROM net + tax", "invoice_id", "The amount to pay would be wrong."
            ),
            no_rows(
                "lines are rounded as the policy says",
                "abs(CAST(lines AS DECIMAL(32,12)) - CAST(lines_rated AS DECIMAL(32,12))) > minor_unit * line_count_found",
                "invoice_id",
                "Rounding moves a line by less than one minor unit; more is a lost or invented amount.",
            ),
            no_rows(
                "amounts are in minor units",
                "line_off_grid = 1 OR tax_off_grid = 1",
                "invoice_id",
                "Nobody can pay a third of a cent.",
            ),
            no_rows(
                "every line has a tax line", "untaxed = 1", "invoice_id", "A line without a tax decision may not be issued."
            ),
            no_rows("every line has an amount", "unpriced = 1", "invoice_id", "A line without an amount may not be issued."),
            no_rows(
                "every document has a customer, a country and a seller",
                "account_id IS NULL OR customer_country IS NULL OR legal_entity_id IS NULL OR due_date < issue_date",
                "invoice_id",
                "A document that names no customer country cannot be lawful there.",
            ),
            no_rows(
                "credit notes are few",
                "document_type = 'credit_note'",
                "invoice_id",
                "Legal, but a month full of them points to a sign that was lost.",
                severity="warning",
            ),
        ],
    )


def focus() -> ExpectationSuite:
    """Over documents whose tenant asks for FOCUS files, beside what the files' rows add up to: one row per document."""
    return suite(
        "invoice_generation.focus",
        [
            no_rows(
                "a document's rows add up to its gross amount",
                "billed IS DISTINCT FROM gross",
                "invoice_id",
                "A customer's tool would show another cost than the invoice.",
            ),
            no_rows(
                "charges add up to the net amount, tax rows to the tax",
                "charged IS DISTINCT FROM net OR taxed IS DISTINCT FROM tax",
                "invoice_id",
                "Tax would be spread over services as if it were their cost, or be lost.",
            ),
            no_rows(
                "every line has its row",
                "lines_found IS DISTINCT FROM line_count",
                "invoice_id",
                "Rows that are lost and doubled may still add up.",
            ),
            no_rows(
                "a document belongs to one payer, account, issuer, currency and month",
                "owners IS DISTINCT FROM 1",
                "invoice_id",
                "An invoice id that several payers share is refused by who reads the file.",
            ),
            no_rows(
                "every column is as FOCUS 1.2 says",
                "broken IS NOT NULL",
                "concat(invoice_id, ' ', broken)",
                "A customer's tool would refuse the file, or read it wrong.",
            ),
            no_rows(
                "quantity x unit price = cost",
                "mispriced > 0",
                "invoice_id",
                "Who multiplies a price with its quantity would not find the cost.",
            ),
        ],
    )


def lines() -> ExpectationSuite:
    """Over every charge beside the lines it is on and what carries it forward: one row per charge."""
    return suite(
        "invoice_generation.lines",
        [
            no_rows(
                "every charge is on exactly one line, or carried forward",
                "times IS DISTINCT FROM 1",
                "charge_id",
                "A charge on no document that nobody carries forward is lost revenue, on two it is billed twice.",
            ),
            no_rows(
                "a line carries its charge's amount",
                "charged_amount IS DISTINCT FROM lined_amount",
                "charge_id",
                "Amounts may only change where the policy rounds.",
            ),
        ],
    )

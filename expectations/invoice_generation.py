"""What invoice generation promises: a document adds up to the last digit, and every charge is on exactly one, or carried forward."""

from __future__ import annotations

from great_expectations import ExpectationSuite

from expectations.promises import Promise, no_rows, suite, unique

EXAMPLE = "concat(subject, ': ', format_number(found, 2), ' beside ', format_number(usual, 2))"


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
                "document_type = 'credit_note' AND original_invoice_id IS NULL",
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


def corrections() -> ExpectationSuite:
    """Over every document that is corrected beside all that has corrected it: one row per original."""
    return suite(
        "invoice_generation.corrections",
        [
            no_rows(
                "a correction names a document that was issued",
                "net IS NULL",
                "invoice_id",
                "A credit note without its invoice is not one in most countries.",
            ),
            no_rows(
                "no line is credited beyond what was invoiced",
                "overdrawn > 0",
                "invoice_id",
                "A customer would be given more than was asked for.",
            ),
        ],
    )


def prepayments() -> ExpectationSuite:
    """Over prepaid money that moves, and the documents it moves for: one row per movement, and one per document."""
    return suite(
        "invoice_generation.prepayments",
        [
            no_rows(
                "money moves once",
                "times <> 1",
                "prepayment_id",
                "The same receipt would pay the same invoice twice.",
            ),
            no_rows(
                "every movement is of some money",
                "prepayment_id IS NOT NULL AND coalesce(amount, 0) = 0",
                "prepayment_id",
                "A movement of nothing tells of a payment that was not made.",
            ),
            no_rows(
                "what is taken is on account of the invoiced customer",
                "amount > 0 AND receipt_left IS NULL",
                "concat('transaction ', transaction_id)",
                "Another customer's money would be used, or money that cash matching has applied meanwhile: clear the write of this stage.",
            ),
            no_rows(
                "no receipt is taken beyond what it has left",
                "amount > 0 AND receipt_taken > receipt_left",
                "concat('transaction ', transaction_id)",
                "Money would be spent twice. Where cash matching has applied some of it meanwhile, clear the write of this stage.",
            ),
            no_rows(
                "a document shows what it takes",
                "coalesce(prepaid, 0) <> coalesce(taken, 0)",
                "invoice_id",
                "The customer would be asked for money that was used already, or not for money that is owed.",
            ),
            no_rows(
                "only invoices take money, and no more than they ask for",
                "prepaid <> 0 AND (document_type <> 'invoice' OR prepaid < 0 OR payable < 0 OR payable IS NULL)",
                "invoice_id",
                "A credit note would be paid by the customer, or an invoice paid beyond its amount.",
            ),
            no_rows(
                "no more is given back than was taken",
                "amount < 0 AND (held IS NULL OR held < 0)",
                "prepayment_id",
                "Customers would get money that never came.",
            ),
            no_rows(
                "an invoice that is taken back keeps no more than it asks for",
                "kept > greatest(asked, 0) OR kept < 0",
                "invoice_id",
                "Money would stay with an invoice that nobody owes any more.",
            ),
        ],
    )


def issue_control() -> ExpectationSuite:
    """Over drafts beside the months before: one row per figure that is compared. What is beyond its limit asks a second person."""

    def usual(title: str, compared: str, notes: str) -> Promise:
        return no_rows(title, f"compared = '{compared}' AND is_beyond", EXAMPLE, notes, severity="approval")

    return suite(
        "invoice_generation.issue_control",
        [
            usual("as many documents as usual", "documents", "Customers may be missing, or billed twice."),
            usual(
                "products come to what they usually do", "amount", "A price or a feed may be wrong; or business has changed."
            ),
            usual("most customers are known", "new customers", "Accounts may have been renamed, and be billed anew."),
            usual(
                "no document is far beyond its account's others",
                "outlier",
                "One customer would be asked for far more than ever.",
            ),
        ],
    )


def documents() -> ExpectationSuite:
    """Over issued documents and the formats they are wanted in, beside the files that were made: one row per document and format."""
    example = "concat(invoice_id, ' ', format)"
    made = "file_path IS NOT NULL"
    return suite(
        "invoice_generation.documents",
        [
            no_rows(
                "every issued document is there in every format, once",
                "times IS DISTINCT FROM 1",
                example,
                "A customer would get no invoice, or two that may differ.",
            ),
            no_rows(
                "what is there was issued",
                "is_issued IS NULL",
                example,
                "A file nobody issued would be sent as if it were owed.",
            ),
            no_rows(
                "the file that stands has the hash that is listed",
                f"{made} AND is_same IS DISTINCT FROM true",
                example,
                "Nobody could prove what was sent.",
            ),
            no_rows(
                "a file says to the last digit what was issued",
                f"{made} AND (problems IS NULL OR size(problems) > 0)",
                "concat(invoice_id, ' ', format, ' ', problems[0])",
                "The customer's books and ours would differ.",
            ),
            no_rows(
                "files of the sample were validated",
                f"{made} AND is_sampled AND rules_checked IS DISTINCT FROM true",
                example,
                "What nobody looked at would count as valid.",
            ),
            no_rows(
                "files pass the official rules",
                "rules_checked AND (failed_rules IS NULL OR size(failed_rules) > 0)",
                "concat(invoice_id, ' ', failed_rules[0])",
                "The customer's system would refuse the invoice.",
            ),
            no_rows(
                "every document's seller is known",
                "startswith(left_out, 'unknown_seller')",
                "concat(invoice_id, ' ', left_out)",
                "What was issued shows who issued it. Put the legal entity back into conf/tenants/, with what it was called by then.",
            ),
            no_rows(
                "every document has a PDF",
                f"format = 'pdf' AND NOT ({made})",
                "concat(invoice_id, ' ', left_out)",
                "There would be nothing to send; docs/documents.md says what each code means. Write the name in letters that a font shows.",
            ),
            no_rows(
                "every document has a UBL file",
                f"format = 'ubl' AND NOT ({made})",
                "concat(invoice_id, ' ', left_out)",
                "Lawful where nobody asks for electronic invoices; docs/documents.md says what each code means.",
                severity="warning",
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

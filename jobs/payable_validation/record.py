"""The record that rules look at: one vendor invoice, and everything about it that a rule may ask.

conf/rules/payables/README.md shows the same list to whoever writes rules; a test holds the two together.
"""

from __future__ import annotations

from jobs.ledger.rules import Fact

_AMOUNT = "decimal(18,3)"

RECORD: dict[str, Fact] = {
    fact.name: fact
    for fact in (
        # the invoice
        Fact("payable_id", "string", "What the invoice is called in this house."),
        Fact("invoice_number", "string", "The number as the vendor printed it; of several lines, that of the first."),
        Fact("vendor_id", "string", "Who sent it."),
        Fact("business_line", "string", "Of the invoice, or of the tenant where the invoice names none."),
        Fact("country", "string", "The country whose legal entity is to pay, ISO 3166."),
        Fact("country_served", "boolean", "Whether one of the tenant's legal entities is in that country or serves it."),
        Fact("legal_entity_id", "string", "The legal entity that is to pay."),
        Fact("document_type", "string", "invoice or credit_note; whatever has a negative gross amount is a credit note."),
        Fact("invoice_date", "date", "The day on the invoice."),
        Fact("received_on", "date", "The day it was received, on the tenant's clocks."),
        Fact("due_date", "date", "As the invoice says; unknown where it does not."),
        Fact("terms", "string", "Payment terms of the invoice, or those agreed with the vendor."),
        Fact("currency", "string", "ISO 4217."),
        Fact("gross_amount", _AMOUNT, "Sum of its lines; unknown where a line states none or the sum does not fit."),
        Fact("net_amount", _AMOUNT, "Sum of its lines; unknown where none states it or the sum does not fit."),
        Fact("tax_amount", _AMOUNT, "Sum of its lines; unknown where none states it or the sum does not fit."),
        Fact("amounts_fit", "boolean", "Whether every amount stated has at most 3 decimals and 15 digits before them."),
        Fact("amount_decimals", "int", "The decimals its amounts need: 0, 2, 3, or 21 for more than 3."),
        Fact("minor_units", "int", "The decimals that amounts of its currency have: JPY 0, EUR 2, KWD 3."),
        Fact("line_count", "bigint", "The records it is made of; 0 when a replay has taken all of them away."),
        Fact("lines_agree", "boolean", "Whether all its lines name one vendor, one number and one country."),
        Fact("currencies", "int", "In how many currencies the invoice has lines; each becomes a payable of its own."),
        Fact("follows", "string", "The payable that was decided before these lines came; unknown for anything else."),
        Fact("po_number", "string", "The purchase order it refers to."),
        Fact("iban", "string", "The account it asks to be paid to.", personal=True),
        Fact("vendor_tax_id", "string", "The tax number printed on it.", personal=True),
        # the vendor, as known on the day of the run
        Fact("vendor_known", "boolean", "Whether the vendor stands in the vendor list."),
        Fact("vendor_status", "string", "active or blocked; unknown where the list does not say."),
        Fact("vendor_country", "string", "Where the vendor is, ISO 3166."),
        Fact("vendor_iban", "string", "The account in the vendor list.", personal=True),
        Fact("vendor_iban_changed_on", "date", "The day that account was last changed."),
        Fact("iban_agrees", "boolean", "Whether invoice and vendor list name one account; unknown where either names none."),
        # the purchase order
        Fact("po_known", "boolean", "Whether that purchase order has landed; unknown where the invoice names none."),
        Fact("po_vendor_id", "string", "Whom it was placed with."),
        Fact("po_currency", "string", "ISO 4217; unknown where its lines disagree."),
        Fact("po_amount", _AMOUNT, "Quantity times unit price, summed; unknown where currencies differ or it does not fit."),
        # registered checks; a rule may also name one instead of a condition
        Fact("iban_valid", "boolean", "Whether the account of the invoice, or else the vendor's, is a well-formed IBAN."),
        Fact("tax_number_valid", "boolean", "Whether the tax number is one of the vendor's country; unknown where no test exists."),
        # what came before
        Fact("duplicate_of", "string", "The earlier payable of the same vendor, number, currency and amount that stands."),
        Fact("duplicates_before", "int", "How many such payables were received before it."),
        Fact("as_of", "date", "The day of the run, UTC."),
    )
}  # fmt: skip

COMPARED_LAST = frozenset({"duplicate_of", "duplicates_before"})  # known when it is known which payables are rejected anyway

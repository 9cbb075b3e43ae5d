"""What cash matching promises: money that came in is applied once or waits, to the last digit, and never to more than is open."""

from __future__ import annotations

from great_expectations import ExpectationSuite

from expectations.promises import no_rows, suite


def conservation() -> ExpectationSuite:
    """Over received beside accounted money: one row per tenant and currency."""
    return suite(
        "cash_matching.conservation",
        [
            no_rows(
                "received = applied + unapplied",
                "received IS DISTINCT FROM accounted",
                "currency",
                "Money would be lost, or counted as paid twice.",
            ),
            no_rows(
                "every receipt agrees for itself",
                "differing <> 0",
                "concat(currency, ' transaction ', example)",
                "Receipts that cancel out would hide one that is wrong.",
            ),
        ],
    )


def applications() -> ExpectationSuite:
    """Over staged applications beside their receipts and documents: one row per application."""
    return suite(
        "cash_matching.applications",
        [
            no_rows(
                "an application stands once",
                "times <> 1",
                "application_id",
                "The same money would pay the same document twice.",
            ),
            no_rows(
                "every application is of some money",
                "amount IS NULL OR amount <= 0",
                "application_id",
                "An application of nothing, or of less, tells of a payment that was not made.",
            ),
            no_rows(
                "every application has a receipt and an open document",
                "receipt_left IS NULL OR document_open IS NULL",
                "application_id",
                "Money would be taken from nowhere, or pay what nobody owes.",
            ),
            no_rows(
                "application, receipt and document are in one currency",
                "currency <> receipt_currency OR currency <> document_currency",
                "application_id",
                "Amounts of two currencies were never equal.",
            ),
            no_rows(
                "no receipt is applied beyond what it had left",
                "receipt_applied > receipt_left",
                "concat('transaction ', transaction_id)",
                "Customers would be credited with money that never came.",
            ),
            no_rows(
                "no document is applied beyond what it had open",
                "document_applied > document_open",
                "concat('document ', document_id)",
                "A customer would have paid one invoice twice, and the next reminder would be wrong.",
            ),
        ],
    )

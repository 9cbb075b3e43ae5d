"""What ledger posting promises: every entry balances, and the sub-ledger equals its control account."""

from __future__ import annotations

from great_expectations import ExpectationSuite

from expectations.promises import no_rows, unique


def journal() -> ExpectationSuite:
    """Over entries: one row per entry."""
    return ExpectationSuite(
        name="ledger_posting.journal",
        expectations=[
            no_rows(
                "debits = credits",
                "debit IS DISTINCT FROM credit",
                "entry_id",
                "A one-sided entry makes the books not balance.",
            ),
            no_rows(
                "an entry has one currency", "currencies <> 1", "entry_id", "Amounts of two currencies cannot be added."
            ),
            no_rows(
                "every event has a posting rule",
                "unposted = 1",
                "entry_id",
                "An event nobody posts is missing from the books.",
            ),
            no_rows("no debit or credit is negative", "smallest < 0", "entry_id", "A negative debit hides a credit."),
            no_rows(
                "an entry's lines stand once", "repeated_lines <> 0", "entry_id", "A line that stands twice is booked twice."
            ),
            unique("an entry stands once", ("tenant_id", "entry_id"), "entry_id", "An event posted twice is booked twice."),
        ],
    )


def sub_ledger() -> ExpectationSuite:
    """Over control accounts beside open items and documents: one row per legal entity and currency."""
    return ExpectationSuite(
        name="ledger_posting.sub_ledger",
        expectations=[
            no_rows(
                "receivables = their control account",
                "items IS DISTINCT FROM control",
                "legal_entity_id",
                "What customers owe one by one would not add up to what the books say they owe.",
            ),
            no_rows(
                "the control account = what was invoiced",
                "control IS DISTINCT FROM invoiced",
                "legal_entity_id",
                "Revenue would be booked that nobody was asked to pay, or the other way round.",
            ),
            no_rows(
                "every document is an open item",
                "item_count IS DISTINCT FROM invoice_count",
                "legal_entity_id",
                "A document without an open item is never collected.",
            ),
        ],
    )

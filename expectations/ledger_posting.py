"""What ledger posting promises: every entry balances, and the sub-ledger equals its control account."""

from __future__ import annotations

from great_expectations import ExpectationSuite

from expectations.promises import no_rows, suite, unique


def journal() -> ExpectationSuite:
    """Over entries: one row per entry."""
    return suite(
        "ledger_posting.journal",
        [
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
            no_rows(
                "every entry has a legal entity",
                "nobodys = 1",
                "entry_id",
                "Money on a bank account that no legal entity owns would be in nobody's books.",
            ),
            no_rows("no debit or credit is negative", "smallest < 0", "entry_id", "A negative debit hides a credit."),
            no_rows(
                "an entry's lines stand once", "repeated_lines <> 0", "entry_id", "A line that stands twice is booked twice."
            ),
            unique("an entry stands once", ("tenant_id", "entry_id"), "entry_id", "An event posted twice is booked twice."),
        ],
    )


def events() -> ExpectationSuite:
    """Over what happened beside what is posted: one row per event and currency."""
    return suite(
        "ledger_posting.events",
        [
            no_rows(
                "every event is posted",
                "happened_count > posted_count",
                "event",
                "An event that is not in the journal is money nobody accounts for.",
            ),
            no_rows(
                "what is posted is what happened",
                "happened_count = posted_count AND happened_gross IS DISTINCT FROM posted_gross",
                "event",
                "An amount has changed on its way into the books.",
            ),
            no_rows(
                "what is posted still stands in its source",
                "happened_count < posted_count",
                "event",
                "A file was replayed after its rows had been posted: the journal keeps them, a person must reverse them.",
                severity="warning",
            ),
        ],
    )


def sub_ledger() -> ExpectationSuite:
    """Over control accounts beside their open items: one row per control account, legal entity and currency."""
    return suite(
        "ledger_posting.sub_ledger",
        [
            no_rows(
                "sub-ledger = control account",
                "COALESCE(items, 0) <> COALESCE(control, 0)",
                "ledger_account",
                "What is owed one by one would not add up to what the books say is owed.",
            ),
            no_rows(
                "every open item has a party and a number",
                "unnamed > 0",
                "ledger_account",
                "An item nobody owes, or that nobody can name, is never collected and never paid.",
            ),
        ],
    )

"""What suspension selection promises: whoever is nominated owes what is said, and never too many are at once."""

from __future__ import annotations

from great_expectations import ExpectationSuite

from expectations.promises import no_rows, suite, unique


def candidates() -> ExpectationSuite:
    """Over candidates beside their documents and the changes of state they make: one row per account."""
    return suite(
        "suspension_selection.candidates",
        [
            unique(
                "an account has one action",
                ("tenant_id", "account_id"),
                "account_id",
                "Of two actions a person would carry out the wrong one.",
            ),
            no_rows(
                "the documents that count are unpaid and overdue",
                "action IS NOT NULL AND (coalesce(documents_wrong, 0) > 0 OR unpaid_count IS DISTINCT FROM coalesce(documents_named, 0))",
                "account_id",
                "A customer would be suspended for an invoice that is paid or not due.",
            ),
            no_rows(
                "whoever goes further owes something",
                "action NOT IN ('hold', 'reinstate') AND unpaid_count = 0 OR action = 'hold' AND unpaid_count = 0",
                "account_id",
                "A customer who owes nothing would be suspended.",
            ),
            no_rows(
                "the balance = the sum of the documents in its currency",
                "overdue_balance IS DISTINCT FROM balance_found",
                "account_id",
                "The customer would add its invoices up to another sum than it was told.",
            ),
            no_rows(
                "who is held changes no state",
                "action = 'hold' AND coalesce(changes, 0) > 0",
                "account_id",
                "A customer whose money has arrived would be suspended all the same.",
            ),
            no_rows(
                "a hold names what could cover the debt, nothing else does",
                "(action = 'hold') <> (held_because IS NOT NULL)",
                "account_id",
                "Nobody would know which receipt to look at.",
            ),
            no_rows(
                "who is nominated enters the state",
                "action <> 'hold' AND ends_in IS DISTINCT FROM to_state",
                "account_id",
                "The next day would nominate it from a state it has left.",
            ),
            no_rows(
                "an account changes its state once",
                "changes > 1",
                "account_id",
                "It would be in two states on one day.",
            ),
            no_rows(
                "every state is one of the policy's",
                "NOT are_states OR unknown_state IS NOT NULL",
                "concat(account_id, ' ', coalesce(unknown_state, to_state))",
                "An account in a state nobody knows is never nominated and never returns. Keep renamed states in the policy.",
            ),
            no_rows(
                "no nomination is held back",
                "action = 'hold'",
                "account_id",
                "Money of the customer waits to be applied: apply it, or say that it pays something else.",
                severity="warning",
            ),
        ],
    )


def share() -> ExpectationSuite:
    """Over the accounts of each policy: one row per tenant and policy."""
    return suite(
        "suspension_selection.share",
        [
            no_rows(
                "no more accounts are nominated than the policy allows",
                "nominated > allowed_anyway AND CAST(nominated AS DECIMAL(18,0)) > CAST(accounts AS DECIMAL(18,0)) * share_max",
                "concat(nominated, ' of ', accounts, ' accounts by ', rule, ', which allows ', share_max)",
                "So many at once are seldom customers who do not pay and often cash that was not matched.",
            ),
            no_rows(
                "every account has a policy",
                "rule IS NULL OR share_max IS NULL",
                "tenant_id",
                "Accounts without a policy are never looked at.",
            ),
        ],
    )

"""What payable validation promises: every invoice received is decided once, with reasons that carry the decision."""

from __future__ import annotations

from great_expectations import ExpectationSuite

from expectations.promises import no_rows, suite, unique

_PAYABLE = "coalesce(payable_id, 'no payable')"


def decisions() -> ExpectationSuite:
    """Over staged payables.decisions, each beside the number of its staged reasons by severity."""
    return suite(
        "payable_validation.decisions",
        [
            unique(
                "a payable is decided once a run",
                ("tenant_id", "payable_id", "decided_at"),
                "payable_id",
                "Of two decisions nobody could tell which holds, and both could be paid.",
            ),
            no_rows(
                "a decision is accept, hold or reject",
                "is_decision AND (decision IS NULL OR decision NOT IN ('accept', 'hold', 'reject'))",
                _PAYABLE,
                "An invoice that is neither is lost between the stages.",
            ),
            no_rows(
                "what is rejected has a reason to reject",
                "decision = 'reject' AND reject_reasons = 0",
                _PAYABLE,
                "A vendor whose invoice comes back must be told why.",
            ),
            no_rows(
                "what is held has a reason to hold and none to reject",
                "decision = 'hold' AND (hold_reasons = 0 OR reject_reasons > 0)",
                _PAYABLE,
                "A person could not tell what the invoice is waiting for.",
            ),
            no_rows(
                "nothing speaks against what is accepted",
                "decision = 'accept' AND (hold_reasons > 0 OR reject_reasons > 0)",
                _PAYABLE,
                "An invoice would be paid against a rule.",
            ),
            no_rows(
                "what is accepted can be paid",
                "decision = 'accept' AND (gross_amount IS NULL OR currency IS NULL OR vendor_id IS NULL OR legal_entity_id IS NULL)",
                _PAYABLE,
                "A payment needs an amount, a currency, somebody to pay and somebody who pays.",
            ),
            no_rows(
                "only a rejected payable has no gross amount",
                "is_decision AND gross_amount IS NULL AND decision <> 'reject'",
                _PAYABLE,
                "Its money would be missing from what was received.",
            ),
            no_rows(
                "every reason is counted",
                "is_decision AND reason_count IS DISTINCT FROM reject_reasons + hold_reasons + warn_reasons",
                _PAYABLE,
                "A reason would have been lost on the way.",
            ),
            no_rows(
                "every reason belongs to a decision",
                "is_decision IS NULL",
                _PAYABLE,
                "A reason would speak of nothing.",
            ),
        ],
    )


def conservation() -> ExpectationSuite:
    """Over received beside decided payables: one row per tenant and currency."""
    currency = "coalesce(example, currency, 'no currency')"
    return suite(
        "payable_validation.conservation",
        [
            no_rows(
                "received = accepted + held + rejected",
                "received_payables IS DISTINCT FROM decided_payables",
                currency,
                "An invoice would be lost, or decided without having been received.",
            ),
            no_rows(
                "amounts received = amounts decided",
                "received_amount IS DISTINCT FROM decided_amount",
                currency,
                "Money would be lost or made up between receipt and decision.",
            ),
            no_rows(
                "every payable is decided over all its lines",
                "differing_payables > 0",
                currency,
                "Differences that cancel out would hide a wrong amount.",
            ),
        ],
    )

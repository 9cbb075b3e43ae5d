"""Money that an invoice took when it was issued covers no other debt, although the newest day of cash has not heard of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tests.builders import ALPHA
from tests.runtime import handmade
from tests.suspension_selection.test_suspension_runs import actions, configured, match, owed, post, run, unapplied

pytestmark = pytest.mark.slow  # whole runs of a stage: make test-slow


def took(account, transaction, amount, day):
    """An invoice of July took money of a receipt; a publication of its own."""
    row = {
        "period": date(2026, 7, 1), "prepayment_id": f"p-{transaction}", "invoice_id": "i-1", "transaction_id": transaction, "bank_account": "B",
        "account_id": account, "currency": "EUR", "amount": Decimal(amount), "booking_date": date(2026, 7, 1), "applied_on": day,
    }  # fmt: skip
    mine = handmade.an_id(transaction)[:32]
    version = handmade.commit("invoicing.prepayments", [row], mine, ALPHA, "invoice_generation", "2026-07")
    handmade.complete("invoice_generation", ALPHA, mine, [version], {("2026-07", "prepayments"): {}})


def test_an_account_is_held_for_what_its_money_still_covers(spark, home):
    configured(home, ALPHA)
    accounts = ("a-1", "a-2", "a-3")
    post(ALPHA, *(owed(f"d-{account}", account) for account in accounts))
    match(ALPHA, "2026-07-10", left=[unapplied(account, "100") | {"transaction_id": f"t-{account}"} for account in accounts])
    took("a-2", "t-a-2", "0.01", date(2026, 7, 10))
    took("a-3", "t-a-3", "100", date(2026, 7, 11))  # the day after
    run("2026-07-10", ALPHA)
    assert actions("2026-07-10") == [("a-1", "hold", "warned"), ("a-2", "warned", "warned"), ("a-3", "hold", "warned")]

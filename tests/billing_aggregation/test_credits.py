"""Credits: which of them a month may use, what is left of them, and how that goes from month to month."""

from __future__ import annotations

from jobs.billing_aggregation import credits
from jobs.ingestion.tables import CREDITS
from jobs.ledger.facts import latest_credits
from tests.builders import (
    ALPHA,
    BETA,
    JULY,
    accounts,
    charged,
    charges,
    collected,
    customer,
    table_of,
)


def granted_row(credit_id="k-1", amount="100", **more):
    """A row of raw.credits."""
    row = {
        "tenant_id": ALPHA, "credit_id": credit_id, "account_id": "a-1", "currency": "EUR", "amount": amount, "valid_from": "2026-01-01",
        "revision": 0, "withdrawn": False, "shared": False, "landing_id": "l-1", "row_number": 1,
    }  # fmt: skip
    return row | more


def test_a_month_is_paid_by_what_holds_in_it_and_is_left(spark):
    told = table_of(spark, CREDITS, [
        granted_row("left", "25"), granted_row("used_up", "9"), granted_row("expired", valid_to="2026-07-01"),
        granted_row("to_come", valid_from="2026-08-01"), granted_row("gone"), granted_row("gone", revision=1, withdrawn=True),
        granted_row("other_currency", currency="USD"), granted_row("of_beta", tenant_id=BETA),
        granted_row("shared", "1000", account_id="p", shared=True, products='["compute"]'),
        granted_row("unshared", "1000", account_id="p", valid_to="2026-07-02"),
    ])  # fmt: skip
    before = charges(
        spark,
        charged("-5", kind="credit", credit_id="left"),
        charged("-9", kind="credit", credit_id="used_up"),
        charged("7"),
    )
    known = accounts(spark, customer("a-1", payer_account_id="p"), customer("p"), customer("a-9"))
    month = charges(
        spark, charged("100"), charged("-10", kind="discount"), charged("30", product_id="compute"), charged("40", account_id="a-9"),
        charged(None, product_id="unpriced", prices_in_force=0),
    ).drop("publication_id")  # fmt: skip
    usable = credits.remaining(credits.in_force(latest_credits(told), JULY), before)
    found = credits.lines(month, usable, known, JULY)
    assert found.columns == month.columns
    shown = found.select(
        "kind", "account_id", "product_id", "credit_id", "quantity", "usage_rows", "amount", "prices_in_force"
    )
    assert collected(shown) == [
        ("credit", "a-1", "compute", "left", "0", 0, "-5", 1),
        ("credit", "a-1", "compute", "shared", "0", 0, "-25", 1),
        ("credit", "a-1", "storage", "left", "0", 0, "-15", 1),
    ]
    assert found.select("charge_id").distinct().count() == 3


def test_the_account_of_credits_tells_what_is_wrong(spark):
    told = table_of(
        spark, CREDITS, [granted_row("good"), granted_row("narrow", products='["compute"]'), granted_row("small", "5")]
    )
    month = charges(
        spark, charged("20"), charged("-15", kind="credit", credit_id="good"), charged("-5", kind="credit", credit_id="narrow"),
        charged("-6", kind="credit", credit_id="small", product_id="x"),
    )  # fmt: skip
    before = charges(spark, charged("-30", kind="credit", credit_id="good"))
    back = charges(spark, charged("2", kind="credit", credit_id="good"))
    found = credits.account(told, before, month, back, accounts(spark, customer()))
    assert collected(found, "credit_id", "granted", "used_before", "used_now", "outside", "overdrawn") == [
        ("good", "100", "30", "13", 0, 0), ("narrow", "100", "0", "5", 1, 0), ("small", "5", "0", "6", 0, 1),
    ]  # fmt: skip

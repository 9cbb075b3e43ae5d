"""Prices in another currency than their account's: which rate counts, and what a charge comes to."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from jobs.billing_aggregation import conversion, transforms
from jobs.billing_aggregation.conversion import Exchange, Rate, Rates
from jobs.billing_aggregation.settings import Conversion
from jobs.ledger.periods import Period
from jobs.ledger.price_spans import ZONES
from tests.builders import ALPHA, JULY, accounts, collected, customer, frame, priced, prices, usage, used

POLICY = Conversion.model_validate(
    {"source": "ecb", "day": "last_of_month", "oldest_days": 2, "rounding": "half_up", "decimals": 6}
)


def rate(base, quote, told, day="2026-07-31", **more):
    """A row of raw.fx_rates."""
    row = {"tenant_id": ALPHA, "source": "ecb", "base_currency": base, "quote_currency": quote, "rate": Decimal(told)}
    row |= {"rate_date": date.fromisoformat(day), "revision": 0, "withdrawn": False, "landing_id": "l-9", "row_number": 1}
    return row | more


CASES = {
    # case: (policy otherwise, rates, pair, rate and its day; None where there is none)
    "as_it_is_quoted": ({}, [rate("USD", "EUR", "0.9")], ("USD", "EUR"), ("0.9", "2026-07-31")),
    "the_inverse": ({}, [rate("EUR", "USD", "1.6")], ("USD", "EUR"), ("0.625", "2026-07-31")),
    "the_inverse_has_fifteen_decimals": ({}, [rate("EUR", "USD", "3")], ("USD", "EUR"), ("0.333333333333333", "2026-07-31")),
    "through_a_third_currency": (
        {}, [rate("EUR", "USD", "1.25"), rate("EUR", "GBP", "0.8")], ("USD", "GBP"), ("0.64", "2026-07-31"),
    ),
    "what_is_quoted_counts_before_what_is_derived": (
        {}, [rate("EUR", "USD", "1.25"), rate("USD", "EUR", "0.81")], ("USD", "EUR"), ("0.81", "2026-07-31"),
    ),
    "a_sunday_takes_the_latest_before_it": ({}, [rate("USD", "EUR", "0.9", "2026-07-29")], ("USD", "EUR"), ("0.9", "2026-07-29")),
    "too_old": ({}, [rate("USD", "EUR", "0.9", "2026-07-28")], ("USD", "EUR"), None),
    "of_a_later_day": ({}, [rate("USD", "EUR", "0.9", "2026-08-01")], ("USD", "EUR"), None),
    "the_later_of_two_days": (
        {}, [rate("USD", "EUR", "0.9", "2026-07-30"), rate("USD", "EUR", "0.8", "2026-07-29")], ("USD", "EUR"), ("0.9", "2026-07-30"),
    ),
    "the_first_of_the_month": ({"day": "first_of_month"}, [rate("USD", "EUR", "0.9", "2026-07-01")], ("USD", "EUR"), ("0.9", "2026-07-01")),
    "the_last_of_the_month_before": (
        {"day": "last_of_month_before"}, [rate("USD", "EUR", "0.9", "2026-06-30"), rate("USD", "EUR", "0.7")], ("USD", "EUR"), ("0.9", "2026-06-30"),
    ),
    "of_another_source": ({}, [rate("USD", "EUR", "0.9", source="bank")], ("USD", "EUR"), None),
    "of_another_tenant": ({}, [rate("USD", "EUR", "0.9", tenant_id="beta")], ("USD", "EUR"), None),
    "corrected": ({}, [rate("USD", "EUR", "0.9"), rate("USD", "EUR", "0.95", revision=1)], ("USD", "EUR"), ("0.95", "2026-07-31")),
    "withdrawn": ({}, [rate("USD", "EUR", "0.9", revision=1, withdrawn=True), rate("USD", "EUR", "0.9")], ("USD", "EUR"), None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_rate_of_a_month(monkeypatch, case):
    more, told, pair, expected = CASES[case]
    monkeypatch.setattr(conversion, "standing_told", lambda *_: told)
    rates = Rates(POLICY.model_copy(update=more), None, [ALPHA])
    found = rates.of(ALPHA, Period("2026-07")).get(pair)
    assert found == (Rate(Decimal(expected[0]), date.fromisoformat(expected[1])) if expected else None)


def test_without_a_policy_there_is_no_rate():
    assert Rates(None, None, [ALPHA]).of(ALPHA, JULY) == {}


USD_TO_EUR = [
    {"tenant_id": ALPHA, "price_currency": "USD", "currency": "EUR", "exchange_rate": "0.9", "rate_date": "2026-07-31"}
]
SHOWN = ("kind", "price_id", "currency", "price_currency", "exchange_rate", "quantity", "amount", "prices_in_force")


def dollars(name="p-usd", **more):
    return priced("0.1", price_id=name, currency="USD", **more)


CHARGED = {
    # case: (usage, prices, its charges with rates)
    "a_price_in_dollars_is_converted": (
        [used("7")], [dollars()], [("usage", "p-usd", "EUR", "USD", "0.9", "7", "0.63", 1)],
    ),
    "a_price_in_the_accounts_currency_counts_first": (
        [used("7")], [dollars(account_id="a-1", region="eu"), priced("0.2")], [("usage", "p-1", "EUR", None, None, "7", "1.4", 1)],
    ),
    "the_accounts_own_before_the_general_one": (
        [used("7")], [dollars("own", account_id="a-1"), dollars()], [("usage", "own", "EUR", "USD", "0.9", "7", "0.63", 1)],
    ),
    "a_charge_is_rounded_as_the_policy_says": (
        [used("0.00005")], [dollars()], [("usage", "p-usd", "EUR", "USD", "0.9", "0.00005", "0.000005", 1)],
    ),
    "tiers_and_limits_are_of_the_price_and_converted_after": (
        [used("30")],
        [priced(price_id="p-usd", currency="USD", parameters='{"unit_price": "1", "max_spend": "20"}')],
        [("maximum", "p-usd", "EUR", "USD", "0.9", "0", "-9", 1), ("usage", "p-usd", "EUR", "USD", "0.9", "30", "27", 1)],
    ),
    "a_price_on_the_record": (
        [used("3", unit_price="2", currency="USD")], [], [("usage", None, "EUR", "USD", "0.9", "3", "5.4", 1)],
    ),
    "a_price_on_the_record_without_a_rate_stays_as_it_is": (
        [used("3", unit_price="2", currency="JPY")], [], [("usage", None, "JPY", None, None, "3", "6", 1)],
    ),
    "an_agreed_fee_is_converted": (
        [used("1", product_id="x")],
        [priced("1", price_id="x", product_id="x"), dollars("fee", product_id="seat", model="flat", parameters='{"amount": "10"}', account_id="a-1")],
        [("fee", "fee", "EUR", "USD", "0.9", "0", "9", 1), ("usage", "x", "EUR", None, None, "1", "1", 1)],
    ),
    "without_a_rate_no_price_is_in_force": (
        [used("7")], [priced("0.1", price_id="yen", currency="JPY")], [("usage", None, "EUR", None, None, "7", None, 0)],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def charged(spark):
    """The charges of all cases, each a tenant, in one job."""
    told = {"used": [], "listed": [], "owners": [], "zones": [], "rates": []}
    for case, (rows, listed, _) in CHARGED.items():
        mine = {"used": rows, "listed": listed, "owners": [customer()], "zones": [{"timezone": "UTC"}], "rates": USD_TO_EUR}
        for name, said in mine.items():
            told[name] += [row | {"tenant_id": case} for row in said]
    facts = usage(spark, *told["used"]), prices(spark, *told["listed"]), accounts(spark, *told["owners"])
    zones, rates = frame(spark, ZONES, told["zones"]), frame(spark, conversion.RATES, told["rates"])
    found = {case: [] for case in CHARGED}
    lines = transforms.charges(*facts, zones, JULY, exchange=Exchange(rates, POLICY))
    for case, *line in collected(lines, "tenant_id", *SHOWN):
        found[case].append(tuple(line))
    return found


@pytest.mark.parametrize("case", CHARGED)
def test_a_charge_is_made_in_the_prices_currency_and_billed_in_the_accounts(charged, case):
    assert charged[case] == sorted(CHARGED[case][2], key=repr)

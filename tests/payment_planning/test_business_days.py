"""Business days of a paying entity's country and of the currency that is paid."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobs.ledger.calendars import SETTLED_IN, Market, check_country
from jobs.runtime.errors import ConfigError

CLOSED = [
    pytest.param("DE", "EUR", None, "2026-05-01", id="labour_day_in_germany"),
    pytest.param("JP", "EUR", None, "2026-05-01", id="the_euro_rests_wherever_it_is_paid_from"),
    pytest.param("GB", "GBP", "ENG", "2026-04-06", id="easter_monday_in_england"),
    pytest.param("GB", "GBP", "ENG", "2026-12-28", id="boxing_day_made_up_for_on_the_monday"),
    pytest.param("DE", "USD", None, "2026-07-03", id="independence_day_for_dollars_from_germany"),
    pytest.param("DE", "EUR", None, "2026-07-04", id="a_saturday"),
    pytest.param("IL", "ILS", None, "2026-07-03", id="the_weekend_is_the_countrys_own"),
]
OPEN = [
    pytest.param("DE", "EUR", None, "2026-12-24", id="christmas_eve_is_settled"),
    pytest.param("GB", "GBP", "SCT", "2026-04-06", id="easter_monday_in_scotland"),
    pytest.param("IL", "ILS", None, "2026-07-05", id="a_sunday_in_israel"),
    pytest.param("DE", "XOF", None, "2026-07-03", id="a_currency_without_calendar_has_the_payers"),
]


@pytest.mark.parametrize(("country", "currency", "part", "day"), CLOSED)
def test_nothing_is_settled_on_a_day_of_rest(country, currency, part, day):
    market = Market(country, currency, part)
    assert not market.is_open(date.fromisoformat(day))
    assert (
        market.on_or_before(date.fromisoformat(day)) < date.fromisoformat(day) < market.on_or_after(date.fromisoformat(day))
    )


@pytest.mark.parametrize(("country", "currency", "part", "day"), OPEN)
def test_other_days_are_business_days(country, currency, part, day):
    assert Market(country, currency, part).is_open(date.fromisoformat(day))


def test_what_moves_lands_on_a_business_day_with_none_in_between():
    market, first = Market("GB", "GBP", "ENG"), date(2026, 1, 1)
    for day, before, after in market.days(first, first + timedelta(days=400)):
        assert market.is_open(before) and market.is_open(after) and before <= day <= after
        between = [before + timedelta(days=n) for n in range(1, (after - before).days)]
        assert not any(market.is_open(other) for other in between)


@pytest.mark.parametrize(
    ("moment", "first"),
    [
        pytest.param("2026-04-02T14:59:59", "2026-04-02", id="before_the_cut_off"),
        pytest.param("2026-04-02T15:00:00", "2026-04-07", id="at_the_cut_off_easter_is_waited_for"),
        pytest.param("2026-04-04T03:00:00", "2026-04-07", id="on_a_saturday_at_night"),
    ],
)
def test_an_instruction_is_settled_on_the_first_day_it_can_still_reach(moment, first):
    told = datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo("Europe/London"))
    assert Market("GB", "GBP", "ENG").first_possible(told, time(15)) == date.fromisoformat(first)


def test_every_currency_with_a_market_has_a_calendar():
    for country in SETTLED_IN.values():
        check_country(country)


@pytest.mark.parametrize(("country", "part", "hint"), [("UX", None, "known|did you mean"), ("GB", "ENGLAND", "ENG")])
def test_an_unknown_calendar_is_refused_by_name(country, part, hint):
    with pytest.raises(ConfigError, match=hint):
        check_country(country, part)

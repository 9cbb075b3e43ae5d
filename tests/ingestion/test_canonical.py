"""Source rows to canonical rows: every value typed, every reason told, nothing lost."""

from __future__ import annotations

import json
from datetime import UTC, date

import pytest

from jobs.ingestion import transforms
from jobs.ingestion.feeds import FEEDS
from jobs.ledger.corrections import ACTIONS
from jobs.ledger.pricing import MODELS
from jobs.ledger.tenants import Mapping
from tests.builders import GOOD, GOOD_ACCOUNT, GOOD_USAGE, at, canonical, plain, plain_mapping, source

LONDON = "Europe/London"
WINDOW = "usage_start: outside 2000-01-01 to 2099-12-31"

OF_MONTH = {"invoice_number": None, "month": "2026-06"}
REASONS = {
    # case: (feed, what the row says otherwise, all its reasons)
    "a_good_row_has_none": ("usage", {}, set()),
    "nothing_required_is_there": (
        "usage",
        {"record_id": None, "account_id": "", "product_id": " ", "usage_start": "NULL", "quantity": None},
        {"record_id: missing", "account_id: missing", "product_id: missing", "usage_start: missing", "quantity: missing"},
    ),
    "a_quantity_that_is_a_word": ("usage", {"quantity": "many"}, {"quantity: not a number that fits"}),
    "a_quantity_with_a_comma": ("usage", {"quantity": "1,5"}, {"quantity: not a number that fits"}),
    "a_quantity_of_too_many_digits": ("usage", {"quantity": "1" * 18}, {"quantity: not a number that fits"}),
    "a_quantity_that_is_infinite": ("usage", {"quantity": "Infinity"}, {"quantity: not a number that fits"}),
    "a_quantity_that_is_no_number": ("usage", {"quantity": "NaN"}, {"quantity: not a number that fits"}),
    "twenty_two_decimals": ("usage", {"quantity": "0." + "0" * 21 + "1"}, {"quantity: more than 21 decimals"}),
    "twenty_two_decimals_of_which_the_last_is_zero": ("usage", {"quantity": "0." + "0" * 20 + "10"}, set()),
    "an_exponent_that_fits": ("usage", {"quantity": "1.5E3"}, set()),
    "an_exponent_below_the_last_decimal": ("usage", {"quantity": "1E-22"}, {"quantity: more than 21 decimals"}),
    "decimals_and_an_exponent_below_the_last_one": ("usage", {"quantity": "1.25e-20"}, {"quantity: more than 21 decimals"}),
    "a_time_that_is_none": ("usage", {"usage_start": "yesterday"}, {"usage_start: not a time"}),
    "a_day_that_is_none": ("usage", {"usage_start": "2026-02-30 10:00:00"}, {"usage_start: not a time"}),
    "a_year_too_early": ("usage", {"usage_start": "1970-01-01 00:00:00"}, {WINDOW}),
    "a_year_too_late": ("usage", {"usage_start": "2206-07-10 00:00:00"}, {WINDOW}),
    "an_end_before_the_start": ("usage", {"usage_end": "2026-07-10 11:59:59"}, {"usage_end: before usage_start"}),
    "a_time_zone": ("accounts", {"timezone": "Asia/Tokyo"}, set()),
    "a_time_zone_that_is_none": ("accounts", {"timezone": "Europe/Lundon"}, {"timezone: not an IANA time zone"}),
    "a_record_of_a_leap_year": ("usage", {"usage_end": "2027-07-11 12:00:00"}, set()),
    "a_record_that_lasts_too_long": (
        "usage",
        {"usage_end": "2027-07-12 12:00:00"},
        {"usage_end: more than 366 days after usage_start"},
    ),
    "a_quantity_too_large_to_share_out": ("usage", {"quantity": "1" + "0" * 16}, {"quantity: too large"}),
    "a_price_too_large_to_multiply": ("usage", {"unit_price": "1" + "0" * 13, "currency": "EUR"}, {"unit_price: too large"}),
    "a_price_without_a_currency": ("usage", {"unit_price": "2"}, {"currency: missing beside a unit_price"}),
    "a_currency_that_is_none": ("usage", {"unit_price": "2", "currency": "Euro"}, {"currency: not an ISO 4217 code"}),
    "a_revision_that_is_no_number": ("usage", {"revision": "second"}, {"revision: not a whole number"}),
    "a_withdrawal_that_is_no_answer": ("usage", {"withdrawn": "perhaps"}, {"withdrawn: not a yes or no"}),
    "many_things_at_once": (
        "usage",
        {"account_id": None, "quantity": "x", "usage_start": "1999-12-31 23:59:59", "unit_price": "1"},
        {"account_id: missing", "quantity: not a number that fits", WINDOW, "currency: missing beside a unit_price"},
    ),
    "a_row_that_could_not_be_split_says_only_that": (
        "usage",
        {"_malformed": "row: 4 fields where 5 are expected", "account_id": None},
        {"row: 4 fields where 5 are expected"},
    ),
    "a_model_nobody_knows": ("prices", {"model": "tiered"}, {f"model: not one of {', '.join(MODELS)}"}),
    "a_price_without_a_price": (
        "prices",
        {"parameters": '{"price": "1"}'},
        {"parameters: no unit_price", "parameters: per_unit does not know price"},
    ),
    "parameters_that_are_missing": ("prices", {"parameters": None}, {"parameters: missing"}),
    "a_price_that_ends_before_it_begins": ("prices", {"valid_to": "2026-01-01"}, {"valid_to: not after valid_from"}),
    "a_date_that_is_none": ("prices", {"valid_from": "soon"}, {"valid_from: not a date"}),
    "a_country_that_is_a_name": ("accounts", {"country": "Germany"}, {"country: not an ISO 3166 code"}),
    "an_account_without_country_and_currency": (
        "accounts",
        {"country": None, "currency": None},
        {"country: missing", "currency: missing"},
    ),
    "a_rebill_of_an_invoice": ("invoice_corrections", {}, set()),
    "a_rebill_of_a_month": ("invoice_corrections", OF_MONTH, set()),
    "a_rebill_of_nothing": ("invoice_corrections", {"invoice_number": None}, {"invoice_number: missing"}),
    "a_rebill_of_an_invoice_and_a_month": ("invoice_corrections", {"month": "2026-06"}, {"month: beside an invoice_number"}),
    "a_rebill_of_a_month_that_is_not_over": (
        "invoice_corrections",
        OF_MONTH | {"month": "2026-07"},
        {"month: not over when it was asked for"},
    ),
    "a_rebill_of_a_thirteenth_month": (
        "invoice_corrections",
        OF_MONTH | {"month": "2025-13"},
        {"month: not a month like 2026-03"},
    ),
    "a_rebill_of_an_amount": (
        "invoice_corrections",
        {"amount": "1"},
        {"action: a rebill has neither amount nor share nor line; it finds them"},
    ),
    "a_whole_month_cancelled": (
        "invoice_corrections",
        OF_MONTH | {"action": "cancel"},
        {"invoice_number: missing", "month: only a rebill is of a whole month"},
    ),
    "a_cancellation_of_a_line": (
        "invoice_corrections",
        {"action": "cancel", "line_no": "1"},
        {"action: what is cancelled is cancelled in full"},
    ),
    "a_credit_of_nothing_named": (
        "invoice_corrections",
        {"action": "credit"},
        {"amount: a credit needs an amount or a share, and not both"},
    ),
    "a_credit_of_more_than_all": (
        "invoice_corrections",
        {"action": "credit", "share": "1.01"},
        {"share: not above 0 and at most 1"},
    ),
    "a_debit_of_nothing": ("invoice_corrections", {"action": "debit", "amount": "0"}, {"amount: not above 0"}),
}


@pytest.fixture(scope="module")
def reasons(spark):
    """The reasons of every row above, one job a feed."""
    found = {}
    for feed, good in GOOD.items():
        cases = [case for case, (of, _, _) in REASONS.items() if of == feed]
        mapping = plain_mapping(feed, also=tuple(good))
        rows = source(spark, [good | REASONS[case][1] for case in cases], columns=tuple(good))
        told = canonical(rows, feed, mapping).select("row_number", "reasons").collect()
        assert len(told) == len(cases), "a row vanished"
        found |= {cases[row["row_number"] - 1]: row["reasons"] for row in told}
    return found


@pytest.mark.parametrize("case", REASONS)
def test_a_row_tells_every_reason_why_it_cannot_be_accepted(reasons, case):
    assert sorted(reasons[case]) == sorted(REASONS[case][2])


def one(spark, mapping, row, feed="usage", timezone="UTC"):
    """The canonical row of one source row."""
    return canonical(source(spark, [row]), feed, mapping, timezone).collect()[0]


def test_columns_are_made_from_constants_maps_expressions_and_patterns(spark):
    mapping = plain_mapping(
        "usage",
        columns={
            "account_id": {"sql": "regexp_replace(customer, '\\\\.0$', '')"},
            "region": {"source": "place", "map": {"Ireland": "eu-west", "Virginia": "us-east"}},
            "unit": {"constant": "GB"},
            "usage_start": {"source": "when", "format": "dd/MM/yyyy HH:mm"},
        },
    )
    row = one(spark, mapping, {"record_id": "r", "customer": "17850.0", "product_id": "p", "place": " Ireland ", "when": "03/07/2026 09:30",
                               "quantity": " 2.50 "})  # fmt: skip
    assert row["reasons"] == []
    assert (row["account_id"], row["region"], row["unit"], plain(row["quantity"])) == ("17850", "eu-west", "GB", "2.5")
    assert row["usage_start"].replace(tzinfo=UTC) == at("2026-07-03T09:30:00")
    assert (row["revision"], row["withdrawn"]) == (0, False)


def test_a_value_that_a_map_does_not_know_is_a_reason_and_does_not_pass_through(spark):
    mapping = plain_mapping(
        "accounts", columns={"country": {"source": "land", "map": {"Germany": "DE"}}}, also=("valid_from",)
    )
    row = one(spark, mapping, {**GOOD_ACCOUNT, "land": "Atlantis"}, feed="accounts")
    assert row["reasons"] == ["country: not in the mapping's list"]
    assert row["country"] is None


def test_an_account_without_a_first_day_is_valid_from_the_beginning(spark):
    mapping = Mapping.model_validate({"columns": {name: name for name in FEEDS["accounts"].required}})
    assert one(spark, mapping, GOOD_ACCOUNT, feed="accounts")["valid_from"] == date(1970, 1, 1)


TIMES = {
    # case: (time zone of the feed, what the file says, the moment)
    "summer_in_london": (LONDON, "2026-07-10 12:00:00", "2026-07-10T11:00:00"),
    "winter_in_london": (LONDON, "2026-01-10 12:00:00", "2026-01-10T12:00:00"),
    "an_offset_of_its_own": (LONDON, "2026-07-10T12:00:00+02:00", "2026-07-10T10:00:00"),
    "an_offset_without_a_colon": (LONDON, "2026-07-10T12:00:00+0200", "2026-07-10T10:00:00"),
    "an_offset_of_hours_alone": (LONDON, "2026-07-10T12:00:00+02", "2026-07-10T10:00:00"),
    "zulu": (LONDON, "2026-07-10T12:00:00Z", "2026-07-10T12:00:00"),
    "a_zone_by_name": (LONDON, "2026-07-10 12:00:00 UTC", "2026-07-10T12:00:00"),
    "a_day_alone": (LONDON, "2026-07-10", "2026-07-09T23:00:00"),
    "no_zone_anywhere": ("UTC", "2026-07-10 12:00:00", "2026-07-10T12:00:00"),
    "half_an_hour": ("Asia/Kolkata", "2026-07-10 12:00:00", "2026-07-10T06:30:00"),
}


@pytest.fixture(scope="module")
def moments(spark):
    """The moments of all times above, one job a time zone."""
    found = {}
    for zone in {zone for zone, _, _ in TIMES.values()}:
        cases = [case for case, (of, _, _) in TIMES.items() if of == zone]
        rows = source(spark, [GOOD_USAGE | {"usage_start": TIMES[case][1]} for case in cases])
        told = (
            canonical(rows, "usage", plain_mapping("usage", timezone=zone))
            .select("row_number", "usage_start", "reasons")
            .collect()
        )
        found |= {cases[row["row_number"] - 1]: (row["usage_start"], row["reasons"]) for row in told}
    return found


@pytest.mark.parametrize("case", TIMES)
def test_a_time_is_the_moment_that_its_source_meant(moments, case):
    moment, reasons = moments[case]
    if reasons:  # a format nobody reads is data for the quarantine; a wrong moment would be a wrong bill
        assert reasons == ["usage_start: not a time"]
    else:
        assert moment.replace(tzinfo=UTC) == at(TIMES[case][2])


@pytest.mark.parametrize(
    ("billing", "month"),
    [
        pytest.param("UTC", date(2026, 7, 1), id="utc"),
        pytest.param(LONDON, date(2026, 8, 1), id="london_is_an_hour_ahead_in_summer"),
        pytest.param("America/New_York", date(2026, 7, 1), id="new_york_is_behind"),
    ],
)
def test_the_month_is_that_of_the_time_zone_in_which_it_is_billed(spark, billing, month):
    row = GOOD_USAGE | {"usage_start": "2026-07-31T23:30:00Z"}
    assert one(spark, plain_mapping("usage"), row, timezone=billing)["period"] == month


def test_the_quarantined_row_tells_of_personal_columns_only_that_they_were_filled(spark):
    mapping = plain_mapping("accounts", also=("email", "city", "segment"))
    row = one(
        spark,
        mapping,
        GOOD_ACCOUNT | {"country": "nowhere", "email": "me@home", "city": None, "segment": "small"},
        feed="accounts",
    )
    told = json.loads(row["source_row"])
    assert told["legal_name"] == told["email"] == "(personal)"
    assert "city" not in told and told["segment"] == "small" and told["country"] == "nowhere"
    assert "Somebody" not in row["source_row"] and "me@home" not in row["source_row"]


def test_a_personal_column_made_by_an_expression_hides_what_it_was_made_from(spark):
    mapping = plain_mapping("accounts", columns={"legal_name": {"sql": "concat(first, ' ', last)"}})
    row = one(spark, mapping, GOOD_ACCOUNT | {"first": "Ada", "last": "L.", "country": "?"}, feed="accounts")
    assert "Ada" not in row["source_row"] and "L." not in row["source_row"]


def test_a_reason_never_quotes_a_value(reasons):
    values = {value for _, said, _ in REASONS.values() for value in said.values() if value and len(value) > 3} - {*ACTIONS}
    told = {reason for case in reasons for reason in reasons[case] if not reason.startswith("row:")}
    assert not [(value, reason) for value in values for reason in told if value in reason.split(": ", 1)[1]]


def test_control_totals_are_exact_over_good_and_bad_rows(spark):
    mapping = plain_mapping("usage", control_totals=("quantity",))
    rows = [
        GOOD_USAGE | {"quantity": "0.1"},
        GOOD_USAGE | {"quantity": "0.2", "account_id": None},
        GOOD_USAGE | {"quantity": "x"},
    ]
    told = transforms.read_counts(canonical(source(spark, rows), "usage", mapping, totals=1), 1).collect()
    assert [(row["rows_read"], plain(row["total_0"])) for row in told] == [(3, "0.3")]


@pytest.mark.parametrize(
    ("equal_rows", "ids"),
    [pytest.param("count_once", 1, id="count_once"), pytest.param("count_each", 3, id="count_each")],
)
def test_equal_rows_without_ids_count_as_the_mapping_says(spark, equal_rows, ids):
    mapping = Mapping.model_validate(
        {"equal_rows": equal_rows, "columns": {n: n for n in FEEDS["usage"].required if n != "record_id"}}
    )
    row = {name: value for name, value in GOOD_USAGE.items() if name != "record_id" and value}
    other = row | {"quantity": "1.000"}  # the same content in other digits
    found = canonical(source(spark, [row, other, row]), "usage", mapping).select("record_id", "reasons").collect()
    assert len({told["record_id"] for told in found}) == ids
    assert all(told["record_id"] and not told["reasons"] for told in found)


def test_another_delivery_of_the_same_content_has_the_same_ids(spark):
    mapping = Mapping.model_validate(
        {"equal_rows": "count_each", "columns": {n: n for n in FEEDS["usage"].required if n != "record_id"}}
    )
    row = {name: value for name, value in GOOD_USAGE.items() if name != "record_id" and value}
    rows = [row, row, row | {"quantity": "2"}]
    first, again = (
        source(spark, [told | {"_landing": landing} for told in rows[::step]]) for landing, step in (("l-1", 1), ("l-2", -1))
    )
    ids = [{told["record_id"] for told in canonical(rows, "usage", mapping).collect()} for rows in (first, again)]
    assert ids[0] == ids[1] and len(ids[0]) == 3

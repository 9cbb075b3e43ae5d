"""What a quantity costs by each model, and what charges settle together. Every case is a tenant of its own, all in one job."""

from __future__ import annotations

import json
import random
from decimal import Decimal

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from jobs.billing_aggregation import models, transforms
from jobs.billing_aggregation.proration import proration
from jobs.ledger.allocation import allocated
from jobs.ledger.columns import RATED
from jobs.ledger.price_spans import ZONES
from tests.builders import ALPHA, JULY, accounts, collected, customer, frame, priced, prices, usage, used

SHOWN = ("kind", "account_id", "region", "quantity", "amount")
TIERS = [
    {"up_to": "10", "unit": "2", "flat": "1"},
    {"up_to": "20", "unit": "1", "flat": "5"},
    {"up_to": None, "unit": "0.5"},
]
LINKED = [customer("a-1", payer_account_id="a-0"), customer("a-2", payer_account_id="a-0"), customer("a-0")]


def by(model, **parameters):
    """A price of a model for everybody."""
    more = {
        name: parameters.pop(name)
        for name in ("price_id", "account_id", "region", "valid_from", "valid_to", "product_id", "currency")
        if name in parameters
    }
    return priced(model=model, parameters=json.dumps(parameters), **more)


def tagged(quantity, **tags):
    """A record with tags."""
    return used(quantity, tags=json.dumps(tags))


def part(number, quantity, of, start="2026-07-10T12:00:00", end=None):
    """A part of a record that its source states as a whole."""
    return used(quantity, usage_start=start, usage_end=end, part_of={"part": number, "quantity": of})


def line(kind, quantity, amount, account="a-1", region="eu"):
    return (kind, account, region, quantity, amount)


def usage_and_flat(quantity, amount, flat):
    return [line("usage", quantity, amount), line("flat", "0", flat)]


GRADUATED = by("graduated", tiers=TIERS)
AT_ZERO = by("graduated", tiers=TIERS, zero_usage_charges_first_flat=True)
VOLUME = by("volume", tiers=TIERS)
STEPS = by("stairstep", tiers=[{"up_to": "5", "flat": "3"}, {"up_to": "50", "flat": "20"}, {"up_to": None, "flat": "90"}])
EVENTS = by("percentage", rate_pct="10", fixed="1", min="2", max="30")
MATRIX = by("matrix", dimensions=["size", "zone"], prices=[{"values": ["s", "x"], "unit_price": "1"}, {"values": ["l", "x"], "unit_price": "3"}])  # fmt: skip
CASES = {
    # case: (usage, prices, accounts or None, lines)
    "each_tier_bills_its_own_part": ([used("12")], [GRADUATED], None, usage_and_flat("12", "22", "6")),
    "a_boundary_belongs_to_the_tier_below": ([used("10")], [GRADUATED], None, usage_and_flat("10", "20", "1")),
    "a_grain_above_it_enters_the_next": ([used("10.001")], [GRADUATED], None, usage_and_flat("10.001", "20.001", "6")),
    "so_much_per_unit": ([used("3")], [by("per_unit", unit_price="2")], None, [line("usage", "3", "6")]),
    "nothing_used_enters_no_tier": ([used("0")], [GRADUATED], None, [line("usage", "0", "0")]),
    "nothing_used_bills_the_first_flat_where_the_model_says_so": ([used("0")], [AT_ZERO], None, usage_and_flat("0", "0", "1")),
    "what_was_taken_back_is_worth_the_first_tier": ([used("-3")], [GRADUATED], None, [line("usage", "-3", "-6")]),
    "records_add_up_before_they_are_rated": ([used("9"), used("3")], [GRADUATED], None, usage_and_flat("12", "22", "6")),
    "the_tier_reached_bills_all": ([used("12")], [VOLUME], None, usage_and_flat("12", "12", "5")),
    "a_volume_at_its_boundary": ([used("20")], [VOLUME], None, usage_and_flat("20", "20", "5")),
    "a_volume_at_its_open_end": ([used("30")], [VOLUME], None, [line("usage", "30", "15")]),
    "the_step_reached": ([used("5.5")], [STEPS], None, usage_and_flat("5.5", "0", "20")),
    "the_last_step": ([used("51")], [STEPS], None, usage_and_flat("51", "0", "90")),
    "no_step": ([used("0")], [STEPS], None, [line("usage", "0", "0")]),
    "a_started_package_counts_whole": (
        [used("30.1")], [by("package", size="10", price="4", free="5")], None, [line("usage", "30.1", "12")],
    ),
    "free_units_cost_nothing": ([used("12")], [by("per_unit", unit_price="2", free_units="10")], None, [line("usage", "12", "4")]),
    "fewer_than_the_free_units": ([used("9")], [by("per_unit", unit_price="2", free_units="10")], None, [line("usage", "9", "0")]),
    "units_that_come_free_leave_the_tiers_to_the_others": (
        [used("22")], [by("graduated", tiers=TIERS, free_units="10")], None, usage_and_flat("22", "22", "6"),
    ),
    "each_transaction_has_its_minimum_and_maximum": (
        [used("1"), used("50"), used("1000")], [EVENTS], None, [line("usage", "1051", "38")],
    ),
    "the_first_transactions_come_free": (
        [used("50", usage_start="2026-07-03T00:00:00"), used("10", usage_start="2026-07-02T00:00:00")],
        [by("percentage", rate_pct="10", fixed="1", free_units="30", free_events="1")], None,
        [line("usage", "60", "4")],  # of 60 units 30 are free, and the fixed part of the earlier transaction
    ),
    "a_transaction_that_is_free_has_no_minimum": (
        [used("5"), used("6", usage_start="2026-07-11T00:00:00")],
        [by("percentage", rate_pct="10", min="3", free_units="5", free_events="1")], None, [line("usage", "11", "3")],
    ),
    "a_share_of_the_months_total": (
        [used("500"), used("300")], [by("percentage_total", rate_pct="1.3", fixed="2", free_units="250", free_events="1")], None,
        usage_and_flat("800", "7.15", "2"),
    ),
    "a_month_without_volume_owes_no_fixed_part": (
        [used("0")], [by("percentage_total", rate_pct="1.3", fixed="2")], None, [line("usage", "0", "0")],
    ),
    "percent_by_tiers": (
        [used("150")], [by("graduated_percentage", tiers=[{"up_to": "100", "rate_pct": "1"}, {"rate_pct": "0.5", "flat": "7"}])], None,
        usage_and_flat("150", "1.25", "7"),
    ),
    "a_capacity_is_billed_at_its_peak": (
        [used("3"), used("8"), used("5")], [by("capacity", unit_price="2")], None, [line("usage", "16", "16")],
    ),
    "a_capacity_on_average_weighs_by_time": (
        [used("3", usage_end="2026-07-10T13:00:00"), used("9", usage_end="2026-07-10T15:00:00")],
        [by("capacity", unit_price="2", measure="average")], None, [line("usage", "12", "15")],
    ),
    "a_capacity_on_average_without_ends": (
        [used("3"), used("9")], [by("capacity", unit_price="2", measure="average")], None, [line("usage", "12", "12")],
    ),
    "usage_is_counted": ([used("3"), used("8.5")], [by("per_unit", unit_price="2", measure="count")], None, [line("usage", "11.5", "4")]),
    "the_highest_decides_the_tier": (
        [used("3"), used("12"), used("5")], [by("graduated", tiers=TIERS, measure="peak")], None, usage_and_flat("20", "22", "6"),
    ),
    "the_latest_is_billed": (
        [used("7", usage_start="2026-07-30T12:00:00"), used("9", usage_start="2026-07-29T12:00:00"), used("1")],
        [by("per_unit", unit_price="2", measure="latest", free_units="1")], None, [line("usage", "17", "12")],
    ),
    "a_level_is_not_shared_out_when_its_record_is_cut": (
        [part(1, "1", "4", start="2026-07-10T23:00:00", end="2026-07-11T00:00:00"), part(2, "3", "4", start="2026-07-11T00:00:00", end="2026-07-11T03:00:00")],
        [by("capacity", unit_price="2")], None, [line("usage", "4", "8")],
    ),
    "each_part_weighs_by_its_own_time": (
        [part(2, "1", "4", start="2026-07-01T00:00:00", end="2026-07-01T01:00:00"), used("8", usage_end="2026-07-10T15:00:00")],
        [by("capacity", unit_price="2", measure="average")], None, [line("usage", "9", "14")],
    ),
    "a_record_counts_where_it_begins": (
        [part(2, "1", "4"), part(1, "3", "8"), used("5")], [by("per_unit", unit_price="2", measure="count")], None, [line("usage", "9", "4")],
    ),
    "a_transaction_is_charged_whole_where_it_begins": (
        [part(2, "1", "400"), part(1, "30", "50"), used("5")], [EVENTS], None, [line("usage", "36", "8")],
    ),
    "parts_of_units_add_up": ([part(2, "1", "400"), part(1, "3", "9"), used("5")], [GRADUATED], None, usage_and_flat("9", "18", "1")),
    "whoever_uses_it_counts_once": (
        [tagged("5", user="ada"), tagged("6", user="bob"), tagged("7", user="ada"), used("8")],
        [by("volume", tiers=TIERS, measure="unique", of="user")], None, usage_and_flat("26", "4", "1"),
    ),
    "an_average_over_time_fills_packages": (
        [used("3", usage_end="2026-07-10T13:00:00"), used("9", usage_end="2026-07-10T15:00:00")],
        [by("package", size="5", price="1.5", measure="average")], None, [line("usage", "12", "3")],
    ),
    "linked_accounts_share_tiers_of_what_is_counted": (
        [used("80"), used("4", account_id="a-2"), used("4", account_id="a-2"), used("1", account_id="a-2")],
        [by("per_unit", unit_price="1", free_units="2", shared=True, measure="count")], LINKED,
        [line("usage", "80", "0.5"), line("usage", "9", "1.5", "a-2")],
    ),
    "a_matrix_looks_at_two_dimensions": (
        [tagged("2", size="s", zone="x"), tagged("5", size="l", zone="x")], [MATRIX], None, [line("usage", "7", "17")],
    ),
    "a_matrix_without_a_price_for_a_record": (
        [tagged("2", size="s", zone="x"), tagged("5", size="l", zone="y"), used("1")], [MATRIX], None,
        [line("usage", "2", "2"), line("usage", "6", None)],
    ),
    "blocks_of_all_tiers_beyond_the_last": (
        [used("1201")], [by("blocks_all_tiers", blocks=[["100", "10", "1"], ["50", "2", "2"]])], None, [line("usage", "1201", "20")],
    ),
    "blocks_of_the_top_tier": (
        [used("1001")], [by("blocks_top_tier", blocks=[["100", "10", "1"], ["50", "2", "2"]])], None, [line("usage", "1001", "42")],
    ),
    "regions_are_rated_apart": (
        [used("12"), used("12", region="us")], [VOLUME], None,
        [*usage_and_flat("12", "12", "5"), line("usage", "12", "12", region="us"), line("flat", "0", "5", region="us")],
    ),
    "a_price_of_the_accounts_own_rates_what_it_uses": (
        [used("12"), used("12", account_id="a-2")], [GRADUATED, by("per_unit", unit_price="1", price_id="p-2", account_id="a-2")],
        [customer(), customer("a-2")], [*usage_and_flat("12", "22", "6"), line("usage", "12", "12", "a-2")],
    ),
    "a_change_of_price_begins_its_tiers_anew": (
        [used("9"), used("9", usage_start="2026-07-20T00:00:00")],
        [by("graduated", tiers=TIERS, valid_to="2026-07-15"), by("graduated", tiers=TIERS, price_id="p-2", valid_from="2026-07-15")],
        None, [*usage_and_flat("9", "18", "1"), *usage_and_flat("9", "18", "1")],
    ),
    # --- settled together
    "a_commitment_is_made_up_for": (
        [used("10")], [by("per_unit", unit_price="2", min_spend="50")], None, [line("usage", "10", "20"), line("minimum", "0", "30")],
    ),
    "a_commitment_that_is_reached": ([used("25")], [by("per_unit", unit_price="2", min_spend="50")], None, [line("usage", "25", "50")]),
    "no_more_than_the_maximum": (
        [used("30")], [by("per_unit", unit_price="2", max_spend="50")], None, [line("usage", "30", "60"), line("maximum", "0", "-10")],
    ),
    "a_discount_goes_before_the_maximum": (
        [used("60")], [by("per_unit", unit_price="2", max_spend="100", discount_pct="50")], None,
        [line("usage", "60", "120"), line("discount", "0", "-60")],
    ),
    "or_after_it_where_the_price_says_so": (
        [used("60")], [by("per_unit", unit_price="2", max_spend="100", discount_pct="50", discount_after_maximum=True)], None,
        [line("usage", "60", "120"), line("maximum", "0", "-20"), line("discount", "0", "-50")],
    ),
    "a_discount_gives_no_more_than_there_is": (
        [used("3")], [by("per_unit", unit_price="2", discount_amount="10")], None, [line("usage", "3", "6"), line("discount", "0", "-6")],
    ),
    "a_discount_does_not_break_the_commitment": (
        [used("30")], [by("per_unit", unit_price="2", discount_pct="50", min_spend="40")], None,
        [line("usage", "30", "60"), line("discount", "0", "-30"), line("minimum", "0", "10")],
    ),
    "what_a_price_settles_is_spread_over_its_regions": (
        [used("10"), used("20", region="us")], [by("per_unit", unit_price="1", max_spend="10")], None,
        [line("usage", "10", "10"), line("usage", "20", "20", region="us"), line("maximum", "0", "-6.67"), line("maximum", "0", "-13.33", region="us")],
    ),
    "a_commitment_is_owed_without_usage": (
        [], [by("per_unit", unit_price="2", min_spend="50", account_id="a-1", region="eu")], None, [line("minimum", "0", "50")],
    ),
    "a_commitment_for_all_is_not": ([], [by("per_unit", unit_price="2", min_spend="50")], None, []),
    "a_fee_is_owed_without_usage": ([], [by("flat", amount="50", account_id="a-1")], None, [line("fee", "0", "50", region=None)]),
    "a_fee_in_another_currency_is_not_for_us": ([], [by("flat", amount="50", account_id="a-1", currency="USD")], None, []),
    "a_fee_of_nobody_we_know": ([], [by("flat", amount="50", account_id="a-9")], None, [line("fee", "0", "50", "a-9", None)]),
    "a_fee_includes_the_usage": (
        [used("10"), used("20", region="us")], [by("flat", amount="50")], None,
        [line("usage", "10", "0"), line("usage", "20", "0", region="us"), line("fee", "0", "50")],
    ),
    "a_fee_for_a_part_of_the_month": (
        [], [by("flat", amount="62", account_id="a-1", valid_from="2026-07-08", proration="actual_days")], None,
        [line("fee", "0", "47.999999976", region=None)],  # 24/31 is 0.774193548
    ),
    "a_fee_that_ended_after_its_anniversary": (
        [], [by("flat", amount="60", account_id="a-1", valid_to="2026-06-21", proration="fixed_30", anchor_day=15)], None,
        [line("fee", "0", "12", region=None)],
    ),
    "a_fee_that_ended_before_it": ([], [by("flat", amount="60", account_id="a-1", valid_to="2026-06-15", anchor_day=15)], None, []),
    "two_fees_at_once_are_not_guessed": (
        [], [by("flat", amount="60", account_id="a-1"), by("flat", amount="70", account_id="a-1", price_id="p-2", valid_from="2026-07-10")],
        None, [line("fee", "0", "60", region=None), line("usage", "0", None, region=None)],
    ),
    "linked_accounts_share_their_tiers": (
        [used("15"), used("5", account_id="a-2")], [by("volume", tiers=TIERS, shared=True)], LINKED,
        [line("usage", "15", "15"), line("flat", "0", "3.75"), line("usage", "5", "5", "a-2"), line("flat", "0", "1.25", "a-2")],
    ),
    "or_they_do_not": (
        [used("15"), used("5", account_id="a-2")], [VOLUME], LINKED,
        [*usage_and_flat("15", "15", "5"), line("usage", "5", "10", "a-2"), line("flat", "0", "1", "a-2")],
    ),
    "linked_accounts_share_what_is_free": (
        [used("8"), used("4", account_id="a-2")], [by("per_unit", unit_price="1", free_units="10", shared=True)], LINKED,
        [line("usage", "8", "1.33"), line("usage", "4", "0.67", "a-2")],
    ),
    "linked_accounts_share_a_commitment": (
        [used("8"), used("4", account_id="a-2")], [by("per_unit", unit_price="1", min_spend="22", shared=True)], LINKED,
        [line("usage", "8", "8"), line("usage", "4", "4", "a-2"), line("minimum", "0", "6.67"), line("minimum", "0", "3.33", "a-2")],
    ),
    "others_are_not_among_them": (
        [used("8"), used("4", account_id="b-1")], [by("per_unit", unit_price="1", free_units="10", shared=True)],
        [*LINKED, customer("b-1")], [line("usage", "8", "0"), line("usage", "4", "0", "b-1")],
    ),
}  # fmt: skip


def in_tenants(told):
    """The rows of all cases: usage, prices, accounts, zones."""
    rows = {"usage": [], "prices": [], "accounts": []}
    for case, (used_rows, price_rows, owners, _) in told.items():
        rows["usage"] += [row | {"tenant_id": case} for row in used_rows]
        rows["prices"] += [row | {"tenant_id": case} for row in price_rows]
        rows["accounts"] += [row | {"tenant_id": case} for row in ([customer()] if owners is None else owners)]
    return rows, [{"tenant_id": case, "timezone": "Europe/London"} for case in told]


def charges_of(spark, told, asked=models.EVERYTHING):
    """The charges of July of several tenants."""
    rows, zones = in_tenants(told)
    listed, owners = prices(spark, *rows["prices"]), accounts(spark, *rows["accounts"])
    tenants = frame(spark, ZONES, zones)
    return transforms.charges(usage(spark, *rows["usage"]), listed, owners, tenants, JULY, asked)


@pytest.fixture(scope="module")
def lines(spark):
    """The charges of all cases, in one job."""
    found = {case: [] for case in CASES}
    for case, *told in collected(charges_of(spark, CASES), "tenant_id", *SHOWN):
        found[case].append(tuple(told))
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_quantity_costs_what_its_model_says(lines, case):
    assert sorted(lines[case], key=repr) == sorted(CASES[case][3], key=repr)


@pytest.mark.parametrize(
    "asked",
    [(), (models.TIERS,), (models.TIERS, models.RECORDS), (models.SETTLEMENT,)],
    ids=lambda asked: " and ".join(asked) or "nothing",
)
def test_what_a_price_list_does_not_ask_for_makes_no_difference(spark, lines, asked):
    """A plan without the parts that nobody asks for charges as the whole one does."""
    concerned = {case: told for case, told in CASES.items() if asked_by(told[1]) == frozenset(asked)}
    assert concerned
    found = {case: [] for case in concerned}
    for case, *told in collected(charges_of(spark, concerned, frozenset(asked)), "tenant_id", *SHOWN):
        found[case].append(tuple(told))
    assert found == {case: lines[case] for case in concerned}


def asked_by(rows):
    """What prices ask for, told without Spark."""
    wanted = set()
    for row in rows:
        told = json.loads(row["parameters"])
        if row["model"] not in ("per_unit", "unit") or {"free_units", "measure"} & set(told):
            wanted.add(models.TIERS)
        of_records = told.get("measure") in ("unique", "peak", "latest", "average")
        if of_records or row["model"] in ("percentage", "percentage_events", "capacity", "matrix"):
            wanted.add(models.RECORDS)
        if row["model"] == "flat" or {"shared", "min_spend", "max_spend", "discount_pct", "discount_amount"} & set(told):
            wanted.add(models.SETTLEMENT)
    return frozenset(wanted)


def test_a_price_list_tells_what_it_asks_for(spark):
    listed = prices(spark, *(row | {"tenant_id": case} for case, told in CASES.items() for row in told[1]))
    assert {row["asked"] for row in models.asked(listed).collect()} == models.EVERYTHING
    assert models.asked(prices(spark, priced(), priced(model="price_on_record"))).collect() == []


SHARES = (
    (["10", "10", "10"], "10", "EUR"), (["1", "2"], "-0.01", "EUR"), (["0", "0", "0"], "1", "EUR"), (["-5", "5"], "3.33", "EUR"),
    (["3", "3", "1"], "100", "JPY"), (["1", "1"], "0.001", "KWD"), (["1", "1"], "0.015000000000000001", "EUR"), (["7"], "12.345", "EUR"),
    (["0.000000000000000001", "99999999999"], "0.07", "EUR"), (["1", "1", "1", "1", "1", "1"], "0.05", "EUR"),
)  # fmt: skip
DRAWN = st.lists(
    st.tuples(
        st.lists(st.decimals("0", "1000000", places=6), min_size=1, max_size=7),
        st.decimals("-1000000000", "1000000000", places=18),
        st.sampled_from(["EUR", "JPY", "KWD"]),
    ),
    min_size=30,
    max_size=60,
)


@seed(20261121)
@settings(max_examples=1, deadline=None, database=None)
@given(DRAWN)
def test_shares_add_up_to_the_whole_in_whole_minor_units(spark, drawn):
    told = [*SHARES, *drawn]
    rows = [
        {"case": str(case), "name": f"n-{n}", "weight": str(weight), "whole": str(whole), "currency": currency}
        for case, (weights, whole, currency) in enumerate(told)
        for n, weight in enumerate(weights)
    ]
    schema = "case string, name string, weight decimal(38,18), whole decimal(38,18), currency string"
    shares: dict[int, list[Decimal]] = {n: [] for n in range(len(told))}
    for row in allocated(frame(spark, schema, rows), ["case"], ["name"]).orderBy("case", "name").collect():
        shares[int(row["case"])].append(row["share"])
    for case, (weights, whole, currency) in enumerate(told):
        unit = {"EUR": Decimal("0.01"), "JPY": Decimal(1), "KWD": Decimal("0.001")}[currency]
        assert sum(shares[case]) == Decimal(whole), told[case]
        assert sum(share % unit != 0 for share in shares[case]) <= 1, told[case]
        total = sum(max(Decimal(weight), Decimal(0)) for weight in weights)
        for weight, share in zip(weights, shares[case], strict=True):
            ideal = Decimal(whole) * (max(Decimal(weight), Decimal(0)) / total if total else Decimal(1) / len(weights))
            assert abs(share - ideal) < 2 * unit + abs(Decimal(whole)) * Decimal("1E-8"), told[case]


MONTHLY = st.lists(
    st.tuples(st.decimals("0", "40", places=6), st.sampled_from(["a-1", "a-2"]), st.sampled_from(["eu", "us"])),
    min_size=10,
    max_size=40,
)
ADDITIVE = {  # models of which only the sum of a month matters
    "graduated": by("graduated", tiers=TIERS, min_spend="300"),
    "volume": by("volume", tiers=TIERS, shared=True),
    "package": by("package", size="7", price="1.01", free="3", discount_pct="33.3"),
    "kb_all_tiers": by("kb_all_tiers", blocks=[["3", "4", "1"], ["5", "9", "0.7"]]),
    "per_unit": by("per_unit", unit_price="0.000001", free_units="10", shared=True, max_spend="0.00002"),
    "percentage_total": by("percentage_total", rate_pct="1.7", free_units="9"),
    "graduated_percentage": by(
        "graduated_percentage", tiers=[{"up_to": "9", "rate_pct": "1"}, {"rate_pct": "3", "flat": "1"}]
    ),
}


@seed(20261121)
@settings(max_examples=2, deadline=None, database=None)
@given(MONTHLY, st.decimals("0", "1", places=3), st.integers(1, 1000))
def test_splitting_records_their_order_and_their_partitions_change_no_charge(spark, drawn, share, turn):
    whole, split = [], []
    for quantity, account, region in drawn:
        part = (quantity * share).quantize(Decimal("1E-6"))
        for product in ADDITIVE:
            more = {"account_id": account, "region": region, "product_id": product}
            whole.append(used(str(quantity), **more))
            split += [used(str(part), **more), used(str(quantity - part), **more)]
    listed = prices(spark, *(row | {"product_id": name, "price_id": name} for name, row in ADDITIVE.items()))
    owners, zones = (
        accounts(spark, *LINKED),
        frame(spark, ZONES, [{"tenant_id": ALPHA, "timezone": "UTC"}]),
    )
    mixed = usage(spark, *random.Random(turn).sample(split, len(split))).repartition(1 + turn % 7)
    shown = ("charge_id", "kind", "product_id", "quantity", "amount")
    told = collected(transforms.charges(usage(spark, *whole), listed, owners, zones, JULY), *shown)
    assert told == collected(transforms.charges(mixed, listed, owners, zones, JULY), *shown)
    quantities = {name: sum(Decimal(row[3]) for row in told if row[2] == name) for name in ADDITIVE}
    assert set(quantities.values()) == {sum(quantity for quantity, *_ in drawn)}


@seed(20261121)
@settings(max_examples=1, deadline=None, database=None)
@given(st.lists(st.decimals("0", "30", places=9), min_size=60, max_size=60, unique=True))
def test_who_uses_more_pays_no_less_by_graduated_tiers(spark, drawn):
    told = {
        str(n): ([used(str(quantity))], [GRADUATED], None, None)
        for n, quantity in enumerate(sorted([*drawn, Decimal(10), Decimal(20)]))
    }
    amounts: dict[int, Decimal] = {}
    for row in charges_of(spark, told, frozenset({models.TIERS})).collect():
        amounts[int(row["tenant_id"])] = amounts.get(int(row["tenant_id"]), Decimal(0)) + row["amount"]
    in_order = [amounts[n] for n in range(len(told))]
    assert in_order == sorted(in_order)


PERIODS = (
    # since, until, begins, ends, method, share
    ("2023-05-23", None, "2023-05-15", "2023-06-15", "actual_days", "0.741935484"),
    ("2023-05-23", None, "2023-05-15", "2023-06-15", "fixed_30", "0.733333333"),
    ("2023-05-23", None, "2023-05-15", "2023-06-15", None, "1"),
    ("2020-01-01", None, "2024-01-31", "2024-02-29", "fixed_30", "1"),
    ("2020-01-01", "2024-02-15", "2024-02-01", "2024-03-01", "actual_days", "0.482758621"),
    ("2024-02-29", "2024-03-01", "2024-02-01", "2024-03-01", "actual_days", "0.034482759"),
    ("2024-03-01", None, "2024-02-01", "2024-03-01", "actual_days", "0"),
    ("2020-01-01", "2024-02-01", "2024-02-01", "2024-03-01", None, "0"),
    ("2024-03-31", None, "2024-03-15", "2024-04-15", "fixed_30", "0.466666667"),
)


def test_a_fee_is_owed_for_the_days_it_covers(spark):
    schema = "n int, since date, until date, begins date, ends date, method string"
    rows = [
        dict(zip(("since", "until", "begins", "ends", "method"), told, strict=False)) | {"n": n}
        for n, told in enumerate(PERIODS)
    ]
    share = proration(*(F.col(name) for name in ("since", "until", "begins", "ends", "method")))
    told = collected(frame(spark, schema, rows).select("n", share.cast(RATED).alias("share")))
    assert [share for _, share in told] == [share for *_, share in PERIODS]

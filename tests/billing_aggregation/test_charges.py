"""A month of usage and the prices in force, to charges."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from jobs.billing_aggregation import sums, transforms
from jobs.billing_aggregation.tables import CHARGES
from jobs.ledger.price_spans import ZONES, price_spans
from tests.builders import ALPHA, BETA, JULY, accounts, collected, customer, frame, plain, priced, prices, usage, used

SHOWN = ("price_id", "model", "currency", "quantity", "amount", "usage_rows", "prices_in_force")
LONDON = {"tenant_id": ALPHA, "timezone": "Europe/London"}


def charged(spark, used_rows, priced_rows, customers=None, zones=(LONDON,)):
    """The charges of July."""
    tenants = frame(spark, ZONES, zones)
    rows = used_rows if not isinstance(used_rows, list) else usage(spark, *used_rows)
    owners = accounts(spark, *([customer()] if customers is None else customers))
    return transforms.charges(rows, prices(spark, *priced_rows), owners, tenants, JULY, asked=frozenset())


NEXT = "2026-07-15"
BERLIN_EVENING = "2026-07-14T22:30:00"  # already the 15th in Berlin, still the 14th in UTC; in London 23:30 on the 14th
CASES = {
    # case: (usage, prices, accounts, (price_id, model, currency, quantity, amount, usage_rows, prices_in_force))
    "usage_is_summed_and_priced_per_unit": (
        [used("1.5"), used("2.25")], [priced("0.1")], None, [("p-1", "per_unit", "EUR", "3.75", "0.375", 2, 1)],
    ),
    "the_price_on_the_record_needs_no_list": (
        [used("2", unit_price="1.5", currency="GBP"), used("1", unit_price="9", currency="GBP")], [], None,
        [(None, "price_on_record", "GBP", "3", "12", 2, 1)],
    ),
    "the_price_on_the_record_goes_before_the_list": (
        [used("2", unit_price="1.5", currency="EUR")], [priced("7")], None, [(None, "price_on_record", "EUR", "2", "3", 1, 1)],
    ),
    "the_regions_price_goes_before_the_one_for_all": (
        [used()], [priced("1"), priced("2", price_id="p-eu", region="eu"), priced("3", price_id="p-us", region="us")], None,
        [("p-eu", "per_unit", "EUR", "1", "2", 1, 1)],
    ),
    "usage_without_a_region_has_the_price_for_all": (
        [used(region=None)], [priced("1"), priced("2", price_id="p-eu", region="eu")], None, [("p-1", "per_unit", "EUR", "1", "1", 1, 1)],
    ),
    "the_accounts_own_price_goes_before_both": (
        [used()], [priced("1"), priced("2", price_id="p-eu", region="eu"), priced("3", price_id="p-own", account_id="a-1")], None,
        [("p-own", "per_unit", "EUR", "1", "3", 1, 1)],
    ),
    "another_accounts_price_is_not_for_us": (
        [used()], [priced("1"), priced("3", price_id="p-own", account_id="a-2")], None, [("p-1", "per_unit", "EUR", "1", "1", 1, 1)],
    ),
    "a_price_in_another_currency_is_not_for_us": (
        [used()], [priced("1"), priced("3", price_id="p-usd", currency="USD")], None, [("p-1", "per_unit", "EUR", "1", "1", 1, 1)],
    ),
    "a_change_of_price_in_mid_month_makes_two_charges": (
        [used("1", usage_start="2026-07-14T12:00:00"), used("10", usage_start="2026-07-15T12:00:00")],
        [priced("1", valid_to=NEXT), priced("2", price_id="p-2", valid_from=NEXT)], None,
        [("p-1", "per_unit", "EUR", "1", "1", 1, 1), ("p-2", "per_unit", "EUR", "10", "20", 1, 1)],
    ),
    "the_day_begins_in_the_tenants_time_zone": (
        [used("1", usage_start="2026-07-14T22:59:59"), used("10", usage_start="2026-07-14T23:00:00")],
        [priced("1", valid_to=NEXT), priced("2", price_id="p-2", valid_from=NEXT)], None,
        [("p-1", "per_unit", "EUR", "1", "1", 1, 1), ("p-2", "per_unit", "EUR", "10", "20", 1, 1)],
    ),
    "the_day_a_price_ends_it_no_longer_holds": (
        [used("1", usage_start="2026-07-15T12:00:00")], [priced("1", valid_to=NEXT)], None,
        [(None, "per_unit", "EUR", "1", None, 1, 0)],
    ),
    "a_change_of_another_products_price_changes_nothing": (
        [used("1", usage_start="2026-07-14T12:00:00"), used("10", usage_start="2026-07-15T12:00:00")],
        [priced("1"), priced("2", price_id="p-2", product_id="network", valid_from=NEXT)], None,
        [("p-1", "per_unit", "EUR", "11", "11", 2, 1)],
    ),
    "a_missing_price_is_no_amount": ([used("3")], [], None, [(None, "per_unit", "EUR", "3", None, 1, 0)]),
    "overlapping_prices_are_no_amount": (
        [used("3")], [priced("1"), priced("2", price_id="p-2", valid_from="2026-07-01")], None,
        [(None, "per_unit", "EUR", "3", None, 1, 2)],
    ),
    "three_overlapping_prices_are_two": (
        [used("3")], [priced("1"), priced("2", price_id="p-2"), priced("2", price_id="p-3")], None,
        [(None, "per_unit", "EUR", "3", None, 1, 2)],
    ),
    "an_unknown_account_has_no_currency": ([used()], [priced()], (), [(None, "per_unit", None, "1", None, 1, 0)]),
    "usage_that_was_taken_back_is_negative": ([used("-2")], [priced("0.5")], None, [("p-1", "per_unit", "EUR", "-2", "-1", 1, 1)]),
    "units_are_charged_apart": (
        [used("1", unit="GB"), used("2", unit="TB")], [priced("1")], None,
        [("p-1", "per_unit", "EUR", "1", "1", 1, 1), ("p-1", "per_unit", "EUR", "2", "2", 1, 1)],
    ),
    "eighteen_decimals_are_kept": (
        [used("0.333333333")], [priced("0.000000001")], None, [("p-1", "per_unit", "EUR", "0.333333333", "0.000000000333333333", 1, 1)],
    ),
    "no_usage_is_no_charge": ([], [priced()], None, []),
}  # fmt: skip


@pytest.fixture(scope="module")
def all_charges(spark):
    """All cases in one job, each as a tenant of its own; no join may cross tenants."""
    rows, listed, owners = [], [], []
    for case, (used_rows, priced_rows, customers, _) in CASES.items():
        rows += [row | {"tenant_id": case} for row in used_rows]
        listed += [row | {"tenant_id": case} for row in priced_rows]
        owners += [row | {"tenant_id": case} for row in ([customer()] if customers is None else customers)]
    zones = [{"tenant_id": case, "timezone": "Europe/London"} for case in CASES]
    found = {case: [] for case in CASES}
    for case, *told in collected(charged(spark, rows, listed, owners, zones), "tenant_id", *SHOWN):
        found[case].append(tuple(told))
    return found


CLOCKS_CHANGE = (  # days that have 23 or 25 hours, some of which have no midnight of their own
    ("Europe/London", date(2026, 3, 29)), ("Europe/London", date(2026, 10, 25)), ("America/New_York", date(2026, 11, 1)),
    ("America/Santiago", date(2026, 9, 6)), ("America/Santiago", date(2026, 4, 5)), ("America/Havana", date(2026, 3, 8)),
    ("America/Havana", date(2026, 11, 1)), ("Australia/Lord_Howe", date(2026, 4, 5)), ("Asia/Kolkata", date(2026, 7, 1)),
)  # fmt: skip


def test_a_day_begins_at_its_first_instant_also_when_clocks_change(spark):
    changes = [(zone, day + timedelta(days=more)) for zone, day in CLOCKS_CHANGE for more in (0, 1)]
    listed = prices(spark, *(priced(tenant_id=f"{zone} {day}", valid_from=str(day)) for zone, day in changes))
    zones = frame(
        spark,
        ZONES,
        [{"tenant_id": f"{zone} {day}", "timezone": zone} for zone, day in changes],
    )
    days = price_spans(listed, zones).withColumn("second", F.unix_timestamp("begins")).collect()
    assert len(days) == len(changes)
    for row in days:
        local = [
            datetime.fromtimestamp(row["second"] - before, ZoneInfo(row["tenant_id"].split(" ")[0])).date()
            for before in (0, 1)
        ]
        assert local == [row["day"], row["day"] - timedelta(days=1)], row


@pytest.mark.parametrize("case", CASES)
def test_usage_is_charged_at_the_price_in_force(all_charges, case):
    assert all_charges[case] == sorted(CASES[case][3], key=repr)


def test_a_month_is_the_days_of_each_tenants_own_time_zone(spark):
    zones = [LONDON, {"tenant_id": BETA, "timezone": "Europe/Berlin"}]
    rows = [used(usage_start=BERLIN_EVENING), used(usage_start=BERLIN_EVENING, tenant_id=BETA)]
    listed = [priced("1", valid_to=NEXT), priced("2", price_id="p-2", valid_from=NEXT)]
    listed += [row | {"tenant_id": BETA} for row in listed]
    found = charged(spark, rows, listed, [customer(), customer(tenant_id=BETA)], zones)
    assert collected(found, "tenant_id", "amount") == [(ALPHA, "1"), (BETA, "2")]


def test_charges_have_the_declared_columns_and_one_id_each(spark):
    found = charged(
        spark, [used(account_id=a, product_id=p, region=r) for a in "ab" for p in "pq" for r in ("eu", None)], []
    )
    assert found.columns == [name for name in CHARGES.schema.fieldNames() if name != "publication_id"]
    assert found.select("charge_id").distinct().count() == found.count() == 8


REVISIONS = {
    "the_first_word_stands_while_there_is_no_other": ([used("1", record_id="r")], ["1"]),
    "the_highest_revision_stands": (
        [used("1", record_id="r"), used("3", record_id="r", revision=2), used("2", record_id="r", revision=1)],
        ["3"],
    ),
    "a_withdrawn_record_is_gone": ([used("1", record_id="r"), used("1", record_id="r", revision=1, withdrawn=True)], []),
    "a_record_withdrawn_at_once_is_gone": ([used("1", record_id="r", withdrawn=True)], []),
    "a_withdrawal_can_be_taken_back": (
        [
            used("1", record_id="r"),
            used("1", record_id="r", revision=1, withdrawn=True),
            used("4", record_id="r", revision=2),
        ],
        ["4"],
    ),
    "another_record_is_not_concerned": (
        [used("1", record_id="r", revision=1, withdrawn=True), used("2", record_id="s")],
        ["2"],
    ),
}


@pytest.fixture(scope="module")
def standing_quantities(spark):
    """All cases in one job, each as a tenant of its own, with records of the same names."""
    rows = [row | {"tenant_id": case} for case, (told, _) in REVISIONS.items() for row in told]
    found = {case: [] for case in REVISIONS}
    for case, quantity in collected(sums.latest_revisions(usage(spark, *rows)), "tenant_id", "quantity"):
        found[case].append(quantity)
    return found


@pytest.mark.parametrize("case", REVISIONS)
def test_of_a_record_the_highest_revision_is_charged(standing_quantities, case):
    assert standing_quantities[case] == REVISIONS[case][1]


QUANTITIES = st.lists(
    st.tuples(
        st.decimals("-1000", "1000", places=9), st.sampled_from(["a-1", "a-2"]), st.sampled_from(["storage", "network"]),
        st.sampled_from([None, "1.25", "0.000000007"]), st.integers(1, 31),
    ),
    min_size=20, max_size=60,
)  # fmt: skip
LISTED = [
    priced("0.123456789", valid_to=NEXT), priced("0.2", price_id="p-2", valid_from=NEXT),
    priced("3", price_id="p-3", product_id="network"), priced("2", price_id="p-4", product_id="network", account_id="a-2"),
]  # fmt: skip


@seed(20261121)
@settings(max_examples=2, deadline=None, database=None)
@given(QUANTITIES, st.decimals("0", "1", places=3), st.integers(1, 1000))
def test_splitting_a_record_or_turning_the_order_changes_no_amount(spark, drawn, share, turn):
    whole, split = [], []
    for quantity, account, product, price, day in drawn:
        more = {"account_id": account, "product_id": product, "unit_price": price, "currency": price and "EUR"}
        more["usage_start"] = f"2026-07-{day:02d}T12:00:00"
        part = (quantity * share).quantize(Decimal("1E-9"))
        whole.append(used(str(quantity), **more))
        split += [used(str(part), **more), used(str(quantity - part), **more)]
    owners = [customer("a-1"), customer("a-2")]
    shown = ("charge_id", "quantity", "amount", "prices_in_force")
    mixed = usage(spark, *random.Random(turn).sample(split, len(split))).repartition(1 + turn % 7)
    told = collected(charged(spark, whole, LISTED, owners), *shown)
    assert told == collected(charged(spark, mixed, LISTED, owners), *shown)
    assert sum(Decimal(row[1]) for row in told) == sum(quantity for quantity, *_ in drawn)


def test_conservation_puts_accepted_beside_charged_to_the_last_digit(spark):
    rows = [used("0.000000000000000000001"), used("10000000000000000"), used("1", product_id="lost")]
    charges = charged(spark, rows[:2], [priced("0.1")])
    columns = ("product_id", "accepted_quantity", "charged_quantity", "accepted_rows", "charged_rows")
    exact = "10000000000000000.000000000000000000001"
    assert collected(transforms.conservation(usage(spark, *rows), charges), *columns) == [
        ("lost", "1", "0", 1, 0),
        ("storage", exact, exact, 2, 2),
    ]


def test_a_price_list_is_joined_within_a_tenant_only(spark):
    found = charged(spark, [used(), used(tenant_id=BETA)], [priced("1")], [customer(), customer(tenant_id=BETA)],
                    [LONDON, LONDON | {"tenant_id": BETA}])  # fmt: skip
    told = {row["tenant_id"]: (plain(row["amount"]), row["prices_in_force"]) for row in found.orderBy(F.rand(1)).collect()}
    assert told == {ALPHA: ("1", 1), BETA: (None, 0)}

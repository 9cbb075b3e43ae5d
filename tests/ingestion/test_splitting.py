"""Usage that lasts past midnight or a month end: a part for every day, and what they come to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from jobs.ingestion import transforms
from jobs.ingestion.feeds import FEEDS
from jobs.ingestion.splitting import in_parts
from jobs.ledger.usage_parts import begins, whole
from tests.builders import ALPHA, GOOD_USAGE, collected, frame, ingestion_settings, plain, plain_mapping, source

JULY, AUGUST, SEPTEMBER = "2026-07-01", "2026-08-01", "2026-09-01"
TOKYO = "Asia/Tokyo"

CASES = {
    # case: (time zone of the tenant, what the record says otherwise, its parts: month, start, end, quantity)
    "an_instant_is_no_part": ("UTC", {"usage_start": "2026-07-31 23:00:00"}, [(JULY, "07-31 23:00", None, "1")]),
    "a_day_stays_whole": (
        "UTC", {"usage_start": "2026-07-31 00:00:00", "usage_end": "2026-08-01 00:00:00"}, [(JULY, "07-31 00:00", "08-01 00:00", "1")],
    ),
    "past_midnight": (
        "UTC", {"usage_start": "2026-07-10 22:00:00", "usage_end": "2026-07-11 06:00:00", "quantity": "4"},
        [(JULY, "07-10 22:00", "07-11 00:00", "1"), (JULY, "07-11 00:00", "07-11 06:00", "3")],
    ),
    "past_the_month_end": (
        "UTC", {"usage_start": "2026-07-31 23:00:00", "usage_end": "2026-08-02 01:00:00", "quantity": "26"},
        [(JULY, "07-31 23:00", "08-01 00:00", "1"), (AUGUST, "08-01 00:00", "08-02 00:00", "24"), (AUGUST, "08-02 00:00", "08-02 01:00", "1")],
    ),
    "thirds_add_up_to_the_last_decimal": (
        "UTC", {"usage_start": "2026-07-10 23:00:00", "usage_end": "2026-07-11 02:00:00"},
        [(JULY, "07-10 23:00", "07-11 00:00", "0.333333333333333333333"), (JULY, "07-11 00:00", "07-11 02:00", "0.666666666666666666667")],
    ),
    "what_is_given_back": (
        "UTC", {"usage_start": "2026-07-10 23:00:00", "usage_end": "2026-07-11 01:00:00", "quantity": "-3"},
        [(JULY, "07-10 23:00", "07-11 00:00", "-1.5"), (JULY, "07-11 00:00", "07-11 01:00", "-1.5")],
    ),
    "by_the_clocks_of_the_tenant": (  # 23:00 UTC is midnight in London
        "Europe/London", {"usage_start": "2026-07-31 22:00:00", "usage_end": "2026-08-01 00:00:00", "quantity": "2"},
        [(JULY, "07-31 22:00", "07-31 23:00", "1"), (AUGUST, "07-31 23:00", "08-01 00:00", "1")],
    ),
    "by_the_clocks_of_the_account": (  # 15:00 UTC is midnight in Tokyo
        "Europe/London", {"account_id": "t", "usage_start": "2026-07-31 14:00:00", "usage_end": "2026-07-31 16:00:00", "quantity": "2"},
        [(JULY, "07-31 14:00", "07-31 15:00", "1"), (AUGUST, "07-31 15:00", "07-31 16:00", "1")],
    ),
    "an_instant_of_an_account_elsewhere": (
        "Europe/London", {"account_id": "t", "usage_start": "2026-07-31 15:00:00"}, [(AUGUST, "07-31 15:00", None, "1")],
    ),
    "a_day_of_25_hours": (  # on 25 October London's clocks go back; its day ends at 00:00 UTC
        "Europe/London", {"usage_start": "2026-10-24 23:00:00", "usage_end": "2026-10-26 01:00:00", "quantity": "26"},
        [("2026-10-01", "10-24 23:00", "10-26 00:00", "25"), ("2026-10-01", "10-26 00:00", "10-26 01:00", "1")],
    ),
    "what_carries_its_price_is_cut_at_month_ends": (
        "UTC", {"usage_start": "2026-07-01 00:00:00", "usage_end": "2026-09-01 00:00:00", "quantity": "62", "unit_price": "2", "currency": "EUR"},
        [(JULY, "07-01 00:00", "08-01 00:00", "31"), (AUGUST, "08-01 00:00", "09-01 00:00", "31")],
    ),
}  # fmt: skip


def accepted(spark, rows, timezone="UTC"):
    """Usage as it would be staged; account t is billed in Tokyo."""
    zones = frame(spark, "tenant_id string, account_id string, billing_zone string", [
        {"tenant_id": ALPHA, "account_id": "t", "billing_zone": TOKYO},
    ])  # fmt: skip
    told = source(spark, [GOOD_USAGE | row for row in rows]).withColumn("tenant_id", F.lit(ALPHA))
    typed = transforms.mapped(
        told,
        FEEDS["usage"],
        plain_mapping("usage", also=("usage_end", "unit_price", "currency")),
        ingestion_settings(),
        timezone,
        0,
        zones,
    )
    judged = transforms.canonical([typed], FEEDS["usage"], ingestion_settings())
    return in_parts(judged.where(F.size("reasons") == 0))


@pytest.fixture(scope="module")
def parts(spark):
    """The parts of all cases, in one job a time zone."""
    found = {case: [] for case in CASES}
    for zone in ("UTC", "Europe/London"):
        rows = [row | {"record_id": case} for case, (where, row, _) in CASES.items() if where == zone]
        for row in accepted(spark, rows, zone).orderBy("usage_start").collect():
            found[row["record_id"]].append(row)
    return found


def moment(value):
    return value.astimezone(UTC).strftime("%m-%d %H:%M") if value else None


@pytest.mark.parametrize("case", CASES)
def test_a_record_is_cut_where_a_day_or_a_month_ends(parts, case):
    _, said, expected = CASES[case]
    found = parts[case]
    told = [
        (str(row["period"]), moment(row["usage_start"]), moment(row["usage_end"]), str(plain(row["quantity"])))
        for row in found
    ]
    assert told == expected
    assert {row["billing_zone"] for row in found} == {TOKYO if said.get("account_id") == "t" else None}
    if len(found) == 1:
        assert found[0]["part_of"] is None
        return
    assert [(row["part_of"]["part"], row["part_of"]["parts"]) for row in found] == [
        (n, len(found)) for n in range(1, len(found) + 1)
    ]
    (of,) = {
        (row["part_of"]["quantity"], moment(row["part_of"]["usage_start"]), moment(row["part_of"]["usage_end"]))
        for row in found
    }
    assert of == (Decimal(said.get("quantity", "1")), expected[0][1], expected[-1][2])
    assert {str(row["part_of"]["last_period"]) for row in found} == {expected[-1][0]}


START = datetime(2026, 1, 1, tzinfo=UTC)
RECORDS = st.tuples(
    st.integers(0, 400 * 86_400 * 10**6), st.integers(0, 70 * 86_400 * 10**6), st.decimals(-(10**9), 10**9, places=6),
    st.sampled_from(["a", "t"]),
)  # fmt: skip


@settings(max_examples=4, deadline=None)
@example([(0, 605_450_618_082, Decimal("19446883.733485"), "a")])  # 29 digits
@given(st.lists(RECORDS, min_size=10, max_size=30))
def test_parts_follow_each_other_and_add_up_and_know_their_record(spark, records):
    """By Python's clocks: every part lies in one day of its zone, and in the month it says."""
    rows = []
    for number, (begin, lasts, quantity, account) in enumerate(records):
        start = START + timedelta(microseconds=begin)
        end = start + timedelta(microseconds=lasts)
        rows.append(
            {"record_id": str(number), "account_id": account, "quantity": f"{quantity:f}", "usage_start": start.isoformat(), "usage_end": end.isoformat()}
        )  # fmt: skip
    staged = accepted(spark, rows, "Europe/London")
    found = {str(number): [] for number in range(len(records))}
    for row in staged.orderBy("usage_start").collect():
        found[row["record_id"]].append(row)
    for row in rows:
        mine, zone = found[row["record_id"]], ZoneInfo(TOKYO if row["account_id"] == "t" else "Europe/London")
        with localcontext() as exact:
            exact.prec = 60  # the usual 28 digits would round the sum
            assert sum(part["quantity"] for part in mine) == Decimal(row["quantity"])
        edges = [part["usage_start"].astimezone(UTC) for part in mine] + [mine[-1]["usage_end"].astimezone(UTC)]
        assert (edges[0], edges[-1]) == (
            datetime.fromisoformat(row["usage_start"]),
            datetime.fromisoformat(row["usage_end"]),
        )
        assert [part["usage_end"].astimezone(UTC) for part in mine] == edges[1:]
        for part, until in zip(mine, edges[1:], strict=True):
            first = part["usage_start"].astimezone(zone).date()
            last = (until - timedelta(microseconds=1)).astimezone(zone).date() if until > edges[0] else first
            assert first == last
            assert part["period"] == first.replace(day=1)
    assert staged.where(begins()).count() == len(records)
    again = collected(whole(staged).selectExpr("record_id", "quantity", "string(usage_start)", "string(usage_end)"))
    assert [record for record, *_ in again] == sorted((row["record_id"] for row in rows), key=repr)

"""Periods, ids, tax policies, and which facts stand."""

from __future__ import annotations

from datetime import date

import pytest
from pyspark.sql import functions as F

from jobs.ledger.facts import current_accounts, latest_prices, standing
from jobs.ledger.identity import natural_id
from jobs.ledger.periods import Period
from jobs.runtime.config import digest
from jobs.runtime.errors import CallError
from tests.builders import accounts, collected, customer, frame, priced, prices, usage, used


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2026-13", id="thirteenth_month"),
        pytest.param("2026-00", id="month_zero"),
        pytest.param("2026-1", id="one_digit"),
        pytest.param("26-10", id="short_year"),
        pytest.param("2026-02-30", id="a_day_no_month_has"),
        pytest.param("2026-10-01T24", id="an_hour_no_day_has"),
        pytest.param("2026-10-01 14", id="an_hour_after_a_blank"),
        pytest.param("", id="nothing"),
        pytest.param("2026-10\n", id="a_line_end_after_it"),
        pytest.param("٢٠٢٦-10", id="digits_of_another_script"),
        pytest.param("0000-01", id="a_year_no_calendar_has"),
    ],
)
def test_what_is_no_period_is_refused_as_a_wrong_call(text):
    with pytest.raises(CallError, match="is not a month, a day or an hour. Nothing was started") as refused:
        Period(text)
    assert refused.value.exit_code == 2


def test_a_month_knows_its_first_day_and_the_month_after():
    assert (Period("2026-10").first_day, str(Period("2026-10").next), Period("2026-12").next.key) == (
        date(2026, 10, 1),
        "2026-11",
        "2027-01",
    )


PERIODS = {
    # key: (grain, first day, last day, the one after, month, day, hour)
    "2026-02": ("month", date(2026, 2, 1), date(2026, 2, 28), "2026-03", "2026-02", "2026-02-28", "2026-02-28T23"),
    "2024-02-29": ("day", date(2024, 2, 29), date(2024, 2, 29), "2024-03-01", "2024-02", "2024-02-29", "2024-02-29T23"),
    "2026-12-31T23": (
        "hour",
        date(2026, 12, 31),
        date(2026, 12, 31),
        "2027-01-01T00",
        "2026-12",
        "2026-12-31",
        "2026-12-31T23",
    ),
}


@pytest.mark.parametrize("key", PERIODS)
def test_a_period_lies_in_coarser_ones_and_ends_with_finer_ones(key):
    period = Period(key)
    told = (
        period.grain,
        period.first_day,
        period.last_day,
        period.next.key,
        *(period.at(g).key for g in ("month", "day", "hour")),
    )
    assert told == PERIODS[key]
    assert period.month.key == period.at("month").key


def test_a_stage_that_runs_by_month_refuses_a_day():
    with pytest.raises(CallError, match="billing_aggregation runs by month, and '2026-10-01' is a day. Nothing was started"):
        Period("2026-10-01").required("month", "billing_aggregation")
    assert Period("2026-10-01").required(None, "ingestion").key == "2026-10-01"


IDS = [
    ("a", "bc"),
    ("ab", "c"),
    (None, "x"),
    ("", "x"),
    ("-", "x"),
    ("x", None),
    ("1:a", "b"),
    ("a|1:b", "c"),
    ("a", "1:b|c"),
]


def test_keys_that_differ_have_ids_that_differ(spark):
    rows = spark.createDataFrame(list(enumerate(IDS)), "n int, pair struct<a: string, b: string>").select("n", "pair.*")
    found = [row["id"] for row in rows.orderBy("n").select(natural_id("a", "b").alias("id")).collect()]
    assert len(set(found)) == len(IDS)
    assert all(len(told) == 64 for told in found)


def test_a_key_has_one_id_whatever_its_type(spark):
    rows = spark.sql("SELECT 'x' AS a, 7 AS b UNION ALL SELECT 'x', 7").repartition(2)
    assert rows.select(natural_id("a", "b")).distinct().count() == 1


def test_the_ids_of_python_also_tell_neighbours_apart():
    assert digest("a", "bc") != digest("ab", "c") != digest("abc")


def test_rows_of_a_replaced_landing_no_longer_stand(spark):
    rows = usage(spark, used(landing_id="old"), used(landing_id="new"), used(landing_id="old", tenant_id="beta"))
    found = standing(rows, [("alpha", "old")]).select("tenant_id", "landing_id").collect()
    assert sorted(map(tuple, found)) == [("alpha", "new"), ("beta", "old")]


def test_of_an_accounts_records_the_latest_counts(spark):
    rows = accounts(
        spark,
        customer(country="DE", valid_from="2024-01-01"),
        customer(country="FR", valid_from="2026-01-01"),
        customer(country="IT", valid_from="2025-01-01", tenant_id="beta"),
    )
    found = current_accounts(rows.orderBy(F.rand(3))).select("tenant_id", "country").collect()
    assert sorted(map(tuple, found)) == [("alpha", "FR"), ("beta", "IT")]


def test_frames_of_the_tests_refuse_columns_nobody_declared(spark):
    with pytest.raises(AssertionError, match="unknown columns"):
        frame(spark, "a string", [{"b": "x"}])


def test_the_highest_revision_of_a_price_holds_unless_it_withdraws_it(spark):
    listed = prices(
        spark, priced("1", price_id="never_revised"), priced("1", price_id="raised"),
        priced("3", price_id="raised", revision=10, row_number=2), priced("2", price_id="raised", revision=9, row_number=3),
        priced("1", price_id="gone"), priced("1", price_id="gone", revision=1, withdrawn=True),
        priced("9", price_id="gone", tenant_id="beta", revision=0, withdrawn=False),
    )  # fmt: skip
    assert collected(latest_prices(listed), "tenant_id", "price_id", "revision") == [
        ("alpha", "never_revised", None), ("alpha", "raised", 10), ("beta", "gone", 0),
    ]  # fmt: skip

"""Why the parameters of a price do not fit its model: every reason in words, and none for what does fit."""

from __future__ import annotations

import json

import pytest
from pyspark.sql import functions as F

from jobs.ledger.pricing import BY_RECORD, MODELS, parsed, refusals

TIERS = [{"up_to": "10", "unit": "2", "flat": "1"}, {"up_to": None, "unit": "1"}]
GOOD = {
    "flat": {"amount": "50", "proration": "fixed_30", "anchor_day": 31},
    "per_unit": {"unit_price": "0.000000000000000000001", "free_units": 10, "shared": True, "min_spend": 5, "max_spend": 5},
    "unit": {"price": 100},
    "graduated": {"tiers": TIERS, "zero_usage_charges_first_flat": True},
    "volume": {"tiers": [{"up_to": 0.5, "flat": 3}, {"unit": 1}]},
    "stairstep": {"tiers": [{"up_to": "5", "flat": "3"}, {"up_to": None, "flat": "9"}]},
    "graduated_percentage": {"tiers": [{"up_to": "5", "rate_pct": "1", "flat": "3"}, {"up_to": None, "rate_pct": "2"}]},
    "package": {"size": "10", "price": "15", "free": "0", "discount_pct": 100},
    "percentage": {"rate_pct": "1.3", "fixed": "2", "min": "1", "max": "1", "free_units": 3, "free_events": 2},
    "percentage_events": {"rate_pct": "2.99", "fixed": "2.0", "min": "1.75", "max": "12"},
    "percentage_total": {"rate_pct": "1.3", "fixed": "2.0", "events": 4, "free_units": "250", "free_events": 2},
    "capacity": {"unit_price": 3, "measure": "average"},
    "matrix": {"dimensions": ["size", "zone"], "prices": [{"values": ["s", "eu"], "unit_price": "1"}], "unit_price": "2"},
    "blocks_all_tiers": {"blocks": [["1", "10", "1.5"], [100, -1, 1]]},
    "blocks_top_tier": {"blocks": [["1", "10", "1.5"]], "discount_amount": "3", "discount_after_maximum": True},
    "kb_all_tiers": {"blocks": [["1", "10", "1.5"]]},
    "kb_top_tier": {"blocks": [["1", "10", "1.5"]]},
    "price_on_record": {"whatever": 1},
}


def tiers(*told):
    return {"tiers": list(told)}


OPEN = {"up_to": None, "unit": "1"}
BAD = {
    # case: (model, parameters, reasons without "parameters: ")
    "not_json": ("per_unit", "0.5", ["not a JSON object"]),
    "broken_json": ("per_unit", '{"unit_price": ', ["not a JSON object"]),
    "nothing_said": ("per_unit", {}, ["no unit_price"]),
    "a_null": ("unit", {"price": None}, ["no price"]),
    "several_missing": ("package", {}, ["no size", "no price"]),
    "a_word": ("per_unit", {"unit_price": "cheap"}, ["unit_price is not a number from 0 on with at most 21 decimals"]),
    "below_nothing": ("per_unit", {"unit_price": "-1"}, ["unit_price is not a number from 0 on with at most 21 decimals"]),
    "too_fine": ("per_unit", {"unit_price": "1.0000000000000000000001"}, ["unit_price is not a number from 0 on with at most 21 decimals"]),
    "too_large": ("per_unit", {"unit_price": "10000000000000"}, ["unit_price is not a number from 0 on with at most 21 decimals"]),
    "half_an_event": ("percentage", {"rate_pct": 1, "free_events": "1.5"}, ["free_events is not a whole number from 0 on"]),
    "unique_of_nothing": ("per_unit", {"unit_price": "1", "measure": "unique"}, ["unique does not say of which tag"]),
    "of_what_is_summed": ("per_unit", {"unit_price": "1", "of": "user"}, ["of stands without measure unique"]),
    "a_mistyped_limit": ("volume", {"tiers": TIERS, "min_spnd": "5"}, ["volume does not know min_spnd"]),
    "no_tiers": ("graduated", {"tiers": []}, ["no tiers"]),
    "tiers_that_are_none": ("graduated", {"tiers": "many"}, ["no tiers"]),
    "tiers_that_fall": ("graduated", tiers({"up_to": "10"}, {"up_to": "5"}, OPEN), ["tiers do not ascend"]),
    "tiers_that_repeat": ("volume", tiers({"up_to": "10"}, {"up_to": "10.0"}, OPEN), ["tiers do not ascend"]),
    "a_tier_of_nothing": ("volume", tiers({"up_to": "0"}, OPEN), ["tiers do not ascend"]),
    "tiers_that_end": ("volume", tiers({"up_to": "10"}, {"up_to": "20"}), ["the last tier has no open end"]),
    "an_open_tier_in_between": ("volume", tiers(OPEN, OPEN), ["only the last tier may be open"]),
    "a_tier_of_words": ("volume", tiers({"up_to": "ten", "unit": "x"}, OPEN), [
        "unit of a tier is not a number from 0 on with at most 21 decimals",
        "up_to of a tier is not a number from 0 on with at most 21 decimals", "only the last tier may be open",
    ]),
    "a_mistyped_tier": ("graduated", tiers({"up_to": "10", "unti": "5"}, OPEN), ["a tier says something else than up_to, unit, flat"]),
    "a_rate_in_a_volume": ("volume", tiers({"up_to": "10", "rate_pct": "5"}, OPEN), ["a tier says something else than up_to, unit, flat"]),
    "a_package_of_nothing": ("package", {"size": "0", "price": "1"}, ["size is 0"]),
    "free_twice": ("package", {"size": "1", "price": "1", "free": "1", "free_units": "1"}, ["free and free_units at once"]),
    "min_above_max": ("percentage", {"rate_pct": 1, "min": "2", "max": "1"}, ["min is above max"]),
    "limits_that_cross": ("unit", {"price": 1, "min_spend": "2", "max_spend": "1"}, ["min_spend is above max_spend"]),
    "more_than_all": ("unit", {"price": 1, "discount_pct": "101"}, ["discount_pct is above 100"]),
    "two_discounts": ("unit", {"price": 1, "discount_pct": "1", "discount_amount": "1"}, ["discount_pct and discount_amount at once"]),
    "no_such_day": ("flat", {"amount": 1, "anchor_day": 32}, ["anchor_day is not from 1 to 31"]),
    "no_such_method": ("flat", {"amount": 1, "proration": "hours"}, ["proration is not one of actual_days, fixed_30"]),
    "no_such_measure": ("capacity", {"unit_price": 1, "measure": "median"}, ["measure is not one of sum, count, unique, peak, latest, average"]),
    "no_answer": ("unit", {"price": 1, "shared": "perhaps"}, ["shared is not one of true, false"]),
    "three_dimensions": ("matrix", {"dimensions": ["a", "b", "c"], "prices": [{"values": ["1", "2", "3"], "unit_price": 1}]}, ["dimensions are not one or two"]),
    "a_cell_that_is_short": ("matrix", {"dimensions": ["a", "b"], "prices": [{"values": ["1"], "unit_price": 1}]}, ["a price of the matrix lacks a value per dimension or a unit_price"]),
    "a_cell_twice": ("matrix", {"dimensions": ["a"], "prices": [{"values": ["1"], "unit_price": 1}, {"values": ["1"], "unit_price": 2}]}, ["the matrix has two prices for the same values"]),
    "a_short_block": ("kb_all_tiers", {"blocks": [["1", "2"]]}, ["a block is not [size, how many, price], with size and how many above 0"]),
    "a_block_of_nothing": ("kb_all_tiers", {"blocks": [["0", "2", "1"]]}, ["a block is not [size, how many, price], with size and how many above 0"]),
    "an_endless_block_in_between": ("kb_top_tier", {"blocks": [["1", "-1", "1"], ["1", "1", "1"]]}, ["a block is not [size, how many, price], with size and how many above 0"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def told(spark):
    """The reasons of every case above and of every good price, in one job."""
    rows = [(f"good {model}", model, json.dumps(parameters)) for model, parameters in GOOD.items()]
    rows += [(case, model, text if isinstance(text, str) else json.dumps(text)) for case, (model, text, _) in BAD.items()]
    frame = spark.createDataFrame(rows, "case string, model string, parameters string")
    frame = frame.withColumn("told", parsed(F.col("parameters")))
    reasons = F.array_compact(F.array(*refusals(F.col("model"), F.col("parameters"), F.col("told"))))
    return {row["case"]: row["reasons"] for row in frame.select("case", reasons.alias("reasons")).collect()}


@pytest.mark.parametrize("model", MODELS)
def test_a_price_that_fits_its_model_is_accepted(told, model):
    assert told[f"good {model}"] == []


@pytest.mark.parametrize("case", BAD)
def test_a_price_that_does_not_fit_says_why(told, case):
    assert sorted(told[case]) == sorted(f"parameters: {reason}" for reason in BAD[case][2])


def test_models_that_look_at_records_are_models():
    assert set(BY_RECORD) <= set(MODELS)

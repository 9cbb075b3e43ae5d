"""Months rated again: who is concerned, what is left to bill, and what is too much for a program."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from pyspark.sql import functions as F

from jobs.billing_aggregation import adjustments, sums, transforms
from jobs.billing_aggregation.tables import ADJUSTMENTS, CHARGES
from jobs.ledger.periods import Period
from jobs.ledger.price_spans import ZONES
from tests.builders import (
    ALPHA,
    JULY,
    accounts,
    charged,
    charges,
    collected,
    customer,
    frame,
    priced,
    prices,
    table_of,
    usage,
    used,
)

AUGUST, SEPTEMBER = Period("2026-08"), Period("2026-09")
KEY = "tenant_id string, period date, account_id string"
OF_JULY = {"tenant_id": ALPHA, "period": "2026-07-01"}


def test_whoever_shares_a_payer_with_a_late_account_is_rated_again(spark):
    known = accounts(
        spark, customer("a-1", payer_account_id="p"), customer("a-2", payer_account_id="p"), customer("p"), customer("a-3"),
        customer("a-4", payer_account_id="q"),
    )  # fmt: skip
    named = frame(spark, KEY, [OF_JULY | {"account_id": name} for name in ("a-1", "a-3", "nobody")])
    found = adjustments.concerned(named, known)
    assert collected(found, "account_id", "payer_account_id") == [
        ("a-1", "p"), ("a-2", "p"), ("a-3", "a-3"), ("nobody", "nobody"), ("p", "p"),
    ]  # fmt: skip


def test_what_is_left_to_bill_is_the_new_less_what_was_billed(spark):
    new = [charged("80", quantity="16"), charged("5", region=None), charged("7", unit="TB")]
    old = [charged("150", quantity="15"), charged("7", unit="TB"), charged("3", kind="minimum", quantity="0", usage_rows=0)]
    left = adjustments.differences(charges(spark, *new), charges(spark, *old), AUGUST)
    assert left.columns == [name for name in ADJUSTMENTS.schema.fieldNames() if name != "publication_id"]
    told = left.selectExpr(
        "kind", "region", "quantity", "amount", "prices_in_force", "string(period)", "string(adjusts_period)"
    )
    assert collected(told) == [
        ("minimum", "eu", "0", "-3", 1, "2026-08-01", "2026-07-01"), ("usage", "eu", "1", "-70", 1, "2026-08-01", "2026-07-01"),
        ("usage", None, "1", "5", 1, "2026-08-01", "2026-07-01"),
    ]  # fmt: skip


def test_a_charge_without_a_price_has_no_amount_for_the_suite_to_refuse(spark):
    left = adjustments.differences(charges(spark, charged(None, prices_in_force=0)), charges(spark, charged("9")), AUGUST)
    assert collected(left, "amount", "prices_in_force") == [(None, 0)]


def test_what_moves_more_than_policy_allows_waits_with_all_that_share_its_payer(spark):
    mine = frame(
        spark, f"{KEY}, payer_account_id string",
        [OF_JULY | {"account_id": name, "payer_account_id": payer} for name, payer in (("a-1", "p"), ("a-2", "p"), ("a-3", "a-3"))],
    )  # fmt: skip
    left = adjustments.differences(
        charges(spark, charged("60"), charged("-41", account_id="a-2"), charged("100", account_id="a-3"), charged("9999", account_id="a-3", currency="USD")),
        charges(spark), AUGUST,
    )  # fmt: skip
    waits = adjustments.too_large(left, mine, {"EUR": Decimal("100")})
    assert collected(waits, "account_id") == [("a-1",), ("a-2",)]
    assert {row["why"] for row in waits.collect()} == {
        "waits: adjustments of 101.00 EUR are more than policy lets a run bill by itself"
    }
    late = frame(
        spark, "tenant_id string, period date, record_id string, revision int, account_id string, product_id string, "
        "quantity decimal(38,21), landing_id string, row_number bigint",
        [OF_JULY | {"record_id": f"r-{name}", "account_id": name} for name in ("a-1", "a-3")],
    )  # fmt: skip
    outcomes = {row["account_id"]: row["outcome"] for row in adjustments.outcomes(late, waits, AUGUST).collect()}
    assert outcomes["a-3"] == "adjusted" and outcomes["a-1"].startswith("waits: adjustments of 101.00 EUR")


@pytest.mark.slow  # prices and usage by turns: test_price_changes.py
def test_adjustments_of_adjustments_end_at_the_charges_of_all_facts(spark):
    """Thirty accounts by five models; records come in three waves, some corrected, some withdrawn, some moved to another account."""
    draw = random.Random(11)
    tiers = '{"tiers": [{"up_to": "10", "unit": "3"}, {"up_to": "40", "unit": "2"}, {"up_to": null, "unit": "1"}]}'
    listed = prices(
        spark, priced("0.37"), priced(price_id="g", product_id="graduated", model="graduated", parameters=tiers),
        priced(price_id="v", product_id="volume", model="volume", parameters=tiers),
        priced(price_id="k", product_id="package", model="package", parameters='{"size": "7", "price": "5", "free_units": "3"}'),
        priced(price_id="s", product_id="shared", model="graduated", parameters=tiers[:-1] + ', "shared": "true"}'),
    )  # fmt: skip
    names = [f"a-{number}" for number in range(30)]
    known = accounts(spark, *(customer(name, payer_account_id=f"a-{number // 3 * 3}") for number, name in enumerate(names)))
    zones = frame(spark, ZONES, [{"tenant_id": ALPHA, "timezone": "UTC"}])
    products = ("storage", "graduated", "volume", "package", "shared")
    said: list[dict[str, object]] = []
    waves: list[list[dict[str, object]]] = []
    for wave in range(3):
        fresh = [
            used(
                str(draw.randint(1, 90) / 4),
                record_id=f"w{wave}-{n}",
                account_id=draw.choice(names),
                product_id=draw.choice(products),
            )
            for n in range(120 if wave == 0 else 20)
        ]
        told_again = draw.sample(said, 12) if said else []
        changed = [
            row | {"revision": wave, "quantity": str(draw.randint(1, 90) / 4), "account_id": draw.choice(names)}
            for row in told_again[:8]
        ]
        gone = [row | {"revision": wave, "withdrawn": True} for row in told_again[8:]]
        waves.append([*fresh, *changed, *gone])
        said = [row for row in said if row["record_id"] not in {row["record_id"] for row in told_again}] + fresh + changed

    def rated(until):
        rows = usage(spark, *(row for wave in waves[:until] for row in wave))
        return transforms.charges(sums.latest_revisions(rows), listed, known, zones, JULY)

    def kept(rows, table):
        return table_of(spark, table, [row.asDict() for row in rows.collect()])

    billed = kept(rated(1), CHARGES)
    for until, month in ((2, AUGUST), (3, SEPTEMBER)):
        changes = kept(adjustments.differences(rated(until), billed, month), ADJUSTMENTS)
        assert changes.count()
        billed = billed.unionByName(adjustments.as_charges(changes))
    left = adjustments.differences(rated(3), billed, Period("2026-10"))
    assert collected(left) == []
    total = billed.agg(F.sum("amount")).first()[0]
    assert total == rated(3).agg(F.sum("amount")).first()[0]

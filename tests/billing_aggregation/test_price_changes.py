"""Which prices of an invoiced month are not what they were; and adjustments that prices and usage cause by turns."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from jobs.billing_aggregation import adjustments, models, price_changes, sums, transforms
from jobs.billing_aggregation.price_changes import PriceLists, days_of, said_of
from jobs.billing_aggregation.tables import ADJUSTMENTS, CHARGES
from jobs.ledger.facts import latest_prices
from jobs.ledger.periods import Period
from jobs.ledger.price_spans import ZONES
from jobs.runtime.house import Snapshot
from jobs.runtime.ops import Publication, Unit
from tests.builders import ALPHA, BETA, JULY, accounts, collected, customer, frame, priced, prices, table_of, usage, used

UNIT = Unit("ingestion", ALPHA, "all", "prices")


def stated(price_id="p-1", revision=0, by="first", **more):
    """A row of raw.prices as Delta tells it."""
    row = dict.fromkeys(price_changes.READ) | {
        "tenant_id": ALPHA, "price_id": price_id, "product_id": "storage", "model": "per_unit", "currency": "EUR", "parameters": "{}",
        "valid_from": date(2026, 1, 1), "revision": revision, "withdrawn": False, "landing_id": by, "row_number": 1,
        "publication_id": by,
    }  # fmt: skip
    return row | more


def lists(monkeypatch, rows, replaced=()):
    """Price lists of a house where publications `first`, `second` and `third` have brought these rows."""
    publications = [
        Publication(UNIT, "run", 1, name, f"{name}/print", {}, (), order=order)
        for order, name in enumerate(("first", "second", "third"))
    ]
    of_table = {"raw.prices": list(rows), "raw.landed_files": list(replaced)}
    monkeypatch.setattr(price_changes, "rows_told", lambda table, *_: of_table[table.name])
    return PriceLists(Snapshot.of(publications), [ALPHA])


CHANGED = {
    # what came after July was billed by the first list -> the changed prices and their revisions
    "a_higher_revision": ([stated(revision=1, by="second", parameters="other")], [("p-1", 1)]),
    "the_same_again": ([stated(revision=1, by="second")], []),
    "withdrawn": ([stated(revision=1, by="second", withdrawn=True)], [("p-1", 1)]),
    "a_new_price_in_july": ([stated("p-2", by="second", valid_from=date(2026, 7, 31))], [("p-2", 0)]),
    "a_new_price_in_august": ([stated("p-2", by="second", valid_from=date(2026, 8, 1))], []),
    "an_end_in_july": ([stated(revision=1, by="second", valid_to=date(2026, 7, 31))], [("p-1", 1)]),
    "an_end_after_july": ([stated(revision=1, by="second", valid_to=date(2026, 8, 1))], []),
    "a_beginning_before_july": ([stated(revision=1, by="second", valid_from=date(2025, 1, 1))], []),
    "changed_and_back": ([stated(revision=1, by="second", parameters="other"), stated(revision=2, by="third")], []),
    "of_another_month_alone": ([stated("p-2", by="second", valid_to=date(2026, 6, 30))], []),
    "a_fee_that_began_in_june": ([stated("p-2", by="second", model="flat", valid_to=date(2026, 6, 30))], [("p-2", 0)]),
}


@pytest.mark.parametrize("case", CHANGED)
def test_what_prices_say_of_a_month_is_compared_and_nothing_else(monkeypatch, case):
    later, expected = CHANGED[case]
    found = lists(monkeypatch, [stated(), *later]).changes(ALPHA, JULY, {"first/print"})
    assert [(one.price_id, one.source["revision"]) for one in found] == expected


def test_a_price_that_went_back_is_found_where_the_change_was_billed(monkeypatch):
    rows = [stated(), stated(revision=1, by="second", parameters="other"), stated(revision=2, by="third")]
    known = lists(monkeypatch, rows)
    (found,) = known.changes(ALPHA, JULY, {"first/print", "second/print"})
    assert (found.source["revision"], {row["parameters"] for row in found.said}) == (2, {"{}", "other"})
    assert known.changes(ALPHA, JULY, {"third/print"}) == []


def test_a_file_read_again_changes_a_month_only_by_what_it_says(monkeypatch):
    replaced = [{"tenant_id": ALPHA, "replaces_landing_id": "first", "publication_id": "second"}]
    assert lists(monkeypatch, [stated(), stated(by="second")], replaced).changes(ALPHA, JULY, {"first/print"}) == []
    other = lists(monkeypatch, [stated(), stated(by="second", parameters="other")], replaced)
    assert [one.source["landing_id"] for one in other.changes(ALPHA, JULY, {"first/print"})] == ["second"]
    assert said_of(None, days_of(JULY)) == ()


def test_a_changed_price_concerns_who_was_billed_for_what_it_speaks_of(spark):
    of_july = {"tenant_id": ALPHA, "period": "2026-07-01"}
    told = "tenant_id string, period date, price_id string, revision int, product_id string, landing_id string, row_number bigint, "
    changed = frame(spark, told + "currency string, price_region string, price_account string", [
        of_july | {"price_id": "in_eu", "product_id": "storage", "currency": "EUR", "price_region": "eu"},
        of_july | {"price_id": "own", "product_id": "compute", "currency": "EUR", "price_account": "a-9"},
    ])  # fmt: skip
    line = of_july | {"account_id": "a-1", "product_id": "storage", "region": "eu", "currency": "EUR", "model": "per_unit"}
    billed = table_of(spark, CHARGES, [
        line, line | {"account_id": "a-2", "region": "us"}, line | {"account_id": "a-3", "currency": "USD"},
        line | {"account_id": "a-4", "product_id": "compute"}, line | {"account_id": "a-5", "period": "2026-06-01"},
        line | {"account_id": "a-6", "tenant_id": BETA}, line | {"account_id": "a-7", "model": "price_on_record"},
    ])  # fmt: skip
    found = adjustments.concerned_by_prices(changed, billed)
    assert collected(found, "account_id", "price_id") == [("a-1", "in_eu"), ("a-9", "own")]


TIERS = '{{"tiers": [{{"up_to": "15", "unit": "{0}"}}, {{"up_to": null, "unit": "{1}"}}]}}'
PRODUCTS = {"v": "volume", "g": "graduated"}
parameters = st.tuples(st.integers(1, 20), st.integers(1, 20)).map(lambda pair: TIERS.format(*pair))
steps = st.one_of(
    st.tuples(st.just("usage"), st.integers(0, 5), st.sampled_from(["v", "g"]), st.integers(1, 20), st.booleans()),
    st.tuples(st.just("price"), st.sampled_from(["v", "g"]), parameters, st.booleans()),
)


def facts(tenant, told):
    """Rows of usage and prices, as a list of steps says them: a record or a price said before is revised."""
    said_usage, said_prices = [], [
        priced(tenant_id=tenant, price_id=name, product_id=name, model=model, parameters=TIERS.format(10, 5), revision=0)
        for name, model in PRODUCTS.items()
    ]  # fmt: skip
    for number, step in enumerate(told, 1):
        if step[0] == "usage":
            _, record, product, quantity, withdrawn = step
            fresh = not any(row["record_id"] == f"r-{record}" for row in said_usage)
            said_usage.append(used(str(quantity), tenant_id=tenant, record_id=f"r-{record}", account_id=f"a-{record % 3}",
                                   product_id=product, revision=number, withdrawn=withdrawn and not fresh))  # fmt: skip
        else:
            _, product, of, own = step
            # a price of a-1's own comes beside the general one; said again, it is withdrawn or stands by turns
            name = f"{product}-own" if own else product
            before = [row for row in said_prices if row["price_id"] == name]
            said_prices.append(priced(tenant_id=tenant, price_id=name, product_id=product, model=PRODUCTS[product], parameters=of,
                                      revision=number, account_id="a-1" if own else None,
                                      withdrawn=own and len(before) % 2 == 1))  # fmt: skip
    return said_usage, said_prices


waves_of_a_house = st.lists(st.lists(steps, min_size=1, max_size=6), min_size=3, max_size=3)


@seed(7)
@settings(  # the first example is always the simplest; the second is thirty houses at random, in one pass of Spark
    max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)  # fmt: skip
@given(houses=st.lists(waves_of_a_house, min_size=30, max_size=30))
def test_whatever_comes_late_it_ends_at_the_charges_of_all_facts_on_time(spark, houses):
    tenants = [f"t-{number}" for number in range(len(houses))]
    known = accounts(spark, *(customer(f"a-{number}", tenant_id=tenant) for tenant in tenants for number in range(3)))
    zones = frame(spark, ZONES, [{"tenant_id": name, "timezone": "UTC"} for name in tenants])

    def rated(until):
        told = [
            facts(tenant, [step for wave in house[:until] for step in wave])
            for tenant, house in zip(tenants, houses, strict=True)
        ]
        listed = latest_prices(prices(spark, *(row for _, said in told for row in said)))
        of_all = sums.latest_revisions(usage(spark, *(row for said, _ in told for row in said)))
        charged = transforms.charges(of_all, listed, known, zones, JULY, frozenset({models.TIERS}))
        return table_of(spark, CHARGES, [row.asDict() for row in charged.collect()])

    billed, now = rated(1), {2: rated(2), 3: rated(3)}
    for until, month in ((2, Period("2026-08")), (3, Period("2026-09"))):
        changes = adjustments.differences(now[until], billed, month).collect()
        billed = billed.unionByName(adjustments.as_charges(table_of(spark, ADJUSTMENTS, [row.asDict() for row in changes])))
    assert collected(adjustments.differences(now[3], billed, Period("2026-10"))) == []
    totals = [collected(rows.groupBy("tenant_id").agg(F.sum("amount").alias("amount"))) for rows in (billed, now[3])]
    nothing_left = {(tenant, "0") for tenant in tenants}  # whoever has no charge any more was given all of it back
    assert set(totals[0]) - nothing_left == set(totals[1]) - nothing_left


def test_sixteen_units_at_five_cost_seventy_less_than_fifteen_at_ten(spark):
    known = accounts(spark, customer())
    zones = frame(spark, ZONES, [{"tenant_id": ALPHA, "timezone": "UTC"}])
    listed = prices(spark, priced(model="volume", parameters=TIERS.format(10, 5)))

    def rated(*quantities):
        return transforms.charges(usage(spark, *(used(one) for one in quantities)), listed, known, zones, JULY)

    fifteen = table_of(spark, CHARGES, [row.asDict() for row in rated("15").collect()])
    left = adjustments.differences(rated("15", "1"), fifteen, Period("2026-08"))
    assert collected(left, "quantity", "amount") == [("1", "-70")]

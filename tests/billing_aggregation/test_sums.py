"""A month from its rollup comes to the charges that its records come to, whatever landed when."""

from __future__ import annotations

import json
from types import SimpleNamespace

from hypothesis import given, seed, settings
from hypothesis import strategies as st

from jobs.billing_aggregation import job, models, sums, transforms
from jobs.ingestion import rollup
from jobs.ingestion.tables import USAGE, USAGE_ROLLUP
from jobs.ledger.price_spans import ZONES, price_spans
from jobs.runtime.ops import Unit
from tests.builders import (
    ALPHA,
    BETA,
    JULY,
    accounts,
    collected,
    customer,
    frame,
    priced,
    prices,
    table_of,
    usage,
    used,
)  # fmt: skip

SHOWN = ("tenant_id", "charge_id", "kind", "account_id", "product_id", "quantity", "amount", "usage_rows", "prices_in_force")
TIERS = json.dumps({"tiers": [{"up_to": "20", "unit": "1"}, {"up_to": None, "unit": "0.7", "flat": "3"}]})
FEES = json.dumps({"rate_pct": "1.7", "fixed": "0.1", "min": "0.2"})
KNOWN = [  # when usage landed
    priced("0.05"),
    priced(price_id="p-2", product_id="tiered", model="graduated", parameters=TIERS),
    priced(price_id="p-3", product_id="paid", model="percentage", parameters=FEES),
    priced("0.3", price_id="p-4", product_id="moved", valid_to="2026-07-16"),
    priced("0.4", price_id="p-5", product_id="moved", valid_from="2026-07-16"),
    priced("0.5", price_id="p-6", product_id="later"),
]
LATER = [
    *KNOWN[:5],
    KNOWN[5] | {"valid_to": "2026-07-11"},
    priced("0.6", price_id="p-7", product_id="later", valid_from="2026-07-11"),
]
PRODUCTS = ("storage", "tiered", "paid", "moved", "later")
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "account_id": st.sampled_from(["a-1", "a-2"]),
            "product_id": st.sampled_from(PRODUCTS),
            "region": st.sampled_from(["eu", None]),
            "quantity": st.decimals("-5", "60", places=6).map(str),
            "usage_start": st.sampled_from(
                ["2026-07-01T00:00:00", "2026-07-10T22:59:59", "2026-07-15T23:00:00", "2026-07-31T12:00:00"]
            ),
            "unit_price": st.sampled_from([None, None, "0.07"]),
            "landing_id": st.sampled_from(["l-1", "l-2", "l-3"]),
        }
    ),
    min_size=20,
    max_size=60,
)


def zones(spark):
    """Both tenants bill by the clocks of London."""
    return frame(
        spark,
        ZONES,
        [{"tenant_id": name, "timezone": "Europe/London"} for name in (ALPHA, BETA)],
    )


def landed(spark, rows, known):
    """Rows as ingestion sums them, landing after landing, marks among them."""
    found, place = table_of(spark, USAGE_ROLLUP, []).drop("publication_id"), zones(spark)
    spans = price_spans(prices(spark, *known), place)
    for landing in sorted({row["landing_id"] for row in rows}):
        new = table_of(spark, USAGE, [row for row in rows if row["landing_id"] == landing])
        earlier = table_of(spark, USAGE, [row for row in rows if row["landing_id"] < landing])
        found = found.unionByName(rollup.rolled_up(new, spans)).unionByName(
            rollup.said_again(new, earlier, new.unionByName(earlier).select("tenant_id", "record_id").distinct())
        )
    return found


def both_ways(spark, rows, known, now):
    """The charges of all records, and those of the rollup; prices are `known` at landing and `now` at the close."""
    listed, owners, place = prices(spark, *now), accounts(spark, customer("a-1"), customer("a-2")), zones(spark)
    every, spans = table_of(spark, USAGE, rows), price_spans(listed, place)
    told = transforms.charges(sums.latest_revisions(every), listed, owners, place, JULY)
    summed = landed(spark, rows, known).localCheckpoint()
    single = sums.told_by_records(summed, spans)
    of_month = sums.of_month(summed, every, single, spans, models.EVERYTHING)
    rolled = transforms.charges_of_sums(of_month, listed, owners, JULY)
    return collected(told, *SHOWN), collected(rolled, *SHOWN), collected(single)


@seed(20261121)
@settings(max_examples=2, deadline=None, database=None)
@given(
    RECORDS,
    st.lists(
        st.tuples(st.integers(0, 19), st.sampled_from(["a-1", "a-2"]), st.booleans()),
        max_size=4,
        unique_by=lambda drawn: drawn[0],
    ),
)
def test_the_rollup_comes_to_what_the_records_come_to(spark, drawn, corrected):
    rows = [used(**row, currency="EUR", record_id=f"r-{n}", row_number=n) for n, row in enumerate(drawn)]
    for at, account, withdrawn in corrected:
        again = {"account_id": account, "quantity": "2.5", "revision": 1, "withdrawn": withdrawn, "landing_id": "l-4"}
        rows.append(rows[at] | again | {"row_number": len(rows)})
    told, rolled, _ = both_ways(spark, rows, KNOWN, LATER)
    assert rolled == told
    assert told


def test_only_what_does_not_add_up_is_read_from_the_records(spark):
    rows = [
        used("1", record_id="plain"),
        used("1", record_id="tiered", product_id="tiered"),
        used("1", record_id="moved-1", product_id="moved", usage_start="2026-07-02T00:00:00"),
        used("1", record_id="moved-2", product_id="moved", usage_start="2026-07-20T00:00:00"),
        used("1", record_id="later-1", product_id="later", usage_start="2026-07-02T00:00:00"),
        used("1", record_id="later-2", product_id="later", usage_start="2026-07-20T00:00:00"),
        used("1", record_id="fee", product_id="paid"),
        used("1", record_id="own", product_id="paid", account_id="a-2", unit_price="2", currency="EUR"),
        used("1", record_id="corrected", account_id="a-2"),
        used("9", record_id="corrected", account_id="a-2", product_id="tiered", revision=1, landing_id="l-2"),
        used("3", record_id="lone revision", account_id="a-3", revision=1),
        used("3", record_id="withdrawn unheard", account_id="a-4", revision=1, withdrawn=True),
    ]  # fmt: skip
    rows = [row | {"row_number": at} for at, row in enumerate(rows)]
    told, rolled, single = both_ways(spark, rows, KNOWN, LATER)
    assert rolled == told
    assert single == [
        (ALPHA, "a-1", "later"),  # its price changed on a day that nobody knew of when it landed
        (ALPHA, "a-1", "paid"),
        (ALPHA, "a-2", "storage"),
        (ALPHA, "a-2", "tiered"),  # where the corrected record is now
        (ALPHA, "a-4", "storage"),
    ]


def test_a_mark_goes_with_the_landing_that_made_it(spark):
    first = used("1", record_id="r-9")
    again = used("2", record_id="r-9", account_id="a-2", revision=1, landing_id="l-2")
    marks = rollup.said_again(
        table_of(spark, USAGE, [again]),
        table_of(spark, USAGE, [first]),
        table_of(spark, USAGE, [first]).select("tenant_id", "record_id"),
    )
    assert collected(marks, "landing_id", "account_id", "usage_rows", "revised_rows") == [
        ("l-2", "a-1", 0, 1),
        ("l-2", "a-2", 0, 1),
    ]


def test_the_rollup_never_crosses_tenants_and_sums_to_the_last_digit(spark):
    rows = usage(
        spark,
        used("0.000000000000000000001"),
        used("10000000000000000"),
        used("5", tenant_id=BETA),
        used("7", landing_id="l-2"),
    )
    found = rollup.rolled_up(rows, price_spans(prices(spark, priced()), zones(spark)))
    assert collected(found, "tenant_id", "landing_id", "quantity", "usage_rows", "span_day") == [
        (ALPHA, "l-1", "10000000000000000.000000000000000000001", 2, JULY.first_day.replace(month=1)),
        (ALPHA, "l-2", "7", 1, JULY.first_day.replace(month=1)),
        (BETA, "l-1", "5", 1, None),
    ]


def test_what_landed_before_there_was_a_rollup_is_rated_from_its_records():
    def brought(*tables, period="2026-07"):
        return SimpleNamespace(
            unit=Unit("ingestion", ALPHA, period, "usage"), tables=[SimpleNamespace(name=name, rows=3) for name in tables]
        )

    new, old = brought("raw.usage", "billing.usage_rollup"), brought("raw.usage")
    for publications, told in (([new], True), ([new, old], False), ([new, brought("raw.usage", period="2026-06")], True)):
        house = SimpleNamespace(
            snapshot=SimpleNamespace(publications=publications), run=SimpleNamespace(month=JULY, tenants=(ALPHA,))
        )
        assert job.was_rolled_up(house) is told

"""A record counts once: repetitions, conflicts and revisions, within a run and across runs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from jobs.ingestion import transforms
from jobs.ingestion.feeds import FEEDS
from jobs.ingestion.tables import USAGE, USAGE_ROLLUP, WAITING
from tests.builders import GOOD_USAGE, canonical, collected, frame, plain_mapping, source, table_of, usage, used

FILES = ("f-1", "f-2", "f-3")  # in the order in which a run reads them


def said(landing, row, record="r", quantity="1", revision="0", withdrawn="false", tenant="alpha", **more):
    """A usage row of a file."""
    return GOOD_USAGE | {"record_id": record, "quantity": quantity, "revision": revision, "withdrawn": withdrawn,
                            "_landing": landing, "_row": row, "_tenant": tenant} | more  # fmt: skip


def judged_rows(new, standing, order):
    """New rows with their verdicts, as the stage makes them."""
    feed = FEEDS["usage"]
    doubtful = transforms.suspects(new, standing, feed)
    return transforms.with_verdicts(new, transforms.repetitions(new, standing, doubtful, feed, order), feed)


def verdicts(spark, rows, existing=(), shuffled=None):
    """(tenant, landing, row) -> verdict of new rows, beside rows that earlier runs accepted."""
    mapping = plain_mapping("usage", also=("revision", "withdrawn", "usage_end"))
    new = canonical(source(spark, rows), "usage", mapping)
    if shuffled:
        new = new.repartition(shuffled).orderBy(F.rand(shuffled))
    standing = table_of(spark, USAGE, existing)
    order = frame(
        spark, "landing_id string, file_order int", [{"landing_id": f, "file_order": n} for n, f in enumerate(FILES)]
    )
    judged = judged_rows(new, standing, order)
    told = judged.select("tenant_id", "landing_id", "row_number", "verdict", "reasons").collect()
    assert len(told) == len(rows), "rows in = accepted + quarantined + duplicates"
    assert all(bool(row["reasons"]) == (row["verdict"] == "quarantined") for row in told)
    return {(row["tenant_id"], row["landing_id"], row["row_number"]): row["verdict"] for row in told}


def stood(quantity="1", revision=0, **more):
    """What an earlier run accepted of the same record."""
    return used(
        quantity,
        record_id="r",
        account_id="a",
        product_id="p",
        unit=None,
        region=None,
        landing_id="before",
        revision=revision,
        **more,
    )


CASES = {
    "records_that_differ": (
        [said("f-1", 1, "r"), said("f-1", 2, "s")],
        {("f-1", 1): "accepted", ("f-1", 2): "accepted"},
    ),
    "equal_rows_of_one_file": (
        [said("f-1", 1), said("f-1", 2), said("f-1", 3)],
        {("f-1", 1): "accepted", ("f-1", 2): "duplicate", ("f-1", 3): "duplicate"},
    ),
    "equal_rows_of_two_files": (
        [said("f-2", 1), said("f-1", 9)],
        {("f-1", 9): "accepted", ("f-2", 1): "duplicate"},
    ),
    "equal_but_for_the_digits_it_is_written_in": (
        [said("f-1", 1, quantity="1"), said("f-1", 2, quantity="1.0")],
        {("f-1", 1): "accepted", ("f-1", 2): "duplicate"},
    ),
    "other_content_without_a_higher_revision": (
        [said("f-1", 1), said("f-2", 1, quantity="2")],
        {("f-1", 1): "accepted", ("f-2", 1): "quarantined"},
    ),
    "other_content_and_an_empty_revision": (
        [said("f-1", 1, revision=None, withdrawn=None), said("f-2", 1, quantity="2", revision=None, withdrawn=None)],
        {("f-1", 1): "accepted", ("f-2", 1): "quarantined"},
    ),
    "other_content_with_a_higher_revision": (
        [said("f-1", 1), said("f-2", 1, quantity="2", revision="1")],
        {("f-1", 1): "accepted", ("f-2", 1): "accepted"},
    ),
    "a_lower_revision_after_a_higher_one": (
        [said("f-1", 1, revision="2"), said("f-2", 1, quantity="2", revision="1")],
        {("f-1", 1): "accepted", ("f-2", 1): "quarantined"},
    ),
    "a_revision_that_moves_to_another_month": (
        [said("f-1", 1), said("f-2", 1, revision="1", usage_start="2026-08-01 12:00:00")],
        {("f-1", 1): "accepted", ("f-2", 1): "quarantined"},
    ),
    "a_revision_that_ends_in_another_month": (
        [said("f-1", 1), said("f-2", 1, revision="1", usage_end="2026-08-01 00:00:01")],
        {("f-1", 1): "accepted", ("f-2", 1): "quarantined"},
    ),
    "a_withdrawal_that_does_not_say_how_far_its_record_reached": (
        [said("f-1", 1, usage_end="2026-08-01 12:00:00"), said("f-2", 1, revision="1", withdrawn="true")],
        {("f-1", 1): "accepted", ("f-2", 1): "quarantined"},
    ),
    "a_revision_of_what_reaches_into_the_same_month": (
        [said("f-1", 1, usage_end="2026-08-01 12:00:00"), said("f-2", 1, revision="1", usage_end="2026-08-31 00:00:00")],
        {("f-1", 1): "accepted", ("f-2", 1): "accepted"},
    ),
    "a_withdrawal": (
        [said("f-1", 1), said("f-1", 2, revision="1", withdrawn="true")],
        {("f-1", 1): "accepted", ("f-1", 2): "accepted"},
    ),
    "a_revision_delivered_twice": (
        [said("f-1", 1), said("f-1", 2, quantity="2", revision="1"), said("f-2", 1, quantity="2", revision="1")],
        {("f-1", 1): "accepted", ("f-1", 2): "accepted", ("f-2", 1): "duplicate"},
    ),
    "the_old_content_again_after_its_revision": (
        [said("f-1", 1), said("f-1", 2, quantity="2", revision="1"), said("f-2", 1)],
        {("f-1", 1): "accepted", ("f-1", 2): "accepted", ("f-2", 1): "duplicate"},
    ),
    "a_bad_row_under_the_same_name": (
        [said("f-1", 1, quantity="x"), said("f-1", 2)],
        {("f-1", 1): "quarantined", ("f-1", 2): "accepted"},
    ),
    "the_same_record_of_another_tenant": (
        [said("f-1", 1), said("f-2", 1, quantity="2", tenant="beta")],
        {("f-1", 1): "accepted", ("f-2", 1): "accepted"},
    ),
}
EARLIER = {
    "delivered_by_an_earlier_run": ([said("f-1", 1)], [stood()], {("f-1", 1): "duplicate"}),
    "contradicting_an_earlier_run": ([said("f-1", 1, quantity="2")], [stood()], {("f-1", 1): "quarantined"}),
    "revising_an_earlier_run": ([said("f-1", 1, quantity="2", revision="1")], [stood()], {("f-1", 1): "accepted"}),
    "older_than_an_earlier_run": (
        [said("f-1", 1, quantity="2", revision="1")],
        [stood(revision=1)],
        {("f-1", 1): "quarantined"},
    ),
    "moving_what_an_earlier_run_took": (
        [said("f-1", 1, revision="1", usage_start="2026-06-30 12:00:00")],
        [stood()],
        {("f-1", 1): "quarantined"},
    ),
    "of_another_tenants_earlier_run": ([said("f-1", 1, quantity="2")], [stood(tenant_id="beta")], {("f-1", 1): "accepted"}),
}


ALL = {case: (rows, (), expected) for case, (rows, expected) in CASES.items()} | EARLIER


@pytest.fixture(scope="module")
def judged_cases(spark):
    """All cases in one job, each as tenants of its own."""
    rows, existing = [], []
    for case, (new, earlier, _) in ALL.items():
        rows += [row | {"_tenant": f"{case} {row['_tenant']}"} for row in new]
        existing += [row | {"tenant_id": f"{case} {row['tenant_id']}"} for row in earlier]
    found = {case: {} for case in ALL}
    for (tenant, landing, number), verdict in verdicts(spark, rows, existing).items():
        found[tenant.rsplit(" ", 1)[0]][(landing, number)] = verdict
    return found


@pytest.mark.parametrize("case", ALL)
def test_a_record_counts_once(judged_cases, case):
    assert judged_cases[case] == ALL[case][2]


def test_a_conflict_names_the_key_and_no_value(spark):
    new = canonical(
        source(spark, [said("f-1", 1), said("f-1", 2, quantity="2"), said("f-1", 3, revision="1", usage_start="2026-08-01 12:00:00")]),
        "usage", plain_mapping("usage", also=("revision",)),
    )  # fmt: skip
    order = frame(spark, "landing_id string, file_order int", [{"landing_id": "f-1", "file_order": 0}])
    told = judged_rows(new, usage(spark), order).where("verdict = 'quarantined'").orderBy("row_number").collect()
    assert [row["reasons"] for row in told] == [
        ["record_id: landed before with other content, and the revision is not higher"],
        [
            "usage_start: begins or ends in another month than the record it corrects; withdraw that one by its own times and send a new one"
        ],
    ]


ROWS = st.lists(
    st.tuples(st.sampled_from(FILES), st.sampled_from("rst"), st.sampled_from("12x"), st.sampled_from("012")),
    min_size=30,
    max_size=60,
)


@seed(20261121)
@settings(max_examples=1, deadline=None, database=None)
@given(ROWS, st.integers(1, 1000))
def test_neither_order_nor_partitioning_changes_a_verdict(spark, drawn, turn):
    rows = [
        said(landing, number, record, quantity, revision)
        for number, (landing, record, quantity, revision) in enumerate(drawn, 1)
    ]
    existing = [stood()]
    mixed = random.Random(turn).sample(rows, len(rows))
    assert verdicts(spark, rows, existing) == verdicts(spark, mixed, existing, shuffled=1 + turn % 7)


def test_accepted_usage_of_an_invoiced_month_waits_in_view(spark):
    frozen = frame(spark, "tenant_id string, period date", [{"tenant_id": "alpha", "period": "2026-07-01"}])
    rows = usage(
        spark, used(record_id="late"), used(record_id="open", period="2026-08-01"), used(record_id="other", tenant_id="beta")
    )
    late = transforms.waiting(rows, frozen)
    assert [row["record_id"] for row in late.collect()] == ["late"]
    assert late.columns == [name for name in WAITING.schema.fieldNames() if name != "publication_id"]


def test_the_account_of_usage_counts_what_was_staged_beside_what_was_told(spark):
    rows = usage(spark, used(record_id="a"), used(record_id="a"), used(record_id="b", account_id=None))
    files = frame(spark, "tenant_id string, feed string, rows_accepted bigint", [
        {"tenant_id": "alpha", "feed": "usage", "rows_accepted": 2}, {"tenant_id": "alpha", "feed": "prices", "rows_accepted": 9},
        {"tenant_id": "beta", "feed": "usage", "rows_accepted": 1},
    ])  # fmt: skip
    rolled = table_of(
        spark,
        USAGE_ROLLUP,
        [
            {"tenant_id": "alpha", "usage_rows": 2, "quantity": "2"},
            {"tenant_id": "gamma", "usage_rows": 1, "quantity": "0.1"},
        ],
    )
    columns = (
        "tenant_id",
        "rows_staged",
        "rows_told",
        "rows_rolled",
        "records",
        "unusable",
        "quantity_staged",
        "quantity_rolled",
    )
    assert collected(transforms.usage_account(rows, rolled, files), *columns) == [
        ("alpha", 3, 2, 2, 2, 1, "3", "2"), ("beta", 0, 1, 0, 0, 0, "0", "0"), ("gamma", 0, 0, 1, 0, 0, "0", "0.1"),
    ]  # fmt: skip

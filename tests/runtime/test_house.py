"""Readers see complete publications only."""

from __future__ import annotations

import pytest

from jobs.ledger.periods import Period
from jobs.runtime import delta_log, house, ops
from jobs.runtime.environment import environment
from jobs.runtime.house import Run, Snapshot, Visible, visible, visible_rows
from jobs.runtime.ops import Publication, TableVersion, Unit
from tests.staging import DERIVED, ISSUED, staged

STAGE = "billing_aggregation"


@pytest.fixture(params=[True, False], ids=["delta_plans", "log_is_asked"], autouse=True)
def delta_plans_reads(request, monkeypatch):
    """Both ways of reading show the same."""
    told = environment().model_copy(update={"delta_plans_reads": request.param})
    monkeypatch.setattr(house, "environment", lambda: told)
    return request.param


def unit(tenant, period="2026-07"):
    return Unit(STAGE, tenant, period)


def committed(table, name, rows, period="2026-07"):
    """Commit a publication to a table, as a run does before its row in ops.publications."""
    tenants = sorted({tenant for tenant, _ in rows})
    note = {"units": [{"tenant_id": tenant, "period": period, "lane": "main"} for tenant in tenants]}
    place = staged(table, name, rows, f"{period}-01")
    version = delta_log.promote(table, place, name, tenants, f"{period}-01", note)
    return [(unit(tenant, period), name, TableVersion(table.name, version, 1)) for tenant in tenants]


def completed(promised):
    """Write the rows that let a publication be seen."""
    for of, name, table in promised:
        attempt = ops.register_attempt([of])
        ops.complete([Publication(of, "run", attempt, name, f"of {name}", {}, (table,))], {})


def seen(spark, table):
    """What a reader sees now: (tenant, month, value)."""
    rows = visible_rows(spark, table, visible(table, Snapshot.now())).collect()
    return sorted((row["tenant_id"], str(row["period"])[:7], row["value"]) for row in rows)


def test_a_table_nobody_published_to_is_empty(spark, home):
    assert visible(ISSUED, Snapshot.now()) == Visible(None)
    assert visible_rows(spark, ISSUED, Visible(None)).columns == ISSUED.schema.fieldNames()
    assert seen(spark, ISSUED) == []


@pytest.mark.parametrize("table", [DERIVED, ISSUED], ids=["derived", "issued"])
def test_what_is_complete_is_read_at_the_newest_version(spark, home, table):
    completed(committed(table, "one", [("alpha", 1), ("beta", 2)]))
    completed(committed(table, "two", [("alpha", 3)], "2026-08"))
    assert visible(table, Snapshot.now()) == Visible(2)
    assert seen(spark, table) == [("alpha", "2026-07", 1), ("alpha", "2026-08", 3), ("beta", "2026-07", 2)]


def test_issued_rows_of_an_incomplete_publication_are_hidden_until_it_is_complete(spark, home):
    completed(committed(ISSUED, "one", [("alpha", 1)]))
    dangling = committed(ISSUED, "two", [("alpha", 2)])
    completed(committed(ISSUED, "three", [("beta", 3)]))
    assert seen(spark, ISSUED) == [("alpha", "2026-07", 1), ("beta", "2026-07", 3)]
    completed(dangling)
    assert seen(spark, ISSUED) == [("alpha", "2026-07", 1), ("alpha", "2026-07", 2), ("beta", "2026-07", 3)]


def test_a_derived_unit_shows_its_previous_version_until_the_next_is_complete(spark, home):
    completed(committed(DERIVED, "one", [("alpha", 1), ("beta", 2)]))
    completed(committed(DERIVED, "two", [("beta", 3)]))
    dangling = committed(DERIVED, "three", [("alpha", 4)])
    assert seen(spark, DERIVED) == [("alpha", "2026-07", 1), ("beta", "2026-07", 3)]
    completed(dangling)
    assert seen(spark, DERIVED) == [("alpha", "2026-07", 4), ("beta", "2026-07", 3)]


def test_a_derived_unit_that_was_never_complete_is_not_seen(spark, home):
    completed(committed(DERIVED, "one", [("alpha", 1)]))
    committed(DERIVED, "two", [("alpha", 2)], "2026-08")
    committed(DERIVED, "three", [("gamma", 3)])
    assert seen(spark, DERIVED) == [("alpha", "2026-07", 1)]


def test_a_later_complete_publication_stands_over_an_abandoned_one(spark, home):
    completed(committed(DERIVED, "one", [("alpha", 1)]))
    committed(DERIVED, "abandoned", [("alpha", 2)])
    completed(committed(DERIVED, "two", [("alpha", 3)]))
    assert seen(spark, DERIVED) == [("alpha", "2026-07", 3)]


def test_a_snapshot_does_not_see_what_comes_after_it(spark, home):
    completed(committed(ISSUED, "one", [("alpha", 1)]))
    before = Snapshot.now()
    completed(committed(ISSUED, "two", [("alpha", 2)]))
    rows = visible_rows(spark, ISSUED, visible(ISSUED, before)).collect()
    assert [row["value"] for row in rows] == [1]
    assert before.fingerprint(unit("alpha")) == "of one"
    assert before.fingerprint(unit("beta")) is None


@pytest.mark.parametrize(
    ("table", "values"),
    [
        pytest.param(DERIVED, [[], [1], [1], [3]], id="derived"),
        pytest.param(ISSUED, [[], [1], [1], [1, 3]], id="issued"),
    ],
)
def test_an_older_version_shows_what_was_complete_of_it(spark, home, table, values):
    completed(committed(table, "one", [("alpha", 1)]))
    committed(table, "abandoned", [("alpha", 2)])
    completed(committed(table, "two", [("alpha", 3)]))
    for version, expected in enumerate(values):
        rows = visible_rows(spark, table, visible(table, Snapshot.now(), version)).collect()
        assert sorted(row["value"] for row in rows) == expected, version


def test_a_reader_may_ask_for_tenants_and_a_month(spark, home):
    for month in ("2026-07", "2026-08", "2026-09"):
        completed(committed(DERIVED, month, [("alpha", 1), ("beta", 2)], month))

    def told(tenants, month):
        return visible_rows(spark, DERIVED, visible(DERIVED, Snapshot.now()), tenants, month).collect()

    assert sorted((row["tenant_id"], str(row["period"])) for row in told(["beta"], None)) == [
        ("beta", "2026-07-01"), ("beta", "2026-08-01"), ("beta", "2026-09-01"),
    ]  # fmt: skip
    assert [(row["tenant_id"], str(row["period"])) for row in told(["alpha"], Period("2026-08"))] == [
        ("alpha", "2026-08-01")
    ]
    assert told(["gamma"], None) == []
    assert told(["alpha"], Period("2027-01")) == []


def test_a_table_whose_files_do_not_tell_all_is_read_by_delta(spark, home):
    completed(committed(DERIVED, "one", [("alpha", 1)]))
    assert delta_log.plain_files(DERIVED.name, 1, []) != []
    spark.sql(
        f"ALTER TABLE delta.`{delta_log.location(DERIVED.name)}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"
    )
    assert delta_log.plain_files(DERIVED.name, 2, []) is None
    assert [row["value"] for row in visible_rows(spark, DERIVED, Visible(2)).collect()] == [1]


def test_a_run_names_each_tenant_once():
    run = Run("r", 1, STAGE, None, (unit("beta"), unit("alpha"), unit("alpha", "2026-08")), "p")
    assert run.tenants == ("alpha", "beta")
    with pytest.raises(AssertionError, match="belongs to no month"):
        _ = run.month

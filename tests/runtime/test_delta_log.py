"""Publishing is a commit of what was judged: once, whole, and with its story."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from deltalake import DeltaTable

from jobs.runtime import delta_log
from jobs.runtime.errors import RunBroke
from tests.staging import DERIVED, ISSUED, rows_of, staged

NOTE = {"run_id": "run-1", "reason": "a test", "units": []}


def promote(table, place, publication, tenants=("alpha",), period="2026-07-01"):
    return delta_log.promote(table, place, publication, tenants, period, NOTE)


@pytest.mark.parametrize("table", [DERIVED, ISSUED], ids=["derived", "issued"])
def test_a_publication_commits_once_however_often_it_is_asked_for(home, table):
    place = staged(table, "one", [("alpha", 1), ("alpha", 2)])
    first = promote(table, place, "one")
    assert [promote(table, place, "one") for _ in range(2)] == [first, first]
    assert rows_of(table) == [("alpha", "2026-07-01", 1, "one"), ("alpha", "2026-07-01", 2, "one")]
    assert len(delta_log.commits(table.name)) == 2  # created, and one publication


def test_only_the_tenants_that_passed_are_promoted(home):
    promote(ISSUED, staged(ISSUED, "one", [("alpha", 1), ("beta", 2)]), "one", ["beta"])
    assert rows_of(ISSUED) == [("beta", "2026-07-01", 2, "one")]


def test_a_derived_table_replaces_its_units_and_no_others(home):
    promote(DERIVED, staged(DERIVED, "one", [("alpha", 1), ("beta", 2)]), "one", ["alpha", "beta"])
    promote(DERIVED, staged(DERIVED, "two", [("alpha", 3)], "2026-08-01"), "two", period="2026-08-01")
    promote(DERIVED, staged(DERIVED, "three", [("alpha", 4)]), "three")
    assert rows_of(DERIVED) == [
        ("alpha", "2026-07-01", 4, "three"),
        ("alpha", "2026-08-01", 3, "two"),
        ("beta", "2026-07-01", 2, "one"),
    ]


def test_a_derived_unit_that_has_become_nothing_is_emptied(home):
    promote(DERIVED, staged(DERIVED, "one", [("alpha", 1), ("beta", 2)]), "one", ["alpha", "beta"])
    promote(DERIVED, staged(DERIVED, "two", [("beta", 3)]), "two", ["alpha", "beta"])
    assert rows_of(DERIVED) == [("beta", "2026-07-01", 3, "two")]


def test_an_issued_table_only_grows(home):
    promote(ISSUED, staged(ISSUED, "one", [("alpha", 1)]), "one")
    promote(ISSUED, staged(ISSUED, "two", [("alpha", 2)]), "two")
    assert [row[2] for row in rows_of(ISSUED)] == [1, 2]


@pytest.mark.parametrize("change", ["DELETE FROM {} WHERE value = 1", "UPDATE {} SET value = 7"])
def test_delta_itself_refuses_to_change_what_was_issued(spark, home, change):
    promote(ISSUED, staged(ISSUED, "one", [("alpha", 1)]), "one")
    with pytest.raises(Exception, match="(?i)append"):
        spark.sql(change.format(f"delta.`{delta_log.location(ISSUED.name)}`")).collect()
    assert rows_of(ISSUED) == [("alpha", "2026-07-01", 1, "one")]


def test_every_plain_reader_can_read_the_story_of_a_commit(spark, home):
    version = promote(ISSUED, staged(ISSUED, "one", [("alpha", 1)]), "one")
    (commit,) = [commit for commit in delta_log.commits(ISSUED.name) if commit.version == version]
    assert commit.note == NOTE | {"publication_id": "one"} and commit.publication_id == "one"
    history = (
        spark.sql(f"DESCRIBE HISTORY delta.`{delta_log.location(ISSUED.name)}`").where(f"version = {version}").collect()
    )
    assert json.loads(history[0]["userMetadata"]) == commit.note
    assert delta_log.version_of(ISSUED.name, "one") == version


def test_a_publication_that_never_committed_has_no_version(home):
    promote(ISSUED, staged(ISSUED, "one", [("alpha", 1)]), "one")
    with pytest.raises(RunBroke, match="carries publication two but its history does not tell where"):
        delta_log.version_of(ISSUED.name, "two")
    assert delta_log.commits("test.nothing") == [] and delta_log.open_table("test.nothing") is None


@pytest.mark.parametrize(("table", "grows_only"), [(DERIVED, "false"), (ISSUED, "true")], ids=["derived", "issued"])
def test_a_table_is_created_to_be_kept(home, table, grows_only):
    delta_log.create_published(table)
    kept = delta_log.create_published(table).metadata().configuration
    days = {kept[name] for name in ("delta.logRetentionDuration", "delta.deletedFileRetentionDuration")}
    assert days == {"interval 3653 days"}
    assert (kept["delta.appendOnly"], kept["delta.enableDeletionVectors"]) == (grows_only, "false")
    assert delta_log.create_published(table).metadata().description == "schema_version=1"
    assert delta_log.create_published(table).metadata().partition_columns == ["tenant_id", "period"]


def test_publications_at_once_step_over_each_other(home):
    names = [f"t-{n}" for n in range(6)]
    places = {name: staged(DERIVED, name, [(name, n)]) for n, name in enumerate(names)}
    delta_log.create_published(DERIVED)
    with ThreadPoolExecutor(6) as pool:
        versions = list(pool.map(lambda name: promote(DERIVED, places[name], name, [name]), names))
    assert sorted(versions) == list(range(1, 7))
    assert [row[0] for row in rows_of(DERIVED)] == names


def test_one_publication_asked_for_by_many_at_once_commits_once(home):
    place = staged(ISSUED, "one", [("alpha", 1)])
    delta_log.create_published(ISSUED)
    with ThreadPoolExecutor(4) as pool:
        versions = set(pool.map(lambda _: promote(ISSUED, place, "one"), range(4)))
    assert versions == {1}
    assert len(rows_of(ISSUED)) == 1


def test_a_fenced_promotion_of_a_state_that_has_passed_is_refused(home):
    from deltalake.exceptions import CommitFailedError

    before = delta_log.create_published(ISSUED)
    places = [staged(ISSUED, name, [("alpha", 1)]) for name in ("one", "two")]
    delta_log.promote_fenced(ISSUED, places[0], "one", ["alpha"], NOTE, before, {"numbers/alpha": 0})
    stale = DeltaTable(delta_log.location(ISSUED.name), version=0)
    with pytest.raises(CommitFailedError):
        delta_log.promote_fenced(ISSUED, places[1], "two", ["alpha"], NOTE, stale, {"numbers/alpha": 0})
    assert [row[3] for row in rows_of(ISSUED)] == ["one"]


def test_staged_rows_are_counted_by_tenant(home):
    files = delta_log.staged_files(staged(ISSUED, "one", [("alpha", 1), ("alpha", 2), ("beta", 3)]))
    assert [file.unit for file in files] == [{"tenant_id": tenant, "period": "2026-07-01"} for tenant in ("alpha", "beta")]
    assert delta_log.staged_rows(files) == {"alpha": 2, "beta": 1}


def test_a_version_is_told_rightly_while_others_commit(home):
    """History read while another commit arrives must not count from the wrong end."""
    delta_log.create_published(ISSUED)
    places = {f"{n}": staged(ISSUED, f"{n}", [(f"t-{n}", n)]) for n in range(12)}
    with ThreadPoolExecutor(6) as pool:
        told = dict(
            zip(places, pool.map(lambda name: promote(ISSUED, places[name], name, [f"t-{name}"]), places), strict=True)
        )
    assert told == {name: delta_log.version_of(ISSUED.name, name) for name in places}

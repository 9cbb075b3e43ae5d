"""A home that an earlier version made is brought to this one's tables, and tells so; nothing is rewritten, nothing is guessed."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyarrow import parquet
from pyspark.sql import types as T

from jobs.runtime import delta_log, migrations
from jobs.runtime.books import Books
from jobs.runtime.errors import RunBroke
from jobs.runtime.tables import catalog
from tests.builders import ALPHA

CREDITS = catalog()["raw.credits"]


def made_before(without=(), otherwise=None):
    """raw.credits as an earlier version may have declared it, with no rows."""
    told = [(otherwise or {}).get(field.name, field) for field in CREDITS.schema.fields if field.name not in without]
    delta_log.create(CREDITS.name, T.StructType(told).json(), CREDITS.unit, append_only=True)


def names():
    return [field.name for field in delta_log.open_table(CREDITS.name).schema().fields]


def test_columns_that_a_later_version_declares_are_added_once(home):
    made_before(without=("region", "shared"))
    migrations.bring_up_to_date()
    assert set(names()) == set(CREDITS.schema.names)
    version = delta_log.open_table(CREDITS.name).version()
    migrations.bring_up_to_date()
    assert delta_log.open_table(CREDITS.name).version() == version == 1
    (commit,) = (one for one in delta_log.commits(CREDITS.name) if one.version == 1)
    assert commit.note == {"reason": "columns added by a later version: region, shared"}


def test_rows_of_before_say_nothing_in_what_was_added(home, tmp_path):
    made_before(without=("region",))
    place = tmp_path / "staged" / f"tenant_id={ALPHA}"
    place.mkdir(parents=True)
    parquet.write_table(pa.table({"credit_id": ["k-1"], "publication_id": ["p-1"]}), place / "part-0.parquet")
    delta_log.promote(CREDITS, str(place.parent), "p-1", [ALPHA], "", {"units": []})
    migrations.bring_up_to_date()
    told = delta_log.open_table(CREDITS.name).to_pyarrow_table(columns=["tenant_id", "credit_id", "region"])
    assert told.to_pylist() == [{"tenant_id": ALPHA, "credit_id": "k-1", "region": None}]


def test_a_reader_sees_them_as_null_and_adds_nothing(home, tmp_path):
    """An auditor may have no right to write."""
    made_before(without=("region",))
    with Books() as books:
        books.open(CREDITS.name)
        assert books.rows(f"SELECT credit_id, region FROM {CREDITS.name}") == []
        assert set(books.columns_of(CREDITS.name)) == set(CREDITS.schema.names)
    assert "region" not in names()


def test_a_column_of_another_type_is_refused_by_name(home):
    made_before(otherwise={"amount": T.StructField("amount", T.StringType())})
    with pytest.raises(RunBroke, match="raw.credits: column amount is .*string.* in this home"):
        migrations.bring_up_to_date()
    assert len(delta_log.commits(CREDITS.name)) == 1


def test_a_home_that_lacks_nothing_is_left_as_it_is(home):
    delta_log.create_published(CREDITS)
    migrations.bring_up_to_date()
    assert delta_log.open_table(CREDITS.name).version() == 0

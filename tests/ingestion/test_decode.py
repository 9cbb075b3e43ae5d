"""Bytes to rows: every record of a file with its number, malformed ones included."""

from __future__ import annotations

import gzip
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from jobs.ingestion.decode import decoded
from jobs.ingestion.files import LandingFile
from jobs.ledger.tenants import Mapping
from jobs.runtime.environment import environment
from tests.builders import ALPHA, canonical, plain, plain_mapping

PLAIN = "id,amount\na,1\nb,2\n"
TWO = [(1, None, "a", "1"), (2, None, "b", "2")]
SHORT = "row: 1 fields where 2 are expected"

FILES = {
    # case: (file name, bytes, mapping beside its columns, (row number, malformed, id, amount))
    "line_feeds": ("f.csv", PLAIN.encode(), {}, TWO),
    "carriage_return_line_feeds": ("f.csv", PLAIN.replace("\n", "\r\n").encode(), {}, TWO),
    "bare_carriage_returns": ("f.csv", PLAIN.replace("\n", "\r").encode(), {}, TWO),
    "no_line_end_at_the_end": ("f.csv", PLAIN.rstrip().encode(), {}, TWO),
    "a_byte_order_mark": ("f.csv", ("\ufeff" + PLAIN).encode(), {}, TWO),
    "columns_in_another_order_and_more_of_them": ("f.csv", b"x,amount,id\n?,1,a\n?,2,b\n", {}, TWO),
    "semicolons": ("f.csv", PLAIN.replace(",", ";").encode(), {"delimiter": ";"}, TWO),
    "single_quotes": ("f.csv", b"id,amount\n'a',1\n'b',2\n", {"quote": "'"}, TWO),
    "gzip": ("f.csv.gz", gzip.compress(PLAIN.encode()), {}, TWO),
    "latin_1": ("f.csv", "id,amount\ncafé,1\n".encode("latin-1"), {"encoding": "latin-1"}, [(1, None, "café", "1")]),
    "utf_16": ("f.csv", PLAIN.encode("utf-16"), {"encoding": "utf-16"}, TWO),
    "a_quoted_line_end_and_delimiter": (
        "f.csv",
        b'id,amount\n"a\n,b",1\nc,2\n',
        {},
        [(1, None, "a\n,b", "1"), (2, None, "c", "2")],
    ),
    "nothing_but_a_header": ("f.csv", b"id,amount\n", {}, []),
    "an_empty_text_is_not_null": ("f.csv", b'id,amount\n"",1\n', {}, [(1, None, "", "1")]),
    "a_short_line": (
        "f.csv",
        b"id,amount\na,1\nb\nc,3\n",
        {},
        [(1, None, "a", "1"), (2, SHORT, None, None), (3, None, "c", "3")],
    ),
    "a_short_line_first_and_last": (
        "f.csv",
        b"id,amount\na\nb,2\nc\n",
        {},
        [(1, SHORT, None, None), (2, None, "b", "2"), (3, SHORT, None, None)],
    ),
    "a_long_line": (
        "f.csv",
        b"id,amount\na,1,2\nb,2\n",
        {},
        [(1, "row: 3 fields where 2 are expected", None, None), (2, None, "b", "2")],
    ),
    "a_short_line_after_a_quoted_line_end": (
        "f.csv",
        b'id,amount\n"a\nb",1\nc\nd,4\n',
        {},
        [(1, None, "a\nb", "1"), (2, SHORT, None, None), (3, None, "d", "4")],
    ),
    "json_lines": ("f.jsonl", b'{"id": "a", "amount": 1}\n{"amount": "2", "id": "b"}\n', {"format": "jsonl"}, TWO),
    "json_keeps_every_digit": (
        "f.jsonl",
        b'{"id": "a", "amount": 12345678901234567.123456789012345678901}\n',
        {"format": "jsonl"},
        [(1, None, "a", "12345678901234567.123456789012345678901")],
    ),
    "a_line_that_is_no_json": (
        "f.jsonl",
        b'{"id": "a", "amount": 1}\n{"id": "b", \n{"id": "c", "amount": 3}\n',
        {"format": "jsonl"},
        [(1, None, "a", "1"), (2, "row: not a JSON object", None, None), (3, None, "c", "3")],
    ),
    "a_line_that_is_no_object": (
        "f.jsonl",
        b'[1, 2]\n{"id": "c", "amount": 3}\n',
        {"format": "jsonl"},
        [(1, "row: not a JSON object", None, None), (2, None, "c", "3")],
    ),
    "a_null_and_a_missing_value": ("f.jsonl", b'{"id": null}\n', {"format": "jsonl"}, [(1, None, None, None)]),
    "a_quoted_comma_in_json": (
        "f.jsonl",
        b'{"id": "a, \\"b\\"", "amount": 1}\n',
        {"format": "jsonl"},
        [(1, None, 'a, "b"', "1")],
    ),
}


def landing(path, mapping, number=1):
    return LandingFile(ALPHA, "usage", path, path.stat().st_size, f"sha-{number}", mapping)


@pytest.fixture(scope="module")
def rows(spark, tmp_path_factory):
    """The records of all files above, in one job a mapping."""
    folder = tmp_path_factory.mktemp("files")
    groups = {}
    for number, (name, content, more, _) in enumerate(FILES.values()):
        path = folder / f"{number}-{name}"
        path.write_bytes(content)
        mapping = Mapping.model_validate({"columns": {"record_id": "id", "quantity": "amount"}} | more)
        groups.setdefault(mapping.resolved(), []).append((list(FILES)[number], landing(path, mapping, number)))
    found = {case: [] for case in FILES}
    for group in groups.values():
        case_of = {file.landing_id: case for case, file in group}
        files = [file for _, file in group]
        told = (
            decoded(spark, files, files[0].mapping)
            .select("landing_id", "row_number", "_malformed", "id", "amount")
            .collect()
        )
        for row in told:
            found[case_of[row["landing_id"]]].append(tuple(row)[1:])
    return found


@pytest.mark.parametrize("case", FILES)
def test_every_record_is_read_with_its_number(rows, case):
    assert sorted(rows[case]) == FILES[case][3]


def test_small_files_share_tasks_and_a_large_one_has_its_own(spark, tmp_path, monkeypatch):
    from jobs.ingestion import decode

    mapping = Mapping.model_validate({"columns": {"record_id": "id", "quantity": "amount"}})
    files = []
    for number in range(12):
        path = tmp_path / f"{number}.csv"
        path.write_text(PLAIN)
        files.append(landing(path, mapping, number))

    def tasks():
        rows = decoded(spark, files, mapping).select("landing_id", "id", F.spark_partition_id().alias("task")).collect()
        assert sorted((row["landing_id"], row["id"]) for row in rows) == sorted(
            (f.landing_id, n) for f in files for n in "ab"
        )
        return len({row["task"] for row in rows})

    assert tasks() <= environment().shuffle_partitions
    monkeypatch.setattr(decode, "TASK", len(PLAIN))
    assert tasks() > environment().shuffle_partitions


def test_row_numbers_hold_over_many_blocks(spark, tmp_path, monkeypatch):
    from jobs.ingestion import decode

    lines = ["id,amount", *(f"{n}" if n % 97 == 0 else f"{n},{n}" for n in range(1, 1001))]
    path = tmp_path / "large.csv"
    path.write_text("\n".join(lines))
    monkeypatch.setattr(decode, "BLOCK", 256)
    how = Mapping.model_validate({"columns": {"record_id": "id"}}).model_dump()
    numbers = {}
    for batch in decode._records(str(path), how, ("id", "amount")):
        numbers |= {row["row_number"]: row for row in batch.to_pylist()}
    assert sorted(numbers) == list(range(1, 1001))
    assert all((row["_malformed"] is not None) == (n % 97 == 0) for n, row in numbers.items())
    assert all(row["id"] == str(n) for n, row in numbers.items() if row["_malformed"] is None)


PARQUET = {
    "record_id": (pa.string(), "r"),
    "account_id": (pa.int64(), 7),
    "product_id": (pa.string(), "p"),
    "usage_start": (pa.timestamp("us", tz="UTC"), 1783684800000000),  # 2026-07-10T12:00:00Z
    "quantity": (pa.decimal128(38, 21), Decimal("0.123456789012345678901")),
}


def parquet(spark, tmp_path, timezone="UTC", **other):
    """The canonical row of a Parquet file of one row."""
    columns = {name: pa.array([value], kind) for name, (kind, value) in (PARQUET | other).items()}
    pq.write_table(pa.table(columns), tmp_path / "f.parquet")
    mapping = plain_mapping("usage", format="parquet", timezone=timezone)
    rows = decoded(spark, [landing(tmp_path / "f.parquet", mapping)], mapping)
    (row,) = canonical(rows, "usage", mapping).collect()
    return row


def test_parquet_keeps_its_types(spark, tmp_path):
    row = parquet(spark, tmp_path)
    assert (row["reasons"], row["row_number"], row["account_id"]) == ([], 1, "7")
    assert plain(row["quantity"]) == "0.123456789012345678901"
    assert str(row["usage_start"]) == "2026-07-10 12:00:00"


def test_a_moment_in_parquet_is_not_moved_by_the_feeds_time_zone(spark, tmp_path):
    assert str(parquet(spark, tmp_path, timezone="Europe/London")["usage_start"]) == "2026-07-10 12:00:00"


def test_a_local_time_in_parquet_is_of_the_feeds_time_zone(spark, tmp_path):
    local = (pa.timestamp("us"), 1783684800000000)
    assert str(parquet(spark, tmp_path, timezone="Europe/London", usage_start=local)["usage_start"]) == "2026-07-10 11:00:00"


def test_parquet_decimals_finer_than_the_table_are_quarantined(spark, tmp_path):
    row = parquet(spark, tmp_path, quantity=(pa.decimal128(38, 25), Decimal("0.0000000000000000000000001")))
    assert row["reasons"] == ["quantity: more than 21 decimals"]

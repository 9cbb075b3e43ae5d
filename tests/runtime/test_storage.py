"""Files of the warehouse, by path or by address."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.runtime.storage import exists, files_below, parquet_rows, place


@pytest.fixture(params=["path", "address"])
def located(request):
    """How a file is named."""
    return (lambda path: str(path)) if request.param == "path" else (lambda path: path.as_uri())


def test_files_are_found_below_a_folder_in_the_order_of_their_paths(tmp_path, located):
    for name in ("b/y=2/2.parquet", "a.parquet", "b/y=1/1.parquet", "_SUCCESS"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("four")
    found = files_below(located(tmp_path), ".parquet")
    assert [(file.path, file.bytes) for file in found] == [("a.parquet", 4), ("b/y=1/1.parquet", 4), ("b/y=2/2.parquet", 4)]
    assert all(file.modified_ms > 1_500_000_000_000 for file in found)


def test_the_rows_of_a_parquet_file_are_counted(tmp_path, located):
    pq.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "a.parquet")
    assert parquet_rows(located(tmp_path / "a.parquet")) == 3


def test_files_and_folders_are_found_and_missing_ones_are_not(tmp_path, located):
    (tmp_path / "a").mkdir()
    assert exists(located(tmp_path / "a")) and not exists(located(tmp_path / "b"))


def test_a_missing_file_raises(tmp_path, located):
    with pytest.raises(FileNotFoundError):
        parquet_rows(located(tmp_path / "a"))


def test_placing_a_file_takes_no_room_and_twice_is_harmless(tmp_path):
    source, target = tmp_path / "a", tmp_path / "deep" / "er" / "b"
    source.write_text("x")
    for _ in range(2):
        place(str(source), str(target))
    assert target.read_text() == "x" and os.path.samefile(source, target)


def test_a_disk_without_links_copies(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_text("x")
    place(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (tmp_path / "b").read_text() == "x" and not os.path.samefile(tmp_path / "a", tmp_path / "b")

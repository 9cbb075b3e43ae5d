"""Landing files: complete or ignored, new or delivered before, readable or refused in words."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest
from pydantic import ValidationError

from jobs.ingestion.files import DUPLICATE, LANDED, UNREADABLE, Delivered, arrivals, land, source_columns
from jobs.ledger.tenants import Mapping
from jobs.runtime.errors import CallError, ConfigError
from tests.builders import ALPHA, dropped, plain_mapping, tenant

HEADER = "record_id,account_id,product_id,usage_start,quantity\n"
ROWS = HEADER + "r,a,p,2026-07-10 12:00:00,1\n"
NAME = f"{ALPHA}/usage/july.csv"


def found(delivered=(), replay=None, **mapping):
    """What a run has to look at, by file name."""
    mine = tenant(usage=plain_mapping("usage", **mapping))
    return {file.path.name: file for file in arrivals({ALPHA: mine}, list(delivered), replay)}


def delivered(file, **more):
    """A file as raw.landed_files tells it after a run."""
    told = Delivered(ALPHA, "usage", file.path.name, file.content_sha256, file.mapping_version, file.landing_id, file.status)
    return replace(told, **more)


@pytest.mark.parametrize(
    "name", [".july.csv", ".july.csv.part", "july.csv.part", "july.csv.tmp", "july.csv.partial", "_july.csv"]
)
def test_a_file_that_is_still_being_written_is_not_looked_at(home, name):
    dropped(home, ALPHA, "usage", name, ROWS)
    dropped(home, ALPHA, "usage", "whole.csv", ROWS + "s,a,p,2026-07-10 12:00:00,1\n")
    assert list(found()) == ["whole.csv"]


def test_landing_a_file_leaves_no_part_of_it_behind(home, tmp_path):
    (tmp_path / "july.csv").write_text(ROWS)
    placed = land("usage", tenant(usage=plain_mapping("usage")), [tmp_path / "july.csv"])
    assert [path.read_text() for path in placed] == [ROWS]
    assert [path.name for path in placed[0].parent.iterdir()] == ["july.csv"]


def test_a_link_that_points_outside_landing_is_refused(home, tmp_path):
    (tmp_path / "secret.csv").write_text(ROWS)
    folder = dropped(home, ALPHA, "usage", "whole.csv", ROWS).parent
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(CallError, match="link.csv points outside landing. Nothing was started"):
        found()


UNREADABLE_FILES = {
    "empty": ("july.csv", b"", {}, "the file is empty"),
    "binary": ("july.csv", HEADER.encode() + b"r,a\0", {}, f"is a binary file: byte {len(HEADER) + 3} is zero"),
    "wrong_encoding": (
        "july.csv",
        HEADER.encode() + b"caf\xe9,a,p\n",
        {},
        f"is not utf-8: byte {len(HEADER) + 3} does not decode",
    ),
    "column_missing": (
        "july.csv",
        ROWS.replace("quantity", "quantty").encode(),
        {},
        "has no column 'quantity'; did you mean 'quantty'?",
    ),
    "broken_gzip": ("july.csv.gz", gzip.compress(ROWS.encode())[:-4], {}, "is not a whole gzip file"),
    "no_gzip": ("july.csv.gz", ROWS.encode(), {}, "is not a whole gzip file"),
    "empty_gzip": ("july.csv.gz", gzip.compress(b""), {}, "the file is empty"),
    "no_parquet": ("july.parquet", ROWS.encode(), {"format": "parquet"}, "not a Parquet file"),
    "only_a_header": ("july.csv", HEADER.encode(), {}, "has a header and no rows"),
    "only_a_header_and_blank_lines": ("july.csv", (HEADER + "\n\n").encode(), {}, "has a header and no rows"),
    "another_delimiter": ("july.csv", ROWS.replace(",", ";").encode(), {}, "has no column 'account_id'"),
}


@pytest.mark.parametrize("case", UNREADABLE_FILES)
def test_a_file_of_which_nothing_can_be_read_is_refused_in_words(home, case):
    name, content, mapping, reason = UNREADABLE_FILES[case]
    dropped(home, ALPHA, "usage", name, content)
    file = found(**mapping)[name]
    assert file.status == UNREADABLE
    assert file.reason.startswith(reason)


def test_a_broken_file_does_not_keep_the_others_from_landing(home):
    dropped(home, ALPHA, "usage", "a.csv", "")
    dropped(home, ALPHA, "usage", "b.csv", ROWS)
    assert {name: file.status for name, file in found().items()} == {"a.csv": UNREADABLE, "b.csv": LANDED}


@pytest.mark.parametrize(
    ("content", "mapping"),
    [
        pytest.param(("\ufeff" + ROWS).encode(), {}, id="utf-8_with_a_byte_order_mark"),
        pytest.param(ROWS.encode("utf-16"), {"encoding": "utf-16"}, id="utf-16"),
        pytest.param(ROWS.replace("r,", "café,").encode("latin-1"), {"encoding": "latin-1"}, id="latin-1"),
        pytest.param(ROWS.replace("\n", "\r").encode(), {}, id="bare_carriage_returns"),
    ],
)
def test_every_encoding_and_line_end_is_read(home, content, mapping):
    dropped(home, ALPHA, "usage", "july.csv", content)
    assert (found(**mapping)["july.csv"].status, found(**mapping)["july.csv"].reason) == (LANDED, None)


def test_an_unknown_encoding_is_a_wrong_mapping(home):
    with pytest.raises(ValidationError, match="encoding 'utf-9' of the mapping is not known"):
        found(encoding="utf-9")


def test_a_file_seen_before_is_not_looked_at_again(home):
    dropped(home, ALPHA, "usage", "july.csv", ROWS)
    assert found([delivered(found()["july.csv"])]) == {}


def test_the_same_content_under_another_name_is_refused_by_name(home):
    dropped(home, ALPHA, "usage", "july.csv", ROWS)
    first = found()["july.csv"]
    dropped(home, ALPHA, "usage", "again.csv", ROWS)
    (file,) = found([delivered(first)]).values()
    assert (file.path.name, file.status) == ("again.csv", DUPLICATE)
    assert file.reason == "same content as july.csv, which was delivered before"
    assert file.landing_id != first.landing_id


def test_of_two_equal_files_in_one_run_the_first_is_landed(home):
    for name in ("b.csv", "a.csv"):
        dropped(home, ALPHA, "usage", name, ROWS)
    assert {name: file.status for name, file in found().items()} == {"a.csv": LANDED, "b.csv": DUPLICATE}


def test_another_content_under_the_same_name_is_a_new_file(home):
    dropped(home, ALPHA, "usage", "july.csv", ROWS)
    first = found()["july.csv"]
    dropped(home, ALPHA, "usage", "july.csv", ROWS.replace(",1\n", ",2\n"))
    assert found([delivered(first)])["july.csv"].status == LANDED


def test_a_replay_is_refused_while_the_mapping_has_not_changed(home):
    dropped(home, ALPHA, "usage", "july.csv", ROWS)
    first = found()["july.csv"]
    with pytest.raises(CallError, match="mapping has not changed since it was landed.*Nothing was started"):
        found([delivered(first)], replay=NAME)


def test_a_replay_with_a_mended_mapping_replaces_what_was_landed(home):
    dropped(home, ALPHA, "usage", "july.csv", ROWS)
    first = found()["july.csv"]
    again = found([delivered(first)], replay=NAME, null_values=("", "n/a"))["july.csv"]
    assert (again.status, again.replaces) == (LANDED, first.landing_id)
    assert again.landing_id != first.landing_id


def test_a_replay_under_a_mapping_that_held_before_is_a_landing_of_its_own(home):
    """Otherwise it would be among the landings that its own predecessor replaced, and none of its rows would stand."""
    dropped(home, ALPHA, "usage", "july.csv", ROWS)
    first = found()["july.csv"]
    second = found([delivered(first)], replay=NAME, null_values=("", "n/a"))["july.csv"]
    third = found([delivered(first), delivered(second)], replay=NAME)["july.csv"]
    assert third.replaces == second.landing_id
    assert third.landing_id not in (first.landing_id, second.landing_id)


def test_a_replay_of_a_file_that_is_not_there_is_refused(home):
    dropped(home, ALPHA, "usage", "july.csv", ROWS)
    with pytest.raises(CallError, match="alpha/usage/june.csv is not in landing"):
        found(replay="alpha/usage/june.csv")


LANDINGS = {
    "an_unknown_feed": ("usages", "july.csv", ROWS.encode(), "unknown feed 'usages'; did you mean 'usage'?"),
    "a_feed_without_a_mapping": ("prices", "july.csv", ROWS.encode(), "tenant alpha has no mapping for feed 'prices'"),
    "an_empty_file": ("usage", "july.csv", b"", "july.csv is empty (0 bytes)"),
    "a_binary_file": ("usage", "july.csv", b"\0\1", "july.csv is a binary file"),
    "a_file_in_another_encoding": ("usage", "july.csv", b"caf\xe9", "july.csv is not utf-8"),
    "no_file": ("usage", "july.csv", None, "july.csv is not a file"),
}


@pytest.mark.parametrize("case", LANDINGS)
def test_what_cannot_be_landed_is_refused_and_nothing_is_copied(home, tmp_path, case):
    feed, name, content, said = LANDINGS[case]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CallError, match="Nothing was landed") as refused:
        land(feed, tenant(usage=plain_mapping("usage")), [tmp_path / name])
    assert said in str(refused.value)
    assert not list((home / "landing").rglob("*.csv"))


def test_a_mapping_uses_the_columns_of_all_its_rules():
    mapping = Mapping.model_validate(
        {
            "control_totals": ["Total"],
            "columns": {"a": "A", "b": {"source": "B"}, "c": {"sql": "concat(C, `the D`)"}, "d": {"constant": "x"}},
        }
    )
    assert source_columns(mapping) == ("A", "B", "C", "Total", "the D")


def test_an_expression_that_does_not_parse_is_a_wrong_mapping():
    with pytest.raises(ConfigError, match="does not parse"):
        source_columns(Mapping.model_validate({"columns": {"a": {"sql": "concat(("}}}))

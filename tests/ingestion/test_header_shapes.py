"""Files whose headers differ under one mapping, line ends of every kind, and one content packed twice."""

from __future__ import annotations

import gzip

import pytest

from jobs.ingestion.decode import _records
from jobs.ingestion.files import LandingFile, _sha256, unreadable
from jobs.ledger.tenants import Mapping

AMOUNT = {"sql": "coalesce(Amount, `Net Amount`)"}
SHAPES = [["Amount", "Net Amount"]]


def mapping(**more):
    """An id and an amount that has had two names."""
    return Mapping.model_validate({"columns": {"record_id": "id", "gross_amount": AMOUNT}, "one_of": SHAPES} | more)


def file(tmp_path, content, how):
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    return LandingFile("alpha", "payables", path, path.stat().st_size, "x", how)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"id,Amount", None),
        (b"id,Net Amount,other", None),
        (b"id,Amount,Net Amount", None),
        (b"id,Nett Amount", "has none of the columns 'Amount', 'Net Amount'; did you mean 'Nett Amount'?"),
        (b"Amount", "has no column 'id'"),
    ],
)
def test_of_each_group_a_file_has_at_least_one_column(tmp_path, header, said):
    told = unreadable(file(tmp_path, header + b"\n" + b",".join([b"1"] * (header.count(b",") + 1)) + b"\n", mapping()))
    assert told is None if said is None else told is not None and told.startswith(said)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"format": "jsonl"}, "one_of is for csv files"),
        ({"one_of": [["Amount"]]}, "leaves nothing to choose"),
    ],
)
def test_a_group_that_makes_no_sense_is_refused(more, said):
    with pytest.raises(ValueError, match=said):
        mapping(**more)


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"], ids=["cr", "lf", "crlf"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "cut"])
def test_lines_may_end_in_any_way(tmp_path, end, last):
    content = end.join([b"id,Net Amount", b"1,5", b'2,"6\r7"', b"3", b"4,8"]) + (end if last else b"")
    target = file(tmp_path, content, mapping())
    assert unreadable(target) is None
    rows = [
        row
        for batch in _records(str(target.path), mapping().model_dump(), ("Amount", "Net Amount", "id"))
        for row in batch.to_pylist()
    ]
    told = {row["row_number"]: (row["id"], row["Amount"], row["Net Amount"], row["_malformed"]) for row in rows}
    assert told == {
        1: ("1", None, "5", None),
        2: ("2", None, "6\r7", None),
        3: (None, None, None, "row: 1 fields where 2 are expected"),
        4: ("4", None, "8", None),
    }


def test_a_file_is_known_by_what_it_says_not_by_how_it_was_packed(tmp_path):
    shas = set()
    for n, level in enumerate((1, 9)):
        path = tmp_path / f"{n}.csv.gz"
        path.write_bytes(gzip.compress(b"id\n1\n", compresslevel=level, mtime=n))
        shas.add(_sha256(path, 0))
    plain = tmp_path / "plain.csv"
    plain.write_bytes(b"id\n1\n")
    assert shas == {_sha256(plain, 0)}
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(gzip.compress(b"id\n1\n" * 1000)[:30])
    assert _sha256(broken, 0) not in shas

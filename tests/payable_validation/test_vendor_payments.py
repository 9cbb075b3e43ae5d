"""Payments that two public bodies have published, through mappings alone: from landing to decisions, conserved to the last digit."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from jobs.ingestion.files import land
from jobs.ledger.tenants import tenants
from jobs.runtime.books import visible_arrow
from jobs.runtime.verbs import run_stage
from tests.builders import asked

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "vendor_payments"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="the real data is not beside this checkout (../shared/data)"),
]

END_OF_2019, END_OF_OCTOBER = "2019-12-31T23", "2018-10-31T23"


def landed(tenant: str, *files: Path, key: str = "ingest") -> None:
    """Files as payables and as vendors, ingested."""
    for feed in ("payables", "vendors"):
        land(feed, tenants()[tenant], files)
    run_stage(asked("ingestion", tenant, key=key, period="2019-12"))


def decided(tenant: str, hour: str, key: str = "validate") -> Any:
    """One run of the stage."""
    return run_stage(asked("payable_validation", tenant, key=key, period=hour))


def files_of(tenant: str, feed: str) -> list[dict[str, Any]]:
    """raw.landed_files."""
    return [row for row in visible_arrow("raw.landed_files", tenant=tenant).to_pylist() if row["feed"] == feed]


class Recomputed:
    """What DuckDB makes of the same bytes, without anything of this project."""

    def __init__(self) -> None:
        self.duck = duckdb.connect()

    def calderdale(self, pattern: str = "*") -> list[tuple[Any, ...]]:
        """Per invoice of a supplier: its id, how many lines, the exact sum."""
        files = f"read_csv('{DATA}/calderdale/{pattern}.csv.gz', union_by_name = true, all_varchar = true, header = true)"
        known = {row[0] for row in self.duck.execute(f"DESCRIBE SELECT * FROM {files}").fetchall()}

        def either(*names: str) -> str:  # headers have changed over the years
            quoted = [f'"{name}"' for name in names if name in known]
            return f"coalesce(NULL, {', '.join(quoted)})"

        return self.duck.execute(
            f"""
            WITH lines AS (
                SELECT "Supplier ID" AS supplier, trim("Invoice Number") AS number,
                    {either("Transaction number", "Internal Ref Number")} AS line,
                    CAST({either("Amount", "Net Amount")} AS DECIMAL(38, 21)) AS amount
                FROM {files}
            )
            SELECT CASE WHEN number <> '' THEN substr(sha256(trim(supplier) || '|' || number), 1, 32) ELSE line END AS source,
                count(*), sum(amount)
            FROM lines GROUP BY ALL ORDER BY ALL
            """
        ).fetchall()

    def decisions(self, tenant: str) -> list[tuple[Any, ...]]:
        """Per source what the latest decisions of its payables say: lines and exact sum."""
        rows = visible_arrow("payables.decisions", tenant=tenant)
        return self.duck.execute(
            """
            WITH latest AS (SELECT * FROM rows QUALIFY row_number() OVER (PARTITION BY payable_id ORDER BY decided_at DESC) = 1)
            SELECT source_id, CAST(sum(line_count) AS BIGINT), CAST(sum(gross_amount) AS DECIMAL(38, 21))
            FROM latest GROUP BY ALL ORDER BY ALL
            """
        ).fetchall() if rows else []  # fmt: skip


@pytest.fixture(scope="module")
def calderdale(spark, shared_home) -> dict[str, Any]:
    """All four years of the council, decided at once at their end."""
    landed("calderdale", *sorted((DATA / "calderdale").glob("*.csv.gz")))
    outcome = decided("calderdale", END_OF_2019)
    return {"outcome": outcome, "decisions": visible_arrow("payables.decisions", tenant="calderdale").to_pylist()}


def test_three_shapes_of_header_land_through_one_mapping(calderdale):
    files = files_of("calderdale", "payables")
    assert (len(files), {file["status"] for file in files}) == (48, {"landed"})
    assert sum(file["rows_read"] for file in files) == sum(file["rows_accepted"] for file in files) == 160_285
    vendors = files_of("calderdale", "vendors")
    counts = [sum(file[f"rows_{what}"] for file in vendors) for what in ("read", "accepted", "quarantined", "duplicate")]
    assert counts[0] == 160_285 == sum(counts[1:])


def test_every_line_of_the_council_is_decided_once_and_to_the_last_digit(calderdale):
    recomputed = Recomputed()
    expected = recomputed.calderdale()
    assert sum(lines for _, lines, _ in expected) == 160_285
    assert recomputed.decisions("calderdale") == expected
    assert len(calderdale["decisions"]) == len(expected)


def test_one_invoice_number_of_a_supplier_is_one_invoice(calderdale):
    numbered = [(row["vendor_id"], row["invoice_number"]) for row in calderdale["decisions"] if row["invoice_number"]]
    assert len(numbered) == len(set(numbered))
    assert max(row["line_count"] for row in calderdale["decisions"]) > 1000


def test_what_was_decided_has_its_reasons(calderdale):
    counts: dict[tuple[str, tuple[str, ...]], int] = {}
    for row in calderdale["decisions"]:
        key = (row["decision"], tuple(row["rule_ids"]))
        counts[key] = counts.get(key, 0) + 1
    assert sum(n for (decision, _), n in counts.items() if decision == "accept") > 60_000
    assert {rule for _, rules in counts for rule in rules} <= {
        "approval-limit", "invoice-number-published", "nothing-to-pay", "duplicate", "lines-agree",
    }  # fmt: skip
    reasons = visible_arrow("payables.reasons", tenant="calderdale").to_pylist()
    assert len(reasons) == sum(row["reason_count"] for row in calderdale["decisions"])


def test_the_same_hour_again_writes_nothing(calderdale):
    assert decided("calderdale", END_OF_2019, key="again").status == "unchanged"


def test_months_one_after_the_other_leave_no_line_out(spark, home):
    """A number that comes again in the next month, after its invoice was decided, is held as later lines of it."""
    for month, hour in (("2019-04", "2019-04-30T23"), ("2019-05", "2019-05-31T23"), ("2019-06", "2019-06-30T23")):
        landed("calderdale", DATA / "calderdale" / f"{month}.csv.gz", key=month)
        assert decided("calderdale", hour, key=month).status == "done"
    recomputed = Recomputed()
    assert recomputed.decisions("calderdale") == recomputed.calderdale("2019-0[456]")
    late = [row for row in visible_arrow("payables.decisions").to_pylist() if row["payable_id"] != row["source_id"]]
    assert late and {(row["decision"], tuple(row["rule_ids"])[-1]) for row in late} <= {
        ("hold", "late-lines"),
        ("hold", "nothing-to-pay"),
    }


def phoenix_lines(month: str) -> list[dict[str, str]]:
    """The rows of a month, read by Python alone."""
    import csv

    text = gzip.decompress((DATA / "phoenix" / f"{month}-2018.csv.gz").read_bytes()).decode("ascii")
    return list(csv.DictReader(text.replace("\r", "\n").splitlines()))


def test_bare_carriage_returns_land_and_a_month_delivered_twice_is_refused(spark, home):
    place = {month: DATA / "phoenix" / f"{month}-2018.csv.gz" for month in ("april", "september", "october")}
    landed("phoenix", place["april"], place["september"], key="first")
    landed("phoenix", place["october"], key="then")
    files = {file["file_name"].split("-")[0]: file for file in files_of("phoenix", "payables")}
    april, september = phoenix_lines("april"), phoenix_lines("september")
    dated = [line for line in (*april, *september) if line["Check/Payment Date"]]
    assert len(dated) == len(april) + len(september) - 1, "the last line of September says nothing at all"
    told = {
        month: (file["status"], file["rows_read"], file["rows_accepted"], file["rows_quarantined"])
        for month, file in files.items()
    }
    assert told == {
        "april": ("landed", len(april), len(april), 0),
        "september": ("landed", len(september), len(september) - 1, 1),
        "october": ("refused_duplicate", 0, 0, 0),
    }
    assert "same content as september-2018.csv.gz" in files["october"]["reason"]

    assert decided("phoenix", END_OF_OCTOBER).status == "done"
    rows = visible_arrow("payables.decisions", tenant="phoenix").to_pylist()
    amounts = [Decimal(line["Invoice Net Amt"].replace(",", "")) for line in dated]
    assert len(rows) == len(amounts) == sum(row["line_count"] for row in rows)
    assert sum(row["gross_amount"] for row in rows) == sum(amounts)
    assert sorted(row["gross_amount"] for row in rows) == sorted(amounts)
    assert {row["document_type"] for row in rows if row["gross_amount"] < 0} == {"credit_note"}
    assert {rule for row in rows for rule in row["rule_ids"]} <= {
        "invoice-number-published",
        "approval-limit",
        "nothing-to-pay",
    }
    assert {row["currency"] for row in rows} == {"USD"} and {row["legal_entity_id"] for row in rows} == {"phoenix-city"}

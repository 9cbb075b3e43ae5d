"""Real data that nobody here wrote, through mappings alone: from landing to posted documents. FOCUS: test_focus.py."""

from __future__ import annotations

import csv
import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from jobs.ingestion.files import land
from jobs.ledger.tenants import tenants
from jobs.runtime.books import visible_arrow
from jobs.runtime.identities import verify
from jobs.runtime.verbs import run_stage
from tests.builders import OF_A_MONTH, asked

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the real data is not beside this checkout (../shared/data)")

AWS_DIGITS = Decimal("3338668.729068775275147434493")


def landed(name: str, file: Path, month: str, feeds: tuple[str, ...] = ("accounts", "usage")) -> None:
    """Put a file into landing and ingest it."""
    for feed in feeds:
        land(feed, tenants()[name], [file])
    run_stage(asked("ingestion", name, key=f"ingest-{file.name}", period=month))


def accounts_of_files(tenant: str, feed: str) -> list[dict[str, object]]:
    """raw.landed_files of a tenant and feed."""
    return [row for row in visible_arrow("raw.landed_files", tenant=tenant).to_pylist() if row["feed"] == feed]


def test_an_aws_cost_and_usage_report_lands_with_its_control_totals_to_the_last_digit(spark, home):
    landed("aws-cur", DATA / "aws_cur" / "cur_13380.csv.gz", "2018-06")
    (file,) = accounts_of_files("aws-cur", "usage")
    assert (file["rows_read"], file["rows_accepted"]) == (13_380, 13_380)
    totals = dict(file["control_totals"])
    with gzip.open(DATA / "aws_cur" / "cur_13380.csv.gz", "rt") as stream:
        rows = list(csv.DictReader(stream))
    for column, total in totals.items():
        assert total == sum(Decimal(row[column]) for row in rows), column


@pytest.mark.slow  # all stages of a month with 900 customers: make test-slow, and make test-real all thirteen months
def test_a_month_of_a_british_retailer_is_charged_invoiced_taxed_and_posted_exactly(spark, home):
    month, file = "2010-12", DATA / "online_retail" / "2010-12.csv.gz"
    landed("online-retail", file, month)
    for stage in OF_A_MONTH[1:]:
        run_stage(asked(stage.name, "online-retail", key="bill", period=month))

    with gzip.open(file, "rt", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    owned = [row for row in rows if row["CustomerID"]]
    expected = sum(Decimal(row["Quantity"]) * Decimal(row["UnitPrice"]) for row in owned)
    charges = visible_arrow("billing.charges").to_pylist()
    assert sum(charge["amount"] for charge in charges) == expected
    assert sum(charge["usage_rows"] for charge in charges) == len(owned)

    reasons: dict[str, int] = {}
    for row in visible_arrow("raw.quarantine").to_pylist():
        if row["feed"] == "usage":
            for reason in row["reasons"]:
                reasons[reason] = reasons.get(reason, 0) + 1
    assert reasons == {"account_id: missing": len(rows) - len(owned)}

    taxes = visible_arrow("invoicing.invoice_taxes").to_pylist()
    assert {row["tax_rate"] for row in taxes if row["tax_category"] == "S"} == {Decimal("0.175")}, "17.5 % until 2011-01-03"
    assert all(finding.holds for finding in verify())

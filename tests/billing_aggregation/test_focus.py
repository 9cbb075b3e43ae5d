"""Every row of a FOCUS file rated again: PricingQuantity by ListUnitPrice is ListCost, or the file itself says otherwise."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from jobs.ingestion.files import land
from jobs.ingestion.tables import USAGE
from jobs.ledger.money import exact_product
from jobs.ledger.tenants import tenants
from jobs.runtime.books import visible_arrow
from jobs.runtime.house import Snapshot, visible, visible_rows
from jobs.runtime.verbs import run_stage
from tests.builders import asked

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "focus" / "focus_sample_1.0.csv"
pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason="the FOCUS sample is not beside this checkout (../shared/data/focus)"
)

HALF_OF_ITS_LAST_DECIMAL = Decimal("0.00000000005")  # it writes costs of ten decimals, with a zero behind
TEN_THOUSAND = Decimal(10_000)


@pytest.fixture(scope="module")
def rated(spark, shared_home):
    """What each row comes to by our own product, by the row's id."""
    for feed in ("accounts", "usage"):
        land(feed, tenants()["focus-sample"], [FILE])
    run_stage(asked("ingestion", "focus-sample", period="2024-09"))
    usage = visible_rows(spark, USAGE, visible(USAGE, Snapshot.now()))
    amount = exact_product(F.col("quantity"), F.col("unit_price")).alias("amount")
    return {row["record_id"]: row["amount"] for row in usage.select("record_id", amount).collect()}


def test_a_focus_file_lands_with_its_control_totals_to_the_last_digit(rated):
    (file,) = [row for row in visible_arrow("raw.landed_files", tenant="focus-sample").to_pylist() if row["feed"] == "usage"]
    assert (file["rows_read"], file["rows_accepted"]) == (1000, 1000)
    assert dict(file["control_totals"])["BilledCost"] == Decimal("20.52022672899")


def test_a_list_price_gives_the_list_cost_row_by_row(rated):
    with FILE.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rated) == len(rows) == 1000
    differences: dict[str, int] = {"none": 0, "rounded": 0, "ten thousand times": 0, "no price": 0}
    for row in rows:
        amount, cost = rated[row["Id"]], Decimal(row["ListCost"])
        if row["ListUnitPrice"] == "NULL":
            kind = "no price"
            assert row["ChargeCategory"] == "Credit" and amount == 0
        elif amount == cost:
            kind = "none"
        elif abs(amount - cost) <= HALF_OF_ITS_LAST_DECIMAL:
            kind = "rounded"
        else:  # the file divided the quantity by 10,000 and left the price as it was for one
            kind = "ten thousand times"
            assert row["ProviderName"] == "Microsoft" and amount * TEN_THOUSAND == cost
            assert Decimal(row["ConsumedQuantity"]) == Decimal(row["PricingQuantity"]) * TEN_THOUSAND
        differences[kind] += 1
    assert differences == {"none": 509, "rounded": 459, "ten thousand times": 31, "no price": 1}, "as docs/pricing.md tells"

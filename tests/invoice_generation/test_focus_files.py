"""FOCUS files of whole runs: tenants that asked for them and tenants that did not are billed; every file is read back.

The tests of this module are one story and run in the order they stand in.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from jobs.ingestion.files import land
from jobs.ingestion.tables import USAGE
from jobs.invoice_generation import focus, focus_files
from jobs.ledger.tenants import tenants
from jobs.runtime import storage
from jobs.runtime.books import visible_arrow
from jobs.runtime.contract import job_of
from jobs.runtime.errors import GateFailed, RunBroke
from jobs.runtime.house import Snapshot, visible, visible_rows
from jobs.runtime.verbs import run_stage
from tests.builders import ALPHA, BETA, asked, conf_file, dropped, tenant_conf

GAMMA = "gamma"  # receives alpha's files as its usage
DELTA = "delta"
ODD = "../x/Ü 1"
ACCOUNTS = (
    "account,name,country,currency,payer\n"
    'a-1,"Ada ""A"", Somebody",GB,GBP,\n'
    "a-2,Bob Somebody,GB,GBP,a-1\n"
    f"{ODD},Zoë Somebody,US,USD,\n"
    "a-4,Dan Somebody,GB,GBP,\n"
)
PRICES = (
    "price,product,currency,since,model,parameters\n"
    'p-1,storage,GBP,2026-01-01,per_unit,"{""unit_price"": ""0.05""}"\n'
    'p-2,storage,USD,2026-01-01,per_unit,"{""unit_price"": ""0.0700001""}"\n'
    'p-3,network,GBP,2026-01-01,graduated,"{""tiers"": [{""up_to"": ""10"", ""unit"": ""10"", ""flat"": ""2""}, '
    '{""up_to"": null, ""unit"": ""5"", ""flat"": ""3""}]}"\n'
)
pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow
USAGE_HEAD = "id,account,product,at,units\n"
JUNE = USAGE_HEAD + "j-1,a-1,storage,2026-06-10 12:00:00,100\n"
JULY = USAGE_HEAD + (
    "r-1,a-1,storage,2026-07-10 12:00:00,101\n"
    "r-2,a-1,network,2026-07-11 12:00:00,13\n"
    "r-3,a-2,storage,2026-07-12 12:00:00,7.5\n"
    f"r-4,{ODD},storage,2026-07-13 12:00:00,50\n"
    "r-5,a-4,storage,2026-07-13 12:00:00,-20\n"
)
LATE = USAGE_HEAD + "j-2,a-1,storage,2026-06-20 12:00:00,30\n"
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")


def conf(name: str, **more):
    told = tenant_conf(name, prefix=name[0].upper())
    told["feeds"]["accounts"]["columns"]["payer_account_id"] = "payer"
    told["feeds"]["prices"]["columns"] |= {"model": "model", "parameters": "parameters"}
    return told | more


@pytest.fixture(scope="module")
def house(spark, shared_home):
    """June and July are invoiced; some of June's usage came after its invoice. Alpha asks for files from July on, beta never.

    Delta asks for them from the beginning, and is held in both months: its invoices would be due before they are written.
    """
    both = {"focus": ["csv", "parquet"]}
    held = conf(DELTA, outputs=both)
    held["feeds"]["accounts"]["columns"]["payment_terms_days"] = {"constant": "-1"}
    for name, told in ((ALPHA, conf(ALPHA)), (BETA, conf(BETA)), (DELTA, held)):
        conf_file(shared_home, f"tenants/{name}.yaml", told)
        dropped(shared_home, name, "accounts", "accounts.csv", ACCOUNTS)
        dropped(shared_home, name, "prices", "prices.csv", PRICES)
        dropped(shared_home, name, "usage", "june.csv", JUNE.replace("a-1", ODD) if name == DELTA else JUNE)
    invoiced("2026-06")
    assert visible_arrow("invoicing.invoices").num_rows == 2, "those that passed have their invoices, and no files"
    conf_file(shared_home, f"tenants/{ALPHA}.yaml", conf(ALPHA, outputs=both))
    for name in (ALPHA, BETA, DELTA):
        dropped(shared_home, name, "usage", "july.csv", JULY)
    for name in (ALPHA, BETA):
        dropped(shared_home, name, "usage", "late.csv", LATE)
    invoiced("2026-07")
    return shared_home


def invoiced(month: str) -> None:
    """A month of all three, of which delta is held."""
    for stage in ("ingestion", "billing_aggregation"):
        run_stage(asked(stage, ALPHA, BETA, DELTA, period=month, key=month))
    with pytest.raises(GateFailed, match="tenant delta"):
        run_stage(asked("invoice_generation", ALPHA, BETA, DELTA, period=month, key=month))


@pytest.fixture(scope="module")
def listed(house):
    """invoicing.focus_files, by month, payer and format."""
    rows = visible_arrow("invoicing.focus_files").to_pylist()
    return {(f"{row['period']:%Y-%m}", row["payer_account_id"], row["format"]): row for row in rows}


@pytest.fixture(scope="module")
def issued(house):
    """Alpha's documents of July."""
    rows = visible_arrow("invoicing.invoices").to_pylist()
    return {row["invoice_number"]: row for row in rows if row["tenant_id"] == ALPHA and row["period"] == date(2026, 7, 1)}


def content(house, row) -> bytes:
    return (house / "documents" / row["file_path"]).read_bytes()


def from_csv(told: bytes) -> list[dict]:
    """The rows of a CSV file, typed as the specification says; a number or moment in any other form is refused."""
    rows = []
    for row in csv.DictReader(io.StringIO(told.decode("utf-8"), newline="")):
        assert list(row) == list(focus.NAMES)
        typed = {}
        for column in focus.COLUMNS:
            text, kind = row[column.name], column.kind.typeName()
            if text == "":
                typed[column.name] = None
            elif kind == "decimal":
                assert NUMBER.fullmatch(text), f"{column.name}: {text}"
                typed[column.name] = Decimal(text)
            elif kind == "timestamp":
                assert MOMENT.fullmatch(text), f"{column.name}: {text}"
                typed[column.name] = datetime.fromisoformat(text).astimezone(UTC)
            else:
                typed[column.name] = int(text) if kind == "integer" else text
        rows.append(typed)
    return rows


def from_parquet(told: bytes) -> list[dict]:
    table = pq.read_table(pa.BufferReader(told))
    assert table.schema.equals(focus_files.SCHEMA)
    return table.to_pylist()


def test_every_payer_has_a_file_of_each_format_and_who_did_not_ask_or_is_held_has_none(house, listed):
    payers = {("2026-07", "a-1"), ("2026-07", ODD), ("2026-07", "a-4")}
    assert set(listed) == {(month, payer, kind) for month, payer in payers for kind in ("csv", "parquet")}
    assert {row["tenant_id"] for row in listed.values()} == {ALPHA}
    standing = {str(path.relative_to(house / "documents")) for path in (house / "documents").rglob("*") if path.is_file()}
    assert standing == {row["file_path"] for row in listed.values()}
    assert {re.fullmatch(r"alpha/focus/2026-07/[A-Za-z0-9-]+\.(csv|parquet)", path) is not None for path in standing} == {
        True
    }


def test_the_list_says_what_stands_there(house, listed, issued):
    for (_, payer, kind), row in listed.items():
        told = content(house, row)
        rows = from_csv(told) if kind == "csv" else from_parquet(told)
        assert row["content_sha256"] == hashlib.sha256(told).hexdigest()
        assert (row["file_bytes"], row["row_count"]) == (len(told), len(rows))
        assert row["billed_cost"] == sum(line["BilledCost"] for line in rows)
        assert row["invoice_numbers"] == sorted({line["InvoiceId"] for line in rows})
        assert {line["BillingAccountId"] for line in rows} == {payer}
        assert row["billed_cost"] == sum(issued[number]["gross_amount"] for number in row["invoice_numbers"])


def test_csv_and_parquet_say_the_same(house, listed):
    for (month, payer, kind), row in listed.items():
        if kind == "csv":
            assert from_csv(content(house, row)) == from_parquet(content(house, listed[month, payer, "parquet"]))


def test_each_documents_rows_add_up_to_its_amounts(house, listed, issued):
    rows = [line for (_, _, kind), row in listed.items() if kind == "csv" for line in from_csv(content(house, row))]
    assert {line["InvoiceId"] for line in rows} == set(issued)
    for number, document in issued.items():
        mine = [line for line in rows if line["InvoiceId"] == number]
        taxed = sum(line["BilledCost"] for line in mine if line["ChargeCategory"] == "Tax")
        assert taxed == document["tax_amount"]
        assert sum(line["BilledCost"] for line in mine) - taxed == document["net_amount"]
        assert [line["x_LineNumber"] for line in mine if line["ChargeCategory"] != "Tax"] == list(
            range(1, document["line_count"] + 1)
        )
        assert {line["SubAccountId"] for line in mine} == {document["account_id"]}


def test_every_row_that_was_written_is_as_the_specification_says(spark, house, listed):
    for kind, read in (("csv", from_csv), ("parquet", from_parquet)):
        rows = [line for (_, _, form), row in listed.items() if form == kind for line in read(content(house, row))]
        schema = ", ".join(f"{column.name} {column.kind.simpleString()}" for column in focus.COLUMNS)
        told = spark.createDataFrame([tuple(line[name] for name in focus.NAMES) for line in rows], schema)
        broken = F.array_compact(F.array(*(F.when(F.expr(c.broken), F.lit(c.name)) for c in focus.COLUMNS if c.broken)))
        assert told.where(F.size(broken) > 0).count() == 0
        assert told.where("InvoiceId IS NULL").count() == 0


def rows_of(house, listed, month, payer):
    return from_csv(content(house, listed[month, payer, "csv"]))


def test_late_usage_is_a_correction_of_its_month(house, listed):
    corrected = [line for line in rows_of(house, listed, "2026-07", "a-1") if line["ChargeClass"] == "Correction"]
    (line,) = corrected
    assert (line["ChargeCategory"], line["ConsumedQuantity"], line["BilledCost"]) == ("Usage", 30, Decimal("1.5"))
    begins, ends, billed = line["ChargePeriodStart"], line["ChargePeriodEnd"], line["BillingPeriodStart"]
    british_summer = [datetime(2026, 5, 31, 23, tzinfo=UTC), *[datetime(2026, 6, 30, 23, tzinfo=UTC)] * 2]
    assert [begins, ends, billed] == british_summer


def test_a_credit_note_has_rows_like_any_document(house, listed, issued):
    rows = rows_of(house, listed, "2026-07", "a-4")
    assert [(line["ChargeCategory"], line["BilledCost"]) for line in rows] == [("Adjustment", -1), ("Tax", Decimal("-0.2"))]
    (number,) = {line["InvoiceId"] for line in rows}
    assert issued[number]["document_type"] == "credit_note"


def test_tiers_are_priced_as_one_month_and_their_flat_part_is_a_purchase(house, listed):
    network = [line for line in rows_of(house, listed, "2026-07", "a-1") if line["ServiceName"] == "network"]
    shown = ("ChargeCategory", "ConsumedQuantity", "PricingQuantity", "PricingUnit", "ListUnitPrice", "ListCost")
    assert sorted(tuple(line[name] for name in shown) for line in network) == [
        ("Purchase", None, 1, "Months", 5, 5), ("Usage", 13, 1, "Months", 115, 115),
    ]  # fmt: skip


def test_read_as_a_suppliers_focus_file_it_gives_the_same_quantities_and_costs(spark, house, listed):
    """Alpha's files become the usage of another tenant, through the columns of conf/tenants/focus-sample.yaml."""
    mapped = tenants()["focus-sample"].feeds
    # Only what the sample does not have is told otherwise: our rows are named by document and line.
    usage = mapped["usage"].model_dump(exclude_none=True)
    usage["columns"]["record_id"] = {"sql": "concat(InvoiceId, '/', coalesce(x_LineNumber, ChargeDescription))"}
    feeds = {"accounts": mapped["accounts"].model_dump(exclude_none=True), "usage": usage}
    conf_file(house, f"tenants/{GAMMA}.yaml", tenant_conf(GAMMA) | {"feeds": feeds})
    paths = [house / "documents" / row["file_path"] for (_, _, kind), row in listed.items() if kind == "csv"]
    for feed in feeds:
        land(feed, tenants()[GAMMA], paths)
    run_stage(asked("ingestion", GAMMA, period="2026-07"))
    landed = visible_rows(spark, USAGE, visible(USAGE, Snapshot.now())).where(F.col("tenant_id") == GAMMA)
    read = {row["record_id"]: row for row in landed.collect()}
    rows = [line for path in paths for line in from_csv(path.read_bytes())]
    sent = {f"{line['InvoiceId']}/{line['x_LineNumber']}": line for line in rows if line["PricingQuantity"] is not None}
    assert set(read) == set(sent) and len(sent) == 7, "a tax has no quantity, and is no usage"
    for name, line in sent.items():
        row = read[name]
        assert (row["quantity"], row["unit"], row["currency"]) == (
            line["PricingQuantity"],
            line["PricingUnit"],
            line["BillingCurrency"],
        )
        assert row["quantity"] * row["unit_price"] == line["ListCost"]
        assert (row["account_id"], row["product_id"]) == (line["SubAccountId"], line["SkuPriceId"])
        assert row["usage_start"].astimezone(UTC) == line["ChargePeriodStart"]


def state(house):
    return {path: path.read_bytes() for path in sorted((house / "documents").rglob("*")) if path.is_file()}


def test_run_again_it_writes_nothing(house):
    before = state(house)
    assert run_stage(asked("invoice_generation", ALPHA, BETA, key="again")).status == "unchanged"
    assert state(house) == before


@pytest.fixture
def august(house):
    """Another month, ready to be invoiced."""
    dropped(house, ALPHA, "usage", "august.csv", JULY.replace("2026-07", "2026-08").replace("r-", "s-"))
    for stage in ("ingestion", "billing_aggregation"):
        run_stage(asked(stage, ALPHA, period="2026-08"))
    return house


def test_a_file_that_stands_there_with_another_content_stops_the_run_and_is_left_as_it_is(august, monkeypatch):
    """Files are written before the run ends: one that was cut short leaves them, and they are found again as they were."""
    job = job_of("invoice_generation")
    with monkeypatch.context() as cut:
        cut.setattr(
            job.faults, "reach", lambda point: (_ for _ in ()).throw(KeyboardInterrupt) if point == "publish:focus" else None
        )
        with pytest.raises(KeyboardInterrupt):
            run_stage(asked("invoice_generation", ALPHA, period="2026-08"))
    left = state(august)
    mine = [path for path in left if "2026-08" in str(path)]
    assert len(mine) == 6
    storage.write_bytes(str(mine[0]), b"tampered with")
    with pytest.raises(RunBroke, match="1 FOCUS files stand in documents/ with another content"):
        run_stage(asked("invoice_generation", ALPHA, period="2026-08", key="second"))
    assert mine[0].read_bytes() == b"tampered with"
    mine[0].unlink()
    run_stage(asked("invoice_generation", ALPHA, period="2026-08", key="third"))
    assert state(august) == left
    told = [row for row in visible_arrow("invoicing.focus_files").to_pylist() if f"{row['period']:%Y-%m}" == "2026-08"]
    assert {row["file_path"]: row["content_sha256"] for row in told} == {
        str(path.relative_to(august / "documents")): hashlib.sha256(left[path]).hexdigest() for path in mine
    }

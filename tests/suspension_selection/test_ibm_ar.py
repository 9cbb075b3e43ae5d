"""Real receivables of a hundred customers, read through their mapping: states at month ends against the same policy in plain Python."""

from __future__ import annotations

import csv
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from jobs.ingestion.tables import ACCOUNTS, EXEMPTIONS, PROMISES, RECEIVABLES
from jobs.ledger.columns import AMOUNT
from jobs.ledger.tenants import tenants
from jobs.suspension_selection import transforms
from jobs.suspension_selection.settings import settings
from jobs.suspension_selection.tables import ACCOUNT_STATES
from tests.builders import canonical, collected, frame, source, table_of

FILE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ibm_ar" / "accounts_receivable.csv"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FILE.exists(), reason="the real receivables are not here (../shared/data)"),
]
TENANT = "ibm-ar"
MONTH_ENDS = (date(2012, 3, 31), date(2012, 4, 30), date(2012, 6, 30))


def day(text):
    return datetime.strptime(text, "%m/%d/%Y").date()


@pytest.fixture(scope="module")
def told():
    with FILE.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def landed(spark, told, tmp_path_factory):
    """The three feeds of the file, through conf/tenants/ibm-ar.yaml."""
    place = tmp_path_factory.mktemp("landed")
    raw = source(spark, [row | {"_tenant": TENANT} for row in told], list(told[0]))
    feeds = tenants()[TENANT].feeds
    for feed in ("open_items", "bank_transactions", "disputes"):
        canonical(raw, feed, feeds[feed]).write.parquet(str(place / feed))
    return {feed: spark.read.parquet(str(place / feed)) for feed in ("open_items", "bank_transactions", "disputes")}


def test_every_row_of_every_feed_is_accepted_and_numbers_keep_their_zeros(landed, told):
    for feed, rows in landed.items():
        assert rows.where(F.size("reasons") == 0).count() == rows.count() == 2466, feed
    found = {row["document_id"]: row for row in landed["open_items"].collect()}
    assert set(found) == {row["invoiceNumber"] for row in told}
    assert all(
        (found[row["invoiceNumber"]]["document_date"], found[row["invoiceNumber"]]["due_date"])
        == (day(row["InvoiceDate"]), day(row["DueDate"]))
        for row in told
    )
    assert landed["disputes"].where("valid_to > valid_from").count() == sum(row["Disputed"] == "Yes" for row in told) == 561
    assert collected(landed["bank_transactions"].agg(F.sum("amount"))) == [
        (str(sum(Decimal(row["InvoiceAmount"]) for row in told)).rstrip("0"),)
    ]


def expected_states(told, ends):
    """The states of the policy ibm-ar at each month end, in plain Python."""
    order, states, seen = ["current", "warned", "suspended", "terminated"], {}, []
    for end in ends:
        debts = {}
        for row in told:
            is_open = day(row["InvoiceDate"]) <= end < day(row["SettledDate"])
            if is_open and day(row["DueDate"]) < end and row["Disputed"] == "No":
                debts.setdefault(row["customerID"], []).append(row)
        for customer in {row["customerID"] for row in told}:
            mine = debts.get(customer, [])
            balance = sum((Decimal(row["InvoiceAmount"]) for row in mine), Decimal(0))
            oldest = max(((end - day(row["DueDate"])).days for row in mine), default=0)
            said = 0
            if len(mine) >= 1:
                said = 1
            if len(mine) >= 2 or (oldest >= 7 and balance >= 60):
                said = 2
            if oldest >= 15 and len(mine) >= 2:
                said = 3
            before = order.index(states.get(customer, "current"))
            states[customer] = order[0 if said == 0 else max(before, said)]
        seen.append({customer: state for customer, state in states.items() if state != "current"})
    return seen


def found_states(spark, landed, ends):
    """The same through the stage's transforms, each month end going on from the one before."""
    opened = landed["open_items"].select(
        "tenant_id", F.lit("accounts_receivable").alias("ledger_account"), F.col("account_id").alias("party_id"), "document_id",
        F.col("document_id").alias("document_number"), "document_date", "due_date", "currency", F.col("open_amount").cast(AMOUNT).alias("open_amount"),
    )  # fmt: skip
    paid = landed["bank_transactions"].select("tenant_id", F.col("reference").alias("document_id"), "booking_date", "amount")
    order = frame(
        spark, "publication_id string, place int", [{"publication_id": str(end), "place": n} for n, end in enumerate(ends)]
    )
    written, seen = [], []
    for end in ends:
        assigned = {TENANT: settings().of(TENANT, end)}
        policies = transforms.distinct_policies(assigned)
        states = table_of(spark, ACCOUNT_STATES, written)
        documents = transforms.open_on(opened, paid.where(F.col("booking_date") <= F.lit(end)), end)
        accounts = transforms.with_policy(spark, table_of(spark, ACCOUNTS, []), documents, states, assigned)
        counted = transforms.counting(
            spark, documents, accounts, landed["disputes"], table_of(spark, PROMISES, []), table_of(spark, EXEMPTIONS, []),
            table_of(spark, RECEIVABLES, []), policies, end,
        )  # fmt: skip
        nothing = frame(
            spark, "tenant_id string, account_id string, currency string, covered decimal(18,3), told string", []
        )
        before = transforms.standing_states(states, order, end)
        every = transforms.evaluated(accounts, counted, nothing, before, policies, end)
        changes = transforms.changes(every, transforms.standing_states(states, order), end).collect()
        written += [row.asDict() | {"publication_id": str(end)} for row in changes]
        now = {}
        for row in sorted(written, key=lambda row: row["valid_from"]):
            now[row["account_id"]] = row["state"]
        seen.append({account: state for account, state in now.items() if state != "current"})
    return seen


def test_states_at_month_ends_are_those_of_a_plain_computation(spark, landed, told):
    expected = expected_states(told, MONTH_ENDS)
    assert {state for states in expected for state in states.values()} == {"warned", "suspended", "terminated"}
    assert found_states(spark, landed, MONTH_ENDS) == expected

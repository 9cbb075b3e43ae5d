"""All 12,262 labelled payments against all 15,527 invoices: precision and recall of what is applied and suggested.

The figures are left in artifacts/pay-to-inv.json. Rows are read as the tenant's mapping reads them; the matching works on frames,
because the invoices are of 25 years and their months would each have to be posted.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.cash_matching import transforms
from jobs.cash_matching.settings import settings
from jobs.cash_matching.suggestions import payers, suggestions
from jobs.cash_matching.tables import APPLICATIONS
from jobs.ingestion.decode import decoded
from jobs.ingestion.files import LandingFile
from jobs.ingestion.tables import ACCOUNTS
from jobs.ledger.columns import AMOUNT
from jobs.ledger.tenants import tenants
from tests.builders import canonical, frame, table_of
from tests.cash_matching.pay_to_inv import DATA, TENANT, Measured, by_pair, by_payment, labels

pytestmark = pytest.mark.skipif(
    not DATA.exists(), reason="the labelled payments are not beside this checkout (../shared/data)"
)
DAY = date(2025, 12, 31)
FIGURES = Path(__file__).resolve().parents[2] / "artifacts" / "pay-to-inv.json"


@pytest.fixture(scope="module")
def measured(spark, tmp_path_factory):
    """Every figure by name."""
    place = tmp_path_factory.mktemp("matching")

    def kept(name: str, rows: DataFrame) -> DataFrame:
        rows.write.parquet(str(place / name))
        return spark.read.parquet(str(place / name))

    def read(feed: str, name: str) -> DataFrame:
        mapping = tenants()[TENANT].feeds[feed]
        file = LandingFile(TENANT, feed, DATA / name, 0, name, mapping)
        rows = kept(feed, canonical(decoded(spark, [file], mapping), feed, mapping))
        assert rows.where(F.size("reasons") > 0).count() == 0
        return rows

    invoices, lines = read("open_items", "invoices.csv.gz"), read("bank_transactions", "payments.csv.gz")
    items = invoices.select(
        "tenant_id", F.lit("accounts_receivable").alias("ledger_account"), F.lit("pay-to-inv-us").alias("legal_entity_id"),
        F.col("account_id").alias("party_id"), "document_id", F.col("document_id").alias("document_number"), "document_date",
        "due_date", "currency", *(F.col(name).cast(AMOUNT).alias(name) for name in ("original_amount", "open_amount")),
    )  # fmt: skip
    policy = settings()
    before, accounts = table_of(spark, APPLICATIONS, []), table_of(spark, ACCOUNTS, [])
    owners = frame(spark, "tenant_id string, bank_account string, legal_entity_id string", [])
    sole = frame(
        spark, "tenant_id string, sole_entity_id string", [{"tenant_id": TENANT, "sole_entity_id": "pay-to-inv-us"}]
    )
    of_payers = accounts.select("tenant_id", "account_id", "payer_account_id")
    documents = kept("documents", transforms.open_documents(items, before, of_payers))
    keys = kept("keys", transforms.document_keys(documents, transforms.references(invoices), policy))
    received = kept("receipts", transforms.receipts(lines, before, owners, sole, DAY))
    found = kept("found", transforms.candidates(received, policy))
    named = kept("named", transforms.named(found, keys, documents))
    decided = kept("decided", transforms.decided(received, found, named, transforms.customers(accounts)))
    paying = kept("payers", payers(decided, documents, invoices.select("tenant_id", "account_id", "legal_name"), policy))
    best = suggestions(decided, paying, documents, keys, policy, DAY).where(F.col("rank") == 1)
    applied: dict[str, set[str]] = defaultdict(set)
    for row in transforms.applications(decided, DAY).select("transaction_id", "document_id").collect():
        applied[row["transaction_id"]].add(row["document_id"])
    first = {row["transaction_id"]: row["document_ids"] for row in best.select("transaction_id", "document_ids").collect()}
    left = set(labels()) - set(applied)
    figures = {
        "applied, by payment": by_payment(applied, labels()),
        "applied, by pair": by_pair(applied, labels()),
        "first suggestion, by payment left": by_payment(first, left),
        "first suggestion, by pair left": by_pair(first, left),
        "both, by pair": by_pair({**first, **applied}, labels()),
    }
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps({name: str(told) for name, told in figures.items()}, indent=1) + "\n", encoding="utf-8")
    return figures


LEAST = {
    # figure: (precision, recall) at least
    "applied, by payment": (1.0, 0.36),
    "applied, by pair": (1.0, 0.40),
    "first suggestion, by payment left": (0.85, 0.85),
    "first suggestion, by pair left": (0.95, 0.70),
}


@pytest.mark.parametrize("name", LEAST)
def test_figures_are_no_worse_than_they_were(measured: dict[str, Measured], name: str):
    precision, recall = LEAST[name]
    assert measured[name].precision >= precision, str(measured[name])
    assert measured[name].recall >= recall, str(measured[name])

"""Months of a German tenant of which July is rebilled: what was told late is landed, decided again, issued, posted and rendered.

The tests of this module are one story and run in the order they stand in.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from jobs.invoice_generation import exact_checks, official_rules
from jobs.runtime import identities
from jobs.runtime.books import visible_arrow
from jobs.runtime.environment import documents
from jobs.runtime.spark_server import jar_folder
from jobs.runtime.verbs import run_stage
from tests.builders import ALPHA, asked, collected, conf_file, dropped, goes_through, published, tenant_conf
from tests.invoice_generation.taxed import vat_id

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow
MONTH = ("ingestion", "billing_aggregation", "invoice_generation", "ledger_posting")
ITALIAN, SPANISH = vat_id("IT"), vat_id("ES")
SELLER = {
    "id": "alpha-de", "country": "DE", "timezone": "Europe/Berlin", "invoice_prefix": "A", "tax_policy": "eu-seller",
    "name": "Alpha Wolken GmbH", "tax_id": vat_id("DE"), "registration_number": "HRB 1", "email": "rechnung@alpha.example",
    "address": {"street": "Wolkenweg 1", "city": "Berlin", "postal_code": "10115"},
    "bank_accounts": [{"iban": "DE89370400440532013000", "bic": "COBADEFFXXX", "currency": "EUR"}],
}  # fmt: skip
HEAD = "account,name,country,currency,street,city,zip,vat,since\n"
PLACES = {
    "it": ("IT", "Roma", "00100"),
    "de": ("DE", "Bonn", "53111"),
    "es": ("ES", "Madrid", "28001"),
    "mv": ("DE", "Kehl", "77694"),
}
PRICES = "price,product,currency,since,unit_price\np-1,storage,EUR,2026-01-01,0.5\np-2,backup,EUR,2026-01-01,0.01\n"
FEEDS = {
    "tax_registrations": ("tax_id", "country", "status", "checked_at"),
    "invoice_corrections": ("correction_id", "invoice_number", "month", "action", "requested_on", "reason"),
}


def accounts(**more: str) -> str:
    """All accounts, or some again with what is told of them later."""
    rows, since = [], "2026-07-15" if more else "2026-01-01"
    for account in more or PLACES:
        country, city, code = PLACES[account] if account != "mv" or not more else ("FR", "Strasbourg", "67000")
        rows.append(f"{account},Somebody,{country},EUR,1 Main Street,{city},{code},{more.get(account, '')},{since}")
    return HEAD + "\n".join(rows) + "\n"


def used(month: str, *names: str) -> str:
    rows = [
        f"{product}-{name}-{month},{name},{product},{month}-10 12:00:00,{units}"
        for name in names
        for product, units in (("storage", 201), ("backup", 1234))
    ]
    return "\n".join(["id,account,product,at,units", *rows]) + "\n"


@pytest.fixture(scope="module")
def july(spark, shared_home):
    """July as it was known: nobody has told a number."""
    conf = tenant_conf(ALPHA)
    conf["legal_entities"] = [SELLER]
    conf["feeds"]["accounts"]["columns"] |= {
        "street": "street",
        "city": "city",
        "postal_code": "zip",
        "tax_id": "vat",
        "valid_from": "since",
    }
    conf["feeds"] |= {feed: {"columns": {name: name for name in names}} for feed, names in FEEDS.items()}
    conf_file(shared_home, f"tenants/{ALPHA}.yaml", conf)
    for feed, content in {"accounts": accounts(), "prices": PRICES, "usage": used("2026-07", *PLACES)}.items():
        dropped(shared_home, ALPHA, feed, f"{feed}.csv", content)
    goes_through("2026-07", *MONTH)
    return {row["account_id"]: row["invoice_number"] for row in published(spark, "invoicing.invoices", "2026-07").collect()}


@pytest.fixture(scope="module")
def august(spark, shared_home, july):
    """Two tell their numbers, one of which is in check; one has moved; July is to be rebilled."""
    dropped(shared_home, ALPHA, "accounts", "later.csv", accounts(it=ITALIAN, es=SPANISH, mv=""))
    dropped(shared_home, ALPHA, "usage", "august.csv", used("2026-08", "de"))
    dropped(shared_home, ALPHA, "tax_registrations", "checks.csv",
            ",".join(FEEDS["tax_registrations"]) + f"\n{ITALIAN},IT,valid,2026-08-03 10:00:00\n{SPANISH},ES,in_check,2026-08-03 10:00:00\n")  # fmt: skip
    dropped(shared_home, ALPHA, "invoice_corrections", "corrections.csv",
            ",".join(FEEDS["invoice_corrections"]) + "\nk-1,,2026-07,rebill,2026-08-05,told late\nk-2,,2026-08,rebill,2026-08-05,too soon\n"
            f"k-3,{july['it']},2026-07,rebill,2026-08-05,both\nk-4,,2026-07,cancel,2026-08-05,no month\nk-5,,,rebill,2026-08-05,nothing\n")  # fmt: skip
    goes_through("2026-08", *MONTH)
    return published(spark, "invoicing.invoices", "2026-08").where("original_invoice_id IS NOT NULL")


def test_what_differs_is_issued_under_numbers_of_its_own(august):
    # 100.50 + 12.34: 22 % for Italy goes back, 24.82; 19 % of Germany, 21.44, becomes 20 % of France, 22.57
    assert collected(august, "account_id", "document_type", "net_amount", "tax_amount", "customer_country", "correction_reason") == [
        ("it", "corrective_invoice", "0", "-24.82", "IT", "told late"), ("mv", "corrective_invoice", "0", "1.13", "FR", "told late"),
    ]  # fmt: skip
    assert sorted(row["invoice_number"] for row in august.collect()) == ["ACI-2026-0000001", "ACI-2026-0000002"]


def test_every_invoice_of_the_month_is_answered(spark, august, july):
    answers = collected(published(spark, "invoicing.corrections", "2026-08"), "correction_id", "status", "reason_code")
    assert {name.removeprefix("k-1/"): found for name, *found in answers} == {
        july["de"]: ["refused", "it is as it should be"], july["es"]: ["refused", "its tax cannot be decided: id_in_check"],
        july["it"]: ["done", None], july["mv"]: ["done", None],
    }  # fmt: skip
    refused = published(spark, "raw.quarantine").where("feed = 'invoice_corrections'").collect()
    assert sorted(tuple(row["reasons"]) for row in refused) == [
        ("invoice_number: missing",), ("invoice_number: missing", "month: only a rebill is of a whole month"),
        ("month: beside an invoice_number",), ("month: not over when it was asked for",),
    ]  # fmt: skip


def test_the_originals_have_the_tax_they_should_have_open(spark, august):
    items = published(spark, "ledger.open_items", "2026-08").where("document_date = '2026-08-01' OR open_amount <> 0")
    open_of = {row["party_id"]: row["open_amount"] for row in items.where("document_number LIKE 'A-%'").collect()}
    told = {"it": "112.84", "mv": "135.41", "es": "136.54"}
    assert {name: str(open_of[name])[:-1] for name in told} == told
    assert [finding for finding in identities.verify() if finding.broken] == []


def test_its_file_is_a_corrected_invoice_that_breaks_no_rule(august):
    run_stage(replace(asked("invoice_generation", ALPHA, key="files", period="2026-08"), lane="documents"))
    originals = {row["invoice_id"] for row in august.collect()}
    files = [row for row in visible_arrow("invoicing.documents").to_pylist() if row["invoice_id"] in originals]
    assert sorted((row["format"], row["left_out"]) for row in files) == [
        ("pdf", None),
        ("pdf", None),
        ("ubl", None),
        ("ubl", None),
    ]
    for row in (row for row in files if row["format"] == "ubl"):
        with open(f"{documents()}/{row['file_path']}", "rb") as file:
            content = file.read()
        assert b"<cbc:InvoiceTypeCode>384</cbc:InvoiceTypeCode>" in content
        assert official_rules.failed(content, "en16931", str(jar_folder())) == []
        assert exact_checks.said(content).originals


def test_the_second_run_does_nothing(august):
    assert [outcome.status for outcome in goes_through("2026-08", *MONTH)] == ["unchanged"] * 4
    assert date(2026, 9, 1) in {row["issue_date"] for row in august.collect()}

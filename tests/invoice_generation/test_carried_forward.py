"""Two months of whole runs: what June cannot issue, July does, once; the feeds that decide it come in between.

The tests of this module are one story and run in the order they stand in.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal

import pytest

from jobs.runtime import identities
from jobs.runtime.books import visible_arrow
from jobs.runtime.trace import invoice
from jobs.runtime.verbs import run_stage
from tests.builders import ALPHA, BETA, OF_A_MONTH, asked, conf_file, dropped, tenant_conf
from tests.invoice_generation.taxed import vat_id

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow
BOTH = (ALPHA, BETA)
JUNE, JULY = date(2026, 6, 1), date(2026, 7, 1)
ITALIAN, SPANISH = vat_id("IT"), vat_id("ES")
ACCOUNTS = (
    "account,name,country,currency,tax_id,jurisdiction\n"
    f"it,Somebody srl,IT,EUR,{ITALIAN},\nes,Somebody sl,ES,EUR,{SPANISH},\nde,Somebody gmbh,DE,EUR,,\nus,Somebody inc,US,USD,,06-037\n"
)
PRICES = "price,product,currency,since,unit_price\np-1,storage,EUR,2026-01-01,0.50\np-2,storage,USD,2026-01-01,0.70\n"
COLUMNS = {
    "tax_rates": ("jurisdiction", "rate", "valid_from"),
    "tax_registrations": ("tax_id", "country", "status", "checked_at"),
}


def conf(name: str) -> dict:
    told = tenant_conf(name, prefix=name[0].upper())
    told["feeds"]["accounts"]["columns"] |= {"tax_id": "tax_id", "tax_jurisdiction": "jurisdiction"}
    told["feeds"] |= {feed: {"columns": {column: column for column in columns}} for feed, columns in COLUMNS.items()}
    european = {
        "id": f"{name}-de",
        "country": "DE",
        "timezone": "Europe/Berlin",
        "invoice_prefix": name[0].upper(),
        "tax_policy": "eu-seller",
    }
    american = {"id": f"{name}-us", "country": "US", "timezone": "America/New_York", "invoice_prefix": "U", "serves": ["US"],
                "tax_policy": "us-sales-tax"}  # fmt: skip
    return told | {"legal_entities": [european, american]}


def used(month: str) -> str:
    rows = [f"{account}-{month},{account},storage,{month}-10 12:00:00,100" for account in ("it", "es", "de", "us")]
    return "\n".join(["id,account,product,at,units", *rows]) + "\n"


def checked(*rows: tuple[str, str, str, str]) -> str:
    return "\n".join([",".join(COLUMNS["tax_registrations"]), *(",".join(row) for row in rows)]) + "\n"


@pytest.fixture(scope="module")
def june(spark, shared_home):
    """June of both: alpha's Italian id is in check, of the Spanish one nobody knows, and no rate of the American jurisdiction has come."""
    for name in BOTH:
        conf_file(shared_home, f"tenants/{name}.yaml", conf(name))
        dropped(shared_home, name, "accounts", "accounts.csv", ACCOUNTS)
        dropped(shared_home, name, "prices", "prices.csv", PRICES)
        dropped(shared_home, name, "usage", "june.csv", used("2026-06"))
    dropped(shared_home, ALPHA, "tax_registrations", "june.csv", checked((ITALIAN, "IT", "in_check", "2026-06-20 10:00:00")))
    dropped(shared_home, BETA, "tax_registrations", "june.csv", checked(
        (ITALIAN, "IT", "valid", "2026-06-20 10:00:00"), (SPANISH, "ES", "valid", "2026-06-20 10:00:00"),
        (SPANISH, "ES", "perhaps", "2026-06-21 10:00:00"),
    ))  # fmt: skip
    dropped(
        shared_home,
        BETA,
        "tax_rates",
        "june.csv",
        "jurisdiction,rate,valid_from\n06-037,0.0725,2026-01-01\n06-038,7.25,2026-01-01\n",
    )
    for stage in OF_A_MONTH:
        run_stage(asked(stage.name, *BOTH, period="2026-06", key="june"))
    return shared_home


def carried(month: date, tenant: str = ALPHA) -> dict[str, str]:
    rows = visible_arrow("invoicing.carried_forward").to_pylist()
    return {row["account_id"]: row["reason_code"] for row in rows if (row["tenant_id"], row["period"]) == (tenant, month)}


def documents(month: date, tenant: str = ALPHA) -> dict[str, dict]:
    rows = visible_arrow("invoicing.invoices").to_pylist()
    return {row["account_id"]: row for row in rows if (row["tenant_id"], row["period"]) == (tenant, month)}


def lines(month: date, account: str, tenant: str = ALPHA) -> list[tuple]:
    document = documents(month, tenant)[account]["invoice_id"]
    rows = [row for row in visible_arrow("invoicing.invoice_lines").to_pylist() if row["invoice_id"] == document]
    return sorted((row["service_period"], row["line_amount"], row["tax_category"]) for row in rows)


def test_what_cannot_be_decided_is_carried_forward_and_is_no_receivable(june):
    assert carried(JUNE) == {"it": "id_in_check", "es": "id_unknown", "us": "unknown_jurisdiction"}
    assert set(documents(JUNE)) == {"de"}
    posted = {row["document_id"] for row in visible_arrow("ledger.journal_lines").to_pylist() if row["tenant_id"] == ALPHA}
    assert posted == {documents(JUNE)["de"]["invoice_id"]}


def test_a_tenant_that_knows_issues_all(june):
    assert carried(JUNE, BETA) == {}
    assert set(documents(JUNE, BETA)) == {"it", "es", "de", "us"}
    assert lines(JUNE, "it", BETA) == [(JUNE, Decimal("50.000"), "AE")]
    assert documents(JUNE, BETA)["us"]["tax_amount"] == Decimal("5.080")  # 7.25 % of 70.00


def test_a_status_or_rate_that_cannot_be_is_quarantined(june):
    rows = visible_arrow("raw.quarantine").to_pylist()
    assert {row["feed"]: row["reasons"] for row in rows} == {
        "tax_registrations": ["status: not one of valid, invalid, in_check"], "tax_rates": ["rate: not a share from 0 to below 1"],
    }  # fmt: skip
    assert not [row for row in rows if SPANISH in (row["source_row"] or "")], "an id stays in its table"


@pytest.fixture(scope="module")
def july(june):
    """The Italian id turns out valid; the Spanish one is still unknown, and a rate of the American jurisdiction comes."""
    for name in BOTH:
        dropped(june, name, "usage", "july.csv", used("2026-07"))
    dropped(june, ALPHA, "tax_registrations", "july.csv", checked((ITALIAN, "IT", "valid", "2026-07-03 10:00:00")))
    dropped(
        june,
        ALPHA,
        "tax_rates",
        "july.csv",
        "jurisdiction,rate,valid_from\n06-037,0.10,2026-07-01\n06-037,0.0725,2026-01-01\n",
    )
    for stage in OF_A_MONTH:
        run_stage(asked(stage.name, *BOTH, period="2026-07", key="july"))
    return june


def test_the_next_month_bills_it_with_its_own(july):
    assert set(documents(JULY)) == {"it", "de", "us"}
    assert lines(JULY, "it") == [(JUNE, Decimal("50.000"), "AE"), (JULY, Decimal("50.000"), "AE")]
    assert lines(JULY, "de") == [(JULY, Decimal("50.000"), "S")]


def test_a_charge_bears_the_rate_of_the_month_it_belongs_to(july):
    taxes = visible_arrow("invoicing.invoice_taxes").to_pylist()
    mine = [row for row in taxes if row["invoice_id"] == documents(JULY)["us"]["invoice_id"]]
    assert sorted((row["tax_rate"], row["tax_amount"]) for row in mine) == [
        (Decimal("0.072500"), Decimal("5.080")), (Decimal("0.100000"), Decimal("7.000")),
    ]  # fmt: skip


def test_what_still_cannot_be_issued_is_carried_on(july):
    rows = [row for row in visible_arrow("invoicing.carried_forward").to_pylist() if row["period"] == JULY]
    assert sorted((row["account_id"], row["service_period"], row["reason_code"]) for row in rows) == [
        ("es", JUNE, "id_unknown"), ("es", JULY, "id_unknown"),
    ]  # fmt: skip


def test_every_charge_is_on_one_issued_line_or_open_by_name(july):
    charges = {(row["tenant_id"], row["charge_id"]): row["amount"] for row in visible_arrow("billing.charges").to_pylist()}
    issued = Counter((row["tenant_id"], row["charge_id"]) for row in visible_arrow("invoicing.invoice_lines").to_pylist())
    waiting = {
        (row["tenant_id"], row["charge_id"])
        for row in visible_arrow("invoicing.carried_forward").to_pylist()
        if row["period"] == JULY
    }
    assert set(issued.values()) == {1}
    assert not set(issued) & waiting
    assert set(issued) | waiting == set(charges)
    findings = identities.verify()
    assert [finding for finding in findings if not finding.holds] == []
    assert "what was carried forward is issued once at most" in {finding.identity for finding in findings}


def test_an_invoice_tells_where_a_carried_charge_comes_from(july):
    chain = invoice(documents(JULY)["it"]["invoice_number"], ALPHA)
    assert chain.problems == ()
    assert {line["charge"]["carried_from"] for line in chain.lines} == {"2026-06", None}


def test_run_again_nothing_is_written_and_nothing_taken_twice(july):
    assert run_stage(asked("invoice_generation", *BOTH, period="2026-07", key="again")).status == "unchanged"
    assert run_stage(asked("invoice_generation", *BOTH, period="2026-06", key="again")).status == "unchanged"

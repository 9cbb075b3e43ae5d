"""The lane of documents in whole runs: a month is billed and issued, its documents rendered, judged and let stand; then all over again.

The tests of this module are one story and run in the order they stand in.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from jobs.invoice_generation import document_lane, exact_checks, official_rules
from jobs.invoice_generation.document_lane import Looked
from jobs.ledger.months import invoiced
from jobs.ledger.periods import Period
from jobs.runtime.books import visible_arrow
from jobs.runtime.contract import NOTHING_TO_DO
from jobs.runtime.errors import CallError, GateFailed, RunBroke, UpstreamMissing
from jobs.runtime.house import Snapshot
from jobs.runtime.spark_server import jar_folder
from jobs.runtime.verbs import run_stage
from tests.builders import ALPHA, BETA, asked, conf_file, dropped, goes_through, tenant_conf

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow
MONTH = "2026-07"
GAMMA = "gamma"
ACCOUNTS = (
    "account,name,country,currency,street,city,zip,vat,mail\n"
    "a-1,Ada & Söhne Ltd,GB,GBP,1 High Street,Leeds,LS1 1AA,GB987654321,ap@ada.example\n"
    "a-2,Bob Inc.,US,USD,2 Main Street,Springfield,12345,,\n"
    "a-3,山田製作所株式会社,JP,GBP,,,,,\n"
)
PRICES = "price,product,currency,since,unit_price\np-1,storage,GBP,2026-01-01,0.05\np-2,storage,USD,2026-01-01,0.07\n"
USAGE = (
    "id,account,product,at,units\nr-1,a-1,storage,2026-07-10 12:00:00,100\nr-2,a-2,storage,2026-07-31 12:30:00,50\n"
    "r-3,a-3,storage,2026-07-10 12:00:00,33.3\nr-4,a-1,storage,2026-07-11 12:00:00,1.5\n"
)
TELLING = {
    "name": "Alpha Clouds Ltd", "tax_id": "GB123456789", "registration_number": "01234567", "email": "billing@alpha.example",
    "address": {"street": "1 Cloud Street", "city": "London", "postal_code": "EC1A 1AA"},
    "bank_accounts": [{"iban": "GB29NWBK60161331926819", "bic": "NWBKGB2L", "currency": "GBP"}],
}  # fmt: skip


def conf(tenant, entity):
    told = tenant_conf(tenant, prefix=tenant[0].upper())
    told["feeds"]["accounts"]["columns"] |= {
        "street": "street",
        "city": "city",
        "postal_code": "zip",
        "tax_id": "vat",
        "email": "mail",
    }
    told["legal_entities"][0] |= entity
    return told


def rendering(*tenants, key="documents", **parameters):
    return run_stage(replace(asked("invoice_generation", *tenants, key=key, period=MONTH, **parameters), lane="documents"))


@pytest.fixture(scope="module")
def house(spark, shared_home):
    """Alpha says all of itself, beta nothing; gamma has a customer whose name no font shows."""
    for name, entity in ((ALPHA, TELLING), (BETA, {}), (GAMMA, TELLING)):
        conf_file(shared_home, f"tenants/{name}.yaml", conf(name, entity))
        dropped(
            shared_home,
            name,
            "accounts",
            "accounts.csv",
            ACCOUNTS.replace("Bob Inc.", "شركة بوب") if name == GAMMA else ACCOUNTS,
        )
        dropped(shared_home, name, "prices", "prices.csv", PRICES)
        dropped(shared_home, name, "usage", "july.csv", USAGE)
    goes_through(MONTH, "ingestion", "billing_aggregation", tenants=(ALPHA, BETA, GAMMA))
    return shared_home


def listed():
    return visible_arrow("invoicing.documents").to_pylist()


def test_nothing_is_rendered_before_it_is_issued(house):
    with pytest.raises(UpstreamMissing, match="nothing of tenant alpha was issued"):
        rendering(ALPHA)
    with pytest.raises(CallError, match="no lane 'papers'"):
        run_stage(replace(asked("invoice_generation", ALPHA, period=MONTH), lane="papers"))


def test_a_share_that_is_none_is_refused(house):
    goes_through(MONTH, "invoice_generation", tenants=(ALPHA, BETA, GAMMA))
    for share in ("2", "much"):
        with pytest.raises(CallError, match="not a number from 0 to 1"):
            rendering(ALPHA, validated_share=share)


def test_what_can_be_rendered_stands_and_the_rest_is_held(house):
    with pytest.raises(GateFailed, match=r"tenant gamma(.|\n)*unshown_sign U\+0634"):
        rendering(ALPHA, BETA, GAMMA, validated_share="1")
    rows = listed()
    assert {row["tenant_id"] for row in rows} == {ALPHA, BETA} and len(rows) == 12
    issued = {row["invoice_id"]: row for row in visible_arrow("invoicing.invoices").to_pylist()}
    for row in rows:
        assert row["invoice_number"] == issued[row["invoice_id"]]["invoice_number"] and row["period"] == date(2026, 7, 1)
        if row["tenant_id"] == BETA and row["format"] == "ubl":
            assert row["left_out"] == "seller_without_tax_number" and row["file_path"] is None
            continue
        content = (house / "documents" / row["file_path"]).read_bytes()
        assert row["left_out"] is None and hashlib.sha256(content).hexdigest() == row["content_sha256"]
        if row["format"] == "ubl":
            assert row["rules_checked"] and row["failed_rules"] == []
            assert official_rules.failed(content, row["layout"], str(jar_folder())) == []
            assert exact_checks.said(content).totals["PayableAmount"] == issued[row["invoice_id"]]["payable_amount"]
    assert {row["language"] for row in rows if row["format"] == "pdf"} == {"en", "ja"}
    assert {row["layout"] for row in rows if row["tenant_id"] == ALPHA and row["format"] == "ubl"} == {"peppol", "en16931"}


def test_the_files_are_what_is_listed_and_nothing_else(house):
    found = {str(path.relative_to(house / "documents")) for path in (house / "documents").rglob("*") if path.is_file()}
    assert found == {row["file_path"] for row in listed() if row["file_path"]}


def test_nothing_is_rendered_twice_and_the_months_stay_as_they_were(house):
    before = listed()
    assert rendering(ALPHA, BETA, key="again").status == NOTHING_TO_DO
    conf_file(house, f"tenants/{BETA}.yaml", conf(BETA, TELLING))
    assert rendering(ALPHA, BETA, key="beta says more of itself").status == NOTHING_TO_DO
    assert listed() == before
    assert invoiced(Snapshot.now(), ALPHA) == [MONTH]


def test_the_ledger_posts_what_was_issued_whether_or_not_it_is_rendered(house):
    assert [one.status for one in goes_through(MONTH, "ledger_posting", tenants=(ALPHA, GAMMA))] == ["done"]


def test_a_file_that_somebody_put_there_is_not_overwritten(house):
    mended = conf(GAMMA, TELLING)
    mended["feeds"]["accounts"]["columns"]["legal_name"] = {"sql": "regexp_replace(name, '[^ -~]+', 'x')"}
    conf_file(house, f"tenants/{GAMMA}.yaml", mended)
    run_stage(asked("ingestion", GAMMA, key="replay", period=MONTH, replay=f"{GAMMA}/accounts/accounts.csv"))
    number = next(row for row in visible_arrow("invoicing.invoices").to_pylist() if row["tenant_id"] == GAMMA)
    squatter = (
        house / "documents" / GAMMA / "invoices" / MONTH / f"{number['invoice_number']}-{number['invoice_id'][:16]}.pdf"
    )
    squatter.parent.mkdir(parents=True)
    squatter.write_bytes(b"mine")
    with pytest.raises(RunBroke, match="1 files stand in documents/ with another content"):
        rendering(GAMMA, key="squatted")
    assert squatter.read_bytes() == b"mine" and GAMMA not in {row["tenant_id"] for row in listed()}
    squatter.unlink()
    assert rendering(GAMMA, key="moved away").status in ("done", NOTHING_TO_DO)  # what was judged is rolled forward
    assert len([row for row in listed() if row["tenant_id"] == GAMMA]) == 6
    assert squatter.read_bytes().startswith(b"%PDF")


def test_all_files_are_looked_at_on_demand(house, spark):
    july = Period(MONTH)
    assert document_lane.looked_at(spark, Snapshot.now(), july, (ALPHA, BETA), Decimal(1)) == [
        Looked(ALPHA, 6, 0, 0, None),
        Looked(BETA, 3, 0, 0, None),
    ]
    told = next(row for row in listed() if row["tenant_id"] == ALPHA and row["format"] == "ubl")
    file = house / "documents" / told["file_path"]
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content.replace(b"storage", b"stories"))
    assert document_lane.looked_at(spark, Snapshot.now(), july, (ALPHA,), Decimal(1)) == [
        Looked(ALPHA, 6, 1, 0, f"{told['invoice_id']} ubl")
    ]
    file.unlink()
    assert document_lane.looked_at(spark, Snapshot.now(), july, (ALPHA,), Decimal(1))[0].changed == 1
    file.write_bytes(content)
    assert document_lane.looked_at(spark, Snapshot.now(), july, (ALPHA,), Decimal(0)) == []


def test_the_ledger_does_not_run_again_for_documents(house):
    assert [one.status for one in goes_through(MONTH, "ledger_posting", tenants=(ALPHA,))] == [NOTHING_TO_DO]
    assert Decimal(0) < sum(row["gross_amount"] for row in visible_arrow("invoicing.invoices").to_pylist())

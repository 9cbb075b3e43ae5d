"""What status says of a house, and of one tenant of it."""

from __future__ import annotations

import pytest

from jobs.runtime import status
from tests.runtime import handmade


@pytest.fixture(scope="module")
def furnished(shared_home):
    """Alpha's January through every stage; beta held by the gate of billing; a publication that was cut short."""
    handmade.furnish(shared_home, ["alpha"])
    handmade.tenant_file(shared_home, "beta")
    handmade.land("beta")
    handmade.ended(
        "billing_aggregation", "beta", "audit", "held", "held-one", detail='{"held": ["beta"]}', message="1 tenants held"
    )
    handmade.verdict("billing_aggregation", "beta", success=False)
    handmade.ended("ledger_posting", "alpha", "publish", "started", "cut-short-one", message="")
    handmade.commit(
        "billing.waiting",
        [{"period": handmade.JANUARY, "record_id": "r9", "quantity": 4, "reason": "came late"}],
        "late",
        "alpha",
        "ingestion",
    )
    handmade.complete("ingestion", "alpha", "late", [], {("2026-01", "usage"): {}})
    refused = {
        "landing_id": "again",
        "feed": "usage",
        "file_name": "again.csv",
        "status": "refused_duplicate",
        "reason": "same content",
    }
    version = handmade.commit("raw.landed_files", [refused], "refusal", "beta", "ingestion")
    handmade.complete("ingestion", "beta", "refusal", [version], {("all", "files"): {}})
    return shared_home


def test_every_unit_stands_somewhere(house):
    found = {(unit.stage, unit.tenant_id): unit.state for unit in status.standings()}
    assert found["billing_aggregation", "alpha"] == status.FROZEN
    assert found["ledger_posting", "alpha"] == status.PUBLISHED
    assert found["billing_aggregation", "beta"] == status.HELD
    assert found["invoice_generation", "beta"] == status.MISSING


def test_tell_says_what_waits_for_a_person(house):
    said = status.tell()
    assert "billing_aggregation 2026-01 holds beta: what is promised holds." in said
    assert "publication cut-shor of run ledger_posting-2026-01-alpha was cut short" in said
    assert "alpha: 1 usage rows of 2026-01 came after its invoices" in said
    assert "beta: 1 files were refused" in said
    assert "1 frozen, 1 held" in said
    assert "quantity: missing" in said
    assert "It would be billed twice." in said


def test_tell_of_one_tenant_is_silent_about_the_others(house):
    assert "beta" not in status.tell("alpha")
    assert "alpha" not in status.tell("beta").replace(str(house), "")


def test_a_mended_tenant_is_not_held_any_more(house):
    handmade.ended("billing_aggregation", "beta", "audit", "done", "mended")
    handmade.bill("beta")
    assert {unit.state for unit in status.standings("beta") if unit.stage == "billing_aggregation"} == {status.PUBLISHED}


def test_an_empty_home_has_a_status(home):
    assert "nothing has been published yet" in status.tell()


def ran(stage, period, lane="main", name="one"):
    """A complete publication of alpha without any rows."""
    handmade.complete(stage, "alpha", f"{stage}-{period}-{name}", [], {(period, lane): {}})


def test_hours_and_days_stand_in_their_month(house):
    ran("ingestion", "2026-01", "payables")
    ran("payable_validation", "2026-01-30T09")
    ran("payable_validation", "2026-01-31T23")
    found = {(unit.stage, unit.period): unit for unit in status.standings("alpha")}
    assert {period for _, period in found} == {"2026-01"}
    assert found["payable_validation", "2026-01"].run_period == "2026-01-31T23"
    assert found["payment_planning", "2026-01"].state == status.MISSING
    assert ("cash_matching", "2026-01") not in found  # no statement has landed
    assert (
        "payment_planning 2026-01-31T23 has not run for alpha: countinghouse run payment_planning --period 2026-01-31T23"
        in status.tell()
    )


def test_a_held_hour_holds_until_a_later_one_is_published(house):
    ran("ingestion", "2026-01", "payables")
    held = {"detail": '{"held": ["alpha"]}', "period": "2026-01-31T22", "run_id": "hour-22"}
    handmade.ended("payable_validation", "alpha", "audit", "held", "hour-22", **held)

    def state():
        return {unit.stage: unit.state for unit in status.standings("alpha")}["payable_validation"]

    assert state() == status.HELD
    assert "payable_validation 2026-01-31T22 holds alpha" in status.tell()
    ran("payable_validation", "2026-01-31T23")
    assert state() == status.PUBLISHED


def test_a_lane_of_receipts_is_no_posted_month(house):
    ran("ingestion", "2026-02", "bank_transactions")
    ran("ledger_posting", "2026-02", "receipts")
    found = {(unit.stage, unit.period): unit.state for unit in status.standings("alpha")}
    assert found["cash_matching", "2026-02"] == status.MISSING
    assert ("billing_aggregation", "2026-02") not in found  # nothing to bill
    assert "cash_matching 2026-02-28 has not run for alpha" in status.tell()

"""What status says of a house, and of one tenant of it."""

from __future__ import annotations

import pytest

from jobs.runtime import status
from tests.runtime import handmade


@pytest.fixture
def house(home):
    """Alpha's January through every stage; beta held by the gate of billing; a publication that was cut short."""
    handmade.furnish(home, ["alpha"])
    handmade.tenant_file(home, "beta")
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
    return home


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

"""Whole runs over decisions made by hand: what is paid, paid once, and what is looked at again before a file is handed out.

The tests of this module are one story and run in the order they stand in.
"""

from __future__ import annotations

import hashlib
from datetime import date
from decimal import Decimal

import pytest

from jobs.payment_planning import job, pain
from jobs.runtime import delta_log, ops, verbs
from jobs.runtime.errors import RunBroke, UpstreamMissing
from jobs.stages import PAYABLE_VALIDATION
from tests.builders import ALPHA, BETA, asked, conf_file
from tests.payment_planning.payables import FRENCH, GERMAN
from tests.runtime import handmade

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow

MORNING, NOON = "2026-07-01T09", "2026-07-01T12"


def invoice(payable: str, amount: str = "100", decision: str = "accept", at: str = "2026-07-01T08", **more):
    return {
        "period": date(2026, 7, 1), "payable_id": payable, "decided_at": at, "decision": decision, "vendor_id": "v-1",
        "legal_entity_id": "one", "document_type": "invoice", "invoice_number": payable, "invoice_date": date(2026, 6, 1),
        "due_date": date(2026, 7, 3), "currency": "EUR", "gross_amount": Decimal(amount), "net_amount": Decimal(amount), "tax_amount": Decimal(0),
    } | more  # fmt: skip


def decide(tenant: str, *rows, at: str = "2026-07-01T08") -> None:
    """A complete publication of decisions."""
    stage, mine = (
        PAYABLE_VALIDATION.name,
        handmade.an_id(tenant, at, *(row["payable_id"] + row["decision"] for row in rows))[:32],
    )
    version = handmade.commit("payables.decisions", rows, mine, tenant, stage, at)
    handmade.complete(stage, tenant, mine, [version], {(at, "main"): {}})


def introduce(tenant: str, *vendors: str, attempt: int = 1) -> None:
    """A complete landing of vendors."""
    stage, mine = "ingestion", handmade.publication_of("ingestion", tenant, attempt)
    rows = [
        {"vendor_id": name, "legal_name": "Étoile", "country": "FR", "iban": FRENCH, "valid_from": date(2020, 1, 1),
         "landing_id": f"l-{attempt}", "row_number": n}
        for n, name in enumerate(vendors)
    ]  # fmt: skip
    versions = [
        handmade.commit("raw.vendors", rows, mine, tenant, stage, "all"),
        handmade.commit("raw.landed_files", [], mine, tenant, stage, "all"),
    ]
    handmade.complete(stage, tenant, mine, versions, {("all", "vendors"): {}})


def run(*tenants: str, period: str = MORNING, key: str = "test"):
    return verbs.run_stage(asked("payment_planning", *tenants, period=period, key=key))


def rows(name: str, *columns: str):
    """What readers see of a table."""
    table = delta_log.open_table(name)
    if table is None:
        return []
    complete = {publication.publication_id for publication in ops.all_publications()}
    seen = [row for row in table.to_pyarrow_table().to_pylist() if row["publication_id"] in complete]
    return sorted(tuple(row[column] for column in columns) for row in seen)


def paid():
    return [
        (tenant, payable, str(amount))
        for tenant, payable, amount in rows("payables.payment_instructions", "tenant_id", "payable_id", "amount")
    ]


@pytest.fixture(scope="module")
def house(spark, shared_home):
    for tenant in (ALPHA, BETA):
        accounts = [{"iban": GERMAN if tenant == ALPHA else "FR7630006000011234567890189", "currency": "EUR"}]
        entity = {
            "id": "one",
            "country": "DE",
            "timezone": "Europe/Berlin",
            "invoice_prefix": "A",
            "tax_policy": "none",
            "bank_accounts": accounts,
        }
        conf_file(
            shared_home, f"tenants/{tenant}.yaml", {"tenant": tenant, "business_line": "cloud", "legal_entities": [entity]}
        )
    return shared_home


def test_without_decisions_there_is_nothing_to_plan(house):
    with pytest.raises(UpstreamMissing, match="Run payable_validation first"):
        run(ALPHA)


def test_accepted_payables_are_instructed_and_their_file_stands_in_documents(house):
    for tenant in (ALPHA, BETA):
        introduce(tenant, "v-1")
        decide(
            tenant, invoice("p-1"), invoice("p-2", "0.5"), invoice("held", decision="hold"), invoice("p-3", vendor_id="v-2")
        )
    run()
    assert paid() == [
        (tenant, payable, amount) for tenant in (ALPHA, BETA) for payable, amount in (("p-1", "100.000"), ("p-2", "0.500"))
    ]
    for tenant, batch, name, sha, count in rows(
        "payables.payment_batches", "tenant_id", "batch_id", "file_name", "content_sha256", "instruction_count"
    ):
        content = (house / "documents" / tenant / "payments" / name).read_bytes()
        assert (name, hashlib.sha256(content).hexdigest(), count) == (f"{batch}.xml", sha, 2)
        assert (pain.found(content).problem, pain.found(content).sum) == ("", Decimal("100.50"))


def test_the_same_hour_again_changes_nothing(house):
    before = {place: place.read_bytes() for place in (house / "documents").rglob("*.xml")}
    assert run(key="again").status == "unchanged"
    assert {place: place.read_bytes() for place in (house / "documents").rglob("*.xml")} == before and len(before) == 2
    assert len(paid()) == 4


def test_a_vendor_that_lands_later_is_paid_by_the_next_run_and_nobody_twice(house):
    introduce(ALPHA, "v-2", attempt=2)
    run(key="with the vendor")
    assert paid() == [
        (ALPHA, "p-1", "100.000"),
        (ALPHA, "p-2", "0.500"),
        (ALPHA, "p-3", "100.000"),
        (BETA, "p-1", "100.000"),
        (BETA, "p-2", "0.500"),
    ]
    assert len(list((house / "documents" / ALPHA / "payments").iterdir())) == 2


def test_what_is_rejected_between_writing_and_publishing_is_not_paid(house):
    decide(ALPHA, invoice("p-4", at="2026-07-01T10"), invoice("p-5", at="2026-07-01T10"), at="2026-07-01T10")
    call = asked("payment_planning", ALPHA, period=NOON, key="noon")
    verbs.write(call)
    verbs.audit(call)
    decide(ALPHA, invoice("p-4", decision="reject", at="2026-07-01T12"), at="2026-07-01T12")
    assert verbs.publish(call).status == "done"
    assert [payable for tenant, payable, _ in paid() if tenant == ALPHA] == ["p-1", "p-2", "p-3", "p-5"]
    assert len(list((house / "documents" / ALPHA / "payments").iterdir())) == 3


def test_a_file_that_somebody_changed_is_never_overwritten(house, monkeypatch):
    decide(BETA, invoice("p-6", at="2026-07-01T10"), at="2026-07-01T10")
    call = asked("payment_planning", BETA, period=NOON, key="changed")
    verbs.write(call)
    verbs.audit(call)
    placed = job._place

    def changed(tenant_id, name, content_sha256, root):
        target = house / "documents" / tenant_id / "payments" / name
        target.write_text("another file")
        placed(tenant_id, name, content_sha256, root)

    monkeypatch.setattr(job, "_place", changed)
    with pytest.raises(RunBroke, match="stands in documents/ with another content than was judged"):
        verbs.publish(call)
    assert (BETA, "p-6", "100.000") not in paid()

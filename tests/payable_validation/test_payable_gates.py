"""The suites of payable validation: a good frame passes, each broken promise is caught for the tenant that broke it."""

from __future__ import annotations

import pytest
from pyspark.sql import types as T

from jobs.payable_validation.tables import DECISIONS
from tests.builders import failures, frame, judged

COUNTS = "is_decision boolean, reject_reasons bigint, hold_reasons bigint, warn_reasons bigint"
GOOD = {
    "payable_id": "p-1", "decided_at": "2026-07-31T14", "decision": "accept", "reason_count": 0, "vendor_id": "v-1",
    "legal_entity_id": "e-1", "currency": "EUR", "gross_amount": "1", "is_decision": True, "reject_reasons": 0,
    "hold_reasons": 0, "warn_reasons": 0,
}  # fmt: skip
HELD = GOOD | {"decision": "hold", "reason_count": 1, "hold_reasons": 1}
REJECTED = GOOD | {"decision": "reject", "reason_count": 1, "reject_reasons": 1}
BROKEN_DECISIONS = {
    # tenant that breaks it: (expectation, rows)
    "twice": ("a payable is decided once a run", [GOOD, GOOD]),
    "neither": ("a decision is accept, hold or reject", [GOOD | {"decision": "perhaps"}]),
    "undecided": ("a decision is accept, hold or reject", [GOOD | {"decision": None}]),
    "rejected_for_nothing": ("what is rejected has a reason to reject", [HELD | {"decision": "reject"}]),
    "held_for_nothing": ("what is held has a reason to hold and none to reject", [GOOD | {"decision": "hold"}]),
    "held_for_too_much": ("what is held has a reason to hold and none to reject", [HELD | {"reject_reasons": 1, "reason_count": 2}]),
    "accepted_against_a_rule": ("nothing speaks against what is accepted", [HELD | {"decision": "accept"}]),
    "nobody_to_pay": ("what is accepted can be paid", [GOOD | {"vendor_id": None}]),
    "nobody_pays": ("what is accepted can be paid", [GOOD | {"legal_entity_id": None}]),
    "money_left_out": ("only a rejected payable has no gross amount", [HELD | {"gross_amount": None}]),
    "a_reason_lost": ("every reason is counted", [HELD | {"reason_count": 2}]),
    "a_reason_of_nothing": ("every reason belongs to a decision", [{"payable_id": "p-1", "decided_at": "x", "hold_reasons": 1}]),
}  # fmt: skip
CONSERVED = {
    "currency": "EUR", "received_payables": 2, "decided_payables": 2, "received_amount": "1.5", "decided_amount": "1.5",
    "differing_payables": 0,
}  # fmt: skip
COLUMNS = (
    "tenant_id string, currency string, received_payables bigint, decided_payables bigint, received_amount decimal(38,21), "
    "decided_amount decimal(38,21), differing_payables bigint, example string"
)
BROKEN_CONSERVATION = {
    "one_lost": ("received = accepted + held + rejected", {"decided_payables": 1}, "EUR"),
    "a_digit_lost": ("amounts received = amounts decided", {"received_amount": "1.500000000000000000001"}, "EUR"),
    "never_decided": ("amounts received = amounts decided", {"decided_amount": None}, "EUR"),
    "cancelled_out": ("every payable is decided over all its lines", {"differing_payables": 2, "example": "p-1"}, "p-1"),
    "without_currency": ("received = accepted + held + rejected", {"decided_payables": 1, "currency": None}, "no currency"),
}


@pytest.fixture(scope="module")
def failed_decisions(spark, shared_home):
    """What the suite says of all tenants at once."""
    rows = [row | {"tenant_id": tenant} for tenant, (_, told) in BROKEN_DECISIONS.items() for row in told]
    good = [GOOD, HELD | {"payable_id": "p-2"}, REJECTED | {"payable_id": "p-3", "gross_amount": None}]
    rows += [row | {"tenant_id": "good"} for row in good]
    schema = T.StructType([*DECISIONS.schema.fields, *T.StructType.fromDDL(COUNTS).fields])
    return failures(
        judged("payable_validation", "decisions", frame(spark, schema, rows), [*BROKEN_DECISIONS, "good", "nothing"])
    )


@pytest.fixture(scope="module")
def failed_conservation(spark, shared_home):
    """What the suite says of all tenants at once."""
    rows = [CONSERVED | changed | {"tenant_id": tenant} for tenant, (_, changed, _) in BROKEN_CONSERVATION.items()]
    rows.append(CONSERVED | {"tenant_id": "good"})
    return failures(
        judged("payable_validation", "conservation", frame(spark, COLUMNS, rows), [*BROKEN_CONSERVATION, "good"])
    )


@pytest.mark.parametrize("tenant", BROKEN_DECISIONS)
def test_a_broken_decision_is_caught_for_its_tenant(failed_decisions, tenant):
    expectation, _ = BROKEN_DECISIONS[tenant]
    assert [(v.expectation, v.failing, v.example) for v in failed_decisions[tenant]] == [(expectation, 1, "p-1")]


@pytest.mark.parametrize("tenant", BROKEN_CONSERVATION)
def test_lost_money_is_caught_for_its_tenant(failed_conservation, tenant):
    expectation, _, example = BROKEN_CONSERVATION[tenant]
    assert [(v.expectation, v.failing, v.example) for v in failed_conservation[tenant]] == [(expectation, 1, example)]


def test_good_tenants_go_on(failed_decisions, failed_conservation):
    assert set(failed_decisions) == set(BROKEN_DECISIONS)
    assert set(failed_conservation) == set(BROKEN_CONSERVATION)

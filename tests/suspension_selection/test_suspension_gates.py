"""The suites of suspension selection: a good day passes, each broken promise is caught for the tenant that broke it."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from jobs.suspension_selection import transforms
from tests.builders import customer, failures, frame, judged
from tests.suspension_selection.debts import DAY, Facts, evaluated, owed, received, was

GOOD = {
    "account_id": "a-1", "action": "warned", "from_state": "current", "to_state": "warned", "unpaid_count": 1, "currency": "EUR",
    "overdue_balance": "10", "documents_named": 1, "documents_wrong": 0, "balance_found": "10", "changes": 1, "new_state": "warned",
    "ends_in": "warned", "are_states": True,
}  # fmt: skip
HELD = GOOD | {"action": "hold", "held_because": "a receipt", "changes": None, "new_state": None, "ends_in": "current"}
COLUMNS = (
    "tenant_id string, account_id string, action string, from_state string, to_state string, held_because string, unpaid_count bigint, "
    "currency string, overdue_balance decimal(18,3), documents_named bigint, documents_wrong bigint, balance_found decimal(18,3), "
    "changes bigint, new_state string, ends_in string, are_states boolean, unknown_state string"
)
SOME_HELD = "no nomination is held back"
BROKEN = {
    "two_actions": ({"an account has one action"}, [GOOD, GOOD | {"action": "suspended", "to_state": "suspended", "ends_in": "suspended"}]),
    "paid": ({"the documents that count are unpaid and overdue"}, [GOOD | {"documents_wrong": 1}]),
    "miscounted": ({"the documents that count are unpaid and overdue"}, [GOOD | {"unpaid_count": 2}]),
    "nameless": (
        {"the documents that count are unpaid and overdue", "the balance = the sum of the documents in its currency"},
        [GOOD | {"documents_named": None, "documents_wrong": None, "balance_found": None}],
    ),
    "owes_nothing": (
        {"whoever goes further owes something"}, [GOOD | {"unpaid_count": 0, "documents_named": None, "overdue_balance": None, "balance_found": None}],
    ),
    "a_mill_off": ({"the balance = the sum of the documents in its currency"}, [GOOD | {"balance_found": "10.001"}]),
    "held_and_moved": ({"who is held changes no state", SOME_HELD}, [HELD | {"changes": 1}]),
    "held_for_nothing": ({"a hold names what could cover the debt, nothing else does", SOME_HELD}, [HELD | {"held_because": None}]),
    "excused_without_hold": ({"a hold names what could cover the debt, nothing else does"}, [GOOD | {"held_because": "a receipt"}]),
    "not_moved": ({"who is nominated enters the state"}, [GOOD | {"changes": None, "new_state": None, "ends_in": "current"}]),
    "moved_twice": ({"an account changes its state once"}, [GOOD | {"changes": 2}]),
    "no_state": ({"every state is one of the policy's"}, [GOOD | {"are_states": False}]),
    "renamed": ({"every state is one of the policy's"}, [{"account_id": "a-2", "unknown_state": "barred", "are_states": True}]),
    "held": ({SOME_HELD}, [HELD]),
}  # fmt: skip
SHARES = "tenant_id string, rule string, accounts bigint, nominated bigint, share_max decimal(9,6), allowed_anyway bigint"
SHARE = {"rule": "p v1", "accounts": 1000, "nominated": 50, "share_max": "0.05", "allowed_anyway": 5}
BROKEN_SHARES = {
    "too_many": (SHARE | {"nominated": 51}, "51 of 1000 accounts by p v1, which allows 0.050000"),
    "nobody_is_allowed": (SHARE | {"nominated": 6, "share_max": "0"}, "6 of 1000 accounts by p v1, which allows 0.000000"),
}
GOOD_SHARES = {"as_many_as_allowed": SHARE, "so_few_are_never_too_many": SHARE | {"accounts": 5, "nominated": 5}}


@pytest.fixture(scope="module")
def failed(spark, shared_home):
    rows = [row | {"tenant_id": tenant} for tenant, (_, told) in BROKEN.items() for row in told] + [
        GOOD | {"tenant_id": "good"}
    ]
    return failures(judged("suspension_selection", "candidates", frame(spark, COLUMNS, rows), [*BROKEN, "good"]))


@pytest.mark.parametrize("tenant", BROKEN)
def test_a_broken_candidate_is_caught_for_its_tenant(failed, tenant):
    assert {verdict.expectation for verdict in failed[tenant]} == BROKEN[tenant][0]


def test_tenants_whose_candidates_are_good_go_on_and_a_hold_is_a_warning(failed):
    assert "good" not in failed
    assert {verdict.severity for verdict in failed["held"]} == {"warning"}


def test_too_many_nominations_hold_the_tenant_with_the_figures(spark, shared_home):
    rows = [row | {"tenant_id": tenant} for tenant, (row, _) in BROKEN_SHARES.items()]
    rows += [row | {"tenant_id": tenant} for tenant, row in GOOD_SHARES.items()]
    failed = failures(judged("suspension_selection", "share", frame(spark, SHARES, rows), [*BROKEN_SHARES, *GOOD_SHARES]))
    assert {tenant: [v.example for v in verdicts] for tenant, verdicts in failed.items()} == {
        tenant: [figures] for tenant, (_, figures) in BROKEN_SHARES.items()
    }
    assert {v.severity for verdicts in failed.values() for v in verdicts} == {"critical"}


def test_what_a_day_makes_passes_and_what_is_changed_afterwards_does_not(spark, shared_home, tmp_path):
    facts = Facts(
        items=(owed(), owed("d-2", "0.005", currency="USD"), owed("d-3", account="a-2"), owed("d-4", "7", due="2026-08-30", account="a-4")),
        unapplied=(received(account="a-2"),), states=(was("suspended", account="a-3"),),
        accounts=tuple(customer(f"a-{n}") for n in range(1, 5)),
    )  # fmt: skip
    lost = Facts(items=(owed(),), states=(was("barred", account="a-9"),))
    told = evaluated(spark, {"alpha": facts, "beta": lost}, tmp_path)
    staged = told.candidates.withColumn("publication_id", F.lit("x"))

    def account(candidates=staged, changes=told.changes, documents=told.documents):
        frame_of = transforms.candidates_account(candidates, changes, documents, told.now, told.every, told.assigned, DAY)
        return {
            t: {v.expectation for v in found}
            for t, found in failures(judged("suspension_selection", "candidates", frame_of, ["alpha", "beta"])).items()
        }

    assert account() == {"alpha": {SOME_HELD}, "beta": {"every state is one of the policy's"}}
    paid = told.documents.withColumn(
        "open_amount",
        F.when(F.col("document_id") == "d-1", F.lit("0").cast("decimal(18,3)")).otherwise(F.col("open_amount")),
    )
    assert account(documents=paid)["alpha"] >= {
        "the documents that count are unpaid and overdue",
        "the balance = the sum of the documents in its currency",
    }
    assert account(changes=told.changes.where("account_id <> 'a-1'"))["alpha"] >= {"who is nominated enters the state"}
    shares = transforms.shares(spark, staged, told.accounts, transforms.distinct_policies(told.assigned)).collect()
    assert {(row["tenant_id"], row["accounts"], row["nominated"]) for row in shares} == {("alpha", 4, 1), ("beta", 2, 1)}

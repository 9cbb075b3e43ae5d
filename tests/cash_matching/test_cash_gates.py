"""The suites of cash matching: a good frame passes, each broken promise is caught for the tenant that broke it."""

from __future__ import annotations

from datetime import date

import pytest

from jobs.cash_matching import transforms
from jobs.cash_matching.tables import APPLICATIONS, UNAPPLIED
from jobs.ingestion.tables import BANK_TRANSACTIONS
from tests.builders import failures, frame, judged, table_of
from tests.cash_matching.test_matching import owed, paid_before, received

DAY = date(2026, 7, 31)
GOOD = {
    "application_id": "p-1", "transaction_id": "t-1", "document_id": "d-1", "amount": "60", "currency": "EUR",
    "receipt_left": "100", "receipt_currency": "EUR", "receipt_applied": "100", "document_open": "60", "document_currency": "EUR",
    "document_applied": "60", "times": 1,
}  # fmt: skip
BROKEN = {
    # tenant that breaks it: (expectation, what is different, example)
    "twice": ("an application stands once", {"times": 2}, "p-1"),
    "nothing": ("every application is of some money", {"amount": "0"}, "p-1"),
    "less": ("every application is of some money", {"amount": "-1"}, "p-1"),
    "no_receipt": (
        "every application has a receipt and an open document",
        {"receipt_left": None, "receipt_currency": None},
        "p-1",
    ),
    "no_document": (
        "every application has a receipt and an open document",
        {"document_open": None, "document_currency": None},
        "p-1",
    ),
    "foreign": ("application, receipt and document are in one currency", {"document_currency": "USD"}, "p-1"),
    "too_much_of_a_receipt": (
        "no receipt is applied beyond what it had left",
        {"receipt_applied": "100.001"},
        "transaction t-1",
    ),
    "too_much_of_a_document": (
        "no document is applied beyond what it had open",
        {"document_applied": "60.001"},
        "document d-1",
    ),
}
COLUMNS = (
    "tenant_id string, application_id string, transaction_id string, document_id string, amount decimal(18,3), currency string, "
    "receipt_left decimal(18,3), receipt_currency string, receipt_applied decimal(28,3), document_open decimal(18,3), "
    "document_currency string, document_applied decimal(28,3), times bigint"
)


@pytest.fixture(scope="module")
def failed_applications(spark, shared_home):
    """What the suite says of all tenants at once."""
    rows = [GOOD | told | {"tenant_id": tenant} for tenant, (_, told, _) in BROKEN.items()]
    rows.append(GOOD | {"tenant_id": "good"})
    told = judged("cash_matching", "applications", frame(spark, COLUMNS, rows), [*BROKEN, "good", "without_rows"])
    return failures(told)


@pytest.mark.parametrize("tenant", BROKEN)
def test_a_broken_application_is_caught_for_its_tenant(failed_applications, tenant):
    expectation, _, example = BROKEN[tenant]
    assert [(v.expectation, v.failing, v.example) for v in failed_applications[tenant]] == [(expectation, 1, example)]


def test_tenants_whose_applications_are_good_go_on(failed_applications):
    assert set(failed_applications) == set(BROKEN)


def applied(amount: str = "100", **more):
    return paid_before(amount, transaction_id="t-1", application_id="p-1", **more)


def left(amount: str = "100", **more):
    row = {"period": "2026-07-31", "transaction_id": "t-1", "bank_account": "OURS", "currency": "EUR", "unapplied": amount}
    return row | {"booking_date": "2026-07-10"} | more


CONSERVED = {
    # tenant: (transactions, applications, unapplied, expectations that fail, example of the second)
    "all_applied": ([received()], [applied()], [], []),
    "all_waiting": ([received()], [], [left()], []),
    "some_of_each": ([received()], [applied("0.001")], [left("99.999")], []),
    "money_that_went_out_is_not_received": ([received("-5")], [], [], []),
    "later_money_does_not_count": (
        [received(booking_date="2026-08-01")], [applied(booking_date="2026-08-01")], [], [],
    ),
    "a_receipt_lost": ([received()], [], [], ["received = applied + unapplied", "every receipt agrees for itself"]),
    "a_digit_lost": (
        [received("100.01")], [applied("100")], [], ["received = applied + unapplied", "every receipt agrees for itself"],
    ),
    "a_decimal_finer_than_money_lost": (
        [received("100.0000000001")], [applied("100")], [], ["received = applied + unapplied", "every receipt agrees for itself"],
    ),
    "counted_twice": (
        [received()], [applied()], [left()], ["received = applied + unapplied", "every receipt agrees for itself"],
    ),
    "cancelled_out": (
        [received("100"), received("50", transaction_id="t-2")], [applied("90")], [left("60", transaction_id="t-2")],
        ["every receipt agrees for itself"],
    ),
    "of_another_currency": (
        [received()], [applied(currency="USD")], [], ["received = applied + unapplied", "every receipt agrees for itself"],
    ),
    "of_a_line_that_is_gone": ([], [applied()], [], ["received = applied + unapplied", "every receipt agrees for itself"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def failed_conservation(spark, shared_home):
    """What the suite says of all tenants at once."""

    def of(at: int):
        return [row | {"tenant_id": tenant} for tenant, case in CONSERVED.items() for row in case[at]]

    found = transforms.conservation(
        table_of(spark, BANK_TRANSACTIONS, of(0)),
        table_of(spark, APPLICATIONS, of(1)),
        table_of(spark, UNAPPLIED, of(2)),
        DAY,
    )
    return failures(judged("cash_matching", "conservation", found, [*CONSERVED, "without_rows"]))


@pytest.mark.parametrize("tenant", CONSERVED)
def test_money_is_conserved_or_its_tenant_held(failed_conservation, tenant):
    assert [v.expectation for v in failed_conservation.get(tenant, [])] == CONSERVED[tenant][3]
    assert all(
        v.example in ("EUR", "USD", "EUR transaction t-1", "USD transaction t-1")
        for v in failed_conservation.get(tenant, [])
    )


def test_every_application_is_shown_beside_its_receipt_and_document(spark):
    receipt = {"tenant_id": "a", "bank_account": "OURS", "transaction_id": "t-1", "unapplied": "100", "currency": "EUR"}
    receipts = frame(
        spark,
        "tenant_id string, bank_account string, transaction_id string, unapplied decimal(18,3), currency string",
        [receipt],
    )
    documents = frame(
        spark,
        "tenant_id string, document_id string, legal_entity_id string, account_id string, open_amount decimal(18,3), currency string",
        [{"tenant_id": "a", "document_id": f"d-{n}", "legal_entity_id": "uk", "account_id": "a-1", "open_amount": "50",
          "currency": owed()["currency"]} for n in (1, 2)],
    )  # fmt: skip
    rows = [applied("50", document_id=f"d-{n}") | {"tenant_id": "a", "application_id": f"p-{n}"} for n in (1, 2, 3)]
    published = table_of(spark, APPLICATIONS, [rows[0] | {"period": "2026-07-01"}])
    found = transforms.applications_account(table_of(spark, APPLICATIONS, rows), published, receipts, documents)
    told = {row["application_id"]: row.asDict() for row in found.collect()}
    assert {name: row["times"] for name, row in told.items()} == {"p-1": 2, "p-2": 1, "p-3": 1}
    assert {float(row["receipt_applied"]) for row in told.values()} == {150.0}
    assert [told[name]["document_open"] is None for name in ("p-1", "p-2", "p-3")] == [False, False, True]
    assert {float(row["receipt_left"]) for row in told.values()} == {100.0}

"""Drafts beside the months before: what asks a second person, and what does not."""

from __future__ import annotations

import pytest

from jobs.invoice_generation import issue_control
from jobs.invoice_generation.tables import INVOICE_LINES
from jobs.runtime.gates import judge
from tests.builders import ALPHA, BETA, ISSUE_CONTROL, invoice_settings, invoices, issued, table_of

MAY, JUNE, JULY = "2026-05-01", "2026-06-01", "2026-07-01"


def document(month, account, gross="100", **more):
    return issued(period=month, invoice_id=f"{month}-{account}", account_id=account, gross_amount=gross) | more


def lines_of(documents, product="storage"):
    return [
        {
            "tenant_id": row["tenant_id"], "period": row["period"], "invoice_id": row["invoice_id"], "line_no": 1, "product_id": product,
            "currency": row["currency"], "line_amount": row["gross_amount"],
        }
        for row in documents
    ]  # fmt: skip


def month(name, count=4, **more):
    return [document(name, f"a-{n}", **more) for n in range(count)]


BEFORE = [*month(MAY), *month(JUNE)]
CASES = {
    "as_usual": (month(JULY), BEFORE, {}, []),
    "twice_the_documents": (
        month(JULY, 8), BEFORE, {"new_customers_share": "1"},
        [("amount", "storage in GB GBP", 800, 400), ("documents", "GB", 8, 4)],
    ),
    "a_country_that_is_missing": (
        [], BEFORE, {}, [("amount", "storage in GB GBP", 0, 400), ("documents", "GB", 0, 4)],
    ),
    "a_difference_of_few": (month(JULY, 8), BEFORE, {"least_documents": 20}, []),
    "a_price_ten_times_as_high": (month(JULY, gross="1000"), BEFORE, {}, [("amount", "storage in GB GBP", 4000, 400)]),
    "an_amount_that_hardly_counts": (month(JULY, gross="1000"), BEFORE, {"noticeable_share": "1", "amount_share": "99"}, []),
    "customers_nobody_knows": (
        [document(JULY, f"b-{n}") for n in range(4)], BEFORE, {}, [("new customers", "customers without a document before", 4, 2)],
    ),
    "one_document_far_beyond": (
        [*month(JULY, 3), document(JULY, "a-3", "9000")], BEFORE, {"amount_share": "99"}, [("outlier", f"{JULY}-a-3", 9000, 100)],
    ),
    "a_new_tenant": (month(JULY, 50), [row | {"tenant_id": BETA} for row in month(JUNE)], {"least_documents": 5}, []),
}  # fmt: skip


@pytest.fixture(scope="module")
def told(spark):
    """The drafts of all cases beside their months before: every case is a tenant of its own."""
    limits = [ISSUE_CONTROL, *(ISSUE_CONTROL | more | {"tenants": [case]} for case, (_, _, more, _) in CASES.items())]
    policy = invoice_settings(issue_control=limits)

    def of(which):
        return [
            row | {"tenant_id": case if row["tenant_id"] == ALPHA else BETA}
            for case, told in CASES.items()
            for row in told[which]
        ]

    drafts, before = of(0), of(1)
    frames = (invoices(spark, *drafts), table_of(spark, INVOICE_LINES, lines_of(drafts)))
    frames += (invoices(spark, *before), table_of(spark, INVOICE_LINES, lines_of(before)))
    limited = issue_control.policies(spark, {case: policy.issue_control_of(case) for case in CASES})
    return issue_control.compared(*frames, limited).persist()


@pytest.mark.parametrize("case", CASES)
def test_what_is_far_from_usual_is_told_with_what_is_usual(told, case):
    found = [row for row in told.where("is_beyond").collect() if row["tenant_id"] == case]
    shown = sorted((row["compared"], row["subject"], int(row["found"]), int(row["usual"])) for row in found)
    assert shown == CASES[case][3]


def test_what_is_beyond_its_limit_asks_and_holds_nobody(told, shared_home):
    judged = judge("invoice_generation", {"issue_control": told}, ["issue_control"], list(CASES), "test")
    assert judged.held == {}
    assert set(judged.asks) == {case for case, (_, _, _, expected) in CASES.items() if expected}
    asked = [(verdict.expectation, verdict.example) for verdict in judged.asks["twice_the_documents"]]
    assert asked == [
        ("as many documents as usual", "GB: 8.00 beside 4.00"),
        ("products come to what they usually do", "storage in GB GBP: 800.00 beside 400.00"),
    ]


@pytest.mark.parametrize(
    ("changed", "concerned"),
    [
        pytest.param({"documents": {"formats": ["pdf"]}}, False, id="how_it_is_rendered"),
        pytest.param(
            {"issue_control": [ISSUE_CONTROL, ISSUE_CONTROL | {"tenants": [BETA], "months": 9}]},
            False,
            id="limits_of_another",
        ),
        pytest.param({"issue_control": [ISSUE_CONTROL | {"months": 9}]}, True, id="its_limits"),
        pytest.param({"returns": {"tenants": [BETA], "months": 9}}, False, id="returns_of_another"),
        pytest.param({"returns": {"tenants": [ALPHA], "months": 9}}, True, id="its_returns"),
        pytest.param({"default_payment_terms_days": 9}, True, id="its_terms"),
    ],
)
def test_a_tenant_depends_on_what_holds_for_it(changed, concerned):
    before, after = (invoice_settings(**more).resolved_for(ALPHA, ["GB"]) for more in ({}, changed))
    assert (before != after) == concerned


@pytest.mark.parametrize(
    ("control", "said"),
    [
        pytest.param([], "needs one entry without tenants", id="none"),
        pytest.param([ISSUE_CONTROL, ISSUE_CONTROL], "needs one entry without tenants", id="two_for_all"),
        pytest.param([ISSUE_CONTROL, *[ISSUE_CONTROL | {"tenants": [ALPHA]}] * 2], "names alpha twice", id="a_tenant_twice"),
    ],
)
def test_limits_that_contradict_each_other_are_refused(control, said):
    with pytest.raises(ValueError, match=said):
        invoice_settings(issue_control=control)

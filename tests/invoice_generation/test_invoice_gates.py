"""The suites of invoice generation: a good frame passes, each broken promise is caught for the tenant that broke it."""

from __future__ import annotations

import pytest

from tests.builders import failures, frame, judged

GOOD = {
    "invoice_id": "i-1", "net": "10", "tax": "2", "gross": "12", "lines": "10", "lines_rated": "10.004", "taxes": "2", "taxable": "10",
    "line_count": 1, "line_count_found": 1, "line_off_grid": 0, "tax_off_grid": 0, "untaxed": 0, "unpriced": 0, "account_id": "a",
    "customer_country": "GB", "legal_entity_id": "e", "document_type": "invoice", "currency": "GBP", "issue_date": "2026-08-01",
    "due_date": "2026-08-31", "minor_unit": "0.01",
}  # fmt: skip
AMOUNTS = ("net", "tax", "gross", "lines", "lines_rated", "taxes", "taxable", "minor_unit")
COUNTS = ("line_count", "line_count_found", "line_off_grid", "tax_off_grid", "untaxed", "unpriced")
SCHEMA = ", ".join(
    f"{name} {'decimal(38,18)' if name in AMOUNTS else 'bigint' if name in COUNTS else 'date' if name.endswith('_date') else 'string'}"
    for name in ("tenant_id", *GOOD)
)
NET, CUSTOMER = "net = sum of lines", "every document has a customer, a country and a seller"
BROKEN = {
    # tenant: (expectations that fail, what is wrong)
    "lines_lost": ({NET}, {"lines": "9.99", "lines_rated": "9.99"}),
    "taxed_otherwise": ({NET}, {"taxable": "9.99"}),
    "line_lost": ({NET}, {"line_count": 2}),
    "tax_lost": ({"tax = sum of taxes"}, {"taxes": "1.99"}),
    "gross_wrong": ({"gross = net + tax"}, {"gross": "12.001"}),
    "rounded_too_far": ({"lines are rounded as the policy says"}, {"lines_rated": "11.5"}),
    "rounded_by_two_pence": ({"lines are rounded as the policy says"}, {"lines_rated": "10.02"}),
    "third_of_a_cent": ({"amounts are in minor units"}, {"line_off_grid": 1}),
    "third_of_a_cent_of_tax": ({"amounts are in minor units"}, {"tax_off_grid": 1}),
    "untaxed": ({"every line has a tax line"}, {"untaxed": 1}),
    "unpriced": ({"every line has an amount"}, {"unpriced": 1}),
    "nobodys": ({CUSTOMER}, {"account_id": None}),
    "nowhere": ({CUSTOMER}, {"customer_country": None}),
    "unsold": ({CUSTOMER}, {"legal_entity_id": None}),
    "overdue_at_issue": ({CUSTOMER}, {"due_date": "2026-07-31"}),
    "credited": ({"credit notes are few"}, {"document_type": "credit_note"}),
    "without_lines": ({NET}, {"lines": None, "line_count_found": None, "lines_rated": None}),
}
LINE = {"charge_id": "c-1", "charged_amount": "1", "lined_amount": "1", "times": 1}
BROKEN_LINES = {
    "billed_twice": ({"every charge is on exactly one line"}, {"times": 2}),
    "changed": ({"a line carries its charge's amount"}, {"lined_amount": "1.000000000000000001"}),
    "never_billed": (
        {"every charge is on exactly one line", "a line carries its charge's amount"},
        {"times": None, "lined_amount": None},
    ),
}


@pytest.fixture(scope="module")
def failed(spark, shared_home):
    """What the suite says of all tenants' documents at once."""
    rows = [GOOD | more | {"tenant_id": tenant} for tenant, (_, more) in BROKEN.items()]
    rows += [GOOD | {"tenant_id": "good"}, GOOD | {"tenant_id": "twice"}, GOOD | {"tenant_id": "twice"}]
    return failures(judged("invoice_generation", "invoices", frame(spark, SCHEMA, rows), [*BROKEN, "good", "twice"]))


@pytest.fixture(scope="module")
def failed_lines(spark, shared_home):
    """What the suite says of all tenants' lines at once."""
    rows = [LINE | more | {"tenant_id": tenant} for tenant, (_, more) in BROKEN_LINES.items()]
    schema = "tenant_id string, charge_id string, charged_amount decimal(38,18), lined_amount decimal(38,18), times bigint"
    return failures(
        judged(
            "invoice_generation",
            "lines",
            frame(spark, schema, [*rows, LINE | {"tenant_id": "good"}]),
            [*BROKEN_LINES, "good"],
        )
    )


@pytest.mark.parametrize("tenant", BROKEN)
def test_a_broken_document_is_caught_for_its_tenant(failed, tenant):
    assert {verdict.expectation for verdict in failed[tenant]} == BROKEN[tenant][0]
    assert {(verdict.failing, verdict.example) for verdict in failed[tenant]} == {(1, "i-1")}


def test_a_document_that_stands_twice_is_caught(failed):
    assert [verdict.expectation for verdict in failed["twice"]] == ["a document stands once"]


def test_only_credit_notes_are_a_warning(failed):
    assert {tenant for tenant, told in failed.items() if {v.severity for v in told} == {"warning"}} == {"credited"}
    assert "good" not in failed


@pytest.mark.parametrize("tenant", BROKEN_LINES)
def test_a_charge_that_is_lost_doubled_or_changed_is_caught(failed_lines, tenant):
    assert {verdict.expectation for verdict in failed_lines[tenant]} == BROKEN_LINES[tenant][0]
    assert "good" not in failed_lines

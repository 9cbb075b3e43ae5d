"""The suites of invoice generation: a good frame passes, each broken promise is caught for the tenant that broke it."""

from __future__ import annotations

import pytest

from tests.builders import failures, frame, judged

GOOD = {
    "invoice_id": "i-1", "net": "10", "tax": "2", "gross": "12", "lines": "10", "lines_rated": "10.004", "taxes": "2", "taxable": "20",
    "lines_tax": "2", "lines_taxable": "20", "rounding": "0", "prepaid": "0", "payable": "12",
    "line_count": 1, "line_count_found": 1, "line_off_grid": 0, "tax_off_grid": 0, "untaxed": 0, "unpriced": 0, "account_id": "a",
    "customer_country": "GB", "legal_entity_id": "e", "document_type": "invoice", "currency": "GBP", "issue_date": "2026-08-01",
    "due_date": "2026-08-31", "minor_unit": "0.01", "original_invoice_id": None,
}  # fmt: skip
AMOUNTS = ("net", "tax", "gross", "lines", "lines_rated", "taxes", "taxable", "lines_tax", "lines_taxable", "rounding", "prepaid", "payable",
           "minor_unit")  # fmt: skip
COUNTS = ("line_count", "line_count_found", "line_off_grid", "tax_off_grid", "untaxed", "unpriced")
SCHEMA = ", ".join(
    f"{name} {'decimal(38,18)' if name in AMOUNTS else 'bigint' if name in COUNTS else 'date' if name.endswith('_date') else 'string'}"
    for name in ("tenant_id", *GOOD)
)
LINE_TAXES, PAYABLE = "taxes are those of the lines", "payable = gross + rounding - prepaid"
NET, CUSTOMER = "net = sum of lines", "every document has a customer, a country and a seller"
BROKEN = {
    # tenant: (expectations that fail, what is wrong)
    "lines_lost": ({NET}, {"lines": "9.99", "lines_rated": "9.99"}),
    "taxed_otherwise": ({LINE_TAXES}, {"taxable": "9.99"}),
    "taxed_on_no_line": ({LINE_TAXES}, {"lines_tax": "1.99"}),
    "asked_to_pay_more": ({PAYABLE}, {"payable": "12.01"}),
    "line_lost": ({NET}, {"line_count": 2}),
    "tax_lost": ({"tax = sum of taxes", LINE_TAXES}, {"taxes": "1.99"}),
    "gross_wrong": ({"gross = net + tax", PAYABLE}, {"gross": "12.001"}),
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
    "billed_twice": ({"every charge is on exactly one line, or carried forward"}, {"times": 2}),
    "changed": ({"a line carries its charge's amount"}, {"lined_amount": "1.000000000000000001"}),
    "never_billed": (
        {"every charge is on exactly one line, or carried forward", "a line carries its charge's amount"},
        {"times": None, "lined_amount": None},
    ),
}


@pytest.fixture(scope="module")
def failed(spark, shared_home):
    """What the suite says of all tenants' documents at once."""
    rows = [GOOD | more | {"tenant_id": tenant} for tenant, (_, more) in BROKEN.items()]
    rows += [
        GOOD | {"tenant_id": "good"},
        GOOD | {"tenant_id": "good", "invoice_id": "i-2", "rounding": "0.4", "prepaid": "5", "payable": "7.4"},
        GOOD | {"tenant_id": "twice"},
        GOOD | {"tenant_id": "twice"},
    ]
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


ROWS = {
    "invoice_id": "i-1", "net": "10", "tax": "2", "gross": "12", "charged": "10", "taxed": "2", "billed": "12", "line_count": 1,
    "lines_found": 1, "owners": 1, "mispriced": 0, "broken": None,
}  # fmt: skip
ROW_SCHEMA = (
    "tenant_id string, invoice_id string, net decimal(18,3), tax decimal(18,3), gross decimal(18,3), charged decimal(28,3), "
    "taxed decimal(28,3), billed decimal(28,3), line_count bigint, lines_found bigint, owners bigint, mispriced bigint, broken string"
)
GROSS, PARTS = "a document's rows add up to its gross amount", "charges add up to the net amount, tax rows to the tax"
EVERY_LINE, ONE = "every line has its row", "a document belongs to one payer, account, issuer, currency and month"
BROKEN_ROWS = {
    "a_tenth_of_a_penny": ({GROSS, PARTS}, {"charged": "10.001", "billed": "12.001"}, "i-1"),
    "tax_among_the_charges": ({PARTS}, {"charged": "12", "taxed": "0"}, "i-1"),
    "lost_and_doubled": ({EVERY_LINE}, {"lines_found": 2}, "i-1"),
    "without_rows": (
        {GROSS, PARTS, EVERY_LINE, ONE},
        {"charged": None, "taxed": None, "billed": None, "lines_found": None, "owners": None, "mispriced": None},
        "i-1",
    ),
    "without_a_document": (
        {GROSS, PARTS, EVERY_LINE}, {"net": None, "tax": None, "gross": None, "line_count": None}, "i-1",
    ),
    "of_two_payers": ({ONE}, {"owners": 2}, "i-1"),
    "not_to_the_letter": ({"every column is as FOCUS 1.2 says"}, {"broken": "ChargeClass"}, "i-1 ChargeClass"),
    "mispriced": ({"quantity x unit price = cost"}, {"mispriced": 1}, "i-1"),
}  # fmt: skip


@pytest.fixture(scope="module")
def failed_rows(spark, shared_home):
    """What the suite says of the rows of all tenants' FOCUS files at once."""
    rows = [ROWS | more | {"tenant_id": tenant} for tenant, (_, more, _) in BROKEN_ROWS.items()]
    told = frame(spark, ROW_SCHEMA, [*rows, ROWS | {"tenant_id": "good"}])
    return failures(judged("invoice_generation", "focus", told, [*BROKEN_ROWS, "good"]))


@pytest.mark.parametrize("tenant", BROKEN_ROWS)
def test_rows_of_a_focus_file_that_are_not_the_document_are_caught(failed_rows, tenant):
    assert {verdict.expectation for verdict in failed_rows[tenant]} == BROKEN_ROWS[tenant][0]
    assert {(verdict.failing, verdict.example) for verdict in failed_rows[tenant]} == {(1, BROKEN_ROWS[tenant][2])}
    assert "good" not in failed_rows

"""Charges to documents: seller, tax, rounding, headers."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from jobs.invoice_generation import transforms
from jobs.invoice_generation.tables import CARRIED_FORWARD, INVOICES
from jobs.ledger.taxes import Taxes, TaxPolicy
from tests.builders import ALPHA, charged, charges, collected, customer, entity, rounding, table_of, tenant
from tests.invoice_generation.taxed import ISSUED, Billed
from tests.invoice_generation.taxed import documents as made

SINCE_2010, SINCE_2011 = (
    {"valid_from": day, "source": "law", "reason": "{customer_country}"} for day in ("2010-01-01", "2011-01-04")
)
HOME = {"when": "customer_country = 'GB'", "category": "S"}
BRITISH = TaxPolicy.model_validate(
    {
        "policy": "gb-seller",
        "rules": [
            {"id": "gb", "rate": "0.20"} | HOME | SINCE_2011,
            {"id": "gb-old", "rate": "0.175"} | HOME | SINCE_2010,
            {"id": "export", "category": "G", "rate": "0", "exemption_reason": "Export"} | SINCE_2010,
        ],
    }
)
IRISH = TaxPolicy.model_validate(
    {
        "policy": "ie-seller",
        "rules": [{"id": "ie", "when": "customer_country IN ('IE', 'DE')", "category": "S", "rate": "0.23"} | SINCE_2011],
    }
)
TAXES = Taxes(policies={"gb-seller": BRITISH, "ie-seller": IRISH})
HOUSES = [
    entity(),
    entity(
        "alpha-ie",
        country="IE",
        timezone="Europe/Dublin",
        invoice_prefix="B",
        tax_policy="ie-seller",
        serves=("IE", "DE", "FR"),
    ),
]


def documents(spark, charge_rows, customers, policy=None, tenants=(ALPHA,), parts=None, **more):
    """The documents of July's charges."""
    told = Billed(charge_rows, customers, policy=policy or rounding(), parts=parts, **more)
    return made(spark, told, [tenant(name, HOUSES) for name in tenants], TAXES)


BUYERS = {
    # account: (its country, payment terms, charges, (document type, seller, net, tax, gross, lines, due date), its tax rules)
    "british": (
        "GB",
        None,
        ["10", "2.50"],
        ("invoice", "alpha-uk", "12.5", "2.5", "15", 2, date(2026, 8, 31)),
        {"gb-seller/gb"},
    ),
    "american": ("US", None, ["10"], ("invoice", "alpha-uk", "10", "0", "10", 1, date(2026, 8, 31)), {"gb-seller/export"}),
    "irish": ("IE", 14, ["10"], ("invoice", "alpha-ie", "10", "2.3", "12.3", 1, date(2026, 8, 15)), {"ie-seller/ie"}),
    "german": ("DE", 0, ["10"], ("invoice", "alpha-ie", "10", "2.3", "12.3", 1, date(2026, 8, 1)), {"ie-seller/ie"}),
    "countryless": (
        None,
        None,
        ["10"],
        ("invoice", "alpha-uk", "10", "0", "10", 1, date(2026, 8, 31)),
        {"gb-seller/export"},
    ),
    "credited": (
        "GB",
        None,
        ["10", "-12"],
        ("credit_note", "alpha-uk", "-2", "-0.4", "-2.4", 2, date(2026, 8, 31)),
        {"gb-seller/gb"},
    ),
    "nothing": ("GB", None, ["10", "-10"], ("invoice", "alpha-uk", "0", "0", "0", 2, date(2026, 8, 31)), {"gb-seller/gb"}),
}


@pytest.fixture(scope="module")
def bought(spark):
    """The documents of all buyers, in one job: account -> header, and account -> tax rules."""
    rows = [charged(amount, account_id=account, charge_id=f"{account}-{n}")
            for account, (_, _, amounts, _, _) in BUYERS.items() for n, amount in enumerate(amounts)]  # fmt: skip
    customers = [
        customer(account, country=country, payment_terms_days=terms) for account, (country, terms, *_) in BUYERS.items()
    ]
    found = documents(spark, rows, customers)
    headers, lines = found.headers, found.lines
    shown = ("document_type", "legal_entity_id", "net_amount", "tax_amount", "gross_amount", "line_count", "due_date")
    told = {row[0]: tuple(row[1:]) for row in collected(headers, "account_id", *shown)}
    rules = {}
    for account, rule in collected(lines, "account_id", "tax_rule"):
        rules.setdefault(account, set()).add(rule)
    return told, rules


@pytest.mark.parametrize("account", BUYERS)
def test_a_document_has_its_seller_its_tax_and_its_due_date(bought, account):
    headers, rules = bought
    assert headers[account] == BUYERS[account][3]
    assert rules[account] == BUYERS[account][4]


def test_the_rate_is_that_of_the_tax_point(spark):
    rates = {"2010-12-01": "0.175", "2011-01-01": "0.2"}  # the month before, and the month it changes in
    rows = [charged(period=month, account_id=month, charge_id=month) for month in rates]
    found = documents(spark, rows, [customer(month, country="GB") for month in rates])
    assert dict(collected(found.lines, "charge_id", "tax_rate")) == rates


def test_one_tax_line_per_document_category_and_rate(spark):
    rows = [charged("1", charge_id="c-1"), charged("2", charge_id="c-2"), charged("5", charge_id="c-3", currency="USD")]
    taxes = documents(spark, rows, [customer(country="GB")]).taxes
    shown = ("currency", "tax_category", "tax_rate", "taxable_amount", "tax_amount", "tax_rule")
    assert collected(taxes, *shown) == [
        ("EUR", "S", "0.2", "3", "0.6", "gb-seller/gb"),
        ("USD", "S", "0.2", "5", "1", "gb-seller/gb"),
    ]


ROUNDINGS = {
    # case: (policy, currency, charges, lines in order, net, tax)
    "by_line_every_line_is_rounded": (rounding(), "EUR", ["0.004", "0.004", "0.004"], ["0", "0", "0"], "0", "0"),
    "by_document_lines_add_up_to_the_rounded_total": (
        rounding(level="document"), "EUR", ["0.004", "0.004", "0.004"], ["0", "0.01", "0"], "0.01", "0",
    ),
    "a_tie_goes_away_from_zero": (rounding(), "EUR", ["0.125"], ["0.13"], "0.13", "0.03"),
    "a_tie_goes_to_even_where_the_policy_says_so": (rounding(method="half_even"), "EUR", ["0.125"], ["0.12"], "0.12", "0.02"),
    "yen_have_no_decimals": (rounding(), "JPY", ["99.5", "0.4"], ["100", "0"], "100", "20"),
    "dinars_have_three": (rounding(), "KWD", ["1.2345"], ["1.235"], "1.235", "0.247"),
    "tax_by_document": (rounding(), "EUR", ["0.03", "0.03", "0.03"], ["0.03", "0.03", "0.03"], "0.09", "0.02"),
    "tax_by_line": (rounding(tax_level="line"), "EUR", ["0.03", "0.03", "0.03"], ["0.03", "0.03", "0.03"], "0.09", "0.03"),
    "by_document_the_last_decimal_moves_no_cent": (
        rounding(level="document"), "EUR", ["0.004999999999999999", "1"], ["0", "1"], "1", "0.2",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def rounded(spark):
    """The documents of all cases, those of one policy in one job: case -> line amounts in order, and (net, tax) of its headers."""
    lines, headers = defaultdict(list), defaultdict(list)
    for policy in {repr(case[0]): case[0] for case in ROUNDINGS.values()}.values():
        cases = {name: case for name, case in ROUNDINGS.items() if case[0] == policy}
        rows = [charged(amount, account_id=name, charge_id=f"{name}-{n}", currency=currency)
                for name, (_, currency, amounts, *_) in cases.items() for n, amount in enumerate(amounts)]  # fmt: skip
        found = documents(spark, rows, [customer(name, country="GB") for name in cases], policy)
        for name, _, amount in collected(found.lines, "account_id", "line_no", "line_amount"):
            lines[name].append(amount)
        for name, net, tax in collected(found.headers, "account_id", "net_amount", "tax_amount"):
            headers[name].append((net, tax))
    return lines, headers


@pytest.mark.parametrize("case", ROUNDINGS)
def test_amounts_are_rounded_where_the_policy_says(rounded, case):
    _, _, _, lined, net, tax = ROUNDINGS[case]
    lines, headers = rounded
    assert lines[case] == lined
    assert headers[case] == [(net, tax)]


AMOUNTS = st.lists(
    st.tuples(st.decimals("-500", "1000", places=6), st.sampled_from("abcd"), st.sampled_from(["EUR", "JPY", "KWD"])),
    min_size=30, max_size=60,
)  # fmt: skip
COUNTRIES = {"a": "GB", "b": "US", "c": "IE", "d": "DE"}


@seed(20261121)
@settings(max_examples=2, deadline=None, database=None)
@given(AMOUNTS, st.sampled_from(["line", "document"]), st.sampled_from(["line", "document"]), st.integers(1, 1000))
def test_a_header_is_its_lines_and_taxes_however_charges_come(spark, drawn, level, tax_level, turn):
    rows = [charged(str(amount), account_id=account, currency=currency, charge_id=f"c-{n}", product_id=f"p-{n % 5}")
            for n, (amount, account, currency) in enumerate(drawn)]  # fmt: skip
    customers = [customer(account, country=country) for account, country in COUNTRIES.items()]
    policy = rounding(level=level, tax_level=tax_level)
    found = documents(spark, rows, customers, policy)
    headers, lines, taxes = found.headers, found.lines, found.taxes
    sums, taxed = {}, {}
    for invoice, amount in collected(lines, "invoice_id", "line_amount"):
        sums[invoice] = sums.get(invoice, Decimal(0)) + Decimal(amount)
    for invoice, amount in collected(taxes, "invoice_id", "tax_amount"):
        taxed[invoice] = taxed.get(invoice, Decimal(0)) + Decimal(amount)
    shown = ("invoice_id", "net_amount", "tax_amount", "gross_amount", "line_count", "document_type")
    told = collected(headers, *shown)
    for invoice, net, tax, gross, _, _ in told:
        assert (Decimal(net), Decimal(tax), Decimal(gross)) == (
            sums[invoice],
            taxed[invoice],
            sums[invoice] + taxed[invoice],
        )
    assert sum(row[4] for row in told) == len(drawn)
    mixed = random.Random(turn).sample(rows, len(rows))
    other = documents(spark, mixed, customers, policy, parts=1 + turn % 5)
    again, other_lines = other.headers, other.lines
    assert collected(again, *shown) == told
    line = ("invoice_id", "line_no", "charge_id", "line_amount")
    assert collected(other_lines, *line) == collected(lines, *line)


def test_headers_have_the_declared_columns_and_no_number_yet(spark):
    headers = documents(spark, [charged()], [customer()]).headers
    assert set(headers.columns) == set(INVOICES.schema.fieldNames()) - {"publication_id"}
    assert collected(headers, "number", "invoice_number", "fiscal_year", "issue_date") == [(None, None, None, ISSUED)]


def test_a_charge_of_an_unknown_account_stays_on_a_line_for_the_suite_to_refuse(spark):
    found = documents(spark, [charged()], [])
    assert collected(found.headers, "customer_country", "account_id") == [(None, "a-1")]
    assert found.lines.count() == 1


def test_the_accounts_of_the_gates_put_both_sides_of_every_sum_together(spark):
    charged_rows = [
        charged("10.005", charge_id="c-1"),
        charged("1", charge_id="c-2"),
        charged("3", charge_id="c-3", account_id="french"),
    ]
    customers = [customer(country="GB"), customer("french", country="FR")]
    found = documents(spark, charged_rows, customers)
    told = transforms.invoices_account(found.headers, found.lines, found.taxes)
    assert collected(
        told, "net", "lines", "lines_rated", "tax", "taxes", "lines_tax", "taxable", "lines_taxable", "gross", "payable", "line_count",
        "line_count_found",
    ) == [("11.01", "11.01", "11.005", "2.2", "2.2", "2.2", "11.01", "11.01", "13.21", "13.21", 2, 2)]  # fmt: skip
    assert collected(told, "line_off_grid", "tax_off_grid", "untaxed", "unpriced") == [(0, 0, 0, 0)]
    rows = charges(spark, charged("10.005", charge_id="c-1"), charged("7", charge_id="c-9"), charged("3", charge_id="c-3"))
    told = transforms.lines_account(found.lines, table_of(spark, CARRIED_FORWARD, []).unionByName(found.carried, True), rows)
    assert collected(told, "charge_id", "charged_amount", "lined_amount", "times") == [
        ("c-1", "10.005", "10.005", 1), ("c-2", None, "1", 1), ("c-3", "3", "3", 1), ("c-9", "7", None, None),
    ]  # fmt: skip
    assert collected(found.carried, "account_id", "charge_id", "reason_code", "reason") == [
        ("french", "c-3", "no_rule", "no rule of ie-seller fits the line"),
    ]  # fmt: skip

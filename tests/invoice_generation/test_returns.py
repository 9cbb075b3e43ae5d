"""What is taken back names the invoice it reverses, while that has as much left, and carries its tax."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from jobs.invoice_generation import returns
from jobs.invoice_generation.tables import INVOICE_LINES, INVOICE_TAXES
from tests.builders import ALPHA, collected, frame, invoices, issued, table_of

DECIDED = (
    "tenant_id string, legal_entity_id string, account_id string, product_id string, currency string, charge_id string, region string, "
    "amount decimal(38,18), service_period date, tax_category string, tax_rate decimal(9,6), tax_rule string, tax_reason string, "
    "components array<struct<component: string, rate: decimal(9,6)>>, exemption_code string, exemption_reason string, hold_code string, "
    "hold_reason string"
)
TODAY = [("VAT", Decimal("0.20"))]


def charge(charge_id, amount, product="mug", account="a-1", **more):
    row = {
        "tenant_id": ALPHA, "legal_entity_id": "alpha-uk", "account_id": account, "product_id": product, "currency": "GBP",
        "charge_id": charge_id, "amount": amount, "service_period": "2011-02-01", "tax_category": "S", "tax_rate": "0.20",
        "tax_rule": "gb/2011", "components": TODAY,
    }  # fmt: skip
    return row | more


def bought(month, product, amount, account="a-1", **more):
    row = {
        "tenant_id": ALPHA, "period": month, "invoice_id": f"{month} {account}", "line_no": 1, "charge_id": f"{month} {product} {account}",
        "service_period": month, "product_id": product, "quantity": "1", "currency": "GBP", "rated_amount": amount, "line_amount": amount,
        "tax_category": "S", "tax_rate": "0.175", "tax_rule": "gb/2010", "line_taxes": [("VAT", Decimal("0.175"), Decimal("0"))],
    }  # fmt: skip
    return row | more


LINES = [
    bought("2010-11-01", "mug", "50"),
    bought("2010-12-01", "mug", "20"),
    bought("2010-12-01", "lamp", "30"),
    bought("2010-12-01", "plate", "8", account="a-2"),
    bought("2011-01-01", "lamp", "-30", invoice_id="back", charge_id="back", corrects_charge_id="2010-12-01 lamp a-1"),
]
HEADERS = [
    issued(invoice_id="2010-11-01 a-1", period="2010-11-01"),
    issued(invoice_id="2010-12-01 a-1", period="2010-12-01"),
    issued(invoice_id="2010-12-01 a-2", period="2010-12-01", account_id="a-2"),
    issued(
        invoice_id="back", period="2011-01-01", document_type="credit_note", original_invoice_id="2010-12-01 a-1",
    ),
]  # fmt: skip
CHARGES = {
    # charge -> (the invoice it reverses, its month); None where there is none
    "the_newest_that_has_as_much": (charge("c-01", "-20"), ("2010-12-01 a-1", date(2010, 12, 1))),
    "an_older_one_that_has_more": (charge("c-02", "-20.01"), ("2010-11-01 a-1", date(2010, 11, 1))),
    "more_than_any": (charge("c-03", "-50.01"), None),
    "what_was_taken_back_before": (charge("c-04", "-30", "lamp"), None),
    "of_somebody_else": (charge("c-05", "-8", "plate"), None),
    "of_another_product": (charge("c-06", "-1", "postage"), None),
    "of_another_region": (charge("c-07", "-8", "plate", "a-2", region="eu"), None),
    "bought_not_taken_back": (charge("c-08", "8", "plate", "a-2"), None),
}


@pytest.fixture(scope="module")
def told(spark):
    """The charges of all cases, those of each alone: charge -> row."""
    found = {}
    for row, _ in CHARGES.values():
        named = reversed_by(spark, [row])
        found |= {one["charge_id"]: one for one in named.collect()}
    return found


def reversed_by(spark, charges):
    before = (invoices(spark, *HEADERS), table_of(spark, INVOICE_LINES, LINES), table_of(spark, INVOICE_TAXES, []))
    return returns.named(frame(spark, DECIDED, charges), *before)


@pytest.mark.parametrize("case", CHARGES)
def test_a_charge_below_nothing_names_what_it_reverses(told, case):
    row, expected = CHARGES[case]
    found = told[row["charge_id"]]
    assert (found["original_invoice_id"], found["service_period"]) == (expected or (None, date(2011, 2, 1)))
    rate, rule = ("0.175", "gb/2010") if expected else ("0.20", "gb/2011")
    assert (found["tax_rate"], found["tax_rule"]) == (Decimal(rate), rule)
    assert [part["rate"] for part in found["components"]] == [Decimal(rate)]


def test_two_never_take_back_more_of_a_line_than_is_left(spark):
    twice = [charge("c-1", "-12"), charge("c-2", "-12")]
    assert collected(reversed_by(spark, twice), "charge_id", "original_invoice_id") == [
        ("c-1", "2010-12-01 a-1"), ("c-2", None),
    ]  # fmt: skip

"""UBL documents of every kind pass the official rules without one failed assertion, and say to the last digit what was issued."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from stdnum import iso11649

from jobs.invoice_generation import exact_checks, official_rules, ubl
from jobs.invoice_generation.document import multiplied_out
from jobs.ledger.references import creditor_reference
from jobs.runtime.spark_server import jar_folder
from tests.invoice_generation.papers import (
    KINDS,
    PDF_ONLY,
    SELLER,
    UNITS,
    VAT_NUMBERS,
    bought_by,
    document,
    line,
    of_seller,
    row,
)

JARS = str(jar_folder())
EXACTLY = exact_checks.Rounding()


def vat_number(country: str) -> str:
    return VAT_NUMBERS.get(country, f"{country}123456789")


def rendered(kind: str) -> bytes:
    of, seller = KINDS[kind]
    return ubl.rendered(document(of, seller), UNITS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_passes_the_official_rules(kind):
    of, seller = KINDS[kind]
    assert ubl.obstacle(document(of, seller)) == ""
    assert official_rules.failed(rendered(kind), ubl.profile(document(of, seller)), JARS) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_was_issued(kind):
    assert exact_checks.problems(rendered(kind), KINDS[kind][0], EXACTLY) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_document_gives_the_same_bytes(kind):
    assert rendered(kind) == rendered(kind)


@pytest.mark.parametrize("kind", PDF_ONLY)
def test_what_the_standard_cannot_say_is_named(kind):
    of, seller, why = PDF_ONLY[kind]
    assert ubl.obstacle(document(of, seller)) == why


@pytest.mark.parametrize("country", sorted(set(ubl.ADDRESS_SCHEMES) - set(ubl.MORE_IS_ASKED)))
def test_who_is_said_to_follow_peppol_passes_its_rules(country):
    seller = of_seller(country, "Seller", vat_number(country), registration_number="12345678")
    for buyer in ("AT", "DE", "NL", "IT", country):
        of = row(line("10.00", "200", "10"), line("-3.00"), **bought_by(buyer, "Buyer", vat_number(buyer)))
        assert ubl.profile(document(of, seller)) == "peppol"
        assert official_rules.failed(ubl.rendered(document(of, seller), UNITS), "peppol", JARS) == [], buyer


@pytest.mark.parametrize("number", ["IT12345678901", "NL123456789"])
def test_a_number_that_the_network_refuses_is_no_address(number):
    of = row(line("10.00"), **bought_by(number[:2], "Buyer", number))
    assert ubl.profile(document(of)) == "en16931"
    assert official_rules.failed(ubl.rendered(document(of), UNITS), "en16931", JARS) == []


@pytest.mark.parametrize("country", ubl.MORE_IS_ASKED)
def test_where_more_is_asked_nothing_is_claimed(country):
    """The rules of these countries do fail: else they would be left out for nothing."""
    seller = of_seller(country, "Seller", vat_number(country), registration_number="12345678")
    of = row(line("10.00", "200", "10"), **bought_by(country, "Buyer", vat_number(country)))
    content = ubl.rendered(document(of, seller), UNITS)
    assert ubl.profile(document(of, seller)) == "en16931" and b"peppol.eu:2017:poacc:billing:3.0" not in content
    assert official_rules.failed(content, "en16931", JARS) == []
    claimed = content.replace(ubl.CUSTOMIZATION["en16931"].encode(), ubl.CUSTOMIZATION["peppol"].encode())
    assert [rule for rule in official_rules.failed(claimed, "peppol", JARS) if rule != "PEPPOL-EN16931-R004"] != []


@pytest.mark.parametrize(("was", "becomes", "rule"), [
    pytest.param(rb'<cbc:PayableAmount currencyID="EUR">16.00', rb'<cbc:PayableAmount currencyID="EUR">16.01', "BR-CO-16", id="total"),
    pytest.param(rb"<cbc:ID>S</cbc:ID>", rb"<cbc:ID>Q</cbc:ID>", "BR-CL-17", id="category"),
    pytest.param(rb"<cbc:IssueDate>2026-08-01</cbc:IssueDate>", b"", "BR-03", id="date"),
])  # fmt: skip
def test_a_spoilt_document_is_refused_by_the_rule_that_says_so(was, becomes, rule):
    content = rendered("domestic")
    assert was in content
    assert rule in official_rules.failed(content.replace(was, becomes), "en16931", JARS)


@pytest.mark.parametrize(("was", "becomes", "what"), [
    pytest.param(rb'(<cac:TaxTotal><cbc:TaxAmount currencyID="EUR">)2.67', rb"\g<1>2.68", "TaxAmount is not the sum", id="tax"),
    pytest.param(rb"(TaxSubtotal>.*?<cbc:TaxAmount[^>]*>)2.67", rb"\g<1>2.66", "taxes not as issued", id="subtotal"),
    pytest.param(rb"AT-2026-0000042", rb"AT-2026-0000043", "number not as issued", id="number"),
    pytest.param(rb'(LineExtensionAmount currencyID="EUR">)3.33', rb"\g<1>3.34", "lines not as issued", id="line"),
    pytest.param(rb"<cbc:IssueDate>2026-08-01", rb"<cbc:IssueDate>2026-08-02", "issue date not as issued", id="date"),
    pytest.param(rb"16.00", rb"16.001", "minor units not as issued", id="minor_units"),
    pytest.param(rb"</Invoice>", rb"</Invoice", "unreadable", id="torn"),
])  # fmt: skip
def test_what_is_off_by_a_cent_is_found(was, becomes, what):
    """Each of these but the torn one and the date is within what the official rules tolerate, or is nothing they know."""
    spoilt, count = re.subn(was, becomes, rendered("domestic"), count=1, flags=re.DOTALL)
    assert count == 1
    assert what in exact_checks.problems(spoilt, KINDS["domestic"][0], EXACTLY)


def test_the_official_rules_let_a_tax_be_wrong_that_we_do_not():
    content = rendered("domestic").replace(b"2.67", b"3.20").replace(b"16.00", b"16.53")
    assert official_rules.failed(content, "en16931", JARS) == []
    assert "TaxAmount is not the sum" in exact_checks.problems(content, KINDS["domestic"][0], EXACTLY)


def test_tax_rounded_line_by_line_is_checked_line_by_line():
    lines = [line("0.03"), line("0.03"), line("0.03")]
    by_line, at_once = row(*lines, per="line"), row(*lines)
    assert (by_line["tax_amount"], at_once["tax_amount"]) == (Decimal("0.03"), Decimal("0.02"))
    for of, per, other in ((by_line, "line", "document"), (at_once, "document", "line")):
        content = ubl.rendered(document(of), UNITS)
        assert exact_checks.problems(content, of, exact_checks.Rounding(per=per)) == []
        assert "TaxAmount is not the sum" in exact_checks.problems(content, of, exact_checks.Rounding(per=other))


def test_parts_of_a_tax_that_was_taken_before_are_not_computed_again():
    """A correction takes back what was taken, which its own rate may not make: only what was issued counts."""
    of = KINDS["credit note"][0]
    shifted = [dict(one) for one in of["lines"]]
    shifted[0]["line_taxes"] = [
        dict(shifted[0]["line_taxes"][0]) | {"amount": shifted[0]["line_taxes"][0]["amount"] - Decimal("0.01")}
    ]
    changed = of | {
        "lines": shifted, "taxes": [of["taxes"][0] | {"tax_amount": of["tax_amount"] - Decimal("0.01")}],
        "tax_amount": of["tax_amount"] - Decimal("0.01"), "gross_amount": of["gross_amount"] - Decimal("0.01"),
        "payable_amount": of["gross_amount"] - Decimal("0.01"),
    }  # fmt: skip
    content = ubl.rendered(document(changed), UNITS)
    assert official_rules.failed(content, "peppol", JARS) == []
    assert exact_checks.problems(content, changed, EXACTLY) == []
    assert exact_checks.problems(content, of, EXACTLY) != []
    assert "tax of category S is not what its rate makes" in exact_checks.problems(
        content, changed | {"original_invoice_id": None}, EXACTLY
    )


def test_an_invoice_says_what_it_is_paid_with():
    told = rendered("domestic").decode()
    reference = re.search("<cbc:PaymentID>(.*?)</cbc:PaymentID>", told).group(1)
    assert iso11649.is_valid(reference) and reference.endswith("AT20260000042")
    assert "<cbc:PaymentMeansCode>58<" in told and "AT611904300234573201" in told
    assert "<cbc:PaymentMeansCode>30<" in rendered("british").decode()
    assert "<cac:PaymentMeans>" not in rendered("credit note").decode()


def test_a_debit_note_says_so():
    assert "<cbc:InvoiceTypeCode>383<" in rendered("debit note").decode()
    assert "<cbc:InvoiceTypeCode>380<" in rendered("domestic").decode()


def test_a_credit_note_names_its_original_and_credits_positive_amounts():
    told = exact_checks.said(rendered("credit note"))
    assert (told.kind, told.originals, told.totals["PayableAmount"]) == (
        "CreditNote",
        ("AT-2026-0000007",),
        Decimal("15.00"),
    )


@pytest.mark.parametrize(("quantity", "rated", "amount", "expected"), [
    pytest.param("200", "10", "10.00", ("200", "0.05"), id="a_price_that_terminates"),
    pytest.param("7.5", "3.3333", "3.33", ("7.5", "0.44444"), id="rounded_by_less_than_a_cent"),
    pytest.param("10", "-5", "-5.00", ("-10", "0.5"), id="no_price_is_negative"),
    pytest.param("-10", "-5", "-5.00", ("-10", "0.5"), id="given_back"),
    pytest.param("3", "1", "1.00", None, id="a_third_is_no_price"),
    pytest.param("7.3", "73.511", "74", None, id="rounded_too_far"),
    pytest.param("0", "5", "5.00", None, id="of_nothing"),
    pytest.param(None, "5", "5.00", None, id="no_quantity"),
])  # fmt: skip
def test_quantity_and_price_multiply_out_or_one_is_sold(quantity, rated, amount, expected):
    found, price = multiplied_out(Decimal(quantity) if quantity else None, Decimal(rated), Decimal(amount))
    assert (found, price) == ((Decimal(expected[0]), Decimal(expected[1])) if expected else (None, Decimal(0)))


@pytest.mark.parametrize("number", ["A-1", "AT-2026-0000042", "P06DECN-2026-0000001", "539007547034"])
def test_creditor_references_are_those_of_the_standard(number):
    assert iso11649.is_valid(creditor_reference(number))


def test_a_creditor_reference_is_made_of_what_fits():
    assert creditor_reference("539007547034") == "RF18539007547034"  # the example of the standard
    assert creditor_reference("-") is None and creditor_reference("A" * 22) is None


def test_a_tax_number_is_one_of_vat_only_with_its_country():
    assert SELLER.vat_id == "ATU12345675"
    assert of_seller("CH", "S", "CHE-123.456.789 MWST").vat_id == "CHE123456789MWST"
    assert (
        of_seller("AU", "S", "51 824 753 556").vat_id == "AU51824753556"
        and of_seller("NO", "S", "NO 923609016 MVA").vat_id[:2] == "NO"
    )
    assert of_seller("US", "S", "12-3456789").vat_id == "" and of_seller("GR", "S", "EL123456789").vat_id == "EL123456789"

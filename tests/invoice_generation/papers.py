"""Documents made by hand: rows as documents.frame() gives them, of every kind that a renderer has to know."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from jobs.invoice_generation.document import Account, Document, Party, of_row, places

Row = dict[str, Any]
UNITS = {"GB": "E34", "Hrs": "HUR", "kWh": "KWH", "Requests": "C62"}
SELLER = Party(
    id="alpha-at", name="Alpha Wolken GmbH", country="AT", street="Mariahilfer Straße 1", city="Wien", postal_code="1060",
    tax_id="ATU12345675", registration_number="FN 123456a", email="rechnung@alpha.example",
)  # fmt: skip
BUYER: Row = {
    "account_id": "a-1", "legal_name": "Müller & Söhne <KG>", "customer_country": "AT", "customer_region": None, "street": "Hauptplatz 3",
    "city": "Graz", "postal_code": "8010", "tax_id": "ATU87654321", "email": "ap@mueller.example",
}  # fmt: skip
ACCOUNTS = (Account("AT611904300234573201", "BKAUATWW", "EUR"), Account("GB29NWBK60161331926819", "NWBKGB2L", "GBP"))


def line(
    amount: str, quantity: str | None = None, rated: str | None = None, rate: str = "0.20", category: str = "S", **more: Any
) -> Row:
    """A line: nothing said of its quantity, one month of a service."""
    return {
        "line_no": 1, "product_id": "storage", "region": "eu-central-1", "unit": "GB" if quantity else None,
        "quantity": Decimal(quantity) if quantity else None, "rated_amount": Decimal(rated or amount), "line_amount": Decimal(amount),
        "tax_category": category, "tax_rate": Decimal(rate), "tax_rule": f"{category}{rate}", "service_period": date(2026, 7, 1),
    } | more  # fmt: skip


def row(
    *lines: Row, components: dict[str, tuple[tuple[str, str], ...]] | None = None, reason: str | None = None, code: str | None = None,
    per: str = "document", **more: Any,
) -> Row:  # fmt: skip
    """An issued document with its lines, its taxes and totals computed from them. components: by tax rule, name and rate of each part."""
    currency = more.get("currency", "EUR")
    running: dict[tuple[str, str, Decimal], Decimal] = {}
    sums: dict[tuple[str, str, Decimal], list[Decimal]] = {}
    numbered = []
    for number, one in enumerate(lines, start=1):
        parts = []
        for name, told in (components or {}).get(one["tax_rule"], (("VAT", one["tax_rate"]),)):
            key, rate = (one["tax_category"], name, Decimal(told)), Decimal(told)
            before = running.get(key, Decimal(0)) if per == "document" else Decimal(0)
            running[key] = before + one["line_amount"]
            amount = coins(running[key] * rate, currency) - coins(before * rate, currency)
            taxable, tax = sums.get(key, [Decimal(0), Decimal(0)])
            sums[key] = [taxable + one["line_amount"], tax + amount]
            parts.append({"component": name, "rate": rate, "amount": amount})
        numbered.append(
            {name: told for name, told in one.items() if name != "tax_rule"} | {"line_no": number, "line_taxes": parts}
        )
    taxes = [
        {
            "tax_category": category, "tax_component": name, "tax_rate": rate, "taxable_amount": taxable, "tax_amount": tax,
            "exemption_code": code if category not in "SZ" else None, "exemption_reason": reason if category not in "SZ" else None,
        }
        for (category, name, rate), (taxable, tax) in sorted(sums.items())
    ]  # fmt: skip
    net = sum((one["line_amount"] for one in numbered), Decimal(0))
    tax = sum((one["tax_amount"] for one in taxes), Decimal(0))
    gross = net + tax
    told: Row = {
        "tenant_id": "alpha", "period": date(2026, 7, 1), "invoice_id": "5f" * 32, "legal_entity_id": "alpha-at",
        "document_type": "credit_note" if net < 0 else "invoice", "invoice_number": "AT-2026-0000042", "issue_date": date(2026, 8, 1),
        "due_date": date(2026, 8, 31), "currency": currency, "net_amount": net, "tax_amount": tax, "gross_amount": gross,
        "rounding_amount": Decimal(0), "prepaid_amount": Decimal(0), "payable_amount": gross, "original_invoice_id": None,
        "original_number": None, "original_date": None, "correction_reason": None, "lines": numbered, "taxes": taxes,
    }  # fmt: skip
    told |= BUYER | more
    if told["original_number"]:
        told["original_invoice_id"] = "d" * 64
    if told["payable_amount"] == gross:
        told["payable_amount"] = gross + told["rounding_amount"] - told["prepaid_amount"]
    return told


def coins(amount: Decimal, currency: str) -> Decimal:
    """Half away from zero, in the currency's decimals."""
    return amount.quantize(Decimal(1).scaleb(-places(currency)), rounding=ROUND_HALF_UP)


def document(of: Row, seller: Party = SELLER, accounts: tuple[Account, ...] = ACCOUNTS) -> Document:
    """The document of a row."""
    return of_row(of, seller, accounts)


def bought_by(country: str, name: str, tax_id: str | None = None, **more: Any) -> Row:
    """A customer somewhere else."""
    return {
        "customer_country": country,
        "legal_name": name,
        "tax_id": tax_id,
        "city": "X-Stadt",
        "street": "Y 1",
        "postal_code": "1",
        **more,
    }


def of_seller(country: str, name: str, tax_id: str, **more: Any) -> Party:
    """A seller somewhere else."""
    return Party(
        id=f"alpha-{country.lower()}", name=name, country=country, tax_id=tax_id, street="1 Street", city="City",
        postal_code="12345", email="billing@alpha.example", **more,
    )  # fmt: skip


VAT_NUMBERS = {"GR": "EL123456789", "IT": "IT12345670785", "NL": "NL123456789B12"}  # where more is looked at than the prefix
LONG = "Ein sehr langer Name mit vielen Worten " * 8
US = of_seller("US", "Alpha Clouds Inc.", "12-3456789", region="NY")
IN = of_seller("IN", "Alpha Clouds Private Limited", "27AAPFU0939F1ZV", region="MH")
JP = of_seller("JP", "株式会社アルファ", "T1234567890123")
CA = of_seller("CA", "Alpha Clouds Ltd.", "123456789RT0001", region="BC")
GB = of_seller("GB", "Alpha Clouds Ltd", "GB123456789", registration_number="01234567")
KW = of_seller("KW", "Alpha Kuwait WLL", "KW300000001")

KINDS: dict[str, tuple[Row, Party]] = {  # every kind that has a UBL document
    "domestic": (row(line("10.00", "200", "10"), line("3.33", "7.5", "3.3333")), SELLER),
    "several rates": (row(line("10.00"), line("5.55", rate="0.10"), line("1.01", category="Z", rate="0")), SELLER),
    "reverse charge": (
        row(line("99.99", category="AE", rate="0"), reason="Reverse charge, Art. 196 of Directive 2006/112/EC", code="VATEX-EU-AE",
            **bought_by("DE", "Deutsche Kundin AG", "DE123456789")), SELLER,
    ),
    "intra-community": (row(line("99.99", category="K", rate="0"), **bought_by("DE", "Deutsche Kundin AG", "DE123456789")), SELLER),
    "export": (row(line("1234.56", category="G", rate="0"), **bought_by("US", "American Customer Inc.", "98-7654321")), SELLER),
    "exempt": (row(line("50.00", category="E", rate="0"), reason="Exempt, Art. 132 (1)(i)"), SELLER),
    "zero rated": (row(line("50.00", category="Z", rate="0")), SELLER),
    "outside scope": (row(line("50.00", category="O", rate="0"), **bought_by("US", "American Customer Inc.")), SELLER),
    "credit note": (
        row(line("-10.00", "-200", "-10"), line("-2.50"), original_number="AT-2026-0000007", original_date=date(2026, 7, 1),
            correction_reason="Storage was billed twice."), SELLER,
    ),
    "discounts": (row(line("100.00", "2000", "100"), line("-15.00"), line("-5.00", "10", "-5")), SELLER),
    "tiers": (row(line("17.00", "13", "17"), line("0.01", "3", "0.005")), SELLER),
    "yen": (row(line("1000", "10", "1000", rate="0.10"), line("74", "7.3", "73.511", rate="0.10"), currency="JPY",
                **bought_by("JP", "山田製作所株式会社", "T9876543210987")), JP),
    "dinar": (row(line("10.000", rate="0.05", unit=None), currency="KWD", **bought_by("KW", "Kuwait Customer", None)), KW),
    "sales tax": (
        row(line("80.00", "1600", "80", rate="0.08875", tax_rule="ny"), currency="USD",
            components={"ny": (("NY", "0.04"), ("NYC", "0.045"), ("MCTD", "0.00375"))}, **bought_by("US", "American Customer Inc.")), US,
    ),
    "gst": (
        row(line("10.05", rate="0.18", tax_rule="mh"), components={"mh": (("CGST", "0.09"), ("SGST", "0.09"))}, currency="INR",
            **bought_by("IN", "Indian Customer", "27AAACU1234F1Z0")), IN,
    ),
    "gst and pst": (
        row(line("10.05", rate="0.12", tax_rule="bc"), line("7.77", rate="0.05", tax_rule="gst"), currency="CAD",
            components={"bc": (("GST", "0.05"), ("PST", "0.07")), "gst": (("GST", "0.05"),)}, **bought_by("CA", "Canadian Customer")), CA,
    ),
    "debit note": (
        row(line("4.00"), document_type="debit_note", original_number="AT-2026-0000007", original_date=date(2026, 7, 1),
            correction_reason="Traffic was not billed."), SELLER,
    ),
    "corrective invoice": (
        row(line("-10.00", "-200", "-10"), line("10.00", "200", "10", category="AE", rate="0"), line("-2.50"), line("2.50", category="AE", rate="0"),
            document_type="corrective_invoice", original_number="AT-2026-0000007", original_date=date(2026, 7, 1), code="VATEX-EU-AE",
            reason="Reverse charge, Art. 196 of Directive 2006/112/EC", correction_reason="The tax number was confirmed after the invoice.",
            **bought_by("DE", "Deutsche Kundin AG", "DE123456789")), SELLER,
    ),
    "rounded and prepaid": (row(line("10.01"), rounding_amount=Decimal("-0.01"), prepaid_amount=Decimal("5.00")), SELLER),
    "prepaid as a whole": (row(line("10.01"), prepaid_amount=Decimal("12.01")), SELLER),
    "nothing": (row(line("0.00", rated="0")), SELLER),
    "long": (row(line("1.00", product_id=LONG.strip(), region=LONG.strip()), legal_name=LONG.strip()), SELLER),
    "greek": (row(line("1.00", product_id="Αποθήκευση"), **bought_by("GR", "Ελληνική Εταιρεία Α.Ε.", "EL123456789")), SELLER),
    "cyrillic": (row(line("1.00"), **bought_by("BG", "Българска фирма ООД", "BG123456789")), SELLER),
    "chinese": (row(line("1.00", category="G", rate="0"), **bought_by("CN", "北京云计算有限公司")), SELLER),
    "three hundred lines": (row(*(line("1.01", "20.2", "1.01") for _ in range(300))), SELLER),
    "control signs": (row(line("1.00"), legal_name="Some\x01body\x0b & <Co>"), SELLER),
    "british": (row(line("10.00"), currency="GBP", **bought_by("GB", "British Customer Ltd", "GB987654321")), GB),
    "nothing known of the customer": (row(line("10.00"), **bought_by("AT", "Somebody", None, street=None, city=None, postal_code=None, email=None)), SELLER),
}  # fmt: skip
PDF_ONLY: dict[str, tuple[Row, Party, str]] = {  # no UBL, and why
    "american export": (row(line("5.00", category="G", rate="0"), currency="USD", **bought_by("DE", "Kundin")), US, "seller_without_vat_number"),
    "unregistered": (row(line("5.00")), Party("x", "X", "AT"), "seller_without_tax_number"),
    "no number of the customer": (row(line("5.00", category="AE", rate="0"), **bought_by("DE", "Kundin")), SELLER, "customer_without_tax_number"),
    "mixed": (row(line("5.00"), line("5.00", category="O", rate="0")), SELLER, "out_of_scope_beside_taxed"),
    "mills": (row(line("10.505", rate="0.05"), currency="KWD", **bought_by("KW", "Kuwait Customer")), KW, "finer_than_cents"),
    "nowhere": (row(line("5.00"), customer_country=None), SELLER, "no_customer_country"),
    "unheard of": (row(line("5.00", category="L", rate="0.07")), SELLER, "unknown_tax_category"),
    "taxed without a rate": (row(line("5.00", rate="0")), SELLER, "rate_and_category_differ"),
}  # fmt: skip

"""A document as UBL 2.1, following EN 16931 and, where its parties can be addressed there, Peppol BIS Billing 3.

The same document gives the same bytes. What EN 16931 cannot say, obstacle() names, and such a document has no UBL file; which
countries and cases these are stands in docs/documents.md. Source: EN 16931-1, CEN/TS 16931-3-2, Peppol BIS Billing 3.0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from stdnum.it import iva

from jobs.invoice_generation.document import Document, Line, Party, Tax, compact

Profile = Literal["en16931", "peppol"]

CUSTOMIZATION: dict[Profile, str] = {
    "en16931": "urn:cen.eu:en16931:2017",
    "peppol": "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0",
}
BILLING = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"
NAMESPACES = {
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
}
ROOT = "urn:oasis:names:specification:ubl:schema:xsd:"
DECIMALS = 2  # of any amount but a price: BR-DEC-01 to BR-DEC-28
CREDIT_NOTE = "381"  # UNTDID 1001, and what an Invoice is
INVOICE_TYPES = {"invoice": "380", "debit_note": "383", "corrective_invoice": "384"}
ONE, MUTUALLY_DEFINED = "C62", "ZZ"  # UN/ECE Recommendation 20 and its code for what both sides know

# Under which code a VAT number is an electronic address, as rule PEPPOL-EN16931-CL008 of release 2026.5 lists them.
ADDRESS_SCHEMES = {
    "AT": "9914", "BE": "9925", "BG": "9926", "CH": "9927", "CY": "9928", "CZ": "9929", "DE": "9930", "EE": "9931", "ES": "9920",
    "FR": "9957", "GB": "9932", "GR": "9933", "HR": "9934", "HU": "9910", "IE": "9935", "IT": "0211", "LI": "9936", "LT": "9937",
    "LU": "9938", "LV": "9939", "MC": "9940", "ME": "9941", "MK": "9942", "MT": "9943", "NL": "9944", "PL": "9945", "PT": "9946",
    "RO": "9947", "RS": "9948", "SI": "9949", "SK": "9950", "SM": "9951", "TR": "9952", "VA": "9953",
}  # fmt: skip
DUTCH = re.compile("NL[0-9]{9}B[0-9]{2}")
ELECTRONIC_MAIL = "EM"
# Whose sellers the Peppol rules ask for what this house does not keep: contacts, registers, national numbers.
MORE_IS_ASKED = ("DE", "DK", "GR", "IS", "NL", "NO", "SE")
SEPA = (
    "AD", "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GI", "GR", "HR", "HU", "IE", "IS", "IT", "LI",
    "LT", "LU", "LV", "MC", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK", "SM", "VA",
)  # fmt: skip

UNTAXED = {  # category: what EN 16931 wants to hear where nothing says more; BT-121, BT-120
    "AE": ("VATEX-EU-AE", "Reverse charge"),
    "E": ("", "Exempt from tax"),
    "G": ("VATEX-EU-G", "Export outside the EU"),
    "K": ("VATEX-EU-IC", "Intra-Community supply"),
    "O": ("VATEX-EU-O", "Not subject to VAT"),
}
CATEGORIES = ("S", "Z", *UNTAXED)
SELLER_BY_VAT = ("G", "K")  # BR-G-02, BR-IC-02; for AE and S, Z, E any tax number does
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def obstacle(document: Document) -> str:
    """Why EN 16931 cannot say this document: a code for the list of documents; empty where it can."""
    categories = {tax.category for tax in document.taxes}
    seller, buyer = document.seller, document.buyer
    amounts = (*(line.amount for line in document.lines), *(tax.amount for tax in document.taxes), document.payable)
    found = {
        "no_lines": not document.lines or not document.taxes,
        "no_customer_country": not buyer.country,
        "unknown_tax_category": not categories <= set(CATEGORIES),
        "out_of_scope_beside_taxed": "O" in categories and len(categories) > 1,  # BR-O-11
        "rate_and_category_differ": any((tax.rate > 0) != (tax.category == "S") for tax in document.taxes),
        "seller_without_tax_number": categories != {"O"} and not seller.tax_id,
        "seller_without_vat_number": bool(categories & set(SELLER_BY_VAT)) and not seller.vat_id,
        "customer_without_vat_number": "K" in categories and not buyer.vat_id,
        "customer_without_tax_number": "AE" in categories and not buyer.tax_id,
        "finer_than_cents": any(amount != round(amount, DECIMALS) for amount in amounts),  # BR-DEC
    }
    return next((why for why, is_so in found.items() if is_so), "")


def profile(document: Document) -> Profile:
    """peppol where both parties have an address in its network and the seller's country asks for nothing more; else en16931.

    Between others than Germans, whose sellers are asked for more, Peppol has no corrected invoices (PEPPOL-EN16931-P0112).
    """
    kept_out = (
        document.seller.country in MORE_IS_ASKED,
        document.kind == "corrective_invoice",
        any(tax.category == "O" for tax in document.taxes),  # which may not carry the VAT numbers that address it
        not all(_network_address(party) for party in (document.seller, document.buyer)),
    )
    return "en16931" if any(kept_out) else "peppol"


def rendered(document: Document, units: Mapping[str, str]) -> bytes:
    """The document in UTF-8. units: code of UN/ECE Recommendation 20 by the name that usage has for a unit.

    Only for a document without an obstacle.
    """
    kind = "CreditNote" if document.is_credit_note else "Invoice"
    named = "".join(f" xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in NAMESPACES.items())
    following = profile(document)
    parts = [
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{kind} xmlns={quoteattr(f"{ROOT}{kind}-2")}{named}>',
        _text("CustomizationID", CUSTOMIZATION[following]),
        _text("ProfileID", BILLING),
        _text("ID", document.number),
        _text("IssueDate", str(document.issue_date)),
        *(
            []
            if document.is_credit_note
            else [
                _text("DueDate", str(document.due_date)),
                _text("InvoiceTypeCode", INVOICE_TYPES[document.kind]),
            ]
        ),
        *([_text("CreditNoteTypeCode", CREDIT_NOTE)] if document.is_credit_note else []),
        _text("Note", document.reason),
        _text("DocumentCurrencyCode", document.currency),
        _text("BuyerReference", document.buyer.id),
        _period(document.begins, document.ends),
        _original(document),
        _within("AccountingSupplierParty", _party(document.seller, document, is_seller=True)),
        _within("AccountingCustomerParty", _party(document.buyer, document, is_seller=False)),
        _delivery(document),
        _payment(document),
        _taxes(document),
        _totals(document),
        *(_line(line, document, units) for line in document.lines),
        f"</{kind}>\n",
    ]
    return "\n".join(part for part in parts if part).encode()


def _text(name: str, text: str, **attributes: str) -> str:
    """An element with a text; nothing where there is none, since EN 16931 knows no empty elements."""
    cleaned = " ".join(NOT_IN_XML.sub(" ", text).split())
    shown = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<cbc:{name}{shown}>{escape(cleaned)}</cbc:{name}>" if cleaned else ""


def _within(name: str, *inner: str) -> str:
    content = "".join(inner)
    return f"<cac:{name}>{content}</cac:{name}>" if content else ""


def _amount(name: str, amount: Decimal, document: Document) -> str:
    shown = f"{amount + 0:.{min(document.places, DECIMALS)}f}"  # + 0: nothing is never negative
    return f'<cbc:{name} currencyID="{document.currency}">{shown}</cbc:{name}>'


def _plain(number: Decimal) -> str:
    text = f"{number + 0:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _period(begins: object, ends: object) -> str:
    return _within("InvoicePeriod", _text("StartDate", str(begins)), _text("EndDate", str(ends)))


def _original(document: Document) -> str:
    if not document.original_number:
        return ""
    issued = _text("IssueDate", str(document.original_date)) if document.original_date else ""
    return _within("BillingReference", _within("InvoiceDocumentReference", _text("ID", document.original_number), issued))


def _network_address(party: Party) -> tuple[str, str] | None:
    """Scheme and number; of Italians and Dutch only a number that PEPPOL-COMMON-R047 and R056 take."""
    scheme, number = ADDRESS_SCHEMES.get(party.country), party.vat_id
    is_refused = (party.country == "IT" and not iva.is_valid(number)) or (
        party.country == "NL" and not DUTCH.fullmatch(number)
    )
    return (scheme, number) if scheme and number and not is_refused else None


def _party(party: Party, document: Document, *, is_seller: bool) -> str:
    outside_vat = any(tax.category == "O" for tax in document.taxes)  # then VAT numbers may not stand here: BR-O-02
    vat_id = "" if outside_vat else party.vat_id
    local_id = "" if party.vat_id else compact(party.tax_id)
    scheme, address = (not outside_vat and _network_address(party)) or (ELECTRONIC_MAIL, party.email)
    # A tax number that is none of VAT is the seller's local one; of a customer it says which body it is.
    registered = party.registration_number or (local_id if not is_seller else "")
    return _within(
        "Party",
        _text("EndpointID", address, schemeID=scheme),
        _within("PartyIdentification", _text("ID", party.id)),
        _within("PartyName", _text("Name", party.name)),
        _within(
            "PostalAddress",
            _text("StreetName", party.street),
            _text("CityName", party.city),
            _text("PostalZone", party.postal_code),
            _text("CountrySubentity", party.region),
            _within("Country", _text("IdentificationCode", party.country)),
        ),
        _tax_scheme(vat_id, "VAT"),
        _tax_scheme(local_id, "TAX") if is_seller else "",
        _within("PartyLegalEntity", _text("RegistrationName", party.name), _text("CompanyID", registered)),
        _within("Contact", _text("ElectronicMail", party.email)),
    )


def _tax_scheme(number: str, scheme: str) -> str:
    return _within("PartyTaxScheme", _text("CompanyID", number), _within("TaxScheme", _text("ID", scheme))) if number else ""


def _delivery(document: Document) -> str:
    """When and whereto, which a supply to another member state has to say: BR-IC-11, BR-IC-12."""
    if all(tax.category != "K" for tax in document.taxes):
        return ""
    country = _within("Country", _text("IdentificationCode", document.buyer.country))
    return _within(
        "Delivery",
        _text("ActualDeliveryDate", str(document.ends)),
        _within("DeliveryLocation", _within("Address", country)),
    )


def _payment(document: Document) -> str:
    if document.is_credit_note or document.payable <= 0:
        return _within("PaymentTerms", _text("Note", "Nothing is to be paid for this document."))
    reference, account = _text("PaymentID", document.reference), document.account
    if account is None:
        return _within("PaymentMeans", _text("PaymentMeansCode", "1"), reference)
    in_sepa = document.currency == "EUR" and account.iban[:2] in SEPA and account.iban[2:4].isdigit()
    bank = _within("FinancialInstitutionBranch", _text("ID", account.bic))
    payee = _within("PayeeFinancialAccount", _text("ID", account.iban), bank)
    return _within("PaymentMeans", _text("PaymentMeansCode", "58" if in_sepa else "30"), reference, payee)


def _taxes(document: Document) -> str:
    parts = [
        _within(
            "TaxSubtotal",
            _amount("TaxableAmount", tax.taxable, document),
            _amount("TaxAmount", tax.amount, document),
            _category("TaxCategory", tax.category, tax.rate, *_why_untaxed(tax)),
        )
        for tax in document.taxes
    ]
    return _within("TaxTotal", _amount("TaxAmount", document.tax, document), *parts)


def _why_untaxed(tax: Tax) -> tuple[str, str]:
    code, reason = UNTAXED.get(tax.category, ("", ""))
    if tax.category not in UNTAXED:
        return "", ""
    return tax.code or code, tax.reason or reason


def _category(name: str, category: str, rate: Decimal, code: str = "", reason: str = "") -> str:
    return _within(
        name,
        _text("ID", category),
        "" if category == "O" else _text("Percent", _plain(rate * 100)),  # BR-O-05
        _text("TaxExemptionReasonCode", code),
        _text("TaxExemptionReason", reason),
        _within("TaxScheme", _text("ID", "VAT")),
    )


def _totals(document: Document) -> str:
    return _within(
        "LegalMonetaryTotal",
        _amount("LineExtensionAmount", sum((line.amount for line in document.lines), Decimal(0)), document),
        _amount("TaxExclusiveAmount", document.net, document),
        _amount("TaxInclusiveAmount", document.gross, document),
        _amount("PrepaidAmount", document.prepaid, document) if document.prepaid else "",
        _amount("PayableRoundingAmount", document.rounding, document) if document.rounding else "",
        _amount("PayableAmount", document.payable, document),
    )


def _line(line: Line, document: Document, units: Mapping[str, str]) -> str:
    kind, quantity = (
        ("CreditNoteLine", "CreditedQuantity") if document.is_credit_note else ("InvoiceLine", "InvoicedQuantity")
    )
    as_a_whole = line.detail is not None or not line.unit
    unit = ONE if as_a_whole else units.get(line.unit, MUTUALLY_DEFINED)
    told = line.detail if line.detail is not None else line.quantity
    note = f"{_plain(told)} {line.unit}" if line.detail is not None or unit == MUTUALLY_DEFINED else ""
    name = line.product_id or document.number
    return _within(
        kind,
        _text("ID", str(line.line_no)),
        _text("Note", note),
        _text(quantity, _plain(line.quantity), unitCode=unit),
        _amount("LineExtensionAmount", line.amount, document),
        _period(line.begins, line.ends),
        _within(
            "Item",
            _text("Description", line.region),
            _text("Name", name),
            _category("ClassifiedTaxCategory", line.tax_category, line.tax_rate),
        ),
        _within("Price", f'<cbc:PriceAmount currencyID="{document.currency}">{_plain(line.price)}</cbc:PriceAmount>'),
    )

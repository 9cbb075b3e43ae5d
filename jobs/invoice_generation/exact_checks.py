"""What the official rules tolerate, this does not: a UBL document is read, added up, and compared to the last digit.

The official rules let a tax be off by up to one unit of the currency (BR-CO-17 and its kin); here nothing may be off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Any

from lxml import etree

from jobs.invoice_generation.document import places

COMMON = "{urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2}"
BASIC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2}"
LINES = {
    "{urn:oasis:names:specification:ubl:schema:xsd:Invoice-2}Invoice": ("InvoiceLine", "InvoicedQuantity"),
    "{urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2}CreditNote": ("CreditNoteLine", "CreditedQuantity"),
}
NOTHING = Decimal(0)
METHODS = {"half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN}  # of decimal; its half_up is half away from zero
Category = tuple[str, Decimal]  # its code, and its rate as a share


@dataclass(frozen=True)
class Said:
    """What a UBL document says."""

    kind: str  # Invoice | CreditNote
    number: str
    issue_date: str
    currency: str
    originals: tuple[str, ...]
    lines: tuple[tuple[Decimal, Category], ...]  # net amount and tax category of each
    allowances: tuple[tuple[Decimal, Category], ...]  # of the document; a charge is positive, an allowance negative
    taxes: dict[Category, tuple[Decimal, Decimal]]  # taxable amount and tax
    totals: dict[str, Decimal]  # by the name of their elements; TaxAmount: of TaxTotal


def said(content: bytes) -> Said:
    """Read a document; one that is no UBL invoice or credit note raises ValueError that says what it is."""
    root = etree.fromstring(content)
    if root.tag not in LINES:
        raise ValueError(f"not a UBL invoice or credit note, but {root.tag}")
    line_name, _ = LINES[root.tag]
    currency = _text(root, "DocumentCurrencyCode")
    totals = {
        etree.QName(found).localname: Decimal(found.text)
        for found in root.find(f"{COMMON}LegalMonetaryTotal")
        if found.text and found.tag.startswith(BASIC)
    }
    taxes: dict[Category, tuple[Decimal, Decimal]] = {}
    for total in root.findall(f"{COMMON}TaxTotal"):
        amount = total.find(f"{BASIC}TaxAmount")
        if amount.get("currencyID") != currency:
            continue  # the tax in the currency of the seller's books, told beside
        totals["TaxAmount"] = totals.get("TaxAmount", NOTHING) + Decimal(amount.text)
        for part in total.findall(f"{COMMON}TaxSubtotal"):
            key = _category(part.find(f"{COMMON}TaxCategory"))
            before = taxes.get(key, (NOTHING, NOTHING))
            taxes[key] = (before[0] + _amount(part, "TaxableAmount"), before[1] + _amount(part, "TaxAmount"))
    return Said(
        kind=etree.QName(root).localname,
        number=_text(root, "ID"),
        issue_date=_text(root, "IssueDate"),
        currency=currency,
        originals=tuple(_text(found, "ID") for found in root.iter(f"{COMMON}InvoiceDocumentReference")),
        lines=tuple(
            (
                _amount(line, "LineExtensionAmount"),
                _category(line.find(f"{COMMON}Item/{COMMON}ClassifiedTaxCategory")),
            )
            for line in root.findall(f"{COMMON}{line_name}")
        ),
        allowances=tuple(_allowances(root)),
        taxes=taxes,
        totals=totals,
    )


def _allowances(root: Any) -> Iterator[tuple[Decimal, Category]]:
    for found in root.findall(f"{COMMON}AllowanceCharge"):
        is_charge = _text(found, "ChargeIndicator") == "true"
        amount = _amount(found, "Amount")
        yield amount if is_charge else -amount, _category(found.find(f"{COMMON}TaxCategory"))


def _text(element: Any, name: str) -> str:
    return (element.findtext(f"{BASIC}{name}") or "").strip()


def _amount(element: Any, name: str) -> Decimal:
    return Decimal(_text(element, name) or "0")


def _category(element: Any) -> Category:
    return (_text(element, "ID"), Decimal(_text(element, "Percent") or "0") / 100) if element is not None else ("", NOTHING)


def totals(found: Said, tax_of: Callable[[Category, Decimal], Decimal] | None = None) -> dict[str, Decimal]:
    """The totals of a document from its lines, allowances and tax categories alone, by the name of their elements.

    tax_of: the tax of a category on a taxable amount; otherwise amount x rate, rounded half away from zero to the currency's decimals.
    What was prepaid and what is rounded at the end nobody can compute: both are taken as they stand.
    """
    lines = sum((amount for amount, _ in found.lines), NOTHING)
    added = sum((amount for amount, _ in found.allowances), NOTHING)
    taxable: dict[Category, Decimal] = {}
    for amount, category in (*found.lines, *found.allowances):
        taxable[category] = taxable.get(category, NOTHING) + amount
    of_category = tax_of or (lambda category, amount: rounded(amount * category[1], places(found.currency)))
    tax = sum((of_category(category, amount) for category, amount in taxable.items()), NOTHING)
    gross = lines + added + tax
    rounding, prepaid = (found.totals.get(name, NOTHING) for name in ("PayableRoundingAmount", "PrepaidAmount"))
    return {
        "LineExtensionAmount": lines,
        "TaxExclusiveAmount": lines + added,
        "TaxAmount": tax,
        "TaxInclusiveAmount": gross,
        "PayableAmount": gross - prepaid + rounding,
    }


def rounded(amount: Decimal, decimals: int, method: str = "half_up") -> Decimal:
    """An amount with so many decimals; half_up is half away from zero."""
    return amount.quantize(Decimal(1).scaleb(-decimals), rounding=METHODS[method])


@dataclass(frozen=True)
class Rounding:
    """How the tax of a document was rounded: half away from zero or to even, once per component and rate, or on every line."""

    method: str = "half_up"
    per: str = "document"


def problems(content: bytes, issued: Mapping[str, Any], policy: Rounding) -> list[str]:
    """What is wrong with a document, as codes; empty where it says to the last digit what was issued.

    issued: a row of documents.frame(), with its lines and taxes. Amounts of a credit note are negative there and positive in the
    document. Of a document that corrects another one the taxes are parts of the original's, so none is computed from its rate.
    """
    try:
        found = said(content)
    except (ValueError, ArithmeticError, AttributeError, etree.XMLSyntaxError):
        return ["unreadable"]
    sign = -1 if issued["document_type"] == "credit_note" else 1
    decimals = places(found.currency)
    expected = _issued_taxes(issued, sign)
    if len(found.lines) != len(issued["lines"]):
        return ["lines not as issued"]
    due = (
        {key: tax for key, (_, tax) in expected.items()}
        if issued["original_invoice_id"]
        else _due(found, issued, policy, decimals)
    )
    computed = totals(found, lambda category, amount: due.get(category, NOTHING))
    wrong = [f"{name} is not the sum" for name, amount in computed.items() if found.totals.get(name) != amount]
    wrong += [
        f"{name} is not as issued"
        for name, amount in _issued_totals(issued, sign).items()
        if found.totals.get(name, NOTHING) != amount
    ]
    wrong += [
        f"tax of category {key[0]} is not what its rate makes"
        for key, (_, tax) in found.taxes.items()
        if due.get(key) != tax
    ]
    amounts = (
        *found.totals.values(),
        *(part for both in found.taxes.values() for part in both),
        *(a for a, _ in found.lines),
    )
    told = {
        "kind": found.kind == ("CreditNote" if sign < 0 else "Invoice"),
        "number": found.number == issued["invoice_number"],
        "issue date": found.issue_date == str(issued["issue_date"]),
        "currency": found.currency == issued["currency"],
        "original": found.originals == ((issued["original_number"],) if issued["original_number"] else ()),
        "lines": [amount for amount, _ in found.lines] == [sign * line["line_amount"] for line in issued["lines"]],
        "taxes": found.taxes == expected,
        "minor units": all(amount == rounded(amount, decimals) for amount in amounts),
    }
    return wrong + [f"{what} not as issued" for what, is_so in told.items() if not is_so]


def _issued_totals(issued: Mapping[str, Any], sign: int) -> dict[str, Decimal]:
    payable = issued["gross_amount"] if issued["payable_amount"] is None else issued["payable_amount"]
    return {
        "TaxExclusiveAmount": sign * issued["net_amount"],
        "TaxAmount": sign * sum((tax["tax_amount"] for tax in issued["taxes"]), NOTHING),
        "TaxInclusiveAmount": sign * issued["gross_amount"],
        "PrepaidAmount": sign * (issued["prepaid_amount"] or NOTHING),
        "PayableRoundingAmount": sign * (issued["rounding_amount"] or NOTHING),
        "PayableAmount": sign * payable,
    }


def _issued_taxes(issued: Mapping[str, Any], sign: int) -> dict[Category, tuple[Decimal, Decimal]]:
    """Taxable amount and tax by category, from the lines as they were issued."""
    found: dict[Category, tuple[Decimal, Decimal]] = {}
    for line in issued["lines"]:
        key = (line["tax_category"], line["tax_rate"])
        taxable, tax = found.get(key, (NOTHING, NOTHING))
        own = sum((part["amount"] for part in line["line_taxes"] or ()), NOTHING)
        found[key] = (taxable + sign * line["line_amount"], tax + sign * own)
    return found


def _due(found: Said, issued: Mapping[str, Any], policy: Rounding, decimals: int) -> dict[Category, Decimal]:
    """The tax of each category, computed from the document's own lines and the components that each was taxed with.

    Rounded once, a component's tax belongs to lines by what each adds to the rounded running total, so that it can be told by category.
    """
    running: dict[tuple[str, str, Decimal], Decimal] = {}
    due: dict[Category, Decimal] = {}
    for (net, category), line in zip(found.lines, issued["lines"], strict=True):
        for part in line["line_taxes"] or ():
            key = (category[0], part["component"], part["rate"])
            before = running.get(key, NOTHING) if policy.per == "document" else NOTHING
            after = before + net
            running[key] = after
            added = rounded(after * part["rate"], decimals, policy.method) - rounded(
                before * part["rate"], decimals, policy.method
            )
            due[category] = due.get(category, NOTHING) + added
        due.setdefault(category, NOTHING)
    return due

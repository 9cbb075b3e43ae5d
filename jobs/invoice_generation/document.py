"""A document as it is shown: what a row of issued tables becomes, and what the renderers take.

Amounts are as the reader sees them: a credit note credits positive amounts, which the tables hold as negative ones.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

from jobs.ledger.money import NO_MINOR_UNITS, THREE_MINOR_UNITS
from jobs.ledger.references import creditor_reference

UNION = (  # prefixes of VAT numbers in the single market; Greece and Northern Ireland have their own
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "EL", "ES", "FI", "FR", "HR", "HU", "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL",
    "PT", "RO", "SE", "SI", "SK", "XI",
)  # fmt: skip
BARE = ("AE", "AU", "CA", "IN", "JP", "NZ", "SG")  # write numbers of a value added tax without the country before them
NOTHING = Decimal(0)
PRICE_DECIMALS = Decimal(1).scaleb(-15)
EXACT = Decimal(1).scaleb(-18)  # the last decimal of a rated amount
CLOSE = Decimal("0.01")  # how far a line may lie from quantity x price: the Peppol rules allow 0.02


@dataclass(frozen=True, slots=True)
class Party:
    """A seller or a customer; what is not known is empty."""

    id: str
    name: str
    country: str
    street: str = ""
    city: str = ""
    postal_code: str = ""
    region: str = ""
    tax_id: str = ""
    registration_number: str = ""
    email: str = ""

    @property
    def vat_id(self) -> str:
        """The tax number where it is one of VAT: with its country's prefix, as EN 16931 BR-CO-09 asks; else empty.

        Its country is the party's own, or a member of the Union that the party is registered in. Where a country writes its numbers
        bare, the prefix is put before.
        """
        number = compact(self.tax_id)
        if number and self.country in BARE and number[:2] != self.country:
            return self.country + number
        return number if number[:2] in (self.country, *UNION) and len(number) > 4 else ""


@dataclass(frozen=True, slots=True)
class Account:
    """A bank account that may be paid to."""

    iban: str
    bic: str
    currency: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line; amount is quantity x price, rounded. Of what does not multiply out, one is sold, and `detail` is the quantity."""

    line_no: int
    product_id: str
    region: str
    unit: str
    quantity: Decimal
    price: Decimal
    amount: Decimal
    tax_category: str
    tax_rate: Decimal  # a share: of all its components
    begins: date
    ends: date
    tax: Decimal = NOTHING
    detail: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """A tax as a document tells it to people: all of it, or what the federation and a state take each."""

    category: str
    name: str
    rate: Decimal  # a share
    taxable: Decimal
    amount: Decimal
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Tax:
    """The tax of a document in one category at one rate, all components together: as EN 16931 tells it."""

    category: str
    rate: Decimal  # a share
    taxable: Decimal
    amount: Decimal
    code: str = ""  # VATEX
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice, or what corrects one."""

    tenant_id: str
    invoice_id: str
    number: str
    kind: str  # invoice | credit_note | debit_note | corrective_invoice
    issue_date: date
    due_date: date
    begins: date
    ends: date
    currency: str
    seller: Party
    buyer: Party
    accounts: tuple[Account, ...]
    lines: tuple[Line, ...]
    taxes: tuple[Tax, ...]
    components: tuple[Component, ...]
    net: Decimal
    tax: Decimal
    gross: Decimal
    rounding: Decimal
    prepaid: Decimal
    payable: Decimal
    original_number: str = ""
    original_date: date | None = None
    reason: str = ""  # why it corrects the original

    @property
    def is_credit_note(self) -> bool:
        """Whether its amounts are given back."""
        return self.kind == "credit_note"

    @property
    def gives_back(self) -> bool:
        """Whether the customer gets something back by it."""
        return self.is_credit_note or self.payable < 0

    @property
    def places(self) -> int:
        """The decimals of its currency."""
        return places(self.currency)

    @property
    def reference(self) -> str:
        """What the payer is to write: a creditor reference, or the number itself where none can be made."""
        return creditor_reference(self.number) or self.number

    @property
    def account(self) -> Account | None:
        """Where to pay to: the seller's first account in the currency, else its first one."""
        return next((one for one in self.accounts if one.currency == self.currency), next(iter(self.accounts), None))


def places(currency: str) -> int:
    """The decimals of a currency's amounts; as jobs.ledger.money.minor_units says it to Spark."""
    return 0 if currency in NO_MINOR_UNITS else 3 if currency in THREE_MINOR_UNITS else 2


def compact(number: str) -> str:
    """A tax number without the signs people put between its parts."""
    return "".join(sign for sign in number.upper() if sign.isalnum())


def of_row(row: Mapping[str, Any], seller: Party, accounts: tuple[Account, ...]) -> Document:
    """The document of a row of documents.frame(). Raises nothing: what a format cannot say, that format finds out."""
    sign = -1 if row["document_type"] == "credit_note" else 1
    lines = tuple(_line(line, sign, row) for line in row["lines"])
    return Document(
        tenant_id=row["tenant_id"],
        invoice_id=row["invoice_id"],
        number=row["invoice_number"],
        kind=row["document_type"],
        issue_date=row["issue_date"],
        due_date=row["due_date"],
        begins=min((row["period"], *(line.begins for line in lines))),
        ends=_month_end(row["period"]),
        currency=row["currency"],
        seller=seller,
        buyer=Party(
            id=row["account_id"],
            country=row["customer_country"] or "",
            name=row["legal_name"] or row["account_id"],
            region=row["customer_region"] or "",
            **{name: row[name] or "" for name in ("street", "city", "postal_code", "tax_id", "email")},
        ),
        accounts=accounts,
        lines=lines,
        taxes=_taxes(lines, row["taxes"]),
        components=tuple(_component(tax, sign) for tax in row["taxes"]),
        net=sign * row["net_amount"],
        tax=sign * row["tax_amount"],
        gross=sign * row["gross_amount"],
        rounding=sign * (row["rounding_amount"] or NOTHING),
        prepaid=sign * (row["prepaid_amount"] or NOTHING),
        payable=sign * (row["gross_amount"] if row["payable_amount"] is None else row["payable_amount"]),
        original_number=row["original_number"] or "",
        original_date=row["original_date"],
        reason=row["correction_reason"] or "",
    )


def _line(row: Mapping[str, Any], sign: int, document: Mapping[str, Any]) -> Line:
    amount = sign * row["line_amount"]
    begins = row["service_period"] or document["period"]
    quantity, price = multiplied_out(row["quantity"], sign * (row["rated_amount"] or NOTHING), amount)
    as_a_whole = quantity is None
    return Line(
        line_no=row["line_no"],
        product_id=row["product_id"] or "",
        region=row["region"] or "",
        unit=row["unit"] or "",
        quantity=quantity if quantity is not None else Decimal(-1 if amount < 0 else 1),
        price=price if quantity is not None else abs(amount),
        amount=amount,
        tax_category=row["tax_category"] or "",
        tax_rate=row["tax_rate"] if row["tax_rate"] is not None else NOTHING,
        begins=begins,
        ends=_month_end(begins),
        tax=sign * sum((part["amount"] for part in row["line_taxes"] or ()), NOTHING),
        detail=row["quantity"] if as_a_whole and row["quantity"] and row["unit"] else None,
    )


def multiplied_out(quantity: Decimal | None, rated: Decimal, amount: Decimal) -> tuple[Decimal | None, Decimal]:
    """The quantity and the price that multiply to a rated amount; no quantity where they do not, or the line was rounded further.

    No price is negative: what is given back has a negative quantity. A tiered charge has no one price unless its average is exact.
    """
    if not quantity or not rated:
        return None, NOTHING
    with localcontext() as context:
        context.prec = 60
        price = (abs(rated) / abs(quantity)).quantize(PRICE_DECIMALS)
        signed = abs(quantity).copy_sign(rated)
        is_exact = abs(signed * price - rated) <= EXACT and abs(rated - amount) <= CLOSE
        return (signed.normalize(), price.normalize()) if is_exact else (None, NOTHING)


def _component(row: Mapping[str, Any], sign: int) -> Component:
    return Component(
        category=row["tax_category"] or "",
        name=row["tax_component"] or "VAT",
        rate=row["tax_rate"] if row["tax_rate"] is not None else NOTHING,
        taxable=sign * row["taxable_amount"],
        amount=sign * row["tax_amount"],
        reason=row["exemption_reason"] or "",
    )


def _taxes(lines: Iterable[Line], rows: Iterable[Mapping[str, Any]]) -> tuple[Tax, ...]:
    """The taxes of lines by category and rate; why there is none in a category is told by the rows of INVOICE_TAXES."""
    sums: dict[tuple[str, Decimal], tuple[Decimal, Decimal]] = {}
    for line in lines:
        key = (line.tax_category, line.tax_rate)
        taxable, amount = sums.get(key, (NOTHING, NOTHING))
        sums[key] = (taxable + line.amount, amount + line.tax)
    why: dict[str, tuple[str, str]] = {}
    for row in rows:
        code, reason = why.get(row["tax_category"] or "", ("", ""))
        why[row["tax_category"] or ""] = (code or row["exemption_code"] or "", reason or row["exemption_reason"] or "")
    return tuple(Tax(*key, *sums[key], *why.get(key[0], ("", ""))) for key in sorted(sums))


def _month_end(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])

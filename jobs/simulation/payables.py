"""The simulated vendor invoices of a month: good ones, wrong ones in known numbers by rule, and what becomes of them.

A wrong one is wrong by exactly one rule of conf/rules/payables/; everything else about it would pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import pyarrow as pa

from jobs.ledger.calendars import Market
from jobs.simulation.chance import generator
from jobs.simulation.months import Month
from jobs.simulation.numbers import account_number, has_iban, tax_number, wrong_tax_number
from jobs.simulation.places import currency_of
from jobs.simulation.tenants import BUYERS, SELLERS, SimTenant
from jobs.simulation.truth import PayablesTruth, plain
from jobs.simulation.vendors import FROM_ABROAD, Vendor, vendors_of

GOOD, WRONG = 108, 12  # a tenant and month
CREDIT_NOTES = 50  # every so manieth good one takes money back
ALWAYS_ORDERED = ("retail", "logistics", "utilities")  # rule po-required asks for an order whatever the amount
RATES = {  # standard and reduced; where none stands, invoices carry no tax
    "DE": ("0.19", "0.07"), "FR": ("0.20", "0.055"), "GB": ("0.20", "0.05"), "CH": ("0.081", "0.026"), "JP": ("0.10", "0.08"),
}  # fmt: skip
COIN = {"JPY": Decimal(1)}  # the others have cents
CENT = Decimal("0.01")
YEN_A_EURO = 160
# conf/payment_planning.yaml, written out: what the policy called house asks for
HORIZON_DAYS = 7
PARTS = {"GB": "ENG"}

Decision = Literal["accept", "hold", "reject"]


@dataclass(frozen=True)
class Invoice:
    """One vendor invoice as it is drawn; amounts of one line, or None where the invoice does not say."""

    payable_id: str
    vendor: Vendor
    number: str | None
    country: str
    invoice_date: date | None
    received_at: datetime  # in UTC
    currency: str
    net: Decimal
    tax: Decimal
    gross: Decimal
    po_number: str | None
    terms: str | None
    due_date: date | None
    iban: str | None
    tax_id: str | None
    document_type: str = "invoice"
    lines: int = 1
    other_number: str | None = None  # what the second line calls it, where lines contradict each other
    ordered: tuple[tuple[str, Decimal], ...] = ()  # vendor and amount of its order; nothing where there is none
    rule: str | None = None  # the rule it breaks
    decision: Decision = "accept"


@dataclass(frozen=True)
class Wrong:
    """One way of being wrong: the rule that says so, and how such an invoice to a country's legal entity is drawn."""

    rule: str
    decision: Decision
    draw: Callable[[_Draw, str], Invoice]
    countries: tuple[str, ...] = BUYERS
    by_line: bool = False  # only where invoices come in lines


@dataclass(frozen=True)
class PayablesDelivery:
    """What one month brings."""

    payables: pa.Table
    orders: pa.Table
    truth: PayablesTruth


ORDER_SCHEMA = pa.schema(
    [
        ("po_number", pa.string()), ("line_no", pa.int32()), ("vendor_id", pa.string()), ("quantity", pa.decimal128(18, 6)),
        ("unit_price", pa.decimal128(18, 6)), ("currency", pa.string()),
    ]
)  # fmt: skip
SCHEMA = pa.schema(
    [
        ("record_id", pa.string()), ("payable_id", pa.string()), ("invoice_number", pa.string()), ("vendor_id", pa.string()),
        ("country", pa.string()), ("invoice_date", pa.date32()), ("received_at", pa.timestamp("s")), ("currency", pa.string()),
        ("gross_amount", pa.decimal128(18, 6)), ("net_amount", pa.decimal128(18, 6)), ("tax_amount", pa.decimal128(18, 6)),
        ("po_number", pa.string()), ("terms", pa.string()), ("due_date", pa.date32()), ("iban", pa.string()),
        ("vendor_tax_id", pa.string()), ("document_type", pa.string()),
    ]
)  # fmt: skip


def payables_delivery(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> PayablesDelivery:
    """What the last of these months brings, and what has to come of it."""
    mine = invoices_of(tenant, seed, months[-1], len(months) - 1)
    rows = [row for invoice in sorted(mine, key=lambda one: one.received_at) for row in _rows(invoice, tenant)]
    orders = [row for invoice in mine for row in _orders(invoice)]
    return PayablesDelivery(
        pa.Table.from_pylist(rows, schema=SCHEMA),
        pa.Table.from_pylist(orders, schema=ORDER_SCHEMA),
        truth_of(tenant, seed, months),
    )


# --- drawing ----------------------------------------------------------------------------------------------------------


class _Draw:
    """Draws the invoices of one tenant's month."""

    def __init__(self, tenant: SimTenant, seed: int, month: Month) -> None:
        self.tenant, self.seed, self.month = tenant, seed, month
        self.chance = generator(seed, tenant.name, month.name, "payables")
        self.number = 0

    def pick(self, below: int) -> int:
        """A number below some other."""
        return int(self.chance.integers(0, below))

    def good(
        self, country: str, vendor: Vendor | None = None, euros: tuple[int, int] = (40, 4_000), ordered: bool = False
    ) -> Invoice:
        """An invoice that every rule lets pass, to the legal entity of a country."""
        self.number += 1
        of = vendor or self.vendor(country)
        currencies = self.tenant.bank_accounts(country)
        currency = "EUR" if "EUR" in currencies and self.pick(7) == 0 else currency_of(country)
        received = self._received()
        dated = received.date() - timedelta(days=1 + self.pick(9))
        net = self.amount(currency, *euros)
        tax = _tax(net, self._rate(of), currency)
        has_terms, has_due = self.pick(10) < 3, self.pick(10) < 3
        payable_id = f"{self.tenant.line[0].upper()}B{self.month.name[2:4]}{self.month.number:02d}-{self.number:05d}"
        invoice = Invoice(
            payable_id=payable_id,
            vendor=of,
            number=f"{('RE', 'INV', 'F')[self.pick(3)]}-{self.month.year}/{self.number:05d}",
            country=country,
            invoice_date=dated,
            received_at=received,
            currency=currency,
            net=net,
            tax=tax,
            gross=net + tax,
            po_number=None,
            terms=("net 30", "net 14", "immediate", "eom+10")[self.pick(4)] if has_terms else None,
            due_date=dated + timedelta(days=(14, 30, 45)[self.pick(3)]) if has_due else None,
            iban=of.iban if self.pick(2) else None,
            tax_id=of.tax_id,
            lines=1 + self.pick(3) if self.tenant.dialect.by_line else 1,
        )
        is_ordered = self.pick(4) == 0 or ordered or self.tenant.line in ALWAYS_ORDERED
        return self.order(invoice) if is_ordered else invoice

    def vendor(self, country: str, at_home: bool = False) -> Vendor:
        """Any vendor of a legal entity that nothing is the matter with; at home: one that charges tax."""
        ordinary = vendors_of(self.tenant, self.seed, country).ordinary
        return ordinary[self.pick(FROM_ABROAD - 1 if at_home else len(ordinary))]

    def amount(self, currency: str, lowest: int, highest: int) -> Decimal:
        """An amount between two amounts of euros, in coins of the currency."""
        cents = 100 * lowest + self.pick(100 * (highest - lowest))
        return Decimal(cents * YEN_A_EURO // 100) if currency == "JPY" else cents * CENT

    def order(self, invoice: Invoice, share: str = "1", vendor_id: str | None = None) -> Invoice:
        """The invoice with an order over a share of its net amount."""
        over = (abs(invoice.net) * Decimal(share)).quantize(CENT)
        return replace(
            invoice, po_number=f"PO{invoice.payable_id[2:]}", ordered=((vendor_id or invoice.vendor.vendor_id, over),)
        )

    def _received(self) -> datetime:
        """Working hours of the first 28 days, on the tenant's clocks and on the step of its dialect's."""
        local = datetime(self.month.year, self.month.number, 1 + self.pick(28), 9, tzinfo=ZoneInfo(self.tenant.timezone))
        step = self.tenant.dialect.seconds
        return (local + timedelta(seconds=self.pick(8 * 3600) // step * step)).astimezone(UTC)

    def _rate(self, vendor: Vendor) -> str:
        if vendor.from_abroad or vendor.bills not in RATES:
            return "0"
        return RATES[vendor.bills][self.pick(5) == 0]


def _tax(net: Decimal, rate: str, currency: str) -> Decimal:
    return (net * Decimal(rate)).quantize(COIN.get(currency, CENT), rounding=ROUND_HALF_UP)


@lru_cache(maxsize=512)
def invoices_of(tenant: SimTenant, seed: int, month: Month, place: int) -> tuple[Invoice, ...]:
    """Every vendor invoice that a month delivers; place: which month of the world it is, so that every way of being wrong comes up."""
    draw = _Draw(tenant, seed, month)
    countries = tenant.buyers
    drawn = [draw.good(countries[number % len(countries)]) for number in range(GOOD)]
    drawn = [_taken_back(invoice) if at % CREDIT_NOTES == 7 else invoice for at, invoice in enumerate(drawn)]
    ways = [(way, fitting) for way in WAYS if (fitting := _fitting(way, tenant))]
    for number in range(place * WRONG, place * WRONG + WRONG):
        way, fitting = ways[number % len(ways)]
        invoice = way.draw(draw, fitting[number % len(fitting)])
        if way.rule == "duplicate":
            drawn.append(invoice)
            invoice = _repeated(draw, invoice)
        drawn.append(replace(invoice, rule=way.rule, decision=way.decision))
    return tuple(drawn)


def _fitting(way: Wrong, tenant: SimTenant) -> tuple[str, ...]:
    """The legal entities of a tenant, by country, whose invoices can be wrong in some way."""
    possible = tenant.dialect.by_line or not way.by_line
    return tuple(country for country in tenant.buyers if possible and country in way.countries)


def _taken_back(invoice: Invoice) -> Invoice:
    """The same as a credit note; nobody orders one."""
    less = replace(invoice, net=-invoice.net, tax=-invoice.tax, gross=-invoice.gross)
    return replace(less, document_type="credit_note", po_number=None, ordered=())


# --- ways of being wrong ----------------------------------------------------------------------------------------------


def _repeated(draw: _Draw, invoice: Invoice) -> Invoice:
    """The same invoice two hours later, its number written in another way."""
    draw.number += 1
    number = str(invoice.number).lower().replace("-", " ").replace("/", "-")
    name = f"{invoice.payable_id[:-5]}{draw.number:05d}"
    return replace(invoice, payable_id=name, number=number, received_at=invoice.received_at + timedelta(hours=2), ordered=())


def _too_fine(draw: _Draw, country: str) -> Invoice:
    invoice = draw.good(country)
    half_a_coin = COIN.get(invoice.currency, CENT) / 2
    return replace(invoice, net=invoice.net + half_a_coin, gross=invoice.gross + half_a_coin)


def _badly_added(draw: _Draw, country: str) -> Invoice:
    invoice = draw.good(country)
    return replace(invoice, gross=invoice.gross + 10 * COIN.get(invoice.currency, Decimal(1)))


def _dated(days: int) -> Callable[[_Draw, str], Invoice]:
    """Dated so many days after the day it comes."""

    def drawn(draw: _Draw, country: str) -> Invoice:
        invoice = draw.good(country)
        return replace(invoice, invoice_date=invoice.received_at.date() + timedelta(days=days), due_date=None)

    return drawn


def _to_nobody(draw: _Draw, country: str) -> Invoice:
    served = {*draw.tenant.sellers, *(buyer for seller in draw.tenant.sellers for buyer in SELLERS[seller].serves)}
    return replace(draw.good(country), country=next(buyer for buyer in ELSEWHERE if buyer not in served))


def _of_nobody(draw: _Draw, country: str) -> Invoice:
    number = 700_000 + draw.pick(90_000)
    vendor = Vendor(
        f"V-X{number}", "", country, country, tax_number(country, number), account_number(country, number), None, "net 30"
    )
    return draw.good(country, vendor)


def _other_account(draw: _Draw, country: str) -> Invoice:
    return replace(draw.good(country), iban=account_number(country, 800_000 + draw.pick(90_000)))


def _wrongly_numbered(draw: _Draw, country: str) -> Invoice:
    wrong = wrong_tax_number(country, draw.pick(1_000_000))
    return replace(draw.good(country, draw.vendor(country, at_home=True)), tax_id=wrong)


def _without_tax_number(draw: _Draw, country: str) -> Invoice:
    return replace(draw.good(country, draw.vendor(country, at_home=True)), tax_id=None)


def _overtaxed(draw: _Draw, country: str) -> Invoice:
    invoice = draw.good(country, draw.vendor(country, at_home=True))
    tax = _tax(invoice.net, "0.25", invoice.currency)
    return replace(invoice, tax=tax, gross=invoice.net + tax)


def _not_ordered(draw: _Draw, country: str) -> Invoice:
    amount = (40, 4_000) if draw.tenant.line in ALWAYS_ORDERED else (6_000, 9_000)
    return replace(draw.good(country, euros=amount), po_number=None, ordered=())


def _above_limit(draw: _Draw, country: str) -> Invoice:
    amount = (21_000, 30_000) if draw.tenant.line in ALWAYS_ORDERED else (52_000, 60_000)
    return draw.good(country, euros=amount, ordered=True)


def _ordered_elsewhere(draw: _Draw, country: str) -> Invoice:
    invoice = draw.good(country)
    ordinary = vendors_of(draw.tenant, draw.seed, country).ordinary
    other = next(vendor for vendor in ordinary if vendor.vendor_id != invoice.vendor.vendor_id)
    return draw.order(invoice, vendor_id=other.vendor_id)


def _on_unknown_order(draw: _Draw, country: str) -> Invoice:
    invoice = draw.good(country)
    return replace(invoice, po_number=f"PO-LOST-{invoice.payable_id}", ordered=())


def _misprinted(draw: _Draw, country: str) -> Invoice:
    return draw.good(country, vendors_of(draw.tenant, draw.seed, country).misprinted)


def _two_numbers(draw: _Draw, country: str) -> Invoice:
    invoice = draw.good(country)
    return replace(invoice, lines=2, other_number=f"{invoice.number}-B")


ELSEWHERE = ("CA", "JP", "CH", "BE")  # countries that every dialect can write
WITH_IBAN = tuple(country for country in BUYERS if has_iban(country))
WAYS = (
    Wrong("required-fields", "reject", lambda draw, country: replace(draw.good(country), invoice_date=None)),
    Wrong(
        "vendor-blocked",
        "hold",
        lambda draw, country: draw.good(country, vendors_of(draw.tenant, draw.seed, country).blocked),
    ),
    Wrong("duplicate", "reject", lambda draw, country: draw.good(country)),
    Wrong("tax-rate-gb", "hold", _overtaxed, ("GB",)),
    Wrong("tax-rate-de", "hold", _overtaxed, ("DE",)),
    Wrong("tax-rate-fr", "hold", _overtaxed, ("FR",)),
    Wrong("tax-rate-jp", "hold", _overtaxed, ("JP",)),
    Wrong("po-amount", "hold", lambda draw, country: draw.order(draw.good(country), share="0.8")),
    Wrong("iban-valid", "reject", _misprinted, WITH_IBAN),
    Wrong("iban-changed", "hold", lambda draw, country: draw.good(country, _moved(draw, country))),
    Wrong("arithmetic", "reject", _badly_added),
    Wrong("po-required", "hold", _not_ordered),
    Wrong("approval-limit", "hold", _above_limit),
    Wrong("tax-number-missing", "hold", _without_tax_number, ("DE", "FR")),
    Wrong("registered-issuer", "hold", _without_tax_number, ("JP",)),
    Wrong("tax-number-valid", "hold", _wrongly_numbered, WITH_IBAN),
    Wrong("invoice-number", "reject", lambda draw, country: replace(draw.good(country), number=None)),
    Wrong("amount-decimals", "reject", _too_fine),
    Wrong("credit-note-sign", "reject", lambda draw, country: replace(draw.good(country), document_type="credit_note")),
    Wrong("lines-agree", "hold", _two_numbers, by_line=True),
    Wrong("stale-date", "hold", _dated(-400)),
    Wrong("future-date", "hold", _dated(3_650)),
    Wrong("country-served", "hold", _to_nobody),
    Wrong("po-unknown", "hold", _on_unknown_order),
    Wrong("po-vendor", "reject", _ordered_elsewhere),
    Wrong("vendor-unknown", "hold", _of_nobody),
    Wrong("iban-differs", "hold", _other_account),
)


def _moved(draw: _Draw, country: str) -> Vendor:
    """The vendor whose account changes in the month, with the new account."""
    return vendors_of(draw.tenant, draw.seed, country).moving(draw.month)[1]


# --- files ------------------------------------------------------------------------------------------------------------


def _rows(invoice: Invoice, tenant: SimTenant) -> Iterator[dict[str, object]]:
    """The records of an invoice: one, or its lines, which add up to it."""
    parts = [_shares(amount, invoice.lines, invoice.currency) for amount in (invoice.gross, invoice.net, invoice.tax)]
    for line, (gross, net, tax) in enumerate(zip(*parts, strict=True), start=1):
        yield {
            "record_id": f"{invoice.payable_id}-{line}" if tenant.dialect.by_line else invoice.payable_id,
            "payable_id": invoice.payable_id,
            "invoice_number": invoice.other_number if line > 1 and invoice.other_number else invoice.number,
            "vendor_id": invoice.vendor.vendor_id,
            "country": invoice.country,
            "invoice_date": invoice.invoice_date,
            "received_at": invoice.received_at.replace(tzinfo=None),
            "currency": invoice.currency,
            "gross_amount": gross,
            "net_amount": net,
            "tax_amount": tax,
            "po_number": invoice.po_number,
            "terms": invoice.terms,
            "due_date": invoice.due_date,
            "iban": invoice.iban,
            "vendor_tax_id": invoice.tax_id,
            "document_type": invoice.document_type,
        }


def _shares(amount: Decimal, lines: int, currency: str) -> list[Decimal]:
    """An amount in so many parts, the last of which has what is left over."""
    part = (amount / lines).quantize(COIN.get(currency, CENT))
    return [part] * (lines - 1) + [amount - part * (lines - 1)]


def _orders(invoice: Invoice) -> Iterator[dict[str, object]]:
    """Two lines an order: half of it as four pieces, the rest as one."""
    for vendor_id, over in invoice.ordered:
        piece = (over / 8).quantize(CENT)
        for line, (quantity, unit_price) in enumerate(((Decimal(4), piece), (Decimal(1), over - 4 * piece)), start=1):
            yield {
                "po_number": invoice.po_number,
                "line_no": line,
                "vendor_id": vendor_id,
                "quantity": quantity,
                "unit_price": unit_price,
                "currency": invoice.currency,
            }


# --- truth ------------------------------------------------------------------------------------------------------------


def truth_of(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> PayablesTruth:
    """What the run at the end of the last of these months decides, and what it has paid."""
    paid = set[str]()
    accepted: list[Invoice] = []
    for place, month in enumerate(months):
        mine = invoices_of(tenant, seed, month, place)
        before = invoices_of(tenant, seed, months[place - 1], place - 1) if place else ()
        released = [invoice for invoice in before if invoice.rule == "iban-changed"]  # by then two weeks have passed
        new = [*(invoice for invoice in mine if invoice.decision == "accept"), *released]
        accepted += new
        due = [invoice for invoice in accepted if invoice.payable_id not in paid and _is_paid(invoice, tenant, month)]
        paid |= {invoice.payable_id for invoice in due}
    return PayablesTruth(
        received=len(mine),
        lines=sum(invoice.lines for invoice in mine),
        decisions={how: sum(invoice.decision == how for invoice in mine) for how in ("accept", "hold", "reject")},
        wrong={invoice.payable_id: invoice.rule for invoice in mine if invoice.rule},
        released=[invoice.payable_id for invoice in released],
        accepted=_sums(new),
        instructions=len(due),
        instructed=_sums(due),
    )


def _sums(invoices: list[Invoice]) -> dict[str, str]:
    """Gross amounts by currency."""
    sums: dict[str, Decimal] = {}
    for invoice in invoices:
        sums[invoice.currency] = sums.get(invoice.currency, Decimal(0)) + invoice.gross
    return {currency: plain(amount) for currency, amount in sorted(sums.items())}


def _is_paid(invoice: Invoice, tenant: SimTenant, month: Month) -> bool:
    """Whether the last run of a month pays an accepted invoice: it falls due within the horizon. Credit notes wait for a person."""
    if invoice.document_type == "credit_note" or invoice.invoice_date is None:
        return False
    terms = invoice.terms or invoice.vendor.terms
    if invoice.due_date is None and terms == "immediate":
        return True
    due = invoice.due_date or _due(terms, invoice.invoice_date)
    ends = datetime(*month.later(1).day(1).timetuple()[:3], tzinfo=UTC) - timedelta(seconds=1)
    last = ends.astimezone(ZoneInfo(SELLERS[invoice.country].timezone)).date() + timedelta(days=HORIZON_DAYS)
    if due > last + timedelta(days=21):
        return False
    return Market(invoice.country, invoice.currency, PARTS.get(invoice.country)).on_or_before(due) <= last


def _due(terms: str, invoice_date: date) -> date:
    """The day that terms come to; those this world uses."""
    if terms == "eom+10":
        return Month(invoice_date.year, invoice_date.month).later(1).day(1) + timedelta(days=9)
    days = {"net 30": 30, "30 days": 30, "2/10 net 30": 30, "net 14": 14, "net 60": 60}[terms]
    return invoice_date + timedelta(days=days)

"""How the simulated customers pay: who pays what in a month, who does not, and what the house has to make of it.

An invoice has a number only when it is issued, so a month's receipts are drawn when the month is delivered, from what was
published until then. How an account behaves is decided by its name and the seed alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

from jobs.runtime.config import digest
from jobs.simulation.months import Month
from jobs.simulation.numbers import account_number, has_account
from jobs.simulation.statements import Entry


class Payer(StrEnum):
    """What kind of customer an account is."""

    EXACT = "exact"  # every invoice for itself, with its number
    SEVERAL = "several"  # every other month, all that is open in one transfer
    LATE = "late"  # exactly, a month after everybody else
    REFORMED = "reformed"  # nothing in the first month, everything exactly from the second on
    SHORT = "short"  # less than the invoice, with its number
    WITHOUT_REFERENCE = "without_reference"  # the right amount, without a word
    UNKNOWN = "unknown_payer"  # the right amount, without a word, from somebody nobody knows
    DISPUTING = "disputing"  # disputes the first invoice and pays the others exactly
    PROMISING = "promising"  # promises to pay the first invoice a month later, and does
    EXEMPT = "exempt"  # never pays, and nobody may dun it
    NEVER = "never"  # never pays


SHARES = {  # of a thousand accounts; the others pay exactly
    Payer.SEVERAL: 90, Payer.LATE: 15, Payer.REFORMED: 15, Payer.SHORT: 50, Payer.WITHOUT_REFERENCE: 60, Payer.UNKNOWN: 30,
    Payer.DISPUTING: 12, Payer.PROMISING: 10, Payer.EXEMPT: 5, Payer.NEVER: 10,
}  # fmt: skip
APPLIED = ("exact", "several")  # the kinds of receipt that say what they pay and are exactly that
INTEREST = "interest"  # what the bank itself pays, in every month


@dataclass(frozen=True)
class Issued:
    """An invoice as the house has published it."""

    tenant_id: str
    invoice_id: str
    number: str
    legal_entity_id: str
    account_id: str
    currency: str
    amount: Decimal
    issued: date
    due: date


@dataclass(frozen=True)
class Receipt:
    """One payment; its kind says whether the house has to apply it by itself."""

    kind: str
    legal_entity_id: str
    currency: str
    entry: Entry
    invoices: tuple[Issued, ...]


@dataclass
class Known:
    """What has happened before: invoices the customers are done with, and accounts that have said something."""

    settled: set[str] = field(default_factory=set)  # invoice_id of what was paid, in whatever way
    disputed: set[str] = field(default_factory=set)  # invoice_id
    billed: set[str] = field(default_factory=set)  # account_id of those that had something to pay in an earlier month


@dataclass(frozen=True)
class Drawn:
    """What the customers of one tenant do in a month."""

    receipts: tuple[Receipt, ...]
    disputed: tuple[Issued, ...]
    promised: tuple[Issued, ...]
    exempted: tuple[str, ...]
    billed: tuple[str, ...]  # accounts that had something to pay for the first time


@lru_cache(maxsize=100_000)
def payer(seed: int, tenant: str, account_id: str) -> Payer:
    """How an account behaves, always."""
    place = int(digest(str(seed), tenant, account_id, "payer"), 16) % 1_000
    for kind, share in SHARES.items():
        if place < share:
            return kind
        place -= share
    return Payer.EXACT


def drawn(
    tenant: str,
    seed: int,
    month: Month,
    place: int,
    invoices: Iterable[Issued],
    customers: Mapping[str, Mapping[str, object]],
    known: Known,
) -> Drawn:
    """What the customers of a tenant do in a month. place: which month of the world it is. invoices: all issued by its end."""
    owed: dict[str, list[Issued]] = {}
    for invoice in sorted(invoices, key=lambda one: (one.account_id, one.issued, one.number)):
        if invoice.amount > 0 and invoice.invoice_id not in known.settled | known.disputed:
            owed.setdefault(invoice.account_id, []).append(invoice)
    new = {account_id for account_id in owed if account_id not in known.billed}
    kinds = {account_id: payer(seed, tenant, account_id) for account_id in owed}

    def first_of(kind: Payer) -> list[Issued]:
        return [mine[0] for account_id, mine in owed.items() if account_id in new and kinds[account_id] is kind]

    disputed = first_of(Payer.DISPUTING)
    receipts = [
        _receipt(seed, month, kinds[account_id], group, customers[account_id])
        for account_id, mine in owed.items()
        for group in _paid(
            kinds[account_id], [one for one in mine if one not in disputed], month, place, account_id in new, seed
        )
    ]
    exempted = tuple(invoice.account_id for invoice in first_of(Payer.EXEMPT))
    return Drawn(tuple(receipts), tuple(disputed), tuple(first_of(Payer.PROMISING)), exempted, tuple(sorted(new)))


def _paid(kind: Payer, mine: list[Issued], month: Month, place: int, is_new: bool, seed: int) -> list[tuple[Issued, ...]]:
    """The invoices that an account pays in a month, those of one transfer together."""
    if kind in (Payer.NEVER, Payer.EXEMPT) or (kind in (Payer.PROMISING, Payer.REFORMED) and is_new):
        return []
    if kind is Payer.LATE:
        return [(invoice,) for invoice in mine if invoice.issued < month.day(1)]
    if kind is not Payer.SEVERAL:
        return [(invoice,) for invoice in mine]
    groups: dict[tuple[str, str], list[Issued]] = {}
    for invoice in mine:
        if place % 2 == int(digest(str(seed), invoice.account_id, "turn"), 16) % 2:
            groups.setdefault((invoice.legal_entity_id, invoice.currency), []).append(invoice)
    return [tuple(group) for group in groups.values()]


def _receipt(seed: int, month: Month, kind: Payer, paid: tuple[Issued, ...], who: Mapping[str, object]) -> Receipt:
    """One transfer over some invoices."""
    first = paid[0]
    draw = int(digest(str(seed), first.invoice_id, "receipt"), 16)
    amount = sum((invoice.amount for invoice in paid), Decimal(0))
    name, account = (
        str(who["legal_name"]),
        str(who["iban"] or account_number(_banks_in(str(who["country"])), 90_000_000 + draw % 1_000_000)),
    )
    numbers = tuple(invoice.number for invoice in paid)
    references, text = _said(numbers, draw)
    told = "several" if len(paid) > 1 else "exact"
    if kind is Payer.SHORT:
        told, amount = "short", amount - _deducted(amount, first.currency, draw)
    elif kind is Payer.WITHOUT_REFERENCE:
        told, references, text = kind.value, (), ("", "thank you", "monthly bill")[draw % 3]
    elif kind is Payer.UNKNOWN:
        told, references, text = kind.value, (), ""
        name, account = f"Settlement Office {draw % 1_000}", account_number("DE", 95_000_000 + draw % 1_000_000)
    entry = Entry("", amount, _weekday(month, 3 + draw // 7 % 24), name, account, references, text)
    return Receipt(told, first.legal_entity_id, first.currency, entry, paid)


def _banks_in(country: str) -> str:
    """Where somebody has an account that we do not know of; whose country has no simulated bank goes to a German one."""
    return country if has_account(country) else "DE"


def _said(numbers: tuple[str, ...], draw: int) -> tuple[tuple[str, ...], str]:
    """Where a payment names its invoices: in the place the message has for it, or somewhere in the text."""
    if draw % 2:
        return numbers, ""
    return (), f"{('Invoice', 'Rechnung', 'your no.')[draw % 3]} {', '.join(numbers)}"


def _deducted(amount: Decimal, currency: str, draw: int) -> Decimal:
    """Two to nine per cent of an amount, at least its smallest coin."""
    coin = Decimal(1) if currency == "JPY" else Decimal("0.01")
    return max((amount * (2 + draw % 8) / 100).quantize(coin), coin)


def interest(seed: int, month: Month, legal_entity_id: str, currency: str) -> Receipt:
    """What the bank pays for the money it holds."""
    draw = int(digest(str(seed), legal_entity_id, month.name, INTEREST), 16)
    amount = Decimal(100 + draw % 900) if currency == "JPY" else Decimal(100 + draw % 900) / 100
    entry = Entry("", amount, _weekday(month, 27), "House Bank", None, (), f"Interest {month.name}")
    return Receipt(INTEREST, legal_entity_id, currency, entry, ())


def _weekday(month: Month, day: int) -> date:
    """The day, or the Friday before it."""
    wanted = month.day(day)
    return wanted - timedelta(days=max(wanted.weekday() - 4, 0))


def numbered(receipts: Iterable[Receipt], account: str, month: Month) -> Iterator[Receipt]:
    """The receipts of one bank account in the order of their days, with the names the bank gives them."""
    ordered = sorted(receipts, key=lambda one: (one.entry.booked, one.invoices[0].number if one.invoices else "", one.kind))
    for number, receipt in enumerate(ordered, start=1):
        named = Entry(
            **{**vars(receipt.entry), "transaction_id": f"{account[-6:]}{month.name.replace('-', '')}{number:06d}"}
        )
        yield Receipt(receipt.kind, receipt.legal_entity_id, receipt.currency, named, receipt.invoices)

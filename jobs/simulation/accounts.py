"""The simulated customers: who they are, when they join, and what changes about them later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jobs.simulation.chance import generator
from jobs.simulation.months import Month
from jobs.simulation.numbers import account_number
from jobs.simulation.tenants import OTHERS_PAY_IN, SimTenant, currency_of

MISSING_COUNTRY = 2  # rows of the first delivery; their accounts use nothing

SURNAMES = {
    "DE": ("Müller", "Schäfer", "Köhler", "Groß", "Jäger"),
    "FR": ("Lefèvre", "Benoît", "Gérard", "François", "Desprès"),
    "GB": ("Baker, Jones", "Ashworth", "O'Neill", "Whitby", "Marsh"),
    "JP": ("山田", "佐藤", "鈴木", "高橋", "伊藤"),
}
FORMS = {"DE": "GmbH", "AT": "GmbH", "CH": "AG", "FR": "SARL", "BE": "SRL", "JP": "株式会社", "US": "Inc.", "CA": "Inc."}
CITIES = {
    "DE": ("Köln", "50667"), "AT": ("Sankt Pölten", "3100"), "CH": ("Zürich", "8001"), "FR": ("Besançon", "25000"),
    "BE": ("Liège", "4000"), "GB": ("York", "YO1 7HH"), "IE": ("Cork", "T12 XF62"), "JP": ("Osaka", "530-0001"),
    "US": ("Springfield", "62701"), "CA": ("Kingston", "K7L 1A1"),
}  # fmt: skip
LANGUAGE = {"AT": "DE", "CH": "DE", "BE": "FR", "IE": "GB", "US": "GB", "CA": "GB"}
ROMANISED = {"山田": "Yamada", "佐藤": "Sato", "鈴木": "Suzuki", "高橋": "Takahashi", "伊藤": "Ito", "株式会社": "KK"}
TERMS = (14, 30, 30, 30, 60)

SCHEMA = pa.schema(
    [
        ("account_id", pa.string()), ("legal_name", pa.string()), ("country", pa.string()), ("currency", pa.string()),
        ("street", pa.string()), ("postal_code", pa.string()), ("city", pa.string()),
        ("tax_id", pa.string()), ("is_business", pa.bool_()), ("payment_terms_days", pa.int32()), ("email", pa.string()), ("iban", pa.string()),
        ("valid_from", pa.date32()),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Accounts:
    """The accounts that may use something in a month, in the order they joined."""

    ids: tuple[str, ...]
    currencies: tuple[str, ...]


@dataclass(frozen=True)
class AccountDelivery:
    """One month's accounts file, and how many rows of it are what."""

    rows: pa.Table
    kinds: dict[str, int]


def accounts_of(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> Accounts:
    """All accounts that joined up to the last of these months."""
    joined = customers_of(tenant, seed, months)
    return Accounts(tuple(joined), tuple(str(row["currency"]) for row in joined.values()))


def customers_of(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> dict[str, dict[str, object]]:
    """What we know of every account that joined up to the last of these months, by account_id."""
    joined = [row for number, month in enumerate(months) for row in _joining(tenant, seed, month, first=number == 0)]
    return {str(row["account_id"]): row for row in joined}


def account_delivery(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> AccountDelivery:
    """What the last of these months brings: everybody in the first, then those who join and those who move."""
    month, first = months[-1], len(months) == 1
    joining = _joining(tenant, seed, month, first)
    moving = [] if first else _moving(tenant, seed, months)
    nowhere = _nowhere(month) if first else []
    rows = pa.Table.from_pylist([*joining, *moving, *nowhere], schema=SCHEMA)
    return AccountDelivery(rows, {"new": len(joining), "changed": len(moving), "missing_country": len(nowhere)})


def _joining(tenant: SimTenant, seed: int, month: Month, first: bool) -> list[dict[str, object]]:
    """The accounts whose first month this is; those of the first month have been customers since the year before."""
    chance = generator(seed, tenant.name, month.name, "accounts")
    count = tenant.accounts if first else tenant.joining
    countries = chance.choice(np.array(tenant.customers), count)
    draws = chance.integers(0, 1_000_000, (count, 3))
    since = Month(month.year - 1, 1).day(1) if first else month.day(1)
    prefix = f"{tenant.line[0].upper()}{month.name.replace('-', '')[2:]}"
    return [
        {
            "account_id": f"{prefix}-{number:05d}",
            "legal_name": legal_name(str(country), int(draw[0]), tenant.dialect.encoding),
            "country": str(country),
            "currency": currency_of(str(country)),
            "street": f"{int(draw[1]) % 180 + 1} Main Street",
            "postal_code": CITIES[str(country)][1],
            "city": CITIES[str(country)][0],
            "tax_id": f"{country}{int(draw[0]):06d}{int(draw[1]) % 1000:03d}",
            "is_business": int(draw[2]) % 20 > 0,
            "payment_terms_days": TERMS[int(draw[2]) % len(TERMS)],
            "email": f"bills@{prefix.lower()}-{number:05d}.example",
            "iban": account_number(str(country), _place(month, number, int(draw[1]))) if int(draw[0]) % 4 else None,
            "valid_from": since,
        }
        for number, (country, draw) in enumerate(zip(countries, draws, strict=True))
    ]


def _place(month: Month, number: int, draw: int) -> int:
    """A number of eight digits that no other account of the tenant has; three of four accounts tell us theirs."""
    return number + 100_000 * ((month.year * 12 + month.number) % 90) + 10_000_000 * (draw % 9)


def _moving(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> list[dict[str, object]]:
    """A few accounts of the first month with a new street; country and currency stay, so that bills do."""
    everybody = _joining(tenant, seed, months[0], first=True)
    chosen = generator(seed, tenant.name, months[-1].name, "moving").choice(len(everybody), tenant.joining, replace=False)
    moved = months[-1].day(5)
    return [everybody[index] | {"street": f"{int(index) % 90 + 1} Station Road", "valid_from": moved} for index in chosen]


def _nowhere(month: Month) -> list[dict[str, object]]:
    return [
        {
            "account_id": f"NOWHERE-{number}",
            "legal_name": f"Nowhere {number} Ltd",
            "currency": OTHERS_PAY_IN,
            "is_business": True,
            "payment_terms_days": 30,
            "valid_from": month.day(1),
        }
        for number in range(1, MISSING_COUNTRY + 1)
    ]


def legal_name(country: str, draw: int, encoding: str) -> str:
    """A made-up company; latin-1 has no kanji, so those feeds carry Japanese names in Roman letters."""
    surnames = SURNAMES[LANGUAGE.get(country, country)]
    surname, form = surnames[draw % len(surnames)], FORMS.get(country, "Ltd")
    if encoding == "latin-1":
        surname, form = ROMANISED.get(surname, surname), ROMANISED.get(form, form)
    nickname = ' "No. 1"' if draw % 50 == 0 else ""  # quotes inside a quoted field are what CSV readers get wrong
    return f"{surname}{nickname} {draw:06d} {form}"

"""The simulated customers: who they are, when they join, and what changes about them later."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.simulation.chance import generator
from jobs.simulation.months import Month
from jobs.simulation.numbers import INDIAN_STATES, account_number, gst_number, has_account, tax_number, wrong_tax_number
from jobs.simulation.places import OTHERS_PAY_IN, Place, currency_of, place_of
from jobs.simulation.tenants import SimTenant

MISSING_COUNTRY = 2  # rows of the first delivery; their accounts use nothing

SURNAMES = {
    "DE": ("Müller", "Schäfer", "Köhler", "Groß", "Jäger"),
    "FR": ("Lefèvre", "Benoît", "Gérard", "François", "Desprès"),
    "GB": ("Baker, Jones", "Ashworth", "O'Neill", "Whitby", "Marsh"),
    "JP": ("山田", "佐藤", "鈴木", "高橋", "伊藤"),
}
FORMS = {"DE": "GmbH", "AT": "GmbH", "CH": "AG", "FR": "SARL", "BE": "SRL", "JP": "株式会社", "US": "Inc.", "CA": "Inc."}
LANGUAGE = {"AT": "DE", "CH": "DE", "LI": "DE", "BE": "FR", "MC": "FR", "LU": "FR"}  # the others have British names
ROMANISED = {"山田": "Yamada", "佐藤": "Sato", "鈴木": "Suzuki", "高橋": "Takahashi", "伊藤": "Ito", "株式会社": "KK"}
TERMS = (14, 30, 30, 30, 60)

SCHEMA = pa.schema(
    [
        ("account_id", pa.string()), ("legal_name", pa.string()), ("country", pa.string()), ("currency", pa.string()),
        ("street", pa.string()), ("postal_code", pa.string()), ("city", pa.string()), ("region", pa.string()),
        ("tax_jurisdiction", pa.string()), ("tax_id", pa.string()), ("is_business", pa.bool_()),
        ("payment_terms_days", pa.int32()), ("email", pa.string()), ("iban", pa.string()),
        ("valid_from", pa.date32()),
    ]
)  # fmt: skip


Customer = dict[str, Any]  # a row of the feed, and beside it what only the simulation knows: place, standing, joined


class Standing(IntEnum):
    """What a customer's tax id is worth, and whether somebody has excused it from tax."""

    REGISTERED = 0  # the registry says so
    CONSUMER = 1  # has none
    IN_CHECK = 2  # asked when it joined, answered with the next month's delivery
    UNCHECKED = 3  # nobody has asked
    MISPRINTED = 4  # a wrong check digit
    UNREGISTERED = 5  # the registry knows none
    CERTIFIED = 6  # registered, and tells a certificate of exemption


STANDINGS = (*Standing, Standing.CONSUMER, *(Standing.REGISTERED,) * 12)  # of twenty accounts


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


def customers_of(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> dict[str, Customer]:
    """What we know of every account that joined up to the last of these months, by account_id; joined: the month's number."""
    return {
        str(row["account_id"]): row | {"joined": number}
        for number, month in enumerate(months)
        for row in _joining(tenant, seed, month, first=number == 0)
    }


def account_delivery(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> AccountDelivery:
    """What the last of these months brings: everybody in the first, then those who join and those who move."""
    month, first = months[-1], len(months) == 1
    joining = _joining(tenant, seed, month, first)
    moving = [] if first else _moving(tenant, seed, months)
    nowhere = _nowhere(month) if first else []
    rows = pa.Table.from_pylist([*joining, *moving, *nowhere], schema=SCHEMA)
    return AccountDelivery(rows, {"new": len(joining), "changed": len(moving), "missing_country": len(nowhere)})


@lru_cache(maxsize=512)
def _joining(tenant: SimTenant, seed: int, month: Month, first: bool) -> tuple[Customer, ...]:
    """The accounts whose first month this is; those of the first month have been customers since the year before."""
    chance = generator(seed, tenant.name, month.name, "accounts")
    count = tenant.accounts if first else tenant.joining
    everywhere = sorted(set(tenant.customers)) if first else []  # so that every country has a customer
    countries = [*everywhere, *chance.choice(np.array(tenant.customers), count)][:count]
    draws = chance.integers(0, 1_000_000, (count, 3))
    since = Month(month.year - 1, 1).day(1) if first else month.day(1)
    prefix = f"{tenant.line[0].upper()}{month.name.replace('-', '')[2:]}"

    def joining(number: int, drawn_in: str, name: int, street: int, what: int) -> Customer:
        place, standing = place_of(drawn_in, street), STANDINGS[what // 100 % len(STANDINGS)]
        country, bank = place.country, _bank_number(month, number, street)
        return {
            "account_id": f"{prefix}-{number:05d}",
            "legal_name": legal_name(country, name, tenant.dialect.encoding),
            "country": country,
            "currency": currency_of(country),
            "street": f"{street % 180 + 1} Main Street",
            "postal_code": place.postal_code,
            "city": place.city,
            "region": place.region if tenant.dialect.tells("region") else None,
            "tax_jurisdiction": place.jurisdiction if tenant.dialect.tells("tax_jurisdiction") else None,
            "tax_id": _tax_id(place, standing, bank) if tenant.dialect.tells("tax_id") else None,
            "is_business": standing is not Standing.CONSUMER,
            "payment_terms_days": TERMS[what % len(TERMS)],
            "email": f"bills@{prefix.lower()}-{number:05d}.example",
            "iban": account_number(country, bank) if name % 4 and has_account(country) else None,
            "valid_from": since,
            "place": place,
            "standing": standing,
        }

    return tuple(
        joining(number, str(country), *(int(one) for one in draw))
        for number, (country, draw) in enumerate(zip(countries, draws, strict=True))
    )


def _tax_id(place: Place, standing: Standing, number: int) -> str | None:
    """A tax id as its standing has it. An Indian business whose id nobody has asked about is registered in Karnataka, wherever it is."""
    if standing is Standing.CONSUMER:
        return None
    if place.country == "IN":
        states = {region: code for code, region in INDIAN_STATES.items()}
        code = states["Karnataka"] if standing is Standing.UNCHECKED else states.get(str(place.region))
        right = gst_number(code, number) if code else None
        return f"{right[:-1]}?" if right and standing is Standing.MISPRINTED else right
    right = tax_number(place.country, number)
    return wrong_tax_number(place.country, number) if right and standing is Standing.MISPRINTED else right


def _bank_number(month: Month, number: int, draw: int) -> int:
    """A number of eight digits that no other account of the tenant has; three of four accounts tell us that of their bank."""
    return number + 100_000 * ((month.year * 12 + month.number) % 90) + 10_000_000 * (draw % 9)


def _moving(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> list[Customer]:
    """A few accounts of the first month with a new street; country and currency stay, so that bills do."""
    everybody = _joining(tenant, seed, months[0], first=True)
    chosen = generator(seed, tenant.name, months[-1].name, "moving").choice(len(everybody), tenant.joining, replace=False)
    moved = months[-1].day(5)
    return [everybody[index] | {"street": f"{int(index) % 90 + 1} Station Road", "valid_from": moved} for index in chosen]


def _nowhere(month: Month) -> list[Customer]:
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
    surnames = SURNAMES.get(LANGUAGE.get(country, country), SURNAMES["GB"])
    surname, form = surnames[draw % len(surnames)], FORMS.get(country, "Ltd")
    if encoding == "latin-1":
        surname, form = ROMANISED.get(surname, surname), ROMANISED.get(form, form)
    nickname = ' "No. 1"' if draw % 50 == 0 else ""  # quotes inside a quoted field are what CSV readers get wrong
    return f"{surname}{nickname} {draw:06d} {form}"

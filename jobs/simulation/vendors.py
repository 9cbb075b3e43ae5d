"""The simulated vendors: who sends invoices to which legal entity, and what is the matter with a few of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import pyarrow as pa

from jobs.simulation.accounts import legal_name
from jobs.simulation.chance import generator
from jobs.simulation.months import Month
from jobs.simulation.numbers import account_number, has_iban, misprinted, tax_number
from jobs.simulation.tenants import SimTenant

ORDINARY = (
    36  # a tenant; besides them each legal entity has a blocked one, one with a misprinted account, and those that move
)
FROM_ABROAD = 8  # every so manieth is from the country next door, and charges no tax
NEXT_DOOR = {"DE": "AT", "FR": "BE", "GB": "IE", "CH": "DE", "JP": "US", "US": "CA"}
METHODS = (None, "SEPA", "bank transfer", "wire", None, "SEPA credit transfer")
TERMS = ("net 30", "30 days", "2/10 net 30", "net 14", "eom+10", "net 60")
MOVES_ON = 20  # the day of a month on which the vendor of that month changes its bank account

SCHEMA = pa.schema(
    [
        ("vendor_id", pa.string()), ("legal_name", pa.string()), ("country", pa.string()), ("tax_id", pa.string()),
        ("iban", pa.string()), ("iban_changed_at", pa.date32()), ("status", pa.string()), ("payment_method", pa.string()),
        ("terms", pa.string()), ("valid_from", pa.date32()),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Vendor:
    """One vendor of one legal entity, as the vendor list has it."""

    vendor_id: str
    legal_name: str
    country: str
    bills: str  # the country of the legal entity
    tax_id: str | None
    iban: str
    method: str | None
    terms: str
    status: str = "active"

    @property
    def from_abroad(self) -> bool:
        """Whether its invoices carry no tax."""
        return self.country != self.bills


@dataclass(frozen=True)
class Vendors:
    """The vendors of one legal entity."""

    ordinary: tuple[Vendor, ...]
    blocked: Vendor
    misprinted: Vendor | None  # where accounts are IBANs

    def moving(self, month: Month) -> tuple[Vendor, Vendor]:
        """The vendor that gets a new bank account in a month: before, and after."""
        first = self.ordinary[0]
        number = 900_000 + month.year * 12 + month.number
        before = Vendor(
            f"V-M{month.name[2:4]}{month.number:02d}-{first.bills}", f"Moving {month.name}", first.bills, first.bills,
            tax_number(first.bills, number), account_number(first.bills, number), None, "net 30",
        )  # fmt: skip
        return before, Vendor(**{**vars(before), "iban": account_number(first.bills, number + 50_000)})


@lru_cache(maxsize=512)
def vendors_of(tenant: SimTenant, seed: int, country: str) -> Vendors:
    """The vendors of the legal entity in a country, the same in every month."""
    chance = generator(seed, tenant.name, country, "vendors")
    count = ORDINARY // len(tenant.buyers)
    draws = chance.integers(0, 1_000_000, (count + 2, 2))

    def vendor(number: int, home: str, status: str = "active") -> Vendor:
        draw, other = (int(drawn) for drawn in draws[number])
        return Vendor(
            f"V-{country}{number + 1:03d}",
            legal_name(home, draw, tenant.dialect.encoding),
            home,
            country,
            tax_number(home, 1000 * other + number),
            account_number(home, 100_000 + 100 * (other % 5_000) + number),
            METHODS[draw % len(METHODS)],
            TERMS[other % len(TERMS)],
            status,
        )

    ordinary = tuple(
        vendor(number, NEXT_DOOR[country] if number % FROM_ABROAD == FROM_ABROAD - 1 else country) for number in range(count)
    )
    wrong = vendor(count + 1, country)
    return Vendors(
        ordinary,
        vendor(count, country, "blocked"),
        Vendor(**{**vars(wrong), "iban": misprinted(wrong.iban)}) if has_iban(country) else None,
    )


def vendor_rows(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> pa.Table:
    """What the last of these months brings: everybody in the first, and in each the one that moves, before and after."""
    month, since = months[-1], Month(months[0].year - 1, 1).day(1)
    rows = []
    for country in tenant.buyers:
        vendors = vendors_of(tenant, seed, country)
        if len(months) == 1:
            everybody = (*vendors.ordinary, vendors.blocked, *([vendors.misprinted] if vendors.misprinted else []))
            rows += [_row(vendor, since) for vendor in everybody]
        before, after = vendors.moving(month)
        rows += [_row(before, since), _row(after, month.day(MOVES_ON), month.day(MOVES_ON))]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _row(vendor: Vendor, valid_from: date, changed: date | None = None) -> dict[str, object]:
    return {
        "vendor_id": vendor.vendor_id,
        "legal_name": vendor.legal_name,
        "country": vendor.country,
        "tax_id": vendor.tax_id,
        "iban": vendor.iban,
        "iban_changed_at": changed,
        "status": vendor.status,
        "payment_method": vendor.method,
        "terms": vendor.terms,
        "valid_from": valid_from,
    }

"""Who is simulated: the tenants of a scale, their legal entities, and the configuration files that introduce them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from jobs.simulation.formats import DIALECTS, Dialect
from jobs.simulation.numbers import account_number, bank_code
from jobs.simulation.places import PLACES, currency_of

LINES = ("cloud", "retail", "media", "logistics", "utilities")
ROWS_AT_SCALE_ONE = (35_000, 25_000, 15_000, 15_000, 10_000)  # of the five tenants every world has
ROWS_OF_OTHERS = (4_000, 8_000, 12_000, 16_000, 20_000)
ROWS_PER_SCALE = 100_000
GIANT = len(ROWS_AT_SCALE_ONE)  # index of the tenant that takes the rest of a larger world's rows
BROKEN = 7  # index of the tenant that delivers unreadable files; JSON Lines, so that noise cannot pass for text
COMMON_CUSTOMERS = ("DE", "FR", "GB", "CH", "JP", "US", "AT", "BE", "IE", "CA")
BUYERS = ("DE", "FR", "GB", "CH", "JP", "US")  # in these countries the legal entities have vendors
UNION = (
    "BG", "CY", "CZ", "DK", "EE", "ES", "FI", "GR", "HR", "HU", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
)  # fmt: skip
MORE_CUSTOMERS = {"retail": (*UNION, "ES", "FI", "GR", "IT", "PT", "IT", "ES", "PL", "DK"), "utilities": ("DE", "DE", "DE")}


@dataclass(frozen=True)
class Seller:
    """A country a legal entity sells from: its zone, the countries it serves, its tax policy, its office and its tax id.

    The tax ids are of the right form and nobody's, as far as anybody can tell.
    """

    timezone: str
    serves: tuple[str, ...]
    tax_policy: str
    office: dict[str, str]
    tax_id: str


def _office(street: str, city: str, postal_code: str, region: str = "") -> dict[str, str]:
    return {"street": street, "city": city, "postal_code": postal_code} | ({"region": region} if region else {})


SELLERS = {
    "DE": Seller("Europe/Berlin", ("DE", "AT"), "eu-seller", _office("Domstraße 1", "Köln", "50667"), "DE136695976"),
    "FR": Seller(
        "Europe/Paris", ("FR", "BE", "MC"), "eu-seller", _office("1 rue des Granges", "Besançon", "25000"), "FR40303265045"
    ),
    "GB": Seller("Europe/London", ("GB", "IE", "IM"), "gb-seller", _office("1 Stonegate", "York", "YO1 8AN"), "GB980780684"),
    "CH": Seller(
        "Europe/Zurich", ("CH", "LI"), "ch-seller", _office("Bahnhofstrasse 1", "Zürich", "8001"), "CHE-107.787.577 MWST"
    ),
    "JP": Seller("Asia/Tokyo", ("JP",), "jp-seller", _office("1-1 Umeda", "Osaka", "530-0001"), "T7000012050002"),
    "US": Seller(
        "America/New_York",
        ("US",),
        "us-sales-tax",
        _office("1 Washington Street", "Springfield", "62701", "IL"),
        "91-1144442",
    ),
    "CA": Seller(
        "America/Toronto",
        ("CA",),
        "ca-seller",
        _office("1 Princess Street", "Kingston", "K7L 1A1", "ON"),
        "999999907 RT0001",
    ),
    "AU": Seller(
        "Australia/Hobart", ("AU",), "au-seller", _office("1 Elizabeth Street", "Hobart", "7000", "TAS"), "99 999 000 260"
    ),
    "NZ": Seller("Pacific/Auckland", ("NZ",), "nz-seller", _office("1 Princes Street", "Dunedin", "9016"), "99-000-007"),
    "SG": Seller("Asia/Singapore", ("SG",), "sg-seller", _office("1 Raffles Place", "Singapore", "048616"), "201899999G"),
    "IN": Seller(
        "Asia/Kolkata",
        ("IN",),
        "in-seller",
        _office("1 Sayyaji Rao Road", "Mysuru", "570001", "Karnataka"),
        "29AAACS7778K1ZK",
    ),
    "NO": Seller("Europe/Oslo", ("NO",), "no-seller", _office("Torgallmenningen 1", "Bergen", "5003"), "NO 999 999 018 MVA"),
    "AE": Seller("Asia/Dubai", ("AE",), "ae-seller", _office("1 Corniche Street", "Sharjah", "00000"), "100999999900003"),
}
HEADING = "# Simulated; written by jobs/simulation, rewritten with the world.\n"
ENTITIES = {  # the first one serves whoever no other serves; among them all countries whose taxes are known
    "cloud": ("US", "GB", "CA"),
    "retail": ("DE", "FR"),
    "media": ("GB", "AU", "NZ"),
    "logistics": ("JP", "US", "SG", "IN"),
    "utilities": ("CH", "NO", "AE"),
}


@dataclass(frozen=True)
class SimTenant:
    """One simulated tenant: what is needed to draw its data and to write its configuration."""

    index: int
    usage_rows: int  # new rows a month

    @property
    def line(self) -> str:
        """Its business line, which also decides the format of its feeds."""
        return LINES[self.index % len(LINES)]

    @property
    def name(self) -> str:
        """Its tenant id: sim-cloud-01."""
        return f"sim-{self.line}-{self.index + 1:02d}"

    @property
    def sellers(self) -> tuple[str, ...]:
        """The countries of its legal entities; the first one serves whoever no other serves."""
        return ENTITIES[self.line]

    @property
    def buyers(self) -> tuple[str, ...]:
        """The countries of those legal entities that vendors send invoices to."""
        return tuple(country for country in self.sellers if country in BUYERS)

    def seller_of(self, country: str) -> str:
        """The country of the legal entity that serves a customer's."""
        return next((seller for seller in self.sellers if country in SELLERS[seller].serves), self.sellers[0])

    @property
    def timezone(self) -> str:
        """The zone whose months are billed."""
        return SELLERS[self.sellers[0]].timezone

    @property
    def dialect(self) -> Dialect:
        """How its files are written."""
        return DIALECTS[self.line]

    @property
    def accounts(self) -> int:
        """Customers it starts with."""
        return self.usage_rows // 100

    @property
    def joining(self) -> int:
        """Accounts that join in every later month."""
        return max(1, self.accounts // 50)

    @property
    def usage_files(self) -> int:
        """Usage files a month; at least two, so that a row can be repeated across files."""
        return max(2 + self.index % 3, self.usage_rows // 150_000)

    @property
    def customers(self) -> tuple[str, ...]:
        """Customer countries to draw from, those its own entities serve most often."""
        home = tuple(country for seller in self.sellers for country in SELLERS[seller].serves)
        return (
            tuple(country for country in home if country in PLACES) * 4
            + COMMON_CUSTOMERS
            + MORE_CUSTOMERS.get(self.line, ())
        )

    def prefix(self, country: str) -> str:
        """What the numbers of a legal entity begin with; an Indian number has sixteen characters at most."""
        return f"{self.index + 1:02d}" if country == "IN" else f"{self.line[0].upper()}{self.index + 1:02d}{country}"

    def entity(self, country: str) -> str:
        """The id of the legal entity in a country."""
        return f"{self.name}-{country.lower()}"

    def bank_accounts(self, country: str) -> dict[str, str]:
        """The account of a legal entity in every currency its customers are billed in, its own first."""
        served = {buyer for buyer in {*self.customers, *SELLERS[country].serves} if self.seller_of(buyer) == country}
        own = currency_of(country)
        currencies = (own, *sorted({currency_of(buyer) for buyer in served} - {own}))
        first = 100 * (self.index + 1) + 10 * self.sellers.index(country)
        return {currency: account_number(country, first + number) for number, currency in enumerate(currencies)}


def tenants_at(scale: int) -> tuple[SimTenant, ...]:
    """The tenants of a world. All but the giant are the same at every scale that has them."""
    sizes = list(ROWS_AT_SCALE_ONE)
    if scale > 1:
        others = [ROWS_OF_OTHERS[index % len(ROWS_OF_OTHERS)] for index in range(GIANT + 1, 4 * scale)]
        sizes += [ROWS_PER_SCALE * scale - sum(sizes) - sum(others), *others]
    return tuple(SimTenant(index, rows) for index, rows in enumerate(sizes))


def write_configuration(tenants: tuple[SimTenant, ...], conf: Path, classified: Mapping[str, tuple[str, str]]) -> None:
    """Write conf/tenants/sim-*.yaml, and the tax class of one product of each. classified: by tenant, that product and its class."""
    for tenant in tenants:
        _write_yaml(conf / "tenants" / f"{tenant.name}.yaml", tenant_file(tenant))
        product, tax_class = classified[tenant.name]
        told = {"product": product, "tax_class": tax_class, "valid_from": date(2010, 1, 1), "source": "simulated"}
        _write_yaml(conf / "taxes" / "products" / f"{tenant.name}.yaml", {"products": [told]})


def tenant_file(tenant: SimTenant) -> dict[str, Any]:
    """The content of conf/tenants/<tenant>.yaml."""
    return {
        "tenant": tenant.name,
        "business_line": tenant.line,
        "legal_entities": [
            {
                "id": tenant.entity(country),
                "name": f"{tenant.name.removeprefix('sim-').replace('-', ' ').title()} {country}",
                "country": country,
                "timezone": SELLERS[country].timezone,
                "invoice_prefix": tenant.prefix(country),
                "tax_policy": SELLERS[country].tax_policy,
                "serves": list(SELLERS[country].serves),
                "address": SELLERS[country].office,
                "tax_id": SELLERS[country].tax_id,
                "email": f"billing@{tenant.entity(country)}.example",
                "bank_accounts": [
                    {"iban": account, "bic": bank_code(country), "currency": currency, "pays": True}
                    for currency, account in tenant.bank_accounts(country).items()
                ],
            }
            for country in tenant.sellers
        ],
        "feeds": {feed: tenant.dialect.mapping(feed, tenant.timezone) for feed in tenant.dialect.headers}
        | {"bank_transactions": {"format": "camt"}},
    } | ({"outputs": {"focus": ["csv", "parquet"]}} if tenant.index == 0 else {})


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(f"{HEADING}{text}", encoding="utf-8", newline="\n")

"""Who is simulated: the tenants of a scale, their legal entities, and the configuration files that introduce them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from jobs.simulation.formats import DIALECTS, Dialect, Feed
from jobs.simulation.numbers import account_number, bank_code

LINES = ("cloud", "retail", "media", "logistics", "utilities")
ROWS_AT_SCALE_ONE = (35_000, 25_000, 15_000, 15_000, 10_000)  # of the five tenants every world has
ROWS_OF_OTHERS = (4_000, 8_000, 12_000, 16_000, 20_000)
ROWS_PER_SCALE = 100_000
GIANT = len(ROWS_AT_SCALE_ONE)  # index of the tenant that takes the rest of a larger world's rows
BROKEN = 7  # index of the tenant that delivers unreadable files; JSON Lines, so that noise cannot pass for text
CURRENCIES = {"GB": "GBP", "CH": "CHF", "JP": "JPY", "US": "USD", "CA": "USD"}  # the others pay in euros
OTHERS_PAY_IN = "EUR"
COMMON_CUSTOMERS = ("DE", "FR", "GB", "CH", "JP", "US", "AT", "BE", "IE", "CA")


TaxLine = tuple[str, str, str, str, date, str]  # id, customer country, category, rate, valid from, source


@dataclass(frozen=True)
class Seller:
    """A country a legal entity sells from: its zone, the countries it serves, and the lines of its tax policy."""

    timezone: str
    serves: tuple[str, ...]
    taxes: tuple[TaxLine, ...]


def _taxes(country: str, rate: str, since: date, law: str, export_law: str) -> tuple[TaxLine, ...]:
    """The standard rate at home, and none on what leaves the country."""
    return (
        (f"sim-{country}-standard", country.upper(), "S", rate, since, law),
        (f"sim-{country}-export", "*", "G", "0", date(2010, 1, 1), export_law),
    )


SELLERS = {
    "DE": Seller("Europe/Berlin", ("DE", "AT"), _taxes("de", "0.19", date(2007, 1, 1), "UStG § 12 (1)", "UStG § 4 Nr. 1")),
    "FR": Seller("Europe/Paris", ("FR", "BE"), _taxes("fr", "0.20", date(2014, 1, 1), "CGI art. 278", "CGI art. 262 I")),
    "GB": Seller(
        "Europe/London",
        ("GB", "IE"),
        _taxes("gb", "0.20", date(2011, 1, 4), "Finance (No. 2) Act 2010 s.3", "VATA 1994 s.30(6)"),
    ),
    "CH": Seller(
        "Europe/Zurich", ("CH",), _taxes("ch", "0.081", date(2024, 1, 1), "MWSTG Art. 25 (1)", "MWSTG Art. 23 (2)")
    ),
    "JP": Seller(
        "Asia/Tokyo",
        ("JP",),
        _taxes("jp", "0.10", date(2019, 10, 1), "Consumption Tax Act art. 29; 2.2 % of it local", "art. 7"),
    ),
    "US": Seller(  # sales tax depends on state and county; until it is modelled, nothing is charged
        "America/New_York",
        ("US", "CA"),
        (
            ("sim-us-domestic", "US", "O", "0", date(2010, 1, 1), "no federal value added tax; sales tax not yet modelled"),
            ("sim-us-export", "*", "O", "0", date(2010, 1, 1), "no federal value added tax"),
        ),
    ),
}
HEADING = "# Simulated; written by jobs/simulation, rewritten with the world.\n"
FEEDS: tuple[Feed, ...] = (
    "accounts",
    "prices",
    "usage",
    "vendors",
    "purchase_orders",
    "payables",
    "disputes",
    "promises",
    "exemptions",
)
ENTITIES = (("US", "GB"), ("DE", "FR"), ("GB",), ("JP", "US"), ("CH",), ("FR", "CH"))


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
        return ENTITIES[(self.index + self.index // len(LINES)) % len(ENTITIES)]

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
        return home * 4 + COMMON_CUSTOMERS

    def entity(self, country: str) -> str:
        """The id of the legal entity in a country."""
        return f"{self.name}-{country.lower()}"

    def bank_accounts(self, country: str) -> dict[str, str]:
        """The account of a legal entity in every currency its customers are billed in, its own first."""
        served = set(SELLERS[country].serves)
        if country == self.sellers[0]:
            elsewhere = {buyer for seller in self.sellers[1:] for buyer in SELLERS[seller].serves}
            served |= {buyer for buyer in COMMON_CUSTOMERS if buyer not in elsewhere}
        own = currency_of(country)
        currencies = (own, *sorted({currency_of(buyer) for buyer in served} - {own}))
        first = 100 * (self.index + 1) + 10 * self.sellers.index(country)
        return {currency: account_number(country, first + number) for number, currency in enumerate(currencies)}


def currency_of(country: str) -> str:
    """The currency in which somebody of a country pays."""
    return CURRENCIES.get(country, OTHERS_PAY_IN)


def tenants_at(scale: int) -> tuple[SimTenant, ...]:
    """The tenants of a world. All but the giant are the same at every scale that has them."""
    sizes = list(ROWS_AT_SCALE_ONE)
    if scale > 1:
        others = [ROWS_OF_OTHERS[index % len(ROWS_OF_OTHERS)] for index in range(GIANT + 1, 4 * scale)]
        sizes += [ROWS_PER_SCALE * scale - sum(sizes) - sum(others), *others]
    return tuple(SimTenant(index, rows) for index, rows in enumerate(sizes))


def write_configuration(tenants: tuple[SimTenant, ...], conf: Path) -> None:
    """Write conf/tenants/sim-*.yaml and the tax policies their sellers name."""
    for tenant in tenants:
        _write_yaml(conf / "tenants" / f"{tenant.name}.yaml", tenant_file(tenant))
    for country in sorted({seller for tenant in tenants for seller in tenant.sellers}):
        _write_yaml(conf / "taxes" / f"{tax_policy(country)}.yaml", tax_file(country))


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
                "invoice_prefix": f"{tenant.line[0].upper()}{tenant.index + 1:02d}{country}",
                "tax_policy": tax_policy(country),
                "serves": list(SELLERS[country].serves),
                "bank_accounts": [
                    {"iban": account, "bic": bank_code(country), "currency": currency, "pays": True}
                    for currency, account in tenant.bank_accounts(country).items()
                ],
            }
            for country in tenant.sellers
        ],
        "feeds": {feed: tenant.dialect.mapping(feed, tenant.timezone) for feed in FEEDS}
        | {"bank_transactions": {"format": "camt"}},
    } | ({"outputs": {"focus": ["csv", "parquet"]}} if tenant.index == 0 else {})


def tax_policy(country: str) -> str:
    """The name of a seller country's tax policy."""
    return f"sim-{country.lower()}-seller"


def tax_file(country: str) -> dict[str, Any]:
    """The content of conf/taxes/<policy>.yaml; the first line that fits decides."""
    rules: list[dict[str, Any]] = []
    for name, buyer, category, rate, since, source in SELLERS[country].taxes:
        told = {"id": name, "category": category, "rate": rate, "valid_from": since, "source": source}
        asked = {} if buyer == "*" else {"when": f"customer_country = '{buyer}'"}
        untaxed = {} if category == "S" else {"exemption_reason": "Not taxed"}
        rules.append(told | asked | untaxed | {"reason": "customer in {customer_country}"})
    return {"policy": tax_policy(country), "rules": rules}


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(f"{HEADING}{text}", encoding="utf-8", newline="\n")

"""What tax law makes of the simulated customers: which tax their lines carry, and whose documents wait for what.

Written out here and not taken from conf/taxes, so that world and policies are right independently. Rates are those in force from
2026-01-01 on; of months before that nothing is told. Sources: the acts that docs/taxes.md names, country by country.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal

import pyarrow as pa

from jobs.simulation.accounts import Customer, Standing, customers_of
from jobs.simulation.months import Month
from jobs.simulation.numbers import INDIAN_STATES
from jobs.simulation.places import Place
from jobs.simulation.prices import products_of
from jobs.simulation.tenants import SimTenant

KNOWN_FROM = "2026-01"
EVERY_PRODUCT = "*"
UNION = {  # standard rates of the member states, and of territories that have their own
    "AT": "0.2", "BE": "0.21", "BG": "0.2", "CY": "0.19", "CZ": "0.21", "DE": "0.19", "DK": "0.25", "EE": "0.24", "ES": "0.21",
    "FI": "0.255", "FR": "0.2", "GR": "0.24", "HR": "0.25", "HU": "0.27", "IE": "0.23", "IT": "0.22", "LT": "0.21", "LU": "0.17",
    "LV": "0.21", "MT": "0.18", "NL": "0.21", "PL": "0.23", "PT": "0.23", "RO": "0.21", "SE": "0.25", "SI": "0.22", "SK": "0.23",
    "PT-30": "0.22",
}  # fmt: skip
FRENCH_OVERSEAS = {"FR-GP": "0.085"}  # inside for a French seller alone
AT_HOME = {  # component, then the rate by class; a class that is not named is taxed at the standard rate
    "GB": ("VAT", {"standard": "0.2", "reduced": "0.05"}),
    "CH": ("VAT", {"standard": "0.081", "reduced": "0.026"}),
    "NO": ("VAT", {"standard": "0.25", "reduced": "0.15"}),
    "JP": ("Consumption tax", {"standard": "0.1", "reduced": "0.08"}),
    "AU": ("GST", {"standard": "0.1"}),
    "NZ": ("GST", {"standard": "0.15"}),
    "SG": ("GST", {"standard": "0.09"}),
    "AE": ("VAT", {"standard": "0.05"}),
}
PROVINCES = {
    "ON": {"HST": "0.13"}, "British Columbia": {"GST": "0.05", "PST": "0.07"}, "QC": {"GST": "0.05", "QST": "0.09975"},
    "AB": {"GST": "0.05"}, "NS": {"HST": "0.14"}, "SK": {"GST": "0.05", "PST": "0.06"}, "MB": {"GST": "0.05", "RST": "0.07"},
}  # fmt: skip
INDIAN_HOME = "Karnataka"  # where the simulated seller is registered
INDIAN_HALVES = {"standard": "0.09", "reduced": "0.025"}  # central and of the state alike; across states twice as much
INDIAN_WHOLE = {"standard": "0.18", "reduced": "0.05"}
JURISDICTIONS = {  # what the feed tax_rates brings: the number of the month, and the parts
    "US-IL-SPRINGFIELD": (0, {"state": "0.0625", "county": "0.01", "city": "0.025"}),
    "US-WA-SEATTLE": (0, {"state": "0.065", "county": "0.012", "city": "0.0285"}),
    "US-NY-ITHACA": (0, {"state": "0.04", "county": "0.04"}),
    "US-TX-AUSTIN": (2, {"state": "0.0625", "city": "0.02"}),  # nobody tells it before the third month
}
TAX_CLASSES = {  # of one product of each line, the first that a price list has
    "cloud": "zero", "retail": "exempt", "media": "reduced", "logistics": "reduced", "utilities": "reduced",
}  # fmt: skip
EVERYTHING_ELSE = "standard"
CLASSIFIED = 0  # the number of that product in the catalogue
EVERYWHERE = "*"


REGISTRATIONS = pa.schema(
    [("tax_id", pa.string()), ("country", pa.string()), ("status", pa.string()), ("checked_at", pa.timestamp("s"))]
)
RATES = pa.schema(
    [("jurisdiction", pa.string()), ("component", pa.string()), ("rate", pa.decimal128(18, 6)), ("valid_from", pa.date32())]
)
EXEMPTIONS = pa.schema(
    [
        ("account_id", pa.string()), ("kind", pa.string()), ("jurisdiction", pa.string()), ("valid_from", pa.date32()),
        ("valid_to", pa.date32()), ("reason", pa.string()),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Sold:
    """What a decision is about: who sells what to whom, as it is known at the end of a month."""

    seller: str  # its country
    place: Place
    standing: Standing
    id_told: str | None  # the customer's tax id
    is_business: bool
    answered: bool  # whether the registry has said what it has to say
    jurisdiction_known: bool
    tax_class: str

    @property
    def registered(self) -> bool:
        """Whether the registry knows the id by now."""
        good = self.standing in (Standing.REGISTERED, Standing.CERTIFIED) or (
            self.standing is Standing.IN_CHECK and self.answered
        )
        return self.id_told is not None and good


def classified(tenant: SimTenant, seed: int) -> tuple[str, str]:
    """The product of a tenant that is not taxed at the standard rate, and its tax class."""
    return products_of(tenant, seed)[CLASSIFIED].product_id, TAX_CLASSES[tenant.line]


# --- what is delivered ------------------------------------------------------------------------------------------------


def registration_rows(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> pa.Table:
    """What the registries have said by the delivery of the last of these months, and not before: a row for each check."""
    now, rows = len(months) - 1, []
    for customer in customers_of(tenant, seed, months).values():
        joined, standing = customer["joined"], customer["standing"]
        said = {
            Standing.REGISTERED: {joined: "valid"},
            Standing.CERTIFIED: {joined: "valid"},
            Standing.UNREGISTERED: {joined: "invalid"},
            Standing.IN_CHECK: {joined: "in_check", joined + 1: "valid"},
        }.get(standing, {})
        if customer["tax_id"] is not None and now in said:
            asked = datetime.combine(months[-1].day(3), time(9))
            rows.append(
                {"tax_id": customer["tax_id"], "country": customer["country"], "status": said[now], "checked_at": asked}
            )
    return pa.Table.from_pylist(rows, schema=REGISTRATIONS)


def rate_rows(months: tuple[Month, ...]) -> pa.Table:
    """The rates of jurisdictions that the last of these months brings; all hold from the year before the first one on."""
    since = Month(months[0].year - 1, 1).day(1)
    told = [(name, parts) for name, (month, parts) in JURISDICTIONS.items() if month == len(months) - 1]
    rows = [
        {"jurisdiction": name, "component": component, "rate": Decimal(rate), "valid_from": since}
        for name, parts in told
        for component, rate in parts.items()
    ]
    return pa.Table.from_pylist(rows, schema=RATES)


def certificate_rows(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> pa.Table:
    """The certificates of exemption of those that join in the last of these months."""
    rows = [
        {
            "account_id": account_id,
            "kind": "tax",
            "jurisdiction": EVERYWHERE,
            "valid_from": customer["valid_from"],
            "reason": "embassy",
        }
        for account_id, customer in customers_of(tenant, seed, months).items()
        if customer["standing"] is Standing.CERTIFIED and customer["joined"] == len(months) - 1
    ]
    return pa.Table.from_pylist(rows, schema=EXEMPTIONS)


# --- what is true -----------------------------------------------------------------------------------------------------


def taxes_of(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> dict[str, dict[str, str]]:
    """By account: what its lines carry on documents of the last of these months, by product, `*` for every other one.

    "sim-retail-02-de: S VAT 0.19", "sim-retail-02-de: AE" or "sim-retail-02-de: held id_in_check". Nothing of months before KNOWN_FROM.
    """
    if months[-1].name < KNOWN_FROM:
        return {}
    product, tax_class = classified(tenant, seed)
    return {
        account_id: {
            EVERY_PRODUCT: _told(tenant, customer, len(months) - 1, EVERYTHING_ELSE),
            product: _told(tenant, customer, len(months) - 1, tax_class),
        }
        for account_id, customer in customers_of(tenant, seed, months).items()
    }


def _told(tenant: SimTenant, customer: Customer, now: int, tax_class: str) -> str:
    place: Place = customer["place"]
    seller = tenant.seller_of(place.country)
    told_in, _ = JURISDICTIONS.get(place.jurisdiction or "", (now + 1, {}))
    sold = Sold(
        seller, place, customer["standing"], customer["tax_id"], customer["is_business"],
        answered=now > customer["joined"], jurisdiction_known=told_in <= now, tax_class=tax_class,
    )  # fmt: skip
    laws = {"US": _american, "CA": _canadian, "IN": _indian}
    law = _european if seller in UNION else laws.get(seller, _at_home)
    return f"{tenant.entity(seller)}: {law(sold)}"


def _taxed(**rates: str) -> str:
    return "S " + " + ".join(f"{component.replace('_', ' ')} {rate}" for component, rate in sorted(rates.items()))


def _untaxed_class(sold: Sold) -> str | None:
    return {"exempt": "E", "zero": "Z"}.get(sold.tax_class)


def _european(sold: Sold) -> str:
    """Directive 2006/112/EC arts. 44 and 58: businesses where they are, consumers too, their tax told by the one-stop shop."""
    law = sold.place.country if sold.place.law is None else sold.place.law
    if law in FRENCH_OVERSEAS and sold.seller == "FR":
        return _untaxed_class(sold) or _taxed(VAT=FRENCH_OVERSEAS[law])
    if law not in UNION:
        return "G"
    if sold.standing is Standing.CERTIFIED:
        return "E"
    if sold.tax_class == "exempt":
        return "E"
    if sold.registered and sold.place.country != sold.seller:
        return "AE"
    if sold.place.country == sold.seller:
        return _taxed(VAT=UNION[law])
    asked = sold.is_business and sold.id_told is not None
    if asked and sold.standing is Standing.IN_CHECK:
        return "held id_in_check"
    if asked and sold.standing is Standing.UNCHECKED:
        return "held id_unknown"
    return _taxed(VAT=UNION[law])


def _at_home(sold: Sold) -> str:
    """Countries with one tax: taxed at home, not what leaves."""
    law = sold.place.country if sold.place.law is None else sold.place.law
    if law != sold.seller:
        return "G"
    if sold.standing is Standing.CERTIFIED and sold.seller == "CH":
        return "E"
    component, rates = AT_HOME[sold.seller]
    return _untaxed_class(sold) or _taxed(**{component.replace(" ", "_"): rates.get(sold.tax_class, rates[EVERYTHING_ELSE])})


def _american(sold: Sold) -> str:
    """Sales tax where the customer is; what leaves the country is no matter of it."""
    if sold.place.country != "US":
        return "O"
    if sold.standing is Standing.CERTIFIED or sold.tax_class in ("exempt", "zero"):
        return "E"
    if not sold.jurisdiction_known:
        return "held unknown_jurisdiction"
    return _taxed(**JURISDICTIONS[str(sold.place.jurisdiction)][1])


def _canadian(sold: Sold) -> str:
    if sold.place.country != "CA":
        return "G"
    if sold.standing is Standing.CERTIFIED:
        return "E"
    if sold.place.region not in PROVINCES:
        return _untaxed_class(sold) or "held unknown_province"
    return _untaxed_class(sold) or _taxed(**PROVINCES[sold.place.region])


def _indian(sold: Sold) -> str:
    """Within a state half of the tax is the state's; the state is the GSTIN's, without one that of the address."""
    if sold.place.country != "IN":
        return "G"
    state = (
        INDIAN_STATES.get(sold.id_told[:2])
        if sold.id_told and sold.standing is not Standing.MISPRINTED
        else sold.place.region
    )
    if state is None:
        return "held unknown_place_of_supply"
    if state == INDIAN_HOME:
        half = INDIAN_HALVES[sold.tax_class]
        return _taxed(CGST=half, SGST=half)
    return _taxed(IGST=INDIAN_WHOLE[sold.tax_class])

"""Where simulated customers are, as their addresses say it, and in which currency somebody pays there."""

from __future__ import annotations

from dataclasses import dataclass

CURRENCIES = {
    "GB": "GBP", "CH": "CHF", "LI": "CHF", "JP": "JPY", "US": "USD", "CA": "CAD", "NO": "NOK", "IN": "INR", "AU": "AUD", "NZ": "NZD",
    "SG": "SGD", "AE": "AED",
}  # fmt: skip
OTHERS_PAY_IN = "EUR"


@dataclass(frozen=True)
class Place:
    """One address of a country. law: whose tax area it lies in where that is not its country's; empty for no one's."""

    country: str
    city: str
    postal_code: str
    region: str | None = None  # state or province, where tax asks for it
    jurisdiction: str | None = None  # of sales tax
    law: str | None = None


def _only(country: str, city: str, postal_code: str) -> tuple[Place, ...]:
    return (Place(country, city, postal_code),)


# Of several places in a country the first is where most are. Territories: Directive 2006/112/EC arts. 5 to 7.
PLACES: dict[str, tuple[Place, ...]] = {
    "AT": _only("AT", "Sankt Pölten", "3100"),
    "BE": _only("BE", "Liège", "4000"),
    "BG": _only("BG", "Plovdiv", "4000"),
    "CY": _only("CY", "Larnaca", "6010"),
    "CZ": _only("CZ", "Brno", "602 00"),
    "DE": (Place("DE", "Köln", "50667"), Place("DE", "Büsingen", "78266", law="CH"), Place("DE", "Helgoland", "27498", law="")),
    "DK": _only("DK", "Odense", "5000"),
    "EE": _only("EE", "Tartu", "51003"),
    "ES": (Place("ES", "Zaragoza", "50001"), Place("ES", "Las Palmas", "35001", law=""), Place("ES", "Ceuta", "51001", law="")),
    "FI": (Place("FI", "Tampere", "33100"), Place("FI", "Mariehamn", "22100", law="")),
    "FR": (Place("FR", "Besançon", "25000"), Place("FR", "Pointe-à-Pitre", "97110", law="FR-GP")),
    "GR": (Place("GR", "Larissa", "41222"), Place("GR", "Karyes", "63086", law="")),
    "HR": _only("HR", "Rijeka", "51000"),
    "HU": _only("HU", "Szeged", "6720"),
    "IE": _only("IE", "Cork", "T12 XF62"),
    "IT": (Place("IT", "Bologna", "40121"), Place("IT", "Livigno", "23041", law="")),
    "LT": _only("LT", "Kaunas", "44001"),
    "LU": _only("LU", "Esch", "4001"),
    "LV": _only("LV", "Liepaja", "LV-3401"),
    "MC": (Place("MC", "Monaco", "98000", law="FR"),),
    "MT": _only("MT", "Mdina", "MDN 1010"),
    "NL": _only("NL", "Utrecht", "3511 AB"),
    "PL": _only("PL", "Lublin", "20-001"),
    "PT": (Place("PT", "Coimbra", "3000-001"), Place("PT", "Funchal", "9000-001", law="PT-30")),
    "RO": _only("RO", "Cluj", "400001"),
    "SE": _only("SE", "Lund", "222 21"),
    "SI": _only("SI", "Maribor", "2000"),
    "SK": _only("SK", "Nitra", "949 01"),
    "GB": (Place("GB", "York", "YO1 7HH"), Place("GB", "Belfast", "BT1 1AA"), Place("IM", "Douglas", "IM1 1AA", law="GB")),
    "CH": (Place("CH", "Zürich", "8001"), Place("LI", "Vaduz", "9490", law="CH")),
    "NO": (Place("NO", "Bergen", "5003"), Place("NO", "Longyearbyen", "9170", law="")),
    "JP": _only("JP", "Osaka", "530-0001"),
    "AU": (Place("AU", "Hobart", "7000"), Place("AU", "Kingston", "2899", law="")),
    "NZ": _only("NZ", "Dunedin", "9016"),
    "SG": _only("SG", "Singapore", "048616"),
    "AE": _only("AE", "Sharjah", "00000"),
    "IN": (
        Place("IN", "Mysuru", "570001", "Karnataka"), Place("IN", "Pune", "411001", "Maharashtra"), Place("IN", "Madurai", "625001", "TN"),
        Place("IN", "Somewhere", "000000"),
    ),
    "US": (
        Place("US", "Springfield", "62701", "IL", "US-IL-SPRINGFIELD"), Place("US", "Seattle", "98101", "WA", "US-WA-SEATTLE"),
        Place("US", "Ithaca", "14850", "NY", "US-NY-ITHACA"), Place("US", "Austin", "78701", "TX", "US-TX-AUSTIN"),
        Place("US", "Nowhere", "00000", "XX", "US-XX-NOWHERE"),
    ),
    "CA": (
        Place("CA", "Kingston", "K7L 1A1", "ON"), Place("CA", "Victoria", "V8W 1P6", "British Columbia"),
        Place("CA", "Québec", "G1R 4P5", "QC"), Place("CA", "Calgary", "T2P 1J9", "AB"), Place("CA", "Halifax", "B3H 4R2", "NS"),
        Place("CA", "Regina", "S4P 3Y2", "SK"), Place("CA", "Winnipeg", "R3C 1A5", "MB"), Place("CA", "Somewhere", "X0X 0X0"),
    ),
}  # fmt: skip
ELSEWHERE_ONE_IN = 4  # of a country's customers live where the first place is not


def place_of(country: str, draw: int) -> Place:
    """One of a country's places."""
    first, *others = PLACES[country]
    return others[draw // ELSEWHERE_ONE_IN % len(others)] if others and draw % ELSEWHERE_ONE_IN == 0 else first


def currency_of(country: str) -> str:
    """The currency in which somebody of a country pays."""
    return CURRENCIES.get(country, OTHERS_PAY_IN)

"""The simulated price lists: products, their prices by currency and region, and the prices that follow them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pyarrow as pa

from jobs.simulation.chance import generator
from jobs.simulation.months import Month
from jobs.simulation.tenants import SimTenant

PRODUCTS = 24
MICRO = Decimal("0.000001")
PER_UNIT, ON_RECORD = "per_unit", "price_on_record"
LEVELS = {  # what 100 cents of a euro price are elsewhere
    "EUR": 100, "USD": 108, "GBP": 86, "CHF": 95, "JPY": 16_000, "CAD": 148, "NOK": 1_170, "INR": 9_600, "AUD": 165, "NZD": 183,
    "SGD": 140, "AED": 397,
}  # fmt: skip
REGIONS = {
    "cloud": ("eu-west", "us-east", "ap-north"),
    "retail": (),  # its usage names no region
    "media": ("emea", "amer", "apac"),
    "logistics": ("kobe", "seattle"),
    "utilities": ("grid-north", "grid-south"),
}
UNITS = {
    "cloud": ("request", "GB-month", "vCPU-hour"),
    "retail": ("piece", "kg", "m"),
    "media": ("play", "hour", "GB"),
    "logistics": ("parcel", "t-km", "m3-day"),
    "utilities": ("call", "kWh", "m3"),
}

SCHEMA = pa.schema(
    [
        ("price_id", pa.string()), ("product_id", pa.string()), ("model", pa.string()), ("currency", pa.string()),
        ("unit_price", pa.decimal128(18, 6)), ("parameters", pa.string()), ("region", pa.string()), ("unit", pa.string()),
        ("valid_from", pa.date32()), ("valid_to", pa.date32()), ("delivered", pa.int32()),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Product:
    """Something sold; half of the products have a price list, the others carry their price on the usage record."""

    number: int
    product_id: str
    unit: str
    level: int  # millionths of a euro, about what one unit costs

    @property
    def model(self) -> str:
        """How it is priced."""
        return ON_RECORD if self.number % 2 else PER_UNIT

    @property
    def counted(self) -> bool:
        """Whether it is sold in whole numbers only."""
        return self.number % 3 == 0

    def level_in(self, currency: str) -> int:
        """About what one unit costs, in millionths of a currency."""
        return self.level * LEVELS[currency] // 100


def products_of(tenant: SimTenant, seed: int) -> tuple[Product, ...]:
    """A tenant's catalogue; every third product is counted and has the first of its line's units."""
    levels = generator(seed, tenant.name, "products").integers(500, 5_000_000, PRODUCTS)
    units = UNITS[tenant.line]
    return tuple(
        Product(number, f"{tenant.line.upper()}-{number + 1:03d}", units[number % 3], int(level))
        for number, level in enumerate(levels)
    )


def price_rows(tenant: SimTenant, seed: int, months: tuple[Month, ...]) -> pa.Table:
    """Every price row of the world for a tenant; `delivered` is the number of the month whose delivery brings it.

    The rows of one product, currency and region follow each other without gap or overlap. A price that ends says so from the
    start; the one that follows it comes with the month in which it begins, as a new row, so that no row is ever rewritten.
    """
    rows = []
    for product in products_of(tenant, seed):
        changes = _changes(tenant, seed, product, months)
        for currency in LEVELS:
            for region in _priced_regions(tenant, product):
                rows += _chain(product, currency, region, changes, Month(months[0].year - 1, 1).day(1))
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _priced_regions(tenant: SimTenant, product: Product) -> tuple[str | None, ...]:
    """No region, which is the price of last resort, and for some products the line's first region besides."""
    has_own = product.model == PER_UNIT and product.number % 6 == 0
    return (None, *REGIONS[tenant.line][:1]) if has_own else (None,)


def _changes(tenant: SimTenant, seed: int, product: Product, months: tuple[Month, ...]) -> list[tuple[int, date]]:
    """When a product's price changes: number of the month and day; every priced product in one month of four."""
    if product.model == ON_RECORD:
        return []
    days = {
        number: int(generator(seed, tenant.name, month.name, "price change", product.product_id).integers(6, 25))
        for number, month in enumerate(months)
        if (product.number // 2) % 4 == number % 4
    }
    return [(number, months[number].day(day)) for number, day in days.items()]


def _chain(
    product: Product, currency: str, region: str | None, changes: list[tuple[int, date]], start: date
) -> list[dict[str, object]]:
    """The prices of one product, currency and region, each ending on the day the next begins."""
    begins = [(0, start), *changes]
    ends = [*(day for _, day in changes), None]
    rows: list[dict[str, object]] = []
    for step, ((delivered, valid_from), valid_to) in enumerate(zip(begins, ends, strict=True)):
        level = product.level_in(currency) * (100 + 5 * step - (10 if region else 0)) // 100
        price = (level * MICRO).normalize() if product.model == PER_UNIT else None
        rows.append(
            {
                "price_id": f"{product.product_id}/{currency}/{region or 'all'}/{step + 1}",
                "product_id": product.product_id,
                "model": product.model,
                "currency": currency,
                "unit_price": price,
                "parameters": json.dumps({} if price is None else {"unit_price": f"{price:f}"}, separators=(",", ":")),
                "region": region,
                "unit": product.unit,
                "valid_from": valid_from,
                "valid_to": valid_to,
                "delivered": delivered,
            }
        )
    return rows

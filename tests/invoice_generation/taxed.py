"""Charges through the transforms that make documents of them, as the job puts them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from random import Random
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from stdnum.eu import vat

from jobs.ingestion.tables import EXEMPTIONS, TAX_RATES, TAX_REGISTRATIONS
from jobs.invoice_generation import amounts, decisions, returns, transforms
from jobs.invoice_generation.customers import customers
from jobs.invoice_generation.settings import Holding, RoundingPolicy
from jobs.ledger.taxes import Taxes
from jobs.ledger.tenants import Tenant
from tests.builders import Row, accounts, billed, invoice_settings, rounding, table_of

ISSUED = date(2026, 8, 1)
MEMBERS = [
    "AT",
    "BE",
    "BG",
    "CY",
    "CZ",
    "DE",
    "DK",
    "EE",
    "ES",
    "FI",
    "FR",
    "GR",
    "HR",
    "HU",
    "IE",
    "IT",
    "LT",
    "LU",
    "LV",
    "MT",
    "NL",
    "PL",
    "PT",
    "RO",
    "SE",
    "SI",
    "SK",
]
_SHAPES = {
    "AT": "U########", "BE": "0#########", "BG": "#########", "CY": "########L", "ES": "B########", "FR": "###########",
    "HR": "###########", "IE": "#######L", "IT": "###########", "LV": "4##########", "NL": "#########B##", "PL": "##########",
    "SE": "##########01", "SK": "##########", "DE": "#########", "EE": "#########", "GR": "#########", "LT": "#########", "PT": "#########",
}  # fmt: skip


@cache
def vat_id(country: str) -> str:
    """A VAT id of a member state that passes its check digits."""
    chance, prefix = Random(country), "EL" if country == "GR" else country
    while True:
        drawn = "".join(
            str(chance.randrange(10)) if c == "#" else chance.choice("ABCDEFGHLMNTVWX") if c == "L" else c
            for c in _SHAPES.get(country, "########")
        )
        if vat.is_valid(prefix + drawn):
            return prefix + drawn


@dataclass(frozen=True)
class Billed:
    """What a month is billed from, beside its tenants and taxes."""

    charges: Sequence[Row]
    accounts: Sequence[Row]
    registrations: Sequence[Row] = ()
    exemptions: Sequence[Row] = ()
    tax_rates: Sequence[Row] = ()
    policy: RoundingPolicy = field(default_factory=rounding)
    holding: Holding = field(default_factory=Holding)
    day: date = date(2026, 7, 31)
    oldest_check_days: int | None = 365
    parts: int | None = None
    issue_date: date = ISSUED


@dataclass(frozen=True)
class Documents:
    """The documents of a month."""

    headers: DataFrame
    lines: DataFrame
    taxes: DataFrame
    carried: DataFrame
    every: DataFrame  # lines, with those that are held


def documents(spark: SparkSession, told: Billed, tenants: Sequence[Tenant], taxes: Taxes) -> Documents:
    """What becomes of a month's charges."""
    rows = billed(spark, *told.charges)
    decided = decided_by(spark, rows.repartition(told.parts) if told.parts else rows, told, tenants, taxes)
    every = transforms.held(transforms.lines(returns.unnamed(decided), told.policy), told.holding).localCheckpoint()
    lines = transforms.issued(every)
    taxed = amounts.taxes(lines)
    headers = transforms.invoices(lines, taxed, invoice_settings(), told.issue_date)
    return Documents(headers, lines, taxed, transforms.carried_forward(every), every)


def decided_by(spark: SparkSession, rows: DataFrame, told: Billed, tenants: Sequence[Tenant], taxes: Taxes) -> DataFrame:
    """Rows with the seller and the tax that what is told decides for them."""
    policies = sorted({entity.tax_policy for tenant in tenants for entity in tenant.legal_entities})
    known = customers(
        accounts(spark, *told.accounts), table_of(spark, TAX_REGISTRATIONS, told.registrations),
        table_of(spark, EXEMPTIONS, told.exemptions), taxes.territories, told.day, told.oldest_check_days,
    )  # fmt: skip
    selling = transforms.sellers(spark, tenants, taxes, told.policy)
    sold = transforms.sold(rows, known, selling, transforms.products(spark, taxes, tenants))
    charged = decisions.rates(spark, taxes, policies, table_of(spark, TAX_RATES, told.tax_rates))
    return decisions.decided(sold, spark, taxes, policies, charged)


def registered(
    tax_id: str, country: str, status: str = "valid", checked_at: str = "2026-07-01T00:00:00", **more: Any
) -> Row:
    """A row of raw.tax_registrations."""
    row: Row = {
        "tenant_id": "alpha", "tax_id": tax_id, "country": country, "status": status, "checked_at": checked_at, "registry": "VIES",
        "landing_id": "l-9", "row_number": 1,
    }  # fmt: skip
    return row | more

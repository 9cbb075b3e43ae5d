"""What tax law makes of the simulated customers: every regime and every outcome is there, and ids are what they are said to be."""

from __future__ import annotations

from collections import Counter

import pytest

from jobs.invoice_generation.customers import read_id
from jobs.simulation.accounts import Standing, customers_of
from jobs.simulation.taxpayers import (
    EVERY_PRODUCT,
    UNION,
    certificate_rows,
    classified,
    rate_rows,
    registration_rows,
    taxes_of,
)
from jobs.simulation.tenants import SELLERS, SimTenant, tenants_at
from jobs.simulation.world import World

CALENDAR = World(months=3).calendar
TENANTS = tenants_at(1)
NAMED = {tenant.line: tenant for tenant in TENANTS}
BY_TENANT = pytest.mark.parametrize("tenant", TENANTS, ids=lambda tenant: tenant.name)


def outcomes(tenant: SimTenant, months: int = 3) -> Counter[str]:
    """How often what a line carries comes up among a tenant's accounts, of ordinary products."""
    return Counter(
        told[EVERY_PRODUCT].removeprefix(f"{tenant.name}-") for told in taxes_of(tenant, 7, CALENDAR[:months]).values()
    )


def test_all_sellers_of_the_world_tax_somebody() -> None:
    carried = {told for tenant in TENANTS for told in outcomes(tenant)}
    assert {told.split(":")[0] for told in carried if ": S " in told} == {country.lower() for country in SELLERS}


def test_every_outcome_is_there() -> None:
    retail, cloud, logistics = (outcomes(NAMED[line], 1) for line in ("retail", "cloud", "logistics"))
    assert {"de: AE", "de: G", "de: E", "de: held id_in_check", "de: held id_unknown", "fr: S VAT 0.085"} <= retail.keys()
    assert {"us: O", "us: E", "ca: held unknown_province", "us: held unknown_jurisdiction", "ca: S HST 0.13"} <= cloud.keys()
    assert {"in: S CGST 0.09 + SGST 0.09", "in: S IGST 0.18"} <= logistics.keys()
    assert "in: held unknown_place_of_supply" in outcomes(NAMED["logistics"])
    assert "ch: S VAT 0.081" in outcomes(NAMED["utilities"]) and "au: G" in outcomes(NAMED["media"])


def test_customers_live_in_all_member_states() -> None:
    assert {row["country"] for row in customers_of(NAMED["retail"], 7, CALENDAR).values()} >= {
        c for c in UNION if len(c) == 2
    }


@BY_TENANT
def test_ids_are_of_the_form_that_their_standing_has(tenant: SimTenant) -> None:
    for row in customers_of(tenant, 7, CALENDAR).values():
        if row["tax_id"] is not None:
            assert read_id(row["tax_id"], row["country"])[2] == (row["standing"] is not Standing.MISPRINTED), row
        assert row["standing"] is not Standing.CONSUMER or row["tax_id"] is None


@pytest.mark.parametrize("country", [country for country in SELLERS if country not in ("US", "AE")])
def test_tax_ids_of_sellers_are_of_the_right_form(country: str) -> None:
    told = SELLERS[country].tax_id
    assert read_id(told, country)[2] is True or (country == "CA" and read_id(told.split()[0], country)[2] is True)


def test_who_is_in_check_waits_for_one_month() -> None:
    tenant = NAMED["retail"]
    first, second = (taxes_of(tenant, 7, CALENDAR[:months]) for months in (1, 2))
    waiting = {account for account, told in first.items() if told[EVERY_PRODUCT].endswith("held id_in_check")}
    assert waiting and all(second[account][EVERY_PRODUCT].endswith(": AE") for account in waiting)
    asked = registration_rows(tenant, 7, CALENDAR[:1]).to_pylist()
    answered = {row["tax_id"]: row["status"] for row in registration_rows(tenant, 7, CALENDAR[:2]).to_pylist()}
    in_check = [row["tax_id"] for row in asked if row["status"] == "in_check"]
    assert in_check and all(answered[tax_id] == "valid" for tax_id in in_check)


def test_a_jurisdiction_is_told_in_the_third_month() -> None:
    tenant = NAMED["cloud"]
    late = [
        {months: taxes_of(tenant, 7, CALENDAR[:months])[account][EVERY_PRODUCT].split(": ")[1] for months in (2, 3)}
        for account, row in customers_of(tenant, 7, CALENDAR[:2]).items()
        if row["tax_jurisdiction"] == "US-TX-AUSTIN" and row["standing"] is not Standing.CERTIFIED
    ]
    assert late and all(told == {2: "held unknown_jurisdiction", 3: "S city 0.02 + state 0.0625"} for told in late)
    assert [len(rate_rows(CALENDAR[:months])) for months in (1, 2, 3)] == [8, 0, 2]


@BY_TENANT
def test_certificates_are_told_once(tenant: SimTenant) -> None:
    told = [row["account_id"] for months in (1, 2, 3) for row in certificate_rows(tenant, 7, CALENDAR[:months]).to_pylist()]
    certified = {
        account for account, row in customers_of(tenant, 7, CALENDAR).items() if row["standing"] is Standing.CERTIFIED
    }
    assert len(told) == len(set(told)) and set(told) == certified != set()


def test_one_product_is_of_a_class_of_its_own() -> None:
    product, tax_class = classified(NAMED["utilities"], 7)
    told = taxes_of(NAMED["utilities"], 7, CALENDAR)
    assert tax_class == "reduced"
    assert {one[product] for one in told.values() if one[EVERY_PRODUCT].endswith("S VAT 0.081")} == {
        "sim-utilities-05-ch: S VAT 0.026"
    }


def test_nothing_is_told_of_years_whose_rates_are_not_written_out() -> None:
    assert taxes_of(NAMED["retail"], 7, World(months=1, first_month="2025-12").calendar) == {}

"""The vendors and vendor invoices of the simulated world: right where they claim to be, wrong by one rule where they do not."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest
import sqlglot
import yaml
from schwifty import IBAN
from stdnum.util import get_cc_module

from jobs.runtime import check_conf
from jobs.runtime.config import ROOT
from jobs.simulation.months import Month
from jobs.simulation.numbers import account_number, has_iban, misprinted, tax_number, wrong_tax_number
from jobs.simulation.payables import GOOD, WAYS, WRONG, Invoice, invoices_of, payables_delivery, truth_of
from jobs.simulation.tenants import BUYERS, SELLERS, SimTenant, tenants_at
from jobs.simulation.vendors import MOVES_ON, NEXT_DOOR, vendors_of
from jobs.simulation.world import World, simulate_world

CALENDAR = World(months=3).calendar
TENANTS = tenants_at(1)
COUNTRIES = sorted({*SELLERS, *NEXT_DOOR.values()})
WITH_TAX_NUMBERS = sorted({*BUYERS, *NEXT_DOOR.values(), "DK", "FI", "IT", "LU", "PL", "PT"})
SOME = (0, 1, 999, 123_456, 7_654_321)


def every_invoice(tenant: SimTenant) -> list[Invoice]:
    return [one for place, month in enumerate(CALENDAR) for one in invoices_of(tenant, 7, month, place)]


@pytest.mark.parametrize("country", [country for country in COUNTRIES if has_iban(country)])
def test_account_numbers_are_ibans(country: str) -> None:
    for number in SOME:
        told = account_number(country, number)
        assert IBAN(told, validate_bban=True).country_code == country
        assert not IBAN(misprinted(told), allow_invalid=True).is_valid


@pytest.mark.parametrize("country", WITH_TAX_NUMBERS)
def test_tax_numbers_have_the_check_digits_of_their_country(country: str) -> None:
    for number in SOME:
        told = tax_number(country, number)
        if told is None:
            assert country in ("US", "CA")
        else:
            module, bare = get_cc_module(country.lower(), "vat"), told.removeprefix("T")
            assert module.is_valid(bare)
            assert country == "JP" or not module.is_valid(wrong_tax_number(country, number))


def test_numbers_of_vendors_are_their_own() -> None:
    for tenant in TENANTS:
        for country in tenant.buyers:
            vendors = vendors_of(tenant, 7, country)
            ours = set(tenant.bank_accounts(country).values())
            accounts = [one.iban for one in (*vendors.ordinary, vendors.blocked)]
            accounts += [one.iban for month in CALENDAR for one in vendors.moving(month)]
            assert len(set(accounts)) == len(accounts)
            assert ours.isdisjoint(accounts)


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda tenant: tenant.name)
def test_good_invoices_are_good(tenant: SimTenant) -> None:
    mine = [one for one in every_invoice(tenant) if one.rule is None]
    assert len({one.payable_id for one in mine}) == len(mine) >= GOOD * len(CALENDAR)
    for one in mine:
        assert one.net + one.tax == one.gross
        assert one.number and one.invoice_date and one.invoice_date < one.received_at.date()
        assert one.iban in (None, one.vendor.iban)
        assert one.currency in tenant.bank_accounts(one.country)
        assert sum((over for _, over in one.ordered), Decimal(0)) in (0, abs(one.net))
        assert (one.document_type == "credit_note") == (one.gross < 0)
        assert bool(one.po_number) == bool(one.ordered)


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda tenant: tenant.name)
def test_an_invoice_is_as_its_records_say(tenant: SimTenant) -> None:
    for place, month in enumerate(CALENDAR):
        delivery = payables_delivery(tenant, 7, CALENDAR[: place + 1])
        rows = delivery.payables.to_pylist()
        assert len({row["record_id"] for row in rows}) == len(rows) == delivery.truth.lines
        for one in invoices_of(tenant, 7, month, place):
            mine = [row for row in rows if row["payable_id"] == one.payable_id]
            assert len(mine) == one.lines
            assert [sum(row[name] for row in mine) for name in ("gross_amount", "net_amount", "tax_amount")] == [
                one.gross,
                one.net,
                one.tax,
            ]
        keys = [(row["po_number"], row["line_no"]) for row in delivery.orders.to_pylist()]
        assert len(set(keys)) == len(keys)


def test_the_truth_adds_up() -> None:
    for tenant in TENANTS:
        for place, month in enumerate(CALENDAR):
            told = truth_of(tenant, 7, CALENDAR[: place + 1])
            assert len(told.wrong) == WRONG == told.decisions["hold"] + told.decisions["reject"]
            assert told.received == sum(told.decisions.values()) == len(invoices_of(tenant, 7, month, place))


def test_what_is_paid_was_accepted_and_is_paid_once() -> None:
    for tenant in TENANTS:
        paid = [truth_of(tenant, 7, CALENDAR[: place + 1]) for place in range(len(CALENDAR))]
        accepted = Counter[str]()
        for told in paid:
            accepted.update({currency: Decimal(amount) for currency, amount in told.accepted.items()})
        paid_out = Counter[str]()
        for told in paid:
            paid_out.update({currency: Decimal(amount) for currency, amount in told.instructed.items()})
            assert told.instructions > 0
        assert all(paid_out[currency] < accepted[currency] for currency in paid_out)
        # all that was received in the first month falls due within three, but for terms of sixty days and credit notes
        assert sum(told.instructions for told in paid) > 2 * GOOD


def test_every_way_of_being_wrong_comes_up_and_is_a_rule_of_the_house() -> None:
    rules = [
        rule
        for path in (ROOT / "conf" / "rules" / "payables").glob("*.yaml")
        for rule in yaml.safe_load(path.read_text())["rules"]
    ]
    severities = {rule["id"]: rule["severity"] for rule in rules}
    assert {way.rule: way.decision for way in WAYS} == {way.rule: severities.get(way.rule) for way in WAYS}
    seen = {one.rule for tenant in TENANTS for one in every_invoice(tenant)} - {None}
    assert seen == {way.rule for way in WAYS}
    assert (
        len({rule for rule in severities if severities[rule] != "warn"} - seen) == 2
    )  # late lines and withdrawn ones come of replays


def test_a_vendor_that_moves_is_held_and_released_a_month_later() -> None:
    released = 0
    for tenant in TENANTS:
        for place in range(1, len(CALENDAR)):
            told = truth_of(tenant, 7, CALENDAR[: place + 1])
            before = truth_of(tenant, 7, CALENDAR[:place])
            assert set(told.released) == {payable for payable, rule in before.wrong.items() if rule == "iban-changed"}
            released += len(told.released)
    assert released > 0


def test_the_configuration_is_valid(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("COUNTINGHOUSE_HOME", str(tmp_path))
    simulate_world(World(months=1), tmp_path, lambda _: None)
    assert "conf is valid" in check_conf.check()


def test_months_that_begin_elsewhere_work_as_well() -> None:
    months = (Month(2027, 12), Month(2028, 1), Month(2028, 2))
    told = truth_of(TENANTS[0], 7, months)
    assert sum(told.decisions.values()) == told.received


# --- the rules of the house, asked without Spark ------------------------------------------------------------------------


def record(one: Invoice, tenant: SimTenant, as_of: date) -> dict[str, Any]:
    """The columns that rules look at, made from how the invoice was drawn."""
    served = {*tenant.sellers, *(buyer for seller in tenant.sellers for buyer in SELLERS[seller].serves)}
    of = one.vendor
    listed = not of.vendor_id.startswith("V-X")
    moved = of.vendor_id.startswith("V-M")
    finest = (
        min(amount.as_tuple().exponent for amount in (one.gross, one.net, one.tax) if amount % 1)
        if one.gross % 1 or one.net % 1
        else 0
    )
    bare = "".join(sign for sign in (one.tax_id or of.tax_id or "") if sign.isalnum())
    module = get_cc_module((bare[:2] if bare[:2].isalpha() else of.country).lower(), "vat") if bare else None
    number = str(bare).removeprefix("T") if of.country == "JP" else bare
    account = one.iban or (of.iban if listed else None)
    lines_agree = one.other_number is None
    return {
        "payable_id": one.payable_id, "invoice_number": one.number, "vendor_id": of.vendor_id, "business_line": tenant.line, "country": one.country,
        "country_served": one.country in served, "document_type": "credit_note" if one.gross < 0 else one.document_type,
        "invoice_date": one.invoice_date, "received_on": one.received_at.astimezone(ZoneInfo(tenant.timezone)).date(), "currency": one.currency,
        "gross_amount": one.gross, "net_amount": one.net, "tax_amount": one.tax, "amounts_fit": True, "amount_decimals": {0: 0, -1: 2, -2: 2, -3: 3}[int(finest)],
        "minor_units": 0 if one.currency == "JPY" else 2, "line_count": one.lines, "lines_agree": lines_agree, "currencies": 1, "follows": None,
        "po_number": one.po_number, "vendor_known": listed, "vendor_status": of.status if listed else None,
        "vendor_iban_changed_on": one.received_at.date().replace(day=MOVES_ON) if moved else None,
        "iban_agrees": None if one.iban is None or not listed else one.iban == of.iban,
        "po_known": None if one.po_number is None else bool(one.ordered) or one.rule == "duplicate",
        "po_vendor_id": one.ordered[0][0] if one.ordered else None, "po_currency": one.currency if one.ordered else None,
        "po_amount": one.ordered[0][1] if one.ordered else None,
        "iban_valid": None if account is None else not has_iban(of.country) or IBAN(account, allow_invalid=True).is_valid,
        "tax_number_valid": bool(module.is_valid(number)) if module else None, "vendor_tax_id": one.tax_id, "as_of": as_of,
        "duplicate_of": "another" if one.rule == "duplicate" else None, "duplicates_before": 0,
    }  # fmt: skip


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda tenant: tenant.name)
def test_each_wrong_invoice_breaks_its_rule_alone_and_a_good_one_none(tenant: SimTenant) -> None:
    rules = [
        rule
        for path in (ROOT / "conf" / "rules" / "payables").glob("*.yaml")
        for rule in yaml.safe_load(path.read_text())["rules"]
    ]
    for place, month in enumerate(CALENDAR):
        mine = invoices_of(tenant, 7, month, place)
        as_of = date.fromordinal(month.later(1).day(1).toordinal() - 1)
        rows = pa.Table.from_pylist([record(one, tenant, as_of) for one in mine])
        broken: dict[str, set[str]] = {one.payable_id: set() for one in mine}
        with duckdb.connect() as connection:
            connection.register("record", rows)
            for rule in rules:
                asked = (
                    f"NOT {rule['check']}"
                    if "check" in rule
                    else sqlglot.transpile(rule["condition"], read="spark", write="duckdb")[0]
                )
                where = f"({asked}) AND coalesce(invoice_date, received_on) >= DATE '{rule['valid_from']}'"
                if "valid_to" in rule:
                    where += f" AND coalesce(invoice_date, received_on) < DATE '{rule['valid_to']}'"
                if "business_lines" in rule:
                    where += f" AND business_line IN {(*rule['business_lines'], '')}"
                if "countries" in rule:
                    where += f" AND country_served AND country IN {(*rule['countries'], '')}"
                for (payable,) in connection.execute(f"SELECT payable_id FROM record WHERE {where}").fetchall():
                    broken[payable].add(rule["id"])
        assert broken == {one.payable_id: {one.rule} if one.rule else set() for one in mine}

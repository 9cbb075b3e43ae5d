"""Statements, disputes and promises of the simulated world: they balance, repeat themselves, and their truth adds up."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from schwifty import IBAN

from jobs.ingestion import camt
from jobs.ledger.tenants import Tenant
from jobs.runtime.config import load
from jobs.simulation.accounts import customers_of
from jobs.simulation.collecting import collect, truth_file
from jobs.simulation.dunning import Debt, Standing, house_policy, nominated
from jobs.simulation.numbers import has_iban
from jobs.simulation.receipts import APPLIED, Payer, payer
from jobs.simulation.tenants import tenants_at
from jobs.simulation.world import World, simulate_world
from tests.runtime import handmade

WORLD = World(months=3)
MONTHS = ("2026-01", "2026-02", "2026-03")
ENDS = {"2026-01": date(2026, 1, 31), "2026-02": date(2026, 2, 28), "2026-03": date(2026, 3, 31)}
Told = dict[str, Any]


def publish(place: int) -> None:
    """What the stages would have published of a month: one invoice an account, and two payment batches a tenant."""
    month, issued = WORLD.calendar[place], WORLD.calendar[place].later(1)
    for tenant in tenants_at(1):
        owners = {currency: country for country in reversed(tenant.sellers) for currency in tenant.bank_accounts(country)}
        invoices = []
        for number, (account_id, customer) in enumerate(
            customers_of(tenant, 7, WORLD.calendar[: place + 1]).items(), start=1
        ):
            currency, cents = str(customer["currency"]), Decimal(10_000 + 37 * number)
            gross = cents if currency == "JPY" else cents / 100
            invoices.append(
                handmade.invoiced(tenant.name, number) | {
                    "period": month.day(1), "invoice_id": handmade.an_id("invoice", tenant.name, month.name, str(number)),
                    "legal_entity_id": tenant.entity(owners[currency]), "account_id": account_id, "number": number,
                    "invoice_number": f"{tenant.name[4].upper()}{tenant.index}-{month.name}-{number:07d}", "issue_date": issued.day(1),
                    "due_date": issued.day(15), "currency": currency, "gross_amount": -gross if number % 97 == 0 else gross,
                    "payable_amount": -gross if number % 97 == 0 else gross,
                }
            )  # fmt: skip
        batches = [
            {
                "period": month.day(28), "batch_id": handmade.an_id("batch", tenant.name, month.name, str(day)), "currency": currency,
                "legal_entity_id": tenant.entity(tenant.sellers[0]), "method": "transfer", "value_date": issued.day(day),
                "instruction_count": 3, "control_sum": Decimal(100 * day),
            }
            for day, currency in zip((3, 9), tenant.bank_accounts(tenant.sellers[0]), strict=False)
        ]  # fmt: skip
        for stage, table, rows in (
            ("invoice_generation", "invoicing.invoices", invoices),
            ("payment_planning", "payables.payment_batches", batches),
        ):
            publication = handmade.an_id(stage, tenant.name, month.name)[:32]
            version = handmade.commit(table, rows, publication, tenant.name, stage, month.name)
            handmade.complete(stage, tenant.name, publication, [version], {(month.name, "main"): {}})


def play(home: Path) -> None:
    simulate_world(WORLD, home, lambda _: None)
    for place, month in enumerate(MONTHS):
        assert collect(WORLD, home, month)
        publish(place)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("money")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTINGHOUSE_HOME", str(home))
        play(home)
    return home


@pytest.fixture(scope="module")
def truth(played: Path) -> dict[str, dict[str, Told]]:
    return {month: json.loads(truth_file(played, month).read_text(encoding="utf-8"))["tenants"] for month in MONTHS}


def statements(home: Path, month: str, tenant: str) -> list[Path]:
    return sorted((home / "outbox" / month / tenant / "bank_transactions").glob("*.xml"))


def test_statements_balance_and_say_what_the_truth_says(played: Path, truth: dict[str, dict[str, Told]]) -> None:
    for month in MONTHS:
        for tenant, told in truth[month].items():
            rows = [row for path in statements(played, month, tenant) for row in camt.read(path)]
            assert {row["_malformed"] for row in rows} == {None}
            assert len({(row["bank_account"], row["transaction_id"]) for row in rows}) == len(rows)
            assert {(row["bank_account"], row["transaction_id"], Decimal(str(row["amount"]))) for row in rows} == {
                (one["bank_account"], one["transaction_id"], sign * Decimal(one["amount"]))
                for sign, kind in ((1, "receipts"), (-1, "paid_out"))
                for one in told[kind]
            }
            for one in told["receipts"]:
                (row,) = (
                    r
                    for r in rows
                    if (r["bank_account"], r["transaction_id"]) == (one["bank_account"], one["transaction_id"])
                )
                says = f"{row['reference'] or ''} {row['remittance_text'] or ''}"
                numbers = says.count(f"-{month[:4]}-")
                assert numbers == (len(one["invoices"]) if one["kind"] in (*APPLIED, "short") else 0), (one["kind"], says)
                assert str(row["booking_date"])[:7] == month


def test_balances_are_carried_from_month_to_month(truth: dict[str, dict[str, Told]]) -> None:
    for before, after in pairwise(MONTHS):
        for tenant, told in truth[after].items():
            for account, statement in told["statements"].items():
                moved = sum(Decimal(one["amount"]) for one in told["receipts"] if one["bank_account"] == account)
                moved -= sum(Decimal(one["amount"]) for one in told["paid_out"] if one["bank_account"] == account)
                assert statement["opening"] == truth[before][tenant]["statements"][account]["closing"]
                assert Decimal(statement["closing"]) - Decimal(statement["opening"]) == moved


def test_both_versions_of_the_message_are_written(played: Path) -> None:
    heads = [statements(played, "2026-01", tenant.name)[0].read_text(encoding="utf-8")[:200] for tenant in tenants_at(1)]
    assert {head.split("xsd:")[1][:15] for head in heads} == {"camt.053.001.08", "camt.053.001.02"}


def test_every_kind_of_customer_is_there_and_does_what_it_is(played: Path, truth: dict[str, dict[str, Told]]) -> None:
    kinds = Counter(one["kind"] for month in MONTHS for told in truth[month].values() for one in told["receipts"])
    assert set(kinds) == {"exact", "several", "short", "without_reference", "unknown_payer", "interest"}
    assert kinds["exact"] > 1_000 and min(kinds.values()) >= 15
    paying = {one["account_id"] for told in truth["2026-02"].values() for one in told["receipts"]}
    for tenant in tenants_at(1):
        for account_id in customers_of(tenant, 7, WORLD.calendar[:1]):
            if payer(7, tenant.name, account_id) in (Payer.NEVER, Payer.EXEMPT, Payer.LATE, Payer.REFORMED, Payer.PROMISING):
                assert account_id not in paying
    assert any(told["disputed"] for told in truth["2026-02"].values())
    assert not any(told["receipts"][0]["invoices"] for told in truth["2026-01"].values())  # nothing is issued yet


def test_nothing_is_paid_twice(truth: dict[str, dict[str, Told]]) -> None:
    paid = [
        one
        for month in MONTHS
        for told in truth[month].values()
        for receipt in told["receipts"]
        for one in receipt["invoices"]
    ]
    assert len(paid) == len(set(paid))
    disputed = {one for month in MONTHS for told in truth[month].values() for one in told["disputed"]}
    assert disputed.isdisjoint(paid)


def test_batches_are_booked_once_in_the_month_of_their_value_date(truth: dict[str, dict[str, Told]]) -> None:
    booked = [one["batch_id"] for month in MONTHS for told in truth[month].values() for one in told["paid_out"]]
    expected = {
        handmade.an_id("batch", t.name, month, str(day)) for t in tenants_at(1) for month in MONTHS[:2] for day in (3, 9)
    }
    assert sorted(booked) == sorted(expected)
    assert not any(told["paid_out"] for told in truth["2026-01"].values())


def test_a_month_is_drawn_once_and_equal_inputs_give_equal_bytes(played: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def contents(home: Path) -> dict[str, bytes]:
        files = [path for folder in ("outbox", "truth") for path in (home / folder).rglob("*") if path.is_file()]
        return {str(path.relative_to(home)): path.read_bytes() for path in files}

    before = contents(played)
    monkeypatch.setenv("COUNTINGHOUSE_HOME", str(played))
    assert not any(collect(WORLD, played, month) for month in MONTHS)
    assert contents(played) == before
    monkeypatch.setenv("COUNTINGHOUSE_HOME", str(tmp_path))
    play(tmp_path)
    assert contents(tmp_path) == before


def test_bank_accounts_are_ibans_where_there_are_any(played: Path) -> None:
    for path in (played / "conf" / "tenants").glob("*.yaml"):
        for entity in load(path, Tenant).legal_entities:
            numbers = [account.iban for account in entity.bank_accounts]
            assert len(numbers) == len(set(numbers)) == len({account.currency for account in entity.bank_accounts})
            if has_iban(entity.country):
                assert all(IBAN(number, validate_bban=True).country_code == entity.country for number in numbers)


def test_candidates_are_those_that_owe_and_are_not_excused(truth: dict[str, dict[str, Told]]) -> None:
    assert not any(told["candidates"] for told in truth["2026-01"].values())
    actions = {month: Counter(a for told in truth[month].values() for a in told["candidates"].values()) for month in MONTHS}
    assert actions["2026-02"].keys() <= {"warned", "hold"} and actions["2026-02"]["warned"]
    assert {"warned", "suspended", "reinstate", "hold"} <= actions["2026-03"].keys()
    for tenant in tenants_at(1):
        spared = {one for month in MONTHS for one in truth[month][tenant.name]["exempted"]}
        nominated_ever = {one for month in MONTHS for one in truth[month][tenant.name]["candidates"]}
        assert spared.isdisjoint(nominated_ever)
        never = {one for one in customers_of(tenant, 7, WORLD.calendar[:1]) if payer(7, tenant.name, one) is Payer.NEVER}
        unpaid = {one for one in never if one in truth["2026-02"][tenant.name]["billed"]}
        assert unpaid <= nominated_ever


def debt(amount: str, due: date, excused: bool = False) -> Debt:
    return Debt(f"d{due}", "EUR", Decimal(amount), due, excused)


END, FEBRUARY = date(2026, 3, 31), date(2026, 2, 28)


@pytest.mark.parametrize(
    ("debts", "covered", "before", "expected"),
    [
        pytest.param([debt("10", END)], "0", None, (None, "current"), id="due_today_is_not_overdue"),
        pytest.param([debt("10", date(2026, 3, 30))], "0", None, ("warned", "warned"), id="overdue_since_today"),
        pytest.param([debt("0.99", date(2026, 1, 30))], "0", None, (None, "current"), id="too_little_to_count"),
        pytest.param([debt("10", date(2026, 1, 30), excused=True)], "0", None, (None, "current"), id="excused"),
        pytest.param([debt("10", FEBRUARY)], "9.99", None, ("warned", "warned"), id="money_that_does_not_suffice"),
        pytest.param([debt("10", FEBRUARY)], "10", None, ("hold", "current"), id="money_that_does"),
        pytest.param([debt("10", FEBRUARY), debt("-10", FEBRUARY)], "0", None, ("hold", "current"), id="open_credit_counts"),
        pytest.param([debt("60", FEBRUARY)], "0", Standing("warned", FEBRUARY), ("suspended", "suspended"), id="one_step_further"),
        pytest.param([debt("60", FEBRUARY)], "0", Standing("warned", date(2026, 3, 30)), (None, "warned"), id="not_long_enough"),
        pytest.param([debt("10", FEBRUARY)], "0", Standing("warned", FEBRUARY), (None, "warned"), id="too_little_to_suspend"),
        pytest.param([], "0", Standing("warned", FEBRUARY), ("reinstate", "current"), id="has_paid"),
    ],
)  # fmt: skip
def test_the_policy_of_the_house(
    debts: list[Debt], covered: str, before: Standing | None, expected: tuple[str | None, str]
) -> None:
    assert nominated(debts, {"EUR": Decimal(covered)}, before, house_policy(), END) == expected

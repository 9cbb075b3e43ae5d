"""What customers and banks do in a month, drawn when the month is delivered, because it depends on what was published before.

Statements, disputes, promises and exemptions go to outbox/<month>/, what is true of them to truth/cash/<month>.json, which is
written last: a month that has it is never drawn again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.runtime.books import Books, Row
from jobs.simulation.accounts import customers_of
from jobs.simulation.deliveries import write_files
from jobs.simulation.dunning import CURRENT, Debt, Policy, Standing, house_policy, nominated
from jobs.simulation.formats import Feed
from jobs.simulation.months import Month
from jobs.simulation.numbers import bank_code
from jobs.simulation.places import currency_of
from jobs.simulation.receipts import APPLIED, Drawn, Issued, Known, Receipt, drawn, interest, numbered
from jobs.simulation.statements import Entry, Statement, statement_bytes
from jobs.simulation.taxpayers import EVERYWHERE, EXEMPTIONS
from jobs.simulation.tenants import SimTenant, tenants_at
from jobs.simulation.truth import plain
from jobs.simulation.world import World

OPENING = 100_000  # of every account before the first month; of yen a hundred times as many
PROMISED_DAY = 20  # of the next month

DISPUTES = pa.schema(
    [
        ("document_id", pa.string()), ("account_id", pa.string()), ("valid_from", pa.date32()), ("valid_to", pa.date32()),
        ("reason", pa.string()),
    ]
)  # fmt: skip
PROMISES = pa.schema(
    [("account_id", pa.string()), ("document_id", pa.string()), ("valid_from", pa.date32()), ("promise_date", pa.date32())]
)
Told = dict[str, Any]  # what truth/cash/<month>.json says of a tenant


@dataclass(frozen=True)
class PaidOut:
    """A payment batch that the house has given to its bank."""

    batch_id: str
    legal_entity_id: str
    currency: str
    amount: Decimal
    value_date: date


def truth_file(home: Path, month: str) -> Path:
    """Where the truth about a month's money lies."""
    return home / "truth" / "cash" / f"{month}.json"


def collect(world: World, home: Path, month: str) -> bool:
    """Draw what customers and banks do in a month of a world, unless that was done before; whether it was done now."""
    if truth_file(home, month).exists():
        return False
    place = [one.name for one in world.calendar].index(month)
    calendar = world.calendar[: place + 1]
    before = [json.loads(truth_file(home, one.name).read_text(encoding="utf-8"))["tenants"] for one in calendar[:-1]]
    issued, paid_out = _published(calendar[-1])
    policy = house_policy()
    told = {}
    for tenant in tenants_at(world.scale):
        earlier = [known[tenant.name] for known in before]
        mine = _Month(tenant, world.seed, calendar, earlier, issued.get(tenant.name, []), paid_out.get(tenant.name, []))
        told[tenant.name] = mine.draw(home / "outbox" / month / tenant.name, policy)
    file = truth_file(home, month)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.part")
    text = json.dumps({"month": month, "tenants": told}, indent=1, ensure_ascii=False)
    partial.write_text(text + "\n", encoding="utf-8", newline="\n")
    partial.replace(file)
    return True


def _published(month: Month) -> tuple[dict[str, list[Issued]], dict[str, list[PaidOut]]]:
    """The documents that are issued by the end of a month, and the payments that banks carry out in it, by tenant."""
    first, after = month.day(1), month.later(1).day(1)
    with Books() as books:
        books.open("invoicing.invoices", "payables.payment_batches")
        invoices = books.rows(
            "SELECT tenant_id, invoice_id, invoice_number, legal_entity_id, account_id, currency, payable_amount, issue_date, "
            "due_date FROM invoicing.invoices WHERE issue_date < ? AND period < ? ORDER BY tenant_id, invoice_number",
            (after, first),
        )
        batches = books.rows(
            "SELECT tenant_id, batch_id, legal_entity_id, currency, control_sum, value_date FROM payables.payment_batches "
            "WHERE value_date >= ? AND value_date < ? AND period < ? ORDER BY tenant_id, batch_id",
            (first, after, first),
        )
    return _by_tenant(invoices, _issued), _by_tenant(batches, _paid_out)


def _by_tenant(rows: Iterable[Row], made: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row["tenant_id"], []).append(made(row))
    return found


def _issued(row: Row) -> Issued:
    return Issued(
        row["tenant_id"], row["invoice_id"], row["invoice_number"], row["legal_entity_id"], row["account_id"], row["currency"],
        row["payable_amount"], row["issue_date"], row["due_date"],
    )  # fmt: skip


def _paid_out(row: Row) -> PaidOut:
    return PaidOut(row["batch_id"], row["legal_entity_id"], row["currency"], row["control_sum"], row["value_date"])


class _Month:
    """One tenant's month."""

    def __init__(
        self,
        tenant: SimTenant,
        seed: int,
        calendar: tuple[Month, ...],
        earlier: list[Told],
        invoices: list[Issued],
        paid_out: list[PaidOut],
    ) -> None:
        self.tenant, self.seed, self.calendar, self.earlier = tenant, seed, calendar, earlier
        self.month, self.invoices, self.paid_out = calendar[-1], invoices, paid_out

    def draw(self, folder: Path, policy: Policy) -> Told:
        """Write the files; returns what is true of them."""
        known = Known(
            settled={one for told in self.earlier for receipt in told["receipts"] for one in receipt["invoices"]},
            disputed={one for told in self.earlier for one in told["disputed"]},
            billed={one for told in self.earlier for one in told["billed"]},
        )
        customers = customers_of(self.tenant, self.seed, self.calendar)
        done = drawn(self.tenant.name, self.seed, self.month, len(self.calendar) - 1, self.invoices, customers, known)
        self._tell(done, folder)
        told: Told = {"statements": {}, "receipts": [], "paid_out": []}
        for country in self.tenant.sellers:
            for currency, account in self.tenant.bank_accounts(country).items():
                self._statement(country, currency, account, done.receipts, folder, told)
        promised = [invoice.invoice_id for invoice in done.promised]
        told |= {
            "disputed": [invoice.invoice_id for invoice in done.disputed],
            "promised": promised,
            "exempted": list(done.exempted),
            "billed": list(done.billed),
        }
        return told | self._dunned(told, policy)

    def _tell(self, done: Drawn, folder: Path) -> None:
        """Write the disputes, promises and exemptions of the month, where there are any."""
        later = self.month.later(1)
        disputes = [
            {"document_id": one.number, "account_id": one.account_id, "valid_from": self.month.day(10), "reason": "wrong quantity"}
            for one in done.disputed
        ]  # fmt: skip
        promises = [
            {"account_id": one.account_id, "document_id": one.number, "valid_from": self.month.day(12), "promise_date": later.day(PROMISED_DAY)}
            for one in done.promised
        ]  # fmt: skip
        exemptions = [
            {
                "account_id": account_id,
                "kind": "dunning",
                "jurisdiction": EVERYWHERE,
                "valid_from": self.month.day(1),
                "reason": "public body",
            }
            for account_id in done.exempted
        ]
        self._write("disputes", disputes, DISPUTES, folder)
        self._write("promises", promises, PROMISES, folder)
        self._write("exemptions", exemptions, EXEMPTIONS, folder, of="spared")

    def _write(self, feed: Feed, rows: list[dict[str, object]], schema: pa.Schema, folder: Path, of: str = "") -> None:
        if rows:
            write_files(self.tenant, feed, self.month, (pa.Table.from_pylist(rows, schema=schema),), folder, of or feed)

    def _statement(
        self, country: str, currency: str, account: str, receipts: Iterable[Receipt], folder: Path, told: Told
    ) -> None:
        """Write the statement of one account, unless nothing was booked; tell what came and went, and what the account has."""
        entity = self.tenant.entity(country)
        mine = [one for one in receipts if (one.legal_entity_id, one.currency) == (entity, currency)]
        if currency == currency_of(country):
            mine.append(interest(self.seed, self.month, entity, currency))
        came = list(numbered(mine, account, self.month))
        batches = [one for one in self.paid_out if (one.legal_entity_id, one.currency) == (entity, currency)]
        went = [_debit(number, one, account, self.month) for number, one in enumerate(batches, start=1)]
        first = Decimal(OPENING * (100 if currency == "JPY" else 1))
        opening = Decimal(self.earlier[-1]["statements"][account]["closing"]) if self.earlier else first
        entries = sorted([*(one.entry for one in came), *went], key=lambda entry: (entry.booked, entry.transaction_id))
        statement = Statement(account, entity, bank_code(country), currency, self.month, opening, entries)
        name = f"{self.month.name}_{entity}_{currency}.xml"
        if entries:
            path = folder / "bank_transactions" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(statement_bytes(statement, self.tenant.dialect.camt))
        told["statements"][account] = {
            "file": name if entries else None,
            "currency": currency,
            "opening": plain(opening),
            "closing": plain(statement.closing),
            "entries": len(entries),
        }
        told["receipts"] += [_told(one, account) for one in came]
        told["paid_out"] += [
            {
                "transaction_id": entry.transaction_id,
                "bank_account": account,
                "batch_id": batch.batch_id,
                "currency": currency,
                "amount": plain(batch.amount),
            }
            for entry, batch in zip(went, batches, strict=True)
        ]

    def _dunned(self, told: Told, policy: Policy) -> Told:
        """Who is nominated at the end of the month, and the state accounts are in then."""
        day = date.fromordinal(self.month.later(1).day(1).toordinal() - 1)
        everything = [*self.earlier, told]
        receipts = [receipt for known in everything for receipt in known["receipts"]]
        applied = {one for receipt in receipts if receipt["kind"] in APPLIED for one in receipt["invoices"]}
        covered: dict[str, dict[str, Decimal]] = {}
        for receipt in receipts:
            if receipt["kind"] not in APPLIED and receipt["account_id"]:
                money = covered.setdefault(receipt["account_id"], {})
                money[receipt["currency"]] = money.get(receipt["currency"], Decimal(0)) + Decimal(receipt["amount"])
        excused = {one for known in everything for one in known["disputed"]} | set(told["promised"])
        spared = {one for known in everything for one in known["exempted"]}
        debts: dict[str, list[Debt]] = {}
        for one in self.invoices:
            if one.invoice_id not in applied:
                spare = one.invoice_id in excused or one.account_id in spared
                debts.setdefault(one.account_id, []).append(Debt(one.invoice_id, one.currency, one.amount, one.due, spare))
        states = self.earlier[-1]["states"] if self.earlier else {}
        before = {account: Standing(state, date.fromisoformat(since)) for account, (state, since) in states.items()}
        candidates, after = {}, dict[str, list[str]]()
        for account_id in sorted({*debts, *before}):
            known = before.get(account_id)
            action, state = nominated(debts.get(account_id, ()), covered.get(account_id, {}), known, policy, day)
            if action:
                candidates[account_id] = action
            if known and known.state == state:
                after[account_id] = [state, known.since.isoformat()]
            elif state != CURRENT or known:
                after[account_id] = [state, day.isoformat()]
        return {"candidates": candidates, "states": after}


def _debit(number: int, batch: PaidOut, account: str, month: Month) -> Entry:
    """A batch as the bank books it: one amount for all its payments."""
    name = f"{account[-6:]}{month.name.replace('-', '')}P{number:05d}"
    return Entry(
        name, -batch.amount, batch.value_date, "Batch payment", None, (), f"Batch {batch.batch_id[:16]}", batch.batch_id[:35]
    )


def _told(receipt: Receipt, account: str) -> Mapping[str, object]:
    return {
        "transaction_id": receipt.entry.transaction_id,
        "bank_account": account,
        "kind": receipt.kind,
        "account_id": receipt.invoices[0].account_id if receipt.invoices else None,
        "invoices": [invoice.invoice_id for invoice in receipt.invoices],
        "currency": receipt.currency,
        "amount": plain(receipt.entry.amount),
    }

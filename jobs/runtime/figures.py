"""What the stages after the bill have come to: payables, payments, cash, nominations, and what is still open.

In a simulated home each figure stands beside the truth of the simulation, which lies in truth/. Read without Spark.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from jobs.runtime import ops
from jobs.runtime.books import Books, Row
from jobs.stages import SUSPENSION_SELECTION

TRUTH, CASH_TRUTH = "truth/truth.json", "truth/cash"  # of a simulated home
HELD = "hold"  # what is done about an account whose debt some money could cover
APPLIED_BY_ITSELF = ("exact", "several")  # kinds of receipt that the simulation expects to be applied

TABLES = (
    "payables.decisions", "payables.payment_batches", "payables.payment_instructions", "raw.bank_transactions", "raw.landed_files",
    "cash.applications", "cash.unapplied", "cash.suggestions", "invoicing.prepayments", "suspension.candidates", "ledger.open_items",
    "ledger.trial_balance",
)  # fmt: skip
LATEST = """
SELECT tenant_id, payable_id, arg_max(decision, decided_at) AS decision, arg_min(decision, decided_at) AS first,
       arg_min(rule_ids, decided_at) AS rule_ids, strftime(min(received_on), '%Y-%m') AS month
FROM payables.decisions GROUP BY 1, 2
"""
RECEIPTS = """
SELECT b.tenant_id, b.bank_account, b.transaction_id, b.currency, b.amount, strftime(b.booking_date, '%Y-%m') AS month
FROM raw.bank_transactions b
ANTI JOIN (SELECT tenant_id, replaces_landing_id AS landing_id FROM raw.landed_files WHERE replaces_landing_id IS NOT NULL) r
  USING (tenant_id, landing_id)
WHERE b.amount > 0
"""
APPLICATIONS = """
SELECT tenant_id, bank_account, transaction_id, list(DISTINCT document_id ORDER BY document_id) AS documents
FROM cash.applications GROUP BY 1, 2, 3
"""
OFFERED = """
SELECT tenant_id, bank_account, transaction_id, list_sort(document_ids) AS documents FROM cash.suggestions s
SEMI JOIN (SELECT tenant_id, max(period) AS period FROM cash.unapplied GROUP BY 1) USING (tenant_id, period) WHERE rank = 1
"""
LEFT_OVER = """
SELECT currency, sum(unapplied) AS amount, count(*)::bigint AS n FROM cash.unapplied
SEMI JOIN (SELECT tenant_id, max(period) AS period FROM cash.unapplied GROUP BY 1) USING (tenant_id, period) GROUP BY 1 ORDER BY 1
"""
ON_DOCUMENTS = """
SELECT currency, sum(amount) AS amount
FROM (SELECT currency, amount FROM cash.applications UNION ALL SELECT currency, amount FROM invoicing.prepayments) GROUP BY 1
"""
PAID = """
SELECT currency, count(*)::bigint AS n, sum(amount) AS amount FROM payables.payment_instructions GROUP BY 1 ORDER BY 1
"""
OPEN = """
SELECT ledger_account, currency, count(*)::bigint AS n, sum(open_amount) AS amount FROM ledger.open_items
SEMI JOIN (SELECT tenant_id, max(period) AS period FROM ledger.open_items GROUP BY 1) USING (tenant_id, period)
WHERE open_amount <> 0 GROUP BY 1, 2 ORDER BY 1, 2
"""
BALANCES = """
SELECT strftime(period, '%Y-%m') AS period, count(*)::bigint AS n, sum((rest <> 0)::int)::bigint AS wrong FROM (
    SELECT period, sum(balance) AS rest FROM ledger.trial_balance GROUP BY tenant_id, period, legal_entity_id, currency
) GROUP BY 1 ORDER BY 1
"""
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Rule:
    """One rule beside the payables that the simulation made wrong by it."""

    rule: str
    wrong: int
    caught: int  # not accepted at first, and the rule was among the reasons
    alone: int  # of these, without another reason


@dataclass(frozen=True)
class Payables:
    """Vendor invoices and their payment. What is about the truth is 0 or empty without one."""

    received: int
    decisions: Mapping[str, int]  # accept, hold, reject: what stands now
    months: tuple[Row, ...]  # period, accept, hold, reject
    batches: int
    paid: tuple[Row, ...]  # currency, n, amount, true_n, true_amount
    rules: tuple[Rule, ...]
    good: int  # payables that nothing is wrong with
    stopped: int  # of these, held or rejected
    true_instructions: int | None

    @property
    def wrong(self) -> int:
        """How many the simulation made wrong, of those that were decided."""
        return sum(rule.wrong for rule in self.rules)

    @property
    def caught(self) -> int:
        """How many of them were, by their rule."""
        return sum(rule.caught for rule in self.rules)

    @property
    def instructions(self) -> int:
        """How many payables were paid."""
        return sum(row["n"] for row in self.paid)

    @property
    def is_right(self) -> bool:
        """Whether everything is as the truth says."""
        paid = self.true_instructions in (None, self.instructions) and all(
            r["amount"] == r["true_amount"] for r in self.paid
        )
        return self.wrong == self.caught == sum(rule.alone for rule in self.rules) and not self.stopped and paid


@dataclass(frozen=True)
class Kind:
    """One kind of receipt of the simulation, and what became of it."""

    kind: str
    receipts: int
    applied: int
    wrong: int  # applied to other documents than those that it pays
    offered: int  # left for a person with a suggestion
    right: int  # of these, the first one is right


@dataclass(frozen=True)
class Cash:
    """Money received."""

    receipts: int
    applied: int
    left: int
    months: tuple[Row, ...]  # period, applied, left: receipts by the month they were booked in
    amounts: tuple[Row, ...]  # currency, received, applied, unapplied
    offered: int
    kinds: tuple[Kind, ...]

    @property
    def wrong(self) -> int:
        """Applied to what they do not pay."""
        return sum(kind.wrong for kind in self.kinds)

    @property
    def expected(self) -> int:
        """How many say exactly what they pay."""
        return sum(kind.receipts for kind in self.kinds if kind.kind in APPLIED_BY_ITSELF)

    @property
    def is_right(self) -> bool:
        """Whether all that say what they pay were applied, and nothing else was."""
        return not self.wrong and all((k.applied == k.receipts) == (k.kind in APPLIED_BY_ITSELF) for k in self.kinds)


@dataclass(frozen=True)
class Nominations:
    """One day and action: accounts nominated, and those that the truth expects."""

    day: str
    action: str
    nominated: int
    expected: int | None
    agreed: int  # in both


@dataclass(frozen=True)
class Figures:
    """Everything after the bill."""

    payables: Payables
    cash: Cash
    nominations: tuple[Nominations, ...]
    nominated_for: int  # tenants and days for which suspension has run
    open_items: tuple[Row, ...]  # ledger_account, currency, n, amount
    balances: tuple[Row, ...]  # period, n, wrong
    in_transit: tuple[Row, ...]  # currency, balance of payments that banks have not told of

    @property
    def expected(self) -> int:
        """How many nominations the truth expects."""
        return sum(one.expected or 0 for one in self.nominations)

    @property
    def agreed(self) -> int:
        """How many of them were made."""
        return sum(one.agreed for one in self.nominations)

    @property
    def nominated(self) -> int:
        """How many were made at all."""
        return sum(one.nominated for one in self.nominations)


def figures(home: Path) -> Figures:
    """Read them from the published tables, and the truth from the home where it is a simulated one."""
    truth, money = _truth(home / TRUTH), _cash_truth(home / CASH_TRUTH)
    with Books() as books:
        books.open(*TABLES)
        nominations, days = _nominations(books, money)
        return Figures(
            payables=_payables(books, truth),
            cash=_cash(books, money),
            nominations=nominations,
            nominated_for=days,
            open_items=tuple(books.rows(OPEN)),
            balances=tuple(books.rows(BALANCES)),
            in_transit=tuple(
                books.rows(
                    "SELECT currency, sum(balance) AS amount FROM ledger.trial_balance WHERE ledger_account = 'payments_in_transit' "
                    "GROUP BY 1 HAVING sum(balance) <> 0 ORDER BY 1"
                )
            ),
        )


def _truth(path: Path) -> dict[tuple[str, str], Any]:
    """The payables of every tenant and month, where a simulation tells them."""
    if not path.exists():
        return {}
    tenants = json.loads(path.read_text(encoding="utf-8"))["tenants"]
    return {
        (tenant, month): told["payables"]
        for tenant, one in tenants.items()
        for month, told in one["months"].items()
        if "payables" in told
    }


def _cash_truth(folder: Path) -> dict[tuple[str, str], Any]:
    """The money of every tenant and month that was delivered."""
    told = {path.stem: json.loads(path.read_text(encoding="utf-8"))["tenants"] for path in sorted(folder.glob("*.json"))}
    return {(tenant, month): mine for month, tenants in told.items() for tenant, mine in tenants.items()}


def _payables(books: Books, truth: Mapping[tuple[str, str], Any]) -> Payables:
    decided = books.rows(LATEST)
    by_id = {(row["tenant_id"], row["payable_id"]): row for row in decided}
    months: dict[str, Row] = {}
    decisions = dict.fromkeys(("accept", "hold", "reject"), 0)
    for row in sorted(decided, key=lambda row: row["month"] or ""):
        into = months.setdefault(row["month"], {"period": row["month"], "accept": 0, "hold": 0, "reject": 0})
        into[row["decision"]] += 1
        decisions[row["decision"]] += 1
    known = {key: truth[key] for key in {(row["tenant_id"], row["month"]) for row in decided} if key in truth}
    wrong = {(tenant, payable): rule for (tenant, _), told in known.items() for payable, rule in told["wrong"].items()}
    rules = []
    for rule in sorted(set(wrong.values())):
        mine = [by_id.get(key) for key, of in wrong.items() if of == rule]
        caught = [row for row in mine if row and row["first"] != "accept" and rule in (row["rule_ids"] or ())]
        rules.append(Rule(rule, len(mine), len(caught), sum(len(row["rule_ids"]) == 1 for row in caught)))
    good = [
        row
        for row in decided
        if (row["tenant_id"], row["month"]) in known and (row["tenant_id"], row["payable_id"]) not in wrong
    ]
    return Payables(
        received=len(decided),
        decisions=decisions,
        months=tuple(months.values()),
        batches=books.one("SELECT count(*)::bigint AS n FROM payables.payment_batches")["n"],
        paid=tuple(_paid(books.rows(PAID), known)),
        rules=tuple(rules),
        good=len(good),
        stopped=sum(row["first"] != "accept" for row in good),
        true_instructions=sum(told["instructions"] for told in known.values()) if known else None,
    )


def _paid(rows: Iterable[Row], known: Mapping[tuple[str, str], Any]) -> list[Row]:
    """Payments by currency beside those of the truth."""
    true: dict[str, Decimal] = {}
    for told in known.values():
        for currency, amount in told["instructed"].items():
            true[currency] = true.get(currency, Decimal(0)) + Decimal(amount)
    found = {row["currency"]: row for row in rows}
    none = {"n": 0, "amount": Decimal(0)}
    return [
        {"currency": currency, **none, **found.get(currency, {}), "true_amount": true.get(currency) if known else found[currency]["amount"]}
        for currency in sorted({*found, *true})
    ]  # fmt: skip


def _cash(books: Books, money: Mapping[tuple[str, str], Any]) -> Cash:
    received = {_key(row): row for row in books.rows(RECEIPTS)}
    applied = {_key(row): set(row["documents"]) for row in books.rows(APPLICATIONS)}
    offered = {_key(row): set(row["documents"] or ()) for row in books.rows(OFFERED)}
    left_over = books.rows(LEFT_OVER)
    nothing = dict.fromkeys(("received", "applied", "unapplied"), Decimal(0))
    sums: dict[str, Row] = {}
    months: dict[str, Row] = {}
    for key, row in received.items():
        month = months.setdefault(row["month"], {"period": row["month"], "applied": 0, "left": 0})
        month["applied" if key in applied else "left"] += 1
        into = sums.setdefault(
            row["currency"], {"currency": row["currency"], "received": Decimal(0), "unapplied": Decimal(0)}
        )
        into["received"] += row["amount"]
    for row in left_over:
        sums.setdefault(row["currency"], {"currency": row["currency"], "received": Decimal(0)})["unapplied"] = row["amount"]
    for row in books.rows(ON_DOCUMENTS):
        sums.setdefault(row["currency"], {"currency": row["currency"]})["applied"] = row["amount"]
    told = {
        (tenant, one["bank_account"], one["transaction_id"]): one
        for (tenant, _), mine in money.items()
        for one in mine["receipts"]
    }
    kinds: dict[str, list[Key]] = {}
    for key, one in told.items():
        if key in received:
            kinds.setdefault(one["kind"], []).append(key)
    return Cash(
        receipts=len(received),
        applied=sum(key in applied for key in received),
        left=sum(row["n"] for row in left_over),
        months=tuple(months[month] for month in sorted(months)),
        amounts=tuple({**nothing, **sums[currency]} for currency in sorted(sums)),
        offered=len(offered),
        kinds=tuple(_kind(kind, keys, told, applied, offered) for kind, keys in kinds.items()),
    )


def _kind(
    kind: str, keys: list[Key], told: Mapping[Key, Any], applied: Mapping[Key, set[str]], offered: Mapping[Key, set[str]]
) -> Kind:
    done = [key for key in keys if key in applied]
    asked = [key for key in keys if key in offered and key not in applied]
    return Kind(
        kind,
        len(keys),
        len(done),
        sum(applied[key] != set(told[key]["invoices"]) for key in done),
        len(asked),
        sum(offered[key] == set(told[key]["invoices"]) for key in asked),
    )


def _key(row: Row) -> Key:
    return row["tenant_id"], row["bank_account"], row["transaction_id"]


def _nominations(books: Books, money: Mapping[tuple[str, str], Any]) -> tuple[tuple[Nominations, ...], int]:
    """Who is nominated by day and action; the truth speaks of the last day of each month.

    The truth knows whose every receipt is, the house does not: an account that it holds because a suggested receipt could be its own is
    right to be held.
    """
    ran = {p.unit for p in ops.all_publications() if p.unit.stage == SUSPENSION_SELECTION.name}
    rows = books.rows(
        "SELECT tenant_id, strftime(period, '%Y-%m-%d') AS day, account_id, action, "
        "coalesce(contains(held_because, 'suggested receipt'), false) AS is_cautious FROM suspension.candidates"
    )
    made = {(row["tenant_id"], row["day"], row["account_id"], row["action"]) for row in rows}
    cautious = {(row["tenant_id"], row["day"], row["account_id"]) for row in rows if row["is_cautious"]}
    true = {
        (unit.tenant_id, unit.period, account, HELD if (unit.tenant_id, unit.period, account) in cautious else action)
        for unit in ran
        if (unit.tenant_id, unit.period[:7]) in money
        for account, action in money[unit.tenant_id, unit.period[:7]]["candidates"].items()
    }
    found = []
    for day, action in sorted({(day, action) for _, day, _, action in (*made, *true)}):
        mine, theirs = ({one for one in many if (one[1], one[3]) == (day, action)} for many in (made, true))
        found.append(Nominations(day, action, len(mine), len(theirs) if money else None, len(mine & theirs)))
    return tuple(found), len(ran)

"""Which accounts have to be nominated at the end of a month: the policy of conf/suspension_selection.yaml in plain Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import yaml

from jobs.runtime.config import stage_file

CURRENT, HOLD, REINSTATE = "current", "hold", "reinstate"


@dataclass(frozen=True)
class Debt:
    """What an account has open: an invoice, or with a negative amount a credit note."""

    document_id: str
    currency: str
    amount: Decimal
    due: date
    excused: bool = False  # disputed, promised, or the account may not be dunned


@dataclass(frozen=True)
class Standing:
    """The state of an account, and since when."""

    state: str
    since: date


Policy = Mapping[str, Any]


def house_policy() -> Policy:
    """The policy of everybody who has none of their own, which simulated tenants do not have."""
    told = yaml.safe_load(stage_file("suspension_selection").read_text(encoding="utf-8"))
    return next(policy for policy in told["policies"] if not policy.get("tenants") and not policy.get("segments"))


def nominated(
    debts: Iterable[Debt], covered: Mapping[str, Decimal], before: Standing | None, policy: Policy, day: date
) -> tuple[str | None, str]:
    """What is done about an account on a day, and the state it is in afterwards. covered: its receipts nobody has applied."""
    mine = list(debts)
    least = {currency: Decimal(amount) for currency, amount in policy["minimum_open"].items()}
    counts = [
        debt for debt in mine
        if debt.due < day and not debt.excused and debt.amount > 0 and debt.amount >= least.get(debt.currency, Decimal(0))
    ]  # fmt: skip
    names = [CURRENT, *(state["name"] for state in policy["states"])]
    at = names.index(before.state) if before else 0
    steps = range(at + 1, at + 2) if policy["one_step"] else range(at + 1, len(names))
    for place in reversed([step for step in steps if step < len(names)]):
        state = policy["states"][place - 1]
        waited = before is None or place != at + 1 or (day - before.since).days >= state.get("min_days", 0)
        if waited and _holds(state["when"], counts, day):
            money = dict(covered)
            for debt in mine:
                if debt.amount < 0:
                    money[debt.currency] = money.get(debt.currency, Decimal(0)) - debt.amount
            oldest = min(counts, key=lambda debt: (debt.due, debt.document_id)).currency
            owed = sum((debt.amount for debt in counts if debt.currency == oldest), Decimal(0))
            if money.get(oldest, Decimal(0)) >= owed * Decimal(policy["covered_share"]):
                return HOLD, names[at]
            return names[place], names[place]
    stays = at == 0 or policy["states"][at - 1].get("final") or any(_holds(s["when"], counts, day) for s in policy["states"])
    return (None, names[at]) if stays else (REINSTATE, CURRENT)


def _holds(condition: Mapping[str, Any], counts: list[Debt], day: date) -> bool:
    """Whether a condition of the policy is true of some debts."""
    ((what, told),) = condition.items()
    if what in ("all", "any"):
        parts = [_holds(part, counts, day) for part in told]
        return all(parts) if what == "all" else any(parts)
    if what == "unpaid_count":
        return len(counts) >= told
    if what == "oldest_overdue_days":
        return any((day - debt.due).days >= told for debt in counts)
    sums: dict[str, Decimal] = {}
    for debt in counts:
        sums[debt.currency] = sums.get(debt.currency, Decimal(0)) + debt.amount
    return any(currency in sums and sums[currency] >= Decimal(least) for currency, least in told.items())

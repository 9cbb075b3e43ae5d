"""One page about a home: what was billed, what was refused, whether it balances, how long it took. HTML and one screen of text.

The page is one file: styles and charts are inside, nothing is fetched. It carries ids and counts, no personal data (law 14).
Amounts of different currencies are never added, and never share an axis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from jobs.runtime import charts, shown
from jobs.runtime.books import Row
from jobs.runtime.environment import reports
from jobs.runtime.figures import Figures
from jobs.runtime.report_facts import Comparison, Facts, facts
from jobs.stages import STAGES

DATA_DOCS = "gates/uncommitted/data_docs/local_site/index.html"  # below reports/
COUNTRIES, MONTHS, REASONS = 12, 12, 12  # what a chart shows at most


def write(told: Facts | None = None) -> Path:
    """Write the page to <home>/reports/index.html; returns where. told: the facts, where they are read already."""
    told = told or facts()
    template = resources.files("jobs.runtime").joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=_number, money=shown.money, plain=shown.plain)
    page = environment.from_string(template).render(
        f=told, charts=_charts(told), data_docs=DATA_DOCS if (reports() / DATA_DOCS).exists() else None,
        currencies=_by_currency(told.totals), verdict=_verdict(told), stages=[stage.name for stage in STAGES],
        months_table=_months(told), ledger=_ledger(told.balance), open_items=_open_by_currency(told.money),
    )  # fmt: skip
    path = reports() / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(".index.html.part")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def summary(told: Facts | None = None) -> str:
    """The same facts as one screen of text."""
    told = told or facts()
    documents = ", ".join(f"{count:,} {kind.replace('_', ' ')}s" for kind, count in told.documents.items()) or "none"
    passed, failed, warned = (sum(row[how] for row in told.gates) for how in ("passed", "failed", "warned"))
    lines = [
        f"{_span(told.months)}: {told.tenants} tenants, {told.accounts:,} accounts, {told.charges:,} charges, {documents}",
        *(
            f"  {row['currency']}  net {shown.money(row['net'], row['currency']):>20}  tax {shown.money(row['tax'], row['currency']):>18}  "
            f"gross {shown.money(row['gross'], row['currency']):>20}  on {row['documents']:,} documents"
            for row in _by_currency(told.totals)[:8]
        ),
        f"Gates: {passed:,} passed, {failed:,} failed, {warned:,} warnings",
        *(
            f"  failed: {row['suite']}, {row['tenant_id']}, {row['period']}: {row['expectation']}"
            for row in _critical(told)[:3]
        ),
        f"Rows: {_sum(told.intake, 'read'):,} read = {_sum(told.intake, 'accepted'):,} accepted + "
        f"{_sum(told.intake, 'quarantined'):,} quarantined + {_sum(told.intake, 'duplicates'):,} exact duplicates",
        *(f"  {row['rows']:>9,} {row['feed']}: {row['reason'][:90]}" for row in told.reasons[:6]),
    ]
    if len(told.reasons) > 6:
        lines.append(f"  and {len(told.reasons) - 6} more reasons")
    lines += _file_lines(told)
    if told.adjusted:
        amounts = ", ".join(f"{row['currency']} {shown.money(row['amount'], row['currency'])}" for row in told.adjusted)
        lines.append(
            f"Adjusted: {_sum(told.adjusted, 'rows'):,} usage rows came late, on {_sum(told.adjusted, 'lines'):,} lines of later months: {amounts}"
        )
    if told.waiting:
        lines.append(f"Waiting: {told.waiting:,} usage rows came after their month was invoiced")
    state = (
        "nothing posted yet" if not told.balance else "adds up to zero" if not told.unbalanced else "DOES NOT ADD UP TO ZERO"
    )
    lines.append(
        f"Trial balance: {state}, in every legal entity, month and currency" if told.balance else f"Trial balance: {state}"
    )
    lines += _money_lines(told.money)
    if told.compared:
        lines += _against_truth(told.compared)
    lines.append(f"Report: {reports() / 'index.html'}")
    if (reports() / DATA_DOCS).exists():
        lines.append(f"Data Docs: {reports() / DATA_DOCS}")
    return "\n".join(lines)


def _file_lines(told: Facts) -> list[str]:
    """The files of issued documents, and what is not on a document yet."""
    lines = []
    if told.files:
        made = ", ".join(f"{row['files']:,} {row['format']}" for row in told.files)
        checked = f"{_sum(told.files, 'checked'):,} by the official rules, {_sum(told.files, 'failed'):,} failed"
        missing = _sum(told.files, "left_out")
        lines.append(f"Files: {made} ({checked})" + (f"; {missing:,} left out by name" if missing else ""))
    if told.held:
        why = ", ".join(f"{row['reason_code']} {row['charges']:,}" for row in told.held)
        lines.append(f"Held: {_sum(told.held, 'charges'):,} charges wait for a later month's documents: {why}")
    return lines


def _money_lines(money: Figures) -> list[str]:
    """What came of payables, cash and overdue accounts, each beside its truth where there is one."""
    lines = []
    payables, cash = money.payables, money.cash
    if payables.received:
        accepted, held, rejected = (payables.decisions[how] for how in ("accept", "hold", "reject"))
        lines.append(
            f"Payables: {payables.received:,} received: {accepted:,} accepted, {held:,} held, {rejected:,} rejected"
        )
        if payables.true_instructions is not None:
            lines.append(
                f"  wrong payables {payables.wrong:,}, caught {payables.caught:,}; good ones stopped {payables.stopped:,} of {payables.good:,}"
            )
            lines += [
                f"  not caught: {rule.rule} {rule.caught} of {rule.wrong}"
                for rule in payables.rules
                if rule.caught != rule.wrong
            ][:3]
    if payables.batches:
        true = payables.true_instructions
        equal = all(row["amount"] == row["true_amount"] for row in payables.paid)
        told = (
            ""
            if true is None
            else f" of {true:,}, amounts {'equal' if equal else 'NOT EQUAL'} in {len(payables.paid)} currencies"
        )
        lines.append(f"Payments: {payables.batches:,} batches, payables paid {payables.instructions:,}{told}")
        if true is None:
            lines.append(
                "  "
                + ", ".join(f"{row['currency']} {shown.money(row['amount'], row['currency'])}" for row in payables.paid[:6])
            )
    if cash.receipts:
        lines.append(f"Cash: receipts {cash.receipts:,}, applied {cash.applied:,}{_applied_truly(money)}")
        right, offered = sum(kind.right for kind in cash.kinds), sum(kind.offered for kind in cash.kinds)
        told = (
            f", first suggestion right for {right:,} of {offered:,}"
            if cash.kinds
            else f", {cash.offered:,} with suggestions"
        )
        lines.append(f"  left for a person {cash.left:,}{told}")
    if money.nominated_for:
        by_action = Counter[str]()
        for one in money.nominations:
            by_action[one.action] += one.nominated
        parts = ", ".join(f"{count:,} {action}" for action, count in sorted(by_action.items())) or "nobody"
        known = any(one.expected is not None for one in money.nominations)
        more = money.nominated - money.agreed
        told = (
            f"candidates {money.agreed:,} of {money.expected:,}" + (f", {more:,} more than expected" if more else "")
            if known
            else "nominated"
        )
        lines.append(f"Suspension: {told} ({parts})")
    for ledger_account, name in (("accounts_receivable", "Receivable"), ("accounts_payable", "Payable")):
        rows = [row for row in money.open_items if row["ledger_account"] == ledger_account]
        if rows:
            sums = ", ".join(f"{row['currency']} {shown.money(row['amount'], row['currency'])}" for row in rows[:6])
            lines.append(f"{name} at the end: {sums}, in {_sum(rows, 'n'):,} documents")
    return lines


def _applied_truly(money: Figures) -> str:
    """How many of the receipts were applied as the truth has it."""
    if not money.cash.kinds:
        return ""
    return f" of {money.cash.expected:,} that say what they pay, of these wrong {money.cash.wrong:,}"


def _against_truth(compared: Sequence[Comparison]) -> list[str]:
    charges = [sum(one.charges[side] for one in compared) for side in (0, 1)]
    equal = all(one.amounts_equal for one in compared)
    rows = all(computed == true for one in compared for computed, true in (one.accepted, one.quarantined, one.duplicates))
    told = [
        f"Against the truth: charges {charges[0]:,} of {charges[1]:,}, net amount "
        + ("equal to the last digit" if equal else "NOT EQUAL")
        + (", rows accepted, quarantined and duplicate equal" if rows else ", rows NOT EQUAL")
    ]
    taxed = [sum(one.taxed[side] for one in compared) for side in (0, 1)]
    told.append(f"  taxed, or held, as the law has it: {taxed[0]:,} lines of {taxed[1]:,}")
    told += [f"  {one.tenant_id} {one.period} {one.mistaxed}" for one in compared if one.mistaxed][:4]
    told += [f"  not equal: {one.tenant_id} {one.period}" for one in compared if not one.equal][:4]
    return told


def _critical(told: Facts) -> list[Row]:
    return [row for row in told.failed if row["severity"] == "critical"]


def _verdict(told: Facts) -> list[tuple[str, str, str]]:
    """The few facts a reader looks for first: (good | bad | none, what, how)."""
    failed, warned = len(_critical(told)), len(told.failed) - len(_critical(told))
    found = [
        ("good" if told.balance and not told.unbalanced else "bad" if told.unbalanced else "none", "Trial balance",
         "nothing posted yet" if not told.balance else "adds up to zero" if not told.unbalanced else f"{told.unbalanced} do not add up"),
        ("bad" if failed else "good", "Gates",
         f"{sum(row['passed'] for row in told.gates):,} passed, {failed:,} failed, {warned:,} warned"),
    ]  # fmt: skip
    if told.files:
        failed_files = _sum(told.files, "failed")
        how = f"{_sum(told.files, 'files'):,} files, {_sum(told.files, 'checked'):,} by the official rules, {failed_files:,} failed"
        found.append(("bad" if failed_files else "good", "Documents", how))
    if told.compared:
        same = sum(one.equal for one in told.compared)
        found.append(
            (
                "good" if same == len(told.compared) else "bad",
                "Against the truth",
                f"{same} of {len(told.compared)} tenant months equal",
            )
        )
    payables, cash, money = told.money.payables, told.money.cash, told.money
    if payables.true_instructions is not None:
        how = f"wrong {payables.wrong:,}, caught {payables.caught:,}"
        found.append(("good" if payables.is_right else "bad", "Payables", how))
    if cash.kinds:
        how = f"applied {cash.applied:,} of {cash.expected:,}, of these wrong {cash.wrong:,}"
        found.append(("good" if cash.is_right else "bad", "Cash", how))
    if any(one.expected is not None for one in money.nominations):
        same = money.agreed == money.expected == money.nominated
        found.append(("good" if same else "bad", "Suspension", f"candidates {money.agreed:,} of {money.expected:,}"))
    return found


def wrong(told: Facts) -> list[str]:
    """What the page marks as wrong: a gate that failed, a balance that does not add up, a figure that is not the truth's."""
    return [f"{what}: {how}" for mark, what, how in _verdict(told) if mark == "bad"]


def _open_by_currency(money: Figures) -> list[Row]:
    """What is open at the end, receivable and payable, by currency; and what banks have not told of yet."""
    found: dict[str, Row] = {}
    for row in money.open_items:
        into = found.setdefault(row["currency"], {"currency": row["currency"]})
        into[row["ledger_account"]], into[f"{row['ledger_account']}_n"] = row["amount"], row["n"]
    for row in money.in_transit:
        found.setdefault(row["currency"], {"currency": row["currency"]})["in_transit"] = -row["amount"]
    return [found[currency] for currency in sorted(found)]


def _span(months: Sequence[str]) -> str:
    if not months:
        return "No month charged yet"
    return months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"


def _by_currency(totals: Iterable[Row]) -> list[Row]:
    summed: dict[str, Row] = {}
    for row in totals:
        into = summed.setdefault(
            row["currency"], {"currency": row["currency"], "documents": 0, "net": 0, "tax": 0, "gross": 0}
        )
        for column in ("documents", "net", "tax", "gross"):
            into[column] += row[column]
    return [summed[currency] for currency in sorted(summed)]


def _months(told: Facts) -> list[Row]:
    """One row per month: how many tenants stand how, by stage."""
    rows = []
    for period in sorted({unit.period for unit in told.standings}, reverse=True):
        row: Row = {"period": period}
        for stage in STAGES:
            states = [unit.state for unit in told.standings if (unit.period, unit.stage) == (period, stage.name)]
            row[stage.name] = {state: states.count(state) for state in dict.fromkeys(states)}
        rows.append(row)
    return rows


def _ledger(balance: Sequence[Row]) -> list[Row]:
    """The trial balance by currency: its rows, and what they add up to."""
    found = []
    for currency in dict.fromkeys(row["currency"] for row in balance):
        rows = [row for row in balance if row["currency"] == currency]
        found.append(
            {"currency": currency, "rows": rows, **{c: sum(r[c] for r in rows) for c in ("debit", "credit", "balance")}}
        )
    return found


def _sum(rows: Iterable[Row], column: str) -> int:
    return sum(row[column] or 0 for row in rows)


def _number(value: Any) -> str:
    return "" if value is None else f"{value:,}"


def _charts(told: Facts) -> dict[str, Markup]:
    """The charts, as SVG."""
    countries = [(row["country"], row["documents"]) for row in told.countries[:COUNTRIES]]
    if rest := sum(row["documents"] for row in told.countries[COUNTRIES:]):
        countries.append((f"{len(told.countries) - COUNTRIES} others", rest))
    shown_months = sorted({row["period"] for row in told.totals})[-MONTHS:]
    per_currency = Markup("").join(
        charts.months(
            f"{currency}, gross",
            [
                (m, next((r["gross"] for r in told.totals if (r["period"], r["currency"]) == (m, currency)), Decimal(0)))
                for m in shown_months
            ],
            currency,
        )
        for currency in sorted({row["currency"] for row in told.totals})
    )
    spent = sorted({row["period"] for row in told.seconds})[-MONTHS:]
    return {
        "totals": per_currency,
        "countries": charts.bars([(label, count, f"{count:,}") for label, count in countries]),
        "reasons": charts.bars(
            [(f"{r['feed']}: {r['reason']}", r["rows"], f"{r['rows']:,}") for r in told.reasons[:REASONS]]
        ),
        "seconds": charts.stacked(
            [
                (f"{r['period']} {r['stage']}", (r["write"], r["audit"], r["publish"]))
                for r in told.seconds
                if r["period"] in spent
            ],
            ("write", "audit", "publish"),
            lambda seconds: f"{seconds:.1f} s",
        ),
        "payables": charts.stacked(
            [
                (str(row["period"]), tuple(row[how] for how in ("accept", "hold", "reject")))
                for row in told.money.payables.months[-MONTHS:]
            ],
            ("accepted", "held", "rejected"),
            lambda count: f"{count:,.0f}",
        ),
        "cash": charts.stacked(
            [(str(row["period"]), (row["applied"], row["left"])) for row in told.money.cash.months[-MONTHS:]],
            ("applied", "left for a person"),
            lambda count: f"{count:,.0f}",
        ),
    }

"""What a home has to tell: its figures, and those of a simulated one beside their truth. report.py tells them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from jobs.runtime import config, ops, status
from jobs.runtime.books import Books, Row
from jobs.runtime.figures import Figures, figures
from jobs.stages import INGESTION, STAGES

TRUTH = "truth/truth.json"  # of a simulated home
TAXED = """
with issued as (
    select l.tenant_id, strftime(l.period, '%Y-%m') as period, i.account_id, l.product_id, i.legal_entity_id,
           l.tax_category || if(l.tax_category <> 'S', '', ' ' || array_to_string(list_transform(
               l.line_taxes, lambda t: t.component || ' ' || rtrim(rtrim(t.rate::varchar, '0'), '.')), ' + ')) as carries
    from invoicing.invoice_lines l join invoicing.invoices i using (tenant_id, invoice_id)
    where i.original_invoice_id is null
    union all by name
    select tenant_id, strftime(period, '%Y-%m') as period, account_id, product_id, legal_entity_id, 'held ' || reason_code as carries
    from invoicing.carried_forward
)
select tenant_id, period, account_id, product_id, legal_entity_id, legal_entity_id || ': ' || carries as carries, count(*) as n
from issued group by all order by all
"""


@dataclass(frozen=True)
class Comparison:
    """One tenant's month beside its truth. Amounts are those of the charges, before rounding, by currency."""

    tenant_id: str
    period: str
    charges: tuple[int, int]  # computed, true
    accepted: tuple[int, int]
    quarantined: tuple[int, int]
    duplicates: tuple[int, int]
    amounts: Mapping[str, tuple[Decimal, Decimal]]
    adjusted: Mapping[str, tuple[Decimal, Decimal]]  # billed in this month for earlier ones
    taxed: tuple[int, int]  # lines issued or held as tax law has it, and all of them
    mistaxed: str | None  # one that is not: what it carries, and what it should

    @property
    def amounts_equal(self) -> bool:
        """Whether every currency is equal to the last digit."""
        pairs = (*self.amounts.values(), *self.adjusted.values())
        return all(computed == true for computed, true in pairs)

    @property
    def equal(self) -> bool:
        """Whether everything is."""
        pairs = (self.charges, self.accepted, self.quarantined, self.duplicates, self.taxed)
        return self.amounts_equal and all(computed == true for computed, true in pairs)


@dataclass(frozen=True)
class Facts:
    """Everything the page and the text tell."""

    home: str
    simulated: bool
    at: datetime
    months: tuple[str, ...]
    tenants: int
    accounts: int
    charges: int
    documents: Mapping[str, int]  # invoice, credit_note
    totals: tuple[Row, ...]  # period, currency, documents, net, tax, gross
    countries: tuple[Row, ...]  # country, documents
    intake: tuple[Row, ...]  # tenant, feed, files, read, accepted, quarantined, duplicates
    refused_files: int
    reasons: tuple[Row, ...]  # feed, reason, rows
    quarantined: int
    waiting: int
    adjusted: tuple[Row, ...]  # currency, lines, rows, net amount, of what was invoiced later than its month
    files: tuple[Row, ...]  # format, files, checked by the official rules, failed them, left_out
    held: tuple[Row, ...]  # reason_code, charges that wait for a later month's documents
    gates: tuple[Row, ...]  # stage, passed, failed, warned
    failed: tuple[Row, ...]
    balance: tuple[Row, ...]  # currency, accounts with debit, credit, balance
    unbalanced: int  # legal entities, months and currencies whose balances do not add up to zero
    seconds: tuple[Row, ...]  # period, stage, write, audit, publish
    standings: tuple[status.Standing, ...]
    compared: tuple[Comparison, ...]
    money: Figures


def facts() -> Facts:
    """Read them from the published tables, without Spark."""
    home = config.home()
    with Books() as books:
        books.open(
            "raw.accounts", "raw.landed_files", "raw.quarantine", "billing.charges", "billing.adjustments", "billing.waiting",
            "billing.late_usage", "invoicing.invoices", "invoicing.invoice_lines", "invoicing.carried_forward",
            "invoicing.documents", "ledger.trial_balance",
        )  # fmt: skip
        counts = books.one(
            "SELECT (SELECT count(DISTINCT (tenant_id, account_id)) FROM raw.accounts) AS accounts, "
            "(SELECT count(*) FROM billing.charges) AS charges, (SELECT count(*) FROM raw.quarantine) AS quarantined, "
            f"(SELECT coalesce(sum(rows), 0)::bigint FROM ({status.WAITING})) AS waiting, "
            "(SELECT count(*) FROM raw.landed_files WHERE status <> 'landed') AS refused"
        )
        adjusted = books.rows(
            "SELECT l.currency, count(*) AS lines, sum(a.usage_rows)::bigint AS rows, sum(l.line_amount) AS amount "
            "FROM billing.adjustments a JOIN invoicing.invoice_lines l USING (tenant_id, period, charge_id) GROUP BY 1 ORDER BY 1"
        )
        documents = books.rows("SELECT document_type, count(*) AS n FROM invoicing.invoices GROUP BY 1 ORDER BY 1 DESC")
        files = books.rows(
            "SELECT format, count(file_path) AS files, count(*) FILTER (rules_checked) AS checked, "
            "count(*) FILTER (len(failed_rules) > 0) AS failed, count(left_out) AS left_out FROM invoicing.documents GROUP BY 1 ORDER BY 1"
        )
        held = books.rows(
            "SELECT reason_code, count(*) AS charges FROM (SELECT * FROM invoicing.carried_forward QUALIFY row_number() OVER "
            "(PARTITION BY tenant_id, charge_id ORDER BY period DESC) = 1) ANTI JOIN invoicing.invoice_lines USING (tenant_id, charge_id) "
            "GROUP BY 1 ORDER BY charges DESC, reason_code"
        )
        totals = books.rows(
            "SELECT strftime(period, '%Y-%m') AS period, currency, count(*) AS documents, sum(net_amount) AS net, "
            "sum(tax_amount) AS tax, sum(gross_amount) AS gross FROM invoicing.invoices GROUP BY 1, 2 ORDER BY 1, 2"
        )
        countries = books.rows(
            "SELECT coalesce(customer_country, 'unknown') AS country, count(*) AS documents FROM invoicing.invoices "
            "GROUP BY 1 ORDER BY documents DESC, country"
        )
        intake = books.rows(
            "SELECT tenant_id AS tenant, feed, count(*) AS files, sum(rows_read)::bigint AS read, sum(rows_accepted)::bigint AS accepted, "
            "sum(rows_quarantined)::bigint AS quarantined, sum(rows_duplicate)::bigint AS duplicates FROM raw.landed_files "
            "WHERE status = 'landed' GROUP BY 1, 2 ORDER BY 1, 2"
        )
        reasons = books.rows(
            f"SELECT feed, reason, sum(rows)::bigint AS rows FROM ({status.QUARANTINED}) GROUP BY 1, 2 ORDER BY rows DESC, feed, reason"
        )
        balance = books.rows(
            "SELECT currency, ledger_account, sum(debit) AS debit, sum(credit) AS credit, sum(balance) AS balance "
            "FROM ledger.trial_balance GROUP BY 1, 2 ORDER BY 1, 2"
        )
        unbalanced = books.one(
            "SELECT count(*) AS n FROM (SELECT sum(balance) AS rest FROM ledger.trial_balance "
            "GROUP BY tenant_id, period, legal_entity_id, currency) WHERE rest <> 0"
        )["n"]
        compared = _compare(books, home / TRUTH)
    verdicts = status.latest_verdicts()
    units = status.standings()
    return Facts(
        home=str(home), simulated=config.simulated(), at=datetime.now(UTC),
        months=tuple(sorted({unit.period for unit in units if unit.stage != INGESTION.name and unit.state != status.MISSING})),
        tenants=len({unit.tenant_id for unit in units} | {row["tenant"] for row in intake}),
        accounts=counts["accounts"], charges=counts["charges"], documents={row["document_type"]: row["n"] for row in documents},
        totals=tuple(totals), countries=tuple(countries), intake=tuple(intake), refused_files=counts["refused"], reasons=tuple(reasons),
        quarantined=counts["quarantined"], waiting=counts["waiting"], adjusted=tuple(adjusted),
        files=tuple(files), held=tuple(held), gates=tuple(_gates(verdicts)),
        failed=tuple(row for row in verdicts if not row["success"]), balance=tuple(balance), unbalanced=unbalanced,
        seconds=tuple(_seconds()), standings=tuple(units), compared=tuple(compared),
        money=figures(home),
    )  # fmt: skip


def _gates(verdicts: Iterable[Row]) -> list[Row]:
    """Verdicts of the newest judgements, by stage."""
    counted: dict[str, Row] = {stage.name: {"stage": stage.name, "passed": 0, "failed": 0, "warned": 0} for stage in STAGES}
    for row in verdicts:
        how = "passed" if row["success"] else "failed" if row["severity"] == "critical" else "warned"
        counted.setdefault(row["stage"], {"stage": row["stage"], "passed": 0, "failed": 0, "warned": 0})[how] += 1
    return list(counted.values())


def _seconds() -> list[Row]:
    """Seconds of each verb of the newest run that published a stage's month, or a day or an hour of it."""
    runs = ops.rows(ops.RUNS)
    newest: dict[tuple[str, str, str], str] = {}
    for row in runs:
        if row["verb"] == "publish" and row["status"] == "done":
            newest[row["period"][:7], row["stage"], row["lane"] or "main"] = row["run_id"]
    order = [stage.name for stage in STAGES]
    told = []
    for (period, stage, lane), run_id in sorted(
        newest.items(), key=lambda item: (item[0][0], order.index(item[0][1]), item[0][2])
    ):
        spent = dict.fromkeys(("write", "audit", "publish"), 0.0)
        for row in runs:
            if row["run_id"] == run_id and row["status"] in ("done", "held") and row["seconds"] and row["verb"] in spent:
                spent[row["verb"]] = row["seconds"]
        name = stage if lane == "main" else f"{stage}, {lane}"
        told.append({"period": period, "stage": name, **spent, "total": sum(spent.values())})
    return told


def _compare(books: Books, path: Path) -> list[Comparison]:
    """Computed beside true, for every tenant and month of a simulated world that has been delivered or charged."""
    if not path.exists():
        return []
    truth = json.loads(path.read_text(encoding="utf-8"))
    books.open(
        "billing.charges", "billing.adjustments", "raw.landed_files", "invoicing.invoices", "invoicing.invoice_lines",
        "invoicing.carried_forward",
    )  # fmt: skip
    charged, adjusted = (
        books.rows(
            "SELECT tenant_id, strftime(period, '%Y-%m') AS period, currency, count(*) AS charges, sum(amount) AS amount "
            f"FROM {table} GROUP BY 1, 2, 3"
        )
        for table in ("billing.charges", "billing.adjustments")
    )
    files = {
        (row["tenant_id"], row["file_name"]): row
        for row in books.rows("SELECT * FROM raw.landed_files WHERE status = 'landed' AND feed = 'usage'")
    }
    taxed: dict[tuple[str, str], list[Row]] = {}
    for row in books.rows(TAXED):
        taxed.setdefault((row["tenant_id"], row["period"]), []).append(row)
    found = []
    for tenant, told in sorted(truth["tenants"].items()):
        for period, month in sorted(told["months"].items()):
            usage = month["delivered"]["usage"]
            mine = [row for row in charged if (row["tenant_id"], row["period"]) == (tenant, period)]
            landed = [files[tenant, name] for name in usage["files"] if (tenant, name) in files]
            if not mine and not landed:
                continue  # not delivered yet
            lines, taxes = taxed.get((tenant, period), []), month["taxes"]
            wrong = [row for row in lines if not _rightly_taxed(row, taxes)] if taxes else []
            later = [row for row in adjusted if (row["tenant_id"], row["period"]) == (tenant, period)]
            found.append(
                Comparison(
                    tenant,
                    period,
                    (sum(row["charges"] for row in mine), month["charges"]),
                    (sum(row["rows_accepted"] for row in landed), usage["accepted"]),
                    (sum(row["rows_quarantined"] for row in landed), usage["quarantined"]),
                    (sum(row["rows_duplicate"] for row in landed), usage["duplicates"]),
                    _amounts(mine, month["bill"]),
                    _amounts(later, month["adjusted"] if mine else {}),
                    (sum(row["n"] for row in lines) - sum(row["n"] for row in wrong), sum(row["n"] for row in lines)),
                    _mistaxed(wrong[0], taxes) if wrong else None,
                )  # fmt: skip
            )
    return found


def _rightly_taxed(row: Row, taxes: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether lines carry what their account's say; of a held document all lines wait, whatever they would have carried."""
    true = taxes.get(row["account_id"], {})
    ours, theirs = row["carries"], true.get(row["product_id"], true.get("*"))
    waits = true.get("*", "").split(": ")[-1].startswith("held ")
    return bool(ours == theirs or (waits and ours == f"{row['legal_entity_id']}: held with_its_document"))


def _mistaxed(row: Row, taxes: Mapping[str, Mapping[str, str]]) -> str:
    true = taxes.get(row["account_id"], {})
    return (
        f"{row['account_id']} {row['product_id']}: {row['carries']}, should be {true.get(row['product_id'], true.get('*'))}"
    )


def _amounts(rows: Sequence[Row], true: Mapping[str, Row]) -> dict[str, tuple[Decimal, Decimal]]:
    """By currency: what was computed beside what is true."""
    computed = {row["currency"]: row["amount"] for row in rows}
    truth = {currency: Decimal(part["amount"]) for currency, part in true.items()}
    return {c: (computed.get(c) or Decimal(0), truth.get(c, Decimal(0))) for c in sorted({*computed, *truth})}

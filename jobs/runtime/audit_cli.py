"""countinghouse audit: what was known when, who did it, and whether it adds up. Answers from Delta, without Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Optional

import typer
from rich.tree import Tree

from jobs.runtime import audit, identities, shown, trace
from jobs.runtime.errors import CallError, Refused
from jobs.runtime.trace import Chain

app = typer.Typer(no_args_is_help=True, help=__doc__)
trace_app = typer.Typer(no_args_is_help=True, help="From a document back to the rows it came from.")
app.add_typer(trace_app, name="trace")

TableName = Annotated[str, typer.Argument(help="schema.table, like invoicing.invoices.")]
Tenant = Annotated[Optional[str], typer.Option("--tenant", help="Hold everything to this tenant.")]  # noqa: UP045
Json = Annotated[bool, typer.Option("--json", help="For machines: everything, ids in full.")]
Full = Annotated[bool, typer.Option("--full", help="Show ids in full.")]

CUT = "…"


@app.command()
def history(
    table: TableName,
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option(help="The newest so many versions.")] = 20,
    json: Json = False,
    full: Full = False,
) -> None:
    """Every version of a table: when, by whom, for which run and why, and whether it may be seen."""
    rows = audit.history(table, tenant, limit)
    if json:
        _tell(shown.as_json(rows))
        return
    columns = [
        "version",
        "at",
        "operation",
        "stage",
        "period",
        "run_id",
        "attempt",
        "actor",
        "reason",
        "tenants",
        "rows_added",
        "publication",
    ]
    if any(row["dag_run_id"] for row in rows):
        columns.insert(8, "dag_run_id")
    _tell(shown.table([_without_padding(row) for row in rows], columns, full))


@app.command("as-of")
def as_of(
    table: TableName,
    version: Annotated[Optional[int], typer.Option(help="A version from the history.")] = None,  # noqa: UP045
    at: Annotated[Optional[str], typer.Option(help="2026-11-01 (the end of that day) or 2026-11-01T12:00; UTC.")] = None,  # noqa: UP045
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option(help="So many rows; all are counted.")] = 20,
    where: Annotated[Optional[list[str]], typer.Option("--where", help="COLUMN=VALUE; may be repeated.")] = None,  # noqa: UP045
    json: Json = False,
    full: Full = False,
) -> None:
    """The rows of a table as a reader saw them then. Personal columns are masked."""
    found = audit.as_of(table, version, at, tenant, limit, where or ())
    if json:
        facts = {"table": found.table, "version": found.version, "committed_at": found.committed.at, "total": found.total}
        _tell(shown.as_json(facts | {"rows": found.rows}))
        return
    run = found.committed.note.get("run_id") or found.committed.note.get("reason") or found.committed.operation
    _tell(
        f"{found.table} version {found.version}, committed {found.committed.at:%Y-%m-%d %H:%M:%S} UTC ({run}): {found.total:,} rows."
    )
    _tell(shown.table(found.rows, _with_values(found.rows, found.columns), full))
    if found.total > len(found.rows):
        _tell(f"{CUT} {found.total - len(found.rows):,} more; see --limit and --where.")


@app.command()
def diff(
    table: TableName,
    older: Annotated[int, typer.Option("--from", help="The earlier version.")],
    newer: Annotated[int, typer.Option("--to", help="The later version.")],
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option(help="So many examples of each kind; all are counted.")] = 5,
    json: Json = False,
    full: Full = False,
) -> None:
    """Rows added, removed and changed between two versions, by the table's key; the run columns do not count."""
    found = audit.diff(table, older, newer, tenant, limit)
    if json:
        _tell(shown.as_json(found))
        return
    counts = ", ".join(f"{count:,} {what}" for what, count in found.counts.items())
    _tell(f"{found.table}, version {found.older} to {found.newer}, by {', '.join(found.key)}: {counts}.")
    for column, count in sorted(found.changed_columns.items()):
        _tell(f"  {column} changed in {count:,} rows")
    for what, rows in (("added", found.added), ("removed", found.removed)):
        if rows:
            _tell(f"\n{what}, e.g.\n{shown.table(rows, _with_values(rows, list(rows[0])), full)}")
    if found.changed:
        flat = [{name: _old_new(value, full) for name, value in row.items()} for row in found.changed]
        _tell("\nchanged, e.g.\n" + shown.table(flat, list(dict.fromkeys(name for row in flat for name in row)), full))


@app.command()
def verify(
    period: Annotated[Optional[str], typer.Option("--period", help="Only this month, like 2026-10.")] = None,  # noqa: UP045
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Recompute the conservation identities over what is published; exit code 1 when one does not hold."""
    findings = identities.verify(period, tenant)
    broken = [finding for finding in findings if not finding.holds]
    if json:
        _tell(shown.as_json([asdict(finding) | {"holds": finding.holds} for finding in findings]))
    else:
        for identity in identities.IDENTITIES:
            _tell(_line_of(identity, [finding for finding in findings if finding.identity == identity.name]))
        if reserved := identities.reserved_only(tenant):
            _tell(
                f"note: {reserved:,} numbers are reserved for documents that are not issued yet; the next run of their stage issues them."
            )
    if broken:
        names = sorted({finding.identity for finding in broken})
        raise Refused(
            f"{len(names)} of {len(identities.IDENTITIES)} identities do not hold ({'; '.join(names)}), e.g. "
            f"{broken[0].example} of tenant {broken[0].tenant_id}. Nothing was changed. Trace the example, then see docs/audit-guide.md."
        )


def _line_of(identity: identities.Identity, findings: Sequence[identities.Finding]) -> str:
    compared = sum(finding.compared for finding in findings)
    if not findings:
        return f"nothing yet  {identity.name}"
    tenants = f"{len(findings)} tenant{'s' if len(findings) != 1 else ''}"
    broken = [finding for finding in findings if not finding.holds]
    if not broken:
        return f"holds        {identity.name}: {compared:,} {identity.compared} of {tenants}"
    told = [f"DOES NOT HOLD {identity.name}: {sum(f.broken for f in broken):,} of {compared:,} {identity.compared}"]
    told += [f"             {f.tenant_id}: {f.broken:,}, e.g. {f.example}" for f in broken]
    return "\n".join(told)


@trace_app.command("invoice")
def trace_invoice(
    invoice: Annotated[str, typer.Argument(help="Its number, its id, or how its id begins.")],
    tenant: Tenant = None,
    lines: Annotated[int, typer.Option(help="Show so many lines; all are checked.")] = 5,
    rows: Annotated[int, typer.Option(help="Show so many usage rows of each charge; all are added up.")] = 4,
    json: Json = False,
    full: Full = False,
) -> None:
    """From an invoice to its lines, charges, usage rows and files, to its number and its journal entry."""
    if lines < 0 or rows < 0:
        raise CallError("--lines and --rows are counts, 0 or more.")
    chain = trace.invoice(invoice, tenant)
    _tell(shown.as_json(chain) if json else shown.render(_tree(chain, lines, rows, full), 400))
    if chain.problems:
        raise Refused(f"{len(chain.problems)} things do not add up: {'; '.join(chain.problems[:3])}. Nothing was changed.")


def _tree(chain: Chain, most_lines: int, most_rows: int, full: bool) -> Tree:
    head = chain.invoice

    def text(value: Any) -> str:
        return shown.cell(value, full)

    currency = head["currency"]
    root = Tree(
        f"{head['document_type'].replace('_', ' ')} {head['invoice_number']} of {head['tenant_id']}: {text(head['gross_amount'])} {currency}"
    )
    root.add(
        f"id {text(head['invoice_id'])}, account {head['account_id']} ({head['customer_country']}), sold by {head['legal_entity_id']}"
    )
    root.add(f"month {head['period']:%Y-%m}, issued {head['issue_date']}, due {head['due_date']}")
    root.add(
        f"net {text(head['net_amount'])} + tax {text(head['tax_amount'])} = gross {text(head['gross_amount'])} {currency}"
    )
    if chain.register:
        register = chain.register
        root.add(f"number register: {register['series']} {register['fiscal_year']}, number {register['number']}")
    taxes = root.add(f"taxes ({len(chain.taxes)})")
    for tax in chain.taxes:
        named = " ".join(filter(None, (tax["tax_category"], tax["tax_component"])))
        taxes.add(
            f"{named} {text(tax['tax_rate'] * 100)} % of {text(tax['taxable_amount'])} = {text(tax['tax_amount'])} by {tax['tax_rule']}"
        )
    lines = root.add(f"lines ({len(chain.lines)})")
    for line in chain.lines[:most_lines]:
        _line(lines, line, currency, most_rows, text)
    if len(chain.lines) > most_lines:
        lines.add(f"{CUT} {len(chain.lines) - most_lines} more lines, checked alike; see --lines")
    files = root.add(f"files ({len(chain.files)})")
    for file in chain.files:
        files.add(
            f"{file['feed']}/{file['file_name']}: {text(file['rows_read'])} rows, sha256 {text(file['content_sha256'])}, "
            f"mapping {file['mapping_version']}"
        )
    entries = root.add("journal" if chain.journal else "journal: not posted yet")
    for entry in chain.journal:
        side = "debit" if entry["debit"] else "credit"
        entries.add(
            f"entry {text(entry['entry_id'])} line {entry['line_no']}, {entry['posting_date']}: {side} {text(entry[side])} {entry['currency']} "
            f"{entry['ledger_account']} by {entry['rule_id']}"
        )
    for item in chain.open_items:
        entries.add(
            f"open item: {text(item['open_amount'])} of {text(item['original_amount'])} {item['currency']}, due {item['due_date']}"
        )
    runs = root.add("made by")
    for made in chain.made_by:
        airflow = f", DAG run {made['dag_run_id']}" if made.get("dag_run_id") else ""
        runs.add(
            f"{made['table']} version {made.get('version')}: run {made.get('run_id')} attempt {made.get('attempt')} by {made.get('actor')}{airflow}"
        )
    charges = len([line for line in chain.lines if line["charge"]])
    sums = root.add("everything adds up" if not chain.problems else "DOES NOT ADD UP")
    if chain.problems:
        for problem in chain.problems:
            sums.add(problem)
    else:
        usage = sum(len(line["charge"]["usage"]) for line in chain.lines if line["charge"])
        sums.add(
            f"{len(chain.lines)} lines = net, {len(chain.taxes)} taxes = tax, {usage} usage rows = quantities of {charges} charges"
        )
    return root


def _line(lines: Tree, line: dict[str, Any], currency: str, most_rows: int, text: Any) -> None:
    branch = lines.add(
        f"line {line['line_no']}: {line['product_id']}, {text(line['quantity'])} {line['unit'] or ''}".rstrip()
        + f" = {text(line['line_amount'])} {currency} (before rounding {text(line['rated_amount'])}), "
        f"tax {line['tax_category']} {text(line['tax_rate'] * 100)} %"
    )
    if line["tax_reason"]:
        branch.add(f"taxed by {line['tax_rule']}: {line['tax_reason']}")
    charge = line["charge"]
    if line.get("corrects_charge_id"):
        branch.add(f"corrects the line of charge {text(line['corrects_charge_id'])}, of {line['service_period']:%Y-%m}")
    if charge is None and line.get("corrects_charge_id"):
        return  # somebody asked for it: no charge of this month is behind it
    if charge is None:
        branch.add(f"charge {text(line['charge_id'])} WAS NOT FOUND")
        return
    how = f"price {charge['price_id']}" if charge["price_id"] else "the price on each record"
    if charge["carried_from"]:
        branch.add(
            f"charge {text(charge['charge_id'])} of {charge['service_period']:%Y-%m}, carried forward from {charge['carried_from']}: "
            f"{charge['reason']} ({charge['reason_code']})"
        )
        return
    of_usage = f"{text(charge['quantity'])} from {charge['usage_rows']} rows"
    what = of_usage if charge["kind"] == "usage" else charge["kind"]  # a fee, a discount: no usage makes it
    rate = charge["exchange_rate"]
    at = "" if rate is None else f" {currency}, from {charge['price_currency']} at {text(rate)} of {charge['rate_date']}"
    part = branch.add(f"charge {text(charge['charge_id'])} by {how}: {what} = {text(charge['amount'])}{at}")
    for price in charge["price"]:
        until = f" until {price['valid_to']}" if price["valid_to"] else ""
        revision = f" revision {price['revision']}" if price["revision"] else ""
        revision += " (withdrawn)" if price["withdrawn"] else ""
        part.add(
            f"price {price['price_id']}{revision} {price['parameters']} {price['currency']} from {price['valid_from']}{until}: "
            f"{price['file_name']} row {price['row_number']}"
        )
    for credit in charge["credit"]:
        until = f" until {credit['valid_to']}" if credit["valid_to"] else ""
        part.add(
            f"credit {credit['credit_id']} of {text(credit['amount'])} {credit['currency']} to {credit['account_id']} from "
            f"{credit['valid_from']}{until}: {credit['file_name']} row {credit['row_number']}"
        )
    for row in charge["usage"][:most_rows]:
        unit_price = f" at {text(row['unit_price'])}" if row["unit_price"] is not None else ""
        revision = f" revision {row['revision']}" if row["revision"] else ""
        part.add(
            f"{text(row['usage_start'])} UTC {text(row['quantity'])}{unit_price}: "
            f"record {text(row['record_id'])}{revision}, {row['file_name']} row {row['row_number']}"
        )
    if len(charge["usage"]) > most_rows:
        part.add(f"{CUT} {len(charge['usage']) - most_rows} more rows; see --rows")
    if charge["adjusts"]:
        came = f"{len(charge['usage'])} late records" + (
            f", {len(charge['price'])} changed prices" if charge["price"] else ""
        )
        part.add(f"adjusts {charge['adjusts']}: rated again with {came}, less what was billed")
        return
    part.add(
        f"{len(charge['usage'])} rows add up to {text(charge['usage_quantity'])}: "
        + ("as charged" if not charge["problem"] else "NOT WHAT WAS CHARGED")
    )


def _with_values(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> list[str]:
    return [name for name in columns if any(row.get(name) is not None for row in rows)] or list(columns)


def _old_new(value: Any, full: bool) -> Any:
    if isinstance(value, dict) and set(value) == {"old", "new"}:
        return f"{shown.cell(value['old'], full) or '(none)'} -> {shown.cell(value['new'], full) or '(none)'}"
    return value


def _without_padding(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value if value != "" else None for name, value in row.items()}


def _tell(text: str) -> None:
    """The answer, on standard output."""
    typer.echo(text)

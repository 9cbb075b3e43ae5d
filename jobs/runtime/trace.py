"""From an invoice back to the rows of the files it came from, each step with the table version and the run that made it.

A charge is traced against what its run saw: the publications whose fingerprints it names as inputs, not what has landed
since. Personal columns are never read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from jobs.runtime import ops
from jobs.runtime.books import Books, Row, known, known_tenant, literal
from jobs.runtime.errors import CallError
from jobs.runtime.ops import Publication, Unit
from jobs.stages import BILLING_AGGREGATION, INGESTION, INVOICE_GENERATION, WRITER_OF

CHARGED = ("billing.charges", "billing.adjustments", "invoicing.carried_forward")  # what a line's charge may come from
SHORTEST_ID = 6  # so many characters of an id name it, if no other begins alike

OF_PRICE = "price_id, product_id, parameters, currency, region, valid_from, valid_to, revision, withdrawn, landing_id, row_number, publication_id"

HELD = """
CREATE TEMP TABLE held AS
SELECT * FROM (
    SELECT * FROM raw.prices
    WHERE publication_id IN (SELECT publication_id FROM seen WHERE lane = 'prices')
      AND landing_id NOT IN (
          SELECT replaces_landing_id FROM raw.landed_files
          WHERE replaces_landing_id IS NOT NULL AND publication_id IN (SELECT publication_id FROM seen WHERE lane = 'files'))
    QUALIFY row_number() OVER (PARTITION BY price_id ORDER BY coalesce(revision, 0) DESC, landing_id DESC, row_number DESC) = 1
) WHERE withdrawn IS NOT TRUE
"""

PRICED = """
CREATE TEMP TABLE priced AS
WITH replaced AS (
    SELECT replaces_landing_id AS landing_id FROM raw.landed_files
    WHERE replaces_landing_id IS NOT NULL AND publication_id IN (SELECT publication_id FROM seen WHERE lane IN ('files', 'usage'))
), month AS (
    SELECT *, unit_price IS NOT NULL AND currency IN (SELECT price_currency FROM charged WHERE model = 'price_on_record') AS is_converted
    FROM raw.usage
    WHERE period = $period AND publication_id IN (SELECT publication_id FROM seen WHERE lane = 'usage')
), higher AS (
    SELECT record_id, revision FROM month
    WHERE revision > 0 AND landing_id NOT IN (SELECT landing_id FROM replaced)
      AND record_id IN (SELECT record_id FROM month WHERE account_id = $account)
), standing AS (
    SELECT u.*, u.unit_price IS NOT NULL AS on_record,
           CASE WHEN u.unit_price IS NOT NULL AND NOT u.is_converted THEN u.currency ELSE $account_currency END AS billed_currency,
           timezone(coalesce(u.billing_zone, $timezone), u.usage_start)::date AS day
    FROM month u
    WHERE u.account_id = $account AND u.withdrawn IS NOT TRUE
      AND u.landing_id NOT IN (SELECT landing_id FROM replaced)
      AND NOT EXISTS (SELECT 1 FROM higher h WHERE h.record_id = u.record_id AND h.revision > coalesce(u.revision, 0))
), listed AS (
    SELECT p.*, p.currency AS billed_in, 4 + if(p.account_id IS NULL, 0, 2) + if(p.region IS NULL, 0, 1) AS rank
    FROM held p WHERE p.model <> 'price_on_record'
    UNION ALL
    SELECT p.*, $account_currency AS billed_in, if(p.account_id IS NULL, 0, 2) + if(p.region IS NULL, 0, 1) AS rank
    FROM held p WHERE p.model <> 'price_on_record' AND p.currency IN (SELECT price_currency FROM charged)
), choice AS (
    SELECT u.landing_id, u.row_number, u.usage_start, max_by(p.price_id, p.rank) AS price_id
    FROM standing u JOIN listed p
      ON p.product_id = u.product_id AND p.billed_in = u.billed_currency
     AND p.valid_from <= u.day AND (p.valid_to IS NULL OR u.day < p.valid_to)
     AND (p.region IS NULL OR p.region = u.region) AND (p.account_id IS NULL OR p.account_id = u.account_id)
    WHERE NOT u.on_record
    GROUP BY ALL
)
SELECT u.record_id, u.revision, u.usage_start, u.product_id, u.region, u.unit, u.quantity, u.unit_price, u.billed_currency,
       CASE WHEN u.is_converted THEN u.currency END AS recorded_currency, u.on_record, u.day, u.landing_id, u.row_number, u.publication_id, c.price_id
FROM standing u LEFT JOIN choice c USING (landing_id, row_number, usage_start)
"""

MATCHED = """
SELECT c.charge_id, u.record_id, u.revision, u.usage_start, u.day, u.quantity, u.unit_price, u.landing_id, u.row_number,
       u.publication_id
FROM charged c JOIN priced u
  ON u.product_id = c.product_id AND u.region IS NOT DISTINCT FROM c.region AND u.unit IS NOT DISTINCT FROM c.unit
 AND u.billed_currency = c.currency AND c.kind = 'usage' AND u.on_record = (c.model = 'price_on_record')
 AND (u.on_record OR u.price_id IS NOT DISTINCT FROM c.price_id)
 AND (NOT u.on_record OR u.recorded_currency IS NOT DISTINCT FROM c.price_currency)
ORDER BY u.usage_start, u.record_id
"""


@dataclass(frozen=True)
class Chain:
    """One invoice and everything it came from and went to."""

    invoice: Row
    register: Row | None
    taxes: tuple[Row, ...]
    lines: tuple[Row, ...]  # each with its charge, and the charge with its usage rows, price and sum check
    files: tuple[Row, ...]
    journal: tuple[Row, ...]
    open_items: tuple[Row, ...]
    made_by: tuple[Row, ...]  # table, version, run, actor, DAG run of every step
    problems: tuple[str, ...]  # what does not add up; empty when everything does


def invoice(asked: str, tenant: str | None = None) -> Chain:
    """Trace one invoice, named by its number, its id or the beginning of its id."""
    known_tenant(tenant)
    known("invoicing.invoices")
    with Books(tenant) as books:
        books.open("invoicing.invoices")
        header = _find(books, asked)
    with Books(header["tenant_id"]) as books:
        return _chain(books, header)


def _find(books: Books, asked: str) -> Row:
    """The invoice meant; several or none is a wrong call."""
    prefix = " OR starts_with(invoice_id, $asked)" if len(asked) >= SHORTEST_ID else ""
    found = books.rows(
        f"SELECT * FROM invoicing.invoices WHERE invoice_number = $asked OR invoice_id = $asked{prefix} ORDER BY tenant_id, invoice_id",
        {"asked": asked},
    )
    if len(found) == 1:
        return found[0]
    if found:
        told = ", ".join(f"{row['tenant_id']} {row['invoice_number']}" for row in found[:5])
        raise CallError(f"'{asked}' names {len(found)} invoices ({told}). Say which with --tenant, or with more of its id.")
    near = books.rows(
        "SELECT tenant_id, invoice_number FROM invoicing.invoices WHERE invoice_number IS NOT NULL "
        "ORDER BY levenshtein(invoice_number, ?), tenant_id, invoice_number LIMIT 1",
        [asked],
    )
    hint = (
        f"the nearest is {near[0]['invoice_number']} of tenant {near[0]['tenant_id']}."
        if near
        else "none has been issued yet."
    )
    raise CallError(
        f"there is no invoice '{asked}' {'of tenant ' + books.tenant if books.tenant else 'of any tenant'}; {hint}"
    )


def _chain(books: Books, header: Row) -> Chain:
    tenant, period, invoice_id = header["tenant_id"], header["period"], header["invoice_id"]
    month = f"{period:%Y-%m}"
    tables = (
        "invoicing.invoice_lines", "invoicing.invoice_taxes", "invoicing.carried_forward", "invoicing.number_register", "ledger.journal_lines",
        "ledger.open_items", "raw.landed_files", "raw.usage", "raw.prices", "raw.accounts", "raw.credits",
    )  # fmt: skip
    books.open(*tables)
    publications = ops.all_publications()
    issued = _by_id(publications, header["publication_id"])
    charged = _input(publications, issued, "billing.charges", Unit(BILLING_AGGREGATION.name, tenant, month))
    for name in ("billing.charges", "billing.adjustments", "billing.late_usage", "billing.late_prices"):
        version = next((t.version for t in charged.tables if t.name == name), None) if charged else None
        books.open_as(name, name, version)
    mine = f"period = DATE '{period}' AND invoice_id = {literal(invoice_id)}"
    lines = books.rows(f"SELECT * FROM invoicing.invoice_lines WHERE {mine} ORDER BY line_no")
    taxes = books.rows(f"SELECT * FROM invoicing.invoice_taxes WHERE {mine} ORDER BY tax_category, tax_component, tax_rate")
    register = books.rows(f"SELECT * FROM invoicing.number_register WHERE {mine}")
    posted = f"document_id = {literal(invoice_id)}"
    moved = f"{posted} OR source_id = {literal(invoice_id)}"  # a correction moves what its original has open
    journal = books.rows(f"SELECT * FROM ledger.journal_lines WHERE {moved} ORDER BY posting_date, entry_id, line_no")
    items = books.rows(f"SELECT * FROM ledger.open_items WHERE {posted} ORDER BY period DESC LIMIT 1")
    charges = _charges(books, header, publications, charged) | _adjustments(books, header) | _carried(books, header)
    _name_credits(books, charges)
    every = [row for charge in charges.values() for row in (*charge["usage"], *charge["price"], *charge["credit"])]
    files = _files(books, every)
    for line in lines:
        line["charge"] = charges.get(line["charge_id"])
    problems = [*_sums(header, lines, taxes, journal, items), *(c["problem"] for c in charges.values() if c["problem"])]
    if not register:
        problems.append("the number register does not know this invoice")
    steps = {
        "invoicing.invoices": {header["publication_id"]},
        **{
            table: {charge["publication_id"] for charge in charges.values() if _table_of(charge) == table}
            for table in CHARGED
        },
        "raw.usage": {row["publication_id"] for charge in charges.values() for row in charge["usage"]},
        "raw.credits": {row["publication_id"] for charge in charges.values() for row in charge["credit"]},
        "raw.prices": {row["publication_id"] for charge in charges.values() for row in charge["price"]},
        "ledger.journal_lines": {row["publication_id"] for row in journal},
    }
    made_by = [_made_by(publications, table, found, tenant) for table, ids in steps.items() for found in sorted(ids)]
    return Chain(
        header, register[0] if register else None, tuple(taxes), tuple(lines), tuple(files), tuple(journal), tuple(items),
        tuple(made_by), tuple(problems),
    )  # fmt: skip


def _charges(books: Books, header: Row, publications: Sequence[Publication], charged: Publication | None) -> dict[str, Row]:
    """The charges on the invoice, by id, each with the usage rows and the price that made it."""
    from jobs.ledger.tenants import tenants

    tenant, period = header["tenant_id"], header["period"]
    seen = [
        (found, lane)
        for lane, key in (("usage", f"{period:%Y-%m}"), ("prices", "all"), ("accounts", "all"))
        for found in _seen(publications, charged, f"raw.{lane}", Unit(INGESTION.name, tenant, key, lane))
    ]
    seen += [(p.publication_id, "files") for p in publications if charged is None or p.order < charged.order]
    books.connection.execute("CREATE TEMP TABLE seen (publication_id VARCHAR, lane VARCHAR)")
    if seen:
        books.connection.executemany("INSERT INTO seen VALUES (?, ?)", [list(pair) for pair in seen])
    books.connection.execute(
        "CREATE TEMP TABLE charged AS SELECT * FROM billing.charges WHERE period = $period AND charge_id IN "
        "(SELECT charge_id FROM invoicing.invoice_lines WHERE period = $period AND invoice_id = $invoice)",
        {"period": period, "invoice": header["invoice_id"]},
    )
    account = books.rows(
        "SELECT currency FROM raw.accounts WHERE account_id = ? AND publication_id IN (SELECT publication_id FROM seen WHERE "
        "lane = 'accounts') AND landing_id NOT IN (SELECT replaces_landing_id FROM raw.landed_files WHERE replaces_landing_id "
        "IS NOT NULL) ORDER BY valid_from DESC NULLS LAST, landing_id, row_number LIMIT 1",
        [header["account_id"]],
    )
    books.connection.execute(HELD)
    known_tenants = tenants()
    books.connection.execute(
        PRICED,
        {
            "period": period,
            "account": header["account_id"],
            "account_currency": account[0]["currency"] if account else None,
            "timezone": known_tenants[tenant].timezone if tenant in known_tenants else "UTC",
        },
    )
    charges: dict[str, Row] = {
        row["charge_id"]: row | {"usage": [], "price": [], "adjusts": None, "carried_from": None}
        for row in books.rows("SELECT * FROM charged ORDER BY charge_id")
    }
    for row in books.rows(MATCHED):
        charges[row.pop("charge_id")]["usage"].append(row)
    prices = books.rows(f"SELECT {OF_PRICE} FROM held WHERE price_id IN (SELECT price_id FROM charged) ORDER BY price_id")
    for charge in charges.values():
        charge["price"] = [price for price in prices if price["price_id"] == charge["price_id"]]
        found = sum((row["quantity"] for row in charge["usage"]), Decimal(0))
        charge["usage_quantity"], charge["sum_holds"] = found, found == charge["quantity"]
        same_count = len(charge["usage"]) == charge["usage_rows"]
        charge["problem"] = None
        if not charge["sum_holds"] or not same_count:
            charge["problem"] = (
                f"charge {charge['charge_id'][:12]} bills {charge['quantity']:f} from {charge['usage_rows']} rows, but "
                f"{len(charge['usage'])} usage rows with {found:f} were found"
            )
    return charges


def _adjustments(books: Books, header: Row) -> dict[str, Row]:
    """The adjustments on the invoice, by id, each with the late records, and the changed prices, of its account, product and month."""
    mine = {"period": header["period"], "invoice": header["invoice_id"]}
    found = books.rows(
        "SELECT a.* FROM billing.adjustments a SEMI JOIN (SELECT charge_id FROM invoicing.invoice_lines WHERE period = $period "
        "AND invoice_id = $invoice) USING (charge_id) WHERE a.period = $period ORDER BY charge_id",
        mine,
    )
    late = books.rows(
        "SELECT u.record_id, u.revision, u.usage_start, u.quantity, u.unit_price, u.landing_id, u.row_number, u.publication_id, "
        "u.product_id, l.adjusts_period FROM billing.late_usage l JOIN raw.usage u "
        "ON u.period = l.adjusts_period AND u.landing_id = l.landing_id AND u.row_number = l.row_number "
        "WHERE l.period = $period AND l.account_id = $account AND l.outcome = 'adjusted' ORDER BY u.usage_start, u.record_id",
        {"period": header["period"], "account": header["account_id"]},
    )
    prices = books.rows(
        f"SELECT p.*, l.adjusts_period FROM billing.late_prices l JOIN (SELECT {OF_PRICE} FROM raw.prices) p "
        "ON p.landing_id = l.landing_id AND p.row_number = l.row_number "
        "WHERE l.period = $period AND l.account_id = $account AND l.outcome = 'adjusted' ORDER BY p.price_id",
        {"period": header["period"], "account": header["account_id"]},
    )

    def of(row: Row, told: list[Row]) -> list[Row]:
        return [one for one in told if all(one[key] == row[key] for key in ("product_id", "adjusts_period"))]

    return {
        row["charge_id"]: row | {
            "usage": of(row, late), "price": of(row, prices), "adjusts": f"{row['adjusts_period']:%Y-%m}", "problem": None,
            "carried_from": None,
        }
        for row in found
    }  # fmt: skip


def _table_of(charge: Row) -> str:
    """The table that a charge was taken from."""
    return CHARGED[2] if charge["carried_from"] else CHARGED[1] if charge["adjusts"] else CHARGED[0]


def _carried(books: Books, header: Row) -> dict[str, Row]:
    """The charges on the invoice that earlier months have carried forward, by id; their usage is that of the month they belong to."""
    found = books.rows(
        "SELECT c.* FROM invoicing.carried_forward c SEMI JOIN (SELECT charge_id FROM invoicing.invoice_lines WHERE period = $period "
        "AND invoice_id = $invoice) USING (charge_id) WHERE c.period < $period "
        "QUALIFY row_number() OVER (PARTITION BY charge_id ORDER BY c.period DESC) = 1 ORDER BY charge_id",
        {"period": header["period"], "invoice": header["invoice_id"]},
    )
    return {
        row["charge_id"]: row | {
            "usage": [], "price": [], "credit_id": None, "exchange_rate": None, "usage_rows": 0, "adjusts": None, "problem": None,
            "carried_from": f"{row['period']:%Y-%m}",
        }
        for row in found
    }  # fmt: skip


def _name_credits(books: Books, charges: dict[str, Row]) -> None:
    """Give every charge the credit that pays it, as it stands now."""
    named = sorted({charge["credit_id"] for charge in charges.values() if charge["credit_id"]})
    found = books.rows(
        "SELECT credit_id, account_id, amount, currency, valid_from, valid_to, reason, revision, landing_id, row_number, publication_id "
        "FROM raw.credits WHERE credit_id IN (SELECT unnest(?)) "
        "QUALIFY row_number() OVER (PARTITION BY credit_id ORDER BY revision DESC, landing_id DESC, row_number DESC) = 1",
        [named or [""]],
    )
    for charge in charges.values():
        charge["credit"] = [row for row in found if row["credit_id"] == charge["credit_id"]]


def _files(books: Books, rows: Sequence[Row]) -> list[Row]:
    """The landed files that rows came from; rows get file_name and content_sha256 beside their row number."""
    found = books.rows(
        "SELECT landing_id, feed, file_name, content_sha256, mapping_version, bytes, rows_read, publication_id FROM raw.landed_files "
        "WHERE landing_id IN (SELECT unnest(?)) ORDER BY feed, file_name",
        [sorted({row["landing_id"] for row in rows}) or [""]],
    )
    by_landing = {file["landing_id"]: file for file in found}
    for row in rows:
        file = by_landing.get(row["landing_id"], {})
        row["file_name"], row["content_sha256"] = file.get("file_name"), file.get("content_sha256")
    return found


def _sums(
    header: Row, lines: Sequence[Row], taxes: Sequence[Row], journal: Sequence[Row], items: Sequence[Row]
) -> list[str]:
    """What does not add up between header, lines, taxes and journal."""
    nothing = Decimal(0)
    net = sum((line["line_amount"] for line in lines), nothing)
    tax = sum((row["tax_amount"] for row in taxes), nothing)
    told = []
    if net != header["net_amount"]:
        told.append(f"the lines add up to {net:f}, the invoice says net {header['net_amount']:f}")
    if tax != header["tax_amount"]:
        told.append(f"the taxes add up to {tax:f}, the invoice says {header['tax_amount']:f}")
    if header["net_amount"] + header["tax_amount"] != header["gross_amount"]:
        told.append(f"net and tax are not gross {header['gross_amount']:f}")
    debit, credit = (sum((row[side] for row in journal), nothing) for side in ("debit", "credit"))
    if debit != credit:
        told.append(f"the journal entry debits {debit:f} and credits {credit:f}")
    issued = [row for row in journal if row["ledger_account"] == "accounts_receivable" and row["event"].endswith("_issued")]
    own = [row for row in issued if row["source_id"] == header["invoice_id"]]
    receivable, opened = (sum((row["debit"] - row["credit"] for row in rows), nothing) for rows in (own, issued))
    if journal and receivable != header["gross_amount"]:
        told.append(f"{receivable:f} was posted as receivable, the invoice is {header['gross_amount']:f}")
    is_correction = header.get("original_invoice_id") is not None  # it has no item of its own
    if journal and not is_correction and sum((row["original_amount"] for row in items), nothing) != opened:
        told.append("the open item does not start at the invoice's gross amount and what corrects it")
    return told


def _by_id(publications: Sequence[Publication], publication_id: str) -> Publication | None:
    return next((p for p in reversed(publications) if p.publication_id == publication_id), None)


def _input(publications: Sequence[Publication], made: Publication | None, table: str, unit: Unit) -> Publication | None:
    """The publication of `unit` whose fingerprint `made` names as its input; the latest where it names none."""
    own = [p for p in publications if p.unit == unit]
    named = made.inputs.get(table) if made else None
    return next((p for p in own if p.fingerprint == named), own[-1] if own else None)


def _seen(publications: Sequence[Publication], made: Publication | None, table: str, unit: Unit) -> list[str]:
    """The publications of an ever growing unit up to the one that `made` names as its input."""
    last = _input(publications, made, table, unit)
    return [p.publication_id for p in publications if p.unit == unit and last and p.order <= last.order]


def _made_by(publications: Sequence[Publication], table: str, publication_id: str, tenant: str) -> Row:
    """Who made a publication of a table, and when, as a row."""
    found = next(
        (p for p in publications if p.publication_id == publication_id and p.unit.tenant_id == tenant), None
    ) or _by_id(publications, publication_id)
    told: dict[str, Any] = {
        "table": table,
        "publication_id": publication_id,
        "stage": WRITER_OF.get(table, INVOICE_GENERATION.name),
    }
    if found:
        version = next((t.version for t in found.tables if t.name == table), None)
        told |= {
            "version": version, "run_id": found.run_id, "attempt": found.attempt, "actor": found.actor,
            "dag_run_id": found.dag_run_id, "code_version": found.code_version, "configuration_hash": found.configuration_hash,
        }  # fmt: skip
    return told

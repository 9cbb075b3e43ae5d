"""The conservation identities (law 11), recomputed over what is published: exact decimals, one query each, no Spark.

Each query returns, per tenant, how many things were compared, how many do not hold, and one example id. Every table is read
whole; a stage that has not published a month yet is left out of what compares with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.ledger.periods import Period
from jobs.runtime import ops
from jobs.runtime.books import Books, known_tenant, literal
from jobs.runtime.ops import Publication, Unit
from jobs.stages import BILLING_AGGREGATION, INGESTION, INVOICE_GENERATION, LEDGER_POSTING

LANDED = tuple(
    name for name in INGESTION.outputs if name.startswith("raw.") and name not in ("raw.landed_files", "raw.quarantine")
)


def records_of(table: str) -> str:
    """How the records of a landed table are counted: usage may stand in parts."""
    return "count(*) FILTER (part_of IS NULL OR part_of.part = 1)" if table == "raw.usage" else "count(*)"


@dataclass(frozen=True)
class Identity:
    """Something that has to be equal."""

    name: str
    tables: tuple[str, ...]
    compared: str  # what is counted, in words
    query: str  # returns tenant_id, example, holds; {month} holds it to one month


@dataclass(frozen=True)
class Finding:
    """How an identity stands for one tenant."""

    identity: str
    tenant_id: str
    compared: int
    counted: str
    broken: int
    example: str | None

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against it."""
        return self.broken == 0


IDENTITIES: tuple[Identity, ...] = (
    Identity(
        "rows read = accepted + quarantined + duplicates", ("raw.landed_files",), "files",
        """
        SELECT tenant_id, landing_id AS example,
               coalesce(rows_read = rows_accepted + rows_quarantined + rows_duplicate, false) AS holds
        FROM raw.landed_files WHERE status = 'landed'
        """,
    ),
    Identity(
        "rows in the tables = rows in the files' accounts",
        ("raw.landed_files", "raw.quarantine", *LANDED), "files",
        f"""
        WITH accepted AS (
            {" UNION ALL ".join(f"SELECT tenant_id, landing_id, {records_of(table)} AS n FROM {table} GROUP BY ALL" for table in LANDED)}
        ), refused AS (SELECT tenant_id, landing_id, count(*) AS n FROM raw.quarantine GROUP BY ALL)
        SELECT f.tenant_id, f.landing_id AS example,
               coalesce(f.rows_accepted = coalesce(a.n, 0) AND f.rows_quarantined = coalesce(q.n, 0), false) AS holds
        FROM raw.landed_files f LEFT JOIN accepted a USING (tenant_id, landing_id) LEFT JOIN refused q USING (tenant_id, landing_id)
        """,
    ),
    Identity(
        "accepted usage = charged quantity", ("raw.usage", "raw.landed_files", "billing.charges"), "products and months",
        """
        WITH standing AS (
            SELECT u.* FROM raw.usage u SEMI JOIN charged_from s USING (tenant_id, period, publication_id)
            ANTI JOIN (SELECT f.tenant_id, f.replaces_landing_id AS landing_id FROM raw.landed_files f WHERE f.replaces_landing_id IS NOT NULL) r
              USING (tenant_id, landing_id)
        ), higher AS (
            SELECT tenant_id, period, record_id, max(revision) AS revision FROM standing WHERE revision > 0 GROUP BY ALL
        ), accepted AS (
            SELECT s.tenant_id, s.period, s.product_id, sum(s.quantity) AS quantity, count(*) AS n
            FROM standing s LEFT JOIN higher h USING (tenant_id, period, record_id)
            WHERE s.withdrawn IS NOT TRUE AND coalesce(s.revision, 0) >= coalesce(h.revision, 0) GROUP BY ALL
        ), charged AS (
            SELECT tenant_id, period, product_id, sum(quantity) AS quantity, sum(usage_rows)::bigint AS n
            FROM billing.charges WHERE {month} AND usage_rows > 0 GROUP BY ALL
        )
        SELECT tenant_id, product_id || ' in ' || strftime(period, '%Y-%m') AS example,
               coalesce(a.quantity = c.quantity AND a.n = c.n, false) AS holds
        FROM accepted a FULL OUTER JOIN charged c USING (tenant_id, period, product_id)
        """,
    ),
    Identity(
        "every charge and adjustment stands on one invoice line at its amount, or is carried forward",
        ("billing.charges", "billing.adjustments", "invoicing.invoice_lines", "invoicing.carried_forward"), "charges",
        """
        WITH billed AS (
            SELECT tenant_id, period, charge_id, amount FROM billing.charges SEMI JOIN issued USING (tenant_id, period) WHERE {month}
            UNION ALL
            SELECT tenant_id, period, charge_id, amount FROM billing.adjustments SEMI JOIN issued USING (tenant_id, period) WHERE {month}
        ), told AS (
            SELECT tenant_id, period, charge_id, rated_amount AS amount, corrects_charge_id AS corrects FROM invoicing.invoice_lines WHERE {month}
            UNION ALL
            SELECT tenant_id, period, charge_id, amount, NULL FROM invoicing.carried_forward WHERE {month}
        ), before AS (
            SELECT t.tenant_id, t.period, t.charge_id, max_by(c.amount, c.period) AS amount
            FROM told t JOIN invoicing.carried_forward c ON c.tenant_id = t.tenant_id AND c.charge_id = t.charge_id AND c.period < t.period
            GROUP BY ALL
        ), due AS (SELECT * FROM billed UNION ALL SELECT * FROM before
        ), found AS (
            SELECT tenant_id, period, charge_id, sum(amount) AS amount, count(*) AS times, max(corrects) AS corrects FROM told GROUP BY ALL
        )
        SELECT tenant_id, charge_id AS example, coalesce(d.amount = f.amount AND f.times = 1, false) AS holds
        FROM due d FULL OUTER JOIN found f USING (tenant_id, period, charge_id)
        WHERE d.amount IS NOT NULL OR f.corrects IS NULL  -- a correction that somebody asked for bills no charge
        """,
    ),
    Identity(
        "what was carried forward is issued once at most", ("invoicing.invoice_lines", "invoicing.carried_forward"), "charges",
        """
        SELECT tenant_id, charge_id AS example, count(l.charge_id) <= 1 AS holds
        FROM (SELECT DISTINCT tenant_id, charge_id FROM invoicing.carried_forward WHERE {month}) c
        LEFT JOIN invoicing.invoice_lines l USING (tenant_id, charge_id) GROUP BY ALL
        """,
    ),
    Identity(
        "lines = invoice net", ("invoicing.invoices", "invoicing.invoice_lines"), "invoices",
        """
        WITH lines AS (
            SELECT tenant_id, invoice_id, sum(line_amount) AS net, count(*) AS n, count(DISTINCT currency) AS currencies
            FROM invoicing.invoice_lines WHERE {month} GROUP BY ALL
        ), headers AS (SELECT tenant_id, invoice_id, invoice_number, net_amount, line_count FROM invoicing.invoices WHERE {month})
        SELECT tenant_id, coalesce(h.invoice_number, invoice_id) AS example,
               coalesce(l.net = h.net_amount AND l.n = h.line_count AND l.currencies = 1, false) AS holds
        FROM headers h FULL OUTER JOIN lines l USING (tenant_id, invoice_id)
        """,
    ),
    Identity(
        "net + taxes = invoice gross", ("invoicing.invoices", "invoicing.invoice_lines", "invoicing.invoice_taxes"), "invoices",
        """
        WITH taxes AS (
            SELECT tenant_id, invoice_id, sum(tax_amount) AS tax, sum(taxable_amount) AS taxable
            FROM invoicing.invoice_taxes WHERE {month} GROUP BY ALL
        ), taxed AS (  -- every line once for each component of its tax
            SELECT tenant_id, invoice_id, sum(line_amount * coalesce(len(line_taxes), 1)) AS lines
            FROM invoicing.invoice_lines WHERE {month} GROUP BY ALL
        ), headers AS (
            SELECT tenant_id, invoice_id, invoice_number, net_amount, tax_amount, gross_amount FROM invoicing.invoices WHERE {month}
        )
        SELECT tenant_id, coalesce(h.invoice_number, invoice_id) AS example,
               coalesce(t.tax = h.tax_amount AND t.taxable = n.lines AND h.net_amount + h.tax_amount = h.gross_amount, false) AS holds
        FROM headers h FULL OUTER JOIN taxes t USING (tenant_id, invoice_id) LEFT JOIN taxed n USING (tenant_id, invoice_id)
        """,
    ),
    Identity(
        "FOCUS files = the invoices they name", ("invoicing.focus_files", "invoicing.invoices"), "files",
        """
        WITH files AS (
            SELECT tenant_id, period, format, file_path, billed_cost, unnest(invoice_numbers) AS invoice_number
            FROM invoicing.focus_files WHERE {month}
        ), invoices AS (
            SELECT tenant_id, period, format, invoice_number, gross_amount
            FROM invoicing.invoices JOIN (SELECT DISTINCT tenant_id, period, format FROM invoicing.focus_files) USING (tenant_id, period)
            WHERE {month}
        )
        SELECT tenant_id, coalesce(f.file_path, invoice_number) AS example,
               coalesce(max(f.billed_cost) = sum(i.gross_amount) AND count(*) = count(i.gross_amount), false) AS holds
        FROM files f FULL OUTER JOIN invoices i USING (tenant_id, period, format, invoice_number) GROUP BY 1, 2, format
        """,
    ),
    Identity(
        "numbers run from 1 without gap or repeat", ("all_numbers",), "series",
        """
        SELECT tenant_id, legal_entity_id || ' ' || series || ' ' || fiscal_year AS example,
               min(number) = 1 AND max(number) = count(*) AND count(DISTINCT number) = count(*)
               AND count(DISTINCT invoice_id) = count(*) FILTER (void_reason IS NULL)
               AND count(DISTINCT invoice_number) = count(*) AS holds
        FROM all_numbers GROUP BY tenant_id, legal_entity_id, series, fiscal_year
        """,
    ),
    Identity(
        "every invoice has its number in the register", ("invoicing.invoices", "invoicing.number_register"), "invoices",
        """
        SELECT tenant_id, coalesce(i.invoice_number, r.invoice_number, invoice_id) AS example,
               coalesce(i.number = r.number AND i.invoice_number = r.invoice_number AND i.series = r.series
                        AND i.fiscal_year = r.fiscal_year AND i.legal_entity_id = r.legal_entity_id, false) AS holds
        FROM (SELECT * FROM invoicing.invoices WHERE {month}) i
        FULL OUTER JOIN (SELECT * FROM invoicing.number_register WHERE {month} AND void_reason IS NULL) r USING (tenant_id, invoice_id)
        """,
    ),
    Identity(
        "debits = credits", ("ledger.journal_lines",), "entries",
        """
        SELECT tenant_id, entry_id AS example, coalesce(sum(debit) = sum(credit) AND count(DISTINCT currency) = 1, false) AS holds
        FROM ledger.journal_lines WHERE {month} GROUP BY tenant_id, entry_id
        """,
    ),
    Identity(
        "every issued invoice is posted once, at its gross", ("invoicing.invoices", "ledger.journal_lines"), "invoices",
        """
        WITH receivable AS (
            SELECT tenant_id, source_id AS invoice_id, sum(debit - credit) AS amount FROM ledger.journal_lines
            WHERE ledger_account = 'accounts_receivable' AND {month}
              AND event IN ('invoice_issued', 'credit_note_issued', 'debit_note_issued', 'corrective_invoice_issued') GROUP BY ALL
        ), headers AS (
            SELECT tenant_id, invoice_id, invoice_number, gross_amount FROM invoicing.invoices SEMI JOIN posted USING (tenant_id, period)
            WHERE {month}
        )
        SELECT tenant_id, coalesce(h.invoice_number, invoice_id) AS example, coalesce(r.amount = h.gross_amount, h.gross_amount = 0) IS TRUE AS holds
        FROM headers h FULL OUTER JOIN receivable r USING (tenant_id, invoice_id)
        """,
    ),
    Identity(
        "every accepted payable is posted once, at its gross", ("payables.decisions", "ledger.journal_lines"), "payables",
        """
        WITH owed AS (
            SELECT tenant_id, document_id AS payable_id, sum(credit - debit) AS amount, count(DISTINCT entry_id) AS times
            FROM ledger.journal_lines WHERE event = 'payable_accepted' AND ledger_account = 'accounts_payable' AND {month} GROUP BY ALL
        ), accepted AS (
            SELECT d.tenant_id, d.payable_id, sum(d.gross_amount) AS gross FROM payables.decisions d
            SEMI JOIN posted p ON p.tenant_id = d.tenant_id AND p.period = date_trunc('month', d.period)
            WHERE d.decision = 'accept' AND {month_of_day} GROUP BY ALL
        )
        SELECT tenant_id, payable_id AS example, coalesce(o.amount = a.gross AND o.times = 1, a.gross = 0) IS TRUE AS holds
        FROM accepted a FULL OUTER JOIN owed o USING (tenant_id, payable_id)
        """,
    ),
    Identity(
        "a payment batch = its instructions", ("payables.payment_batches", "payables.payment_instructions"), "batches",
        """
        WITH paid AS (
            SELECT tenant_id, batch_id, sum(amount) AS amount, count(*) AS n, count(DISTINCT currency) AS currencies
            FROM payables.payment_instructions GROUP BY ALL
        )
        SELECT tenant_id, batch_id AS example,
               coalesce(b.control_sum = p.amount AND b.instruction_count = p.n AND p.currencies = 1, false) AS holds
        FROM payables.payment_batches b FULL OUTER JOIN paid p USING (tenant_id, batch_id)
        """,
    ),
    Identity(
        "only what was accepted is paid, and once", ("payables.payment_instructions", "payables.decisions"), "payables",
        """
        WITH paid AS (SELECT tenant_id, payable_id, count(*) AS times, sum(amount) AS amount FROM payables.payment_instructions GROUP BY ALL),
             accepted AS (SELECT tenant_id, payable_id, gross_amount FROM payables.decisions WHERE decision = 'accept')
        SELECT tenant_id, payable_id AS example, coalesce(p.times = 1 AND p.amount = a.gross_amount, false) AS holds
        FROM paid p LEFT JOIN accepted a USING (tenant_id, payable_id)
        """,
    ),
    Identity(
        "no receipt is applied beyond its amount", ("raw.bank_transactions", "cash.applications", "invoicing.prepayments"),
        "receipts with applications",
        """
        WITH spent AS (
            SELECT tenant_id, transaction_id, bank_account, amount FROM cash.applications
            UNION ALL SELECT tenant_id, transaction_id, bank_account, amount FROM invoicing.prepayments
        ), applied AS (SELECT tenant_id, transaction_id, bank_account, sum(amount) AS amount FROM spent GROUP BY ALL),
             received AS (SELECT DISTINCT tenant_id, transaction_id, bank_account, amount FROM raw.bank_transactions)
        SELECT tenant_id, transaction_id AS example, coalesce(a.amount <= r.amount AND a.amount >= 0, false) AS holds
        FROM applied a LEFT JOIN received r USING (tenant_id, transaction_id, bank_account)
        """,
    ),
    Identity(
        "prepaid amounts = what invoices took of receipts", ("invoicing.invoices", "invoicing.prepayments"), "invoices with prepaid amounts",
        """
        WITH taken AS (
            SELECT tenant_id, invoice_id, sum(amount) AS amount FROM invoicing.prepayments WHERE gives_back_id IS NULL AND {month} GROUP BY ALL
        ), headers AS (
            SELECT tenant_id, invoice_id, invoice_number, prepaid_amount FROM invoicing.invoices WHERE prepaid_amount <> 0 AND {month}
        )
        SELECT tenant_id, coalesce(h.invoice_number, invoice_id) AS example, coalesce(h.prepaid_amount = t.amount, false) AS holds
        FROM headers h FULL OUTER JOIN taken t USING (tenant_id, invoice_id)
        """,
    ),
    Identity(
        "what invoices took of receipts is posted once, and what goes back", ("invoicing.prepayments", "ledger.journal_lines"), "prepayments",
        """
        WITH moved AS (
            SELECT tenant_id, source_id AS prepayment_id, sum(credit - debit) AS amount, count(DISTINCT entry_id) AS times
            FROM ledger.journal_lines WHERE event IN ('prepayment_applied', 'prepayment_given_back')
              AND ledger_account = 'accounts_receivable' AND {month} GROUP BY ALL
        ), taken AS (
            SELECT tenant_id, prepayment_id, sum(amount) AS amount FROM invoicing.prepayments SEMI JOIN posted USING (tenant_id, period)
            WHERE {month} GROUP BY ALL
        )
        SELECT tenant_id, prepayment_id AS example, coalesce(m.amount = t.amount AND m.times = 1, false) AS holds
        FROM taken t FULL OUTER JOIN moved m USING (tenant_id, prepayment_id)
        """,
    ),
    Identity(
        "no document is paid beyond what it asks", ("ledger.journal_lines",), "documents that money was applied to",
        """
        SELECT tenant_id, document_id AS example, sum(debit - credit) >= 0 AS holds FROM ledger.journal_lines
        WHERE ledger_account = 'accounts_receivable' GROUP BY tenant_id, document_id HAVING bool_or(event IN ('cash_applied', 'prepayment_applied'))
        """,
    ),
    Identity(
        "received = applied + unapplied", ("ledger.journal_lines",), "currencies",
        """
        SELECT tenant_id, currency AS example,
               coalesce(sum(credit - debit) FILTER (ledger_account = 'unapplied_cash'), 0)
               = coalesce(sum(debit - credit) FILTER (ledger_account = 'bank' AND event = 'cash_received'), 0)
               - coalesce(sum(credit - debit) FILTER (ledger_account = 'accounts_receivable'
                                                      AND event IN ('cash_applied', 'prepayment_applied', 'prepayment_given_back')), 0) AS holds
        FROM ledger.journal_lines
        WHERE event IN ('cash_received', 'cash_applied', 'prepayment_applied', 'prepayment_given_back') GROUP BY tenant_id, currency
        """,
    ),
    Identity(
        "open items = control account", ("ledger.open_items", "ledger.journal_lines"),
        "control accounts of legal entities, months and currencies",
        """
        WITH control AS (
            SELECT p.tenant_id, p.period, j.ledger_account, j.legal_entity_id, j.currency,
                   sum(CASE j.ledger_account WHEN 'accounts_payable' THEN j.credit - j.debit ELSE j.debit - j.credit END) AS amount
            FROM posted p JOIN ledger.journal_lines j ON j.tenant_id = p.tenant_id AND j.period <= p.period
            WHERE j.ledger_account IN ('accounts_receivable', 'accounts_payable') GROUP BY ALL
        ), items AS (
            SELECT tenant_id, period, ledger_account, legal_entity_id, currency, sum(open_amount) AS amount
            FROM ledger.open_items GROUP BY ALL
        )
        SELECT tenant_id, ledger_account || ' ' || legal_entity_id || ' ' || strftime(period, '%Y-%m') || ' ' || currency AS example,
               coalesce(c.amount, 0) = coalesce(i.amount, 0) AS holds
        FROM control c FULL OUTER JOIN items i USING (tenant_id, period, ledger_account, legal_entity_id, currency) WHERE {month}
        """,
    ),
    Identity(
        "trial balance = journal, and adds up to zero", ("ledger.trial_balance", "ledger.journal_lines"), "legal entities, months and currencies",
        """
        WITH journal AS (
            SELECT tenant_id, period, legal_entity_id, currency, ledger_account, sum(debit) AS debit, sum(credit) AS credit
            FROM ledger.journal_lines WHERE {month} GROUP BY ALL
        ), balance AS (
            SELECT tenant_id, period, legal_entity_id, currency, ledger_account, debit, credit, balance
            FROM ledger.trial_balance WHERE {month}
        )
        SELECT tenant_id, legal_entity_id || ' ' || strftime(period, '%Y-%m') || ' ' || currency AS example,
               coalesce(bool_and(coalesce(j.debit = b.debit AND j.credit = b.credit AND b.balance = b.debit - b.credit, false))
                        AND sum(b.balance) = 0, false) AS holds
        FROM journal j FULL OUTER JOIN balance b USING (tenant_id, period, legal_entity_id, currency, ledger_account)
        GROUP BY tenant_id, period, legal_entity_id, currency
        """,
    ),
)  # fmt: skip


def verify(period: str | None = None, tenant: str | None = None) -> list[Finding]:
    """Every identity, per tenant; without a month, over all of them. Files and numbers belong to no month and are always whole."""
    known_tenant(tenant)
    month = f"period = DATE '{Period(period).first_day}'" if period else "true"
    month_of_day = month.replace("period =", "date_trunc('month', d.period) =")
    publications = [p for p in ops.all_publications() if tenant in (None, p.unit.tenant_id)]
    findings = []
    with Books(tenant) as books:
        _published(books, "issued", publications, INVOICE_GENERATION.name, period)
        _published(books, "posted", publications, LEDGER_POSTING.name, period)
        _charged_from(books, publications, period)
        for identity in IDENTITIES:
            books.open(*(name for name in identity.tables if "." in name))
            if "all_numbers" in identity.tables:
                _all_numbers(books)
            query = identity.query.replace("{month}", month).replace("{month_of_day}", month_of_day)
            for row in books.rows(
                "SELECT tenant_id, count(*) AS compared, count(*) FILTER (NOT holds) AS broken, "
                f"min(example) FILTER (NOT holds) AS example FROM ({query}) GROUP BY 1 ORDER BY 1"
            ):
                findings.append(
                    Finding(
                        identity.name, row["tenant_id"], row["compared"], identity.compared, row["broken"], row["example"]
                    )
                )
    return findings


def reserved_only(tenant: str | None = None) -> int:
    """How many numbers are reserved for documents whose publication is not complete; rolling it forward issues them."""
    with Books(tenant) as books:
        books.open("invoicing.number_register")
        _all_numbers(books)
        counted = books.one(
            "SELECT (SELECT count(*) FROM all_numbers) - (SELECT count(*) FROM invoicing.number_register) AS n"
        )
    return int(counted["n"])


def _all_numbers(books: Books) -> None:
    """The register with the numbers of incomplete publications: reserved is reserved."""
    from jobs.runtime import delta_log

    books.open("invoicing.number_register")
    table = delta_log.open_table("invoicing.number_register")
    if table is None:
        books.connection.execute("CREATE OR REPLACE TEMP VIEW all_numbers AS SELECT * FROM invoicing.number_register")
        return
    held = "true" if books.tenant is None else f"tenant_id = {literal(books.tenant)}"
    books.connection.register("all_numbers_read", table.to_pyarrow_dataset())
    # The register as declared goes first: what an earlier version of the house has made may lack a column.
    books.connection.execute(
        "CREATE OR REPLACE TEMP VIEW all_numbers AS SELECT * FROM invoicing.number_register WHERE false "
        f"UNION ALL BY NAME SELECT * FROM all_numbers_read WHERE {held}"
    )


def _published(books: Books, name: str, publications: Sequence[Publication], stage: str, period: str | None) -> None:
    """The tenants and months that a stage has published, as a table of the session."""
    units = sorted(
        {
            (p.unit.tenant_id, p.unit.period)
            for p in publications
            if p.unit.stage == stage and p.unit.lane == "main" and period in (None, p.unit.period)
        }
    )
    books.connection.execute(f"CREATE TEMP TABLE {name} (tenant_id VARCHAR, period DATE)")
    if units:
        books.connection.executemany(
            f"INSERT INTO {name} VALUES (?, ?)", [[tenant, Period(month).first_day] for tenant, month in units]
        )


def _charged_from(books: Books, publications: Sequence[Publication], period: str | None) -> None:
    """The publications of usage that each month's charges were made from: what landed later is not theirs to bill."""
    latest = {p.unit: p for p in publications}
    rows = []
    for unit, charged in latest.items():
        if unit.stage != BILLING_AGGREGATION.name or period not in (None, unit.period):
            continue
        usage = [p for p in publications if p.unit == Unit(INGESTION.name, unit.tenant_id, unit.period, "usage")]
        last = next(
            (p.order for p in usage if p.fingerprint == charged.inputs.get("raw.usage")), usage[-1].order if usage else -1
        )
        rows += [[unit.tenant_id, Period(unit.period).first_day, p.publication_id] for p in usage if p.order <= last]
    books.connection.execute("CREATE TEMP TABLE charged_from (tenant_id VARCHAR, period DATE, publication_id VARCHAR)")
    if rows:
        books.connection.executemany("INSERT INTO charged_from VALUES (?, ?, ?)", rows)

"""Thirteen months of a real retailer, landed by a mapping alone and billed by one backfill in Airflow: `make test-real`.

Not part of `make test`: it takes half an hour. Every figure is recomputed here from the files, in plain
Python with decimals. It writes artifacts/online-retail.md, the tables that docs/online-retail.md shows.
"""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from jobs.ledger.tenants import Column, tenants
from jobs.runtime import airflow_home, ops
from jobs.runtime.books import Books
from jobs.runtime.identities import verify
from jobs.stages import BILLING_AGGREGATION, INVOICE_GENERATION, LEDGER_POSTING
from tests.serving import READY_SECONDS, ours, served

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "online_retail"
FIGURES, TIMES = ROOT / "artifacts" / "online-retail.md", ROOT / "artifacts" / "online-retail-times.json"
PAGE = ROOT / "docs" / "online-retail.md"
TENANT = "online-retail"
MONTHS = ("2010-12", *(f"2011-{month:02d}" for month in range(1, 13)))
FIRST_DAY, LAST_DAY = "2010-12-01", "2011-12-31"
BILLED = (BILLING_AGGREGATION.name, INVOICE_GENERATION.name, LEDGER_POSTING.name)  # what a month of monthly_billing runs
REASON = "thirteen months of history"
INGEST_SECONDS, RUNS_SECONDS = 900, 3600
CENT = Decimal("0.01")

pytestmark = pytest.mark.skipif(
    not DATA.exists(),
    reason="the thirteen files of the retailer are not beside this checkout (../shared/data/online_retail)",
)


# --- what the files say -----------------------------------------------------------------------------------------------


Key = tuple[str, str]  # of a document: the customer, and the month of the invoice that it reverses, if it reverses one
RETURNS_MONTHS = 12  # so far back conf/invoice_generation.yaml looks for it


@dataclass
class Document:
    """What one customer gets for one month, or gets back of an earlier one."""

    country: str
    kind: str
    lines: int
    net: Decimal
    tax: Decimal


@dataclass
class Month:
    """One month, counted and added up."""

    read: dict[str, int] = field(default_factory=dict)  # by feed, as all of the following three
    accepted: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[tuple[str, str]] = field(default_factory=Counter)  # by feed and reason
    quantity: Decimal = Decimal(0)  # of all lines, the file's control total
    charged_net: Decimal = Decimal(0)  # quantity x price of accepted lines, not rounded
    charges: int = 0
    documents: dict[Key, Document] = field(default_factory=dict)
    taken_back: int = 0  # lines below nothing
    unnamed: int = 0  # of these, lines for which no invoice was found
    journal: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)  # ledger account -> debits, credits


UNION = (  # of the countries of the files, in 2010 and 2011
    "GB", "AT", "BE", "CY", "CZ", "DE", "DK", "ES", "FI", "FR", "GR", "IE", "IT", "LT", "MT", "NL", "PL", "PT", "SE", "EU",
)  # fmt: skip


def vat(country: str, month: str) -> Decimal:
    """What gb-seller charges: as at home in the Union, where no customer tells a VAT id, and nothing outside of it.

    Its tax point is the last day of the billed month; the rate rose on 2011-01-04.
    """
    if country not in UNION:
        return Decimal(0)
    year, number = int(month[:4]), int(month[5:])
    tax_point = date(year, number, monthrange(year, number)[1])
    return Decimal("0.175") if tax_point <= date(2011, 1, 3) else Decimal("0.20")


def cents(amount: Decimal) -> Decimal:
    """Rounded half away from zero."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def country_codes() -> dict[str, str]:
    """How the mapping reads the names of countries."""
    rule = tenants()[TENANT].feeds["accounts"].columns["country"]
    assert isinstance(rule, Column) and rule.map
    return rule.map


@dataclass
class Recomputed:
    """All files, read without the house."""

    months: dict[str, Month]
    cancelled: Counter[str]  # lines by month, with and without customer
    cancelled_charged: Counter[str]
    equal_lines: int  # lines that equal an earlier one to the letter
    names: set[str]  # of countries
    countries: dict[str, str]  # by customer


def recompute() -> Recomputed:
    codes = country_codes()
    said: dict[str, set[str]] = defaultdict(set)  # the countries a customer was ever named with
    found = Recomputed({}, Counter(), Counter(), 0, set(), {})
    seen: set[tuple[str, ...]] = set()
    left: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(
        dict
    )  # customer and product -> what is left of each month's line
    for number, name in enumerate(MONTHS):
        month = found.months[name] = Month()
        amounts: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        with gzip.open(DATA / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        month.read = {"accounts": len(rows), "usage": len(rows)}
        for row in rows:
            assert row["InvoiceDate"].startswith(name)
            customer, code = row["CustomerID"].removesuffix(".0"), codes[row["Country"]]
            is_cancelled = row["InvoiceNo"].startswith("C")
            found.names.add(row["Country"])
            found.cancelled[name] += is_cancelled
            found.equal_lines += tuple(row.values()) in seen
            seen.add(tuple(row.values()))
            month.quantity += Decimal(row["Quantity"])
            if not customer:
                for feed in month.read:
                    month.quarantined[feed, "account_id: missing"] += 1
                continue
            month.accepted["usage"] += 1
            found.cancelled_charged[name] += is_cancelled
            amount = Decimal(row["Quantity"]) * Decimal(row["UnitPrice"])
            month.charged_net += amount
            amounts[customer][row["StockCode"]] += amount
            if code in said[customer]:
                month.duplicates["accounts"] += 1
            elif said[customer]:
                conflict = "account_id: landed before with other content, and the revision is not higher"
                month.quarantined["accounts", conflict] += 1
            else:
                month.accepted["accounts"] += 1
                found.countries[customer] = code
            said[customer].add(code)
        for customer, products in amounts.items():
            country = found.countries[customer]
            grouped: dict[str, dict[str, Decimal]] = defaultdict(dict)
            for product, amount in products.items():
                of_lines, original = left[customer, product], ""
                if amount < 0:
                    earlier = MONTHS[max(0, number - RETURNS_MONTHS) : number]
                    original = max(
                        (m for m in earlier if of_lines.get(m, Decimal(0)) >= max(-cents(amount), CENT)), default=""
                    )
                    month.taken_back += 1
                    month.unnamed += not original
                if original:
                    of_lines[original] += cents(amount)
                grouped[original][product] = amount
            for original, lines in grouped.items():
                net = sum(map(cents, lines.values()), Decimal(0))
                is_credit = bool(original) or sum(lines.values(), Decimal(0)) < 0
                tax = cents(net * vat(country, original or name))
                month.documents[customer, original] = Document(
                    country, "credit_note" if is_credit else "invoice", len(lines), net, tax
                )
                if not is_credit:
                    for product, amount in lines.items():
                        left[customer, product][name] = cents(amount)
            month.charges += len(products)
        month.journal = journal_of(month.documents)
    return found


def journal_of(documents: dict[Key, Document]) -> dict[str, tuple[Decimal, Decimal]]:
    """Receivable against revenue and tax; what is less than nothing changes sides."""
    sides: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for document in documents.values():
        gross = document.net + document.tax
        for account, debit in (("accounts_receivable", gross), ("revenue", -document.net), ("tax_payable", -document.tax)):
            if debit:
                sides[account][debit < 0] += abs(debit)
    return {account: (debit, credit) for account, (debit, credit) in sides.items()}


# --- what the house says ----------------------------------------------------------------------------------------------


def booked() -> dict[str, Month]:
    """The same figures from the published tables."""
    months = {name: Month() for name in MONTHS}
    with Books(TENANT) as books:
        books.open(
            "raw.landed_files", "raw.quarantine", "billing.charges", "invoicing.invoices", "invoicing.invoice_lines",
            "ledger.journal_lines",
        )  # fmt: skip
        for row in books.rows("SELECT * FROM raw.landed_files"):
            assert row["status"] == "landed", row
            month, feed = months[row["file_name"].removesuffix(".csv.gz")], row["feed"]
            month.read[feed] = row["rows_read"]
            month.accepted[feed] += row["rows_accepted"]
            month.duplicates[feed] += row["rows_duplicate"]
            if feed == "usage":
                month.quantity = dict(row["control_totals"])["Quantity"]
        for row in books.rows(
            """
            SELECT file_name, feed, reason, count(*) AS n FROM (
                SELECT f.file_name, q.feed, unnest(q.reasons) AS reason
                FROM raw.quarantine q JOIN raw.landed_files f USING (landing_id)
            ) GROUP BY ALL
            """
        ):
            months[row["file_name"].removesuffix(".csv.gz")].quarantined[row["feed"], row["reason"]] = row["n"]
        for row in books.rows(
            "SELECT strftime(period, '%Y-%m') AS month, sum(amount) AS net, count(*) AS n FROM billing.charges GROUP BY 1"
        ):
            months[row["month"]].charged_net, months[row["month"]].charges = row["net"], row["n"]
        for row in books.rows(
            """
            SELECT i.*, strftime(i.period, '%Y-%m') AS month, coalesce(strftime(o.period, '%Y-%m'), '') AS original
            FROM invoicing.invoices i LEFT JOIN invoicing.invoices o ON o.invoice_id = i.original_invoice_id
            """
        ):
            assert row["gross_amount"] == row["net_amount"] + row["tax_amount"]
            documents, key = months[row["month"]].documents, (row["account_id"], row["original"])
            assert key not in documents, "one document per customer, month and month that is reversed"
            documents[key] = Document(
                row["customer_country"], row["document_type"], row["line_count"], row["net_amount"], row["tax_amount"]
            )
        for row in books.rows(
            "SELECT strftime(period, '%Y-%m') AS month, count(*) AS n, count(*) FILTER (corrects_charge_id IS NULL) AS unnamed "
            "FROM invoicing.invoice_lines WHERE rated_amount < 0 GROUP BY 1"
        ):
            months[row["month"]].taken_back, months[row["month"]].unnamed = row["n"], row["unnamed"]
        for row in books.rows(
            """
            SELECT strftime(period, '%Y-%m') AS month, ledger_account, sum(debit) AS debit, sum(credit) AS credit
            FROM ledger.journal_lines GROUP BY ALL
            """
        ):
            months[row["month"]].journal[row["ledger_account"]] = (row["debit"], row["credit"])
    return months


# --- Airflow, from start to stop --------------------------------------------------------------------------------------


def called(home: Path, module: str, *words: str) -> None:
    """A command of the page, which has to end well."""
    surroundings = ours(home, AIRFLOW_HOME=str(airflow_home.folder(home)))
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(command, env=surroundings, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-2000:])


@dataclass
class Api:
    """What Airflow itself says of its runs."""

    address: str
    token: str = ""

    def ask(self, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        request = urllib.request.Request(f"{self.address}{path}", json.dumps(body).encode() if body else None, headers)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=60) as answer:
            told = json.load(answer)
        assert isinstance(told, dict)
        return told

    def login(self) -> None:
        told = self.ask(
            "/auth/token", {"username": airflow_home.USER, "password": airflow_home.passwords()[airflow_home.USER]}
        )
        self.token = str(told["access_token"])

    def runs(self, dag_id: str, kind: str) -> dict[str, dict[str, Any]]:
        """The runs of one kind, by month."""
        try:
            told = self.ask(f"/api/v2/dags/{dag_id}/dagRuns?run_type={kind}&limit=50")
        except urllib.error.HTTPError as error:  # the token has a day to live, but is not worth a long night
            if error.code != 401:
                raise
            self.login()
            told = self.ask(f"/api/v2/dags/{dag_id}/dagRuns?run_type={kind}&limit=50")
        return {run["partition_key"] or run["conf"]["period"]: run for run in told["dag_runs"]}

    def tries(self, run: dict[str, Any]) -> dict[str, int]:
        """How often each task of a run was begun."""
        run_id = urllib.parse.quote(run["dag_run_id"], safe="")
        told = self.ask(f"/api/v2/dags/{run['dag_id']}/dagRuns/{run_id}/taskInstances?limit=50")
        return {task["task_id"]: task["try_number"] for task in told["task_instances"]}


@pytest.fixture(scope="module")
def serving(shared_home: Path) -> Iterator[Api]:
    """`countinghouse airflow` on this home, and a login to it."""
    with served(shared_home) as address:
        api = Api(address)
        api.login()
        yield api


def wait_for_runs(api: Api, dag_id: str, kind: str, months: tuple[str, ...], seconds: float) -> dict[str, str]:
    """The state of each month's run, once none is on its way any more."""
    began = time.monotonic()
    while True:
        states = {month: run["state"] for month, run in api.runs(dag_id, kind).items()}
        if set(months) <= set(states) and not {"queued", "running"} & set(states.values()):
            return states
        assert time.monotonic() - began < seconds, states
        time.sleep(3)


def wait_for_dags(api: Api) -> None:
    """Airflow has read the DAG files."""
    began = time.monotonic()
    while not {"ingest", "monthly_billing"} <= {dag["dag_id"] for dag in api.ask("/api/v2/dags?limit=50")["dags"]}:
        assert time.monotonic() - began < READY_SECONDS
        time.sleep(1)


@dataclass
class House:
    """The home after the backfill, as it is booked and as the files say it should be."""

    runs: dict[str, dict[str, Any]]
    states: dict[str, str]
    tries: dict[str, dict[str, int]]  # by month and task
    booked: dict[str, Month]
    files: Recomputed


@pytest.fixture(scope="module")
def house(serving: Api, shared_home: Path) -> House:
    """Everything that docs/online-retail.md tells a reader to do, command by command."""
    began = time.monotonic()
    files = [str(DATA / f"{month}.csv.gz") for month in MONTHS]
    for feed in ("accounts", "usage"):
        called(shared_home, "jobs.runtime", "land", feed, "--tenant", TENANT, *files)
    wait_for_dags(serving)
    told = {"period": MONTHS[-1], "tenants": [TENANT], "reason": REASON}
    called(shared_home, "airflow", "dags", "trigger", "ingest", "--conf", json.dumps(told))
    called(shared_home, "airflow", "dags", "unpause", "ingest")
    assert wait_for_runs(serving, "ingest", "manual", MONTHS[-1:], INGEST_SECONDS) == {MONTHS[-1]: "success"}
    ingested = time.monotonic()

    called(shared_home, "airflow", "dags", "unpause", "monthly_billing")
    called(
        shared_home, "airflow", "backfill", "create", "--dag-id", "monthly_billing", "--from-date", FIRST_DAY,
        "--to-date", LAST_DAY, "--max-active-runs", "1",
        "--dag-run-conf", json.dumps({"tenants": [TENANT], "reason": REASON}),
    )  # fmt: skip
    states = wait_for_runs(serving, "monthly_billing", "backfill", MONTHS, RUNS_SECONDS)
    ended = time.monotonic()
    TIMES.parent.mkdir(exist_ok=True)
    seconds = {"landing_and_ingest": round(ingested - began), "backfill": round(ended - ingested)}
    TIMES.write_text(json.dumps(seconds) + "\n")
    runs = serving.runs("monthly_billing", "backfill")
    tries = {month: serving.tries(run) for month, run in runs.items()}
    return House(runs, states, tries, booked(), recompute())


# --- what has to be so ------------------------------------------------------------------------------------------------


def test_one_backfill_ran_every_month_once_and_green(house: House):
    assert house.states == dict.fromkeys(MONTHS, "success")
    assert {run["triggered_by"] for run in house.runs.values()} == {"backfill"}
    again = [(month, task) for month, tasks in house.tries.items() for task, times in tasks.items() if times > 1]
    assert again == [], "a run that broke and was tried again hides its cause"
    published = {(unit.stage, unit.period): told for unit, told in ops.publications().items() if unit.stage in BILLED}
    assert set(published) == {(stage, month) for stage in BILLED for month in MONTHS}
    for (_, month), publication in published.items():
        assert publication.dag_run_id == house.runs[month]["dag_run_id"]
    reasons = {row["reason"] for row in ops.rows(ops.RUNS) if row["stage"] in BILLED and "backfill" in row["dag_run_id"]}
    assert reasons == {REASON}


def test_the_files_are_those_that_the_page_speaks_of(house: House):
    files = house.files
    assert sum(month.read["usage"] for month in files.months.values()) == 541_909
    assert sum(month.quarantined["usage", "account_id: missing"] for month in files.months.values()) == 135_080
    assert (sum(files.cancelled.values()), files.equal_lines, len(files.names)) == (9_288, 5_268, 38)


@pytest.mark.parametrize("month", MONTHS)
def test_every_line_of_a_file_is_accepted_or_quarantined_with_its_reason(house: House, month: str):
    found, expected = house.booked[month], house.files.months[month]
    assert found.read == expected.read
    assert found.quarantined == expected.quarantined
    assert {feed: found.accepted[feed] for feed in found.read} == {feed: expected.accepted[feed] for feed in expected.read}
    assert {feed: found.duplicates[feed] for feed in found.read} == {
        feed: expected.duplicates[feed] for feed in expected.read
    }
    assert found.quantity == expected.quantity


@pytest.mark.parametrize("month", MONTHS)
def test_charged_net_is_quantity_times_price_of_the_accepted_lines(house: House, month: str):
    found, expected = house.booked[month], house.files.months[month]
    assert found.charged_net == expected.charged_net
    assert found.charges == expected.charges


@pytest.mark.parametrize("month", MONTHS)
def test_what_is_taken_back_names_the_invoice_it_reverses_where_there_is_one(house: House, month: str):
    found, expected = house.booked[month], house.files.months[month]
    assert (found.taken_back, found.unnamed) == (expected.taken_back, expected.unnamed)
    assert month == MONTHS[0] or found.unnamed < found.taken_back


@pytest.mark.parametrize("month", MONTHS)
def test_every_customer_gets_one_document_with_the_vat_of_their_country(house: House, month: str):
    found, expected = house.booked[month].documents, house.files.months[month].documents
    assert Counter(document.country for document in found.values()) == Counter(d.country for d in expected.values())
    assert found == expected


@pytest.mark.parametrize("month", MONTHS)
def test_the_journal_of_a_month_balances_at_the_amounts_of_its_documents(house: House, month: str):
    found = house.booked[month].journal
    assert sum(debit for debit, _ in found.values()) == sum(credit for _, credit in found.values())
    assert found == house.files.months[month].journal


def test_vat_is_charged_at_two_rates_within_the_union_and_at_none_outside_of_it(house: House):
    with Books(TENANT) as books:
        books.open("invoicing.invoice_taxes", "invoicing.invoices")
        rows = books.rows(
            f"""
            SELECT DISTINCT i.customer_country IN {UNION} AS within, coalesce(o.period, i.period) < DATE '2011-01-01' AS old,
                t.tax_category, t.tax_rate
            FROM invoicing.invoice_taxes t JOIN invoicing.invoices i USING (invoice_id)
            LEFT JOIN invoicing.invoices o ON o.invoice_id = i.original_invoice_id
            """
        )
    assert sorted(tuple(row.values()) for row in rows) == [
        (False, False, "G", Decimal(0)),
        (False, True, "G", Decimal(0)),
        (True, False, "S", Decimal("0.20")),
        (True, True, "S", Decimal("0.175")),
    ]


def test_numbers_of_a_series_follow_the_dates_of_its_documents(house: House):
    """Months are issued in order, and numbers are taken when a month is issued."""
    with Books(TENANT) as books:
        books.open("invoicing.invoices")
        turned_back = books.one(
            """
            SELECT count(*) AS n FROM (
                SELECT issue_date < lag(issue_date) OVER (PARTITION BY series, fiscal_year ORDER BY number) AS is_earlier
                FROM invoicing.invoices
            ) WHERE is_earlier
            """
        )
    assert turned_back["n"] == 0


def test_every_identity_holds_over_all_months(house: House):
    findings = verify(tenant=TENANT)
    assert [finding for finding in findings if not finding.holds] == []
    assert all(finding.compared for finding in findings)


def test_the_page_shows_the_figures_of_this_run(house: House):
    figures = f"{by_month(house)}\n{by_country(house)}"
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(figures, encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    for table in (by_month(house), by_country(house)):
        assert table in page, f"docs/online-retail.md does not show the tables of {FIGURES.relative_to(ROOT)}"


# --- the tables -------------------------------------------------------------------------------------------------------


def by_month(house: House) -> str:
    """A row per month, and one for all of them."""
    rows = []
    for name, month in house.booked.items():
        documents = month.documents.values()
        rows.append(
            [
                month.read["usage"],
                sum(n for (feed, _), n in month.quarantined.items() if feed == "usage"),
                month.accepted["usage"],
                house.files.cancelled_charged[name],
                sum(document.kind == "invoice" for document in documents),
                sum(document.kind == "credit_note" for document in documents),
                sum(bool(original) for _, original in month.documents),
                month.taken_back,
                month.unnamed,
                month.charged_net,
                sum((document.net for document in documents), Decimal(0)),
                sum((document.tax for document in documents), Decimal(0)),
                sum((document.net + document.tax for document in documents), Decimal(0)),
                sum((debit for debit, _ in month.journal.values()), Decimal(0)),
            ]
        )
    titles = [
        "lines", "no customer", "charged", "of these cancelled", "invoices", "credit notes", "naming an invoice",
        "lines below nothing", "of these without one", "charged net", "invoiced net",
        "VAT", "gross", "debits = credits",
    ]  # fmt: skip
    total = [sum(column, type(column[0])(0)) for column in zip(*rows, strict=True)]
    return table("month", titles, {**dict(zip(MONTHS, rows, strict=True)), "**all**": total})


def by_country(house: House, shown: int = 10) -> str:
    """A row per country, the largest ones by name."""
    names: dict[str, str] = {}
    for name, code in country_codes().items():
        names.setdefault(code, name)
    every: dict[str, list[Any]] = {}
    customers: dict[str, set[str]] = defaultdict(set)
    for month in house.booked.values():
        for (customer, _), document in month.documents.items():
            customers[document.country].add(customer)
            row = every.setdefault(document.country, [0, 0, Decimal(0), Decimal(0), Decimal(0)])
            added = (1, document.net, document.tax, document.net + document.tax)
            row[1:] = [before + more for before, more in zip(row[1:], added, strict=True)]
            row[0] = len(customers[document.country])
    largest = sorted(every, key=lambda code: -every[code][2])
    rows = {names[code]: every[code] for code in largest[:shown]}
    rest = [every[code] for code in largest[shown:]]
    rows[f"{len(rest)} others"] = [sum(column, type(column[0])(0)) for column in zip(*rest, strict=True)]
    rows["**all**"] = [sum(column, type(column[0])(0)) for column in zip(*every.values(), strict=True)]
    return table("country", ["customers", "documents", "invoiced net", "VAT", "gross"], rows)


def table(first: str, titles: list[str], rows: dict[str, list[Any]]) -> str:
    """Rows as Markdown; amounts with their pence, and with more digits where they have them."""
    lines = [f"| {' | '.join([first, *titles])} |", f"|---|{'---:|' * len(titles)}"]
    lines += [f"| {' | '.join([name, *map(figure, row)])} |" for name, row in rows.items()]
    return "\n".join(lines) + "\n"


def figure(value: int | Decimal) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value.quantize(CENT):,}" if value == value.quantize(CENT) else f"{value.normalize():,f}"

"""Two months of a tenant whose customers pay before they are invoiced: landed, matched, issued, posted; cut short, overtaken, taken back.

The tests of this module are one story and run in the order they stand in; each says one thing about it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import yaml

from jobs.invoice_generation import exact_checks
from jobs.runtime import identities, ops
from jobs.runtime.books import visible_arrow
from jobs.runtime.config import ROOT
from jobs.runtime.errors import OutOfTurn, Superseded
from jobs.runtime.ops import Unit
from jobs.runtime.verbs import audit, publish, run_stage, write
from tests.builders import (
    ALPHA,
    asked,
    at_point,
    collected,
    conf_file,
    dies,
    dropped,
    goes_through,
    plain,
    published,
    tenant_conf,
)

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow

JULY, AUGUST = "2026-07", "2026-08"
IBANS = {n: f"GB{n}{n}BANK0000000000000{n}" for n in range(1, 6)}
ACCOUNTS = "account,name,country,currency,iban,street,city,zip\n" + "".join(
    f"a-{n},Somebody {n},GB,GBP,{iban},1 High Street,Leeds,LS1 1AA\n" for n, iban in IBANS.items()
)
PRICES = "price,product,currency,since,unit_price\np-1,storage,GBP,2026-01-01,1\n"
BANK = "id,account,booked,amount,currency,payer,text\n"
OURS = "GB29NWBK60161331926819"
SELLER = {
    "name": "Alpha Clouds Ltd", "tax_id": "GB123456789", "registration_number": "01234567", "email": "billing@alpha.example",
    "address": {"street": "1 Cloud Street", "city": "London", "postal_code": "EC1A 1AA"},
    "bank_accounts": [{"iban": OURS, "bic": "NWBKGB2L", "currency": "GBP"}],
}  # fmt: skip
ITEMS = {
    "document_id": "number", "account_id": "account", "legal_name": "name", "document_date": "day", "due_date": "due",
    "currency": {"constant": "GBP"}, "original_amount": "amount", "open_amount": "amount",
}  # fmt: skip
CORRECTIONS = ("correction_id", "invoice_number", "action", "requested_on", "amount", "share", "reason")


def money(number, amount, day, payer, text="thank you", currency="GBP"):
    return f"t-{number},{OURS},{day},{amount},{currency},{IBANS.get(payer, '')},{text}\n"


def usage(month, **units):
    rows = (f"{month}-{n},a-{n[1:]},storage,2026-{month}-10 12:00:00,{count}\n" for n, count in units.items())
    return "id,account,product,at,units\n" + "".join(rows)


def cash(day, key="cash"):
    return run_stage(asked("cash_matching", ALPHA, key=f"{key}-{day}", period=day))


def posted(month, key="post"):
    for lane in ("receipts", "main"):
        run_stage(replace(asked("ledger_posting", ALPHA, key=f"{key}-{month}-{lane}", period=month), lane=lane))


def asks(spark, month):
    return collected(
        published(spark, "invoicing.invoices", month).where("document_type = 'invoice'"),
        "account_id", "gross_amount", "prepaid_amount", "payable_amount",
    )  # fmt: skip


def left(day):
    rows = visible_arrow("cash.unapplied", tenant=ALPHA).to_pylist()
    return {row["transaction_id"]: plain(row["unapplied"]) for row in rows if str(row["period"]) == day}


def moved(spark, month):
    return collected(published(spark, "invoicing.prepayments", month), "account_id", "transaction_id", "amount")


def number_of(spark, account, month=JULY):
    rows = published(spark, "invoicing.invoices", month).where(f"account_id = '{account}' AND document_type = 'invoice'")
    return rows.collect()[0]["invoice_number"]


@pytest.fixture(scope="module")
def charged(spark, shared_home):
    """July is charged and its cash matched: five customers, and what came in by 3 August."""
    conf = tenant_conf(
        ALPHA,
        usage_columns={
            "record_id": "id",
            "account_id": "account",
            "product_id": "product",
            "usage_start": "at",
            "quantity": "units",
        },
    )
    conf["legal_entities"][0] |= SELLER
    conf["feeds"]["accounts"]["columns"] |= {"iban": "iban", "street": "street", "city": "city", "postal_code": "zip"}
    conf["feeds"] |= {
        "bank_transactions": {
            "columns": {
                "transaction_id": "id", "bank_account": "account", "booking_date": "booked", "value_date": "booked", "amount": "amount",
                "currency": "currency", "counterparty_iban": "payer", "remittance_text": "text",
            }
        },
        "open_items": {"columns": ITEMS},
        "invoice_corrections": {"columns": {name: name for name in CORRECTIONS}},
    }  # fmt: skip
    conf_file(shared_home, f"tenants/{ALPHA}.yaml", conf)
    policy = yaml.safe_load((ROOT / "conf" / "invoice_generation.yaml").read_text())
    policy["prepayments"] = [
        {"id": "on-account", "version": 3, "valid_from": "2026-08-01", "deduct": True, "tenants": [ALPHA]}
    ]
    policy["issue_control"][0] |= {"least_documents": 50, "amount_share": "100"}
    conf_file(shared_home, "invoice_generation.yaml", policy)
    dropped(shared_home, ALPHA, "accounts", "accounts.csv", ACCOUNTS)
    dropped(shared_home, ALPHA, "prices", "prices.csv", PRICES)
    dropped(shared_home, ALPHA, "usage", "july.csv", usage("07", a1=100, a2=200, a3=300, a4=400))
    received = [
        money(2, "30.00", "2026-07-06", 1), money(1, "50.00", "2026-07-05", 1), money(3, "300.00", "2026-07-07", 2),
        money(4, "77.00", "2026-07-08", 9, "Somebody 3 pays before"), money(5, "40.00", "2026-07-09", 3, currency="USD"),
        money(6, "99.00", "2026-08-02", 4), money(7, "-20.00", "2026-07-09", 3),
    ]  # fmt: skip
    dropped(shared_home, ALPHA, "bank_transactions", "july.csv", BANK + "".join(received))
    goes_through(JULY, "ingestion", "billing_aggregation")
    cash("2026-08-03")
    return shared_home


def test_what_is_on_account_is_told_apart_from_what_is_only_suggested(charged):
    rows = visible_arrow("cash.unapplied", tenant=ALPHA).to_pylist()
    assert {row["transaction_id"]: row["on_account"] for row in rows} == {
        "t-1": True, "t-2": True, "t-3": True, "t-4": False, "t-5": True, "t-6": True,
    }  # fmt: skip


def dying(at):
    """The issue of July dies at some point."""
    with pytest.MonkeyPatch.context() as patched:
        at_point(patched, at, dies)
        with pytest.raises(KeyboardInterrupt):
            goes_through(JULY, "invoice_generation")


@pytest.fixture(scope="module")
def begun(charged):
    """It dies when the rows stand in their table and nothing says so yet."""
    dying("publish:prepayments")
    return charged


def test_money_is_not_taken_by_what_nobody_completes(spark, begun):
    assert moved(spark, JULY) == []


@pytest.fixture(scope="module")
def cut_short(begun):
    """It goes on, and dies when it has taken the money and has no numbers yet; then a day of cash is matched."""
    dying("publish:frozen")
    cash("2026-08-04")
    return begun


def test_money_that_is_taken_is_gone_although_its_invoices_are_not_there_yet(spark, cut_short):
    assert asks(spark, JULY) == []
    assert left("2026-08-04") == {"t-3": "60", "t-4": "77", "t-5": "40", "t-6": "99"}
    broken = [finding for finding in identities.verify(tenant=ALPHA) if finding.broken]
    assert [finding.identity for finding in broken] == ["prepaid amounts = what invoices took of receipts"]


@pytest.fixture(scope="module")
def issued(cut_short):
    """July is issued and posted by the next run."""
    goes_through(JULY, "invoice_generation")
    posted(JULY)
    return cut_short


def test_the_next_run_issues_what_took_the_money(spark, issued):
    assert asks(spark, JULY) == [
        ("a-1", "120", "80", "40"), ("a-2", "240", "240", "0"), ("a-3", "360", "0", "360"), ("a-4", "480", "0", "480"),
    ]  # fmt: skip
    assert moved(spark, JULY) == [("a-1", "t-1", "50"), ("a-1", "t-2", "30"), ("a-2", "t-3", "240")]
    numbers = sorted(row["invoice_number"] for row in published(spark, "invoicing.invoices", JULY).collect())
    assert numbers == [f"A-2026-000000{n}" for n in range(1, 5)]
    (rule,) = {row["rule"] for row in published(spark, "invoicing.prepayments", JULY).collect()}
    assert rule == "on-account v3"


def test_the_receivable_is_what_is_still_to_pay(spark, issued):
    items = published(spark, "ledger.open_items", JULY)
    assert collected(items, "party_id", "original_amount", "open_amount") == [
        ("a-1", "120", "40"), ("a-2", "240", "0"), ("a-3", "360", "360"), ("a-4", "480", "480"),
    ]  # fmt: skip
    entries = published(spark, "ledger.journal_lines", JULY).where("event = 'prepayment_applied'")
    assert collected(entries.groupBy("ledger_account").sum("debit", "credit")) == [
        ("accounts_receivable", "0", "320"), ("unapplied_cash", "320", "0"),
    ]  # fmt: skip
    assert [finding for finding in identities.verify() if finding.broken] == []


def test_run_again_nothing_is_taken_twice(spark, issued):
    assert [outcome.status for outcome in goes_through(JULY, "invoice_generation")] == ["unchanged"]
    posted(JULY, "again")
    assert len(moved(spark, JULY)) == 3
    assert published(spark, "ledger.journal_lines", JULY).where("event = 'prepayment_applied'").count() == 6


def test_documents_show_it_and_pass_the_official_rules(spark, issued):
    run_stage(replace(asked("invoice_generation", ALPHA, key="paper", period=JULY, validated_share="1"), lane="documents"))
    rows = [row for row in visible_arrow("invoicing.documents").to_pylist() if row["format"] == "ubl"]
    assert [row["failed_rules"] for row in rows] == [[]] * 4
    said = {}
    for row in rows:
        totals = exact_checks.said((issued / "documents" / row["file_path"]).read_bytes()).totals
        said[row["invoice_number"]] = (totals.get("PrepaidAmount"), totals["PayableAmount"])
    paid = {number_of(spark, account): told for account, told in {"a-1": (80, 40), "a-2": (240, 0)}.items()}
    unpaid = {number_of(spark, account): (None, amount) for account, amount in {"a-3": 360, "a-4": 480}.items()}
    assert said == paid | unpaid


def test_the_rest_is_paid_once(spark, issued):
    number = number_of(spark, "a-1")
    rest = money(8, "40.00", "2026-08-05", 1, number) + money(9, "40.00", "2026-08-06", 1, number)
    dropped(issued, ALPHA, "bank_transactions", "rest.csv", BANK + rest)
    run_stage(asked("ingestion", ALPHA, key="rest"))
    cash("2026-08-05")
    assert "t-8" not in left("2026-08-05"), "what the invoice still asked for"
    cash("2026-08-06")
    assert left("2026-08-06")["t-9"] == "40", "the ledger has not heard of t-8 yet, and t-9 is not applied to what is paid"


@pytest.fixture(scope="module")
def overtaken(spark, issued):
    """August: drafts would take what a-4 has paid; cash matching finds the document that it was meant for before they are issued."""
    dropped(issued, ALPHA, "usage", "august.csv", usage("08", a1=10, a2=100, a4=50))
    text = f"{','.join(CORRECTIONS)}\nk-1,{number_of(spark, 'a-2')},cancel,2026-08-20,,,never ordered\n"
    dropped(issued, ALPHA, "invoice_corrections", "august.csv", text)
    dropped(issued, ALPHA, "bank_transactions", "old.csv", BANK + money(10, "25.00", "2026-08-01", 4, "OLD-4711"))
    run_stage(asked("ingestion", ALPHA, key="august"))
    goes_through(AUGUST, "billing_aggregation")
    cash("2026-08-31")
    call = asked("invoice_generation", ALPHA, key="august", period=AUGUST)
    write(call)
    audit(call)
    old = "number,account,name,day,due,amount\nOLD-4711,a-4,Somebody 4,2026-08-01,2026-08-31,25.00\n"
    dropped(issued, ALPHA, "open_items", "old.csv", old)
    run_stage(asked("ingestion", ALPHA, key="old"))
    posted(AUGUST, "old")
    cash("2026-09-01")
    waiting = asked("cash_matching", ALPHA, key="waits", period="2026-09-02")
    write(waiting)  # before the month is issued, and judged after it
    with pytest.MonkeyPatch.context() as patched:
        another_begins = partial(ops.register_attempt, [Unit("invoice_generation", ALPHA, AUGUST)])
        at_point(patched, "publish:frozen", another_begins)
        with pytest.raises(Superseded) as refused:
            publish(call)
    assert not isinstance(refused.value, OutOfTurn)
    goes_through(AUGUST, "invoice_generation")
    for verb in (audit, publish):
        verb(waiting)
    posted(AUGUST)


def test_drafts_whose_money_went_elsewhere_are_made_again_and_who_took_money_goes_on(spark, overtaken):
    assert asks(spark, AUGUST) == [("a-1", "12", "12", "0"), ("a-2", "120", "60", "60"), ("a-4", "60", "60", "0")]
    taken = [("a-1", "t-9", "12"), ("a-2", "t-3", "60"), ("a-4", "t-6", "60")]
    assert moved(spark, AUGUST) == [("a-1", "t-9", "12"), ("a-2", "t-3", "-240"), *taken[1:]]
    applied = visible_arrow("cash.applications", tenant=ALPHA).to_pylist()
    assert {row["transaction_id"]: row["document_id"] for row in applied}["t-10"] == "OLD-4711"


def test_a_day_of_cash_that_was_under_way_sees_what_was_taken(overtaken):
    assert left("2026-09-02") == {"t-3": "240", "t-4": "77", "t-5": "40", "t-6": "39", "t-9": "28"}


def test_what_is_taken_back_gives_its_money_back(spark, overtaken):
    """a-4 owes OLD-4711 beside July's invoice: it was paid in September."""
    items = published(spark, "ledger.open_items", AUGUST).groupBy("party_id").sum("open_amount")
    assert collected(items) == [("a-1", "0"), ("a-2", "60"), ("a-3", "360"), ("a-4", "505")]
    back = published(spark, "ledger.journal_lines", AUGUST).where("event = 'prepayment_given_back'")
    assert collected(back, "ledger_account", "debit", "credit") == [
        ("accounts_receivable", "240", "0"), ("unapplied_cash", "0", "240"),
    ]  # fmt: skip


def test_the_books_hold(overtaken):
    findings = identities.verify()
    assert [finding for finding in findings if finding.broken] == []
    compared = {finding.identity: finding.compared for finding in findings}
    assert compared["what invoices took of receipts is posted once, and what goes back"] == 7
    assert compared["prepaid amounts = what invoices took of receipts"] == 5


def test_what_was_given_back_is_there_for_the_next_invoice(spark, overtaken):
    assert goes_through(AUGUST, "invoice_generation")[0].status == "unchanged"
    spent = published(spark, "invoicing.prepayments").groupBy("transaction_id").sum("amount")
    assert dict(collected(spent)) == {"t-1": "50", "t-2": "30", "t-3": "60", "t-6": "60", "t-9": "12"}

"""From landing to applications through the real stages, day after day, with the ledger in between."""

from __future__ import annotations

import pytest

from jobs.runtime import ops
from jobs.runtime.books import visible_arrow
from jobs.runtime.errors import CallError, GateFailed, UpstreamMissing
from jobs.runtime.verbs import run_stage
from tests.builders import ALPHA, BETA, asked, conf_file, dropped, plain
from tests.ingestion.test_camt import balance, detail, entry, message

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow

ITEMS = (
    "number,account,name,day,due,amount\n"
    "INV-0001,a-1,Somebody,2026-06-10,2026-07-10,10.00\n"
    "INV-0002,a-1,Somebody,2026-06-11,2026-07-11,60.00\n"
    "INV-0003,a-2,Somebody Else,2026-06-12,2026-07-12,25.00\n"
)
OURS = "GB33BUKB20201555555555"


def conf(name: str, *accounts: str) -> dict[str, object]:
    """A British tenant whose statements are camt files and whose receivables come from another system."""
    own = [{"iban": account, "currency": "EUR"} for account in accounts]
    return {
        "tenant": name,
        "business_line": "cloud",
        "legal_entities": [
            {"id": f"{name}-uk", "country": "GB", "timezone": "UTC", "invoice_prefix": "A", "tax_policy": "gb-seller",
             "bank_accounts": own}
        ],
        "feeds": {
            "bank_transactions": {"format": "camt"},
            "open_items": {
                "columns": {
                    "document_id": "number", "account_id": "account", "legal_name": "name", "document_date": "day", "due_date": "due",
                    "currency": {"constant": "EUR"}, "original_amount": "amount", "open_amount": "amount",
                }
            },
        },
    }  # fmt: skip


def text(words: str) -> str:
    return detail(text=f"<Ustrd>{words}</Ustrd>")


def statement(day: str, number: str, *entries: str, opening: str = "100.00", closing: str = "110.00") -> bytes:
    balances = balance("OPBD", opening, day) + balance("CLBD", closing, day)
    return message(*entries, balances=balances, id=number).replace(b"2026-07-10", day.encode())


def matched(day: str, *tenants: str, key: str = "match"):
    """A run of the day."""
    return run_stage(asked("cash_matching", *tenants, key=f"{key}-{day}", period=day))


def rows(table: str, *columns: str, tenant: str = ALPHA) -> list[tuple[object, ...]]:
    found = visible_arrow(table, tenant=tenant).to_pylist()
    return sorted(
        tuple(plain(row[c]) if "amount" in c or c in ("applied", "unapplied") else str(row[c]) for c in columns)
        for row in found
    )


def test_day_after_day_each_receipt_is_applied_once_and_the_ledger_follows(spark, home):
    conf_file(home, f"tenants/{ALPHA}.yaml", conf(ALPHA, OURS))
    dropped(home, ALPHA, "open_items", "june.csv", ITEMS)
    held = statement("2026-07-10", "S-9", entry("25.00", details=text("INV-0003"), ref="H-1"), closing="126.00")
    dropped(home, ALPHA, "bank_transactions", "held.xml", held)
    first = statement("2026-07-10", "S-1", entry("10.00", details=text("INV-0001")))
    dropped(home, ALPHA, "bank_transactions", "first.xml", first)
    run_stage(asked("ingestion", ALPHA))
    reasons = [row["reasons"] for row in visible_arrow("raw.quarantine", tenant=ALPHA).to_pylist()]
    assert reasons == [["statement S-9: closing balance is not opening plus entries"]]

    run_stage(asked("ledger_posting", ALPHA, period="2026-06"))
    assert matched("2026-07-10", ALPHA).status == "done"
    assert rows("cash.applications", "transaction_id", "document_id", "amount", "rule") == [
        ("B-1", "INV-0001", "10", "exact_reference")
    ]
    assert rows("cash.unapplied", "transaction_id") == [], "of the statement that is held nothing is known"
    again = matched("2026-07-10", ALPHA, key="again")
    assert (again.status, len(rows("cash.applications", "application_id"))) == ("unchanged", 1)

    second = statement(
        "2026-07-11", "S-2", entry("35.00", details=text("thanks INV-0002"), ref="B-2"), entry("10.00", details=text("INV-0001"), ref="B-3"),
        opening="110.00", closing="155.00",
    )  # fmt: skip
    dropped(home, ALPHA, "bank_transactions", "second.xml", second)
    mended = statement("2026-07-10", "S-9b", entry("25.00", details=text("INV-0003"), ref="H-1"), closing="125.00")
    dropped(home, ALPHA, "bank_transactions", "mended.xml", mended)
    run_stage(asked("ingestion", ALPHA, key="more"))
    matched("2026-07-11", ALPHA)
    assert rows("cash.applications", "period", "transaction_id", "document_id", "amount") == [
        ("2026-07-10", "B-1", "INV-0001", "10"),
        ("2026-07-11", "H-1", "INV-0003", "25"),
    ]
    assert rows("cash.unapplied", "period", "transaction_id", "unapplied", "reason") == [
        ("2026-07-11", "B-2", "35", "amount differs from what is open by 25.00 EUR"),
        ("2026-07-11", "B-3", "10", "reference names no open document, payer unknown"),
    ]
    assert rows("cash.suggestions", "transaction_id", "rank", "document_ids", "amount") == [
        ("B-2", "1", "['INV-0002']", "35")
    ]

    run_stage(asked("ledger_posting", ALPHA, key="july"))
    july = [
        row for row in visible_arrow("ledger.open_items", tenant=ALPHA).to_pylist() if str(row["period"]) == "2026-07-01"
    ]
    assert {row["document_id"]: plain(row["open_amount"]) for row in july} == {
        "INV-0001": "0",
        "INV-0002": "60",
        "INV-0003": "0",
    }
    matched("2026-07-12", ALPHA)
    assert len(rows("cash.applications", "application_id")) == 2, (
        "the ledger has told what it was told, and nothing is applied twice"
    )
    assert {row[0] for row in rows("cash.unapplied", "period")} == {"2026-07-11", "2026-07-12"}


def test_money_on_an_account_of_nobody_waits_and_is_counted(spark, home):
    conf_file(home, f"tenants/{BETA}.yaml", conf(BETA, "GB00OTHER"))
    dropped(home, BETA, "open_items", "june.csv", ITEMS)
    dropped(
        home, BETA, "bank_transactions", "s.xml", statement("2026-07-10", "S-1", entry("10.00", details=text("INV-0001")))
    )
    run_stage(asked("ingestion", BETA))
    matched("2026-07-31", BETA)
    assert rows("cash.unapplied", "transaction_id", "unapplied", "reason", tenant=BETA) == [
        ("B-1", "10", "the bank account belongs to no legal entity")
    ]


def test_what_cannot_be_run_is_refused_by_name(spark, home):
    conf_file(home, f"tenants/{ALPHA}.yaml", conf(ALPHA, OURS))
    with pytest.raises(UpstreamMissing, match=f"no bank lines of tenant {ALPHA} were published for 2026-07 or before"):
        matched("2026-07-10", ALPHA)
    with pytest.raises(UpstreamMissing, match="no tenant has bank lines"):
        matched("2026-07-10")
    with pytest.raises(CallError, match="runs by day"):
        matched("2026-07", ALPHA)


def test_a_broken_promise_holds_the_tenant_and_applies_nothing(spark, home, monkeypatch):
    """A decision that would pay a document beyond what is open stops at the gate."""
    from pyspark.sql import functions as F

    from jobs.cash_matching import transforms

    conf_file(home, f"tenants/{ALPHA}.yaml", conf(ALPHA, OURS))
    dropped(home, ALPHA, "open_items", "june.csv", ITEMS)
    dropped(
        home, ALPHA, "bank_transactions", "s.xml", statement("2026-07-10", "S-1", entry("10.00", details=text("INV-0001")))
    )
    run_stage(asked("ingestion", ALPHA))
    run_stage(asked("ledger_posting", ALPHA, period="2026-06"))
    honest = transforms.applications
    monkeypatch.setattr(
        transforms,
        "applications",
        lambda *told: honest(*told).withColumn("amount", (F.col("amount") + 1).cast("decimal(18,3)")),
    )
    with pytest.raises(GateFailed, match="received = applied \\+ unapplied") as failed:
        matched("2026-07-10", ALPHA)
    assert "no document is applied beyond what it had open: 1, e.g. document INV-0001" in str(failed.value)
    assert [p for p in ops.all_publications() if p.unit.stage == "cash_matching"] == []

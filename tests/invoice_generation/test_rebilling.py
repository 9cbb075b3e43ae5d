"""Documents that are decided again by what was told after they were issued: what differs is issued, to the last digit, and nothing else."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from jobs.ingestion.tables import INVOICE_CORRECTIONS
from jobs.invoice_generation import amounts, corrections, rebilling
from jobs.invoice_generation.tables import CORRECTIONS, INVOICE_LINES, INVOICE_TAXES, INVOICES
from jobs.ledger.taxes import taxes
from tests.builders import ALPHA, charged, collected, customer, entity, rounding, table_of, tenant
from tests.invoice_generation.taxed import Billed, decided_by, documents, registered, vat_id

SELLERS = (
    entity(f"{ALPHA}-de", country="DE", tax_policy="eu-seller", timezone="Europe/Berlin"),
    entity(
        f"{ALPHA}-in", country="IN", tax_policy="in-seller", timezone="Asia/Kolkata", tax_id="27AAPFU0939F1ZV", serves=["IN"]
    ),
    entity(f"{ALPHA}-us", country="US", tax_policy="us-sales-tax", timezone="America/New_York", serves=["US"]),
)
IT, ES = vat_id("IT"), vat_id("ES")
VALID = (registered(IT, "IT"), registered(ES, "ES", "in_check"))
SEPTEMBER, DAY = date(2026, 9, 1), date(2026, 9, 1)
THEN: dict[str, dict[str, Any]] = {  # account -> what was known of it when July was issued
    "as-it-was": {"country": "DE"},
    "told-late": {"country": "IT"},
    "moved": {"country": "DE"},
    "in-check": {"country": "ES"},
    "of-another-state": {"country": "IN", "region": "MH"},
    "sold-by-others": {"country": "DE"},
    "part-of-it": {"country": "IT"},
    "exempt-too-late": {"country": "DE"},
}
NOW = THEN | {
    "told-late": {"country": "IT", "tax_id": IT},
    "moved": {"country": "FR"},
    "in-check": {"country": "ES", "tax_id": ES},
    "of-another-state": {"country": "IN", "region": "KA"},
    "sold-by-others": {"country": "US"},
    "part-of-it": {"country": "IT", "tax_id": IT},
}
AMOUNTS = {"one": "100.10", "two": "0.33", "three": "-7.77"}


def told(known: dict[str, dict[str, Any]], **more: Any) -> Billed:
    charges = [
        charged(account_id=account, product_id=product, amount=amount, charge_id=f"{account} {product}", currency="EUR")
        for account in known
        for product, amount in AMOUNTS.items()
    ]
    return Billed(charges, [customer(account_id=account, **facts) for account, facts in known.items()], **more)


def asked(account: str | None, correction_id: str | None = None, action: str = "rebill", **more: Any) -> dict[str, Any]:
    return {
        "tenant_id": ALPHA, "correction_id": correction_id or f"r {account}", "invoice_number": account and f"N {account}", "action": action,
        "requested_on": "2026-08-20", "reason": "told late", "landing_id": "l-1", "row_number": 1,
    } | more  # fmt: skip


class Books:
    """What stands issued, month after month."""

    def __init__(self, spark: Any) -> None:
        made = documents(spark, told(THEN), [tenant(ALPHA, SELLERS)], taxes())
        numbered = made.headers.selectExpr("*", "concat('N ', account_id) AS numbered").drop("invoice_number")
        self.spark = spark
        self.invoices = self._all(INVOICES, numbered.withColumnRenamed("numbered", "invoice_number"))
        self.lines, self.taxes = self._all(INVOICE_LINES, made.lines), self._all(INVOICE_TAXES, made.taxes)
        self.answers: list[tuple[Any, ...]] = []

    def _all(self, table: Any, rows: Any) -> Any:
        return table_of(self.spark, table, []).unionByName(rows.select(*(
            name for name in rows.columns if name in table.schema.names)), allowMissingColumns=True).localCheckpoint()  # fmt: skip

    def month(self, requests: list[dict[str, Any]], known: dict[str, dict[str, Any]], period: date) -> Any:
        """Answer requests by what is known; returns the headers and lines that were made."""
        settled = [{"tenant_id": ALPHA, "correction_id": found[0], "status": found[1]} for found in self.answers]
        pending = corrections.pending(
            table_of(self.spark, INVOICE_CORRECTIONS, requests),
            self.invoices,
            table_of(self.spark, CORRECTIONS, settled),
            DAY,
        )
        named = corrections.named(pending, self.invoices).localCheckpoint()
        standing = corrections.left(self.lines, named).localCheckpoint()
        judged = corrections.judged(pending, named, standing).localCheckpoint()
        answered, rest = judged, corrections.lines(judged, named, standing, self.taxes, rounding(), period)
        if any(one["action"] == "rebill" for one in requests):
            to_decide = rebilling.to_decide(judged, named, standing, self.taxes).localCheckpoint()
            facts = told(known, registrations=VALID, day=date(2026, 8, 31))
            decided = decided_by(self.spark, to_decide, facts, [tenant(ALPHA, SELLERS)], taxes())
            again = rebilling.compared(decided).localCheckpoint()
            answered = rebilling.answered(judged, again).localCheckpoint()
            rest = rest.unionByName(rebilling.lines(answered, again, period))
        made = rest.localCheckpoint()
        charged_ = amounts.taxes(made).localCheckpoint()
        headers = corrections.headers(made, charged_, self.invoices, DAY).localCheckpoint()
        self.answers += collected(corrections.answers(answered, made, period, DAY), "correction_id", "status", "reason_code")
        before = corrections.account(
            headers, made.select(*(n for n in made.columns if n in INVOICE_LINES.schema.names)), self.invoices, self.lines
        )
        assert before.where("overdrawn > 0 OR net IS NULL").count() == 0
        self.invoices = self.invoices.unionByName(headers, allowMissingColumns=True).localCheckpoint()
        kept = made.select(*(n for n in made.columns if n in INVOICE_LINES.schema.names))
        self.lines = self.lines.unionByName(kept, allowMissingColumns=True).localCheckpoint()
        self.taxes = self.taxes.unionByName(charged_, allowMissingColumns=True).localCheckpoint()
        return headers, made


@pytest.fixture(scope="module")
def books(spark):
    return Books(spark)


@pytest.fixture(scope="module")
def august(books):
    """A part of one is credited first; then the month is rebilled as a whole."""
    books.month([asked("part-of-it", "half", "credit", share="0.5", requested_on="2026-08-01")], THEN, date(2026, 8, 1))
    requests = [asked(None, "all", month="2026-07"), asked("nobody"), asked(None, "none", month="2026-06")]
    return books.month(requests, NOW, SEPTEMBER)


def by_account(rows, *columns):
    return {row[0]: row[1:] for row in collected(rows, "account_id", *columns)}


def test_a_month_is_answered_invoice_by_invoice(books, august):
    answers = {name: (status, why) for name, status, why in books.answers}
    same, refused = ("refused", "it is as it should be"), "refused"
    assert answers == {
        "half": ("done", None), "r nobody": (refused, "no such document"), "none": (refused, "no such document"),
        "all/N as-it-was": same, "all/N exempt-too-late": same,
        "all/N told-late": ("done", None), "all/N moved": ("done", None), "all/N part-of-it": ("done", None),
        "all/N of-another-state": ("done", None),
        "all/N in-check": (refused, "its tax cannot be decided: id_in_check"),
        "all/N sold-by-others": (refused, "another legal entity sells it now"),
    }  # fmt: skip


def test_the_difference_is_of_the_tax_alone(august):
    headers, _ = august
    assert by_account(headers, "document_type", "net_amount", "tax_amount", "customer_country") == {
        # 92.66 at 22 % for Italy is given back; from 19 % in Germany to 20 % in France: 17.61 and 18.53
        "told-late": ("corrective_invoice", "0", "-20.39", "IT"),
        "moved": ("corrective_invoice", "0", "0.92", "FR"),
        "part-of-it": ("corrective_invoice", "0", "-10.2", "IT"),
        "of-another-state": ("corrective_invoice", "0", "0", "IN"),
    }


def test_every_line_is_taken_back_and_charged_again(august):
    _, made = august
    of_india = made.where("account_id = 'of-another-state'").orderBy("line_no").collect()
    assert [row["line_no"] for row in of_india] == [1, 2, 3, 4, 5, 6]
    parts = [[(part["component"], part["rate"]) for part in row["line_taxes"]] for row in of_india[:2]]
    assert parts == [[("CGST", Decimal("0.09")), ("SGST", Decimal("0.09"))], [("IGST", Decimal("0.18"))]]
    assert len({row["charge_id"] for row in of_india}) == 6 and {row["corrects_charge_id"] for row in of_india} == {
        f"of-another-state {product}" for product in AMOUNTS
    }
    for back, again in zip(of_india[::2], of_india[1::2], strict=True):
        assert (back["line_amount"], back["quantity"]) == (-again["line_amount"], -again["quantity"])


@pytest.fixture(scope="module")
def september(books, august):
    """What was rebilled is rebilled, cancelled and credited; of one it turns out that it was right at first."""
    requests = [
        asked("told-late", "twice"), asked("moved", "gone", "cancel"), asked("part-of-it", "back"),
        asked("of-another-state", "some", "credit", share="0.5", line_no=1),
    ]  # fmt: skip
    return books.month(requests, NOW | {"part-of-it": THEN["part-of-it"]}, date(2026, 10, 1))


def test_a_rebilled_document_is_as_it_should_be_and_is_corrected_as_it_now_stands(books, september):
    headers, made = september
    assert ("twice", "refused", "it is as it should be") in books.answers
    assert by_account(headers, "document_type", "net_amount", "tax_amount") == {
        "moved": ("credit_note", "-92.66", "-18.53"), "of-another-state": ("credit_note", "-50.05", "-9.01"),
        "part-of-it": ("corrective_invoice", "0", "10.19"),  # 22 % of the 46.33 that are left; the cent went with the half
    }  # fmt: skip
    assert {row["tax_rate"] for row in made.where("account_id = 'moved'").collect()} == {Decimal("0.20")}
    assert standing_of(books, "moved") == [] and owed(books, "moved") == (Decimal("0.000"), Decimal("0.000"))


def test_what_was_right_at_first_stands_again_as_it_was_issued(books, september):
    left = corrections.left(books.lines, books.invoices).where("left <> 0 AND charge_id LIKE 'part-of-it %'")
    assert {(row["tax_category"], row["tax_rate"], row["corrects_charge_id"]) for row in left.collect()} == {
        ("S", Decimal("0.22"), None)
    }


def test_a_reverse_charge_that_is_taken_back_says_why_there_is_no_tax(books, september):
    _, made = books.month([asked("told-late", "over", "cancel")], NOW, date(2026, 11, 1))
    assert {(row["tax_category"], row["exemption_code"]) for row in made.collect()} == {("AE", "VATEX-EU-AE")}
    assert standing_of(books, "told-late") == [] and owed(books, "told-late") == (Decimal("0.000"), Decimal("0.000"))


def standing_of(books, account):
    left = corrections.left(books.lines, books.invoices).where("left <> 0")
    invoice = books.invoices.where(f"account_id = '{account}' AND original_invoice_id IS NULL").select("invoice_id")
    return collected(left.join(invoice, on="invoice_id", how="left_semi"), "charge_id", "left")


def owed(books, account):
    """Net and tax of all documents of an account."""
    return tuple(books.invoices.where(f"account_id = '{account}'").selectExpr("sum(net_amount)", "sum(tax_amount)").first())

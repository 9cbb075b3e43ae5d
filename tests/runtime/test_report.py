"""The report: one file, nothing fetched, the facts that are published, and the truth beside them."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from jobs.runtime import charts, report, report_facts
from tests.runtime import handmade
from tests.runtime.handmade import SECRET

SCREEN = 40


def truth_of(home, charges=2, amount="2.5", carries="S VAT 0.19"):
    """What the simulation would say of alpha's January. carries: the tax of every line."""
    usage = {"files": {"usage.csv": {}}, "accepted": 4, "quarantined": 1, "duplicates": 1}
    month = {"delivered": {"usage": usage}, "charges": charges, "bill": {"EUR": {"amount": amount}}, "adjusted": {},
             "taxes": {"A1": {"*": f"alpha-de: {carries}"}}}  # fmt: skip
    (home / "truth").mkdir()
    (home / "truth" / "truth.json").write_text(json.dumps({"tenants": {"alpha": {"months": {"2026-01": month, "2026-02": month | {
        "delivered": {"usage": usage | {"files": {"later.csv": {}}}}}}}}}))  # fmt: skip


class Fetched(HTMLParser):
    """Everything a page would fetch by itself."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        """Collect what is fetched without a click."""
        self.found += [
            value for name, value in attrs if name in ("src", "data", "srcset") or (tag == "link" and name == "href")
        ]


def test_the_page_fetches_nothing_and_names_nobody(house):
    page = report.write().read_text()
    parser = Fetched()
    parser.feed(page)
    assert parser.found == []
    assert not re.search(r"https?://|@import|url\(", page)
    assert SECRET not in page
    assert page.count("<svg") == page.count("</svg>") >= 3


def test_the_page_tells_the_facts(house):
    facts = report_facts.facts()
    assert (facts.months, facts.tenants, facts.accounts, facts.charges) == (("2026-01",), 2, 2, 4)
    assert facts.documents == {"invoice": 2}
    assert [(row["currency"], row["gross"]) for row in facts.totals] == [("EUR", Decimal("5.96"))]
    assert facts.unbalanced == 0
    assert {(row["reason"], row["rows"]) for row in facts.reasons} == {("quantity: missing", 2), ("unit: missing", 2)}
    assert sum(row["passed"] for row in facts.gates) == 8
    page = report.write(facts).read_text()
    assert "adds up to zero" in page
    assert "5.96" in page


def test_what_is_incomplete_does_not_count(house):
    handmade.commit("ledger.journal_lines", handmade.entry("alpha", "99"), "dangling", "alpha", "ledger_posting")
    handmade.bill("alpha", [handmade.charge(1, "P1", "777", "77.7", 1)], attempt=2, seen=False)
    assert report_facts.facts().charges == 4


def test_the_truth_is_met(house):
    truth_of(house)
    facts = report_facts.facts()
    (compared,) = facts.compared  # February has not been delivered
    assert compared.equal
    summary = report.summary(facts)
    assert "charges 2 of 2, net amount equal to the last digit" in summary
    assert "taxed, or held, as the law has it: 2 lines of 2" in summary
    assert "1 of 1 tenant months equal" in report.write(facts).read_text()
    assert report.wrong(facts) == []


def test_a_line_taxed_otherwise_is_told_with_an_example(house):
    truth_of(house, carries="AE")
    facts = report_facts.facts()
    (compared,) = facts.compared
    assert (compared.taxed, compared.mistaxed) == ((0, 2), "A1 X: alpha-de: S VAT 0.19, should be alpha-de: AE")
    assert "alpha 2026-01 A1 X: alpha-de: S VAT 0.19, should be alpha-de: AE" in report.summary(facts)


@pytest.mark.parametrize(
    ("charges", "amount", "carries"),
    [(3, "2.5", "S VAT 0.19"), (2, "2.500000000000000001", "S VAT 0.19"), (2, "2.5", "held id_unknown")],
    ids=["a_charge", "the_last_digit", "a_tax"],
)
def test_the_truth_is_missed(house, charges, amount, carries):
    truth_of(house, charges, amount, carries)
    facts = report_facts.facts()
    (compared,) = facts.compared
    assert not compared.equal
    assert "not equal: alpha 2026-01" in report.summary(facts)
    assert "0 of 1 tenant months equal" in report.write(facts).read_text()
    assert report.wrong(facts) == ["Against the truth: 0 of 1 tenant months equal"]


def test_the_summary_fits_a_screen(house):
    said = report.summary()
    assert len(said.splitlines()) <= SCREEN
    assert "2026-01: 2 tenants, 2 accounts, 4 charges, 2 invoices" in said
    assert re.search(r"EUR +net +5.00 +tax +0.96 +gross +5.96", said)
    assert "12 read = 8 accepted + 2 quarantined + 2 exact duplicates" not in said  # the other feeds count as well
    assert "Rows: 18 read = 14 accepted + 2 quarantined + 2 exact duplicates" in said
    assert "Trial balance: adds up to zero" in said


def test_an_empty_home_has_a_report(home):
    assert "No month charged yet" in report.write().read_text()
    assert "nothing posted yet" in report.summary()


def test_labels_are_cut_and_columns_stay_inside():
    drawn = str(
        charts.bars(
            [("a reason that is much longer than any label can be in a chart of this width, really", 3, "3"), ("b", 0, "0")]
        )
    )
    assert "…" in drawn
    assert all(float(x) >= 0 for x in re.findall(r' x="(-?[\d.]+)"', drawn))
    months = [(f"2026-{month:02d}", Decimal(month) * 1000 - 3000) for month in range(1, 13)]
    columns = str(charts.months("EUR, gross", months, "EUR"))
    assert columns.count("<rect") == len(months)
    assert columns.count('class="label"') < len(months)  # labels that would touch are left out


# --- after the bill ---------------------------------------------------------------------------------------------------

END = date(2026, 1, 1)  # the day of the runs


def publish(stage, period, tables):
    """Rows of tables as one complete publication of alpha."""
    publication = handmade.an_id(stage, period)[:32]
    versions = [handmade.commit(name, rows, publication, "alpha", stage, "2026-01") for name, rows in tables.items()]
    lane = "bank_transactions" if stage == "ingestion" else "main"
    handmade.complete(stage, "alpha", publication, versions, {(period, lane): {}})


def decision(name, how, rules=(), at="2026-01-01T23"):
    return {
        "period": END, "payable_id": name, "source_id": name, "decided_at": at, "decision": how, "rule_ids": list(rules), "reason_count": len(rules),
        "received_on": date(2026, 1, 10), "currency": "EUR", "gross_amount": Decimal("12.50"),
    }  # fmt: skip


def paid(name):
    return {
        "period": END,
        "instruction_id": name,
        "batch_id": "b1",
        "payable_id": name,
        "currency": "EUR",
        "amount": Decimal("12.50"),
    }


def received(name, amount="10"):
    return {
        "period": handmade.JANUARY, "transaction_id": name, "bank_account": "DE1", "booking_date": date(2026, 1, 20), "amount": Decimal(amount),
        "currency": "EUR", "landing_id": "statement", "row_number": 1,
    }  # fmt: skip


@pytest.fixture
def busy(house):
    """Alpha has payables, payments, receipts and a candidate besides."""
    receipt = {"period": END, "bank_account": "DE1", "currency": "EUR"}
    publish("payable_validation", "2026-01-01T23", {"payables.decisions": [
        decision("p1", "accept"), decision("p2", "hold", ["po-required"], "2026-01-01T22"), decision("p2", "accept"),
        decision("p3", "reject", ["arithmetic"]),
    ]})  # fmt: skip
    batch = {"period": END, "batch_id": "b1", "currency": "EUR", "instruction_count": 1, "control_sum": Decimal("12.50")}
    publish(
        "payment_planning",
        "2026-01-01T23",
        {"payables.payment_batches": [batch], "payables.payment_instructions": [paid("p1")]},
    )
    publish("ingestion", "2026-01", {"raw.bank_transactions": [received("t1"), received("t2", "7"), received("t3", "-99")]})
    publish("cash_matching", "2026-01-01", {
        "cash.applications": [receipt | {"transaction_id": "t1", "document_id": "d1", "amount": Decimal(10)}],
        "cash.unapplied": [receipt | {"transaction_id": "t2", "received": Decimal(7), "applied": Decimal(0), "unapplied": Decimal(7)}],
        "cash.suggestions": [receipt | {"transaction_id": "t2", "rank": rank, "document_ids": [f"d{rank + 1}"]} for rank in (1, 2)],
    })  # fmt: skip
    publish(
        "suspension_selection",
        "2026-01-01",
        {"suspension.candidates": [{"period": END, "account_id": "A1", "action": "warned"}]},
    )
    return house


def told_of_money(home, wrong, receipts, candidates, instructed="12.5"):
    """What a simulation would say of it."""
    truth_of(home)
    file = home / "truth" / "truth.json"
    truth = json.loads(file.read_text())
    month = truth["tenants"]["alpha"]["months"]["2026-01"]
    month["payables"] = {"wrong": wrong, "instructions": 1, "instructed": {"EUR": instructed}}
    file.write_text(json.dumps(truth))
    (home / "truth" / "cash").mkdir()
    told = {"alpha": {"receipts": receipts, "candidates": candidates}}
    (home / "truth" / "cash" / "2026-01.json").write_text(json.dumps({"tenants": told}))


def a_receipt(name, kind, document):
    return {"transaction_id": name, "bank_account": "DE1", "kind": kind, "invoices": [document]}


WRONG = {"p2": "po-required", "p3": "arithmetic"}
RECEIPTS = [a_receipt("t1", "exact", "d1"), a_receipt("t2", "without_reference", "d2")]


def test_payables_cash_and_candidates_are_told(busy):
    facts = report_facts.facts()
    money = facts.money
    assert (money.payables.received, money.payables.decisions) == (3, {"accept": 2, "hold": 0, "reject": 1})
    assert (money.cash.receipts, money.cash.applied, money.cash.left, money.cash.offered) == (2, 1, 1, 1)
    assert money.cash.amounts == ({"currency": "EUR", "received": 17, "applied": 10, "unapplied": 7},)
    said = report.summary(facts)
    assert "Payables: 3 received: 2 accepted, 0 held, 1 rejected" in said
    assert "Payments: 1 batches, payables paid 1\n  EUR 12.50" in said
    assert "Cash: receipts 2, applied 1\n  left for a person 1, 1 with suggestions" in said
    assert "Suspension: nominated (1 warned)" in said
    assert re.search(r"Receivable at the end: EUR 5.96, in 2 documents", said)
    assert "caught" not in said and len(said.splitlines()) <= SCREEN
    page = report.write(facts).read_text()
    assert "<h2>Cash</h2>" in page and "<h2>Accounts nominated</h2>" in page and "Wrong by it" not in page


def test_they_meet_their_truth(busy):
    told_of_money(busy, WRONG, RECEIPTS, {"A1": "warned"})
    facts = report_facts.facts()
    assert facts.money.payables.is_right and facts.money.cash.is_right
    said = report.summary(facts)
    assert "wrong payables 2, caught 2; good ones stopped 0 of 1" in said
    assert "payables paid 1 of 1, amounts equal in 1 currencies" in said
    assert "receipts 2, applied 1 of 1 that say what they pay, of these wrong 0" in said
    assert "first suggestion right for 1 of 1" in said
    assert "candidates 1 of 1" in said
    assert 'class="pill bad"' not in report.write(facts).read_text()


def test_who_is_held_for_somebody_elses_receipt_is_rightly_held(house):
    """The truth knows whose it is; the house only that it could be the customer's."""
    held = {"account_id": "A1", "action": "hold", "held_because": "suggested receipt t9: 7 EUR could cover the debt"}
    publish("suspension_selection", "2026-01-01", {"suspension.candidates": [{"period": END} | held]})
    told_of_money(house, {}, [], {"A1": "suspended"})
    money = report_facts.facts().money
    assert money.agreed == money.expected == money.nominated == 1


@pytest.mark.parametrize(
    ("wrong", "receipts", "candidates", "instructed", "said"),
    [
        pytest.param({**WRONG, "p1": "stale-date"}, RECEIPTS, {"A1": "warned"}, "12.5", "not caught: stale-date 0 of 1", id="a_wrong_one_accepted"),
        pytest.param({"p3": "arithmetic"}, RECEIPTS, {"A1": "warned"}, "12.5", "good ones stopped 1 of 2", id="a_good_one_stopped"),
        pytest.param(WRONG, RECEIPTS, {"A1": "warned"}, "12.51", "amounts NOT EQUAL", id="a_cent_too_little_paid"),
        pytest.param(WRONG, [a_receipt("t1", "exact", "d9"), RECEIPTS[1]], {"A1": "warned"}, "12.5", "of these wrong 1", id="applied_to_another"),
        pytest.param(WRONG, RECEIPTS, {"A1": "hold", "A2": "warned"}, "12.5", "candidates 0 of 2, 1 more than expected", id="other_candidates"),
    ],
)  # fmt: skip
def test_they_miss_their_truth(busy, wrong, receipts, candidates, instructed, said):
    told_of_money(busy, wrong, receipts, candidates, instructed)
    facts = report_facts.facts()
    assert said in report.summary(facts)
    assert 'class="pill bad"' in report.write(facts).read_text()

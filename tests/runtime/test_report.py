"""The report: one file, nothing fetched, the facts that are published, and the truth beside them."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from jobs.runtime import report
from tests.runtime import handmade
from tests.runtime.handmade import SECRET

SCREEN = 40


@pytest.fixture
def house(home):
    """Alpha's and beta's January, complete."""
    handmade.furnish(home)
    return home


def truth_of(home, charges=2, amount="2.5"):
    """What the simulation would say of alpha's January."""
    usage = {"files": {"usage.csv": {}}, "accepted": 4, "quarantined": 1, "duplicates": 1}
    month = {"delivered": {"usage": usage}, "charges": charges, "bill": {"EUR": {"amount": amount}}}
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
    facts = report.facts()
    assert (facts.months, facts.tenants, facts.accounts, facts.charges) == (("2026-01",), 2, 2, 4)
    assert facts.documents == {"invoice": 2}
    assert [(row["currency"], row["gross"]) for row in facts.totals] == [("EUR", Decimal("5.96"))]
    assert facts.unbalanced == 0
    assert {(row["reason"], row["rows"]) for row in facts.reasons} == {("quantity: missing", 2), ("unit: missing", 2)}
    assert sum(row["passed"] for row in facts.gates) == 8
    page = report.write().read_text()
    assert "adds up to zero" in page
    assert "5.96" in page


def test_what_is_incomplete_does_not_count(house):
    handmade.commit("ledger.journal_lines", handmade.entry("alpha", "99"), "dangling", "alpha", "ledger_posting")
    handmade.bill("alpha", [handmade.charge(1, "P1", "777", "77.7", 1)], attempt=2, seen=False)
    assert report.facts().charges == 4


def test_the_truth_is_met(house):
    truth_of(house)
    (compared,) = report.facts().compared  # February has not been delivered
    assert compared.equal
    assert "charges 2 of 2, net amount equal to the last digit" in report.summary()
    assert "1 of 1 tenant months equal" in report.write().read_text()


@pytest.mark.parametrize(
    ("charges", "amount"), [(3, "2.5"), (2, "2.500000000000000001")], ids=["a_charge", "the_last_digit"]
)
def test_the_truth_is_missed(house, charges, amount):
    truth_of(house, charges, amount)
    (compared,) = report.facts().compared
    assert not compared.equal
    assert "not equal: alpha 2026-01" in report.summary()
    assert "0 of 1 tenant months equal" in report.write().read_text()


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
        report.bars(
            [("a reason that is much longer than any label can be in a chart of this width, really", 3, "3"), ("b", 0, "0")]
        )
    )
    assert "…" in drawn
    assert all(float(x) >= 0 for x in re.findall(r' x="(-?[\d.]+)"', drawn))
    months = [(f"2026-{month:02d}", Decimal(month) * 1000 - 3000) for month in range(1, 13)]
    columns = str(report.months_chart("EUR, gross", months, "EUR"))
    assert columns.count("<rect") == len(months)
    assert columns.count('class="label"') < len(months)  # labels that would touch are left out

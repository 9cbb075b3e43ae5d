"""What is asked to be done about an issued document, carried out or refused by name, to the last digit."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from jobs.ingestion.tables import INVOICE_CORRECTIONS
from jobs.invoice_generation import amounts, corrections
from jobs.invoice_generation.tables import CORRECTIONS, INVOICE_LINES, INVOICE_TAXES
from tests.builders import ALPHA, BETA, collected, invoices, issued, rounding, table_of

SEPTEMBER = date(2026, 9, 1)
DAY = date(2026, 10, 1)


def asked(correction_id, number="A-1", action="credit", **more):
    row = {
        "tenant_id": ALPHA, "correction_id": correction_id, "invoice_number": number, "action": action, "requested_on": "2026-08-20",
        "reason": "agreed with the customer", "landing_id": "l-1", "row_number": 1,
    }  # fmt: skip
    return row | more


def document(number, net, tax, **more):
    return (
        issued(str(float(net) + float(tax)), net, tax, invoice_id=f"i-{number}", invoice_number=number, currency="EUR")
        | more
    )


def line(number, line_no, amount, rate="0.25", rule="de/standard", category="S", tax="0", **more):
    """A line; tax: of each of its components, of which an Indian one has two."""
    parts = ("CGST", "SGST") if rule == "in/intra" else ("VAT",)
    taxes = [(part, Decimal(rate) / len(parts), Decimal(tax)) for part in parts]
    row = {
        "tenant_id": ALPHA, "period": "2026-07-01", "invoice_id": f"i-{number}", "line_no": line_no, "charge_id": f"c-{number}-{line_no}",
        "service_period": "2026-07-01", "product_id": f"p-{line_no}", "quantity": "10", "currency": "EUR", "rated_amount": amount,
        "line_amount": amount, "tax_category": category, "tax_rate": rate, "tax_rule": rule,
        "line_taxes": taxes,
    }  # fmt: skip
    return row | more


def tax(number, taxable, amount, rate="0.25", rule="de/standard", category="S", component="VAT", **more):
    row = {
        "tenant_id": ALPHA, "period": "2026-07-01", "invoice_id": f"i-{number}", "tax_category": category, "tax_component": component,
        "tax_rate": rate, "currency": "EUR", "taxable_amount": taxable, "tax_amount": amount, "tax_rule": rule,
    }  # fmt: skip
    return row | more


HEADERS = [
    document("A-1", "160", "40"),
    document("A-2", "30", "4.50", rounding_amount="0.50", payable_amount="35.00"),
    document("A-3", "15.20", "1.82"),
    document("A-4", "1000", "250"),
    document("A-5", "10", "2.50"),
    document("C-1", "-10", "-2.50", document_type="credit_note", original_invoice_id="i-A-5", period="2026-08-01"),
    document("A-1", "7", "0", tenant_id=BETA),
]
LINES = [
    line("A-1", 1, "160", tax="40"),
    line("A-2", 1, "10", tax="2.50"), line("A-2", 2, "30", "0.10", "de/reduced", "S", "3"), line("A-2", 3, "-10", tax="-2.50"),
    line("A-3", 1, "7.60", "0.12", "in/intra", tax="0.46"), line("A-3", 2, "7.60", "0.12", "in/intra", tax="0.45"),
    line("A-4", 1, "1000", tax="250"),
    line("A-5", 1, "10", tax="2.50"),
    line("C-1", 1, "-10", tax="-2.50", corrects_charge_id="c-A-5-1", charge_id="again", period="2026-08-01"),
    line("A-1", 1, "7", tenant_id=BETA),
]  # fmt: skip
TAXES = [
    tax("A-1", "160", "40"),
    tax("A-2", "0", "0"), tax("A-2", "30", "3", "0.10", "de/reduced"),
    tax("A-3", "15.20", "0.91", "0.06", "in/intra", component="CGST"), tax("A-3", "15.20", "0.91", "0.06", "in/intra", component="SGST"),
    tax("A-4", "1000", "250"), tax("A-5", "10", "2.50"), tax("C-1", "-10", "-2.50"),
]  # fmt: skip
ASKED_ALONE = {
    # each of an invoice of its own over a thousand
    "all_of_it": ({"amount": "1000"}, "done", None),
    "a_cent_too_many": ({"amount": "1000.01"}, "refused", "more than is left of it"),
    "half_a_cent": ({"amount": "1.005"}, "refused", "more decimals than its currency has"),
    "a_line_that_is_not": ({"amount": "1", "line_no": 2}, "refused", "no such line"),
    "less_than_a_cent": ({"share": "0.000001"}, "refused", "comes to nothing"),
    "given_up": ({"action": "write_off"}, "done", None),
    "a_credit_note": ({"action": "cancel", "invoice_number": "C-alone"}, "refused", "not an invoice"),
}
ASKED_ALONE = {case: (asked(case, f"B-{case}", **more), status, why) for case, (more, status, why) in ASKED_ALONE.items()}
HEADERS += [document(f"B-{case}", "1000", "250") for case in ASKED_ALONE]
LINES += [line(f"B-{case}", 1, "1000", tax="250") for case in ASKED_ALONE]
TAXES += [tax(f"B-{case}", "1000", "250") for case in ASKED_ALONE]
HEADERS.append(document("C-alone", "-1000", "-250", document_type="credit_note", original_invoice_id="i-B-a_credit_note"))
REQUESTS = [
    *(request for request, _, _ in ASKED_ALONE.values()),
    asked("prorated", share="0.966666666666666666"),  # 29 of 30 days
    asked("later", action="cancel", requested_on="2026-08-21"),  # of the same document: waits for its turn
    asked("whole", "A-2", "cancel"),
    asked("half", "A-3", share="0.5"),
    asked("more", "A-4", "debit", amount="12.34", line_no=1),
    asked("gone", "A-5", "cancel"),
    asked("nowhere", "A-9", "cancel"),
    asked("of_a_credit", "C-1", "cancel"),
    asked("done_before", "A-4", "cancel", requested_on="2026-08-01"),
    asked("next_month", "A-4", "cancel", requested_on="2026-09-01"),
]  # fmt: skip


def carried_out(spark, requests):
    told = table_of(spark, INVOICE_CORRECTIONS, requests)
    settled = table_of(spark, CORRECTIONS, [{"tenant_id": ALPHA, "correction_id": "done_before", "status": "done"}])
    headers, lines, taxes = (
        invoices(spark, *HEADERS),
        table_of(spark, INVOICE_LINES, LINES),
        table_of(spark, INVOICE_TAXES, TAXES),
    )
    pending = corrections.pending(told, headers, settled, SEPTEMBER)
    named = corrections.named(pending, headers).localCheckpoint()
    standing = corrections.left(lines, named).localCheckpoint()
    judged = corrections.judged(pending, named, standing).localCheckpoint()
    made = corrections.lines(judged, named, standing, taxes, rounding(), date(2026, 8, 1)).localCheckpoint()
    charged = amounts.taxes(made).localCheckpoint()
    drawn = corrections.headers(made, charged, headers, DAY).localCheckpoint()
    return made, charged, drawn, corrections.answers(judged, made, date(2026, 8, 1), DAY).localCheckpoint(), headers


@pytest.fixture(scope="module")
def done(spark):
    return carried_out(spark, REQUESTS)


def of_one_story(rows):
    """Rows of the invoices A-1 to A-5."""
    return rows.where("original_invoice_id LIKE 'i-A-%'")


def test_every_request_is_answered_once_by_name(done):
    *_, answers, _ = done
    together = answers.where(~answers["correction_id"].isin(*ASKED_ALONE))
    assert collected(together, "correction_id", "status", "reason_code") == [
        ("gone", "refused", "nothing is left of it"), ("half", "done", None), ("more", "done", None), ("nowhere", "refused", "no such document"),
        ("of_a_credit", "refused", "not an invoice"), ("prorated", "done", None), ("whole", "done", None),
    ]  # fmt: skip


def test_documents_name_what_they_correct_and_carry_its_tax(done):
    _, _, headers, _, _ = done
    assert collected(of_one_story(headers), "original_invoice_id", "document_type", "net_amount", "tax_amount", "gross_amount", "correction_reason") == [
        ("i-A-1", "credit_note", "-154.67", "-38.67", "-193.34", "agreed with the customer"),
        ("i-A-2", "credit_note", "-30", "-3", "-33", "agreed with the customer"),
        ("i-A-3", "credit_note", "-7.6", "-0.92", "-8.52", "agreed with the customer"),
        ("i-A-4", "debit_note", "12.34", "3.09", "15.43", "agreed with the customer"),
    ]  # fmt: skip


def test_what_is_cancelled_gives_back_what_it_was_rounded_by(done):
    _, _, headers, _, _ = done
    rounded = headers.where("rounding_amount <> 0")
    assert collected(rounded, "original_invoice_id", "gross_amount", "rounding_amount", "payable_amount") == [
        ("i-A-2", "-33", "-0.5", "-33.5")
    ]
    assert headers.where("payable_amount IS DISTINCT FROM gross_amount + rounding_amount").count() == 0


def test_lines_take_back_a_line_each(done):
    made, *_ = done
    assert collected(of_one_story(made), "original_invoice_id", "line_no", "corrects_charge_id", "quantity", "line_amount", "service_period") == [
        ("i-A-1", 1, "c-A-1-1", "-9.66666666666666666", "-154.67", date(2026, 7, 1)),
        ("i-A-2", 1, "c-A-2-1", "-10", "-10", date(2026, 7, 1)), ("i-A-2", 2, "c-A-2-2", "-10", "-30", date(2026, 7, 1)),
        ("i-A-2", 3, "c-A-2-3", "-10", "10", date(2026, 7, 1)),
        ("i-A-3", 1, "c-A-3-1", "-5", "-3.8", date(2026, 7, 1)), ("i-A-3", 2, "c-A-3-2", "-5", "-3.8", date(2026, 7, 1)),
        ("i-A-4", 1, "c-A-4-1", "1", "12.34", date(2026, 7, 1)),
    ]  # fmt: skip


def test_every_part_of_a_tax_is_corrected(done):
    _, taxes, *_ = done
    of_india = taxes.where("tax_rule = 'in/intra'")
    assert collected(of_india, "tax_component", "taxable_amount", "tax_amount") == [
        ("CGST", "-7.6", "-0.46"),
        ("SGST", "-7.6", "-0.46"),
    ]


def test_what_is_left_of_each_original_is_never_below_nothing(done):
    made, _, headers, _, every = done
    lines = table_of(made.sparkSession, INVOICE_LINES, LINES)
    found = corrections.account(
        of_one_story(headers), made.select(*(name for name in lines.columns if name in made.columns)), every, lines
    )
    assert collected(found, "invoice_id", "net", "left", "overdrawn") == [
        ("i-A-1", "160", "5.33", 0), ("i-A-2", "30", "0", 0), ("i-A-3", "15.2", "7.6", 0), ("i-A-4", "1000", "1012.34", 0),
    ]  # fmt: skip


@pytest.mark.parametrize("case", ASKED_ALONE)
def test_what_cannot_be_done_says_why(done, case):
    made, *_, answers, _ = done
    request, status, why = ASKED_ALONE[case]
    (answer,) = [row for row in answers.collect() if row["correction_id"] == case]
    assert (answer["status"], answer["reason_code"]) == (status, why)
    drawn = [row for row in made.collect() if row["correction_id"] == case]
    assert (drawn == []) == (status == "refused" or request["action"] == "write_off")

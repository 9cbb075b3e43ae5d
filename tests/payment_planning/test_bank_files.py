"""The bank file of a batch: valid by the standard's schema, the same bytes whenever it is written, exact to the last coin."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from lxml import etree

from jobs.payment_planning import pain
from tests.payment_planning.payables import BRITISH, FRENCH, GERMAN

BATCH = pain.Batch(
    "b" * 64,
    "sepa",
    "EUR",
    date(2026, 7, 6),
    datetime(2026, 7, 1, 10, tzinfo=UTC),
    "Alpha Söhne & Co",
    GERMAN,
    "COBADEFFXXX",
)
ONE = pain.Payment("E" * 35, Decimal("100.00"), "Éditions Étoile", FRENCH, True, "INV-1")


def texts(content: bytes, path: str) -> list[str]:
    return etree.fromstring(content).xpath(f"//p:{path}/text()", namespaces={"p": pain.NAMESPACE})


def test_a_file_says_what_its_batch_says():
    content = pain.rendered(BATCH, [ONE, replace(ONE, end_to_end_id="A" * 35, amount=Decimal("0.5"))])
    assert pain.found(content) == pain.Found(
        "", "b" * 35, 2, Decimal("100.50"), 2, Decimal("100.50"), 2, Decimal("100.50"), 2, "EUR", "2026-07-06", GERMAN
    )
    assert texts(content, "EndToEndId") == ["A" * 35, "E" * 35]
    assert texts(content, "CreDtTm") == ["2026-07-01T10:00:00Z"]


def test_the_order_of_payments_changes_no_byte():
    several = [replace(ONE, end_to_end_id=f"{n:035d}", amount=Decimal(n + 1)) for n in range(20)]
    assert pain.rendered(BATCH, several) == pain.rendered(BATCH, several[::-1])


METHODS = {
    # method, is SEPA: (service levels, local instruments, charge bearers)
    ("sepa", True): (["SEPA"], [], ["SLEV"]),
    ("transfer", False): (["NURG"], [], []),
    ("immediate", True): (["SEPA"], ["INST"], []),
    ("immediate", False): (["URGP"], [], []),
}


@pytest.mark.parametrize(("method", "is_sepa"), METHODS)
def test_the_bank_is_told_how_to_pay(method, is_sepa):
    content = pain.rendered(replace(BATCH, method=method), [replace(ONE, is_sepa=is_sepa)])
    assert pain.found(content).problem == ""
    assert (texts(content, "SvcLvl/p:Cd"), texts(content, "LclInstrm/p:Cd"), texts(content, "ChrgBr")) == METHODS[
        method, is_sepa
    ]


ODD = {
    "signs_no_bank_takes": replace(ONE, creditor_name="Größe \u0007<b> Ł & Ø 日本"),
    "a_name_of_nothing_but_such": replace(ONE, creditor_name="日本"),
    "no_name": replace(ONE, creditor_name="  "),
    "a_long_name": replace(ONE, creditor_name="x" * 300),
    "a_long_number": replace(ONE, invoice_number="9" * 300),
    "no_number": replace(ONE, invoice_number=" "),
    "a_local_account": replace(ONE, creditor_account="021000021-123456"),
    "many_credit_notes": replace(ONE, credit_notes=tuple(f"CN-{n:08d}" for n in range(50))),
}  # fmt: skip


@pytest.mark.parametrize("method", ["sepa", "transfer"])
@pytest.mark.parametrize("case", ODD)
def test_whatever_a_vendor_is_called_the_file_stays_valid(case, method):
    content = pain.rendered(replace(BATCH, method=method), [replace(ODD[case], is_sepa=method == "sepa")])
    assert pain.found(content).problem == ""


def test_in_a_sepa_file_names_are_written_in_its_signs_elsewhere_as_they_are():
    odd = replace(ONE, creditor_name="Größe & Łódź", is_sepa=True)
    assert texts(pain.rendered(BATCH, [odd]), "Cdtr/p:Nm") == ["Grosse + Lodz"]
    assert texts(pain.rendered(replace(BATCH, method="transfer"), [replace(odd, is_sepa=False)]), "Cdtr/p:Nm") == [
        "Größe & Łódź"
    ]


def test_a_payment_less_credit_notes_names_them():
    told = replace(ONE, credit_notes=("CN-1", "CN-2"))
    assert texts(pain.rendered(BATCH, [told]), "Ustrd") == ["INV-1 less CN-1, CN-2"]
    many = replace(ONE, credit_notes=("CN",) * 90)
    assert texts(pain.rendered(BATCH, [many]), "Ustrd") == ["INV-1 less 90 credit notes"]


COINS = {"JPY": ("1234", "1234"), "EUR": ("1234.5", "1234.50"), "KWD": ("1234.5", "1234.500")}


@pytest.mark.parametrize("currency", COINS)
def test_amounts_have_the_decimals_of_their_currency(currency):
    amount, written = COINS[currency]
    content = pain.rendered(replace(BATCH, currency=currency, method="transfer"), [replace(ONE, amount=Decimal(amount))])
    assert [texts(content, name)[0] for name in ("InstdAmt", "CtrlSum")] == [written, written]


@pytest.mark.parametrize(("amount", "currency"), [("0.5", "JPY"), ("0.005", "EUR"), ("0.0001", "KWD")])
def test_an_amount_finer_than_a_coin_is_refused_not_rounded(amount, currency):
    with pytest.raises(ValueError, match="finer"):
        pain.rendered(replace(BATCH, currency=currency), [replace(ONE, amount=Decimal(amount))])


@seed(20261121)
@settings(max_examples=25, deadline=None, database=None)
@given(st.lists(st.decimals("0.01", "999999999999999.99", places=2), min_size=1, max_size=40))
def test_control_totals_are_the_exact_sum(amounts):
    if sum(amounts) >= Decimal(10) ** 15:
        amounts = amounts[:1]
    content = pain.rendered(BATCH, [replace(ONE, end_to_end_id=f"{n:035d}", amount=a) for n, a in enumerate(amounts)])
    found = pain.found(content)
    assert found.problem == ""
    assert found.group_sum == found.info_sum == found.sum == sum(amounts)
    assert found.group_count == found.info_count == found.count == found.names == len(amounts)


BROKEN = {
    "no_xml": b"<Document",
    "another_message": b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.03"/>',
    "an_account_that_is_none": pain.rendered(BATCH, [ONE]).replace(FRENCH.encode(), b"fr14 2004"),
    "no_creditor_id": pain.rendered(BATCH, [ONE]).replace(b"<EndToEndId>" + b"E" * 35 + b"</EndToEndId>", b""),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_told_without_saying_what_stands_in_it(case):
    problem = pain.found(BROKEN[case]).problem
    assert problem and "fr14" not in problem and FRENCH not in problem and BRITISH not in problem


def test_a_file_that_was_tampered_with_is_valid_and_its_totals_tell():
    found = pain.found(pain.rendered(BATCH, [ONE]).replace(b'Ccy="EUR">100.00', b'Ccy="EUR">900.00'))
    assert (found.problem, found.group_sum, found.sum) == ("", Decimal("100.00"), Decimal("900.00"))

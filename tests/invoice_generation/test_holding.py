"""Which legal entity sells, which documents are held as a whole, and how parts of a tax add up."""

from __future__ import annotations

from decimal import Decimal

import pytest

from jobs.invoice_generation.settings import Holding
from jobs.ledger.taxes import RateTable, Taxes, TaxPolicy
from tests.builders import charged, collected, customer, entity, tenant
from tests.invoice_generation.taxed import Billed, documents

SINCE = {"valid_from": "2000-01-01", "source": "law"}
GB = {"when": "customer_country = 'GB'", "reason": "in {customer_country}"} | SINCE
POLICY = TaxPolicy.model_validate(
    {"policy": "gb-seller", "component": "VAT",
     "rules": [{"id": "wait", "when": "product_id = 'odd'", "hold": "id_in_check", "reason": "{product_id} waits"} | SINCE,
               {"id": "gb", "category": "S", "rate": "0.20"} | GB]}
)  # fmt: skip
TAXES = Taxes(policies={"gb-seller": POLICY})
CARRIES = Holding.model_validate({"minimum": {"EUR": "5", "GBP": "1"}, "zero_total": "carry", "negative_total": "carry"})
ACCOUNTS = {
    # account: (charges: product, amount, currency; what becomes of them: charge -> reason code, None for issued)
    "good": ([("p", "5", "EUR")], [None]),
    "with_an_odd_one": ([("a", "10", "EUR"), ("odd", "1", "EUR"), ("z", "2", "EUR")], ["with_its_document", "id_in_check", "with_its_document"]),
    "small": ([("p", "4.99", "EUR")], ["below_minimum"]),
    "small_in_another_currency": ([("p", "4.99", "GBP")], [None]),
    "nothing": ([("p", "3", "EUR"), ("q", "-3", "EUR")], ["zero_total", "zero_total"]),
    "less_than_nothing": ([("p", "-3", "EUR")], ["negative_total"]),
    "abroad": ([("p", "100", "EUR")], ["no_rule"]),
    "two_currencies": ([("odd", "10", "EUR"), ("p", "10", "GBP")], ["id_in_check", None]),
}  # fmt: skip


@pytest.fixture(scope="module")
def billed(spark):
    """The same charges under a policy that carries, and under one that issues what it can."""
    rows = [charged(amount, account_id=account, product_id=product, currency=currency, charge_id=f"{account}/{n}")
            for account, (charges, _) in ACCOUNTS.items() for n, (product, amount, currency) in enumerate(charges)]  # fmt: skip
    buyers = [customer(account, country="DE" if account == "abroad" else "GB") for account in ACCOUNTS]
    return {
        name: documents(spark, Billed(rows, buyers, holding=holding), [tenant()], TAXES)
        for name, holding in (("carries", CARRIES), ("issues", Holding()))
    }


def outcomes(found) -> dict[str, str | None]:
    told = dict.fromkeys((row[0] for row in collected(found.lines, "charge_id")), None)
    carried = dict(collected(found.carried, "charge_id", "reason_code"))
    assert not set(told) & set(carried), "issued or carried forward, never both"
    return told | carried


def test_a_document_is_held_as_a_whole_and_every_charge_is_somewhere(billed):
    expected = {f"{account}/{n}": code for account, (_, codes) in ACCOUNTS.items() for n, code in enumerate(codes)}
    assert outcomes(billed["carries"]) == expected


def test_without_a_policy_only_what_is_not_decided_is_held(billed):
    found = outcomes(billed["issues"])
    assert {charge for charge, code in found.items() if code} == {
        "with_an_odd_one/0", "with_an_odd_one/1", "with_an_odd_one/2", "abroad/0", "two_currencies/0",
    }  # fmt: skip
    kinds = dict(collected(billed["issues"].headers, "account_id", "document_type"))
    assert kinds["less_than_nothing"] == "credit_note" and kinds["nothing"] == "invoice"


def test_reasons_are_told_in_words(billed):
    reasons = dict(collected(billed["carries"].carried, "charge_id", "reason"))
    assert reasons["with_an_odd_one/0"] == "on one document with a line that is held: id_in_check"
    assert reasons["with_an_odd_one/1"] == "odd waits"
    assert reasons["small/0"] == "the document comes to 4.990 EUR"
    assert reasons["abroad/0"] == "no rule of gb-seller fits the line"


def test_what_is_held_is_in_no_header_and_no_tax(billed):
    carries = billed["carries"]
    assert {row[0] for row in collected(carries.headers, "account_id")} == {
        "good",
        "small_in_another_currency",
        "two_currencies",
    }
    assert {row[0] for row in collected(carries.taxes, "invoice_id")} == {
        row[0] for row in collected(carries.headers, "invoice_id")
    }


@pytest.mark.parametrize(
    ("told", "said"),
    [
        pytest.param({"minimum": {"EURO": "1"}}, "not an ISO 4217 code", id="no_currency"),
        pytest.param({"minimum": {"EUR": "0"}}, "an amount above 0", id="no_amount"),
        pytest.param({"zero_total": "drop"}, "'issue' or 'carry'", id="lost"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(told, said):
    with pytest.raises(ValueError, match=said):
        Holding.model_validate(told)


# --- sellers ----------------------------------------------------------------------------------------------------------

HOUSES = [
    entity("uk", serves=("GB",)),
    entity("media", serves=("GB", "IE"), sells=({"products": ("film",), "valid_from": "2026-01-01"},)),
    entity("old", serves=("FR",), sells=({"valid_to": "2026-01-01"},)),
    entity("new", serves=("FR",), sells=({"valid_from": "2026-01-01"},)),
]
SALES = {
    # country, product, month: who sells
    ("GB", "storage", "2026-07-01"): "uk",
    ("GB", "film", "2026-07-01"): "media",
    ("GB", "film", "2025-12-01"): "uk",
    ("IE", "film", "2026-07-01"): "media",
    ("IE", "storage", "2026-07-01"): "uk",  # the first one serves what no other does
    ("FR", "storage", "2025-12-01"): "old",
    ("FR", "storage", "2026-01-01"): "new",
    ("US", "film", "2026-07-01"): "uk",
}


def test_who_sells_is_chosen_by_country_product_and_date(spark):
    rows = [charged("10", account_id=country, product_id=product, period=month, charge_id=f"{country}/{product}/{month}")
            for country, product, month in SALES]  # fmt: skip
    buyers = [customer(country, country=country) for country in {key[0] for key in SALES}]
    found = documents(spark, Billed(rows, buyers), [tenant("alpha", HOUSES)], TAXES).every
    told = {tuple(charge.split("/")): seller for charge, seller in collected(found, "charge_id", "legal_entity_id")}
    assert told == SALES


def test_what_nobody_sells_is_held(spark):
    house = entity("uk", sells=({"products": ("film",)},))
    found = documents(spark, Billed([charged("10")], [customer(country="GB")]), [tenant("alpha", [house])], TAXES)
    assert collected(found.carried, "reason_code", "legal_entity_id") == [("no_seller", None)]


def test_two_that_sell_the_same_there_are_refused():
    with pytest.raises(ValueError, match="several legal entities serve FR"):
        tenant("alpha", [entity("a", serves=("FR",)), entity("b", serves=("FR",), sells=({"valid_to": "2026-01-01"},))])
    films, songs = (
        entity(name, serves=("FR",), sells=({"products": told},))
        for name, told in (("a", ("film", "song")), ("b", ("song",)))
    )
    with pytest.raises(ValueError, match="several legal entities serve FR"):
        tenant("alpha", [films, songs])


# --- amounts ----------------------------------------------------------------------------------------------------------

PARTS = {
    "policy": "gb-seller", "rounding": {"per": "document"}, "round_off": {"currency": "INR", "unit": "1"},
    "rules": [{"id": "gb", "category": "S", "rates": "parts", "reason": "taxed"} | SINCE],
}  # fmt: skip
RATES = [("CGST", "0.06"), ("SGST", "0.0375"), ("CESS", "0.015")]


@pytest.mark.parametrize("per", ["document", "line"])
def test_parts_of_lines_add_up_to_the_document_whatever_the_amounts(spark, per):
    table = RateTable.model_validate(
        {"table": "parts", "rates": [{"place": "GB", "component": c, "rate": r} | SINCE for c, r in RATES]}
    )
    policy = TaxPolicy.model_validate(PARTS | {"rounding": {"per": per}})
    amounts = [str(Decimal(n * n % 997 - 300) / 100) for n in range(1, 181)]
    currencies = ("INR", "JPY", "KWD")
    rows = [
        charged(amount, charge_id=f"c-{n}", currency=currencies[n % 3], account_id=f"a-{n % 2}")
        for n, amount in enumerate(amounts)
    ]
    buyers = [customer("a-0", country="GB"), customer("a-1", country="GB")]
    conf = Taxes(policies={"gb-seller": policy}, tables={"parts": table})
    found = documents(spark, Billed(rows, buyers), [tenant()], conf)
    lines: dict = {}
    for row in found.lines.collect():
        for part in row["line_taxes"]:
            lines.setdefault((row["invoice_id"], part["component"]), []).append((row["line_amount"], part["amount"]))
    taxed = {(row["invoice_id"], row["tax_component"]): row for row in found.taxes.collect()}
    assert set(lines) == set(taxed) and len(taxed) == 18
    for key, row in taxed.items():
        assert row["tax_amount"] == sum(amount for _, amount in lines[key])
        assert row["taxable_amount"] == sum(base for base, _ in lines[key])
        unit = {"INR": Decimal("0.01"), "JPY": Decimal(1), "KWD": Decimal("0.001")}[row["currency"]]
        slack = unit / 2 * (1 if per == "document" else len(lines[key]))
        assert abs(row["tax_amount"] - row["taxable_amount"] * row["tax_rate"]) <= slack
    for row in found.headers.collect():
        assert row["payable_amount"] == row["gross_amount"] + row["rounding_amount"]
        assert (row["payable_amount"] % 1 == 0) if row["currency"] == "INR" else row["rounding_amount"] == 0

"""Tax decisions and roundings that other systems are held to, through the real transforms and the real conf/taxes/, in one batch.

Rows of the same form that the files do not have (every member state, the other territories) are asked in the same batch.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.billing_aggregation import covering
from jobs.invoice_generation import amounts
from jobs.ledger.taxes import RateTable, Taxes, TaxPolicy, taxes
from jobs.ledger.tenants import Tenant
from jobs.runtime.config import ROOT
from tests.builders import charged, customer, entity, tenant
from tests.invoice_generation.taxed import MEMBERS, Billed, documents, registered, vat_id

VECTORS = ROOT.parent / "shared" / "data" / "vectors"
SINCE = {"valid_from": "2000-01-01", "source": "vectors"}
STANDARD_RATES = dict(
    zip(
        MEMBERS,
        [
            "20",
            "21",
            "20",
            "19",
            "21",
            "19",
            "25",
            "24",
            "21",
            "25.5",
            "20",
            "24",
            "25",
            "27",
            "23",
            "22",
            "21",
            "17",
            "21",
            "18",
            "21",
            "23",
            "23",
            "21",
            "25",
            "22",
            "23",
        ],
        strict=True,
    )
)
INSIDE = {
    "Azores",
    "Madeira",
    "Jungholz",
    "Mittelberg",
}  # of the VAT area: a business there with a registered id owes the tax itself
TERRITORIES = {  # what the files do not ask: territory -> buyer, post code, rate by a French seller
    "Melilla": ("ES", "52001", 0), "Heligoland": ("DE", "27498", 0), "Campione d'Italia": ("IT", "22061", 0), "Åland": ("FI", "22100", 0),
    "Madeira": ("PT", "9000-001", 22), "Mittelberg": ("AT", "6993", 19), "Saint-Martin": ("FR", "97150", 0), "Faroe Islands": ("DK", "100", 0),
    "Martinique": ("MQ", None, "8.5"), "Canary Islands": ("ES", "38001", 0), "Azores": ("PT", "9700-043", 16), "Mount Athos": ("EL", "630 86", 0),
}  # fmt: skip


def vectors(name: str) -> list[dict]:
    path = VECTORS / name
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()] if path.exists() else []
    )


def asked_beside() -> list[dict]:
    """Rows of the form of the decision vectors: every member state with and without a registered id, and the other territories."""
    rows = []
    for seller, buyers in (("FR", MEMBERS), ("DE", MEMBERS), ("IE", ["GR", "AT"])):
        for buyer in buyers:
            rows.append({"seller": seller, "buyer": buyer, "vat_id": None, "expected": f"{buyer} standard"})
            owed = f"{buyer} standard" if buyer == seller else "reverse charge"
            rows.append({"seller": seller, "buyer": buyer, "vat_id": f"valid, VIES country {buyer}", "expected": owed})
        rows.append({"seller": seller, "buyer": "FR" if seller == "DE" else "ES", "vat_id": "invalid", "expected": None})
    rows += [
        {"seller": "FR", "buyer": buyer, "zip": zip_code, "vat_id": None if name in INSIDE else "any",
         "expected": f"territory exception: {name}", "rate": rate}
        for name, (buyer, zip_code, rate) in TERRITORIES.items()
    ]  # fmt: skip
    rows += [
        {"seller": "FR", "buyer": "MC", "vat_id": None, "expected": "FR standard"},
        {"seller": "FR", "buyer": "FR", "zip": "20000", "vat_id": None, "expected": "FR standard"},  # Corsica
        {"seller": "FR", "buyer": "IT", "zip": "23030", "vat_id": None, "expected": "IT standard"},  # beside Livigno
        {"seller": "FR", "buyer": "PT", "zip": "9500", "vat_id": "valid, VIES country PT", "expected": "reverse charge"},
        {"seller": "FR", "buyer": "GB", "zip": "BT1 1AA", "vat_id": None, "expected": "exempt (out of EU)"},
        {"seller": "FR", "buyer": "CH", "vat_id": "any", "expected": "exempt (out of EU)"},
        {"seller": "FR", "buyer": "IT", "vat_id": "valid, VIES country FR", "expected": "FR standard"},
        {"seller": "FR", "buyer": "IT", "vat_id": "valid syntax, unregistered", "expected": "IT standard"},
        {"seller": "FR", "buyer": "IT", "vat_id": "valid, VIES country ES", "expected": "reverse charge"},
        {"seller": "FR", "buyer": "FR", "vat_id": "valid, VIES country DE", "expected": "reverse charge"},
        {
            "seller": "IT",
            "buyer": "FR",
            "zip": "97110",
            "vat_id": "any",
            "expected": "territory exception: Guadeloupe",
            "rate": 0,
        },
        {
            "seller": "FR",
            "buyer": "FR",
            "zip": "97500",
            "vat_id": "any",
            "expected": "territory exception: Saint-Pierre-et-Miquelon",
            "rate": 0,
        },
        {"seller": "FR", "buyer": "FR", "zip": "98000", "vat_id": None, "expected": "FR standard"},  # Monaco
        {
            "seller": "DE",
            "buyer": "DE",
            "zip": "27498",
            "vat_id": None,
            "expected": "territory exception: Heligoland",
            "rate": 0,
        },
        {
            "seller": "DE",
            "buyer": "DE",
            "zip": "87491",
            "vat_id": None,
            "expected": "territory exception: Jungholz",
            "rate": 19,
        },
        {
            "seller": "PT",
            "buyer": "PT",
            "zip": "9000-001",
            "vat_id": None,
            "expected": "territory exception: Madeira",
            "rate": 22,
        },
        {
            "seller": "FR",
            "buyer": "GR",
            "zip": "630 87",
            "vat_id": "any",
            "expected": "territory exception: Mount Athos",
            "rate": 0,
        },
        {"seller": "FR", "buyer": "GR", "zip": "63085", "vat_id": None, "expected": "GR standard"},  # beside it
        {
            "seller": "FR",
            "buyer": "IT",
            "zip": "22060",
            "vat_id": None,
            "expected": "IT standard",
        },  # beside Campione d'Italia
        {
            "seller": "FR",
            "buyer": "ES",
            "zip": "38911",
            "vat_id": "valid, VIES country ES",
            "expected": "territory exception: Canary Islands",
        },
        {"seller": "FR", "buyer": "IC", "vat_id": None, "expected": "territory exception: Canary Islands", "rate": 0},
        {"seller": "FR", "buyer": "GF", "vat_id": None, "expected": "territory exception: Guyane", "rate": 0},
        {"seller": "FR", "buyer": "SM", "vat_id": "any", "expected": "exempt (out of EU)"},
        {"seller": "FR", "buyer": "VA", "vat_id": None, "expected": "exempt (out of EU)"},
        {"seller": "FR", "buyer": "NO", "vat_id": "any", "expected": "exempt (out of EU)"},
        {"seller": "ES", "buyer": "ES", "zip": "35001", "vat_id": None, "expected": "territory exception: Canary Islands"},
        {"seller": "AT", "buyer": "AT", "zip": "6691", "vat_id": None, "expected": "territory exception: Jungholz"},
    ]
    return [row for row in rows if row["expected"]]


@dataclass
class Asked:
    """One question: an account, its registry checks, and the row it comes from."""

    row: dict
    tax_id: str | None = None
    status: str | None = None


def ids_of(row: dict) -> list[tuple[str | None, str | None]]:
    """The tax ids that a row stands for, each with what its registry says of it: several where it says that any will do."""
    told, buyer = row["vat_id"], row["buyer"]
    member = {"EL": "GR"}.get(buyer, buyer)
    own = vat_id(member) if member in MEMBERS else None
    if told is None:
        return [(None, None)]
    if told == "any":
        inside = any(name in row["expected"] for name in INSIDE)
        ids = [(None, None), ("XX-12", None), (own, "invalid")]
        return [pair for pair in ids + ([] if inside else [(own, "valid")]) if pair[0] or pair[1] is None]
    if found := re.search(r"VIES country ([A-Z]{2})", told):
        return [(vat_id({"EL": "GR"}.get(found[1], found[1])), "valid")]
    if "unregistered" in told:
        return [(own, "invalid")]
    if "valid" in told and "invalid" not in told:
        return [(own, "valid")]
    return [("XX-12", None)]


@dataclass
class Month:
    """What is billed in the one batch that answers everything here."""

    charges: list[dict] = field(default_factory=list)
    buyers: list[dict] = field(default_factory=list)
    checks: list[dict] = field(default_factory=list)
    tenants: list[Tenant] = field(default_factory=list)
    products: dict[str, dict] = field(default_factory=dict)


def add_questions(month: Month) -> list[Asked]:
    """Every question, a tenant each: v0, v1 and so on."""
    rows = [*vectors("eu_tax_decision_vectors.jsonl"), *asked_beside()]
    questions = [Asked(row, *pair) for row in rows for pair in ids_of(row)]
    for number, one in enumerate(questions):
        name = f"v{number}"
        house = entity(f"{name}-s", country=one.row["seller"], timezone="Europe/Paris", tax_policy="eu-seller")
        month.tenants.append(tenant(name, [house]))
        here = {"tenant_id": name, "account_id": "a-1"}
        month.buyers.append(customer(country=one.row["buyer"], postal_code=one.row.get("zip"), tax_id=one.tax_id) | here)
        month.charges.append(charged("100", charge_id=f"c-{number}") | here)
        if one.status:
            month.checks.append(registered(one.tax_id, one.row["buyer"], one.status, tenant_id=name))
    return questions


@pytest.fixture(scope="module")
def answered(spark):
    """Every question with the line that answers it, and every bill with its header, lines in order, and taxes."""
    month = Month()
    questions = add_questions(month)
    bills = [bill for row in (*vectors("tax_rounding_vectors.jsonl"), *ROUNDED_BESIDE) if (bill := bill_of(row, spark))]
    add_bills(month, bills)
    conf = conf_of(bills, month.products)
    found = documents(spark, Billed(month.charges, month.buyers, month.checks), month.tenants, conf)
    lines, taxed = {}, {}
    for row in sorted(found.every.collect(), key=lambda row: row["line_no"]):
        lines.setdefault(row["tenant_id"], []).append(row)
    for row in found.taxes.collect():
        taxed.setdefault(row["tenant_id"], []).append(row)
    headers = {row["tenant_id"]: row for row in settled(found.headers, bills).collect()}
    decided = [(one, lines[f"v{number}"][0]) for number, one in enumerate(questions)]
    return decided, [(bill.row, *(told[f"w{n}"] for told in (headers, lines, taxed))) for n, bill in enumerate(bills)]


@pytest.fixture(scope="module")
def decided(answered):
    return answered[0]


def agrees(row: dict, line) -> bool:
    """Whether a line is taxed as a row of the decision vectors expects."""
    expected, category, rate = row["expected"], line["tax_category"], line["tax_rate"]
    if line["hold_code"]:
        return False
    if found := re.fullmatch(r"([A-Z]{2}) standard", expected):
        return category == "S" and rate == Decimal(STANDARD_RATES[found[1]]) / 100 and "exception" not in line["tax_reason"]
    if expected == "exempt (out of EU)":
        return (category, rate) == ("G", 0)
    if expected == "reverse charge":
        return (category, rate) == ("AE", 0)
    name = expected.removeprefix("territory exception: ")
    as_told = "rate" not in row or rate == Decimal(str(row["rate"])) / 100
    return (
        f"customer in {name} (territory exception" in line["tax_reason"].replace("without a valid VAT id ", "") and as_told
    )


def test_the_decision_vectors_agree(decided):
    expected = {json.dumps(row) for row in vectors("eu_tax_decision_vectors.jsonl")}
    if not expected:
        pytest.skip("../shared/data/vectors is not beside this checkout")
    mine = [(one, line) for one, line in decided if json.dumps(one.row) in expected]
    assert {json.dumps(one.row) for one, _ in mine} == expected
    assert [(one.row, one.tax_id, line) for one, line in mine if not agrees(one.row, line)] == []


def test_every_member_state_and_territory_is_decided(decided):
    beside = {json.dumps(row) for row in asked_beside()}
    mine = [(one, line) for one, line in decided if json.dumps(one.row) in beside]
    assert len(mine) > 4 * len(MEMBERS)
    assert [(one.row, one.tax_id, line) for one, line in mine if not agrees(one.row, line)] == []


# --- roundings --------------------------------------------------------------------------------------------------------

ROUNDED_BESIDE = [  # what the files do not ask, in their form; "per": as "per" of a tax policy, currency: of the document
    {"kind": "category_vat", "base": "0.10", "rate": "25", "expected": "0.03"},
    {"kind": "category_vat", "base": "-0.10", "rate": "25", "expected": "-0.03"},
    {"kind": "category_vat", "base": "10.05", "rate": "10", "expected": "1.01"},
    {"kind": "category_vat", "base": "-10.05", "rate": "10", "expected": "-1.01"},
    {"kind": "category_vat", "base": "0.02", "rate": "24", "expected": "0.00"},
    {"kind": "category_vat", "base": "0.10", "rate": "5", "per": "line", "expected": "0.01"},
    {"kind": "category_vat", "base": "5", "rate": "10", "currency": "JPY", "expected": "1"},
    {"kind": "category_vat", "base": "-5", "rate": "10", "currency": "JPY", "expected": "-1"},
    {"kind": "category_vat", "base": "1234", "rate": "8", "currency": "JPY", "expected": "99"},
    {"kind": "category_vat", "base": "50", "rate": "11", "currency": "ISK", "expected": "6"},
    {"kind": "category_vat", "base": "102", "rate": "24", "currency": "ISK", "expected": "24"},
    {"kind": "category_vat", "base": "1.005", "rate": "10", "currency": "BHD", "expected": "0.101"},
    {"kind": "category_vat", "base": "-1.005", "rate": "10", "currency": "KWD", "expected": "-0.101"},
    {"kind": "category_vat", "base": "0.763", "rate": "19", "currency": "TND", "expected": "0.145"},
    {"kind": "category_vat", "base": "12345678901234.56", "rate": "25", "expected": "3086419725308.64"},
    {"kind": "line_vs_document", "lines": ["0.02"] * 50, "rate": "25", "expected": "0.25"},
    {"kind": "line_vs_document", "lines": ["0.02"] * 50, "rate": "25", "per": "line", "expected": "0.50"},
    {"kind": "line_vs_document", "lines": ["-0.02"] * 50, "rate": "25", "per": "line", "expected": "-0.50"},
    {"kind": "line_vs_document", "lines": ["0.01", "-0.03"] * 9, "rate": "19", "expected": "-0.03"},
    {"kind": "line_vs_document", "lines": ["0.01", "-0.03"] * 9, "rate": "19", "per": "line", "expected": "-0.09"},
    {"kind": "line_vs_document", "lines": ["3", "4", "8"], "rate": "10", "currency": "JPY", "expected": "2"},
    {"kind": "line_vs_document", "lines": ["3", "4", "8"], "rate": "10", "currency": "JPY", "per": "line", "expected": "1"},
    {"kind": "line_vs_document", "lines": ["0.005", "0.004"], "rate": "10", "currency": "BHD", "expected": "0.001"},
    {"kind": "line_vs_document", "lines": ["0.005", "0.004"], "rate": "10", "currency": "BHD", "per": "line", "expected": "0.001"},
    {"kind": "multi_category", "currency": "EUR", "subtotals": [["S", "25", "10.05", "2.51"], ["S", "12", "0.04", "0.00"], ["S", "6", "-0.10", "-0.01"],
                                                                 ["E", "0", "3.00", "0.00"]], "line_total": "12.99", "incl": "15.49"},
    {"kind": "multi_category", "currency": "JPY", "subtotals": [["S", "10", "1015", "102"], ["S", "8", "-7", "-1"]], "line_total": "1008", "incl": "1109"},
    {"kind": "multi_category", "currency": "EUR", "subtotals": [["S", "20", "99.99", "20.00"], ["S", "5.5", "0.09", "0.00"]],
     "allowance": "0.02", "charge": "0.02", "line_total": "100.08", "incl": "120.08"},
]  # fmt: skip


@dataclass
class Bill:
    """One rounding vector as charges of one account: amount and tax class of each, and the policy that taxes them."""

    row: dict
    charges: list[tuple[str, str]]
    policy: str = "vectors"
    currency: str = "EUR"
    seller: dict = field(default_factory=lambda: {"country": "NO", "timezone": "Europe/Oslo"})
    buyer: dict = field(default_factory=lambda: {"country": "NO"})
    checks: list[tuple[str, str]] = field(default_factory=list)


CREDITED = (
    "charges array<struct<account_id: string, product_id: string, region: string, amount: decimal(38,18)>>, credits array<struct<valid_to: "
    "date, credit_id: string, account_id: string, balance: decimal(38,18), products: array<string>, region: string, is_shared: boolean>>, "
    "minor_units int"
)


def bill_of(row: dict, spark) -> Bill | None:
    """What a row asks, as charges."""
    kind = row["kind"]
    indian = {"policy": "in-seller", "currency": "INR", "seller": {"country": "IN", "timezone": "Asia/Kolkata", "tax_id": GSTINS[0]},
              "buyer": {"country": "IN", "region": "Karnataka", "tax_id": GSTINS[1]}}  # fmt: skip
    asked_for = {
        "policy": f"vectors-per-{row['per']}" if "per" in row else "vectors",
        "currency": row.get("currency", "EUR"),
    }
    if kind == "category_vat":
        return Bill(row, [(row["base"], f"r{row['rate']}")], **asked_for)
    if kind == "line_vs_document":
        return Bill(row, [(amount, f"r{row['rate']}") for amount in row["lines"]], **asked_for)
    if kind == "coupon_over_total":
        fees = [("a", "p", None, Decimal(fee["amount"])) for fee in row["fees"]]
        coupons = [(None, f"c{n}", "a", Decimal(amount), None, None, False) for n, amount in enumerate(row["coupons"])]
        asked = spark.createDataFrame([(fees, coupons, 2)], CREDITED)
        paid = (
            asked.withColumn("credits", covering.ranked(F.col("credits"))).select(covering.covered().alias("paid")).first()
        )
        credited = [(f"-{one['amount']}", f"r{row['fees'][one['place']]['rate']}") for one in paid["paid"]]
        return Bill(row, [(fee["amount"], f"r{fee['rate']}") for fee in row["fees"]] + credited)
    if kind == "credit_note":
        return Bill(row, [(f"-{row['net']}", f"r{row['rate']}")])
    if kind == "india_cgst_sgst":
        return Bill(row, [(amount, f"r{row['gst']}") for amount in row["lines"]], **indian)
    if kind == "india_intra_state":
        return Bill(row, [(row["base"], "standard")], **indian)
    if kind == "reverse_charge":
        return Bill(row, [(row["base"], "standard")], policy="eu-seller", seller={"country": "DE", "timezone": "Europe/Berlin"},
                    buyer={"country": "ES", "tax_id": vat_id("ES")}, checks=[(vat_id("ES"), "ES")])  # fmt: skip
    if kind in ("multi_category", "negative_correction"):
        charges = [(base, "exempt" if category == "E" else f"r{rate}") for category, rate, base, _ in row["subtotals"]]
        if "allowance" in row:  # of a whole document, which is a line of its own here, as is a charge
            charges += [(f"-{row['allowance']}", charges[0][1]), (row["charge"], charges[0][1])]
        return Bill(row, charges, currency=row["currency"])
    return None


GSTINS = ("27AAPFU0939F1ZV", "27AAACR4849R1ZL")  # of Maharashtra both
VECTOR_POLICY = {
    "policy": "vectors",
    "rules": [
        {"id": "exempt", "when": "tax_class = 'exempt'", "category": "E", "rate": "0", "exemption_reason": "Exempt", "reason": "exempt",
         "valid_from": "2000-01-01", "source": "vectors"},
        {"id": "taxed", "category": "S", "rates": "vectors", "reason": "taxed", "valid_from": "2000-01-01", "source": "vectors"},
    ],
}  # fmt: skip


def conf_of(bills: list[Bill], products: dict[str, dict]) -> Taxes:
    """conf/taxes/ with the policies of the vectors, and a class for every rate that a bill asks for."""
    classes = sorted({tax_class for bill in bills for _, tax_class in bill.charges if tax_class.startswith("r")})
    table = RateTable.model_validate(
        {"table": "vectors", "rates": [{"place": "NO", "tax_class": "standard", "rate": "0.25"} | SINCE,
                                       *({"place": "NO", "tax_class": c, "rate": str(Decimal(c[1:]) / 100)} | SINCE for c in classes)]}
    )  # fmt: skip
    told = taxes()
    state = told.tables["in-state"].model_dump()
    state["rates"] = [*state["rates"], *(
        {"place": "IN", "tax_class": c, "component": part, "rate": Decimal(c[1:]) / 200} | SINCE for c in classes for part in ("CGST", "SGST")
    )]  # fmt: skip
    tables = told.tables | {"vectors": table, "in-state": RateTable.model_validate(state)}
    per_line = VECTOR_POLICY | {"policy": "vectors-per-line", "rounding": {"per": "line"}}
    policies = told.policies | {one["policy"]: TaxPolicy.model_validate(one) for one in (VECTOR_POLICY, per_line)}
    return Taxes.model_validate(
        {"policies": policies, "tables": tables, "territories": told.territories, "products": products}
    )


def add_bills(month: Month, bills: list[Bill]) -> None:
    """Every bill, a tenant each: w0, w1 and so on."""
    for number, bill in enumerate(bills):
        name = f"w{number}"
        month.tenants.append(tenant(name, [entity(f"{name}-s", tax_policy=bill.policy, **bill.seller)]))
        here = {"tenant_id": name, "account_id": "a-1"}
        month.buyers.append(customer(**bill.buyer) | here)
        month.checks += [registered(tax_id, country, tenant_id=name) for tax_id, country in bill.checks]
        for line, (amount, _) in enumerate(bill.charges):
            of_line = {"charge_id": f"c-{line:02}", "product_id": f"p-{line:02}", "currency": bill.currency}
            month.charges.append(charged(amount, **of_line) | here)
        classes = [{"product": f"p-{line:02}", "tax_class": told} | SINCE for line, (_, told) in enumerate(bill.charges)]
        month.products[name] = {"products": classes}


def settled(headers: DataFrame, bills: list[Bill]) -> DataFrame:
    """Headers with what a bill was prepaid with."""
    paid = F.lit(None).cast("string")
    for number, bill in enumerate(bills):
        if "prepaid" in bill.row:
            paid = F.when(F.col("tenant_id") == f"w{number}", F.lit(bill.row["prepaid"])).otherwise(paid)
    prepaid = F.coalesce(paid.cast("decimal(18,3)"), F.col("prepaid_amount")).cast("decimal(18,3)")
    return headers.withColumn("prepaid_amount", prepaid).withColumn("payable_amount", amounts.payable())


@pytest.fixture(scope="module")
def rounded(answered):
    return answered[1]


def told_of(row: dict, header, lines, taxed) -> dict[str, object]:
    """What a row expects that can be said of its document, beside what the document says: key -> (expected, found)."""
    sign = -1 if row["kind"] == "credit_note" else 1
    parts = {name: [part["amount"] for line in lines for part in line["line_taxes"] if part["component"] == name]
             for name in ("CGST", "SGST")}  # fmt: skip
    found = {
        "net": header["net_amount"] * sign, "tax": header["tax_amount"] * sign, "total_tax": header["tax_amount"],
        "per_line_sum": header["tax_amount"], "line_total": header["net_amount"], "incl": header["gross_amount"],
        "payable": header["payable_amount"], "before_round": header["gross_amount"], "round_off": header["rounding_amount"],
        "total": header["payable_amount"] if row["kind"] == "india_cgst_sgst" else header["gross_amount"] * sign,
        "cgst_total": sum(parts["CGST"]), "cgst": parts["CGST"], "sgst": parts["SGST"],
        "category": taxed[0]["tax_category"],
    }  # fmt: skip
    found["expected"] = header["tax_amount"]
    by_rate = sorted((one["tax_category"], one["tax_rate"] * 100, one["taxable_amount"], one["tax_amount"]) for one in taxed)
    found["subtotals"] = by_rate
    wanted = {}
    for key in found.keys() & row.keys():
        value = row[key]
        if key == "subtotals":
            wanted[key] = sorted((c, Decimal(rate), Decimal(base), Decimal(tax)) for c, rate, base, tax in value)
        elif key == "category":
            wanted[key] = value
        elif key in ("cgst", "sgst"):
            wanted[key] = [Decimal(one) for one in (value if isinstance(value, list) else [value])]
        else:
            wanted[key] = Decimal(value)
    return {key: (value, found[key]) for key, value in wanted.items()}


def differing(documents) -> list[tuple]:
    """What documents say other than their rows expect."""
    compared = [(row, told_of(row, *document)) for row, *document in documents]
    assert all(told for _, told in compared)
    return [(row, key, pair) for row, told in compared for key, pair in told.items() if pair[0] != pair[1]]


def test_the_rounding_vectors_agree(rounded):
    asked = vectors("tax_rounding_vectors.jsonl")
    if not asked:
        pytest.skip("../shared/data/vectors is not beside this checkout")
    mine = [document for document in rounded if document[0] in asked]
    assert {row["kind"] for row, *_ in mine} == {row["kind"] for row in asked}
    assert differing(mine) == []


def test_their_neighbours_agree_too(rounded):
    mine = [document for document in rounded if document[0] in ROUNDED_BESIDE]
    assert len(mine) == len(ROUNDED_BESIDE)
    assert differing(mine) == []


def test_parts_of_lines_add_up_to_the_documents_taxes(rounded):
    for row, _, lines, taxed in rounded:
        for one in taxed:
            parts = [part["amount"] for line in lines for part in line["line_taxes"]
                     if (line["tax_category"], part["component"], part["rate"]) == (one["tax_category"], one["tax_component"], one["tax_rate"])]  # fmt: skip
            assert sum(parts) == one["tax_amount"], row

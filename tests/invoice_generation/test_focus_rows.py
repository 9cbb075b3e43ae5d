"""Lines and taxes to FOCUS rows: what each kind of line becomes, and that a document's rows add up to its gross amount."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F
from pyspark.sql import types as T

from jobs.billing_aggregation import settlement
from jobs.billing_aggregation.settlement import CREDIT
from jobs.invoice_generation import focus, focus_files
from jobs.invoice_generation.tables import INVOICE_LINES, INVOICE_TAXES
from jobs.ledger.tenants import tenants
from jobs.runtime.errors import ConfigError
from tests.builders import (
    ALPHA,
    BETA,
    accounts,
    at,
    collected,
    conf_file,
    customer,
    entity,
    frame,
    invoices,
    issued,
    plain,
    table_of,
    tenant,
    tenant_conf,
)

MANDATORY = {  # of FOCUS 1.2
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName",
    "ListCost", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
}  # fmt: skip
MAY_BE_NULL = {"BillingAccountName", "ChargeClass", "PricingQuantity", "PricingUnit"}  # of these
LINES = T.StructType(
    [*INVOICE_LINES.schema.fields, T.StructField("kind", T.StringType()), T.StructField("price_id", T.StringType())]
)


def line(amount: str = "5", **more):
    """A line of invoice i-1: 100 units of storage for 5 pounds in July."""
    row = {
        "tenant_id": ALPHA, "period": "2026-07-01", "invoice_id": "i-1", "line_no": 1, "charge_id": "c-1", "service_period": "2026-07-01",
        "product_id": "storage", "region": "eu", "unit": "GB", "quantity": "100", "currency": "GBP", "rated_amount": amount,
        "line_amount": amount, "kind": "usage", "price_id": "p-1",
    }  # fmt: skip
    return row | more


def shared(spark, *documents, customers=None, names=(ALPHA,), **of_entity):
    tenants = [tenant(name, [entity(f"{name}-uk", **of_entity)]) for name in names]
    asking = [t.model_copy(update={"outputs": t.outputs.model_copy(update={"focus": ("csv",)})}) for t in tenants]
    return focus.documents(
        invoices(spark, *(documents or [issued("5", "5", "0")])),
        accounts(spark, *(customers or [customer()])),
        focus.sellers(spark, asking),
    )


def rows(spark, lines, taxes=(), documents=None):
    return focus.rows(
        frame(spark, LINES, lines),
        table_of(spark, INVOICE_TAXES, taxes),
        documents if documents is not None else shared(spark),
    )


SHOWN = (
    "ChargeCategory", "ChargeClass", "ChargeFrequency", "ConsumedQuantity", "ConsumedUnit", "PricingQuantity", "PricingUnit",
    "ListUnitPrice", "ListCost", "BilledCost", "PricingCategory",
)  # fmt: skip
JUNE = {"service_period": "2026-06-01"}
OF_NO_QUANTITY = {"quantity": "0", "unit": None}
CASES = {
    # case: (line, what its row says)
    "used": (line(), ("Usage", None, "Usage-Based", "100", "GB", "100", "GB", "0.05", "5", "5", "Standard")),
    "the_cost_is_exact_the_bill_rounded": (
        line("5.004", line_amount="5"), ("Usage", None, "Usage-Based", "100", "GB", "100", "GB", "0.05004", "5.004", "5", "Standard"),
    ),
    "without_a_unit": (line(unit=None), ("Usage", None, "Usage-Based", "100", "Units", "100", "Units", "0.05", "5", "5", "Standard")),
    "tiers_without_an_exact_price_are_priced_as_a_month": (
        line("22", quantity="12"), ("Usage", None, "Usage-Based", "12", "GB", "1", "Months", "22", "22", "22", "Standard"),
    ),
    "used_for_nothing": (line("0"), ("Usage", None, "Usage-Based", "100", "GB", "100", "GB", "0", "0", "0", "Standard")),
    "given_back_in_the_same_month": (
        line("-5", quantity="-100"), ("Adjustment", None, "One-Time", None, None, "-100", "GB", "0.05", "-5", "-5", None),
    ),
    "nothing_used": (line("3", quantity="0"), ("Adjustment", None, "One-Time", None, None, "0", "GB", None, "3", "3", None)),
    "of_an_earlier_month": (
        line(**JUNE), ("Usage", "Correction", "Usage-Based", "100", "GB", "100", "GB", "0.05", "5", "5", "Standard"),
    ),
    "taken_back_from_an_earlier_month": (
        line("-5", quantity="-100", **JUNE), ("Usage", "Correction", "Usage-Based", "-100", "GB", "-100", "GB", "0.05", "-5", "-5", "Standard"),
    ),
    "another_price_for_an_earlier_month": (
        line("-1.004", quantity="0", line_amount="-1", **JUNE),
        ("Usage", "Correction", "Usage-Based", "0", "GB", "0", "GB", None, "-1", "-1", "Standard"),
    ),
    "flat": (line("3", kind="flat", **OF_NO_QUANTITY), ("Purchase", None, "Recurring", None, None, "1", "Months", "3", "3", "3", "Standard")),
    "fee": (line("3", kind="fee", **OF_NO_QUANTITY), ("Purchase", None, "Recurring", None, None, "1", "Months", "3", "3", "3", "Standard")),
    "a_fee_taken_back_from_an_earlier_month": (
        line("-3", kind="fee", **OF_NO_QUANTITY, **JUNE),
        ("Purchase", "Correction", "Recurring", None, None, None, None, None, "-3", "-3", "Standard"),
    ),
    "discount": (line("-3", kind="discount", **OF_NO_QUANTITY), ("Credit", None, "One-Time", None, None, None, None, None, "-3", "-3", None)),
    "maximum": (line("-3", kind="maximum", **OF_NO_QUANTITY), ("Credit", None, "One-Time", None, None, None, None, None, "-3", "-3", None)),
    "credit": (line("-3", kind="credit", **OF_NO_QUANTITY), ("Credit", None, "One-Time", None, None, None, None, None, "-3", "-3", None)),
    "minimum": (line("3", kind="minimum", **OF_NO_QUANTITY), ("Adjustment", None, "One-Time", None, None, None, None, None, "3", "3", None)),
    "a_cost_without_price_is_the_billed_one": (
        line("-3.001", line_amount="-3", kind="discount", **OF_NO_QUANTITY),
        ("Credit", None, "One-Time", None, None, None, None, None, "-3", "-3", None),
    ),
    "of_a_kind_nobody_knows": (line("-3", kind="surprise", **OF_NO_QUANTITY), ("Adjustment", None, "One-Time", None, None, None, None, None, "-3", "-3", None)),
}  # fmt: skip


def broken(made):
    """Rows with the names of the columns that are not as they should be."""
    names = [F.when(F.expr(column.broken), F.lit(column.name)) for column in focus.COLUMNS if column.broken]
    return made.withColumn("broken", F.array_join(F.array_compact(F.array(*names)), ","))


@pytest.fixture(scope="module")
def told(spark):
    """All cases as documents of one line, in one job: case -> (row, whether its price does not fit its cost)."""
    made = rows(
        spark,
        [told | {"invoice_id": case} for case, (told, _) in CASES.items()],
        documents=shared(spark, *(issued("5", "5", "0", invoice_id=case) for case in CASES)),
    ).localCheckpoint()
    mispriced = dict(collected(focus.account(made, invoices(spark)), "invoice_id", "mispriced"))
    return {row["invoice_id"]: (row, mispriced[row["invoice_id"]]) for row in broken(made).collect()}


@pytest.mark.parametrize("case", CASES)
def test_a_line_becomes_a_row_that_is_as_the_specification_says(told, case):
    row, mispriced = told[case]
    shown = tuple(plain(value) if isinstance(value, Decimal) else value for value in (row[name] for name in SHOWN))
    assert shown == CASES[case][1]
    assert row["ContractedCost"] == row["ListCost"]
    assert row["ContractedUnitPrice"] == row["ListUnitPrice"]
    assert row["EffectiveCost"] == row["BilledCost"]
    assert (row["broken"], mispriced) == ("", 0)


def test_every_kind_of_charge_that_billing_makes_is_met():
    kinds = {getattr(settlement, name) for name in ("USAGE", "FLAT_PART", "FEE", "DISCOUNT", "MAXIMUM", "MINIMUM")}
    assert kinds | {CREDIT} <= {told["kind"] for told, _ in CASES.values()}


def test_the_columns_are_those_of_focus_1_2():
    level = {name: {column.name for column in focus.COLUMNS if column.level == name} for name in ("mandatory", "custom")}
    assert level == {"mandatory": MANDATORY, "custom": {"x_LineNumber"}}
    assert {column.name for column in focus.COLUMNS if column.level == "mandatory" and column.given != "TRUE"} == MAY_BE_NULL
    assert list(focus.NAMES) == sorted(focus.NAMES)


def test_a_tax_has_a_row_of_its_own_unless_it_is_nothing(spark):
    tax = {
        "tenant_id": ALPHA, "period": "2026-07-01", "invoice_id": "i-1", "tax_category": "S", "tax_rate": "0.2", "currency": "GBP",
        "taxable_amount": "5", "tax_amount": "1", "tax_rule": "gb-seller/gb",
    }  # fmt: skip
    made = rows(spark, [line()], [tax, tax | {"tax_category": "Z", "tax_rate": "0", "tax_amount": "0"}])
    taxed = made.where("ChargeCategory = 'Tax'")
    shown = (
        "ServiceName",
        "ChargeDescription",
        "ChargeFrequency",
        "BilledCost",
        "ListCost",
        "ContractedCost",
        "EffectiveCost",
    )
    assert collected(taxed, *shown) == [
        ("Tax", "Tax of category S at a rate of 0.2 by gb-seller/gb", "One-Time", "1", "1", "1", "1")
    ]
    absent = (
        "ListUnitPrice",
        "PricingQuantity",
        "PricingUnit",
        "PricingCategory",
        "SkuId",
        "SkuPriceId",
        "ConsumedQuantity",
        "x_LineNumber",
    )
    assert collected(taxed, *absent) == [(None,) * len(absent)]
    assert set(collected(broken(made), "broken")) == {("",)}
    header = invoices(spark, issued("6", "5", "1"))
    found = (
        "net",
        "charged",
        "tax",
        "taxed",
        "gross",
        "billed",
        "line_count",
        "lines_found",
        "owners",
        "mispriced",
        "broken",
    )
    assert collected(focus.account(made, header), *found) == [("5", "5", "1", "1", "6", "6", 1, 1, 1, 0, None)]


def test_months_begin_where_they_are_billed_and_are_told_in_utc(spark):
    made = rows(spark, [line(**JUNE)], documents=shared(spark, timezone="Asia/Tokyo"))
    shown = ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd")
    (row,) = made.select(*(F.unix_timestamp(name).alias(name) for name in shown)).collect()
    moments = ("2026-05-31T15:00:00", "2026-06-30T15:00:00", "2026-06-30T15:00:00", "2026-07-31T15:00:00")
    assert tuple(row) == tuple(int(at(moment).timestamp()) for moment in moments)


def test_who_pays_is_the_billing_account_who_used_the_sub_account(spark):
    documents = [
        issued("5", "5", "0"), issued("5", "5", "0", invoice_id="i-2", account_id="a-2"),
        issued("5", "5", "0", invoice_id="i-3", account_id="a-3"),
        issued("5", "5", "0", tenant_id=BETA, legal_entity_id="beta-uk"),
    ]  # fmt: skip
    customers = [
        customer(legal_name="One"), customer("a-2", legal_name="Two", payer_account_id="a-1"),
        customer("a-3", legal_name="Three", payer_account_id="a-9"), customer(tenant_id=BETA, legal_name="Another"),
    ]  # fmt: skip
    lines = [line(), line(invoice_id="i-2"), line(invoice_id="i-3"), line(tenant_id=BETA)]
    made = rows(spark, lines, documents=shared(spark, *documents, customers=customers, names=(ALPHA, BETA)))
    shown = ("tenant_id", "BillingAccountId", "BillingAccountName", "SubAccountId", "SubAccountName", "InvoiceIssuerName")
    assert collected(made, *shown) == [
        (ALPHA, "a-1", "One", "a-1", "One", "alpha-uk"),
        (ALPHA, "a-1", "One", "a-2", "Two", "alpha-uk"),
        (ALPHA, "a-9", None, "a-3", "Three", "alpha-uk"),
        (BETA, "a-1", "Another", "a-1", "Another", "beta-uk"),
    ]
    assert set(collected(broken(made), "broken")) == {("",)}


def test_a_tenant_that_did_not_ask_has_no_rows(spark):
    documents = shared(spark, issued("5", "5", "0"), issued("5", "5", "0", tenant_id=BETA))
    assert collected(rows(spark, [line(), line(tenant_id=BETA)], documents=documents), "tenant_id") == [(ALPHA,)]


DECIMALS = st.decimals("-1000000", "1000000", places=6)


@seed(20261121)
@settings(max_examples=300, deadline=None, database=None)
@given(st.decimals("0", "1000000", places=9), DECIMALS)
def test_a_unit_price_is_found_again_from_its_product(price, quantity):
    found = focus.unit_price(quantity, price * quantity)
    assert found == (price if quantity else None)


@seed(20261121)
@settings(max_examples=300, deadline=None, database=None)
@given(DECIMALS, DECIMALS)
def test_a_unit_price_times_the_quantity_is_the_amount_or_there_is_none(quantity, amount):
    found = focus.unit_price(quantity, amount)
    assert found is None or (found >= 0 and found * quantity == amount)


@pytest.mark.parametrize(
    ("quantity", "amount"), [(None, "1"), ("0", "1"), ("1", None), ("-1", "1"), ("3", "1"), ("1", "10000000000000")]
)
def test_no_unit_price_is_made_up(quantity, amount):
    assert focus.unit_price(Decimal(quantity) if quantity else None, Decimal(amount) if amount else None) is None


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        pytest.param({"focus": ["xlsx"]}, "'csv' or 'parquet'", id="a_format_nobody_writes"),
        pytest.param({"focus": ["csv", "csv"]}, "named twice", id="a_format_twice"),
        pytest.param({"fokus": ["csv"]}, "fokus", id="a_typing_error"),
    ],
)
def test_what_a_tenant_asks_for_is_checked(home, outputs, said):
    conf_file(home, f"tenants/{ALPHA}.yaml", tenant_conf(ALPHA) | {"outputs": outputs})
    with pytest.raises(ConfigError, match=said):
        tenants()


def test_names_of_files_are_safe_and_never_the_same():
    def named(payer, file_id):
        return focus_files.file_path("alpha", "2026-07", payer, "GBP", file_id, "csv")

    assert named("../../etc/passwd", "f" * 64) == "alpha/focus/2026-07/etc-passwd-GBP-ffffffffffffffff.csv"
    assert named("日本", "0" * 64) == "alpha/focus/2026-07/payer-GBP-0000000000000000.csv"
    assert len(named("x" * 500, "0" * 64)) < 120
    assert named("a/b", "0" * 64) != named("a.b", "1" * 64)


FULL = {
    "BilledCost": Decimal("10.500"),
    "InvoiceId": "A-1",
    "x_LineNumber": 1,
    "BillingPeriodStart": at("2026-07-01T00:00:00"),
}


def test_files_say_every_value_in_one_way_only():
    """Numbers without exponent or needless zeros, moments in UTC, null as nothing, and whatever stands in a text as it is."""
    odd = 'a "quoted", one\r\nof two lines; Ü'
    tiny, none = Decimal("0.000000000000000000001"), Decimal("-0.000")
    told = [
        FULL
        | {
            "x_LineNumber": 2,
            "ChargeDescription": odd,
            "PricingQuantity": tiny,
            "ListCost": Decimal("-1000000.000000000000000000"),
        },
        FULL | {"EffectiveCost": none},
        FULL | {"InvoiceId": "A-0", "x_LineNumber": None, "ChargeDescription": "tax"},
    ]
    rows = focus_files.ordered(pa.Table.from_pylist(told, schema=focus_files.SCHEMA))
    read = list(csv.DictReader(io.StringIO(focus_files.as_csv(rows).decode(), newline="")))
    shown = (
        "InvoiceId",
        "x_LineNumber",
        "ChargeDescription",
        "BilledCost",
        "EffectiveCost",
        "PricingQuantity",
        "ListCost",
        "BillingPeriodStart",
    )
    assert [tuple(row[name] for name in shown) for row in read] == [
        ("A-0", "", "tax", "10.5", "", "", "", "2026-07-01T00:00:00Z"),
        ("A-1", "1", "", "10.5", "0", "", "", "2026-07-01T00:00:00Z"),
        ("A-1", "2", odd, "10.5", "", "0.000000000000000000001", "-1000000", "2026-07-01T00:00:00Z"),
    ]
    parquet = focus_files.as_parquet(rows)
    assert pq.read_table(pa.BufferReader(parquet)).equals(rows)
    turned = focus_files.ordered(pa.Table.from_pylist(told[::-1], schema=focus_files.SCHEMA))
    assert (focus_files.as_csv(turned), focus_files.as_parquet(turned)) == (focus_files.as_csv(rows), parquet)

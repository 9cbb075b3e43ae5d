"""A month's documents as FOCUS 1.2: a row for every line and every tax of a document, in the columns of the specification.

The columns and what the specification asks of them stand in one table, COLUMNS: rows are selected by it, files typed by it,
and the gate judges rows by it. Where a column's value comes from, and what is left out and why, is told in docs/focus.md.
Source: FOCUS specification 1.2 (FinOps Open Cost and Usage Specification), its columns and attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Literal

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from jobs.ledger.columns import AMOUNT, QUANTITY, RATED
from jobs.ledger.money import exact_product
from jobs.ledger.tenants import Tenant

Level = Literal["mandatory", "conditional", "recommended", "custom"]

TEXT, MOMENT, WHOLE = T.StringType(), T.TimestampType(), T.IntegerType()
ALWAYS, NEVER = "TRUE", "FALSE"
IS_TAX = "ChargeCategory = 'Tax'"
IS_PRICED = "ChargeCategory IN ('Usage', 'Purchase') AND ChargeClass IS NULL"  # the others may go without price and quantity
IS_CONSUMED = "ChargeCategory = 'Usage' AND ChargeClass IS NULL"

CHARGE_CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
CHARGE_FREQUENCIES = ("One-Time", "Recurring", "Usage-Based")
PRICING_CATEGORIES = ("Standard", "Dynamic", "Committed", "Other")
SERVICE_CATEGORIES = (
    "AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools", "Multicloud",
    "Identity", "Integration", "Internet of Things", "Management and Governance", "Media", "Migration", "Mobile", "Networking",
    "Security", "Storage", "Web", "Other",
)  # fmt: skip


@dataclass(frozen=True)
class FocusColumn:
    """A column of the specification, and what it asks of every row; conditions are Spark SQL over the columns of a row."""

    name: str
    kind: T.DataType
    level: Level
    given: str = NEVER  # where it may not be null
    absent: str = NEVER  # where it must be null
    allowed: tuple[str, ...] = ()
    wrong: str = NEVER  # what else it may not be

    @property
    def broken(self) -> str:
        """Spark SQL that is true for a row in which this column is not as the specification says."""
        told = [f"({self.given}) AND {self.name} IS NULL", f"({self.absent}) AND {self.name} IS NOT NULL", self.wrong]
        if self.allowed:
            told.append(f"{self.name} NOT IN ({', '.join(repr(value) for value in self.allowed)})")
        elif self.kind == TEXT:
            told.append(f"trim({self.name}) = ''")  # what is absent is null, never an empty text
        return " OR ".join(f"({part})" for part in told if part != NEVER)


COLUMNS: tuple[FocusColumn, ...] = (  # in the order of their names, as the specification presents them
    FocusColumn("BilledCost", AMOUNT, "mandatory", ALWAYS),
    FocusColumn("BillingAccountId", TEXT, "mandatory", ALWAYS),
    FocusColumn("BillingAccountName", TEXT, "mandatory"),
    FocusColumn("BillingAccountType", TEXT, "conditional", ALWAYS),
    FocusColumn("BillingCurrency", TEXT, "mandatory", ALWAYS, wrong="BillingCurrency NOT RLIKE '^[A-Z]{3}$'"),
    FocusColumn("BillingPeriodEnd", MOMENT, "mandatory", ALWAYS, wrong="BillingPeriodEnd <= BillingPeriodStart"),
    FocusColumn("BillingPeriodStart", MOMENT, "mandatory", ALWAYS),
    FocusColumn("ChargeCategory", TEXT, "mandatory", ALWAYS, allowed=CHARGE_CATEGORIES),
    FocusColumn(
        "ChargeClass", TEXT, "mandatory", given="ChargePeriodEnd <= BillingPeriodStart",
        absent="ChargePeriodStart >= BillingPeriodStart", allowed=("Correction",),
    ),
    FocusColumn("ChargeDescription", TEXT, "mandatory", ALWAYS),
    FocusColumn(
        "ChargeFrequency", TEXT, "recommended", ALWAYS, allowed=CHARGE_FREQUENCIES,
        wrong="ChargeCategory = 'Purchase' AND ChargeFrequency = 'Usage-Based'",
    ),
    FocusColumn(
        "ChargePeriodEnd", MOMENT, "mandatory", ALWAYS,
        wrong="ChargePeriodEnd <= ChargePeriodStart OR ChargePeriodEnd > BillingPeriodEnd",
    ),
    FocusColumn("ChargePeriodStart", MOMENT, "mandatory", ALWAYS),
    FocusColumn(
        "ConsumedQuantity", QUANTITY, "conditional", IS_CONSUMED, "ChargeCategory <> 'Usage'",
        wrong="ConsumedQuantity <= 0 AND ChargeClass IS NULL",
    ),
    FocusColumn("ConsumedUnit", TEXT, "conditional", "ConsumedQuantity IS NOT NULL", "ConsumedQuantity IS NULL"),
    FocusColumn(
        "ContractedCost", RATED, "mandatory", ALWAYS, wrong="ContractedUnitPrice IS NULL AND ContractedCost <> BilledCost"
    ),
    FocusColumn("ContractedUnitPrice", QUANTITY, "conditional", IS_PRICED, IS_TAX, wrong="ContractedUnitPrice < 0"),
    FocusColumn("EffectiveCost", AMOUNT, "mandatory", ALWAYS),
    FocusColumn("InvoiceId", TEXT, "recommended"),  # taken at issue, null until then
    FocusColumn("InvoiceIssuerName", TEXT, "mandatory", ALWAYS),
    FocusColumn("ListCost", RATED, "mandatory", ALWAYS, wrong="ListUnitPrice IS NULL AND ListCost <> BilledCost"),
    FocusColumn("ListUnitPrice", QUANTITY, "conditional", IS_PRICED, IS_TAX, wrong="ListUnitPrice < 0"),
    FocusColumn("PricingCategory", TEXT, "conditional", IS_PRICED, IS_TAX, PRICING_CATEGORIES),
    FocusColumn("PricingQuantity", QUANTITY, "mandatory", IS_PRICED, IS_TAX),
    FocusColumn("PricingUnit", TEXT, "mandatory", f"({IS_PRICED}) OR PricingQuantity IS NOT NULL", IS_TAX),
    FocusColumn("ProviderName", TEXT, "mandatory", ALWAYS),
    FocusColumn("PublisherName", TEXT, "mandatory", ALWAYS),
    FocusColumn("RegionId", TEXT, "conditional"),
    FocusColumn("RegionName", TEXT, "conditional", "RegionId IS NOT NULL", "RegionId IS NULL"),
    FocusColumn("ServiceCategory", TEXT, "mandatory", ALWAYS, allowed=SERVICE_CATEGORIES),
    FocusColumn("ServiceName", TEXT, "mandatory", ALWAYS),
    FocusColumn("ServiceSubcategory", TEXT, "recommended", ALWAYS),
    FocusColumn("SkuId", TEXT, "conditional", IS_PRICED, IS_TAX),
    FocusColumn("SkuPriceId", TEXT, "conditional", IS_PRICED, IS_TAX),
    FocusColumn("SubAccountId", TEXT, "conditional"),
    FocusColumn("SubAccountName", TEXT, "conditional", absent="SubAccountId IS NULL"),
    FocusColumn("SubAccountType", TEXT, "conditional", "SubAccountId IS NOT NULL", "SubAccountId IS NULL"),
    FocusColumn("Tags", TEXT, "conditional"),
    FocusColumn("x_LineNumber", WHOLE, "custom", f"NOT ({IS_TAX})", IS_TAX),  # of the document; a tax is on no line
)  # fmt: skip
NAMES = tuple(column.name for column in COLUMNS)
KEY = (  # what a row belongs to, beside its columns; formats are those its tenant asks for
    T.StructField("tenant_id", T.StringType()),
    T.StructField("period", T.DateType()),
    T.StructField("invoice_id", T.StringType()),
    T.StructField("payer_account_id", T.StringType()),
    T.StructField("currency", T.StringType()),
    T.StructField("formats", T.ArrayType(T.StringType())),
)
ROWS = T.StructType([*KEY, *(T.StructField(column.name, column.kind) for column in COLUMNS)])

# What a kind of charge is in the words of the specification; a kind that stands in none of them is an adjustment.
PURCHASES = ("flat", "fee")  # owed for the month itself
CREDITS = ("discount", "maximum", "credit")  # what a price or a grant gives back
PRICE_DECIMALS = Decimal(1).scaleb(-QUANTITY.scale)
PRICE_LIMIT = Decimal(10) ** 13  # a unit price has fewer whole digits, so that it multiplies exactly


def asking(tenants: dict[str, Tenant]) -> dict[str, Tenant]:
    """The tenants that asked for FOCUS files."""
    return {name: tenant for name, tenant in tenants.items() if tenant.outputs.focus}


def sellers(spark: SparkSession, tenants: Sequence[Tenant]) -> DataFrame:
    """Who issues: tenant_id, legal_entity_id, issuer_name, timezone (whose months are billed), formats (of the files asked for)."""
    rows = [
        (tenant.tenant, entity.id, entity.name or entity.id, tenant.timezone, list(tenant.outputs.focus))
        for tenant in tenants
        for entity in tenant.legal_entities
    ]
    columns = "tenant_id string, legal_entity_id string, issuer_name string, timezone string, formats array<string>"
    return spark.createDataFrame(rows, columns)


def documents(invoices: DataFrame, accounts: DataFrame, selling: DataFrame) -> DataFrame:
    """What all rows of a document share, for the tenants in `selling`.

    invoices: INVOICES. accounts: one row per account. selling: as sellers() returns it.
    Returns tenant_id, period, invoice_id, currency, account_id, account_name, payer_account_id (who pays for the account: itself,
    where it names nobody), payer_name, issuer_name, timezone (in which the account is billed), formats.
    """
    invoiced = accounts.select(
        "tenant_id", "account_id", F.col("legal_name").alias("account_name"), F.col("payer_account_id").alias("named_payer"),
        F.col("timezone").alias("own_timezone"),
    )  # fmt: skip
    paying = accounts.select(
        "tenant_id", F.col("account_id").alias("payer_account_id"), F.col("legal_name").alias("payer_name")
    )
    return (
        invoices.select("tenant_id", "period", "invoice_id", "currency", "account_id", "legal_entity_id")
        .join(F.broadcast(selling), on=["tenant_id", "legal_entity_id"], how="inner")
        .join(invoiced, on=["tenant_id", "account_id"], how="left")
        .withColumn("payer_account_id", F.coalesce("named_payer", "account_id"))
        .join(paying, on=["tenant_id", "payer_account_id"], how="left")
        .withColumn("timezone", F.coalesce("own_timezone", "timezone"))
        .drop("named_payer", "own_timezone", "legal_entity_id")
    )


def rows(lines: DataFrame, taxes: DataFrame, shared: DataFrame) -> DataFrame:
    """The rows of a month: one per line, and one per tax that is not zero, so that a document's rows add up to its gross amount.

    lines: INVOICE_LINES with kind and price_id of the charge beside. taxes: INVOICE_TAXES. shared: as documents() returns it.
    Returns ROWS, without InvoiceId.
    """
    of_document = ["tenant_id", "period", "invoice_id", "currency"]
    lined = lines.select(
        *of_document, "line_no", "service_period", "product_id", "region", "unit", "quantity", "rated_amount", "line_amount",
        "kind", "price_id",
    )  # fmt: skip
    priced = _with_unit_price(lined.join(shared, on=of_document, how="inner"))
    taxed = taxes.where(F.col("tax_amount") != 0).join(shared, on=of_document, how="inner")
    return _selected(_of_lines(priced)).unionByName(_selected(_of_taxes(taxed)))


def _of_lines(priced: DataFrame) -> DataFrame:
    """Lines with the columns that are not the same for all rows of a document. priced: with unit_price beside."""
    kind, amount = F.col("kind"), F.col("rated_amount")
    is_correction = F.col("service_period") < F.col("period")
    is_usage, is_owed = kind == "usage", amount >= 0
    is_consumption = is_usage & (is_correction | ((F.col("quantity") > 0) & is_owed))
    is_purchase = kind.isin(*PURCHASES) & (is_correction | is_owed)
    told = priced.withColumn(
        "ChargeCategory",
        F.when(is_consumption, "Usage")
        .when(is_purchase, "Purchase")
        .when(kind.isin(*CREDITS), "Credit")
        .otherwise("Adjustment"),
    )
    is_priced = F.col("ChargeCategory").isin("Usage", "Purchase")
    # What no unit price multiplies to is priced as one month of it: tiers, and what is owed for the month itself.
    as_a_whole = is_priced & ~is_correction & (~is_usage | F.col("unit_price").isNull())
    unit = F.coalesce("unit", F.lit("Units"))
    consumed = F.col("ChargeCategory") == "Usage"
    told = told.withColumns(
        {
            "PricingQuantity": F.when(as_a_whole, F.lit(1)).when(is_usage, F.col("quantity")).cast(QUANTITY),
            "ListUnitPrice": F.when(as_a_whole, amount.cast(QUANTITY)).when(is_usage, F.col("unit_price")),
        }
    )
    # Without a unit price a cost has to be the billed one.
    cost = F.when(F.col("ListUnitPrice").isNotNull(), amount).otherwise(F.col("line_amount").cast(RATED))
    return told.withColumns(
        {
            "BilledCost": F.col("line_amount"),
            "ChargeClass": F.when(is_correction, "Correction"),
            "ChargeDescription": F.concat(
                F.initcap(kind), F.lit(" of "), F.col("product_id"), F.coalesce(F.concat(F.lit(" in "), F.col("region")), F.lit("")),
                F.when(is_correction, F.concat(F.lit(", correction of "), F.date_format("service_period", "yyyy-MM"))).otherwise(""),
            ),
            "ChargeFrequency": F.when(consumed, "Usage-Based").when(is_purchase, "Recurring").otherwise("One-Time"),
            "ChargePeriodEnd": _moment(F.add_months("service_period", 1)),
            "ChargePeriodStart": _moment(F.col("service_period")),
            "ConsumedQuantity": F.when(consumed, F.col("quantity")),
            "ConsumedUnit": F.when(consumed & F.col("quantity").isNotNull(), unit),
            "ContractedCost": cost,
            "ContractedUnitPrice": F.col("ListUnitPrice"),
            "EffectiveCost": F.col("line_amount"),
            "ListCost": cost,
            "PricingCategory": F.when(is_priced, "Standard"),
            "PricingUnit": F.when(as_a_whole, "Months").when(F.col("PricingQuantity").isNotNull(), unit),
            "RegionId": F.col("region"),
            "RegionName": F.col("region"),
            "ServiceName": F.col("product_id"),
            "SkuId": F.col("product_id"),
            "SkuPriceId": F.coalesce("price_id", "product_id"),
            "x_LineNumber": F.col("line_no"),
        }
    )  # fmt: skip


def _of_taxes(taxed: DataFrame) -> DataFrame:
    """Taxes with the columns that are not the same for all rows of a document."""
    rate = F.regexp_replace(F.col("tax_rate").cast("string"), r"\.?0+$", "")
    amount = F.col("tax_amount")
    return taxed.withColumns(
        {
            "BilledCost": amount,
            "ChargeCategory": F.lit("Tax"),
            "ChargeDescription": F.concat(
                F.lit("Tax of category "),
                F.col("tax_category"),
                F.lit(" at a rate of "),
                rate,
                F.lit(" by "),
                F.col("tax_rule"),
            ),
            "ChargeFrequency": F.lit("One-Time"),
            "ChargePeriodEnd": _moment(F.add_months("period", 1)),
            "ChargePeriodStart": _moment(F.col("period")),
            "ContractedCost": amount.cast(RATED),
            "EffectiveCost": amount,
            "ListCost": amount.cast(RATED),
            "ServiceName": F.lit("Tax"),
        }
    )


def _selected(told: DataFrame) -> DataFrame:
    """ROWS of one kind, with what all rows of a document share; a column that says nothing of them is null."""
    shared = {
        "BillingAccountId": F.col("payer_account_id"),
        "BillingAccountName": F.col("payer_name"),
        "BillingAccountType": F.lit("Payer"),
        "BillingCurrency": F.col("currency"),
        "BillingPeriodEnd": _moment(F.add_months("period", 1)),
        "BillingPeriodStart": _moment(F.col("period")),
        "InvoiceIssuerName": F.col("issuer_name"),
        "ProviderName": F.col("issuer_name"),
        "PublisherName": F.col("issuer_name"),
        "ServiceCategory": F.lit("Other"),
        "ServiceSubcategory": F.lit("Other (Other)"),
        "SubAccountId": F.col("account_id"),
        "SubAccountName": F.col("account_name"),
        "SubAccountType": F.lit("Account"),
    }
    known = {*told.columns, *shared}
    nothing = {column.name: F.lit(None).cast(column.kind) for column in COLUMNS if column.name not in known}
    return told.withColumns(shared | nothing).select(*(F.col(field.name).cast(field.dataType) for field in ROWS.fields))


def _moment(day: Column) -> Column:
    """The moment a day begins where the months are billed, in UTC."""
    return F.to_utc_timestamp(day.cast("timestamp"), F.col("timezone"))


def _with_unit_price(lined: DataFrame) -> DataFrame:
    """Lines with unit_price beside, null where quantity and amount have none that is exact.

    Computed with Python's decimals: a division of wide decimals keeps as few as six places in Spark.
    """
    priced = T.StructType([*lined.schema.fields, T.StructField("unit_price", QUANTITY)])
    return lined.mapInArrow(_unit_prices, priced)


def _unit_prices(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    kind = pa.decimal128(QUANTITY.precision, QUANTITY.scale)
    for batch in batches:
        pairs = zip(batch.column("quantity").to_pylist(), batch.column("rated_amount").to_pylist(), strict=True)
        prices = pa.array([unit_price(quantity, amount) for quantity, amount in pairs], kind)
        yield pa.RecordBatch.from_arrays([*batch.columns, prices], names=[*batch.schema.names, "unit_price"])


def unit_price(quantity: Decimal | None, amount: Decimal | None) -> Decimal | None:
    """What one unit costs, where that times the quantity is the amount to the last digit; null where nothing is."""
    if not quantity or amount is None:
        return None
    with localcontext(prec=2 * QUANTITY.precision):
        price = amount / quantity
        if not 0 <= price < PRICE_LIMIT:
            return None
        price = price.quantize(PRICE_DECIMALS)
        return price if price * quantity == amount else None


def account(judged: DataFrame, invoices: DataFrame) -> DataFrame:
    """Every document beside what its rows add up to, and whether they are as the specification says.

    judged: ROWS. invoices: INVOICES of the tenants that asked for files. Returns tenant_id, invoice_id, the header's net, tax, gross and
    line_count, and of its rows: charged, taxed, billed, lines_found, owners (distinct payer, currency, issuer and period), mispriced (rows
    whose quantity times unit price is not their cost), broken (the first column that is not as it should be; null where all are).
    """
    key = ["tenant_id", "invoice_id"]
    is_tax = F.expr(IS_TAX)
    wrong = [F.when(F.expr(column.broken), F.lit(column.name)) for column in COLUMNS if column.broken]
    owner = F.struct("BillingAccountId", "BillingCurrency", "InvoiceIssuerName", "BillingPeriodStart", "SubAccountId")
    found = judged.groupBy(*key).agg(
        F.sum(F.when(~is_tax, F.col("BilledCost")).otherwise(0)).alias("charged"),
        F.sum(F.when(is_tax, F.col("BilledCost")).otherwise(0)).alias("taxed"),
        F.sum("BilledCost").alias("billed"),
        F.count("x_LineNumber").alias("lines_found"),
        F.count_distinct(owner).alias("owners"),
        F.sum(F.when(_mispriced(), 1).otherwise(0)).alias("mispriced"),
        F.min(F.coalesce(*wrong)).alias("broken"),
    )
    headers = invoices.select(
        *key, F.col("net_amount").alias("net"), F.col("tax_amount").alias("tax"), F.col("gross_amount").alias("gross"), "line_count"
    )  # fmt: skip
    return headers.join(found, on=key, how="full_outer")


def _mispriced() -> Column:
    """Whether a row that is no correction costs something else than its quantity times its unit price."""

    def wrong(price: str, cost: str) -> Column:
        is_one = F.col("PricingQuantity") == 1
        product = F.when(is_one, F.col(price).cast(RATED)).otherwise(exact_product(F.col("PricingQuantity"), F.col(price)))
        return F.col(price).isNotNull() & (product != F.col(cost))

    is_regular = F.col("ChargeClass").isNull()
    return is_regular & (wrong("ListUnitPrice", "ListCost") | wrong("ContractedUnitPrice", "ContractedCost"))

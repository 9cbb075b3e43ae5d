"""Charges to documents: who sells, which tax, what is rounded where. Numbers come later, at issue (numbering.py)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.invoice_generation.settings import RoundingPolicy, Settings
from jobs.invoice_generation.tables import INVOICE_LINES, INVOICE_TAXES, INVOICES
from jobs.ledger.columns import AMOUNT, RATED
from jobs.ledger.identity import natural_id
from jobs.ledger.money import minor_units, rounded
from jobs.ledger.taxes import TaxPolicy
from jobs.ledger.tenants import Tenant

EVERY = "*"
OF_DOCUMENT = (  # what all lines of a document share, beside its currency
    "legal_entity_id",
    "account_id",
    "customer_country",
    "customer_region",
    "document_type",
    "payment_terms_days",
)
OF_CHARGE = ("kind", "price_id")  # what a line's charge is, for those who look closer than the document does


def sellers(spark: SparkSession, tenants: Sequence[Tenant]) -> DataFrame:
    """Which legal entity sells to which country: tenant_id, served_country ("*" for the others), legal_entity_id, tax_policy."""
    rows = []
    for tenant in tenants:
        for entity in tenant.legal_entities:
            rows += [(tenant.tenant, country, entity.id, entity.tax_policy) for country in entity.serves]
        first = tenant.legal_entities[0]
        rows.append((tenant.tenant, EVERY, first.id, first.tax_policy))
    columns = "tenant_id string, served_country string, legal_entity_id string, tax_policy string"
    return spark.createDataFrame(rows, columns)


def rates(spark: SparkSession, policies: dict[str, TaxPolicy], day: date) -> DataFrame:
    """The tax lines in force on a day: tax_policy, taxed_country ("*" for the others), tax_order, tax_category, tax_rate, tax_rule."""
    rows = [
        (name, country, order, rate.category, rate.rate, f"{name}/{rate.id}")
        for name, policy in sorted(policies.items())
        for order, rate in enumerate(policy.in_force(day))
        for country in rate.countries
    ]
    columns = (
        "tax_policy string, taxed_country string, tax_order int, tax_category string, tax_rate decimal(9,6), tax_rule string"
    )
    return spark.createDataFrame(rows, columns)


def billed(charges: DataFrame, adjustments: DataFrame) -> DataFrame:
    """All that the documents of a month bill: billing.charges and billing.adjustments, with service_period, the month each belongs to."""
    added = adjustments.withColumnsRenamed({"adjusts_period": "service_period"})
    return charges.withColumn("service_period", F.col("period")).unionByName(added)


def lines(
    charges: DataFrame, accounts: DataFrame, selling: DataFrame, taxing: DataFrame, policy: RoundingPolicy
) -> DataFrame:
    """Lines of all documents of a month, each with its document's key.

    charges: as billed() returns them. accounts: one row per account. selling, taxing: as sellers() and rates() return them.
    Returns INVOICE_LINES without publication_id, with legal_entity_id, account_id, customer_country, customer_region,
    document_type, payment_terms_days and the charge's kind and price_id beside. A document is a legal entity, an account, a
    currency and a month; it is a credit note when its lines add up to less than nothing. A line without a tax line keeps a null
    rate for the suite to refuse. Rounding: docs/decisions/0001-rounding.md
    """
    customers = accounts.select(
        "tenant_id", "account_id", F.col("country").alias("customer_country"), F.col("region").alias("customer_region"),
        "payment_terms_days",
    )  # fmt: skip
    sold = _first_fitting(
        charges.join(customers, on=["tenant_id", "account_id"], how="left"),
        selling,
        ["tenant_id"],
        "served_country",
        F.lit(0),
    )
    taxed = _first_fitting(sold, taxing, ["tax_policy"], "taxed_country", F.col("tax_order"))
    document = ["tenant_id", "period", "legal_entity_id", "account_id", "currency"]
    inside = Window.partitionBy(*document)
    ordered = inside.orderBy("product_id", "charge_id")
    numbered = taxed.select(
        "*",
        F.row_number().over(ordered).alias("line_no"),
        F.sum("amount").over(inside).alias("document_amount"),
        F.coalesce(F.sum("amount").over(ordered.rowsBetween(Window.unboundedPreceding, -1)), F.lit(0))
        .cast(RATED)
        .alias("before"),
        F.sum("amount").over(ordered.rowsBetween(Window.unboundedPreceding, 0)).cast(RATED).alias("running_amount"),
        F.col("amount").cast(RATED).alias("rated_amount"),
    )
    typed = numbered.withColumn("document_type", F.when(F.col("document_amount") < 0, "credit_note").otherwise("invoice"))
    identified = typed.withColumns(
        {
            "invoice_id": natural_id(*document, "document_type"),
            "tax_reason": F.lit(None).cast("string"),
            "corrects_charge_id": F.lit(None).cast("string"),
        }
    )
    amount = _line_amount(policy)
    columns = [field.name for field in INVOICE_LINES.schema.fields if field.name not in ("publication_id", "line_amount")]
    return identified.select(*columns, amount.alias("line_amount"), *OF_DOCUMENT, *OF_CHARGE)


def _line_amount(policy: RoundingPolicy) -> Column:
    """A line's net amount in minor units. By document, a line is what it adds to the rounded running total, so that lines add up."""
    currency = F.col("currency")
    if policy.level == "line":
        return rounded(F.col("rated_amount"), currency, policy.method)
    after, before = (rounded(F.col(total), currency, policy.method) for total in ("running_amount", "before"))
    return (after - before).cast(AMOUNT)


def _first_fitting(rows: DataFrame, choices: DataFrame, keys: list[str], country: str, order: Column) -> DataFrame:
    """Each row with the choice that fits its customer_country: a line naming the country or "*", the lowest order first, then the named."""
    named = choices.withColumn("choice_rank", F.struct(order.alias("at"), (F.col(country) == EVERY).alias("general")))
    fits = (F.col(f"c.{country}") == F.col("r.customer_country")) | (F.col(f"c.{country}") == EVERY)
    added = [name for name in choices.columns if name not in (*keys, country)]
    countries = rows.select(*keys, "customer_country").distinct()
    matched = countries.alias("r").join(
        F.broadcast(named.alias("c")), on=[*(F.col(f"r.{key}") == F.col(f"c.{key}") for key in keys), fits], how="inner"
    )
    best = matched.groupBy(*(F.col(f"r.{name}") for name in (*keys, "customer_country"))).agg(
        F.min_by(F.struct(*(F.col(f"c.{name}") for name in added)), F.col("c.choice_rank")).alias("choice")
    )
    chosen = best.select(
        *keys, F.col("customer_country").alias("chosen_country"), *(F.col(f"choice.{name}") for name in added)
    )
    return (
        rows.alias("r")
        .join(
            F.broadcast(chosen.alias("b")),
            on=[
                *(F.col(f"r.{key}").eqNullSafe(F.col(f"b.{key}")) for key in keys),
                F.col("r.customer_country").eqNullSafe(F.col("b.chosen_country")),
            ],
            how="left",
        )
        .select("r.*", *(F.col(f"b.{name}") for name in added))
    )


def taxes(invoice_lines: DataFrame, policy: RoundingPolicy) -> DataFrame:
    """Tax per document, category and rate. invoice_lines: as lines() returns them. Returns INVOICE_TAXES without publication_id."""
    per_line = rounded(F.col("line_amount") * F.col("tax_rate"), F.col("currency"), policy.method)
    group = ["tenant_id", "period", "invoice_id", "tax_category", "tax_rate", "currency", "tax_rule"]
    summed = invoice_lines.groupBy(*group).agg(
        F.sum("line_amount").cast(AMOUNT).alias("taxable_amount"), F.sum(per_line).cast(AMOUNT).alias("lines_tax")
    )
    per_document = rounded(F.col("taxable_amount") * F.col("tax_rate"), F.col("currency"), policy.method)
    tax = F.col("lines_tax") if policy.tax_level == "line" else per_document
    columns = [field.name for field in INVOICE_TAXES.schema.fields if field.name != "publication_id"]
    told = {
        "tax_amount": tax.cast(AMOUNT), "tax_component": F.lit("VAT"), "exemption_code": F.lit(None).cast("string"),
        "exemption_reason": F.lit(None).cast("string"),
    }  # fmt: skip
    return summed.withColumns(told).select(*columns)


def invoices(invoice_lines: DataFrame, invoice_taxes: DataFrame, settings: Settings, issue_date: date) -> DataFrame:
    """Headers of the month's documents, without numbers. Returns INVOICES without publication_id."""
    key = ["tenant_id", "period", "invoice_id"]
    net = invoice_lines.groupBy(*key, *OF_DOCUMENT, "currency").agg(
        F.sum("line_amount").cast(AMOUNT).alias("net_amount"), F.count(F.lit(1)).alias("line_count")
    )
    tax = invoice_taxes.groupBy(*key).agg(F.sum("tax_amount").cast(AMOUNT).alias("tax_amount"))
    terms = F.coalesce("payment_terms_days", F.lit(settings.default_payment_terms_days))
    columns = [field.name for field in INVOICES.schema.fields if field.name != "publication_id"]
    whole = net.join(tax, on=key, how="left").select(
        "*",
        (F.col("net_amount") + F.col("tax_amount")).cast(AMOUNT).alias("gross_amount"),
        *(F.lit(0).cast(AMOUNT).alias(name) for name in ("rounding_amount", "prepaid_amount")),
        (F.col("net_amount") + F.col("tax_amount")).cast(AMOUNT).alias("payable_amount"),
        *(F.lit(None).cast("string").alias(name) for name in ("original_invoice_id", "correction_reason")),
        F.col("document_type").alias("series"),
        F.lit(None).cast("int").alias("fiscal_year"),
        F.lit(None).cast("bigint").alias("number"),
        F.lit(None).cast("string").alias("invoice_number"),
        F.lit(issue_date).alias("issue_date"),
        F.date_add(F.lit(issue_date), terms).alias("due_date"),
    )
    return whole.select(*columns)


def invoices_account(staged_invoices: DataFrame, staged_lines: DataFrame, staged_taxes: DataFrame) -> DataFrame:
    """Every document beside what its lines and taxes add up to, computed once more from the staged rows.

    Returns tenant_id, invoice_id, the header's net, tax and gross, and of its lines and taxes: lines, lines_rated, taxes,
    taxable, line_count_found, and 1 where one of them is off_grid (finer than the currency's minor unit), untaxed or unpriced.
    """
    key = ["tenant_id", "invoice_id"]
    of_lines = staged_lines.groupBy(*key).agg(
        F.sum("line_amount").alias("lines"),
        F.sum("rated_amount").alias("lines_rated"),
        F.max(_off_grid("line_amount").cast("int")).alias("line_off_grid"),
        F.max(F.col("tax_rate").isNull().cast("int")).alias("untaxed"),
        F.max(F.col("line_amount").isNull().cast("int")).alias("unpriced"),
        F.count(F.lit(1)).alias("line_count_found"),
        F.max(_minor_unit("currency")).alias("minor_unit"),
    )
    of_taxes = staged_taxes.groupBy(*key).agg(
        F.sum("tax_amount").alias("taxes"),
        F.sum("taxable_amount").alias("taxable"),
        F.max(_off_grid("tax_amount").cast("int")).alias("tax_off_grid"),
    )
    headers = staged_invoices.select(
        *key, "account_id", "customer_country", "legal_entity_id", "document_type", "original_invoice_id", "currency", "line_count",
        F.col("net_amount").alias("net"), F.col("tax_amount").alias("tax"), F.col("gross_amount").alias("gross"), "due_date", "issue_date",
    )  # fmt: skip
    return headers.join(of_lines, on=key, how="full_outer").join(of_taxes, on=key, how="full_outer")


def lines_account(staged_lines: DataFrame, charges: DataFrame) -> DataFrame:
    """Every charge and adjustment beside the lines it is on: tenant_id, charge_id, charged_amount, lined_amount, times."""
    on_lines = (
        staged_lines.where(F.col("corrects_charge_id").isNull())
        .groupBy("tenant_id", "charge_id")
        .agg(F.sum("rated_amount").alias("lined_amount"), F.count(F.lit(1)).alias("times"))
    )
    charged = charges.select("tenant_id", "charge_id", F.col("amount").alias("charged_amount"))
    return charged.join(on_lines, on=["tenant_id", "charge_id"], how="full_outer")


def _minor_unit(currency: str) -> Column:
    """The smallest amount of a currency."""
    places = minor_units(F.col(currency))
    one, cent, mill = (F.lit(text).cast(AMOUNT) for text in ("1", "0.01", "0.001"))
    return F.when(places == 0, one).when(places == 2, cent).otherwise(mill)


def _off_grid(amount: str) -> Column:
    """Whether an amount has more decimals than its currency's minor unit."""
    places = minor_units(F.col("currency"))
    column = F.col(amount)
    return F.when(places == 0, column != F.round(column, 0)).when(places == 2, column != F.round(column, 2)).otherwise(False)

"""Charges to documents: who sells, which tax, what is rounded where. Numbers come later, at issue (numbering.py)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.invoice_generation import amounts
from jobs.invoice_generation.customers import in_union
from jobs.invoice_generation.settings import Holding, RoundingPolicy, Settings
from jobs.invoice_generation.tables import CARRIED_FORWARD, INVOICE_LINES, INVOICES
from jobs.ledger.columns import AMOUNT, RATED
from jobs.ledger.corrections import CREDIT_NOTE, TAKEN_BACK
from jobs.ledger.identity import natural_id
from jobs.ledger.money import minor_units, rounded
from jobs.ledger.periods import Period
from jobs.ledger.taxes import STANDARD, Taxes, TaxRounding
from jobs.ledger.tenants import LegalEntity, Tenant

OF_DOCUMENT = (  # what all lines of a document share, beside its currency
    "legal_entity_id",
    "account_id",
    "customer_country",
    "customer_region",
    "document_type",
    "payment_terms_days",
    "original_invoice_id",
    "round_off_unit",
)
OF_CHARGE = ("kind", "price_id")  # what a line's charge is, for those who look closer than the document does
OF_TAX = ("exemption_code", "exemption_reason")  # what a document has to tell of an untaxed line
HELD = ("hold_code", "hold_reason")
DOCUMENT = ("tenant_id", "period", "legal_entity_id", "account_id", "currency")
# By document before it has an id: windows over these move a line once. What tells most rows apart goes first, for they are sorted by it.
TOGETHER = ("account_id", "tenant_id", "period", "legal_entity_id", "currency", "original_invoice_id")
OF_SELLER = (
    "legal_entity_id", "tax_policy", "seller_country", "seller_region", "currencies", "tax_per", "tax_method",
    "round_off_currency", "round_off_unit",
)  # fmt: skip
OF_SELLER_AND_CUSTOMER = ("below_threshold", "registered_there")
SELLERS = (
    "tenant_id string, offers array<struct<at: int, serves: array<string>, serves_others: boolean, products: array<string>, sold_from: "
    "date, sold_to: date, legal_entity_id: string, tax_policy: string, seller_country: string, seller_region: string, currencies: "
    "array<string>, tax_per: string, tax_method: string, round_off_currency: string, round_off_unit: decimal(18,3), "
    "below_threshold_until: date, registered_in: array<string>>>"
)


def sellers(spark: SparkSession, tenants: Sequence[Tenant], taxes: Taxes, rounding: RoundingPolicy) -> DataFrame:
    """Who sells what to whom: SELLERS, one row per tenant with all that its legal entities sell."""
    rows = []
    for tenant in tenants:
        offers = []
        for order, entity in enumerate(tenant.legal_entities):
            policy = taxes.policy(entity.tax_policy)
            where = (
                TaxRounding(per=rounding.tax_level, method=rounding.method) if policy.rounding is None else policy.rounding
            )
            off = policy.round_off
            told = (
                entity.id, entity.tax_policy, entity.country, _region_of(entity), list(entity.currencies),
                where.per, where.method, off.currency if off else None, off.unit if off else None,
                entity.below_threshold_until, sorted(entity.tax_ids),
            )  # fmt: skip
            offers += [
                (order, list(entity.serves), order == 0, list(sale.products), sale.valid_from, sale.valid_to, *told)
                for sale in entity.sells
            ]
        rows.append((tenant.tenant, offers))
    return spark.createDataFrame(rows, SELLERS)


def _region_of(entity: LegalEntity) -> str | None:
    """The state of a seller, where its tax depends on one: an Indian GSTIN begins with it."""
    if entity.country == "IN":
        return entity.tax_id[:2] if entity.tax_id else None
    return (entity.address.region or None) if entity.address else None


def products(spark: SparkSession, taxes: Taxes, tenants: Sequence[Tenant]) -> DataFrame:
    """What products are for tax: tenant_id, product_id, tax_class, supply, valid_from, valid_to."""
    rows = [
        (tenant.tenant, one.product, one.tax_class, one.supply, one.valid_from, one.valid_to)
        for tenant in tenants
        if tenant.tenant in taxes.products
        for one in taxes.products[tenant.tenant].products
    ]
    columns = "tenant_id string, product_id string, tax_class string, supply string, valid_from date, valid_to date"
    return spark.createDataFrame(rows, columns)


def billed(charges: DataFrame, adjustments: DataFrame) -> DataFrame:
    """All that the documents of a month bill: billing.charges and billing.adjustments, with service_period, the month each belongs to."""
    added = adjustments.withColumnsRenamed({"adjusts_period": "service_period"})
    return charges.withColumn("service_period", F.col("period")).unionByName(added)


def carried_in(carried: DataFrame, month: Period) -> DataFrame:
    """Charges that earlier months have carried forward, as billed() returns them, for the documents of this one. carried: its open rows."""
    return carried.drop("period", "publication_id", "invoice_id", "legal_entity_id", "reason_code", "reason").withColumn(
        "period", F.lit(month.first_day)
    )


def sold(charges: DataFrame, customers: DataFrame, selling: DataFrame, classed: DataFrame) -> DataFrame:
    """Charges with all that their tax depends on: the customer, the legal entity that sells, and what the product is.

    charges: as billed() returns them. customers: as customers.customers() does. selling, classed: as sellers() and products() do.
    A charge that nobody sells keeps a null legal_entity_id.
    """
    known = (
        charges.join(customers, on=["tenant_id", "account_id"], how="left")
        .withColumn("tax_day", F.last_day("service_period"))
        .withColumn("in_eu", in_union(F.col("tax_day")))
        .drop("union_from", "union_to")
    )
    day = F.col("s.tax_day")
    in_force = (day >= F.col("p.valid_from")) & (F.col("p.valid_to").isNull() | (day < F.col("p.valid_to")))
    same = [F.col(f"s.{name}") == F.col(f"p.{name}") for name in ("tenant_id", "product_id")]
    told = (
        known.alias("s")
        .join(F.broadcast(classed.alias("p")), on=[*same, in_force], how="left")
        .select(
            "s.*",
            F.coalesce("p.tax_class", F.lit(STANDARD)).alias("tax_class"),
            F.coalesce("p.supply", F.lit("services")).alias("supply"),
        )
    )
    return _with_seller(told, selling)


def _with_seller(rows: DataFrame, selling: DataFrame) -> DataFrame:
    """Rows with their legal entity: who serves the country by name goes before who serves the others, then who names the product."""
    country, product, day = F.col("customer_country"), F.col("product_id"), F.col("tax_day")

    def named(one: Column) -> Column:
        return F.coalesce(F.array_contains(one["serves"], country), F.lit(False))

    def fits(one: Column) -> Column:
        that = (F.size(one["products"]) == 0) | F.array_contains(one["products"], product)
        begun = one["sold_from"].isNull() | (day >= one["sold_from"])
        return (named(one) | one["serves_others"]) & that & begun & (one["sold_to"].isNull() | (day < one["sold_to"]))

    def ranked(one: Column) -> Column:
        told = {"general": ~named(one), "everything": F.size(one["products"]) == 0, "at": one["at"], "offer": one}
        return F.named_struct(*(part for name, value in told.items() for part in (F.lit(name), value)))

    best = F.array_min(F.transform(F.filter("offers", fits), ranked))
    known = rows.join(F.broadcast(selling), on="tenant_id", how="left").withColumn("seller", best["offer"])
    there = {
        "below_threshold": day < F.col("seller.below_threshold_until"),
        "registered_there": F.array_contains("seller.registered_in", F.col("vat_country")),
    }
    return known.select(
        *rows.columns,
        *(F.col(f"seller.{name}").alias(name) for name in OF_SELLER),
        *(F.coalesce(there[name], F.lit(False)).alias(name) for name in OF_SELLER_AND_CUSTOMER),
    )


def lines(decided: DataFrame, policy: RoundingPolicy) -> DataFrame:
    """Lines of all documents of a month, each with its document's key, its amount and its taxes; those that are held among them.

    decided: as decisions.decided() returns them, with returns.NAMED. Returns INVOICE_LINES without publication_id, with OF_DOCUMENT,
    OF_CHARGE, OF_TAX and HELD beside. A document is a legal entity, an account, a currency and a month, and what it takes back of an
    earlier document is one by itself; it is a credit note when its lines add up to less than nothing. Rounding: docs/decisions/0001-rounding.md
    """
    ordered = Window.partitionBy(*TOGETHER).orderBy("product_id", "service_period", "charge_id")
    whole = ordered.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    numbered = decided.select(
        "*",
        F.row_number().over(ordered).alias("line_no"),
        F.sum("amount").over(whole).alias("document_amount"),
        F.coalesce(F.sum("amount").over(ordered.rowsBetween(Window.unboundedPreceding, -1)), F.lit(0))
        .cast(RATED)
        .alias("before"),
        F.sum("amount").over(ordered.rowsBetween(Window.unboundedPreceding, 0)).cast(RATED).alias("running_amount"),
        F.col("amount").cast(RATED).alias("rated_amount"),
    )
    is_back = F.col("original_invoice_id").isNotNull()
    typed = numbered.withColumn(
        "document_type", F.when(is_back | (F.col("document_amount") < 0), CREDIT_NOTE).otherwise("invoice")
    )
    unwanted = (F.size("currencies") > 0) & ~F.array_contains("currencies", F.col("currency"))
    foreign = F.concat(F.col("legal_entity_id"), F.lit(" does not invoice in "), F.col("currency"))
    identified = typed.withColumns(
        {
            "invoice_id": F.when(is_back, natural_id(*DOCUMENT, "document_type", "original_invoice_id")).otherwise(
                natural_id(*DOCUMENT, "document_type")
            ),
            "corrects_charge_id": F.col("original_charge_id"),
            "line_amount": _line_amount(policy),
            "round_off_unit": F.when(F.col("round_off_currency") == F.col("currency"), F.col("round_off_unit")),
            "hold_code": F.coalesce("hold_code", F.when(unwanted, F.lit("currency_not_invoiced"))),
            "hold_reason": F.coalesce("hold_reason", F.when(unwanted, foreign)),
        }
    )
    taxed = amounts.with_taxes(identified, TOGETHER)
    columns = [field.name for field in INVOICE_LINES.schema.fields if field.name != "publication_id"]
    return taxed.select(*columns, *OF_DOCUMENT, *OF_CHARGE, *OF_TAX, *HELD)


def held(all_lines: DataFrame, holding: Holding) -> DataFrame:
    """Lines with the reason for which their document is held, if it is: hold_code and hold_reason, null on a document that is issued.

    all_lines: as lines() returns them. A document is held as a whole when one of its lines is, or when the policy says so of its total.
    """
    inside = Window.partitionBy(*TOGETHER)
    net = F.sum("line_amount").over(inside)
    smallest = F.lit(None).cast(AMOUNT)
    for currency, amount in sorted(holding.minimum.items()):
        smallest = F.when(F.col("currency") == currency, F.lit(amount).cast(AMOUNT)).otherwise(smallest)
    by_policy = F.lit(None).cast("string")
    if holding.zero_total == "carry":
        by_policy = F.when(F.col("net") == 0, F.lit("zero_total"))
    if holding.negative_total == "carry":
        by_policy = F.when(F.col("net") < 0, F.lit("negative_total")).otherwise(by_policy)
    by_policy = F.when((F.col("net") > 0) & (F.col("net") < smallest), F.lit("below_minimum")).otherwise(by_policy)
    first = F.when(F.col("hold_code").isNotNull(), F.struct("line_no", "hold_code"))
    known = all_lines.withColumns({"net": net, "first_held": F.min(first).over(inside)})
    with_it = F.concat(F.lit("on one document with a line that is held: "), F.col("first_held.hold_code"))
    total = F.concat(F.lit("the document comes to "), F.col("net").cast("string"), F.lit(" "), F.col("currency"))
    code = F.coalesce("hold_code", F.when(F.col("first_held").isNotNull(), F.lit("with_its_document")), by_policy)
    reason = F.coalesce(
        "hold_reason", F.when(F.col("first_held").isNotNull(), with_it), F.when(by_policy.isNotNull(), total)
    )
    return known.withColumns({"hold_code": code, "hold_reason": reason}).drop("net", "first_held")


def issued(all_lines: DataFrame) -> DataFrame:
    """The lines of documents that are issued. all_lines: as held() returns them."""
    return all_lines.where(F.col("hold_code").isNull()).drop(*HELD)


def carried_forward(all_lines: DataFrame) -> DataFrame:
    """CARRIED_FORWARD without publication_id: the charges of documents that are held, each with the reason."""
    columns = [field.name for field in CARRIED_FORWARD.schema.fields if field.name != "publication_id"]
    named = {"hold_code": "reason_code", "hold_reason": "reason", "rated_amount": "amount"}
    return all_lines.where(F.col("hold_code").isNotNull()).withColumnsRenamed(named).select(*columns)


def _line_amount(policy: RoundingPolicy) -> Column:
    """A line's net amount in minor units. By document, a line is what it adds to the rounded running total, so that lines add up."""
    currency = F.col("currency")
    if policy.level == "line":
        return rounded(F.col("rated_amount"), currency, policy.method)
    after, before = (rounded(F.col(total), currency, policy.method) for total in ("running_amount", "before"))
    return (after - before).cast(AMOUNT)


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
        F.lit(0).cast(AMOUNT).alias("prepaid_amount"),
        F.when(F.col("original_invoice_id").isNotNull(), F.lit(TAKEN_BACK)).alias("correction_reason"),
        F.col("document_type").alias("series"),
        F.lit(None).cast("int").alias("fiscal_year"),
        F.lit(None).cast("bigint").alias("number"),
        F.lit(None).cast("string").alias("invoice_number"),
        F.lit(issue_date).alias("issue_date"),
        F.date_add(F.lit(issue_date), terms).alias("due_date"),
    )
    rounded_off = whole.withColumn("rounding_amount", amounts.round_off(F.col("gross_amount"), F.col("round_off_unit")))
    return rounded_off.withColumn("payable_amount", amounts.payable()).select(*columns)


def invoices_account(staged_invoices: DataFrame, staged_lines: DataFrame, staged_taxes: DataFrame) -> DataFrame:
    """Every document beside what its lines and taxes add up to, computed once more from the staged rows.

    Returns tenant_id, invoice_id, the header's net, tax, gross, rounding, prepaid and payable, and of its lines and taxes: lines,
    lines_rated, lines_tax, lines_taxable (every line once for each component of its tax), taxes, taxable, line_count_found, and 1
    where one of them is off_grid (finer than the currency's minor unit), untaxed or unpriced.
    """
    key = ["tenant_id", "invoice_id"]
    nothing = F.lit(0).cast("decimal(28,3)")
    line_tax = F.aggregate("line_taxes", nothing, lambda sofar, part: (sofar + part["amount"]).cast("decimal(28,3)"))
    of_lines = staged_lines.groupBy(*key).agg(
        F.sum("line_amount").alias("lines"),
        F.sum(line_tax).alias("lines_tax"),
        F.sum(F.col("line_amount") * F.size("line_taxes")).cast("decimal(38,3)").alias("lines_taxable"),
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
        F.col("rounding_amount").alias("rounding"), F.col("prepaid_amount").alias("prepaid"), F.col("payable_amount").alias("payable"),
    )  # fmt: skip
    return headers.join(of_lines, on=key, how="full_outer").join(of_taxes, on=key, how="full_outer")


def lines_account(staged_lines: DataFrame, staged_carried: DataFrame, charges: DataFrame) -> DataFrame:
    """Every charge beside the lines it is on and what carries it forward: tenant_id, charge_id, charged_amount, lined_amount, times.

    charges: as billed() returns them, with what earlier months have carried forward.
    """
    is_correction = F.col("corrects_charge_id").isNotNull().alias("is_correction")
    found = staged_lines.select("tenant_id", "charge_id", F.col("rated_amount").alias("amount"), is_correction).unionByName(
        staged_carried.select("tenant_id", "charge_id", "amount", F.lit(False).alias("is_correction"))
    )
    told = found.groupBy("tenant_id", "charge_id").agg(
        F.sum("amount").alias("lined_amount"),
        F.count(F.lit(1)).alias("times"),
        F.max("is_correction").alias("is_correction"),
    )
    charged = charges.select("tenant_id", "charge_id", F.col("amount").alias("charged_amount"))
    both = charged.join(told, on=["tenant_id", "charge_id"], how="full_outer")
    asked_for = (
        F.col("is_correction") & F.col("charged_amount").isNull()
    )  # a correction that somebody asked for bills no charge
    return both.where(~F.coalesce(asked_for, F.lit(False))).drop("is_correction")


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

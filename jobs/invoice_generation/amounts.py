"""Tax amounts, after the decision: rounded once per category, component and rate of a document, or on every line, as the jurisdiction says.

Either way every line gets its part and the parts add up: rounded once, a line's tax is what it adds to the rounded running total.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.invoice_generation.tables import INVOICE_TAXES, LINE_TAXES
from jobs.ledger.columns import AMOUNT
from jobs.ledger.money import rounded

DOCUMENT = ["tenant_id", "period", "invoice_id"]


def with_taxes(lines: DataFrame, document: Sequence[str] = DOCUMENT) -> DataFrame:
    """Lines with line_taxes: the tax of every component (LINE_TAXES), null where a line is held without a tax.

    lines: one row per line, with line_amount, currency, tax_category, components, and tax_per (document, line) and tax_method (half_up,
    half_even) of the seller's jurisdiction. document: columns that name a line's document; where the lines lie together by them already,
    none of them is moved.
    """
    parts = lines.select("*", F.posexplode_outer("components").alias("place", "part"))
    group = Window.partitionBy(*document, "tax_category", "part.component", "part.rate").orderBy("line_no")
    running = F.sum("line_amount").over(group.rowsBetween(Window.unboundedPreceding, 0)).cast(AMOUNT)
    before = (running - F.col("line_amount")).cast(AMOUNT)
    once = (_tax(running) - _tax(before)).cast(AMOUNT)
    amount = F.when(F.col("tax_per") == "line", _tax(F.col("line_amount"))).otherwise(once)
    told = F.struct(F.col("part.component").alias("component"), F.col("part.rate").alias("rate"), amount.alias("amount"))
    taxed = parts.withColumn("tax", F.when(F.col("part").isNotNull(), told))
    # Every part of a line is told all of them, and the first one goes on as the line: wide rows are neither joined nor moved again.
    # A component stands once in a line, so that a set of them loses none.
    together = F.array_sort(F.collect_set("tax").over(Window.partitionBy(*document, "line_no")))
    known = taxed.withColumn("line_taxes", F.when(F.col("part").isNotNull(), together).cast(LINE_TAXES))
    return known.where(F.coalesce("place", F.lit(0)) == 0).drop("place", "part", "tax")


def _tax(amount: Column) -> Column:
    """The tax of an amount at a part's rate, in minor units."""
    exact, currency = amount * F.col("part.rate"), F.col("currency")
    return F.when(F.col("tax_method") == "half_even", rounded(exact, currency, "half_even")).otherwise(
        rounded(exact, currency, "half_up")
    )


def taxes(lines: DataFrame) -> DataFrame:
    """Tax per document, category, component and rate: what its lines' taxes add up to. Returns INVOICE_TAXES without publication_id.

    lines: as transforms.documents() returns them. Rules that decided alike, and the reasons a document has to tell, stand together.
    """
    group = [*DOCUMENT, "tax_category", "tax_component", "tax_rate", "currency"]
    parts = lines.select(
        *DOCUMENT, "tax_category", "currency", "line_amount", "tax_rule", "exemption_code", "exemption_reason",
        F.explode("line_taxes").alias("part"),
    )  # fmt: skip
    named = parts.withColumns({"tax_component": F.col("part.component"), "tax_rate": F.col("part.rate")})
    # Summed by what is told first: texts are then gathered from a row a reason, not from a row a line.
    told = ["tax_rule", "exemption_code", "exemption_reason"]
    summed = named.groupBy(*group, *told).agg(
        F.sum("line_amount").alias("taxable_amount"), F.sum("part.amount").alias("tax_amount")
    )
    reasons = F.array_join(F.array_sort(F.collect_set("exemption_reason")), "; ")
    codes = F.collect_set("exemption_code")
    columns = [field.name for field in INVOICE_TAXES.schema.fields if field.name != "publication_id"]
    return (
        summed.groupBy(*group)
        .agg(
            F.sum("taxable_amount").cast(AMOUNT).alias("taxable_amount"),
            F.sum("tax_amount").cast(AMOUNT).alias("tax_amount"),
            F.array_join(F.array_sort(F.collect_set("tax_rule")), ", ").alias("tax_rule"),
            F.when(F.size(codes) == 1, F.get(codes, F.lit(0))).alias("exemption_code"),  # one of several would mislead
            F.when(reasons != "", reasons).alias("exemption_reason"),
        )
        .select(*columns)
    )


def round_off(gross: Column, unit: Column) -> Column:
    """What rounds a gross amount to a unit of its currency, half away from zero; nothing where no unit is told."""
    exact = F.round(gross / unit, 0) * unit
    return F.coalesce((exact.cast(AMOUNT) - gross).cast(AMOUNT), F.lit(0).cast(AMOUNT))


def payable() -> Column:
    """What is to pay of a document: gross_amount + rounding_amount - prepaid_amount (EN 16931 BR-CO-16)."""
    return (F.col("gross_amount") + F.col("rounding_amount") - F.col("prepaid_amount")).cast(AMOUNT)

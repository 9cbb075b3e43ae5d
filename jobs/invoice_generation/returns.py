"""What is taken back after it was invoiced: a charge below nothing becomes a credit note that names the invoice it reverses.

For tenants whose policy says so. A charge is what a customer's month comes to for a product, so what was bought and taken back within one
month is settled before anything is issued. Source: docs/corrections.md
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.invoice_generation import corrections
from jobs.ledger.columns import AMOUNT
from jobs.ledger.money import in_minor_units

NAMED = ("original_invoice_id", "original_charge_id")
SAME = ("tenant_id", "legal_entity_id", "account_id", "product_id", "currency")


def unnamed(decided: DataFrame) -> DataFrame:
    """Charges none of which reverses an invoice: with NAMED, all null."""
    return decided.withColumns({name: F.lit(None).cast("string") for name in NAMED})


def named(decided: DataFrame, invoices: DataFrame, all_lines: DataFrame, taxes: DataFrame) -> DataFrame:
    """Charges with NAMED: of those below nothing, the newest earlier invoice that has as much left of the same product.

    decided: as decisions.decided() returns them. invoices, all_lines, taxes: what was issued in earlier months. A charge that is named
    carries the month and the tax of the line that it reverses, whatever holds today. One line is never reversed beyond what is left.
    """
    back = F.abs(in_minor_units(F.col("amount"), F.col("currency"))).cast(AMOUNT)
    asking = decided.where((F.col("amount") < 0) & F.col("legal_entity_id").isNotNull()).select(
        *SAME, "charge_id", "region", back.alias("back")
    )
    headers = invoices.where(F.col("document_type") == "invoice").select(
        "tenant_id", "invoice_id", "legal_entity_id", "account_id", F.col("period").alias("issued_in")
    )
    left = (
        corrections.left(all_lines, invoices)
        .where(F.col("left") > 0)
        .join(headers, on=["tenant_id", "invoice_id"], how="inner")
        .join(corrections.reasons(taxes, invoices), on=["tenant_id", "invoice_id", "tax_category"], how="left")
    )
    offered = left.select(
        *SAME, F.col("region").alias("original_region"), "issued_in", "left", F.col("invoice_id").alias("original_invoice_id"),
        F.col("charge_id").alias("original_charge_id"), F.col("service_period").alias("original_month"),
        F.struct("tax_category", "tax_rate", "tax_rule", "tax_reason", corrections.rates("line_taxes").alias("components"), "exemption_code",
                 "exemption_reason").alias("original_tax"),
    )  # fmt: skip
    fits = asking.join(offered, on=list(SAME), how="inner").where(
        F.col("region").eqNullSafe(F.col("original_region")) & (F.col("left") >= F.col("back"))
    )
    newest = Window.partitionBy("tenant_id", "charge_id").orderBy(F.col("issued_in").desc(), F.col("original_charge_id"))
    running = Window.partitionBy("tenant_id", "original_invoice_id", "original_charge_id").orderBy("charge_id")
    found = (
        fits.withColumn("age", F.row_number().over(newest))
        .where(F.col("age") == 1)
        .withColumn("used", F.sum("back").over(running))
        .where(F.col("used") <= F.col("left"))
        .select("tenant_id", "charge_id", *NAMED, "original_month", "original_tax")
    )
    both = decided.join(found, on=["tenant_id", "charge_id"], how="left")
    is_named = F.col("original_tax").isNotNull()
    of_tax = ("tax_category", "tax_rate", "tax_rule", "tax_reason", "components", "exemption_code", "exemption_reason")
    told = {name: F.when(is_named, F.col(f"original_tax.{name}")).otherwise(F.col(name)) for name in of_tax}
    told |= {name: F.when(~is_named, F.col(name)) for name in ("hold_code", "hold_reason")}
    told["service_period"] = F.coalesce("original_month", "service_period")
    return both.withColumns(told).select(*decided.columns, *NAMED)

"""What was issued beside what should have been: documents are decided again by what is known now, and the difference is issued.

Whose tax, country or exemption was told late, or told wrong, gets a corrective invoice: every line that should carry another tax is taken
back with the tax it had and charged with the tax it should have. Amounts stay: usage and prices that change after the fact are adjustments of the
open month already. Source: docs/corrections.md
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.invoice_generation import amounts, corrections
from jobs.invoice_generation.tables import INVOICE_LINES
from jobs.ledger.columns import AMOUNT, QUANTITY
from jobs.ledger.corrections import CORRECTIVE_INVOICE, REBILL

LINE = ("tenant_id", "correction_id", "charge_id")
OF_TAX = ("tax_category", "tax_rate", "tax_rule", "tax_reason")
OF_REQUEST = ("tenant_id", "correction_id", "invoice_id", "account_id", "legal_entity_id")


def to_decide(asked: DataFrame, invoices: DataFrame, standing: DataFrame, taxes: DataFrame) -> DataFrame:
    """What is left of the documents that are to be rebilled: a row per line, as transforms.sold() takes charges, with what it carries in `was`.

    asked: as corrections.judged() returns them. invoices, taxes: INVOICES and INVOICE_TAXES of what they name. standing: as
    corrections.left() returns it.
    """
    wanted = asked.where((F.col("action") == REBILL) & F.col("reason_code").isNull()).select(
        *OF_REQUEST, F.col("reason").alias("correction_reason")
    )
    found = wanted.join(standing.where(F.col("left") != 0), on=corrections.DOCUMENT, how="inner")
    known = found.join(corrections.reasons(taxes, invoices), on=[*corrections.DOCUMENT, "tax_category"], how="left")
    was = F.struct(
        *OF_TAX, "exemption_code", "exemption_reason", "taxes_left", "legal_entity_id",
        corrections.taxed_as("taxes_left").alias("taxed_as"),
    )  # fmt: skip
    return known.select(
        *LINE, "invoice_id", "account_id", "line_no", "service_period", "product_id", "region", "unit", "quantity", "currency", "left",
        "correction_reason", was.alias("was"),
    )  # fmt: skip


def compared(decided: DataFrame) -> DataFrame:
    """Lines with `differs`: whether they should carry another tax than they do. decided: to_decide() as decisions.decided() returns it."""
    now = F.struct(F.col("tax_category").alias("category"), F.col("components").alias("rates"))
    return decided.withColumn("differs", now != F.col("was.taxed_as"))


def answered(asked: DataFrame, again: DataFrame) -> DataFrame:
    """Requests with reason_code, now also of those whose rebill comes to nothing or cannot be. again: as compared() returns it."""
    why = F.coalesce(
        F.when(F.bool_or(F.col("legal_entity_id") != F.col("was.legal_entity_id")), "another legal entity sells it now"),
        F.concat(F.lit("its tax cannot be decided: "), F.min("hold_code")),
        F.when(~F.bool_or("differs"), "it is as it should be"),
    )
    found = again.groupBy("tenant_id", "correction_id").agg(why.alias("refused_for"))
    told = asked.join(found, on=["tenant_id", "correction_id"], how="left")
    return told.withColumn("reason_code", F.coalesce("reason_code", "refused_for")).drop("refused_for")


def lines(asked: DataFrame, again: DataFrame, period: date) -> DataFrame:
    """The lines of corrective invoices, as corrections.lines() returns those of other documents.

    asked, again: as answered() and compared() return them. A line that differs is two: one takes it back, the other charges it again.
    """
    wanted = asked.where((F.col("action") == REBILL) & F.col("reason_code").isNull()).select(
        "tenant_id", "correction_id", "action"
    )
    changed = again.where("differs").join(wanted, on=["tenant_id", "correction_id"], how="inner")
    charged = amounts.with_taxes(changed.withColumn("line_amount", F.col("left")), ["tenant_id", "correction_id"])
    carried = {name: F.col(f"was.{name}") for name in (*OF_TAX, "exemption_code", "exemption_reason")}
    back = changed.withColumns(
        {
            **carried, "line_taxes": corrections.given_back("was.taxes_left"), "line_amount": (-F.col("left")).cast(AMOUNT),
            "quantity": (-F.col("quantity")).cast(QUANTITY),
        }
    )  # fmt: skip
    both = back.withColumn("place", F.lit("1: taken back")).unionByName(
        charged.withColumn("place", F.lit("2: charged again")), allowMissingColumns=True
    )
    columns = [field.name for field in INVOICE_LINES.schema.fields if field.name != "publication_id"]
    renewed = corrections.identified(both.withColumn("document_type", F.lit(CORRECTIVE_INVOICE)), period, "place")
    return renewed.select(*columns, *corrections.BESIDE)

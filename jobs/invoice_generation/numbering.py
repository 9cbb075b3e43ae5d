"""Numbers without gaps, taken at issue: in bulk, by the documents' ids, without passing through one process.

A series is a tenant's legal entity, document type and fiscal year. Documents are spread over buckets by the first two
characters of their id; a bucket's first number follows from the counts of the buckets before it, and within a bucket the
order is that of the ids. So the numbers depend on the documents alone, not on partitioning. docs/decisions/0006-numbering.md
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.invoice_generation.settings import Settings
from jobs.invoice_generation.tables import NUMBER_REGISTER

SERIES = ("tenant_id", "legal_entity_id", "series", "fiscal_year")


def numbered(documents: DataFrame, register: DataFrame, prefixes: DataFrame, settings: Settings) -> DataFrame:
    """Documents with number and invoice_number.

    documents: INVOICES rows without numbers. register: every row of the number register so far. prefixes: tenant_id,
    legal_entity_id, invoice_prefix. A document that the register knows keeps its number.
    """
    known = register.select("tenant_id", "invoice_id", F.col("number").alias("known_number"))
    unnumbered = documents.drop("number", "invoice_number").join(known, on=["tenant_id", "invoice_id"], how="left")
    fresh = unnumbered.where(F.col("known_number").isNull()).withColumn("bucket", F.substring("invoice_id", 1, 2))
    last = register.groupBy(*SERIES).agg(F.max("number").alias("last_number"))
    counts = fresh.groupBy(*SERIES, "bucket").agg(F.count(F.lit(1)).alias("documents"))
    earlier = Window.partitionBy(*SERIES).orderBy("bucket").rowsBetween(Window.unboundedPreceding, -1)
    offsets = counts.select(*SERIES, "bucket", F.coalesce(F.sum("documents").over(earlier), F.lit(0)).alias("offset"))
    place = F.row_number().over(Window.partitionBy(*SERIES, "bucket").orderBy("invoice_id"))
    taken = (
        fresh.join(F.broadcast(offsets), on=[*SERIES, "bucket"], how="inner")
        .join(F.broadcast(last), on=list(SERIES), how="left")
        .withColumn("number", F.coalesce("last_number", F.lit(0)) + F.col("offset") + place)
        .drop("bucket", "offset", "last_number", "known_number")
    )
    kept = unnumbered.where(F.col("known_number").isNotNull()).withColumnRenamed("known_number", "number")
    every = taken.unionByName(kept).join(F.broadcast(prefixes), on=["tenant_id", "legal_entity_id"], how="left")
    return every.withColumn("invoice_number", _shown(settings)).drop("invoice_prefix")


def _shown(settings: Settings) -> Column:
    """The number as documents show it, from the format of the policy."""
    import string

    parts: list[Column] = []
    for text, name, spec, _ in string.Formatter().parse(settings.number_format):
        if text:
            parts.append(F.lit(text))
        if name == "prefix":
            parts.append(F.col("invoice_prefix"))
        elif name == "suffix":
            suffix = F.lit("")
            for series, rule in settings.series.items():
                suffix = F.when(F.col("series") == series, F.lit(rule.suffix)).otherwise(suffix)
            parts.append(suffix)
        elif name == "year":
            parts.append(F.col("fiscal_year").cast("string"))
        elif name == "number":
            parts.append(F.format_string(f"%{spec or 'd'}", F.col("number")))
    return F.concat(*parts)


def register_rows(documents: DataFrame, register: DataFrame) -> DataFrame:
    """NUMBER_REGISTER rows, without publication_id, of the numbered documents that are not in it yet."""
    columns = [field.name for field in NUMBER_REGISTER.schema.fields if field.name != "publication_id"]
    return documents.join(
        register.select("tenant_id", "invoice_id"), on=["tenant_id", "invoice_id"], how="left_anti"
    ).select(*columns)

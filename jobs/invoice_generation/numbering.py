"""Numbers without gaps, taken at issue: in bulk, by the documents' ids, without passing through one process.

A series is a tenant's legal entity, document type and fiscal year. Documents are spread over buckets by the first two
characters of their id; a bucket's first number follows from the counts of the buckets before it, and within a bucket the
order is that of the ids. So the numbers depend on the documents alone, not on partitioning. Numbers that are voided are stepped over
and stand in the register with their reason. docs/decisions/0006-numbering.md
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.invoice_generation.settings import Settings
from jobs.invoice_generation.tables import NUMBER_REGISTER
from jobs.ledger.tenants import LegalEntity, Tenant
from jobs.runtime.errors import ConfigError, Refused

SERIES = ("tenant_id", "legal_entity_id", "series", "fiscal_year")
ENTITY = ("tenant_id", "legal_entity_id")
ENTITIES = "tenant_id string, legal_entity_id string, invoice_prefix string, country string, fiscal_year int"
VOIDED = (
    "tenant_id string, legal_entity_id string, series string, fiscal_year int, first bigint, last bigint, void_reason string"
)


def entities(spark: SparkSession, tenants: Sequence[Tenant], settings: Settings, issue_date: date) -> DataFrame:
    """The legal entities that number documents on a day: ENTITIES."""
    rows = [
        (tenant.tenant, entity.id, entity.invoice_prefix, entity.country, settings.numbering_of(entity.country).fiscal_year(issue_date))
        for tenant in tenants
        for entity in tenant.legal_entities
    ]  # fmt: skip
    return spark.createDataFrame(rows, ENTITIES)


def voided(spark: SparkSession, tenants: Sequence[Tenant]) -> DataFrame:
    """The numbers that no document carries, as tenants declare them: VOIDED."""
    rows = [
        (tenant.tenant, entity.id, one.series, one.fiscal_year, one.first, one.last, one.reason)
        for tenant in tenants
        for entity in tenant.legal_entities
        for one in entity.voided_numbers
    ]
    return spark.createDataFrame(rows, VOIDED)


def numbered(
    documents: DataFrame, register: DataFrame, selling: DataFrame, voids: DataFrame, settings: Settings
) -> DataFrame:
    """Documents with fiscal_year, number and invoice_number.

    documents: INVOICES rows without them. register: every row of the number register so far. selling, voids: as entities() and voided()
    return them. A document that the register knows keeps its number.
    """
    known = register.where(F.col("invoice_id").isNotNull()).select(
        "tenant_id",
        "invoice_id",
        F.col("fiscal_year").alias("known_year"),
        F.col("number").alias("known_number"),
    )
    unnumbered = (
        documents.drop("fiscal_year", "number", "invoice_number")
        .join(known, on=["tenant_id", "invoice_id"], how="left")
        .join(F.broadcast(selling), on=list(ENTITY), how="left")
        .withColumn("fiscal_year", F.coalesce("known_year", "fiscal_year"))
    )
    fresh = unnumbered.where(F.col("known_number").isNull()).withColumn("bucket", F.substring("invoice_id", 1, 2))
    last = register.groupBy(*SERIES).agg(F.max("number").alias("last_number"))
    counts = fresh.groupBy(*SERIES, "bucket").agg(F.count(F.lit(1)).alias("documents"))
    earlier = Window.partitionBy(*SERIES).orderBy("bucket").rowsBetween(Window.unboundedPreceding, -1)
    offsets = counts.select(*SERIES, "bucket", F.coalesce(F.sum("documents").over(earlier), F.lit(0)).alias("offset"))
    ahead = _ahead(voids, last).groupBy(*SERIES).agg(F.array_sort(F.collect_set(F.struct("first", "last"))).alias("ahead"))
    place = F.row_number().over(Window.partitionBy(*SERIES, "bucket").orderBy("invoice_id"))
    taken = (
        fresh.join(F.broadcast(offsets), on=[*SERIES, "bucket"], how="inner")
        .join(F.broadcast(last), on=list(SERIES), how="left")
        .join(F.broadcast(ahead), on=list(SERIES), how="left")
        .withColumn("counted", F.coalesce("last_number", F.lit(0)) + F.col("offset") + place)
        .withColumn("number", _stepping_over("ahead", "counted"))
        .drop("bucket", "offset", "last_number", "ahead", "counted", "known_number", "known_year")
    )
    kept = unnumbered.where(F.col("known_number").isNotNull()).withColumnRenamed("known_number", "number").drop("known_year")
    every = taken.unionByName(kept)
    return every.withColumn("invoice_number", _shown(settings)).drop("invoice_prefix", "country")


def _ahead(voids: DataFrame, last: DataFrame) -> DataFrame:
    """The voided ranges that a series has not come to yet."""
    reached = voids.join(F.broadcast(last), on=list(SERIES), how="left")
    return reached.where(F.col("first") > F.coalesce("last_number", F.lit(0))).drop("last_number")


def _stepping_over(ranges: str, number: str) -> Column:
    """A number moved beyond the voided ranges before it. ranges: in order, apart from each other."""
    moved = F.aggregate(
        ranges,
        F.col(number),
        lambda at, one: F.when(at >= one["first"], at + one["last"] - one["first"] + 1).otherwise(at),
    )
    return F.coalesce(moved, F.col(number))


def _shown(settings: Settings) -> Column:
    """The number as documents show it, from the format of the seller's country."""
    shown = _formatted(settings.numbering["*"].format, settings)
    for country, numbering in settings.numbering.items():
        if country != "*":
            shown = F.when(F.col("country") == country, _formatted(numbering.format, settings)).otherwise(shown)
    return shown


def _formatted(pattern: str, settings: Settings) -> Column:
    suffix = F.lit("")
    for series, rule in settings.series.items():
        suffix = F.when(F.col("series") == series, F.lit(rule.suffix)).otherwise(suffix)
    year = F.col("fiscal_year")
    fields: Mapping[str, Column] = {
        "year": year, "yy": F.format_string("%02d", year % 100), "next_yy": F.format_string("%02d", (year + 1) % 100),
        "prefix": F.col("invoice_prefix"), "suffix": suffix, "number": F.col("number"),
    }  # fmt: skip
    parts: list[Column] = []
    for text, name, spec, _ in string.Formatter().parse(pattern):
        if text:
            parts.append(F.lit(text))
        if name == "number":
            parts.append(F.format_string(f"%{spec or 'd'}", fields[name]))
        elif name:
            parts.append(fields[name].cast("string"))
    return F.concat(*parts)


def register_rows(documents: DataFrame, register: DataFrame, voids: DataFrame) -> DataFrame:
    """NUMBER_REGISTER rows, without publication_id, of what is not in it yet: numbered documents, and voided numbers that they passed."""
    columns = [field.name for field in NUMBER_REGISTER.schema.fields if field.name != "publication_id"]
    named = documents.select(*(name for name in columns if name != "void_reason"))
    fresh = named.join(register.select("tenant_id", "invoice_id"), on=["tenant_id", "invoice_id"], how="left_anti")
    last = register.groupBy(*SERIES).agg(F.max("number").alias("last_number"))
    reached = fresh.groupBy(*SERIES, "period").agg(F.max("number").alias("reached"))
    passed = (
        _ahead(voids, last)
        .join(F.broadcast(reached), on=list(SERIES), how="inner")
        .where(F.col("first") < F.col("reached"))
        .select(*SERIES, "period", "void_reason", F.explode(F.sequence("first", "last")).alias("number"))
    )
    return fresh.unionByName(passed, allowMissingColumns=True).select(*columns)


def check(fresh: DataFrame, register: DataFrame, selling: DataFrame, settings: Settings) -> None:
    """Refuse numbers that skip, repeat or are longer than the law allows, before the register takes them.

    fresh: as register_rows() returns them. register: what it holds so far. selling: as entities() returns them.
    """
    limit = F.lit(settings.numbering["*"].max_length)
    for country, numbering in settings.numbering.items():
        limit = F.when(F.col("country") == country, F.lit(numbering.max_length)).otherwise(limit)
    kept = register.select(*SERIES, "number", F.lit(0).alias("length"))
    taken = fresh.select(*SERIES, "number", F.coalesce(F.length("invoice_number"), F.lit(0)).alias("length"))
    series = kept.unionByName(taken).groupBy(*SERIES).agg(
        F.min("number").alias("least"), F.max("number").alias("most"), F.count(F.lit(1)).alias("rows"),
        F.countDistinct("number").alias("numbers"), F.max("length").alias("length"),
    )  # fmt: skip
    judged = series.join(F.broadcast(selling.select(*ENTITY, "country")), on=list(ENTITY), how="left").withColumn(
        "limit", limit
    )
    is_broken = (F.col("least") != 1) | (F.col("most") != F.col("rows")) | (F.col("rows") != F.col("numbers"))
    for row in judged.where(is_broken | (F.col("length") > F.col("limit"))).limit(1).collect():
        named = f"the series {row['series']} {row['fiscal_year']} of {row['legal_entity_id']}"
        if row["length"] > row["limit"]:
            raise Refused(
                f"invoicing.number_register: {named} has come to numbers of {row['length']} characters; {row['country']} allows "
                f"{row['limit']}. Nothing was issued. Give the legal entity a shorter invoice_prefix, or a format of its own."
            )
        raise Refused(
            f"invoicing.number_register: {named} would hold {row['rows']} numbers, {row['numbers']} of them different, from "
            f"{row['least']} to {row['most']}. Nothing was issued. Find out who has written into the register."
        )


def fits(entity: LegalEntity, settings: Settings, number: int = 99_999) -> None:
    """Refuse a prefix with which a year's numbers would become longer than the seller's country allows."""
    numbering = settings.numbering_of(entity.country)
    for series in settings.series.values():
        shown = numbering.format.format(
            prefix=entity.invoice_prefix, suffix=series.suffix, year=2026, yy=26, next_yy=27, number=number
        )
        if len(shown) > numbering.max_length:
            raise ConfigError(
                f"legal entity '{entity.id}': its {series.title} {number} would be {shown}, {len(shown)} characters where "
                f"{entity.country} allows {numbering.max_length} ({numbering.source}). Nothing was started. Shorten invoice_prefix."
            )

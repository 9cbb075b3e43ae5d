"""Drafts beside what was issued before: what is far from usual is issued only when a second person has approved it.

A draft is a staged document without a number. Usual is the mean of the months before, as many as the policy says; a tenant without any
is new and asks nobody. Differences of a few documents are never asked for. Source: docs/decisions/0016-issue-control.md
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.invoice_generation.settings import IssueControl

DOCUMENTS, AMOUNT_OF, NEW_CUSTOMERS, OUTLIER = "documents", "amount", "new customers", "outlier"  # what is compared
POLICIES = (
    "tenant_id string, least_documents bigint, documents_share decimal(9,6), amount_share decimal(9,6), noticeable_share decimal(9,6), "
    "new_customers_share decimal(9,6), outlier_times decimal(9,3)"
)
ROUGH = "decimal(38,6)"  # of amounts that are compared, not billed


def policies(spark: SparkSession, of_tenants: Mapping[str, IssueControl]) -> DataFrame:
    """The limits of each tenant: POLICIES."""
    rows = [
        (name, one.least_documents, one.documents_share, one.amount_share, one.noticeable_share, one.new_customers_share, one.outlier_times)
        for name, one in sorted(of_tenants.items())
    ]  # fmt: skip
    return spark.createDataFrame(rows, POLICIES)


def compared(drafts: DataFrame, drafted: DataFrame, issued: DataFrame, lines: DataFrame, limits: DataFrame) -> DataFrame:
    """What a month's drafts come to beside the months before.

    drafts, issued: INVOICES of the month and of the months before it. drafted, lines: their INVOICE_LINES. limits: as policies() returns
    them. Returns tenant_id, compared (DOCUMENTS per customer country, AMOUNT_OF a country, product and currency, NEW_CUSTOMERS, OUTLIER
    per document), subject, found, usual and is_beyond.
    """
    months = issued.groupBy("tenant_id").agg(F.countDistinct("period").alias("months"))
    judged = limits.join(F.broadcast(months), on="tenant_id", how="inner")
    parts = (
        _documents(drafts, issued, judged),
        _amounts(_placed(drafted, drafts), _placed(lines, issued), judged),
        _new_customers(drafts, issued, judged),
        _outliers(drafts, issued, judged),
    )
    columns = ["tenant_id", "compared", "subject", "found", "usual", "is_beyond"]
    every = parts[0].select(*columns)
    for part in parts[1:]:
        every = every.unionByName(part.select(*columns))
    return every


def _placed(lines: DataFrame, headers: DataFrame) -> DataFrame:
    """Lines with the country of their document's customer."""
    where = headers.select("tenant_id", "period", "invoice_id", "customer_country")
    return lines.join(where, on=["tenant_id", "period", "invoice_id"], how="inner")


def _beside(now: DataFrame, then: DataFrame, key: list[str], judged: DataFrame, columns: dict[str, Column]) -> DataFrame:
    """Sums of a month beside the mean of the months before: <name> and usual_<name>, 0 where one of them has none."""
    found = now.groupBy(*key).agg(*(column.cast(ROUGH).alias(name) for name, column in columns.items()))
    before = then.groupBy(*key).agg(*(column.cast(ROUGH).alias(f"total_{name}") for name, column in columns.items()))
    both = found.join(before, on=key, how="full_outer").join(F.broadcast(judged), on="tenant_id", how="inner")
    zero = F.lit(0).cast(ROUGH)
    told = {name: F.coalesce(name, zero) for name in columns}
    usual = {f"usual_{name}": (F.coalesce(f"total_{name}", zero) / F.col("months")).cast(ROUGH) for name in columns}
    return both.withColumns(told | usual)


def _differs(name: str, share: str) -> Column:
    """Whether a figure is further from usual than a share of it."""
    difference = F.abs(F.col(name) - F.col(f"usual_{name}"))
    return difference > F.abs(F.col(f"usual_{name}")) * F.col(share)


def _documents(drafts: DataFrame, issued: DataFrame, judged: DataFrame) -> DataFrame:
    both = _beside(drafts, issued, ["tenant_id", "customer_country"], judged, {"documents": F.count(F.lit(1))})
    many = F.abs(F.col("documents") - F.col("usual_documents")) >= F.col("least_documents")
    return both.select(
        "tenant_id", F.lit(DOCUMENTS).alias("compared"), F.col("customer_country").alias("subject"),
        F.col("documents").alias("found"), F.col("usual_documents").alias("usual"),
        (many & _differs("documents", "documents_share")).alias("is_beyond"),
    )  # fmt: skip


def _amounts(drafted: DataFrame, lines: DataFrame, judged: DataFrame) -> DataFrame:
    key = ["tenant_id", "customer_country", "product_id", "currency"]
    figures = {"amount": F.sum("line_amount"), "documents": F.countDistinct("period", "invoice_id")}
    both = _beside(drafted, lines, key, judged, figures)
    of_currency = both.groupBy("tenant_id", "currency").agg(F.sum(F.abs("usual_amount")).cast(ROUGH).alias("usual_whole"))
    beside = both.join(F.broadcast(of_currency), on=["tenant_id", "currency"], how="inner")
    many = F.greatest("documents", "usual_documents") >= F.col("least_documents")
    noticeable = F.abs(F.col("amount") - F.col("usual_amount")) > F.col("usual_whole") * F.col("noticeable_share")
    return beside.select(
        "tenant_id", F.lit(AMOUNT_OF).alias("compared"),
        F.concat_ws(" ", "product_id", F.lit("in"), "customer_country", "currency").alias("subject"),
        F.col("amount").alias("found"), F.col("usual_amount").alias("usual"),
        (many & noticeable & _differs("amount", "amount_share")).alias("is_beyond"),
    )  # fmt: skip


def _new_customers(drafts: DataFrame, issued: DataFrame, judged: DataFrame) -> DataFrame:
    known = issued.select("tenant_id", "account_id").distinct().withColumn("is_known", F.lit(True))
    customers = drafts.select("tenant_id", "account_id").distinct().join(known, on=["tenant_id", "account_id"], how="left")
    counted = customers.groupBy("tenant_id").agg(
        F.count_if(F.col("is_known").isNull()).alias("new"), F.count(F.lit(1)).alias("customers")
    )
    both = counted.join(F.broadcast(judged), on="tenant_id", how="inner")
    share = F.col("customers") * F.col("new_customers_share")
    return both.select(
        "tenant_id", F.lit(NEW_CUSTOMERS).alias("compared"), F.lit("customers without a document before").alias("subject"),
        F.col("new").cast(ROUGH).alias("found"), share.cast(ROUGH).alias("usual"),
        ((F.col("new") >= F.col("least_documents")) & (F.col("new") > share)).alias("is_beyond"),
    )  # fmt: skip


def _outliers(drafts: DataFrame, issued: DataFrame, judged: DataFrame) -> DataFrame:
    """Documents far above the greatest of their account before, of an account that has some, and of a noticeable amount."""
    key = ["tenant_id", "account_id", "currency"]
    greatest = issued.groupBy(*key).agg(F.max(F.abs("gross_amount")).cast(ROUGH).alias("usual"))
    whole = issued.groupBy("tenant_id", "currency").agg(F.sum(F.abs("gross_amount")).cast(ROUGH).alias("whole"))
    sizes = drafts.groupBy("tenant_id").agg(F.count(F.lit(1)).alias("documents"))
    both = (
        drafts.join(greatest, on=key, how="inner")
        .join(F.broadcast(whole), on=["tenant_id", "currency"], how="inner")
        .join(F.broadcast(sizes), on="tenant_id", how="inner")
        .join(F.broadcast(judged), on="tenant_id", how="inner")
    )
    found = F.abs("gross_amount").cast(ROUGH)
    far = found > F.col("usual") * F.col("outlier_times")
    noticeable = found * F.col("months") > F.col("whole") * F.col("noticeable_share")
    return both.select(
        "tenant_id", F.lit(OUTLIER).alias("compared"), F.col("invoice_id").alias("subject"), found.alias("found"), "usual",
        (far & noticeable & (F.col("documents") >= F.col("least_documents"))).alias("is_beyond"),
    )  # fmt: skip

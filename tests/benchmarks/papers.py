"""The third part of `make bench`: issued documents of ten lines each to files, by the workers of the lane `documents`.

Documents are drawn straight into the issued tables' shape, so that nothing but rendering, reading back and letting stand is measured:
the frame that brings lines, taxes and customers together is part of each.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.invoice_generation import documents, labels
from jobs.invoice_generation.settings import settings
from jobs.invoice_generation.tables import DOCUMENTS, INVOICE_LINES, INVOICE_TAXES, INVOICES
from jobs.ledger.tenants import Tenant
from jobs.runtime.logs import say
from jobs.runtime.spark_server import jar_folder
from tests.benchmarks.measure import measured

TENANT, ENTITY = "bench-documents", "bench-documents-at"
LINES = 10  # of a document
COUNTRIES = ("AT", "DE", "FR", "GB", "IT", "NL")  # of customers; each reads its own language
SHARE = Decimal("0.05")  # whose UBL is validated, in the part that measures it
CHECKED = (
    100_000  # documents up to which checks are measured: they cost the same for each, and a quarter of an hour for a million
)
SELLER = Tenant.model_validate(
    {
        "tenant": TENANT, "business_line": "cloud",
        "legal_entities": [
            {
                "id": ENTITY, "country": "AT", "timezone": "Europe/Vienna", "invoice_prefix": "B", "tax_policy": "eu-seller",
                "name": "Bench Wolken GmbH", "tax_id": "ATU12345675", "registration_number": "FN 123456a", "email": "bill@bench.example",
                "address": {"street": "Mariahilfer Straße 1", "city": "Wien", "postal_code": "1060"},
                "bank_accounts": [{"iban": "AT611904300234573201", "bic": "BKAUATWW", "currency": "EUR"}],
            }
        ],
    }
)  # fmt: skip
NUMBER = "CAST(floor(id / {lines}) AS BIGINT)"
QUANTITY = "CAST(id % 97 + 1 AS DECIMAL(38,21))"
NET = "CAST((id % 97 + 1) * 0.25 AS DECIMAL(18,3))"
TAX = "CAST(round({net} * 0.2, 2) AS DECIMAL(18,3))"


@dataclass(frozen=True)
class Issued:
    """Where the drawn tables stand."""

    folder: Path
    size: int

    def read(self, spark: SparkSession) -> DataFrame:
        """The documents as the lane reads them."""
        told = {name: spark.read.parquet(str(self.folder / name)) for name in ("invoices", "lines", "taxes", "accounts")}
        return documents.frame(told["invoices"], told["lines"], told["taxes"], told["accounts"], told["invoices"].limit(0))


def draw(spark: SparkSession, size: int, folder: Path) -> Issued:
    """So many documents of LINES lines, each with one rate of tax and a customer of its own."""
    lines = spark.range(size * LINES).select(
        _id(NUMBER.format(lines=LINES)), F.expr(f"CAST(id % {LINES} + 1 AS INT)").alias("line_no"),
        F.expr("concat('product-', id % 40)").alias("product_id"), F.lit("eu-central-1").alias("region"), F.lit("GB").alias("unit"),
        F.expr(QUANTITY).alias("quantity"), F.expr(f"CAST({NET} AS DECIMAL(38,18))").alias("rated_amount"),
        F.expr(NET).alias("line_amount"), F.lit("S").alias("tax_category"), _decimal("0.2", 9, 6).alias("tax_rate"), F.expr(NET).alias("net"),
    )  # fmt: skip
    running = F.expr("sum(net) OVER (PARTITION BY invoice_id ORDER BY line_no)")
    taxed = lines.withColumn("after", F.round(running * F.lit(Decimal("0.2")), 2).cast("decimal(18,3)"))
    before = F.expr("coalesce(lag(after) OVER (PARTITION BY invoice_id ORDER BY line_no), 0)")
    part = F.struct(
        F.lit("VAT").alias("component"),
        F.col("tax_rate").alias("rate"),
        (F.col("after") - before).cast("decimal(18,3)").alias("amount"),
    )
    kept = taxed.withColumn("line_taxes", F.array(part)).drop("net", "after")
    _shaped(kept, INVOICE_LINES).write.mode("overwrite").parquet(str(folder / "lines"))
    summed = spark.read.parquet(str(folder / "lines")).groupBy("invoice_id").agg(
        F.sum("line_amount").cast("decimal(18,3)").alias("net_amount"), F.sum(F.expr("line_taxes[0].amount")).cast("decimal(18,3)").alias("tax_amount")
    )  # fmt: skip
    gross = (F.col("net_amount") + F.col("tax_amount")).cast("decimal(18,3)")
    headers = spark.range(size).select(
        _id("id"), F.expr("concat('A-', id)").alias("account_id"), _country().alias("customer_country"), F.lit("invoice").alias("document_type"),
        F.lit(ENTITY).alias("legal_entity_id"), F.expr("printf('B-2026-%07d', id + 1)").alias("invoice_number"),
        F.expr("DATE '2026-08-01'").alias("issue_date"), F.expr("DATE '2026-08-31'").alias("due_date"),
    )  # fmt: skip
    nothing = _decimal("0", 18, 3)
    invoices = headers.join(summed, on="invoice_id", how="inner").withColumns(
        {"gross_amount": gross, "payable_amount": gross, "rounding_amount": nothing, "prepaid_amount": nothing}
    )
    _shaped(invoices, INVOICES).write.mode("overwrite").parquet(str(folder / "invoices"))
    taxes = summed.select(
        "invoice_id", F.lit("S").alias("tax_category"), F.lit("VAT").alias("tax_component"), _decimal("0.2", 9, 6).alias("tax_rate"),
        F.col("net_amount").alias("taxable_amount"), "tax_amount",
    )  # fmt: skip
    _shaped(taxes, INVOICE_TAXES).write.mode("overwrite").parquet(str(folder / "taxes"))
    spark.range(size).select(
        F.lit(TENANT).alias("tenant_id"), F.expr("concat('A-', id)").alias("account_id"), F.expr("concat('Kundin Nummer ', id, ' GmbH')").alias("legal_name"),
        F.expr("concat('Hauptstraße ', id % 200)").alias("street"), F.lit("Graz").alias("city"), F.lit("8010").alias("postal_code"),
        F.concat(_country(), F.lit("123456789")).alias("tax_id"), F.lit("ap@customer.example").alias("email"),
    ).write.mode("overwrite").parquet(str(folder / "accounts"))  # fmt: skip
    return Issued(folder, size)


def _id(number: str) -> Any:
    return F.sha2(F.expr(f"CAST({number} AS STRING)"), 256).alias("invoice_id")


def _country() -> Any:
    return F.get(F.array(*(F.lit(country) for country in COUNTRIES)), F.expr(f"CAST(id % {len(COUNTRIES)} AS INT)"))


def _decimal(text: str, precision: int, scale: int) -> Any:
    return F.lit(Decimal(text)).cast(f"decimal({precision},{scale})")


def _shaped(rows: DataFrame, table: Any) -> DataFrame:
    """With every column of a table; what is not drawn is null, but its tenant, month and currency."""
    known = {
        "tenant_id": F.lit(TENANT),
        "period": F.expr("DATE '2026-07-01'"),
        "service_period": F.expr("DATE '2026-07-01'"),
        "currency": F.lit("EUR"),
    }
    return rows.select(
        *(
            (F.col(field.name) if field.name in rows.columns else known.get(field.name, F.lit(None)))
            .cast(field.dataType)
            .alias(field.name)
            for field in table.schema.fields
        )
    )


def figures(spark: SparkSession, size: int, scratch: Path, server: int, spread: int) -> dict[str, Any]:
    """What documents of a size take: each format alone and, up to CHECKED, validation of a share, reading all back, and letting files stand."""
    issued = draw(spark, size, scratch / "issued")
    policy = settings().documents
    making = documents.Making(
        documents.sellers([SELLER]),
        ("ubl",),
        policy.units,
        labels.by_country(policy.default_language),
        Decimal(0),
        str(jar_folder()),
    )
    told: dict[str, Any] = {"documents": size, "lines": size * LINES}

    def timed(name: str, work: Callable[[], None]) -> None:
        with measured((server,)) as taken:
            work()
        told[name] = asdict(taken) | {"documents_per_cpu_second": size / taken.cpu_seconds if taken.cpu_seconds else 0.0}
        say(f"{size:,} documents, {name}: {taken.seconds:.1f} s, {taken.cpu_seconds:.1f} CPU s")

    def made(name: str, by: documents.Making) -> None:
        """Render into a folder of its own, the list beside it."""
        papers = documents.make(issued.read(spark), str(scratch / name), by, spread)
        papers.write.mode("overwrite").parquet(str(scratch / f"{name}-listed"))

    timed("frame", lambda: issued.read(spark).write.mode("overwrite").format("noop").save())
    timed("ubl", lambda: made("ubl", making))
    told["ubl_bytes"] = _bytes(spark, scratch / "ubl-listed")
    if size <= CHECKED:
        told |= _checked(spark, issued, scratch, making, spread, made, timed)
    shutil.rmtree(scratch / "ubl")
    timed("pdf", lambda: made("pdf", replace(making, formats=("pdf",))))
    told["pdf_bytes"] = _bytes(spark, scratch / "pdf-listed")
    shutil.rmtree(scratch, ignore_errors=True)
    return told


def _checked(
    spark: SparkSession,
    issued: Issued,
    scratch: Path,
    making: documents.Making,
    spread: int,
    made: Callable[[str, documents.Making], None],
    timed: Callable[[str, Callable[[], None]], None],
) -> dict[str, Any]:
    """Time what is done about files beside making them; how many were validated, and how many are wrong."""
    timed("ubl_and_rules", lambda: made("checked", replace(making, validated_share=SHARE)))
    checked = spark.read.parquet(str(scratch / "checked-listed"))
    failed = checked.where("size(failed_rules) > 0 OR left_out IS NOT NULL").count()
    shutil.rmtree(scratch / "checked")
    listed = spark.read.parquet(str(scratch / "ubl-listed")).select(
        *(c for c in DOCUMENTS.schema.fieldNames() if c != "publication_id")
    )
    wrong: list[int] = []

    def read_back() -> None:
        account = documents.account(issued.read(spark), listed, str(scratch / "ubl"), making, spread)
        wrong.append(account.where("is_same IS DISTINCT FROM true OR size(problems) > 0 OR times <> 1").count())

    timed("exact_checks", read_back)
    standing = documents.place(listed, str(scratch / "ubl"), str(scratch / "standing"))
    timed("place", lambda: standing.write.mode("overwrite").format("noop").save())
    return {"validated": checked.where("rules_checked").count(), "wrong": failed + wrong[0]}


def _bytes(spark: SparkSession, listed: Path) -> int:
    return int(spark.read.parquet(str(listed)).agg(F.sum("file_bytes")).collect()[0][0])

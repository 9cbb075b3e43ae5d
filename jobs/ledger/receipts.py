"""Money that came in, and what it was spent on: matched to a document that was open, or deducted from one when it was issued."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.ledger.columns import AMOUNT

RECEIPT = ("tenant_id", "bank_account", "transaction_id")  # a bank numbers its lines per account
SPENT = (*RECEIPT, "document_id", "currency", "booking_date", "amount")


def spent(applications: DataFrame, prepayments: DataFrame) -> DataFrame:
    """What of receipts went to which document: SPENT, amount below nothing where it came back.

    applications: rows of cash.applications. prepayments: rows of invoicing.prepayments.
    """
    return applications.select(*SPENT).unionByName(prepayments.withColumn("document_id", F.col("invoice_id")).select(*SPENT))


def left(receipts: DataFrame, gone: DataFrame) -> DataFrame:
    """Receipts with `left`, what of them is not spent. receipts: with RECEIPT and received. gone: as spent() returns it.

    Whatever a receipt's own row says of it counts for nothing: it was written before what was spent since.
    """
    summed = gone.groupBy(*RECEIPT).agg(F.sum("amount").cast(AMOUNT).alias("gone"))
    both = receipts.join(summed, on=[*RECEIPT], how="left")
    rest = F.col("received") - F.coalesce("gone", F.lit(0).cast(AMOUNT))
    return both.withColumn("left", rest.cast(AMOUNT)).drop("gone")

"""Money that customers have paid on account, deducted from what they are invoiced, and given back when that is taken back.

Source: docs/decisions/0017-prepayments.md
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.invoice_generation import amounts
from jobs.invoice_generation.tables import PREPAYMENTS
from jobs.ledger.columns import AMOUNT
from jobs.ledger.identity import natural_id
from jobs.ledger.receipts import RECEIPT

OWNER = ["tenant_id", "legal_entity_id", "account_id", "currency"]  # what money and invoice must have in common
OLDEST_FIRST = ["booking_date", "bank_account", "transaction_id"]
SUM = "decimal(28,3)"
COLUMNS = [field.name for field in PREPAYMENTS.schema.fields if field.name != "publication_id"]
ACCOUNT = (  # columns that belong to one kind of row are null in the others
    "tenant_id string, prepayment_id string, invoice_id string, transaction_id string, amount decimal(18,3), times bigint, "
    "receipt_left decimal(18,3), receipt_taken decimal(28,3), held decimal(18,3), document_type string, prepaid decimal(18,3), "
    "taken decimal(18,3), payable decimal(18,3), asked decimal(28,3), kept decimal(28,3)"
)


def taken(headers: DataFrame, receipts: DataFrame, rules: DataFrame, issue_date: date) -> DataFrame:
    """What invoices take of money on account. Returns PREPAYMENTS without publication_id.

    headers: INVOICES of the month, before anything is deducted. receipts: rows of cash.unapplied with `left`, as receipts.left()
    returns them. rules: tenant_id, rule, of the tenants whose policy deducts. An invoice takes what its account has paid to its legal
    entity in its currency by the issue date, the oldest receipt first, and no more than it asks for.
    """
    asking = (
        headers.where((F.col("document_type") == "invoice") & F.col("original_invoice_id").isNull() & (F.col("payable_amount") > 0))
        .join(F.broadcast(rules), on="tenant_id", how="inner")
        .select(*OWNER, "period", "invoice_id", F.col("payable_amount").alias("asked"), F.col("issue_date").alias("applied_on"), "rule")
    )  # fmt: skip
    is_usable = F.col("on_account") & (F.col("left") > 0) & (F.col("booking_date") <= F.lit(issue_date))
    usable = receipts.where(is_usable).select(*OWNER, "bank_account", "transaction_id", "booking_date", "left")
    in_turn = Window.partitionBy("tenant_id", "invoice_id").orderBy(*OLDEST_FIRST)
    offered = F.coalesce(F.sum("left").over(in_turn.rowsBetween(Window.unboundedPreceding, -1)), F.lit(0)).cast(SUM)
    amount = F.greatest(F.least(F.col("left").cast(SUM), (F.col("asked") - F.col("offered")).cast(SUM)), F.lit(0).cast(SUM))
    both = asking.join(usable, on=OWNER, how="inner").withColumn("offered", offered)
    return (
        both.withColumn("amount", amount.cast(AMOUNT))
        .where(F.col("amount") > 0)
        .withColumns(
            {
                "prepayment_id": natural_id("tenant_id", "invoice_id", "bank_account", "transaction_id"),
                "moved_by_id": F.col("invoice_id"),
                "gives_back_id": F.lit(None).cast("string"),
            }
        )
        .select(*COLUMNS)
    )


def given_back(
    corrected: DataFrame, invoices: DataFrame, prepayments: DataFrame, month: date, issue_date: date
) -> DataFrame:
    """What goes back to receipts because documents take back what it had paid. Returns PREPAYMENTS without publication_id.

    corrected: headers of the month. invoices: INVOICES of all months. prepayments: PREPAYMENTS of all months. An invoice keeps of its
    prepayments no more than it and all that corrects it ask for; the money that came last goes first.
    """
    notes = corrected.where(F.col("original_invoice_id").isNotNull())
    moved_by = notes.groupBy("tenant_id", F.col("original_invoice_id").alias("invoice_id")).agg(
        F.min("invoice_id").alias("moved_by")
    )
    whole = moved_by.join(asked(invoices, notes), on=["tenant_id", "invoice_id"], how="inner")
    in_turn = Window.partitionBy("tenant_id", "invoice_id").orderBy(*(F.col(name).desc() for name in OLDEST_FIRST))
    before = F.coalesce(F.sum("held").over(in_turn.rowsBetween(Window.unboundedPreceding, -1)), F.lit(0)).cast(SUM)
    beyond = (
        F.sum("held").over(Window.partitionBy("tenant_id", "invoice_id")) - F.greatest("asked", F.lit(0).cast(SUM))
    ).cast(SUM)
    both = held(prepayments).join(whole, on=["tenant_id", "invoice_id"], how="inner")
    rest = (F.col("beyond") - F.col("before")).cast(SUM)
    back = F.greatest(F.least(F.col("held").cast(SUM), rest), F.lit(0).cast(SUM))
    return (
        both.withColumns({"before": before, "beyond": beyond})
        .withColumn("back", back)
        .where(F.col("back") > 0)
        .withColumns(
            {
                "period": F.lit(month),
                "amount": (-F.col("back")).cast(AMOUNT),
                "applied_on": F.lit(issue_date),
                "moved_by_id": F.col("moved_by"),
                "gives_back_id": F.col("prepayment_id"),
            }
        )
        .withColumn("prepayment_id", natural_id("tenant_id", "gives_back_id", "period"))
        .select(*COLUMNS)
    )


def asked(invoices: DataFrame, more: DataFrame) -> DataFrame:
    """What documents ask for with all that corrects them: tenant_id, invoice_id, asked. invoices, more: INVOICES, each document once."""
    named = [
        rows.select(
            "tenant_id", F.coalesce("original_invoice_id", "invoice_id").alias("invoice_id"),
            (F.col("gross_amount") + F.coalesce("rounding_amount", F.lit(0).cast(AMOUNT))).cast(SUM).alias("amount"),
        )
        for rows in (invoices, more)
    ]  # fmt: skip
    every = named[0].unionByName(named[1])
    return every.groupBy("tenant_id", "invoice_id").agg(F.sum("amount").cast(SUM).alias("asked"))


def held(prepayments: DataFrame) -> DataFrame:
    """Every prepayment that was taken with `held`, what of it was not given back. prepayments: PREPAYMENTS of all months."""
    sums = prepayments.groupBy("tenant_id", F.coalesce("gives_back_id", "prepayment_id").alias("prepayment_id")).agg(
        F.sum("amount").cast(AMOUNT).alias("held")
    )
    was_taken = prepayments.where(F.col("gives_back_id").isNull())
    return was_taken.join(sums, on=["tenant_id", "prepayment_id"], how="inner")


def deducted(headers: DataFrame, prepayments: DataFrame) -> DataFrame:
    """Headers with what they take: prepaid_amount, and payable_amount less that. prepayments: as taken() returns them."""
    sums = prepayments.where(F.col("gives_back_id").isNull()).groupBy("tenant_id", "invoice_id")
    taking = sums.agg(F.sum("amount").cast(AMOUNT).alias("taken"))
    both = headers.join(taking, on=["tenant_id", "invoice_id"], how="left")
    prepaid = F.coalesce("taken", "prepaid_amount").cast(AMOUNT)
    return (
        both.withColumn("prepaid_amount", prepaid).withColumn("payable_amount", amounts.payable()).select(*headers.columns)
    )


# --- gates ------------------------------------------------------------------------------------------------------------


def beside_receipts(staged: DataFrame, receipts: DataFrame) -> DataFrame:
    """What invoices take beside the receipts that it is taken of, as those stand now.

    staged: as taken() returns them. receipts: rows of cash.unapplied with `left`. Returns staged with receipt_taken, of all of it together,
    and receipt_left: what the receipt has left for this account, legal entity and currency by that day; null where it is not on account.
    """
    same = [F.col(f"p.{name}") == F.col(f"r.{name}") for name in (*OWNER, "bank_account", "transaction_id")]
    usable = receipts.where(F.col("on_account")).alias("r")
    in_time = F.col("r.booking_date") <= F.col("p.applied_on")
    together = F.sum("amount").over(Window.partitionBy(*RECEIPT)).alias("receipt_taken")
    told = staged.select("*", together).alias("p")
    return told.join(usable, on=[*same, in_time], how="left").select("p.*", F.col("r.left").alias("receipt_left"))


def account(
    staged: DataFrame, headers: DataFrame, receipts: DataFrame, prepayments: DataFrame, invoices: DataFrame
) -> DataFrame:
    """Every movement of prepaid money beside its receipt and its document; and every document that shows some beside what it takes.

    staged: PREPAYMENTS of the run. headers: INVOICES of the run. receipts: as taken() reads them, now. prepayments, invoices: what is published.
    Returns ACCOUNT. One row per movement: times (its id stands), receipt_left and receipt_taken of what is taken, held of what is given
    back (what of the prepayment is left after it). One per document of the run with prepaid money: document_type, prepaid, taken and
    payable. One per document that money is given back for: asked, and kept (what it holds after).
    """
    is_taken = F.col("gives_back_id").isNull()
    every = prepayments.unionByName(staged)
    here = staged.select("tenant_id", "prepayment_id").distinct()
    times = (
        every.join(here, on=["tenant_id", "prepayment_id"], how="left_semi")
        .groupBy("tenant_id", "prepayment_id")
        .agg(F.count(F.lit(1)).alias("times"))
    )
    taking = beside_receipts(staged.where(is_taken), receipts).select(
        "tenant_id", "prepayment_id", "invoice_id", "transaction_id", "amount", "receipt_left", "receipt_taken"
    )
    rest = held(every).select("tenant_id", F.col("prepayment_id").alias("gives_back_id"), "held")
    giving = (
        staged.where(~is_taken)
        .join(rest, on=["tenant_id", "gives_back_id"], how="left")
        .select("tenant_id", "prepayment_id", "invoice_id", "transaction_id", "amount", "held")
    )
    moved = taking.unionByName(giving, allowMissingColumns=True).join(times, on=["tenant_id", "prepayment_id"], how="left")
    sums = staged.where(is_taken).groupBy("tenant_id", "invoice_id").agg(F.sum("amount").cast(AMOUNT).alias("taken"))
    documents = (
        headers.select(
            "tenant_id", "invoice_id", "document_type", F.col("prepaid_amount").alias("prepaid"), F.col("payable_amount").alias("payable")
        )
        .where(F.col("prepaid") != 0)
        .join(sums, on=["tenant_id", "invoice_id"], how="full_outer")
    )  # fmt: skip
    corrected = staged.where(~is_taken).select("tenant_id", "invoice_id").distinct()
    kept = held(every).groupBy("tenant_id", "invoice_id").agg(F.sum("held").cast(SUM).alias("kept"))
    originals = corrected.join(kept, on=["tenant_id", "invoice_id"], how="left").join(
        asked(invoices, headers), on=["tenant_id", "invoice_id"], how="left"
    )
    every_row = moved.unionByName(documents, allowMissingColumns=True).unionByName(originals, allowMissingColumns=True)
    return every_row.select(*(column.split()[0] for column in ACCOUNT.split(", ")))

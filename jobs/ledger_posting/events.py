"""What the stages have published, as accounting events: one frame, whatever it was that happened.

Every function returns tenant_id, period (the month it is posted in), event, source_id (unique within the event), document_id
(the item of a sub-ledger it moves), legal_entity_id, party_id, posting_date, currency, and gross = net + tax as AMOUNT.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.ledger.columns import AMOUNT
from jobs.ledger.corrections import WRITE_OFF
from jobs.ledger.periods import Period


def _event(
    rows: DataFrame,
    month: Period,
    event: Column | str,
    source: str,
    document: str,
    party: Column | str,
    day: str,
    gross: Column,
    net: Column | None = None,
    tax: Column | None = None,
) -> DataFrame:
    named = F.lit(event) if isinstance(event, str) else event
    return rows.select(
        "tenant_id", F.lit(month.first_day).alias("period"), named.alias("event"), F.col(source).alias("source_id"),
        F.col(document).alias("document_id"), "legal_entity_id",
        (F.col(party) if isinstance(party, str) else party).alias("party_id"), F.col(day).alias("posting_date"), "currency",
        gross.cast(AMOUNT).alias("gross"), (gross if net is None else net).cast(AMOUNT).alias("net"),
        (F.lit(0) if tax is None else tax).cast(AMOUNT).alias("tax"),
    )  # fmt: skip


def of_invoices(invoices: DataFrame, month: Period) -> DataFrame:
    """Issued invoices, credit notes and debit notes at their gross, and what the payable amount of some was rounded by, which is owed too.

    One that names its original moves what is open of that.
    """
    kind = F.concat("document_type", F.lit("_issued"))
    amounts = (F.col("gross_amount"), F.col("net_amount"), F.col("tax_amount"))
    told = ("invoice_id", "document_id", "account_id", "issue_date")
    named = invoices.withColumn("document_id", F.coalesce("original_invoice_id", "invoice_id"))
    rounded = named.where(F.coalesce("rounding_amount", F.lit(0)) != 0)
    return _event(named, month, kind, *told, *amounts).unionByName(
        _event(rounded, month, "document_rounded", *told, F.col("rounding_amount"))
    )


def of_write_offs(corrections: DataFrame, items: DataFrame, month: Period) -> DataFrame:
    """Receivables that are given up: so much as was asked for, or all that was open. items: the open items of the month before."""
    asked = corrections.where((F.col("action") == WRITE_OFF) & (F.col("status") == "done"))
    owed = items.select("tenant_id", F.col("document_id").alias("original_invoice_id"), "open_amount")
    known = asked.join(owed, on=["tenant_id", "original_invoice_id"], how="left")
    left = F.coalesce("open_amount", F.lit(0).cast(AMOUNT))
    amount = F.greatest(F.least(F.coalesce("written_off", left), left), F.lit(0).cast(AMOUNT))
    return _event(
        known.withColumn("amount", amount), month, "written_off", "correction_id", "original_invoice_id", "account_id", "effective_on",
        F.col("amount"),
    )  # fmt: skip


def of_receivables(items: DataFrame, month: Period) -> DataFrame:
    """What another system had open when it was taken over. items: raw.open_items with legal_entity_id."""
    open_amount = F.col("open_amount")
    return _event(
        items, month, "receivable_taken_over", "document_id", "document_id", "account_id", "document_date", open_amount
    )


def of_payables(decisions: DataFrame, month: Period) -> DataFrame:
    """Vendor invoices that were accepted; one whose net and tax are not told, or not with its gross, is all expense."""
    gross, net, tax = F.col("gross_amount"), F.col("net_amount"), F.col("tax_amount")
    told = (net + tax).cast(AMOUNT) == gross
    accepted = decisions.where(F.col("decision") == "accept")
    split = (F.when(told, net).otherwise(gross), F.when(told, tax).otherwise(F.lit(0).cast(AMOUNT)))
    return _event(accepted, month, "payable_accepted", "payable_id", "payable_id", "vendor_id", "received_on", gross, *split)


def of_payments(instructions: DataFrame, month: Period) -> DataFrame:
    """Instructions in a bank file."""
    amount = F.col("amount")
    return _event(
        instructions, month, "payment_instructed", "instruction_id", "payable_id", "vendor_id", "value_date", amount
    )


def of_transactions(transactions: DataFrame, month: Period) -> DataFrame:
    """Lines of a bank statement, money in and money out. transactions: raw.bank_transactions with legal_entity_id.

    A bank numbers its lines per account, so account and line together say what happened.
    """
    kind = F.when(F.col("amount") > 0, "cash_received").otherwise("cash_paid_out")
    told = transactions.withColumn("source_id", F.sha2(F.concat_ws("|", "bank_account", "transaction_id"), 256))
    nobody = F.lit(None).cast("string")
    return _event(told, month, kind, "source_id", "source_id", nobody, "booking_date", F.abs("amount"))


def of_applications(applications: DataFrame, month: Period) -> DataFrame:
    """Receipts that found their documents."""
    amount = F.col("amount")
    return _event(applications, month, "cash_applied", "application_id", "document_id", "account_id", "booking_date", amount)


def of_prepayments(prepayments: DataFrame, invoices: DataFrame, month: Period) -> DataFrame:
    """Money on account that invoices took when they were issued, and what went back, below nothing.

    invoices: the issued documents of the month. Money that was taken for one whose issue was cut short waits for it.
    """
    issued = invoices.select("tenant_id", F.col("invoice_id").alias("moved_by_id"))
    moved = prepayments.join(issued, on=["tenant_id", "moved_by_id"], how="left_semi")
    kind = F.when(F.col("gives_back_id").isNull(), "prepayment_applied").otherwise("prepayment_given_back")
    return _event(moved, month, kind, "prepayment_id", "invoice_id", "account_id", "applied_on", F.col("amount"))


def documents(invoices: DataFrame, items: DataFrame, decisions: DataFrame) -> DataFrame:
    """What the sub-ledgers tell of a document: tenant_id, document_id, document_number, document_date, due_date."""
    return (
        invoices.select(
            "tenant_id", F.col("invoice_id").alias("document_id"), F.col("invoice_number").alias("document_number"),
            F.col("issue_date").alias("document_date"), "due_date",
        )
        .unionByName(
            items.select("tenant_id", "document_id", F.col("document_id").alias("document_number"), "document_date", "due_date")
        )
        .unionByName(
            decisions.where(F.col("decision") == "accept").select(
                "tenant_id", F.col("payable_id").alias("document_id"), F.col("invoice_number").alias("document_number"),
                F.col("invoice_date").alias("document_date"), "due_date",
            )
        )
    )  # fmt: skip

"""Accounting events to balanced journal entries, and what follows from the journal."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.ledger.columns import AMOUNT
from jobs.ledger.identity import natural_id
from jobs.ledger_posting.settings import Settings
from jobs.ledger_posting.tables import JOURNAL_LINES, OPEN_ITEMS, TRIAL_BALANCE

RECEIVABLE = "accounts_receivable"


def events(invoices: DataFrame) -> DataFrame:
    """Issued documents as accounting events: tenant_id, period, event, document and party, posting_date, and the amounts."""
    return invoices.select(
        "tenant_id", "period", F.concat("document_type", F.lit("_issued")).alias("event"), "legal_entity_id",
        F.col("issue_date").alias("posting_date"), F.col("account_id").alias("party_id"),
        F.col("invoice_id").alias("document_id"), "currency", F.col("gross_amount").alias("gross"),
        F.col("net_amount").alias("net"), F.col("tax_amount").alias("tax"),
    )  # fmt: skip


def rules(spark: SparkSession, settings: Settings) -> DataFrame:
    """The posting rules, one row per line: event, rule_id, line_no, side, ledger_account, amount_of."""
    rows = [
        (rule.event, rule.id, number, line.side, line.ledger_account, line.amount)
        for rule in settings.rules
        for number, line in enumerate(rule.lines, start=1)
    ]
    return spark.createDataFrame(
        rows, "event string, rule_id string, line_no int, side string, ledger_account string, amount_of string"
    )


def journal_lines(happened: DataFrame, posting: DataFrame) -> DataFrame:
    """Post every event by its rule. Returns JOURNAL_LINES without publication_id.

    happened: as events() returns them. posting: as rules() returns them. An event without a rule keeps a line with a null
    ledger account for the suite to refuse. Debits and credits are never negative: what is less than nothing changes sides.
    Lines of nothing are left out, unless the whole entry is nothing.
    """
    posted = happened.join(F.broadcast(posting), on="event", how="left")
    amount = (
        F.when(F.col("amount_of") == "gross", F.col("gross"))
        .when(F.col("amount_of") == "net", F.col("net"))
        .otherwise(F.col("tax"))
    )
    signed = F.when(F.col("side") == "debit", amount).otherwise(-amount)
    nothing = F.lit(0).cast(AMOUNT)
    columns = [field.name for field in JOURNAL_LINES.schema.fields if field.name != "publication_id"]
    lined = posted.select(
        "*",
        natural_id("tenant_id", "event", "document_id").alias("entry_id"),
        F.when(signed > 0, signed).otherwise(nothing).cast(AMOUNT).alias("debit"),
        F.when(signed < 0, -signed).otherwise(nothing).cast(AMOUNT).alias("credit"),
    )
    says_something = (
        (F.col("debit") != 0) | (F.col("credit") != 0) | (F.col("gross") == 0) | F.col("ledger_account").isNull()
    )
    return lined.where(says_something).select(*columns)


def open_items(journal: DataFrame, invoices: DataFrame) -> DataFrame:
    """What each document still has open, derived from the journal's receivable. Returns OPEN_ITEMS without publication_id."""
    dates = invoices.select(
        "tenant_id", F.col("invoice_id").alias("document_id"), F.col("issue_date").alias("document_date"), "due_date"
    )
    received = journal.where(F.col("ledger_account") == RECEIVABLE)
    balance = F.col("debit") - F.col("credit")
    key = ["tenant_id", "period", "legal_entity_id", "party_id", "document_id", "currency"]
    summed = received.groupBy(*key).agg(
        F.sum(F.when(F.col("event").endswith("_issued"), balance).otherwise(0)).cast(AMOUNT).alias("original_amount"),
        F.sum(balance).cast(AMOUNT).alias("open_amount"),
    )
    columns = [field.name for field in OPEN_ITEMS.schema.fields if field.name != "publication_id"]
    return summed.join(dates, on=["tenant_id", "document_id"], how="left").select(*columns)


def trial_balance(journal: DataFrame) -> DataFrame:
    """Debits, credits and their difference per ledger account. Returns TRIAL_BALANCE without publication_id."""
    key = ["tenant_id", "period", "legal_entity_id", "ledger_account", "currency"]
    columns = [field.name for field in TRIAL_BALANCE.schema.fields if field.name != "publication_id"]
    return (
        journal.groupBy(*key)
        .agg(
            F.sum("debit").cast(AMOUNT).alias("debit"),
            F.sum("credit").cast(AMOUNT).alias("credit"),
            F.sum(F.col("debit") - F.col("credit")).cast(AMOUNT).alias("balance"),
            F.count(F.lit(1)).alias("line_count"),
        )
        .select(*columns)
    )


def entries(journal: DataFrame) -> DataFrame:
    """Every entry summed: tenant_id, entry_id, debit, credit, currencies, unposted (a line without a ledger account)."""
    return journal.groupBy("tenant_id", "entry_id").agg(
        F.sum("debit").alias("debit"),
        F.sum("credit").alias("credit"),
        F.countDistinct("currency").alias("currencies"),
        F.max(F.col("ledger_account").isNull().cast("int")).alias("unposted"),
        F.min(F.least("debit", "credit")).alias("smallest"),
        (F.count(F.lit(1)) - F.countDistinct("line_no")).alias("repeated_lines"),
    )


def sub_ledger(journal: DataFrame, items: DataFrame, invoices: DataFrame) -> DataFrame:
    """Control account, sub-ledger and documents side by side: tenant_id, legal_entity_id, currency, control, items, invoiced."""
    key = ["tenant_id", "legal_entity_id", "currency"]
    control = journal.where(F.col("ledger_account") == RECEIVABLE).groupBy(*key).agg(
        F.sum(F.col("debit") - F.col("credit")).alias("control")
    )  # fmt: skip
    of_items = items.groupBy(*key).agg(F.sum("open_amount").alias("items"), F.count(F.lit(1)).alias("item_count"))
    invoiced = invoices.groupBy(*key).agg(F.sum("gross_amount").alias("invoiced"), F.count(F.lit(1)).alias("invoice_count"))
    return control.join(of_items, on=key, how="full_outer").join(invoiced, on=key, how="full_outer")

"""Accounting events to balanced journal entries, and what follows from the journal: open items and the trial balance."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.ledger.columns import AMOUNT
from jobs.ledger.identity import natural_id
from jobs.ledger.periods import Period
from jobs.ledger_posting.settings import Settings
from jobs.ledger_posting.tables import JOURNAL_LINES, OPEN_ITEMS, TRIAL_BALANCE

RECEIVABLE, PAYABLE, BANK = "accounts_receivable", "accounts_payable", "bank"
CONTROL_ACCOUNTS = (RECEIVABLE, PAYABLE)  # those that have a sub-ledger
RECEIPT_EVENTS = ("cash_received", "cash_paid_out")  # those of the lane "receipts"
OPENING = (  # events that make an item, or change what it was made with
    "invoice_issued", "credit_note_issued", "debit_note_issued", "corrective_invoice_issued", "document_rounded",
    "receivable_taken_over", "payable_accepted",
)  # fmt: skip
ITEM = ["tenant_id", "ledger_account", "legal_entity_id", "party_id", "document_id", "currency"]


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

    happened: as the functions of events.py return them. posting: as rules() returns them. An event without a rule keeps a
    line with a null ledger account for the suite to refuse. Debits and credits are never negative: what is less than nothing
    changes sides. Lines of nothing are left out, unless the whole entry is nothing.
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
        natural_id("tenant_id", "event", "source_id").alias("entry_id"),
        F.when(signed > 0, signed).otherwise(nothing).cast(AMOUNT).alias("debit"),
        F.when(signed < 0, -signed).otherwise(nothing).cast(AMOUNT).alias("credit"),
    )
    says_something = (
        (F.col("debit") != 0) | (F.col("credit") != 0) | (F.col("gross") == 0) | F.col("ledger_account").isNull()
    )
    return lined.where(says_something).select(*columns)


def not_posted(happened: DataFrame, journal: DataFrame) -> DataFrame:
    """The events that no entry of the journal tells of yet. journal: the published lines of the tenants."""
    posted = journal.select("tenant_id", "event", "source_id").distinct()
    return happened.join(posted, on=["tenant_id", "event", "source_id"], how="left_anti")


def open_items(before: DataFrame, journal: DataFrame, documents: DataFrame, month: Period) -> DataFrame:
    """What each document has open at the end of a month. Returns OPEN_ITEMS without publication_id.

    before: the items of the newest earlier month, and what was closed before it and is moved again. journal: the lines of this month,
    all of them. documents: as events.documents() returns them, of this month. Amounts stand as the control account has them: what customers owe is
    a debit and positive, what vendors are owed is a credit and positive too.
    """
    owed = F.when(F.col("ledger_account") == PAYABLE, F.col("credit") - F.col("debit")).otherwise(
        F.col("debit") - F.col("credit")
    )
    moved = (
        journal.where(F.col("ledger_account").isin(*CONTROL_ACCOUNTS))
        .groupBy(*ITEM)
        .agg(
            F.sum(F.when(F.col("event").isin(*OPENING), owed).otherwise(0)).cast(AMOUNT).alias("added"),
            F.sum(owed).cast(AMOUNT).alias("movement"),
        )
    )
    carried = before.select(*ITEM, "original_amount", "open_amount", "document_number", "document_date", "due_date")
    told = documents.select(
        "tenant_id",
        "document_id",
        *(F.col(name).alias(f"new_{name}") for name in ("document_number", "document_date", "due_date")),
    )
    stays = F.coalesce(F.col("open_amount") != 0, F.lit(False)) | F.col("movement").isNotNull()
    both = (
        carried.join(moved, on=ITEM, how="full_outer").where(stays).join(told, on=["tenant_id", "document_id"], how="left")
    )
    nothing = F.lit(0).cast(AMOUNT)

    def total(carried_on: str, new: str) -> Column:
        return (F.coalesce(carried_on, nothing) + F.coalesce(new, nothing)).cast(AMOUNT)

    columns = [field.name for field in OPEN_ITEMS.schema.fields if field.name != "publication_id"]
    return both.withColumns(
        {
            "period": F.lit(month.first_day),
            "original_amount": total("original_amount", "added"),
            "open_amount": total("open_amount", "movement"),
            **{name: F.coalesce(name, f"new_{name}") for name in ("document_number", "document_date", "due_date")},
        }
    ).select(*columns)


def closed_before(earlier: DataFrame, corrected: DataFrame) -> DataFrame:
    """The items of corrected documents as they stood last, of those that the newest earlier month does not know any more.

    earlier: OPEN_ITEMS of all months before this one. corrected: tenant_id, document_id, of documents that this month's correct.
    """
    newest = earlier.groupBy("tenant_id").agg(F.max("period").alias("newest"))
    last = Window.partitionBy(*ITEM).orderBy(F.col("period").desc())
    mine = earlier.join(F.broadcast(corrected.distinct()), on=["tenant_id", "document_id"], how="left_semi")
    told = mine.withColumn("age", F.row_number().over(last)).where(F.col("age") == 1)
    return (
        told.join(F.broadcast(newest), on="tenant_id", how="inner")
        .where(F.col("period") < F.col("newest"))
        .select(*earlier.columns)
    )


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
    """Every entry summed: tenant_id, entry_id, debit, credit, currencies, unposted (no ledger account), nobodys (no legal entity)."""
    return journal.groupBy("tenant_id", "entry_id").agg(
        F.sum("debit").alias("debit"),
        F.sum("credit").alias("credit"),
        F.countDistinct("currency").alias("currencies"),
        F.max(F.col("ledger_account").isNull().cast("int")).alias("unposted"),
        F.max(F.col("legal_entity_id").isNull().cast("int")).alias("nobodys"),
        F.min(F.least("debit", "credit")).alias("smallest"),
        (F.count(F.lit(1)) - F.countDistinct("line_no")).alias("repeated_lines"),
    )


def events_account(happened: DataFrame, journal: DataFrame) -> DataFrame:
    """What happened beside what is posted: tenant_id, event, currency, happened_count, happened_gross, posted_count, posted_gross.

    happened: all events of the month and lane. journal: its lines of the same events, published and staged. Every event moves
    one of the customers', the vendors' and the bank's accounts, and that by its gross.
    """
    key = ["tenant_id", "event", "currency"]
    told = happened.groupBy(*key).agg(
        F.count(F.lit(1)).alias("happened_count"), F.sum(F.abs("gross")).alias("happened_gross")
    )
    moved = F.when(F.col("ledger_account").isin(*CONTROL_ACCOUNTS, BANK), F.abs(F.col("debit") - F.col("credit")))
    posted = journal.groupBy(*key).agg(F.countDistinct("entry_id").alias("posted_count"), F.sum(moved).alias("posted_gross"))
    both = told.join(posted, on=key, how="full_outer")
    return both.fillna(0, ["happened_count", "posted_count"])


def sub_ledger(journal: DataFrame, items: DataFrame) -> DataFrame:
    """Control accounts beside their sub-ledgers: tenant_id, ledger_account, legal_entity_id, currency, control, items, unnamed.

    journal: every line up to the end of the month. items: the open items at its end. unnamed: items without a party or a number.
    """
    key = ["tenant_id", "ledger_account", "legal_entity_id", "currency"]
    balance = F.col("debit") - F.col("credit")
    control = (
        journal.where(F.col("ledger_account").isin(*CONTROL_ACCOUNTS))
        .groupBy(*key)
        .agg(F.sum(F.when(F.col("ledger_account") == PAYABLE, -balance).otherwise(balance)).alias("control"))
    )
    unnamed = F.col("party_id").isNull() | F.col("document_number").isNull()
    of_items = items.groupBy(*key).agg(F.sum("open_amount").alias("items"), F.sum(unnamed.cast("int")).alias("unnamed"))
    return control.join(of_items, on=key, how="full_outer")

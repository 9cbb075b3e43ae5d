"""Receipts and open documents, to applications and to what is left for a person."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.cash_matching.settings import Settings
from jobs.cash_matching.tables import APPLICATIONS, UNAPPLIED
from jobs.ledger.columns import AMOUNT, QUANTITY
from jobs.ledger.identity import natural_id
from jobs.ledger.money import NO_MINOR_UNITS, THREE_MINOR_UNITS
from jobs.ledger.receipts import RECEIPT

RECEIVABLE = "accounts_receivable"
EXACT, SEVERAL = "exact_reference", "several_references"
CONTESTED = "two receipts claim the same document"
SUM = "decimal(28,3)"
LONGEST_REFERENCE, MOST_PIECES = 40, 120  # of a payment's text no more is looked at
REVERSAL = r"(^|/)RVSL$"  # as jobs/ingestion/camt.py marks the codes of entries that take another one back


# --- what came in, and what is open -------------------------------------------------------------------------------------


def receipts(transactions: DataFrame, spent: DataFrame, owners: DataFrame, sole: DataFrame, day: date) -> DataFrame:
    """Money that came in up to a day and is not applied as a whole.

    transactions: standing rows of raw.bank_transactions. spent: what is published of it, as ledger.receipts.spent() returns it.
    owners: tenant_id, bank_account, legal_entity_id. sole: tenant_id, sole_entity_id, of tenants that name no bank accounts at all.
    Returns the receipt's key, legal_entity_id (null: the account is nobody's), received, applied, unapplied, booking_date,
    is_reversal, and of the payer counterparty_name, counterparty_iban and text, in which references are looked for.
    """
    came_in = (F.col("amount") > 0) & (F.col("booking_date") <= F.lit(day))
    before = spent.groupBy(*RECEIPT).agg(F.sum("amount").cast(AMOUNT).alias("applied"))
    known = (
        transactions.where(came_in)
        .join(before, on=[*RECEIPT], how="left")
        .join(F.broadcast(owners), on=["tenant_id", "bank_account"], how="left")
        .join(F.broadcast(sole), on="tenant_id", how="left")
    )
    nothing = F.lit(0).cast(AMOUNT)
    applied = F.coalesce("applied", nothing)
    received = F.col("amount").cast(AMOUNT)
    return known.select(
        *RECEIPT,
        F.coalesce("legal_entity_id", "sole_entity_id").alias("legal_entity_id"),
        "currency",
        received.alias("received"),
        applied.alias("applied"),
        (received - applied).cast(AMOUNT).alias("unapplied"),
        "booking_date",
        F.coalesce(F.col("bank_code").rlike(REVERSAL), F.lit(False)).alias("is_reversal"),
        "counterparty_name",
        _squeezed("counterparty_iban").alias("counterparty_iban"),
        F.upper(F.concat_ws(" ", "reference", "remittance_text", "end_to_end_id")).alias("text"),
    ).where(F.col("unapplied") != 0)


def open_documents(items: DataFrame, spent: DataFrame, payers: DataFrame) -> DataFrame:
    """What customers still owe, document by document.

    items: one month's snapshot of ledger.open_items. spent: all that is published, whether the snapshot knows it or not, as
    ledger.receipts.spent() returns it. payers: tenant_id, account_id, payer_account_id.
    open_amount is what the snapshot has open, and never more than the original amount less everything applied to it since.
    """
    applied = spent.groupBy("tenant_id", "document_id").agg(F.sum("amount").cast(AMOUNT).alias("applied"))
    owed = items.where((F.col("ledger_account") == RECEIVABLE) & (F.col("open_amount") > 0))
    rest = (F.col("original_amount") - F.coalesce("applied", F.lit(0).cast(AMOUNT))).cast(AMOUNT)
    return (
        owed.withColumnRenamed("party_id", "account_id")
        .join(applied, on=["tenant_id", "document_id"], how="left")
        .join(payers, on=["tenant_id", "account_id"], how="left")
        .select(
            "tenant_id", "document_id", "document_number", "account_id",
            F.coalesce("payer_account_id", "account_id").alias("payer_account_id"), "legal_entity_id", "currency", "due_date",
            F.least("open_amount", rest).alias("open_amount"),
        )
        .where(F.col("open_amount") > 0)
    )  # fmt: skip


def references(taken_over: DataFrame) -> DataFrame:
    """The further numbers of receivables of another system: tenant_id, document_id, reference. taken_over: raw.open_items."""
    told = F.col("references")
    listed = F.when(told.startswith("["), F.from_json(told, "array<string>")).otherwise(F.split(told, r"\s+"))
    return taken_over.where(told.isNotNull()).select("tenant_id", "document_id", F.explode(listed).alias("reference"))


def document_keys(documents: DataFrame, further: DataFrame, settings: Settings) -> DataFrame:
    """Every number a document goes by, as it is compared: tenant_id, document_id, key. further: as references() returns them."""
    printed = documents.select("tenant_id", "document_id", F.col("document_number").alias("reference"))
    others = further.join(documents.select("tenant_id", "document_id"), on=["tenant_id", "document_id"], how="left_semi")
    keyed = printed.unionByName(others.select("tenant_id", "document_id", "reference")).select(
        "tenant_id", "document_id", _key("reference").alias("key")
    )
    return keyed.where(_names_something(F.col("key"), settings)).distinct()


def customers(accounts: DataFrame) -> DataFrame:
    """The accounts that a payer's IBAN tells for certain: tenant_id, counterparty_iban, customer_id. accounts: current ones."""
    told = accounts.select("tenant_id", _squeezed("iban").alias("counterparty_iban"), "account_id")
    return (
        told.where(F.col("counterparty_iban") != "")
        .groupBy("tenant_id", "counterparty_iban")
        .agg(F.min("account_id").alias("customer_id"), F.countDistinct("account_id").alias("accounts"))
        .where(F.col("accounts") == 1)
        .drop("accounts")
    )


def _squeezed(column: str) -> Column:
    return F.upper(F.regexp_replace(column, r"\s+", ""))


def _key(column: str) -> Column:
    """A number without what people write differently: case, blanks and punctuation."""
    return F.regexp_replace(F.upper(F.col(column)), r"[^\p{L}\p{N}]+", "")


def _names_something(key: Column, settings: Settings) -> Column:
    return F.length(key).between(settings.shortest_reference, LONGEST_REFERENCE) & key.rlike("[0-9]")


# --- decisions ----------------------------------------------------------------------------------------------------------


def candidates(receipts: DataFrame, settings: Settings) -> DataFrame:
    """Everything in the texts of receipts that could be a document's number: the receipt's key, currency, key, starts, ends.

    A text is cut wherever there is no letter or digit, and between letters and digits ("12345678REF"); a key is one piece, or
    several that follow each other.
    """
    between = r"[^\p{L}\p{N}]+|(?<=\p{L})(?=\p{N})|(?<=\p{N})(?=\p{L})"
    text = F.trim(F.regexp_replace("text", between, " "))
    cut = receipts.select(*RECEIPT, "currency", F.slice(F.split(text, " "), 1, MOST_PIECES).alias("pieces"))

    def of_pieces(count: Column) -> Column:
        starts = F.filter(F.sequence(F.lit(1), F.size("pieces")), lambda at: at + count - 1 <= F.size("pieces"))
        return F.transform(
            starts,
            lambda at: F.struct(
                F.array_join(F.slice("pieces", at, count), "").alias("key"),
                at.alias("starts"),
                (at + count - 1).alias("ends"),
            ),
        )

    counts = F.array(*(F.lit(count) for count in range(1, settings.pieces_of_a_reference + 1)))
    made = F.filter(F.flatten(F.transform(counts, of_pieces)), lambda made: _names_something(made["key"], settings))
    return cut.select(*RECEIPT, "currency", F.explode(made).alias("made")).select(*RECEIPT, "currency", "made.*")


def named(found: DataFrame, keys: DataFrame, documents: DataFrame) -> DataFrame:
    """The open documents that receipts name, one row per receipt that names any.

    found: as candidates() returns them. keys: as document_keys() does. documents: as open_documents() does.
    Returns the receipt's key, documents (structs, each once, sorted), is_ambiguous (a number is that of several documents of
    the currency) and is_foreign (one of another currency is named). A number inside a longer one that was found names nothing.
    """
    told = F.struct(
        "document_id", "document_number", "account_id", "payer_account_id", "legal_entity_id", "due_date", "open_amount"
    )
    spoken = found.join(keys, on=["tenant_id", "key"], how="inner")  # few, so that what follows is of what is named alone
    known = spoken.join(
        documents.withColumnRenamed("currency", "document_currency"), on=["tenant_id", "document_id"], how="inner"
    )
    hits = known.groupBy(*RECEIPT, "currency", "starts", "ends", "document_currency").agg(
        F.min(told).alias("document"), F.count(F.lit(1)).alias("bearers")
    )
    spans = F.collect_set(F.struct("starts", "ends")).over(Window.partitionBy(*RECEIPT))

    def covers(other: Column) -> Column:
        wider = other["ends"] - other["starts"] > F.col("ends") - F.col("starts")
        return wider & (other["starts"] <= F.col("starts")) & (other["ends"] >= F.col("ends"))

    whole = hits.select("*", spans.alias("spans")).where(~F.exists("spans", covers))
    is_domestic = F.col("document_currency") == F.col("currency")
    return whole.groupBy(*RECEIPT).agg(
        F.sort_array(F.collect_set(F.when(is_domestic & (F.col("bearers") == 1), F.col("document")))).alias("documents"),
        F.max(is_domestic & (F.col("bearers") > 1)).alias("is_ambiguous"),
        F.max(~is_domestic).alias("is_foreign"),
    )


def decided(receipts: DataFrame, found: DataFrame, named: DataFrame, customers: DataFrame) -> DataFrame:
    """Every receipt with what is to become of it.

    Adds customer_id (by IBAN, else by reference where all documents named are one customer's), by_iban, documents, named_amount,
    on_account (the customer is known by IBAN and names nothing that is open), and either rule (it is applied to exactly these
    documents) or reason (in words, why not).
    A receipt is applied when what it names is found, each number being that of one document, and is open to exactly the amount
    received, owed by one customer or by those the payer pays for, to the legal entity that received it; and when no other
    receipt of the run would be applied to one of the documents. Nothing depends on which receipt comes first.
    """
    nothing = F.array().cast(named.schema["documents"].dataType)
    refers = found.select(*RECEIPT).distinct().withColumn("refers", F.lit(True))
    known = (
        receipts.join(customers, on=["tenant_id", "counterparty_iban"], how="left")
        .withColumnRenamed("customer_id", "payer_id")
        .join(named, on=[*RECEIPT], how="left")
        .join(refers, on=[*RECEIPT], how="left")
        .withColumn("documents", F.coalesce("documents", nothing))
    )
    open_amounts = F.transform("documents", lambda document: document["open_amount"])
    total = F.aggregate(open_amounts, F.lit(0).cast(SUM), lambda total, amount: (total + amount).cast(SUM))
    accounts = F.array_distinct(F.transform("documents", lambda document: document["account_id"]))
    one_customer = F.size(accounts) == 1
    is_payer = F.forall(
        "documents",
        lambda document: (document["account_id"] == F.col("payer_id")) | (document["payer_account_id"] == F.col("payer_id")),
    )
    own = F.forall("documents", lambda document: document["legal_entity_id"] == F.col("legal_entity_id"))
    seen = known.select(
        "*",
        total.alias("named_amount"),
        F.coalesce("payer_id", F.when(one_customer, accounts[0])).alias("customer_id"),
        F.col("payer_id").isNotNull().alias("by_iban"),
    )
    obstacle = (
        F.when(F.col("legal_entity_id").isNull(), "the bank account belongs to no legal entity")
        .when(F.col("is_reversal"), "a payment of ours came back")
        .when(F.coalesce("is_ambiguous", F.lit(False)), "a reference names several open documents")
        .when(F.size("documents") > 0, _mismatch(one_customer | F.coalesce(is_payer, F.lit(False)), own))
        .when(F.coalesce("is_foreign", F.lit(False)), "the document named is in another currency")
        .otherwise(
            F.concat(
                F.when(F.col("refers"), "reference names no open document").otherwise("no reference"),
                F.when(F.col("by_iban"), "").otherwise(", payer unknown"),
            )
        )
    )
    judged = seen.withColumn("reason", obstacle)
    named_otherwise = F.coalesce("is_ambiguous", F.lit(False)) | F.coalesce("is_foreign", F.lit(False))
    names_something = (F.size("documents") > 0) | named_otherwise
    is_theirs = F.col("by_iban") & F.col("legal_entity_id").isNotNull() & ~F.col("is_reversal")
    claims = judged.where(F.col("reason").isNull()).select(*RECEIPT, F.explode("documents.document_id").alias("document_id"))
    rivals = F.count(F.lit(1)).over(Window.partitionBy("tenant_id", "document_id"))
    contested = claims.select(*RECEIPT, rivals.alias("rivals")).where(F.col("rivals") > 1).select(*RECEIPT).distinct()
    settled = judged.join(contested.withColumn("contested", F.lit(True)), on=[*RECEIPT], how="left")
    reason = F.when(F.col("contested"), CONTESTED).otherwise(F.col("reason"))
    rule = F.when(F.size("documents") > 1, SEVERAL).otherwise(EXACT)
    return settled.withColumn("reason", reason).select(
        *receipts.columns, "customer_id", "by_iban", "documents", "named_amount", "reason",
        (is_theirs & ~names_something).alias("on_account"),
        F.when(F.col("reason").isNull(), rule).alias("rule"),
    )  # fmt: skip


def _mismatch(one_payer: Column, own: Column) -> Column:
    """What is wrong with the documents a receipt names; null when they are what it pays."""
    difference = F.abs(F.col("unapplied") - F.col("named_amount"))
    return (
        F.when(difference != 0, F.concat(F.lit("amount differs from what is open by "), told_amount(difference)))
        .when(~own, "the document belongs to another legal entity")
        .when(~one_payer, "the documents belong to several customers")
    )


def told_amount(amount: Column, currency: str = "currency") -> Column:
    """An amount with its currency, as a person writes it."""
    code = F.col(currency)
    whole, cents, mills = (amount.cast(f"decimal(28,{places})").cast("string") for places in (0, 2, 3))
    digits = F.when(code.isin(*NO_MINOR_UNITS), whole).when(code.isin(*THREE_MINOR_UNITS), mills).otherwise(cents)
    return F.concat(digits, F.lit(" "), code)


def applications(decided: DataFrame, day: date) -> DataFrame:
    """One row per receipt and document it pays. Returns APPLICATIONS without publication_id. decided: as decided() does."""
    paid = decided.where(F.col("rule").isNotNull()).select("*", F.explode("documents").alias("document"))
    evidence = F.to_json(
        F.struct(
            F.col("document.document_number").alias("document_number"),
            F.col("document.open_amount").cast("string").alias("open_amount"),
            F.col("unapplied").cast("string").alias("receipt_amount"),
            F.col("named_amount").cast("string").alias("named_amount"),
            F.size("documents").alias("documents"),
            F.when(F.col("by_iban"), F.col("customer_id")).alias("payer_account_id"),
        )
    )
    columns = [field.name for field in APPLICATIONS.schema.fields if field.name != "publication_id"]
    rows = paid.select(
        *RECEIPT, F.lit(day).alias("period"), "legal_entity_id", F.col("document.account_id").alias("account_id"),
        F.col("document.document_id").alias("document_id"), "currency",
        F.col("document.open_amount").alias("amount"), "booking_date", "rule", evidence.alias("evidence"),
    )  # fmt: skip
    return rows.withColumn("application_id", natural_id(*RECEIPT, "document_id")).select(*columns)


def unapplied(decided: DataFrame, day: date) -> DataFrame:
    """The receipts that have money left. Returns UNAPPLIED without publication_id."""
    columns = [field.name for field in UNAPPLIED.schema.fields if field.name != "publication_id"]
    left = decided.where(F.col("rule").isNull())
    return left.withColumn("period", F.lit(day)).withColumnRenamed("customer_id", "account_id").select(*columns)


# --- gates --------------------------------------------------------------------------------------------------------------


def conservation(transactions: DataFrame, spent: DataFrame, unapplied: DataFrame, day: date) -> DataFrame:
    """Money received up to a day beside what became of it.

    transactions: standing rows of raw.bank_transactions. spent: published and staged, as ledger.receipts.spent() returns it. unapplied: staged.
    Returns per tenant and currency: received, accounted (applied + unapplied), receipts that do not agree each for itself,
    and one of them.
    """
    until = F.col("booking_date") <= F.lit(day)
    parts = (
        transactions.where(until & (F.col("amount") > 0)).select(*RECEIPT, "currency", "amount", F.lit(1).alias("side"))
    ).unionByName(
        spent.where(until)
        .select(*RECEIPT, "currency", F.col("amount").cast(QUANTITY).alias("amount"), F.lit(2).alias("side"))
        .unionByName(
            unapplied.select(*RECEIPT, "currency", F.col("unapplied").cast(QUANTITY).alias("amount"), F.lit(2).alias("side"))
        )
    )
    nothing = F.lit(0).cast(QUANTITY)

    def sum_of(side: int) -> Column:
        return F.sum(F.when(F.col("side") == side, F.col("amount")).otherwise(nothing)).cast(QUANTITY)

    each = parts.groupBy(*RECEIPT, "currency").agg(sum_of(1).alias("received"), sum_of(2).alias("accounted"))
    differs = F.col("received") != F.col("accounted")
    return each.groupBy("tenant_id", "currency").agg(
        F.sum("received").cast(QUANTITY).alias("received"),
        F.sum("accounted").cast(QUANTITY).alias("accounted"),
        F.sum(differs.cast("int")).alias("differing"),
        F.min(F.when(differs, F.col("transaction_id"))).alias("example"),
    )


def applications_account(staged: DataFrame, published: DataFrame, receipts: DataFrame, documents: DataFrame) -> DataFrame:
    """Every staged application beside what its receipt had left and its document had open.

    receipts: as receipts() returns them. documents: as open_documents() does. published: applications of earlier runs.
    Returns tenant_id, application_id, transaction_id, document_id, amount, currency; receipt_left, receipt_currency and
    receipt_applied (by all staged ones); document_open, document_currency and document_applied; and times (its id stands).
    """
    left = receipts.select(*RECEIPT, F.col("unapplied").alias("receipt_left"), F.col("currency").alias("receipt_currency"))
    owed = documents.select(
        "tenant_id", "document_id", F.col("legal_entity_id"), F.col("account_id"), F.col("open_amount").alias("document_open"),
        F.col("currency").alias("document_currency"),
    )  # fmt: skip
    before = published.join(
        staged.select("tenant_id", "application_id"), on=["tenant_id", "application_id"], how="left_semi"
    )
    repeated = before.groupBy("tenant_id", "application_id").agg(F.count(F.lit(1)).alias("earlier"))
    of_receipt, of_document = Window.partitionBy(*RECEIPT), Window.partitionBy("tenant_id", "document_id")
    of_id = Window.partitionBy("tenant_id", "application_id")
    return (
        staged.select(
            "*",
            F.sum("amount").over(of_receipt).alias("receipt_applied"),
            F.sum("amount").over(of_document).alias("document_applied"),
            F.count(F.lit(1)).over(of_id).alias("here"),
        )
        .join(left, on=[*RECEIPT], how="left")
        .join(owed, on=["tenant_id", "document_id", "legal_entity_id", "account_id"], how="left")
        .join(repeated, on=["tenant_id", "application_id"], how="left")
        .select(
            "tenant_id", "application_id", "transaction_id", "document_id", "amount", "currency", "receipt_left",
            "receipt_currency", "receipt_applied", "document_open", "document_currency", "document_applied",
            (F.col("here") + F.coalesce("earlier", F.lit(0))).alias("times"),
        )
    )  # fmt: skip

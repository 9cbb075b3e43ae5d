"""What a person is offered for a receipt that could not be applied: open documents, ranked, each with its reason in words.

Nothing is compared with everything. A document is looked at for a receipt when it is named in it, has exactly its amount
open, or is owed by a customer whom the IBAN, a reference or the words of the payer's name point to; and what too many share
points to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.cash_matching.likeness import SAME, with_likest_numbers, with_names_likeness
from jobs.cash_matching.settings import Settings
from jobs.cash_matching.tables import SUGGESTIONS
from jobs.cash_matching.transforms import CONTESTED, SUM, told_amount
from jobs.ledger.columns import AMOUNT
from jobs.ledger.receipts import RECEIPT

PART, MORE, CLOSE = 3_000, 2_000, 7_000  # how well an amount agrees that is a part of what is open, more, or nearly that
SEVERAL_NAMED = 9_500  # all that was named together, where that is not what was paid
NUMBERS_COMPARED = 5  # of one customer's documents no more are shown because their numbers resemble the reference
REST = 8_000  # what is missing beside the documents named, told by its amount alone


def suggestions(
    decided: DataFrame, payers: DataFrame, documents: DataFrame, keys: DataFrame, settings: Settings, day: date
) -> DataFrame:
    """The best few ways to apply each receipt that was not. Returns SUGGESTIONS without publication_id.

    decided: as transforms.decided() returns them. payers: as payers() does. documents, keys: as open_documents() and
    document_keys() do. Each is read several times, so they had better been kept.
    """
    left = _left(decided)
    said = left.select(
        *RECEIPT, "currency", "unapplied", "named_amount", "documents",
        F.col("documents.document_id").alias("named_ids"), F.regexp_replace("text", r"[^\p{L}\p{N}]+", "").alias("squeezed"),
        (F.col("reason") == CONTESTED).alias("contested"),
    )  # fmt: skip
    found = (
        _near(said, payers, documents, settings),
        _likest(said, payers, documents, keys, settings),
        _of_amount(said, payers, documents, settings),
        _named(said, payers),
    )
    pairs = _pairs(said, found, settings)
    offered = pairs.select(F.explode(F.array_compact(F.array(_single(settings), _rest()))).alias("offer"))
    return _ranked(offered.select("offer.*").unionByName(_together(pairs, settings)), settings, day)


def _left(decided: DataFrame) -> DataFrame:
    """The receipts that something is suggested for."""
    return decided.where(F.col("rule").isNull() & F.col("legal_entity_id").isNotNull() & ~F.col("is_reversal"))


def payers(decided: DataFrame, documents: DataFrame, names: DataFrame, settings: Settings) -> DataFrame:
    """Who may have paid: the receipt's key, account_id, likeness (of the name, or all of it), by_iban. One row per receipt and account.

    names: tenant_id, account_id, legal_name; an account may have several.
    """
    left = _left(decided)
    by_iban = left.where(F.col("by_iban")).select(
        *RECEIPT, F.col("customer_id").alias("account_id"), F.lit(SAME).alias("likeness"), F.lit(True).alias("by_iban")
    )
    named = left.select(*RECEIPT, F.explode("documents.account_id").alias("account_id")).select(
        "*", F.lit(0).alias("likeness"), F.lit(False).alias("by_iban")
    )
    owing = documents.select("tenant_id", "account_id").distinct()
    by_name = left.select(*RECEIPT, F.col("counterparty_name").alias("payer_name")).join(
        alike(
            left.select("tenant_id", F.col("counterparty_name").alias("payer_name")),
            names.join(owing, on=["tenant_id", "account_id"], how="left_semi"),
            settings,
        ),
        on=["tenant_id", "payer_name"],
        how="inner",
    )
    told = by_name.select(*RECEIPT, "account_id", "likeness", F.lit(False).alias("by_iban"))
    return (
        reduce(DataFrame.unionByName, (by_iban, named, told))
        .groupBy(*RECEIPT, "account_id")
        .agg(F.max("likeness").alias("likeness"), F.max("by_iban").alias("by_iban"))
    )


def alike(payers: DataFrame, names: DataFrame, settings: Settings) -> DataFrame:
    """Which accounts a payer's name resembles: tenant_id, payer_name, account_id, likeness; the best three of each name.

    payers: tenant_id, payer_name. names: tenant_id, account_id, legal_name. Only names that share a word, or the beginning of
    one, are compared, and only where no more accounts share it than the policy allows.
    """
    mine = payers.where(F.col("payer_name").isNotNull()).distinct()
    listed = names.where(F.col("legal_name").isNotNull()).select("tenant_id", "account_id", "legal_name").distinct()
    words = listed.select("tenant_id", "account_id", "legal_name", F.explode(_words("legal_name")).alias("word"))
    sharing = F.approx_count_distinct("account_id", 0.02)
    telling = words.groupBy("tenant_id", "word").agg(sharing.alias("accounts"))
    few = telling.where(F.col("accounts") <= settings.largest_block).select("tenant_id", "word")
    indexed = words.join(few, on=["tenant_id", "word"], how="left_semi")
    wanted = mine.select("tenant_id", "payer_name", F.explode(_words("payer_name")).alias("word"))
    pairs = wanted.join(indexed, on=["tenant_id", "word"], how="inner").drop("word").distinct()
    shown = pairs.select(
        "tenant_id", "payer_name", "account_id", _plain("payer_name").alias("one"), _plain("legal_name").alias("other")
    )
    scored = (
        with_names_likeness(shown, "one", "other", "likeness")
        .groupBy("tenant_id", "payer_name", "account_id")
        .agg(F.max("likeness").alias("likeness"))
        .where(F.col("likeness") >= _parts(settings.name_likeness))
    )
    best = Window.partitionBy("tenant_id", "payer_name").orderBy(F.col("likeness").desc(), "account_id")
    return scored.select("*", F.row_number().over(best).alias("place")).where(F.col("place") <= 3).drop("place")


def _plain(column: str) -> Column:
    return F.trim(F.regexp_replace(F.upper(column), r"[^\p{L}\p{N}]+", " "))


def _words(column: str) -> Column:
    """The words of a name, and the first four letters of the longer ones, so that an ending may differ."""
    words = F.filter(F.split(_plain(column), " "), lambda word: F.length(word) >= 2)
    beginnings = F.transform(F.filter(words, lambda word: F.length(word) > 4), lambda word: F.substring(word, 1, 4))
    return F.array_distinct(F.concat(words, beginnings))


def _near(said: DataFrame, payers: DataFrame, documents: DataFrame, settings: Settings) -> DataFrame:
    """Of what those owe who may have paid: the documents whose amount is worth showing.

    That is what was paid, or nearly so, or the rest beside the documents named. One row per receipt and document, with
    account_id, likeness and by_iban of the payer, and resemblance of the number, here none.
    """
    key = ["tenant_id", "currency", "account_id"]
    few = documents.groupBy(*key).agg(F.count(F.lit(1)).alias("block")).where(F.col("block") <= settings.largest_block)
    owed = documents.join(few.drop("block"), on=key, how="left_semi").select(
        *key, "document_id", "open_amount", "due_date", _tolerated(F.col("open_amount"), settings).alias("tolerated")
    )
    wanted = payers.join(
        said.select(*RECEIPT, "currency", "unapplied", "named_amount", F.size("named_ids").alias("named")),
        on=[*RECEIPT],
        how="inner",
    )
    short = F.col("o.open_amount") - F.col("w.unapplied")
    rest = F.col("w.unapplied") - F.col("w.named_amount")
    is_near = (F.abs(short) <= F.col("o.tolerated")) | ((F.col("w.named") > 0) & (F.col("o.open_amount") == rest))
    same = [F.col(f"w.{name}") == F.col(f"o.{name}") for name in key]
    return wanted.alias("w").join(owed.alias("o"), on=[*same, is_near], how="inner").select(
        *(f"w.{name}" for name in RECEIPT), "w.account_id", "o.document_id", "o.open_amount", "o.due_date", "w.likeness",
        "w.by_iban", F.lit(0).alias("resemblance"),
    )  # fmt: skip


def _likest(said: DataFrame, payers: DataFrame, documents: DataFrame, keys: DataFrame, settings: Settings) -> DataFrame:
    """Of what those owe who may have paid: the documents one of whose numbers resembles what is said.

    Only receipts that name nothing, or not enough. Texts and numbers of one customer and currency are compared at one place.
    """
    key = ["tenant_id", "currency", "account_id"]
    is_incomplete = (F.size("named_ids") == 0) | (F.col("named_amount") < F.col("unapplied"))
    says_something = F.length("squeezed") >= settings.shortest_reference
    unclear = said.where(is_incomplete & says_something).select(*RECEIPT, "currency", "squeezed")
    texts = (
        unclear.join(payers, on=[*RECEIPT], how="inner")
        .groupBy(*key)
        .agg(F.collect_set(F.struct("bank_account", "transaction_id", F.col("squeezed").alias("text"))).alias("texts"))
    )
    numbers = (
        keys.join(documents.select(*key, "document_id"), on=["tenant_id", "document_id"], how="inner")
        .groupBy(*key)
        .agg(F.collect_set(F.struct("document_id", "key")).alias("numbers"), F.countDistinct("document_id").alias("block"))
        .where(F.col("block") <= settings.largest_block)
        .drop("block")
    )
    floor = _parts(settings.reference_likeness)
    found = with_likest_numbers(texts.join(numbers, on=key, how="inner"), floor, NUMBERS_COMPARED)
    owed = documents.select("tenant_id", "document_id", "open_amount", "due_date")
    return (
        found.select("tenant_id", "account_id", "bank_account", "transaction_id", "document_id", "resemblance")
        .join(owed, on=["tenant_id", "document_id"], how="inner")
        .join(payers, on=[*RECEIPT, "account_id"], how="inner")
    )


def _tolerated(owed: Column, settings: Settings) -> Column:
    return F.round(owed * F.lit(settings.small_difference), 3)


def _of_amount(said: DataFrame, payers: DataFrame, documents: DataFrame, settings: Settings) -> DataFrame:
    """The documents open to exactly what was paid: whoever owes them, unless that is too many; and all of who may have paid."""
    key = ["tenant_id", "currency", "open_amount"]
    priced = documents.select(*key, "document_id", "account_id", "due_date")
    few = priced.groupBy(*key).agg(F.count(F.lit(1)).alias("block")).where(F.col("block") <= settings.largest_block)
    wanted = said.select(*RECEIPT, "currency", F.col("unapplied").alias("open_amount"))
    of_anybody = wanted.join(few.drop("block"), on=key, how="left_semi").join(priced, on=key, how="inner")
    theirs = wanted.join(payers.select(*RECEIPT, "account_id"), on=[*RECEIPT], how="inner")
    of_payers = theirs.join(priced, on=[*key, "account_id"], how="inner")
    columns = (*RECEIPT, "account_id", "document_id", "open_amount", "due_date")
    found = of_anybody.select(*columns).unionByName(of_payers.select(*columns))
    return found.join(payers, on=[*RECEIPT, "account_id"], how="left").withColumn("resemblance", F.lit(0))


def _named(said: DataFrame, payers: DataFrame) -> DataFrame:
    """The documents that receipts name."""
    found = said.select(*RECEIPT, F.explode("documents").alias("document")).select(
        *RECEIPT, "document.account_id", "document.document_id", "document.open_amount", "document.due_date"
    )
    return found.join(payers, on=[*RECEIPT, "account_id"], how="left").withColumn("resemblance", F.lit(SAME))


def _pairs(said: DataFrame, found: Sequence[DataFrame], settings: Settings) -> DataFrame:
    """Each receipt and document once, however they were found, with what the receipt says and how well the number agrees."""
    once = (
        reduce(DataFrame.unionByName, found)
        .groupBy(*RECEIPT, "document_id")
        .agg(
            F.min("account_id").alias("account_id"),
            F.min("open_amount").alias("open_amount"),
            F.min("due_date").alias("due_date"),
            F.coalesce(F.max("likeness"), F.lit(0)).alias("likeness"),
            F.coalesce(F.max("by_iban"), F.lit(False)).alias("by_iban"),
            F.max("resemblance").alias("resemblance"),
        )
    )
    floor = _parts(settings.reference_likeness)
    above = F.greatest(F.col("resemblance") - floor, F.lit(0))
    told = said.select(*RECEIPT, "currency", "unapplied", "named_amount", "named_ids", "contested")
    return once.join(told, on=[*RECEIPT], how="inner").withColumns(
        {
            "is_named": F.array_contains("named_ids", F.col("document_id")),
            "reference": F.floor(above * SAME / max(SAME - floor, 1)).cast("int"),
        }
    )


def _single(settings: Settings) -> Column:
    """A pair as a suggestion of one document."""
    paid, owed = F.col("unapplied"), F.col("open_amount")
    short = (owed - paid).cast(SUM)
    is_close = F.abs(short) <= _tolerated(owed, settings)
    agreement = F.when(paid == owed, SAME).when(is_close, CLOSE).when(paid > owed, MORE).otherwise(PART)
    difference = told_amount(F.abs(short))
    of_amount = (
        F.when(paid == owed, "the amount is what is open")
        .when(paid > owed, F.concat(difference, F.lit(" more than what is open")))
        .when(is_close, F.concat(F.lit("only "), difference, F.lit(" less than what is open")))
        .otherwise(F.concat(F.lit("a part of what is open, "), difference, F.lit(" less")))
    )
    of_reference = (
        F.when(F.col("contested") & F.col("is_named"), "two receipts claim the document")
        .when(F.col("is_named"), "the reference names it")
        .when(F.col("reference") == SAME, "the reference has its number in it")
        .when(F.col("reference") > 0, "the reference resembles its number")
    )
    return _offer(F.array("document_id"), owed, F.col("reference"), agreement, F.concat_ws("; ", of_amount, of_reference))


def _rest() -> Column:
    """What is named together with the one document that makes it the amount received; null where the pair is not that one."""
    rest = (F.col("unapplied") - F.col("named_amount")).cast(SUM)
    fits = (F.size("named_ids") > 0) & ~F.col("is_named") & (F.col("open_amount") == rest)
    offer = _offer(
        F.sort_array(F.concat("named_ids", F.array("document_id"))),
        F.col("unapplied"),
        (F.lit(REST) + F.floor(F.col("reference") * (SAME - REST) / SAME)).cast("int"),
        F.lit(SAME),
        F.lit("the documents named and one more are together what was paid"),
    )
    return F.when(fits, offer)


def _offer(documents: Column, owed: Column, reference: Column, agreement: Column, reason: Column) -> Column:
    return F.struct(
        *RECEIPT, "currency", "account_id", documents.alias("document_ids"), owed.cast(AMOUNT).alias("open_amount"), "unapplied",
        "due_date", "by_iban", "likeness", reference.alias("reference"), agreement.alias("agreement"), reason.alias("reason"),
    )  # fmt: skip


def _together(pairs: DataFrame, settings: Settings) -> DataFrame:
    """Everything of one customer that a receipt names or has the number of in its text, where that is several documents."""
    told = F.struct("document_id", "open_amount")
    several = (
        pairs.where(F.col("reference") == SAME)
        .groupBy(*RECEIPT, "currency", "account_id", "unapplied", "contested")
        .agg(
            F.sort_array(F.collect_set(told)).alias("told"),
            F.min("due_date").alias("due_date"),
            F.max("likeness").alias("likeness"),
            F.max("by_iban").alias("by_iban"),
            F.sum("open_amount").cast(SUM).alias("total"),
        )
        .where(F.size("told") > 1)
    )
    paid, total = F.col("unapplied"), F.col("total")
    is_close = F.abs(paid - total) <= _tolerated(total, settings)
    agreement = F.when(paid == total, SAME).when(is_close, CLOSE).when(paid > total, MORE).otherwise(PART)
    difference = told_amount(F.abs(paid - total))
    reason = F.concat(
        F.lit("all the documents that are named"),
        F.when(paid == total, "; the amount is what is open").otherwise(
            F.concat(
                F.lit(", open to "), difference, F.when(paid > total, " less").otherwise(" more"), F.lit(" than was paid")
            )
        ),
        F.when(F.col("contested"), "; two receipts claim one of them").otherwise(""),
    )
    offer = _offer(F.col("told.document_id"), total, F.lit(SEVERAL_NAMED), agreement, reason)
    return several.select(offer.alias("offer")).select("offer.*")


def _ranked(offered: DataFrame, settings: Settings, day: date) -> DataFrame:
    """The best suggestions of each receipt; of two that score alike the one with fewer, then older documents."""
    weights = settings.weights
    weighted = ((weights.amount, "agreement"), (weights.reference, "reference"), (weights.payer, "likeness"))
    parts = reduce(Column.__add__, (F.col(of) * F.lit(_parts(weight)) for weight, of in weighted))
    score = (F.floor(parts / SAME).cast("decimal(9,0)") * F.lit(Decimal("0.0001"))).cast("decimal(5,4)")
    of_payer = F.when(F.col("by_iban") & (F.col("likeness") == SAME), "the payer's account is the customer's").when(
        F.col("likeness") > 0, "the payer's name is like the customer's"
    )
    scored = offered.select("*", score.alias("score")).where(F.col("score") >= F.lit(settings.lowest_score))
    order = Window.partitionBy(*RECEIPT).orderBy(
        F.col("score").desc(), F.size("document_ids"), F.col("due_date").asc_nulls_last(), "document_ids"
    )
    best = scored.select("*", F.row_number().over(order).alias("rank")).where(
        F.col("rank") <= settings.suggestions_per_receipt
    )
    columns = [field.name for field in SUGGESTIONS.schema.fields if field.name != "publication_id"]
    return best.withColumns(
        {
            "period": F.lit(day),
            "amount": F.least("unapplied", "open_amount").cast(AMOUNT),
            "reason": F.concat_ws("; ", "reason", of_payer),
        }
    ).select(*columns)


def _parts(share: Decimal) -> int:
    """A share in ten-thousandths."""
    return int(share * SAME)

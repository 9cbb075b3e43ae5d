"""Documents that correct an issued one: in full, by a share or by an amount, with the tax of the original, and naming it.

What is asked for stands in raw.invoice_corrections; what became of it in invoicing.corrections, once and for good. Nothing that was
issued is changed. Source: docs/corrections.md
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.invoice_generation import amounts
from jobs.invoice_generation.decisions import COMPONENTS
from jobs.invoice_generation.settings import RoundingPolicy
from jobs.invoice_generation.tables import CORRECTIONS, INVOICE_LINES, INVOICES, LINE_TAXES
from jobs.ledger.allocation import allocated
from jobs.ledger.columns import AMOUNT, QUANTITY, RATED
from jobs.ledger.corrections import CANCEL, CORRECTIVE_INVOICE, CREDIT, CREDIT_NOTE, DEBIT, DEBIT_NOTE, REBILL, WRITE_OFF
from jobs.ledger.identity import natural_id
from jobs.ledger.money import exact_product, in_minor_units, rounded

DOCUMENT = ["tenant_id", "invoice_id"]
ACCOUNT = "tenant_id string, invoice_id string, net decimal(28,3), left decimal(28,3), overdrawn bigint"
BESIDE = (  # what lines of correcting documents tell of their document
    "legal_entity_id", "account_id", "customer_country", "customer_region", "document_type", "payment_terms_days", "kind", "price_id",
    "original_invoice_id", "correction_reason", "correction_id", "action", "exemption_code", "exemption_reason",
)  # fmt: skip
REFUSALS = {  # reason code -> whether it holds of a request beside its original
    "no such document": "invoice_id IS NULL",
    "not an invoice": "document_type <> 'invoice'",
    "no such line": "line_no IS NOT NULL AND NOT coalesce(array_contains(line_numbers, line_no), false)",
    "more decimals than its currency has": "amount <> in_coins",
    "nothing is left of it": f"action <> '{DEBIT}' AND action <> '{WRITE_OFF}' AND coalesce(net_left, 0) <= 0",
    "more than is left of it": f"action = '{CREDIT}' AND amount > net_left",
}


def pending(requests: DataFrame, invoices: DataFrame, settled: DataFrame, month_end: date) -> DataFrame:
    """The requests a month has to answer: made by its end and not answered yet, one per document, the oldest first.

    requests: standing rows of raw.invoice_corrections. invoices: INVOICES of all months; one that is asked for a whole month is one for
    each invoice of it, called by both. settled: CORRECTIONS of all months.
    """
    due = requests.where(F.col("requested_on") < F.lit(month_end))
    issued = invoices.where(F.col("document_type") == "invoice").select(
        "tenant_id", F.date_format("period", "yyyy-MM").alias("month"), F.col("invoice_number").alias("of_month")
    )
    named = due.join(issued, on=["tenant_id", "month"], how="left").withColumns(
        {
            "correction_id": F.concat_ws("/", "correction_id", "of_month"),
            "invoice_number": F.coalesce("of_month", "invoice_number"),
        }
    )
    known = settled.select("tenant_id", "correction_id").distinct()
    turn = Window.partitionBy("tenant_id", "invoice_number").orderBy("requested_on", "correction_id")
    left_over = named.join(known, on=["tenant_id", "correction_id"], how="left_anti")
    return left_over.withColumn("turn", F.row_number().over(turn)).where(F.col("turn") == 1).drop("turn", "of_month")


def named(requests: DataFrame, invoices: DataFrame) -> DataFrame:
    """The documents that requests name, what those correct, and all that has corrected it.

    requests: as pending() returns them. invoices: INVOICES of all months.
    """
    about = invoices.withColumn("about", F.coalesce("original_invoice_id", "invoice_id"))
    wanted = requests.select("tenant_id", "invoice_number").join(about, on=["tenant_id", "invoice_number"], how="inner")
    return about.join(wanted, on=["tenant_id", "about"], how="left_semi").select(*invoices.columns)


def judged(requests: DataFrame, invoices: DataFrame, standing: DataFrame) -> DataFrame:
    """Requests beside the document that they name, with reason_code, null where they are carried out.

    requests: as pending() returns them. invoices: INVOICES of what they name. standing: as left() returns it of that. Returns the request with the
    original's header and net_left: what no correction has taken back yet, of the line that is named or of all.
    """
    of_line = F.col("r.line_no").isNull() | (F.col("r.line_no") == F.col("l.line_no"))
    known = invoices.select(
        "tenant_id", "invoice_id", "invoice_number", "document_type", "legal_entity_id", "account_id", "customer_country",
        "customer_region", "currency",
    )  # fmt: skip
    asked = requests.join(known, on=["tenant_id", "invoice_number"], how="left")
    same = (F.col("r.tenant_id") == F.col("l.tenant_id")) & (F.col("r.invoice_id") == F.col("l.invoice_id"))
    numbers = F.sort_array(F.collect_set("l.line_no")).alias("line_numbers")
    sums = (
        asked.alias("r")
        .join(standing.alias("l"), on=same, how="inner")
        .groupBy("r.tenant_id", "r.correction_id")
        .agg(F.sum(F.when(of_line, F.col("l.left"))).cast(AMOUNT).alias("net_left"), numbers)
    )
    coins = in_minor_units(F.col("amount"), F.col("currency")).alias("in_coins")
    told = asked.join(sums, on=["tenant_id", "correction_id"], how="left").select("*", coins)
    why: Column = F.lit(None).cast("string")
    for code, condition in reversed(REFUSALS.items()):
        why = F.when(F.expr(condition), F.lit(code)).otherwise(why)
    return told.withColumn("reason_code", why)


def left(all_lines: DataFrame, invoices: DataFrame) -> DataFrame:
    """Every line of an invoice with `left`, what no correction has taken back yet, and `taxes_left`, the same of each of its taxes.

    A line that was taxed anew stands once more, under its own number, as the corrective invoice charges it: nothing is left of the one
    and all of the other.
    """
    line = [*DOCUMENT, "charge_id"]
    key = [*line, "taxed_as"]
    named = invoices.select(*DOCUMENT, "original_invoice_id", "document_type")
    told = all_lines.join(named, on=DOCUMENT, how="inner").withColumns(
        {
            "invoice_id": F.coalesce("original_invoice_id", "invoice_id"),
            "charge_id": F.coalesce("corrects_charge_id", "charge_id"),
            "taxed_as": taxed_as("line_taxes"),
        }
    )
    nets = told.groupBy(*key).agg(F.sum("line_amount").cast(AMOUNT).alias("left"))
    parts = told.select(*key, F.explode("line_taxes").alias("part")).groupBy(*key, "part.component", "part.rate")
    summed = parts.agg(F.sum("part.amount").cast(AMOUNT).alias("amount"))
    taxes = summed.groupBy(*key).agg(
        F.array_sort(F.collect_set(F.struct("component", "rate", "amount"))).alias("taxes_left")
    )
    original = told.where(F.col("corrects_charge_id").isNull())
    first = original.select(*line, F.col("taxed_as").alias("first_taxed_as"), F.col("line_no").alias("first_line_no"))
    earliest = Window.partitionBy(*key).orderBy("period")
    again = (
        told.where(F.col("document_type") == CORRECTIVE_INVOICE)
        .join(first, on=line, how="inner")
        .where(F.col("taxed_as") != F.col("first_taxed_as"))
        .withColumn("age", F.row_number().over(earliest))
        .where(F.col("age") == 1)
        .withColumn("line_no", F.col("first_line_no"))
    )
    every = original.unionByName(again.select(*original.columns))
    return (
        every.join(nets, on=key, how="inner")
        .join(taxes, on=key, how="left")
        .select(*all_lines.columns, "left", "taxes_left")
    )


def taxed_as(parts: str) -> Column:
    """How a line is taxed, whatever it comes to: its category and the rate of each part. parts: the column of LINE_TAXES."""
    return F.struct(F.col("tax_category").alias("category"), rates(parts).alias("rates"))


def rates(parts: str) -> Column:
    """The component and the rate of each part of a tax: COMPONENTS. parts: a column of LINE_TAXES."""
    told = F.transform(parts, lambda part: F.struct(part["component"].alias("component"), part["rate"].alias("rate")))
    return told.cast(COMPONENTS)


def lines(
    asked: DataFrame, invoices: DataFrame, standing: DataFrame, taxes: DataFrame, policy: RoundingPolicy, period: date
) -> DataFrame:
    """The lines of the documents that requests come to: INVOICE_LINES without publication_id, with BESIDE.

    asked: as judged() returns them. invoices, taxes: INVOICES and INVOICE_TAXES of what they name. standing: as left() returns it. A line
    says what it takes back, or adds, of one line of the original: a share of it, all that is left, or its part of an amount, in proportion
    to what is left. Tax stays what was decided for the original.
    """
    made = asked.where(F.col("reason_code").isNull() & ~F.col("action").isin(REBILL, WRITE_OFF)).select(
        "tenant_id", "correction_id", "invoice_id", "action", "account_id", "legal_entity_id", "customer_country", "customer_region",
        F.col("reason").alias("correction_reason"), F.col("line_no").alias("asked_line"), F.col("amount").alias("asked_amount"),
        F.col("share").alias("asked_share"),
    )  # fmt: skip
    of_line = F.col("asked_line").isNull() | (F.col("asked_line") == F.col("line_no"))
    taken = made.join(standing.where(F.col("left") != 0), on=DOCUMENT, how="inner").where(of_line)
    shared = allocated(
        taken.withColumns({"whole": F.col("asked_amount").cast(RATED), "weight": F.greatest("left", F.lit(0).cast(AMOUNT))}),
        ["tenant_id", "correction_id"],
        ["line_no"],
    )
    currency = F.col("currency")
    share = rounded(exact_product(F.col("line_amount").cast(QUANTITY), F.col("asked_share")), currency, policy.method)
    of_share = F.when(F.col("left") < 0, F.greatest(share, F.col("left"))).otherwise(F.least(share, F.col("left")))
    amount = (
        F.when(F.col("action") == CANCEL, -F.col("left"))
        .when(F.col("action") == DEBIT, F.col("share"))
        .when(F.col("asked_share").isNotNull(), -of_share)
        .otherwise(-F.col("share"))
    ).cast(AMOUNT)
    is_debit = F.col("action") == DEBIT
    kind = F.when(is_debit, F.lit(DEBIT_NOTE)).otherwise(F.lit(CREDIT_NOTE))
    part = (
        F.when(F.col("action") == CANCEL, F.col("quantity"))
        .when(F.col("asked_share").isNotNull(), exact_product(F.col("quantity"), F.col("asked_share")).cast(QUANTITY))
        .otherwise(F.lit(1).cast(QUANTITY))
    )
    told = shared.withColumn("corrected", amount).where(F.col("corrected") != 0)
    corrected = told.withColumns(
        {
            "document_type": kind,
            "line_amount": F.col("corrected"),
            "quantity": F.when(is_debit, part).otherwise(-part).cast(QUANTITY),
        }
    )
    columns = [field.name for field in INVOICE_LINES.schema.fields if field.name != "publication_id"]
    return _taxed(identified(corrected, period), invoices, taxes, policy).select(*columns, *BESIDE)


def identified(rows: DataFrame, period: date, *apart: str) -> DataFrame:
    """Rows as lines of documents of their own that name the original; what a line is known by, where it stands, and what it bills.

    rows: a row per line that is corrected, with invoice_id and charge_id of the original, correction_id, document_type and line_amount.
    apart: columns by which rows of one charge differ.
    """
    named = rows.withColumns(
        {
            "original_invoice_id": F.col("invoice_id"), "original_charge": F.col("charge_id"), "payment_terms_days": F.lit(0),
            "kind": F.lit("correction"), "price_id": F.lit(None).cast("string"),
        }
    )  # fmt: skip
    numbered = Window.partitionBy("tenant_id", "correction_id").orderBy("line_no", *apart)
    return named.withColumns(
        {
            "period": F.lit(period), "invoice_id": natural_id("tenant_id", "original_invoice_id", "document_type", "correction_id"),
            "charge_id": natural_id("tenant_id", "correction_id", "original_charge", *apart), "corrects_charge_id": F.col("original_charge"),
            "line_no": F.row_number().over(numbered), "rated_amount": F.col("line_amount").cast(RATED),
        }
    )  # fmt: skip


def reasons(taxes: DataFrame, invoices: DataFrame) -> DataFrame:
    """Why documents, or what taxes them anew, are not taxed: tenant_id, invoice_id, tax_category, exemption_code, exemption_reason.

    taxes, invoices: INVOICE_TAXES and INVOICES of all months.
    """
    about = F.coalesce("original_invoice_id", "invoice_id").alias("about")
    named = taxes.join(invoices.select(*DOCUMENT, about), on=DOCUMENT, how="inner")
    return named.groupBy("tenant_id", F.col("about").alias("invoice_id"), "tax_category").agg(
        F.min("exemption_code").alias("exemption_code"), F.min("exemption_reason").alias("exemption_reason")
    )


def _taxed(made: DataFrame, invoices: DataFrame, taxes: DataFrame, policy: RoundingPolicy) -> DataFrame:
    """Correcting lines with their taxes: each part of the original's, at its rate; what is cancelled gives back all that is left of it."""
    terms = {"components": rates("taxes_left"), "tax_per": F.lit("document"), "tax_method": F.lit(policy.method)}
    charged = amounts.with_taxes(made.withColumns(terms).drop("line_taxes"))
    told = F.when(F.col("action") == CANCEL, given_back("taxes_left")).otherwise(F.col("line_taxes"))
    why = reasons(taxes, invoices).withColumnRenamed("invoice_id", "original_invoice_id")
    return charged.withColumn("line_taxes", told).join(
        why, on=["tenant_id", "original_invoice_id", "tax_category"], how="left"
    )


def given_back(parts: str) -> Column:
    """Taxes with the other sign: LINE_TAXES. parts: a column of them."""
    return F.transform(parts, lambda part: part.withField("amount", (-part["amount"]).cast(AMOUNT))).cast(LINE_TAXES)


def headers(made: DataFrame, taxes: DataFrame, invoices: DataFrame, issue_date: date) -> DataFrame:
    """The headers of correcting documents, without numbers: INVOICES without publication_id. They are due on the day of issue.

    made: as lines() returns them; taxes: theirs. invoices: what was issued in all months. What is cancelled gives back what its payable
    amount was rounded by, too; a part of it does not.
    """
    key = ["tenant_id", "period", "invoice_id"]
    shared = (
        "legal_entity_id", "account_id", "customer_country", "customer_region", "document_type", "currency", "original_invoice_id",
        "correction_reason",
    )  # fmt: skip
    net = made.groupBy(*key, *shared).agg(
        F.sum("line_amount").cast(AMOUNT).alias("net_amount"), F.count(F.lit(1)).alias("line_count"),
        F.max(F.col("action") == CANCEL).alias("is_whole"),
    )  # fmt: skip
    about = F.coalesce("original_invoice_id", "invoice_id")
    rounded_by = invoices.groupBy("tenant_id", about.alias("original_invoice_id")).agg(
        F.sum("rounding_amount").cast(AMOUNT).alias("rounded_by")
    )
    tax = taxes.groupBy(*key).agg(F.sum("tax_amount").cast(AMOUNT).alias("tax_amount"))
    gross = (F.col("net_amount") + F.col("tax_amount")).cast(AMOUNT)
    nothing = F.lit(0).cast(AMOUNT)
    rounding = F.when(F.col("is_whole"), -F.coalesce("rounded_by", nothing)).otherwise(nothing).cast(AMOUNT)
    told = {
        "gross_amount": gross, "rounding_amount": rounding, "prepaid_amount": nothing, "payable_amount": (gross + rounding).cast(AMOUNT),
        "series": F.col("document_type"), "fiscal_year": F.lit(None).cast("int"), "number": F.lit(None).cast("bigint"),
        "invoice_number": F.lit(None).cast("string"), "issue_date": F.lit(issue_date), "due_date": F.lit(issue_date),
    }  # fmt: skip
    columns = [field.name for field in INVOICES.schema.fields if field.name != "publication_id"]
    both = net.join(tax, on=key, how="left").join(rounded_by, on=["tenant_id", "original_invoice_id"], how="left")
    return both.withColumns(told).select(*columns)


def answers(asked: DataFrame, made: DataFrame, period: date, issue_date: date) -> DataFrame:
    """What became of every request: CORRECTIONS without publication_id. asked: as judged() returns them. made: as lines() does."""
    documents = made.select("tenant_id", "correction_id", F.col("invoice_id").alias("made_id")).distinct()
    is_done = F.col("reason_code").isNull() & (F.col("made_id").isNotNull() | (F.col("action") == WRITE_OFF))
    told = asked.withColumnRenamed("invoice_id", "original_invoice_id").join(
        documents, on=["tenant_id", "correction_id"], how="left"
    )
    named = told.withColumns(
        {
            "period": F.lit(period), "invoice_id": F.col("made_id"), "effective_on": F.lit(issue_date),
            "status": F.when(is_done, F.lit("done")).otherwise(F.lit("refused")),
            "reason_code": F.when(~is_done, F.coalesce("reason_code", F.lit("comes to nothing"))),
            "written_off": F.when(F.col("action") == WRITE_OFF, F.col("amount").cast(AMOUNT)),
        }
    )  # fmt: skip
    return named.select(*(field.name for field in CORRECTIONS.schema.fields if field.name != "publication_id"))


def account(staged: DataFrame, staged_lines: DataFrame, invoices: DataFrame, all_lines: DataFrame) -> DataFrame:
    """Every document that a run corrects beside all that has corrected it.

    staged, invoices: INVOICES of the run and of all months. staged_lines, all_lines: their INVOICE_LINES. Returns ACCOUNT: net
    (null where there is no such document), left: that with all that corrects it, and overdrawn: how many of its lines are corrected
    beyond what they were.
    """
    named = staged.where(F.col("original_invoice_id").isNotNull()).select(
        "tenant_id", F.col("original_invoice_id").alias("invoice_id")
    )
    asked = named.distinct()  # as many as a month corrects, so not for one process to hold
    every = invoices.unionByName(staged, allowMissingColumns=True)
    about = every.withColumn("about", F.coalesce("original_invoice_id", "invoice_id")).join(
        asked.withColumnRenamed("invoice_id", "about"), on=["tenant_id", "about"], how="left_semi"
    )
    lines_about = all_lines.unionByName(staged_lines, allowMissingColumns=True).join(
        about.select(*DOCUMENT), on=DOCUMENT, how="left_semi"
    )
    amount, rest = F.col("line_amount"), F.col("left")
    beyond = ((amount >= 0) & (rest < 0)) | ((amount < 0) & (rest > 0))
    as_issued = F.when(F.col("corrects_charge_id").isNull(), amount)
    moved = (
        left(lines_about, every)
        .groupBy(*DOCUMENT)
        .agg(F.sum(as_issued).alias("net"), F.sum("left").alias("left"), F.count_if(beyond).alias("overdrawn"))
    )
    return named.distinct().join(moved, on=DOCUMENT, how="left").select(*DOCUMENT, "net", "left", "overdrawn")

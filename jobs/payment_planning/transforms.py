"""Accepted payables to the payments that are due, each with the day it is settled on, or with every reason why it waits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.ledger.calendars import Market
from jobs.ledger.columns import AMOUNT, COUNT
from jobs.ledger.identity import natural_id
from jobs.ledger.money import in_minor_units
from jobs.ledger.tenants import BankAccount, LegalEntity, Tenant
from jobs.payment_planning import terms
from jobs.payment_planning.settings import Policy
from jobs.payment_planning.tables import PAYMENT_BATCHES, PAYMENT_INSTRUCTIONS

BEFORE, NOW, NOT_DUE, WAITING = "instructed before", "instructed now", "not due yet", "waiting"
# Why an accepted payable is not paid, each with what a person can do about it. One payable may have several.
REASONS = {
    "vendor_unknown": "land the vendor",
    "vendor_blocked": "find out why the vendor was blocked, and unblock it or reject the invoice",
    "no_creditor_account": "land the vendor's account number",
    "creditor_account_invalid": "the vendor's account number has wrong check digits or signs no account has; land the right one",
    "no_paying_account": "no account of the legal entity pays in this currency; add one to the tenant's bank_accounts",
    "unknown_terms": "nobody could tell when the invoice is due; land a due date or add the terms to the grammar",
    "unsupported_method": "the vendor wants to be paid in a way conf/payment_planning.yaml does not name",
    "amount_not_payable": "the amount is nothing, or finer than the currency's smallest coin",
    "credit_note_left_open": "a credit note: take it off a payment by the policy credit_notes: net, or settle it by hand",
    "no_longer_accepted": "a later decision holds or rejects it",
}
IBAN = "^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$"
LOCAL_ACCOUNT = "^[A-Z0-9][A-Z0-9-]{3,33}$"
# The countries of the Single Euro Payments Area by the beginning of their IBAN; European Payments Council, EPC409-09.
SEPA = (
    "AD", "AL", "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GI", "GR", "HR", "HU", "IE", "IS", "IT",
    "LI", "LT", "LU", "LV", "MC", "MD", "ME", "MK", "MT", "NL", "NO", "PL", "PT", "RO", "RS", "SE", "SI", "SK", "SM", "VA",
)  # fmt: skip
SLACK = 21  # days around the horizon for which the calendar is laid out, so that a day near it can be moved

PAYERS = (
    "tenant_id string, legal_entity_id string, currency string, debtor_name string, debtor_account string, debtor_bic string, "
    "first_sepa date, first_transfer date, first_immediate date, last_day date, calendar_begins date, calendar_ends date, "
    "nets_credit_notes boolean"
)
DAYS = "tenant_id string, legal_entity_id string, currency string, due_day date, moved_day date, is_open boolean"
KEY = ("tenant_id", "legal_entity_id", "currency")
OUTCOME = (  # of planned() what is not personal
    "tenant_id", "payable_id", "vendor_id", "legal_entity_id", "invoice_number", "currency", "amount", "status", "reasons", "due_date",
    "value_date", "method", "is_sepa", "carrier_id",
)  # fmt: skip


def payers(spark: SparkSession, tenants: Iterable[Tenant], policies: Mapping[str, Policy], moment: datetime) -> DataFrame:
    """The account each legal entity pays a currency from, and the first day it can still settle on, by method.

    moment: the last instant of the run's period, in UTC. Returns PAYERS.
    """
    rows = []
    for tenant, entity, account, market in _paying(tenants, policies):
        policy = policies[tenant.tenant]
        local = moment.astimezone(ZoneInfo(entity.timezone))
        first = {method: market.first_possible(local, cut_off) for method, cut_off in policy.cut_offs.items()}
        last = local.date() + timedelta(days=policy.horizon_days)
        rows.append(
            (
                tenant.tenant, entity.id, account.currency, entity.name or entity.id, account.iban, account.bic,
                first["sepa"], first["transfer"], first["immediate"], last,
                local.date() - timedelta(days=SLACK), last + timedelta(days=SLACK), policy.credit_notes == "net",
            )
        )  # fmt: skip
    return spark.createDataFrame(rows, PAYERS)


def business_days(
    spark: SparkSession, tenants: Iterable[Tenant], policies: Mapping[str, Policy], moment: datetime
) -> DataFrame:
    """The business day to which each day around the run is moved, per paying entity and currency. Returns DAYS."""
    rows: list[tuple[str, str, str, date, date, bool]] = []
    for tenant, entity, account, market in _paying(tenants, policies):
        policy = policies[tenant.tenant]
        today = moment.astimezone(ZoneInfo(entity.timezone)).date()
        first, last = today - timedelta(days=SLACK), today + timedelta(days=policy.horizon_days + SLACK)
        for day, before, after in market.days(first, last):
            moved = before if policy.business_day == "previous" else after
            rows.append((tenant.tenant, entity.id, account.currency, day, moved, before == day))
    return spark.createDataFrame(rows, DAYS)


def _paying(
    tenants: Iterable[Tenant], policies: Mapping[str, Policy]
) -> Iterator[tuple[Tenant, LegalEntity, BankAccount, Market]]:
    """Per tenant, legal entity and currency the first account that pays in it."""
    for tenant in tenants:
        parts = policies[tenant.tenant].subdivisions
        for entity in tenant.legal_entities:
            paying = [account for account in entity.bank_accounts if account.pays]
            for currency in dict.fromkeys(account.currency for account in paying):
                account = next(account for account in paying if account.currency == currency)
                yield tenant, entity, account, Market(entity.country, currency, parts.get(entity.country))


def methods(spark: SparkSession, policies: Mapping[str, Policy]) -> DataFrame:
    """What vendors call a way of being paid: tenant_id, word, asked_method; and the terms where nobody states any (word "")."""
    rows: list[tuple[str, str, str | None, str | None]] = []
    for tenant, policy in policies.items():
        rows += [(tenant, word, method, None) for word, method in policy.payment_methods.items()]
        rows.append((tenant, "", None, policy.default_terms))
    return spark.createDataFrame(rows, "tenant_id string, word string, asked_method string, default_terms string")


def latest(decisions: DataFrame, order: DataFrame) -> DataFrame:
    """One row per payable: its latest decision. order: publication_id, place, oldest first; tells two of one hour apart."""
    newest = Window.partitionBy("tenant_id", "payable_id").orderBy(
        F.col("decided_at").desc(), F.col("place").desc_nulls_last(), F.col("publication_id")
    )
    placed = decisions.join(F.broadcast(order), on="publication_id", how="left")
    return placed.select("*", F.row_number().over(newest).alias("age")).where(F.col("age") == 1).drop("age", "place")


def current_vendors(vendors: DataFrame, day: date) -> DataFrame:
    """One row per vendor: the one with the latest valid_from that has begun."""
    newest = Window.partitionBy("tenant_id", "vendor_id").orderBy(
        F.col("valid_from").desc(), F.col("landing_id"), F.col("row_number")
    )
    begun = vendors.where(F.col("valid_from") <= F.lit(day))
    return begun.select("*", F.row_number().over(newest).alias("age")).where(F.col("age") == 1).drop("age")


def planned(
    accepted: DataFrame,
    instructed: DataFrame,
    vendors: DataFrame,
    paying: DataFrame,
    days: DataFrame,
    words: DataFrame,
) -> DataFrame:
    """What becomes of every accepted payable.

    accepted: payables.decisions, one row per payable that was accepted by the run's period, with still_accepted. instructed:
    payables.payment_instructions published so far. vendors: one row per vendor. paying, days, words: as payers(),
    business_days() and methods() return them.

    Returns a row per payable: status (instructed before | instructed now | not due yet | waiting) with every reason for waiting, amount, due
    and value date, method, and what a payment file says of it. A due date on the invoice goes before its terms, these before
    the vendor's, these before the policy's. A payable is due when its due date, moved to a business day, lies within the horizon;
    it is settled on that day, or on the first possible one where that is later. What is to be paid at once is settled on the first possible day.
    """
    told = _of_vendor(accepted, vendors, words)
    due = F.coalesce(
        F.col("invoice_due_date"), terms.due_date(F.col("stated_terms"), F.coalesce("invoice_date", "received_on"))
    )
    at_once = (F.col("invoice_due_date").isNull() & terms.at_once(F.col("stated_terms"))) | (
        F.coalesce(F.col("asked_method"), F.lit("")) == "immediate"
    )
    dated = told.select("*", due.alias("due_date"), at_once.alias("is_at_once")).join(
        F.broadcast(paying), on=list(KEY), how="left"
    )
    begins, ends = F.col("calendar_begins"), F.col("calendar_ends")
    within = dated.withColumn("due_day", F.least(F.greatest("due_date", begins), ends))
    placed = within.join(F.broadcast(days.drop("is_open")), on=[*KEY, "due_day"], how="left")
    both_sepa = (
        (F.col("currency") == "EUR")
        & F.col("creditor_account").rlike(IBAN)
        & F.substring("creditor_account", 1, 2).isin(*SEPA)
        & F.col("debtor_account").rlike(IBAN)
        & F.substring("debtor_account", 1, 2).isin(*SEPA)
    )
    sepa = F.coalesce(both_sepa, F.lit(False))
    method = (
        F.when(F.col("is_at_once"), "immediate")
        .when(sepa & (F.coalesce("asked_method", F.lit("sepa")) == "sepa"), "sepa")
        .otherwise("transfer")
    )
    chosen = placed.select("*", sepa.alias("is_sepa"), method.alias("method"))
    first = (
        F.when(F.col("method") == "immediate", F.col("first_immediate"))
        .when(F.col("method") == "sepa", F.col("first_sepa"))
        .otherwise(F.col("first_transfer"))
    )
    value = F.when(F.col("is_at_once"), first).otherwise(F.greatest("moved_day", first))
    is_due = F.col("is_at_once") | (F.col("moved_day") <= F.col("last_day"))
    before = instructed.select("tenant_id", "payable_id", F.lit(True).alias("instructed_before"))
    judged = chosen.select("*", value.alias("value_date"), _reasons().alias("reasons")).join(
        before, on=["tenant_id", "payable_id"], how="left"
    )
    status = (
        F.when(F.col("instructed_before"), BEFORE)
        .when(F.size("reasons") > 0, WAITING)
        .when(~is_due, NOT_DUE)
        .otherwise(F.lit(NOW))
    )
    return _with_credit_notes(judged.select("*", status.alias("status")))


def _of_vendor(accepted: DataFrame, vendors: DataFrame, words: DataFrame) -> DataFrame:
    """Payables with what is known of their vendor, and the terms and way of paying that hold for them."""
    facts = vendors.select(
        "tenant_id", "vendor_id", F.lit(True).alias("vendor_known"), F.lower("status").alias("vendor_status"),
        F.col("terms").alias("vendor_terms"), _account_number().alias("creditor_account"),
        F.trim(F.regexp_replace(F.lower("payment_method"), r"\s+", " ")).alias("word"),
    )  # fmt: skip
    named = words.where(F.col("word") != "").drop("default_terms")
    defaults = words.where(F.col("word") == "").select("tenant_id", "default_terms")
    stated = F.coalesce(*(F.nullif(F.trim(name), F.lit("")) for name in ("terms", "vendor_terms")), "default_terms")
    return (
        accepted.select(
            "tenant_id", "payable_id", "vendor_id", "legal_entity_id", "invoice_number", "document_type", "invoice_date", "received_on",
            "currency", "terms", F.col("due_date").alias("invoice_due_date"), F.col("gross_amount").cast(AMOUNT).alias("amount"),
            "still_accepted",
        )
        .join(facts, on=["tenant_id", "vendor_id"], how="left")
        .join(F.broadcast(named), on=["tenant_id", "word"], how="left")
        .join(F.broadcast(defaults), on="tenant_id", how="left")
        .withColumn("stated_terms", stated)
    )  # fmt: skip


def _creditors(vendors: DataFrame) -> DataFrame:
    """Who is paid, as a payment file says it: tenant_id, vendor_id, creditor_name, creditor_account."""
    return vendors.select(
        "tenant_id",
        "vendor_id",
        F.col("legal_name").alias("creditor_name"),
        _account_number().alias("creditor_account"),
    )


def _account_number() -> Column:
    return F.nullif(F.upper(F.regexp_replace("iban", r"\s", "")), F.lit(""))


def _reasons() -> Column:
    """Every reason why a payable cannot be paid, in the order of REASONS."""
    account = F.col("creditor_account")
    usable = F.when(account.rlike(IBAN), _check_digits_agree(account)).otherwise(account.rlike(LOCAL_ACCOUNT))
    amount = F.col("amount")
    is_credit = _is_credit()
    in_coins = amount == in_minor_units(amount, F.col("currency"))
    found = {
        "vendor_unknown": F.col("vendor_known").isNull(),
        "vendor_blocked": F.coalesce(F.col("vendor_status"), F.lit("active")) != "active",
        "no_creditor_account": F.col("vendor_known").isNotNull() & account.isNull(),
        "creditor_account_invalid": ~usable,
        "no_paying_account": F.col("debtor_account").isNull(),
        "unknown_terms": F.col("due_date").isNull(),
        "unsupported_method": F.col("asked_method").isNull() & (F.coalesce("word", F.lit("")) != ""),
        "amount_not_payable": amount.isNull() | ~in_coins | (amount == 0) | (is_credit & (amount > 0)),
        "credit_note_left_open": is_credit & ~F.coalesce(F.col("nets_credit_notes"), F.lit(False)),
        "no_longer_accepted": ~F.col("still_accepted"),
    }
    return F.array_compact(F.array(*(F.when(holds, F.lit(reason)) for reason, holds in found.items())))


def _is_credit() -> Column:
    return (F.coalesce("document_type", F.lit("invoice")) == "credit_note") | (F.col("amount") < 0)


def _check_digits_agree(iban: Column) -> Column:
    """ISO 13616: the first four signs moved to the end, letters as 10 to 35, the whole modulo 97 is 1."""
    turned = F.concat(F.substring(iban, 5, 34), F.substring(iban, 1, 4))
    signs = F.transform(F.split(turned, "(?<=.)(?=.)"), lambda sign: F.conv(sign, 36, 10).cast("int"))
    rest = F.aggregate(
        signs, F.lit(0), lambda rest, value: (rest * F.when(value > 9, 100).otherwise(10) + value) % F.lit(97)
    )
    return rest == 1


def _with_credit_notes(rows: DataFrame) -> DataFrame:
    """Credit notes taken off the vendor's largest payment of the run where they leave something to pay; the others wait.

    Adds carrier_id: the payable whose payment a row is part of, its own for an invoice.
    """
    of_vendor = Window.partitionBy("tenant_id", "legal_entity_id", "vendor_id", "currency")
    ready = F.col("status").isin(NOW, NOT_DUE) & _is_credit()
    carrying = (F.col("status") == NOW) & ~_is_credit()
    payment = F.struct("amount", (-F.unix_date("value_date")).alias("soon"), "payable_id", "value_date", "method")
    netted = rows.select(
        "*",
        F.max(F.when(carrying, payment)).over(of_vendor).alias("carrier"),  # the largest; of equal ones the earliest
        F.sum(F.when(ready, F.col("amount"))).over(of_vendor).alias("credited"),
    )
    fits = F.coalesce(F.col("carrier.amount") + F.col("credited") > 0, F.lit(False))
    left_open = F.array_union("reasons", F.array(F.lit("credit_note_left_open")))
    return netted.select(
        *(column for column in rows.columns if column not in ("status", "reasons", "value_date", "method")),
        F.when(ready & fits, NOW).when(ready, WAITING).otherwise(F.col("status")).alias("status"),
        F.when(ready & ~fits, left_open).otherwise(F.col("reasons")).alias("reasons"),
        F.when(ready & fits, F.col("carrier.value_date")).otherwise(F.col("value_date")).alias("value_date"),
        F.when(ready & fits, F.col("carrier.method")).otherwise(F.col("method")).alias("method"),
        F.when(ready & fits, F.col("carrier.payable_id")).otherwise(F.col("payable_id")).alias("carrier_id"),
    )


def lines(outcomes: DataFrame, vendors: DataFrame, paying: DataFrame, created: datetime) -> DataFrame:
    """The instructions of a run with what their payment file says, account numbers and names too: these rows are never published.

    outcomes: OUTCOME. vendors, paying: as planned() takes them. created: what the files say of when they were made.
    Adds instruction_id, end_to_end_id and batch_id. A payable is instructed once in its life, so its instruction is named after it
    alone. A batch is named after everything its file says: one that differs in anything is another batch with another file.
    """
    now = outcomes.where(F.col("status") == NOW)
    told = now.join(_creditors(vendors), on=["tenant_id", "vendor_id"], how="left").join(
        F.broadcast(paying.select(*KEY, "debtor_name", "debtor_account", "debtor_bic")), on=list(KEY), how="left"
    )
    carried = told.withColumn("carried_by", natural_id("tenant_id", "carrier_id")).withColumn(
        "created", F.lit(created.isoformat())
    )
    named = carried.select(
        "*",
        natural_id("tenant_id", "payable_id").alias("instruction_id"),
        F.upper(F.substring("carried_by", 1, 35)).alias("end_to_end_id"),
    )
    says = natural_id(
        "end_to_end_id", "payable_id", "amount", "invoice_number", "creditor_name", "creditor_account", "is_sepa", "debtor_name",
        "debtor_account", "debtor_bic", "created",
    )  # fmt: skip
    grouped = ["tenant_id", "legal_entity_id", "currency", "method", "value_date"]
    batches = (
        named.select(*grouped, says.alias("line"))
        .groupBy(*grouped)
        .agg(F.sha2(F.array_join(F.sort_array(F.collect_set("line")), ""), 256).alias("content"))
        .select(*grouped, natural_id(*grouped, "content").alias("batch_id"))
    )
    return named.join(batches, on=grouped, how="inner")


def instructions(paid: DataFrame, day: date) -> DataFrame:
    """PAYMENT_INSTRUCTIONS without publication_id. paid: as lines() returns them. day: the first of the run's period."""
    columns = [field.name for field in PAYMENT_INSTRUCTIONS.schema.fields if field.name != "publication_id"]
    return paid.withColumn("period", F.lit(day)).select(*columns)


def batches(staged: DataFrame, outcomes: DataFrame, files: DataFrame, day: date) -> DataFrame:
    """PAYMENT_BATCHES without publication_id.

    staged: PAYMENT_INSTRUCTIONS. outcomes: OUTCOME. files: tenant_id, batch_id, file_name, content_sha256 of what was written.
    """
    columns = [field.name for field in PAYMENT_BATCHES.schema.fields if field.name != "publication_id"]
    key = ["tenant_id", "batch_id", "legal_entity_id", "currency", "method", "value_date"]
    ways = outcomes.select("tenant_id", "payable_id", "method")
    return (
        staged.join(ways, on=["tenant_id", "payable_id"], how="left")
        .groupBy(*key)
        .agg(
            F.countDistinct("end_to_end_id").cast(COUNT).alias("instruction_count"),
            F.sum("amount").cast(AMOUNT).alias("control_sum"),
        )
        .join(files, on=["tenant_id", "batch_id"], how="left")
        .withColumn("period", F.lit(day))
        .select(*columns)
    )


def batches_account(
    staged: DataFrame, instructed: DataFrame, found: DataFrame, published: DataFrame, paying: DataFrame, days: DataFrame
) -> DataFrame:
    """Every batch beside its instructions, beside what stands in its file, and beside the days on which it can be settled.

    staged, instructed: what the run has staged. found: as files.read_back() returns it. published: batches published so far.
    """
    key = ["tenant_id", "batch_id"]
    summed = instructed.groupBy(*key).agg(
        F.countDistinct("end_to_end_id").alias("instructions_found"),
        F.sum("amount").cast(AMOUNT).alias("instructions_sum"),
        F.countDistinct("currency", "value_date", "legal_entity_id").alias("kinds_of_instruction"),
    )
    known = published.select(*key, F.lit(1).alias("known_before"))
    settled = days.where("is_open").select(*KEY, F.col("due_day").alias("value_date"), F.lit(True).alias("is_business_day"))
    first = paying.select(*KEY, "first_sepa", "first_transfer", "first_immediate", "debtor_account")
    earliest = (
        F.when(F.col("method") == "immediate", F.col("first_immediate"))
        .when(F.col("method") == "sepa", F.col("first_sepa"))
        .otherwise(F.col("first_transfer"))
    )
    return (
        staged.join(summed, on=key, how="full_outer")
        .join(found, on=key, how="full_outer")
        .join(known, on=key, how="left")
        .join(F.broadcast(settled), on=[*KEY, "value_date"], how="left")
        .join(F.broadcast(first), on=list(KEY), how="left")
        .select("*", earliest.alias("earliest_day"))
        .withColumn("is_entitys_account", F.col("file_debtor_account") == F.col("debtor_account"))
        .drop("debtor_account", "file_debtor_account")
    )


def payables_account(accepted: DataFrame, outcomes: DataFrame, instructed: DataFrame, staged: DataFrame) -> DataFrame:
    """Every accepted payable with what became of it, and every staged instruction with the payable it pays.

    accepted: as planned() takes them. outcomes: OUTCOME of the run. instructed: published instructions. staged: this run's.
    Per payable the accepted amount stands in exactly one of before_amount, now_amount, not_due_amount and waiting_amount.
    """
    key = ["tenant_id", "payable_id"]
    named = staged.groupBy("tenant_id", "end_to_end_id").agg(
        F.sum((F.col("amount") > 0).cast("int")).alias("payments_of_that_name")
    )
    now = staged.join(named, on=["tenant_id", "end_to_end_id"], how="left").groupBy(*key).agg(
        F.count(F.lit(1)).alias("times_now"), F.sum("amount").cast(AMOUNT).alias("now_amount"), F.min("currency").alias("paid_currency"),
        F.max(F.length("end_to_end_id")).alias("name_length"), F.max("payments_of_that_name").alias("payments_of_that_name"),
    )  # fmt: skip
    before = instructed.groupBy(*key).agg(
        F.count(F.lit(1)).alias("times_before"), F.sum("amount").cast(AMOUNT).alias("before_amount")
    )
    became = outcomes.select(*key, "status", "reasons")
    amount = F.col("gross_amount").cast(AMOUNT)
    none = F.lit(0).cast(AMOUNT)
    amounts = {
        "before_amount": F.col("before_amount"),
        "now_amount": F.col("now_amount"),
        "not_due_amount": F.when(F.col("status") == NOT_DUE, F.col("accepted_amount")),
        "waiting_amount": F.when(F.col("status") == WAITING, F.col("accepted_amount")),
    }
    return (
        accepted.select(*key, "currency", amount.alias("accepted_amount"), "still_accepted", F.lit(1).alias("accepted"))
        .join(became, on=key, how="left")
        .join(before, on=key, how="left")
        .join(now, on=key, how="full_outer")
        .select(
            *key, "currency", "paid_currency", "accepted", "accepted_amount", "status", "reasons", "still_accepted", "name_length",
            "payments_of_that_name",
            F.coalesce("times_before", F.lit(0)).alias("times_before"), F.coalesce("times_now", F.lit(0)).alias("times_now"),
            *(F.coalesce(value, none).alias(name) for name, value in amounts.items()),
        )
    )  # fmt: skip

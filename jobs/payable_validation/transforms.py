"""Vendor invoices and what is known about them, to decisions with every reason.

All rules are evaluated in one select over one record per open payable. Only those that ask what came before (duplicates) are
evaluated after a window over all payables, because of two equal invoices the earlier one stands unless it is rejected anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from jobs.ledger.columns import AMOUNT, COUNT, QUANTITY
from jobs.ledger.money import exact_product
from jobs.ledger.periods import Period
from jobs.ledger.rules import ANY, Rule, columns_of, message_parts
from jobs.ledger.tenants import Tenant
from jobs.payable_validation.checks import CHECKS, with_answers
from jobs.payable_validation.record import COMPARED_LAST, RECORD
from jobs.payable_validation.tables import ACCEPT, DECISIONS, HOLD, REASONS, REJECT
from jobs.payable_validation.units import AMOUNTS, units

_REASON = T.StructType([field for field in REASONS.schema.fields if field.name in (
    "rule_id", "rule_version", "severity", "reason_code", "message", "evidence")])  # fmt: skip


def houses(spark: SparkSession, tenants: Mapping[str, Tenant]) -> DataFrame:
    """Per tenant what payables need of its configuration: tenant_id, timezone, tenant_line, first_entity, entity_of."""
    rows = [
        (name, tenant.timezone, tenant.business_line, tenant.legal_entities[0].id, entities(tenant))
        for name, tenant in tenants.items()
    ]
    return spark.createDataFrame(
        rows, "tenant_id string, timezone string, tenant_line string, first_entity string, entity_of map<string, string>"
    )


def entities(tenant: Tenant) -> dict[str, str]:
    """The legal entity that pays, by the countries a tenant's entities are in or serve."""
    countries = {country for entity in tenant.legal_entities for country in (entity.country, *entity.serves)}
    return {country: tenant.entity_of_country(country).id for country in sorted(countries)}


def received(payables: DataFrame, hour: Period) -> DataFrame:
    """The lines that had been received when the hour ended. payables: standing rows of raw.payables."""
    return payables.where(F.col("received_at") < F.lit(hour.ends.isoformat(sep=" ")).cast("timestamp"))


def decide(
    payables: DataFrame,
    vendors: DataFrame,
    purchase_orders: DataFrame,
    decisions: DataFrame,
    homes: DataFrame,
    rules: Sequence[Rule],
    hour: Period,
) -> DataFrame:
    """Decide every payable received before the end of the hour that is not finally decided.

    payables, vendors, purchase_orders: standing rows of raw. decisions: payables.decisions of earlier runs. homes: as houses()
    makes it. rules: validated; which of them apply to a payable is told by its business line, its country (where an entity of
    the tenant serves it) and its invoice date, or the day it was received where it has none.
    Returns the columns of DECISIONS without publication_id, and reasons (array of structs): one row per payable whose decision
    is new, or differs from the last one in decision, amounts or rules. Two payables come of one source where it has lines in
    two currencies, and where lines came after the decision; both are named, so that every line is decided exactly once.
    """
    lines = received(payables, hour)
    known = _with_vendor(units(lines, decisions, homes), vendors, hour)
    if _asked(rules, "po_"):
        known = _with_purchase_order(known, purchase_orders)
    for name in sorted(CHECKS):
        if _asked(rules, name):
            known = with_answers(known, name, _values(name, lines, vendors))
    there = {*known.columns, *COMPARED_LAST}
    unasked = {fact.name: F.lit(None).cast(fact.kind) for fact in RECORD.values() if fact.name not in there}
    known = known.withColumns(unasked | {"as_of": F.lit(hour.first_day)})
    return _decided(_judged(known, rules), rules, hour)


def _asked(rules: Sequence[Rule], prefix: str) -> bool:
    return any(name.startswith(prefix) for rule in rules for name in columns_of(rule) + _shown(rule))


def _shown(rule: Rule) -> tuple[str, ...]:
    return tuple(text for text, is_column in message_parts(rule.message) if is_column)


# --- what is known about it -------------------------------------------------------------------------------------------


def _with_vendor(units: DataFrame, vendors: DataFrame, hour: Period) -> DataFrame:
    """The vendor as the list knew it on the day of the run."""
    newest = Window.partitionBy("tenant_id", "vendor_id").orderBy(F.col("valid_from").desc(), "landing_id", "row_number")
    listed = (
        vendors.where(F.col("valid_from") <= F.lit(hour.first_day))
        .select("*", F.row_number().over(newest).alias("age"))
        .where(F.col("age") == 1)
        .select(
            "tenant_id",
            "vendor_id",
            F.lit(True).alias("is_listed"),
            F.col("status").alias("vendor_status"),
            F.col("country").alias("vendor_country"),
            F.col("iban").alias("vendor_iban"),
            F.col("tax_id").alias("vendor_tax_number"),
            F.col("iban_changed_at").alias("vendor_iban_changed_on"),
            F.col("terms").alias("vendor_terms"),
        )
    )
    joined = units.join(listed, on=["tenant_id", "vendor_id"], how="left")
    plain = {name: F.upper(F.regexp_replace(name, r"[\s-]", "")) for name in ("iban", "vendor_iban")}
    return joined.select(
        *(name for name in joined.columns if name not in ("is_listed", "terms", "vendor_terms")),
        F.coalesce("terms", "vendor_terms").alias("terms"),
        F.coalesce("is_listed", F.lit(False)).alias("vendor_known"),
        (plain["iban"] == plain["vendor_iban"]).alias("iban_agrees"),
        F.col("vendor_country").alias("tax_country"),
    )


def _with_purchase_order(known: DataFrame, purchase_orders: DataFrame) -> DataFrame:
    """What was ordered, as far as the order's lines agree on vendor and currency."""
    amount = F.sum(exact_product(F.col("quantity"), F.col("unit_price")))
    one_currency = F.min("currency").eqNullSafe(F.max("currency"))
    fitted = amount.try_cast(AMOUNT)
    ordered = purchase_orders.groupBy("tenant_id", "po_number").agg(
        F.when(F.min("vendor_id").eqNullSafe(F.max("vendor_id")), F.min("vendor_id")).alias("po_vendor_id"),
        F.when(one_currency, F.min("currency")).alias("po_currency"),
        F.when(one_currency, fitted).alias("po_amount"),
        F.lit(True).alias("is_ordered"),
    )
    joined = known.join(ordered, on=["tenant_id", "po_number"], how="left")
    po_known = F.when(F.col("po_number").isNotNull(), F.coalesce("is_ordered", F.lit(False)))
    return joined.withColumn("po_known", po_known).drop("is_ordered")


def _values(name: str, lines: DataFrame, vendors: DataFrame) -> list[DataFrame]:
    """Every value that a check can be asked about, with its country where the check wants one."""
    nowhere = F.lit(None).cast("string").alias("country")
    if name == "iban_valid":
        return [frame.select(nowhere, F.col("iban").alias("value")) for frame in (lines, vendors)]
    on_invoices = (
        lines.where(F.col("vendor_tax_id").isNotNull()).select("tenant_id", "vendor_id", "vendor_tax_id").distinct()
    )
    countries = vendors.select("tenant_id", "vendor_id", "country").distinct()
    printed = on_invoices.join(countries, on=["tenant_id", "vendor_id"], how="left")
    return [
        printed.select("country", F.col("vendor_tax_id").alias("value")),
        vendors.select("country", F.col("tax_id").alias("value")),
    ]


# --- what speaks against it -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """A rule with its place among the others."""

    at: int
    rule: Rule

    @property
    def asks_what_came_before(self) -> bool:
        return bool(COMPARED_LAST & {*columns_of(self.rule), *_shown(self.rule)})


def _applies(rule: Rule) -> Column:
    """Whether a rule is in force for a payable."""
    day = F.coalesce("invoice_date", "received_on")
    applies = day >= F.lit(rule.valid_from)
    if rule.valid_to is not None:
        applies = applies & (day < F.lit(rule.valid_to))
    if ANY not in rule.business_lines:
        applies = applies & F.col("business_line").isin(*rule.business_lines)
    if ANY not in rule.countries:
        applies = applies & F.col("country_served") & F.col("country").isin(*rule.countries)
    return applies


def _hits(asked: Sequence[_Asked]) -> Column:
    """The places of the rules that speak, in one array; it is made only where one does."""
    spoken = [F.when(_applies(one.rule) & F.expr(f"({one.rule.sql})"), F.lit(one.at)) for one in asked]
    nothing = F.array().cast("array<int>")
    if not spoken:
        return nothing
    return F.when(F.coalesce(*spoken, F.lit(None)).isNotNull(), F.array_compact(F.array(*spoken))).otherwise(nothing)


def _any(hits: Column, asked: Sequence[_Asked], severity: str) -> Column:
    places = [one.at for one in asked if one.rule.severity == severity]
    return F.arrays_overlap(hits, F.array(*(F.lit(at) for at in places))) if places else F.lit(False)


def _judged(known: DataFrame, rules: Sequence[Rule]) -> DataFrame:
    """The open payables with hits: which rules speak against each."""
    asked = [_Asked(at, rule) for at, rule in enumerate(rules)]
    at_once = [one for one in asked if not one.asks_what_came_before]
    later = [one for one in asked if one.asks_what_came_before]
    alone = known.withColumn("hits", F.when(F.col("is_open"), _hits(at_once)).otherwise(F.array().cast("array<int>")))
    if not later:
        return alone.where("is_open")
    number = F.ltrim(F.regexp_replace(F.upper("invoice_number"), "[^A-Z0-9]", ""), F.lit("0"))
    stands = F.col("accepted_gross").isNotNull()
    compared = F.when(stands, F.col("accepted_gross").try_cast(AMOUNT)).when(
        F.col("is_open") & (F.col("finals") == 0) & ~_any(F.col("hits"), at_once, REJECT), F.col("gross_amount")
    )
    comparable = compared.isNotNull() & F.col("vendor_id").isNotNull() & (F.length(number) > 0)
    keyed = alone.select(
        "*",
        F.when(comparable, F.struct("vendor_id", number.alias("number"), "currency", compared.alias("amount"))).alias(
            "same"
        ),
        F.when(~comparable, F.col("payable_id")).alias("alone"),  # null keys would all meet in one partition
        stands.alias("stands"),
        F.when(stands, F.col("base_id")).otherwise(F.col("payable_id")).alias("stands_as"),
    )
    equal = Window.partitionBy("tenant_id", "same", "alone").orderBy(F.col("stands").desc(), "received_at", "payable_id")
    placed = keyed.select(
        "*", F.row_number().over(equal).alias("place"), F.nth_value("stands_as", 1).over(equal).alias("earliest")
    )
    repeats = F.col("is_open") & (F.col("finals") == 0) & F.col("same").isNotNull() & (F.col("place") > 1)
    compared_with = placed.where("is_open").select(
        *(name for name in placed.columns if name not in ("same", "alone", "stands", "stands_as", "place", "earliest")),
        F.when(repeats, F.col("earliest")).alias("duplicate_of"),
        F.when(repeats, F.col("place") - 1).otherwise(0).cast("int").alias("duplicates_before"),
    )
    return compared_with.withColumn("hits", F.array_sort(F.concat("hits", _hits(later))))


def _decided(judged: DataFrame, rules: Sequence[Rule], hour: Period) -> DataFrame:
    """Decision and reasons of each payable, where they are new."""
    asked = [_Asked(at, rule) for at, rule in enumerate(rules)]
    hits = F.col("hits")
    decision = F.when(_any(hits, asked, REJECT), REJECT).when(_any(hits, asked, HOLD), HOLD).otherwise(ACCEPT)
    names = F.array(*(F.lit(one.rule.id) for one in asked))
    spoke = F.array_sort(F.transform(hits, lambda at: F.get(names, at)))
    told = judged.withColumns({"decision": decision, "rule_ids": spoke})
    same = (
        (F.col("last.payable_id") == F.col("payable_id"))
        & (F.col("last.decision") == F.col("decision"))
        & (F.col("last.rule_ids") == F.col("rule_ids"))
    )
    for name in AMOUNTS:
        same = same & F.col(f"last.was_{name}").eqNullSafe(F.col(name))
    news = told.where(~F.coalesce(same, F.lit(False)))
    applied = [F.when(_applies(one.rule), F.lit(f"{one.rule.id}:{one.rule.version}")) for one in asked]
    made = {
        "period": F.lit(hour.first_day),
        "decided_at": _moment(hour),
        "rules": F.sha2(F.concat_ws(",", *applied), 256),
        "reason_count": F.size("hits").cast(COUNT),
    }
    columns = [field.name for field in DECISIONS.schema.fields if field.name != "publication_id"]
    reasons = F.transform(hits, lambda at: _reason(at, asked)).cast(T.ArrayType(_REASON))
    return news.select(
        *(made[name].alias(name) if name in made else F.col(name) for name in columns), reasons.alias("reasons")
    )


def _moment(hour: Period) -> Column:
    """The hour; where an hour that is run again decides otherwise on what it held, the hour with a number that sorts behind it."""
    last, key = F.col("last.decided_at"), F.lit(hour.key)
    times = F.coalesce(F.split_part(last, F.lit("#"), F.lit(2)).try_cast("int"), F.lit(1)) + 1
    again = (F.col("last.payable_id") == F.col("payable_id")) & (F.split_part(last, F.lit("#"), F.lit(1)) == key)
    return F.when(again, F.concat(key, F.lit("#"), F.lpad(times.cast("string"), 2, "0"))).otherwise(key)


def _reason(at: Column, asked: Sequence[_Asked]) -> Column:
    """What the rule at a place says of the payable."""
    reason = F.lit(None)
    for one in reversed(asked):
        told = F.struct(
            F.lit(one.rule.id).alias("rule_id"),
            F.lit(one.rule.version).alias("rule_version"),
            F.lit(one.rule.severity).alias("severity"),
            F.lit(one.rule.reason_code).alias("reason_code"),
            _message(one.rule).alias("message"),
            _evidence(one.rule).alias("evidence"),
        )
        reason = F.when(at == one.at, told).otherwise(reason)
    return reason


def _message(rule: Rule) -> Column:
    return F.concat(*(_written(text) if is_column else F.lit(text) for text, is_column in message_parts(rule.message)))


def _written(name: str) -> Column:
    text = F.col(name).cast("string")
    if RECORD[name].kind.startswith("decimal"):
        text = F.regexp_replace(text, r"\.?0+$", "")
    return F.coalesce(text, F.lit("none"))


def _evidence(rule: Rule) -> Column:
    """The values of the columns that the rule names, as JSON; personal ones are left out."""
    shown = [name for name in columns_of(rule) if not RECORD[name].personal]
    if not shown:
        return F.lit("{}")
    return F.to_json(F.struct(*shown), {"ignoreNullFields": "false"})


# --- what was written -------------------------------------------------------------------------------------------------


def decisions_of(decided: DataFrame) -> DataFrame:
    """DECISIONS without publication_id."""
    return decided.drop("reasons")


def reasons_of(decided: DataFrame) -> DataFrame:
    """REASONS without publication_id: one row per decision and rule that spoke."""
    each = decided.select("tenant_id", "period", "payable_id", "decided_at", F.explode("reasons").alias("reason"))
    return each.select("tenant_id", "period", "payable_id", "decided_at", "reason.*")


def with_reason_counts(decisions: DataFrame, reasons: DataFrame) -> DataFrame:
    """Staged decisions beside the staged reasons counted by severity: reject_reasons, hold_reasons, warn_reasons."""
    key = ["tenant_id", "payable_id", "decided_at"]
    counted = reasons.groupBy(*key).agg(
        *(F.count_if(F.col("severity") == severity).alias(f"{severity}_reasons") for severity in (REJECT, HOLD, "warn"))
    )
    kept = decisions.withColumn("is_decision", F.lit(True))
    both = kept.join(counted, on=key, how="full_outer")
    zero = [F.coalesce(f"{severity}_reasons", F.lit(0)).alias(f"{severity}_reasons") for severity in (REJECT, HOLD, "warn")]
    return both.select(*(name for name in both.columns if not name.endswith("_reasons")), *zero)


def conservation(payables: DataFrame, decisions: DataFrame, hour: Period) -> DataFrame:
    """Received beside decided, per tenant and currency, exactly.

    payables: standing rows of raw.payables. decisions: published and staged. Of each payable its latest decision counts.
    Returns tenant_id, currency, received_payables, decided_payables (accepted + held + rejected), received_amount and
    decided_amount, differing_payables (sources whose own two sums differ) and example. A source of which a decision could not
    state its gross amount (it was rejected for that) has no amount on either side.
    """
    source = ["tenant_id", "source_id", "currency"]
    came = (
        received(payables, hour)
        .groupBy("tenant_id", F.coalesce("payable_id", "record_id").alias("source_id"), "currency")
        .agg(F.sum("gross_amount").cast(QUANTITY).alias("came_amount"), F.count(F.lit(1)).alias("came_lines"))
    )
    latest = Window.partitionBy("tenant_id", "payable_id").orderBy(F.col("decided_at").desc())
    current = decisions.select("*", F.row_number().over(latest).alias("age")).where(F.col("age") == 1)
    went = current.groupBy(*source).agg(
        F.sum(F.col("gross_amount").cast(QUANTITY)).cast(QUANTITY).alias("went_amount"),
        F.sum("line_count").alias("went_lines"),
        F.count_if(F.col("gross_amount").isNull()).alias("unstated"),
        F.count(F.when(F.col("decision").isin(ACCEPT, HOLD, REJECT), 1)).alias("decided"),
    )
    key = [F.col(f"c.{name}").eqNullSafe(F.col(f"w.{name}")) for name in source]
    both = came.alias("c").join(went.alias("w"), on=key, how="full_outer").select(
        *(F.coalesce(f"c.{name}", f"w.{name}").alias(name) for name in source),
        F.coalesce("came_lines", F.lit(0)).alias("came_lines"), F.coalesce("went_lines", F.lit(0)).alias("went_lines"),
        F.coalesce("decided", F.lit(0)).alias("decided"), F.coalesce("unstated", F.lit(0)).alias("unstated"),
        "came_amount", "went_amount",
    )  # fmt: skip
    zero = F.lit(0).cast(QUANTITY)
    stated = F.col("unstated") == 0
    differs = (
        (F.col("decided") == 0)
        | (F.col("came_lines") != F.col("went_lines"))
        | (stated & (F.coalesce("came_amount", zero) != F.coalesce("went_amount", zero)))
    )
    return both.groupBy("tenant_id", "currency").agg(
        F.count_if((F.col("came_lines") > 0) | (F.col("decided") > 0)).alias("received_payables"),
        F.count_if(F.col("decided") > 0).alias("decided_payables"),
        F.coalesce(F.sum(F.when(stated, F.col("came_amount"))), zero).cast(QUANTITY).alias("received_amount"),
        F.coalesce(F.sum(F.when(stated, F.col("went_amount"))), zero).cast(QUANTITY).alias("decided_amount"),
        F.count_if(differs).alias("differing_payables"),
        F.min(F.when(differs, F.col("source_id"))).alias("example"),
    )

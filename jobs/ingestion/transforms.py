"""Source rows to canonical rows: typed, with every reason why a row cannot be accepted, and told apart from its repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from jobs.ingestion.decode import MALFORMED
from jobs.ingestion.feeds import UNREVISED, FeedType
from jobs.ingestion.files import columns_of
from jobs.ingestion.settings import Settings
from jobs.ingestion.splitting import with_cuts
from jobs.ledger.columns import QUANTITY
from jobs.ledger.corrections import ACTIONS
from jobs.ledger.identity import natural_id
from jobs.ledger.money import finer, in_minor_units
from jobs.ledger.pricing import MODELS, parsed, refusals
from jobs.ledger.tenants import Column as Rule
from jobs.ledger.tenants import Mapping, known_timezones
from jobs.ledger.usage_parts import begins

ACCEPTED, QUARANTINED, DUPLICATE = "accepted", "quarantined", "duplicate"
REPEATED = "tenant_id string, landing_id string, row_number bigint, told string"  # as repetitions() returns them
CONFLICT, MOVED = "conflict", "moved"  # why a row that says something of an earlier one is quarantined
PARSED = "_parsed_parameters"
CURRENCY = "^[A-Z]{3}$"
COUNTRY = "^[A-Z]{2}$"
REGISTRATION_STATUSES = ("valid", "invalid", "in_check")  # what a registry says of a tax id
MONEY = {
    "bank_transactions": ("amount",),
    "open_items": ("original_amount", "open_amount"),
}  # feed -> amounts that are posted


def _no_reasons() -> Column:
    return F.array().cast("array<string>")


def mapped(
    rows: DataFrame,
    feed: FeedType,
    mapping: Mapping,
    settings: Settings,
    timezone: str,
    totals: int,
    zones: DataFrame | None = None,
) -> DataFrame:
    """Apply a mapping to decoded source rows, whatever their values are worth.

    rows: as decode.decoded returns them. timezone: in which the tenant's months are billed. totals: how many control totals
    the result has room for; the mapping's own come first, the rest is null. zones: as splitting.with_cuts() asks for them.
    Returns tenant_id, landing_id, row_number, the feed's canonical columns (null where unusable), the month it belongs to
    (period) where the feed has months, what splitting.with_cuts() adds to usage, reasons (why columns are unusable; empty where all
    are well formed), _malformed, source_row (JSON without personal columns) and total_<n> (decimal).
    Nothing is dropped: every source row comes back once.
    """
    texts = {field.name: _text(mapping.columns.get(field.name), mapping) for field in feed.columns}
    for name, value in feed.defaults.items():
        if name not in mapping.columns:
            texts[name] = F.lit(value)
        elif name in UNREVISED:  # compared as a null, such a record would neither conflict nor count
            texts[name] = F.coalesce(texts[name], F.lit(value))
    staged = rows.select(
        "tenant_id", "landing_id", "row_number", MALFORMED,
        *(text.alias(f"text_{name}") for name, text in texts.items()),
        _source_row(rows, feed, mapping).alias("source_row"),
        *(_total(mapping, at).alias(f"total_{at}") for at in range(totals)),
    )  # fmt: skip
    typed = staged.select("*", *(_typed(field, mapping).alias(field.name) for field in feed.columns))
    if feed.may_be_identified_by_content and "record_id" not in mapping.columns:
        typed = _identified_by_content(typed, feed, mapping)
    exact = _columns_that_fit(staged) if mapping.format == "parquet" else frozenset()
    reasons = [F.col(MALFORMED), *(_reasons(field, feed, field.name in exact) for field in feed.columns)]
    found = F.when(
        F.coalesce(*reasons).isNotNull(), F.array_compact(F.array(*reasons))
    )  # the array is made for bad rows only
    judged = typed.withColumn(
        "reasons",
        F.when(F.col(MALFORMED).isNotNull(), F.array(F.col(MALFORMED))).otherwise(F.coalesce(found, _no_reasons())),
    )
    if feed.name == "usage":
        judged = with_cuts(judged, timezone, zones, settings.longest_usage_days)
    elif feed.month_of is not None:
        judged = judged.withColumn("period", F.trunc(_local_day(feed, timezone), "month"))
    return judged.drop(*(f"text_{name}" for name in texts))


def canonical(mapped_rows: Sequence[DataFrame], feed: FeedType, settings: Settings) -> DataFrame:
    """The rows of a feed, by whichever mapping they came, with all reasons why they cannot be accepted.

    mapped_rows: as mapped() returns them, one for every mapping. What a record may not say is asked of all of them together: a plan
    that asked it of each again would take longer to make than to run.
    Returns their columns without _malformed.
    """
    rows = reduce(DataFrame.unionByName, mapped_rows)
    if feed.name == "prices":
        rows = rows.withColumn(PARSED, parsed(F.col("parameters")))
    if domain := _domain_reasons(feed, settings):
        found = F.col(MALFORMED).isNull() & F.coalesce(*domain).isNotNull()
        told = F.concat("reasons", F.array_compact(F.array(*domain)))
        rows = rows.withColumn("reasons", F.when(found, told).otherwise(F.col("reasons")))
    return rows.drop(MALFORMED, PARSED)


def _local_day(feed: FeedType, timezone: str) -> Column:
    """The day that decides the month of a row, as the tenant's clocks show it."""
    moment = F.col(str(feed.month_of))
    if feed.table.schema[str(feed.month_of)].dataType == T.DateType():
        return moment
    return F.to_date(F.from_utc_timestamp(moment, timezone) if timezone != "UTC" else moment)


def _total(mapping: Mapping, at: int) -> Column:
    """The value that a row adds to the mapping's control total number `at`."""
    names = mapping.control_totals
    return F.expr(f"try_cast(`{names[at]}` AS DECIMAL(38,21))") if at < len(names) else F.lit(None).cast(QUANTITY)


def _text(rule: Rule | str | None, mapping: Mapping) -> Column:
    """The value a canonical column is made from, null where the source says nothing."""
    if rule is None:
        return F.lit(None).cast("string")
    if isinstance(rule, str):
        rule = Rule(source=rule)
    if rule.constant is not None:
        return F.lit(rule.constant)
    value = F.expr(rule.sql) if rule.sql is not None else F.col(f"`{rule.source}`")
    shown = value if mapping.format == "parquet" and rule.map is None else F.trim(value.cast("string"))
    if mapping.format != "parquet":
        shown = F.when(~shown.isin(*mapping.null_values), shown) if mapping.null_values else shown
    if rule.map is not None:
        pairs = F.create_map(*(F.lit(text) for pair in rule.map.items() for text in pair))
        shown = F.when(shown.isNotNull(), F.coalesce(F.try_element_at(pairs, shown), F.concat(F.lit("\0"), shown)))
    return shown


def _typed(field: T.StructField, mapping: Mapping) -> Column:
    """A canonical column from its text; null where the text does not fit its type."""
    text = F.col(f"text_{field.name}")
    rule = mapping.columns.get(field.name)
    pattern = rule.format if isinstance(rule, Rule) else None
    if isinstance(field.dataType, T.StringType):
        value = text.cast("string")
        return F.when(~value.startswith("\0"), value)
    if isinstance(field.dataType, T.TimestampType):
        moment = F.try_to_timestamp(text, F.lit(pattern)) if pattern else F.expr(f"try_cast(text_{field.name} AS TIMESTAMP)")
        if mapping.timezone == "UTC":
            return moment
        carries_zone = F.lit(any(sign in pattern for sign in "XxVzZO")) if pattern else _carries_zone(text)
        return F.when(carries_zone, moment).otherwise(F.to_utc_timestamp(moment, mapping.timezone))
    if isinstance(field.dataType, T.DateType) and pattern:
        return F.to_date(F.try_to_timestamp(text, F.lit(pattern)))
    return F.expr(f"try_cast(text_{field.name} AS {field.dataType.simpleString()})")


def _carries_zone(text: Column) -> Column:
    """Whether a time names its own zone or offset, as text does behind the minutes, and as an instant of a Parquet file is."""
    written = text.cast("string").rlike(r"\d:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|[A-Za-z][A-Za-z_/]*|[+-]\d{1,2}(:?\d{2}){0,2})$")
    return (F.typeof(text) == "timestamp") | written


def _columns_that_fit(staged: DataFrame) -> frozenset[str]:
    """The columns whose Parquet type has no more decimals than ours, so that no value has to be looked at."""
    fits = (
        field.name.removeprefix("text_")
        for field in staged.schema.fields
        if isinstance(field.dataType, T.IntegralType)
        or (isinstance(field.dataType, T.DecimalType) and field.dataType.scale <= QUANTITY.scale)
    )
    return frozenset(fits)


def _reasons(field: T.StructField, feed: FeedType, fits: bool) -> Column:
    """Why one column of a row is not usable; null when it is. Reasons name columns, never values. fits: no decimal can be lost."""
    text, name = F.col(f"text_{field.name}"), field.name
    required = name in feed.required or name in feed.key
    told = F.lit(None).cast("string")
    if isinstance(field.dataType, T.StringType):
        told = F.when(text.cast("string").startswith("\0"), F.lit(f"{name}: not in the mapping's list"))
    else:
        kind = {
            "decimal": "number that fits",
            "timestamp": "time",
            "date": "date",
            "int": "whole number",
            "boolean": "yes or no",
        }
        what = next((word for key, word in kind.items() if field.dataType.simpleString().startswith(key)), "value")
        told = F.when(text.isNotNull() & F.col(name).isNull(), F.lit(f"{name}: not a {what}"))
    if isinstance(field.dataType, T.DecimalType) and not fits:
        narrowed = finer(text.cast("string"), field.dataType.scale)
        told = F.coalesce(told, F.when(narrowed, F.lit(f"{name}: more than {field.dataType.scale} decimals")))
    if required:
        missing = text.isNull() if name != "record_id" else F.col("record_id").isNull() & text.isNull()
        told = F.coalesce(F.when(missing, F.lit(f"{name}: missing")), told)
    if name.endswith("currency"):
        told = F.coalesce(told, F.when(~F.col(name).rlike(CURRENCY), F.lit(f"{name}: not an ISO 4217 code")))
    if name == "timezone":
        told = F.coalesce(
            told, F.when(~F.col(name).isin(*sorted(known_timezones())), F.lit("timezone: not an IANA time zone"))
        )
    if name == "country":
        told = F.coalesce(told, F.when(~F.col(name).rlike(COUNTRY), F.lit("country: not an ISO 3166 code")))
    return told


def _domain_reasons(feed: FeedType, settings: Settings) -> list[Column]:
    """What a record may not say although each of its columns is well formed."""
    if feed.name == "usage":
        start = F.to_date("usage_start")
        outside = (start < F.lit(settings.earliest_usage)) | (start > F.lit(settings.latest_usage))
        window = f"usage_start: outside {settings.earliest_usage} to {settings.latest_usage}"
        backwards = F.col("usage_end") < F.col("usage_start")
        longest = settings.longest_usage_days
        large = {"quantity": 10**16, "unit_price": 10**13}  # so that it multiplies, and is shared out, to the last digit
        unpriced = F.col("unit_price").isNotNull() & F.col("currency").isNull()
        return [
            F.when(outside, F.lit(window)),
            F.when(backwards, F.lit("usage_end: before usage_start")),
            F.when(
                F.datediff("usage_end", "usage_start") > longest,
                F.lit(f"usage_end: more than {longest} days after usage_start"),
            ),
            F.when(unpriced, F.lit("currency: missing beside a unit_price")),
            *(
                F.when(F.abs(name) >= F.lit(limit).cast(QUANTITY), F.lit(f"{name}: too large"))
                for name, limit in large.items()
            ),
        ]
    if feed.name == "fx_rates":
        return [
            F.when(F.col("rate") <= 0, F.lit("rate: not above 0")),
            F.when(F.col("rate") >= F.lit(10**13).cast(QUANTITY), F.lit("rate: too large")),
            F.when(F.col("base_currency") == F.col("quote_currency"), F.lit("quote_currency: the same as base_currency")),
        ]
    if feed.name == "invoice_corrections":
        amount, share, action = F.col("amount"), F.col("share"), F.col("action")
        told = amount.isNotNull().cast("int") + share.isNotNull().cast("int")
        number, month = F.col("invoice_number"), F.col("month")
        of_month = (action == "rebill") & month.isNotNull()
        asked_in = F.date_format("requested_on", "yyyy-MM")
        return [
            F.when(number.isNull() & ~of_month, F.lit("invoice_number: missing")),
            F.when(month.isNotNull() & (action != "rebill"), F.lit("month: only a rebill is of a whole month")),
            F.when(of_month & number.isNotNull(), F.lit("month: beside an invoice_number")),
            F.when(~month.rlike(r"^[0-9]{4}-(0[1-9]|1[0-2])$"), F.lit("month: not a month like 2026-03")),
            F.when(month >= asked_in, F.lit("month: not over when it was asked for")),
            F.when(~action.isin(*ACTIONS), F.lit(f"action: not one of {', '.join(ACTIONS)}")),
            F.when(amount <= 0, F.lit("amount: not above 0")),
            F.when(amount >= F.lit(10**15).cast(QUANTITY), F.lit("amount: too large")),
            F.when((share <= 0) | (share > 1), F.lit("share: not above 0 and at most 1")),
            F.when((action == "credit") & (told != 1), F.lit("amount: a credit needs an amount or a share, and not both")),
            F.when(
                (action == "debit") & (amount.isNull() | share.isNotNull()), F.lit("amount: a debit needs one, and no share")
            ),
            F.when(
                (action == "cancel") & ((told > 0) | F.col("line_no").isNotNull()),
                F.lit("action: what is cancelled is cancelled in full"),
            ),
            F.when(
                (action == "rebill") & ((told > 0) | F.col("line_no").isNotNull()),
                F.lit("action: a rebill has neither amount nor share nor line; it finds them"),
            ),
            F.when(
                (action == "write_off") & (share.isNotNull() | F.col("line_no").isNotNull()),
                F.lit("action: a write-off has neither share nor line"),
            ),
        ]
    if feed.name == "tax_rates":
        return [
            F.when((F.col("rate") < 0) | (F.col("rate") >= 1), F.lit("rate: not a share from 0 to below 1")),
            F.when(F.col("valid_to") <= F.col("valid_from"), F.lit("valid_to: not after valid_from")),
        ]
    if feed.name == "tax_registrations":
        known = F.col("status").isin(*REGISTRATION_STATUSES)
        return [F.when(~known, F.lit(f"status: not one of {', '.join(REGISTRATION_STATUSES)}"))]
    if feed.name == "credits":
        products = F.from_json("products", "array<string>")
        listed = F.coalesce((F.size(products) > 0) & ~F.exists(products, lambda one: one.isNull()), F.lit(False))
        return [
            _unpayable("amount"),
            F.when(F.col("amount") <= 0, F.lit("amount: not above 0")),
            F.when(F.col("valid_to") <= F.col("valid_from"), F.lit("valid_to: not after valid_from")),
            F.when(F.col("products").isNotNull() & ~listed, F.lit("products: not a JSON list of product ids")),
        ]
    if feed.name in MONEY:
        return [_unpayable(name) for name in MONEY[feed.name]]
    if feed.name == "prices":
        known = F.col("model").isin(*MODELS)
        return [
            F.when(~known, F.lit(f"model: not one of {', '.join(MODELS)}")),
            *refusals(F.col("model"), F.col("parameters"), F.col(PARSED)),
            F.when(F.col("valid_to") <= F.col("valid_from"), F.lit("valid_to: not after valid_from")),
        ]
    return []


def _unpayable(name: str) -> Column:
    """Money that was moved or is owed has no more decimals than its currency, and fits into the journal."""
    amount, currency = F.col(name), F.col("currency")
    finer = amount != in_minor_units(amount, currency)
    large = F.abs(amount) >= F.lit(10**15).cast(QUANTITY.simpleString())
    return F.when(finer, F.lit(f"{name}: more decimals than its currency has")).when(large, F.lit(f"{name}: too large"))


def _content(feed: FeedType, without: Sequence[str] = ()) -> Column:
    """What a record says, length-prefixed so that no two records say the same by accident."""
    return natural_id(*(field.name for field in feed.columns if field.name not in without))


def _identified_by_content(typed: DataFrame, feed: FeedType, mapping: Mapping) -> DataFrame:
    """Give rows without an id of their own one that another delivery of the same content would give them again.

    count_once: equal rows are one record. count_each: the n-th of several equal rows of a tenant's file is the n-th record.
    """
    content = typed.withColumn("record_id", _content(feed, without=("record_id",)))
    if mapping.equal_rows == "count_once":
        return content
    within = Window.partitionBy("tenant_id", "landing_id", "record_id").orderBy("row_number")
    occurrence = F.row_number().over(within).cast("string")
    return content.withColumn("record_id", F.concat_ws("-", F.col("record_id"), occurrence))


def suspects(new: DataFrame, existing: DataFrame, feed: FeedType) -> DataFrame:
    """The keys that occur more than once among new rows, or in earlier runs already. One row per key.

    Unusable rows are counted in: leaving them out would mean judging every row before its key is looked at.
    """
    key = ["tenant_id", *feed.key]
    keys = new.select(*key)
    repeated = keys.groupBy(*key).agg(F.count(F.lit(1)).alias("times")).where(F.col("times") > 1).select(*key)
    again = keys.join(existing.select(*key), on=key, how="left_semi")
    return repeated.unionByName(again).distinct()


def repetitions(new: DataFrame, existing: DataFrame, doubtful: DataFrame, feed: FeedType, order: DataFrame) -> DataFrame:
    """Of the usable new rows those that do not count: tenant_id, landing_id, row_number, told (duplicate | conflict | moved).

    new: canonical rows. existing: accepted rows of the same feed, from earlier runs. doubtful: as suspects() returns them.
    order: landing_id, file_order. A record counts once: a row equal to one before it is a duplicate; a row that says
    something else under the same key and brings no higher revision is a conflict; one that moves its record to other months
    would be billed in all of them, since months are billed apart. "Before" is by file, then row number.
    Only doubtful keys are compared; on clean data nothing wide is shuffled.
    """
    key = ["tenant_id", *feed.key]

    def compared(rows: DataFrame) -> DataFrame:
        revision = F.col("revision") if "revision" in feed.table.schema.names else F.lit(0)
        month = F.array(F.col("period")) if feed.month_of else F.lit(None).cast("array<date>")
        if feed.name == "usage":
            month = F.array(F.col("period"), F.coalesce("part_of.last_period", "period"))
        place = ("landing_id", "row_number", "file_order")
        return rows.select(
            *key, *place, revision.alias("revision_compared"), month.alias("month"), _content(feed).alias("content")
        )

    doubted = new.join(doubtful, on=key, how="left_semi").where(F.size("reasons") == 0)
    earlier = existing.join(doubtful, on=key, how="left_semi").withColumn("file_order", F.lit(-1))
    turn = Window.partitionBy(*key).orderBy("file_order", "landing_id", "row_number")
    same = Window.partitionBy(*key, "content").orderBy("file_order", "landing_id", "row_number")
    highest = F.max("revision_compared").over(turn.rowsBetween(Window.unboundedPreceding, -1))
    first_month = F.min_by("month", F.struct("file_order", "landing_id", "row_number")).over(Window.partitionBy(*key))
    told = (
        F.when(F.row_number().over(same) > 1, DUPLICATE)
        .when(F.col("revision_compared") <= highest, CONFLICT)
        .when(F.col("month") != first_month, MOVED)
    )
    return (
        compared(doubted.join(F.broadcast(order), on="landing_id", how="inner"))
        .unionByName(compared(earlier))
        .select("tenant_id", "landing_id", "row_number", "file_order", told.alias("told"))
        .where((F.col("file_order") >= 0) & F.col("told").isNotNull())
        .drop("file_order")
    )


def with_verdicts(new: DataFrame, repeated: DataFrame, feed: FeedType) -> DataFrame:
    """Tell accepted rows, quarantined rows and exact duplicates apart, in a column `verdict`; a conflict or a move becomes a reason.

    new: canonical rows. repeated: as repetitions() returns them.
    """
    joined = new.join(repeated, on=["tenant_id", "landing_id", "row_number"], how="left")
    conflict = F.array(F.lit(f"{feed.key[0]}: landed before with other content, and the revision is not higher"))
    moved = F.array(
        F.lit(
            f"{feed.month_of}: begins or ends in another month than the record it corrects; withdraw that one by its own times and send a new one"
        )
    )
    wrong = (F.size("reasons") > 0) | F.col("told").isin(CONFLICT, MOVED)
    verdict = F.when(wrong, QUARANTINED).otherwise(F.coalesce("told", F.lit(ACCEPTED)))
    reasons = F.when(F.col("told") == CONFLICT, conflict).when(F.col("told") == MOVED, moved).otherwise(F.col("reasons"))
    return joined.withColumns({"verdict": verdict, "reasons": reasons}).drop("told")


def _source_row(rows: DataFrame, feed: FeedType, mapping: Mapping) -> Column:
    """The source row for the quarantine, as JSON; of a personal column only whether it was filled."""
    personal = set()
    for name, rule in mapping.columns.items():
        if name in feed.table.personal:
            personal |= set(columns_of(rule))
    shown = []
    for name in rows.columns:
        if name in ("tenant_id", "landing_id", "row_number", MALFORMED):
            continue
        value = F.col(f"`{name}`")
        shown.append(
            (F.when(value.isNotNull(), F.lit("(personal)")) if name in personal else value.cast("string")).alias(name)
        )
    return F.to_json(F.struct(*shown)) if shown else F.lit("{}")


def read_counts(rows: DataFrame, totals: int) -> DataFrame:
    """Per landing: records read, and the exact sum of each control column over all of them, good or bad."""
    sums = [F.sum(f"total_{at}").cast(QUANTITY).alias(f"total_{at}") for at in range(totals)]
    return rows.groupBy("landing_id").agg(F.count(F.lit(1)).alias("rows_read"), *sums)


def waiting(accepted: DataFrame, frozen: DataFrame) -> DataFrame:
    """Accepted usage of months that were already invoiced. frozen: tenant_id, period."""
    late = accepted.join(F.broadcast(frozen), on=["tenant_id", "period"], how="left_semi")
    reason = F.lit("came after its month was invoiced; the next run of an open month adjusts it")
    said, source = ["tenant_id", "period", "record_id", "revision", "account_id", "product_id"], ["landing_id", "row_number"]
    of_month = late.groupBy(*said, *source).agg(F.sum("quantity").cast(QUANTITY).alias("quantity"))  # all parts of a record
    return of_month.select(*said, "quantity", reason.alias("reason"), *source)


def usage_account(usage: DataFrame, rolled_up: DataFrame, landed_files: DataFrame) -> DataFrame:
    """Per tenant, in one pass over the staged usage: what was accepted, beside what the files' accounts and the rollup say.

    Returns tenant_id, rows_staged, rows_told, rows_rolled, records_staged (a record in parts is one), records (distinct record and
    revision), unusable (a required column is null), quantity_staged, quantity_rolled; 0 where there is none.
    """
    required = ("record_id", "account_id", "product_id", "usage_start", "quantity", "period")
    unusable = F.lit(False)
    for name in required:
        unusable = unusable | F.col(name).isNull()
    staged = usage.groupBy("tenant_id").agg(
        F.count(F.lit(1)).alias("rows_staged"),
        F.count(F.when(begins(), 1)).alias("records_staged"),
        F.countDistinct("record_id", "revision").alias("records"),
        F.sum(F.when(unusable, 1).otherwise(0)).alias("unusable"),
        F.sum("quantity").cast(QUANTITY).alias("quantity_staged"),
    )
    rolled = rolled_up.groupBy("tenant_id").agg(
        F.sum("usage_rows").alias("rows_rolled"), F.sum("quantity").cast(QUANTITY).alias("quantity_rolled")
    )
    told = landed_files.where(F.col("feed") == "usage").groupBy("tenant_id").agg(F.sum("rows_accepted").alias("rows_told"))
    every = told.join(staged, on="tenant_id", how="full_outer").join(rolled, on="tenant_id", how="full_outer")
    counts = ("rows_staged", "rows_told", "rows_rolled", "records_staged", "records", "unusable")
    counted = [F.coalesce(name, F.lit(0)).alias(name) for name in counts]
    nothing = F.lit(0).cast(QUANTITY)
    summed = [F.coalesce(name, nothing).alias(name) for name in ("quantity_staged", "quantity_rolled")]
    return every.select("tenant_id", *counted, *summed)

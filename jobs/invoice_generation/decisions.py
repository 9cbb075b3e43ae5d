"""The tax of every line, or why it is held: rules are asked in one pass, rates are looked up after; amounts come later (amounts.py)."""

from __future__ import annotations

import json
from collections.abc import Iterable

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.invoice_generation.customers import is_exempt
from jobs.ledger.columns import RATE
from jobs.ledger.rules import message_parts
from jobs.ledger.taxes import FED, STANDARD, Taxes, TaxPolicy, TaxRule

EVERYBODY = "*"  # the owner of a rate that the configuration holds for all tenants
COMPONENTS = f"array<struct<component: string, rate: {RATE.simpleString()}>>"
RULES = (
    f"rule_no int, tax_rule string, tax_category string, fixed_rate {RATE.simpleString()}, rate_table string, place_column string, missing "
    "string, component string, exemption_code string, exemption_reason string, rule_hold string"
)
RATES = (  # all rates of a place, of every class and time
    "owner string, rate_table string, place string, rates array<struct<tax_class: string, component: string, "
    f"rate: {RATE.simpleString()}, valid_from: date, valid_to: date>>"
)
DECIDED = ("tax_category", "tax_rate", "tax_rule", "tax_reason", "components", "exemption_code", "exemption_reason")
LOOKED_UP = ("owner", "rate_table", "place")


def rates(spark: SparkSession, taxes: Taxes, policies: Iterable[str], fed: DataFrame) -> DataFrame:
    """What may be charged, RATES: of the tables that the policies look into, and of the feed.

    fed: standing rows of raw.tax_rates; of a revised one the highest revision counts. A rate of the feed ends where the next one of
    its jurisdiction, class and component begins, at the latest.
    """
    rows = []
    for table in sorted({table for name in policies for table in taxes.policy(name).tables} - {FED}):
        places: dict[str, list[tuple[object, ...]]] = {}
        for one in taxes.tables[table].rates:
            places.setdefault(one.place, []).append((one.tax_class, one.component, one.rate, one.valid_from, one.valid_to))
        rows += [(EVERYBODY, table, place, told) for place, told in places.items()]
    key = ["tenant_id", "jurisdiction", "tax_class", "component", "valid_from"]
    newest = Window.partitionBy(*key).orderBy(
        F.coalesce("revision", F.lit(0)).desc(), F.col("landing_id").desc(), F.col("row_number").desc()
    )
    standing = fed.withColumn("age", F.row_number().over(newest)).where(
        (F.col("age") == 1) & ~F.coalesce("withdrawn", F.lit(False))
    )
    following = F.lead("valid_from").over(Window.partitionBy(*key[:-1]).orderBy("valid_from"))
    part = F.struct(
        "tax_class", "component", F.col("rate").cast(RATE).alias("rate"), "valid_from",
        F.least("valid_to", "following").alias("valid_to"),
    )  # fmt: skip
    delivered = (
        standing.withColumn("following", following)
        .groupBy(F.col("tenant_id").alias("owner"), F.lit(FED).alias("rate_table"), F.col("jurisdiction").alias("place"))
        .agg(F.array_sort(F.collect_set(part)).alias("rates"))
    )
    return spark.createDataFrame(rows, RATES).unionByName(delivered)


def decided(lines: DataFrame, spark: SparkSession, taxes: Taxes, policies: Iterable[str], charged: DataFrame) -> DataFrame:
    """Lines with their tax, or the reason why they are held.

    lines: charges with their seller (tax_policy, seller_country, seller_region), their customer (customers.OF_A_CUSTOMER), tax_day,
    tax_class and supply. policies: those that the sellers go by. charged: as rates() returns them.
    Adds DECIDED, exempt, and hold_code and hold_reason, null where nothing holds the line. components: the parts of the tax with
    their rates, in the order of their names; of an untaxed line one part at a rate of nothing; of a held line none.
    """
    rules = [(name, taxes.policy(name), rule) for name in sorted(set(policies)) for rule in taxes.policy(name).rules]
    known = lines.withColumn("exempt", is_exempt(F.col("tax_day")))
    asked = known.withColumn("rule_no", _first_that_fits(rules))
    told = spark.createDataFrame([_told(number, *rule) for number, rule in enumerate(rules)], RULES)
    ruled = asked.join(F.broadcast(told), on="rule_no", how="left").withColumns(
        {
            "rule_reason": _reason(rules),
            "owner": F.when(F.col("rate_table") == FED, F.col("tenant_id")).otherwise(EVERYBODY),
            "place": _looked_up_at(rules),
        }
    )
    fixed = F.array(F.struct(F.col("component").alias("component"), F.col("fixed_rate").alias("rate"))).cast(COMPONENTS)
    components = (
        F.when(F.col("fixed_rate").isNotNull(), fixed)
        .when(F.size("own_rates") > 0, F.col("own_rates"))
        .when(F.size("standard_rates") > 0, F.col("standard_rates"))
    )
    # The rates of the class go before those of the standard one. Columns of their own: what is told twice is computed twice.
    found = ruled.join(F.broadcast(charged), on=list(LOOKED_UP), how="left").withColumns(
        {"own_rates": _in_force(F.col("tax_class")), "standard_rates": _in_force(F.lit(STANDARD))}
    )
    whole = found.withColumn("components", components)
    rate = F.aggregate("components", F.lit(0).cast(RATE), lambda sofar, part: (sofar + part["rate"]).cast(RATE))
    unruled = F.col("rule_no").isNull()
    unrated = F.col("rule_hold").isNull() & F.col("components").isNull()
    hold = (
        F.when(F.col("tax_policy").isNull(), "no_seller")
        .when(unruled, "no_rule")
        .when(F.col("rule_hold").isNotNull(), F.col("rule_hold"))
        .when(unrated, F.col("missing"))
    )
    why = (
        F.when(F.col("tax_policy").isNull(), "no legal entity of the tenant sells this product there")
        .when(unruled, F.concat(F.lit("no rule of "), F.col("tax_policy"), F.lit(" fits the line")))
        .when(F.col("rule_hold").isNotNull(), F.col("rule_reason"))
        .when(unrated, F.concat(F.lit("no rate of "), "rate_table", F.lit(" at "), F.coalesce("place", F.lit("an unknown place")),
                                F.lit(" for "), "tax_class", F.lit(" on "), F.col("tax_day").cast("string")))
    )  # fmt: skip
    # What a table taxes at nothing is zero rated: a category S has a rate (EN 16931 BR-S-05).
    category = F.when((F.col("tax_category") == "S") & (rate == 0), "Z").otherwise(F.col("tax_category"))
    return whole.select(
        *known.columns, category.alias("tax_category"), F.when(F.col("components").isNotNull(), rate).alias("tax_rate"), "tax_rule",
        F.col("rule_reason").alias("tax_reason"), "components", "exemption_code", "exemption_reason", hold.alias("hold_code"),
        why.alias("hold_reason"),
    )  # fmt: skip


Asked = tuple[str, TaxPolicy, TaxRule]


def _first_that_fits(rules: list[Asked]) -> Column:
    """The number of the first rule of a line's policy that holds on its tax point and whose condition is true; null for none."""
    chosen = None
    for number, (name, _, rule) in enumerate(rules):
        fits = (F.col("tax_policy") == name) & (F.col("tax_day") >= F.lit(rule.valid_from))
        if rule.valid_to is not None:
            fits = fits & (F.col("tax_day") < F.lit(rule.valid_to))
        if rule.when is not None:
            fits = fits & F.expr(f"({rule.when})")
        chosen = F.when(fits, F.lit(number)) if chosen is None else chosen.when(fits, F.lit(number))
    return F.lit(None).cast("int") if chosen is None else chosen


def _told(number: int, name: str, policy: TaxPolicy, rule: TaxRule) -> tuple[object, ...]:
    return (
        number, f"{name}/{rule.id}", rule.category, rule.rate, rule.rates, rule.place if rule.rates else None, rule.missing,
        rule.component or policy.component, rule.exemption_code, rule.exemption_reason, rule.hold,
    )  # fmt: skip


def _reason(rules: list[Asked]) -> Column:
    """The reason of each line's rule in words."""
    templates = F.from_json(F.lit(json.dumps([rule.reason for _, _, rule in rules])), "array<string>")
    told = F.get(templates, F.col("rule_no"))
    shown = sorted({part for _, _, rule in rules for part, is_column in message_parts(rule.reason) if is_column})
    for name in shown:
        told = F.replace(told, F.lit(f"{{{name}}}"), F.coalesce(F.col(name).cast("string"), F.lit("unknown")))
    return told


def _looked_up_at(rules: list[Asked]) -> Column:
    """The value of the column at which a line's rate is looked up."""
    chosen = F.lit(None).cast("string")
    for name in sorted({rule.place for _, _, rule in rules if rule.rates}):
        chosen = F.when(F.col("place_column") == name, F.col(name)).otherwise(chosen)
    return chosen


def _in_force(tax_class: Column) -> Column:
    """The components of the rate of a class that is in force on a line's tax point; empty or null for none."""
    day, name = F.col("tax_day"), F.col("component")

    def holds(one: Column) -> Column:
        return (day >= one["valid_from"]) & (one["valid_to"].isNull() | (day < one["valid_to"]))

    def part(one: Column) -> Column:
        return F.struct(F.coalesce(one["component"], name).alias("component"), one["rate"].alias("rate"))

    found = F.filter("rates", lambda one: holds(one) & (one["tax_class"] == tax_class))
    return F.array_sort(F.transform(found, part)).cast(COMPONENTS)

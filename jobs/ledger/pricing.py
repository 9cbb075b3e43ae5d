"""The pricing models that a price list may declare: what each is told in `parameters`, and why a price cannot be used.

docs/pricing.md shows each with an example. Two stages need this page: ingestion refuses what does not fit its model, billing
aggregation evaluates what does.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from jobs.ledger.money import finer

SPEND = ("min_spend", "max_spend", "discount_pct", "discount_amount", "discount_after_maximum")  # may stand on any model
COUNTED = ("free_units", "shared", "measure", "of")  # may stand where a month's quantity is rated as a whole
TIERED = (*COUNTED, "zero_usage_charges_first_flat")
PER_EVENT = ("fixed", "free_units", "free_events")


@dataclass(frozen=True)
class Model:
    """One way to price: the parameters it needs, those it may have beside, and what its tiers say."""

    needs: tuple[str, ...] = ()
    may_have: tuple[str, ...] = ()
    tier: tuple[str, ...] = ()


MODELS: dict[str, Model] = {
    "flat": Model(("amount",), ("proration", "anchor_day", *SPEND)),
    "per_unit": Model(("unit_price",), (*COUNTED, *SPEND)),
    "unit": Model(("price",), (*COUNTED, *SPEND)),
    "graduated": Model(("tiers",), (*TIERED, *SPEND), ("up_to", "unit", "flat")),
    "volume": Model(("tiers",), (*TIERED, *SPEND), ("up_to", "unit", "flat")),
    "stairstep": Model(("tiers",), (*TIERED, *SPEND), ("up_to", "flat")),
    "graduated_percentage": Model(("tiers",), (*TIERED, *SPEND), ("up_to", "rate_pct", "flat")),
    "package": Model(("size", "price"), ("free", *COUNTED, *SPEND)),
    "percentage": Model(("rate_pct",), (*PER_EVENT, "min", "max", *SPEND)),
    "percentage_events": Model(("rate_pct",), (*PER_EVENT, "min", "max", *SPEND)),
    "percentage_total": Model(("rate_pct",), (*PER_EVENT, "events", "shared", *SPEND)),
    "capacity": Model(("unit_price",), (*COUNTED, *SPEND)),
    "matrix": Model(("dimensions", "prices"), ("unit_price", *SPEND)),
    "blocks_all_tiers": Model(("blocks",), (*COUNTED, *SPEND)),
    "blocks_top_tier": Model(("blocks",), (*COUNTED, *SPEND)),
    "kb_all_tiers": Model(("blocks",), (*COUNTED, *SPEND)),  # the same under the names that others use
    "kb_top_tier": Model(("blocks",), (*COUNTED, *SPEND)),
    "price_on_record": Model(),  # its parameters are not read
}
PRICE_ON_RECORD = "price_on_record"
CAPACITY = "capacity"
BY_RECORD = ("percentage", "percentage_events", CAPACITY, "matrix")  # look at every usage record, not at their sum alone
SUM, HOW_MANY, UNIQUE, PEAK, LATEST, AVERAGE = (
    "sum",
    "count",
    "unique",
    "peak",
    "latest",
    "average",
)  # what a month's usage comes to
MEASURED_BY_RECORD = (UNIQUE, PEAK, LATEST, AVERAGE)  # sums of sums do not tell these

PRICE = "decimal(34,21)"  # of one unit, and rates in percent: as wide as an exact product takes
COUNT = "decimal(37,21)"  # of units: usage less one digit, so that differences stay exact
MONEY = "decimal(37,18)"  # amounts: as charges, less one digit, so that sums stay exact
PERCENT = "decimal(34,19)"  # two decimals less than a price, since a rate is a hundredth of it
WHOLE = "decimal(10,0)"
NUMBERS = {
    "amount": MONEY, "unit_price": PRICE, "price": PRICE, "size": COUNT, "free": COUNT, "free_units": COUNT,
    "free_events": WHOLE, "events": WHOLE, "rate_pct": PERCENT, "fixed": MONEY, "min": MONEY, "max": MONEY,
    "min_spend": MONEY, "max_spend": MONEY, "discount_pct": PERCENT, "discount_amount": MONEY, "anchor_day": WHOLE,
}  # fmt: skip
TIER_NUMBERS = {"up_to": COUNT, "unit": PRICE, "flat": MONEY, "rate_pct": PERCENT}
CHOICES = {
    "proration": ("actual_days", "fixed_30"),
    "measure": (SUM, HOW_MANY, UNIQUE, PEAK, LATEST, AVERAGE),
    "shared": ("true", "false"),
    "zero_usage_charges_first_flat": ("true", "false"),
    "discount_after_maximum": ("true", "false"),
}
LISTS = {
    "tiers": "array<struct<up_to: string, unit: string, flat: string, rate_pct: string>>",
    "blocks": "array<array<string>>",
    "dimensions": "array<string>",
    "prices": "array<struct<`values`: array<string>, unit_price: string>>",
}
SCHEMA = ", ".join(
    [*(f"`{name}` string" for name in (*NUMBERS, *CHOICES, "of")), *(f"`{name}` {kind}" for name, kind in LISTS.items())]
)


def parsed(parameters: Column) -> Column:
    """Parameters as a struct of texts and lists of texts; what is missing or of another shape is null."""
    return F.from_json(parameters, SCHEMA)


def by_record() -> Column:
    """Whether a price has to see the single records. On raw.prices."""
    return F.col("model").isin(*BY_RECORD) | F.coalesce(
        parsed(F.col("parameters"))["measure"].isin(*MEASURED_BY_RECORD), F.lit(False)
    )


def number(text: Column, kind: str) -> Column:
    """A parameter as a decimal; null where it is none."""
    return text.try_cast(kind)


def refusals(model: Column, parameters: Column, told: Column) -> list[Column]:
    """Why a price's parameters do not fit its model: a column per possible reason, null where it does not apply.

    told: the parameters as parsed() gives them, in a column of their own: parsed in each reason, they would make a plan of sixty times
    the size. Reasons name keys, never values. A key that the model does not know is refused too: a mistyped limit would bill in silence.
    """
    declared = parameters.isNotNull() & model.isin(*(name for name in MODELS if name != PRICE_ON_RECORD))
    broken = declared & F.json_object_keys(parameters).isNull()
    reasons = [
        F.when(broken, F.lit("parameters: not a JSON object")),
        F.when(declared, _unknown_keys(model, parameters)),
    ]
    for key in dict.fromkeys(key for one in MODELS.values() for key in one.needs):
        needing = model.isin(*(name for name, one in MODELS.items() if key in one.needs))
        missing = told[key].isNull() | (F.size(told[key]) == 0) if key in LISTS else told[key].isNull()
        reasons.append(F.when(declared & needing & ~broken & missing, F.lit(f"parameters: no {key}")))
    for key, kind in NUMBERS.items():
        reasons.append(F.when(declared & _unusable(told[key], kind), F.lit(f"parameters: {key} is not {_described(kind)}")))
    for key, choices in CHOICES.items():
        wrong = told[key].isNotNull() & ~told[key].isin(*choices)
        reasons.append(F.when(declared & wrong, F.lit(f"parameters: {key} is not one of {', '.join(choices)}")))
    return [*reasons, *_tier_refusals(model, told, parameters), *_block_refusals(told), *_other_refusals(model, told)]


def _unknown_keys(model: Column, parameters: Column) -> Column:
    """The keys that the model does not know, in words; one lookup for all models, since each would be compiled by itself."""
    pairs = [(F.lit(name), F.array(*map(F.lit, (*one.needs, *one.may_have)))) for name, one in MODELS.items() if one.needs]
    known = F.try_element_at(F.create_map(*(column for pair in pairs for column in pair)), model)
    unknown = F.array_except(F.json_object_keys(parameters), known)
    told = F.concat(F.lit("parameters: "), model, F.lit(" does not know "), F.array_join(unknown, ", "))
    return F.when(F.size(unknown) > 0, told)


def _tier_refusals(model: Column, told: Column, parameters: Column) -> list[Column]:
    tiers = told["tiers"]
    tiered = model.isin(*(name for name, one in MODELS.items() if one.tier)) & (F.size(tiers) > 0)
    keys = F.from_json(parameters, "tiers array<map<string,string>>")["tiers"]
    ends = F.transform(tiers, lambda tier: number(tier["up_to"], COUNT))
    inner = F.slice(ends, F.lit(1), F.greatest(F.size(ends) - 1, F.lit(0)))
    follows = F.transform(inner, lambda end, at: (end <= 0) | (end <= F.get(ends, at - 1)))
    reasons = []
    for kinds in dict.fromkeys(one.tier for one in MODELS.values() if one.tier):
        concerned = tiered & model.isin(*(name for name, one in MODELS.items() if one.tier == kinds))
        said = F.lit(f"parameters: a tier says something else than {', '.join(kinds)}")
        reasons.append(F.when(concerned & _says_more(keys, kinds), said))
    for key, kind in TIER_NUMBERS.items():
        said = F.lit(f"parameters: {key} of a tier is not {_described(kind)}")
        reasons.append(F.when(tiered & _has_unusable(tiers, key, kind), said))
    return [
        *reasons,
        F.when(tiered & F.exists(inner, lambda end: end.isNull()), F.lit("parameters: only the last tier may be open")),
        F.when(tiered & F.exists(follows, lambda wrong: wrong), F.lit("parameters: tiers do not ascend")),
        F.when(
            tiered & F.try_element_at(tiers, F.lit(-1))["up_to"].isNotNull(),
            F.lit("parameters: the last tier has no open end"),
        ),
    ]


def _says_more(tiers: Column, known: tuple[str, ...]) -> Column:
    """Whether one of the tiers, as maps, has a key that is not known."""
    allowed = F.array(*(F.lit(key) for key in known))
    return F.exists(tiers, lambda tier: F.size(F.array_except(F.map_keys(tier), allowed)) > 0)


def _has_unusable(tiers: Column, key: str, kind: str) -> Column:
    """Whether one of the tiers says under `key` what is no number of this kind."""
    return F.exists(tiers, lambda tier: _unusable(tier[key], kind))


def _block_refusals(told: Column) -> list[Column]:
    blocks = told["blocks"]
    last = F.size(blocks) - 1

    def wrong(block: Column, at: Column) -> Column:
        size, most, price = (F.get(block, place) for place in range(3))
        endless = (at == last) & (number(most, WHOLE) == -1)
        usable = (F.size(block) == 3) & size.isNotNull() & most.isNotNull() & price.isNotNull()
        bounded = ~_unusable(most, WHOLE) & (number(most, WHOLE) > 0)
        return ~usable | _unusable(size, COUNT) | (number(size, COUNT) <= 0) | ~(bounded | endless) | _unusable(price, PRICE)

    bad = F.exists(F.transform(blocks, lambda block, at: F.coalesce(wrong(block, at), F.lit(True))), lambda one: one)
    return [F.when(bad, F.lit("parameters: a block is not [size, how many, price], with size and how many above 0"))]


def _other_refusals(model: Column, told: Column) -> list[Column]:
    def value(key: str) -> Column:
        return number(told[key], NUMBERS[key])

    listed, named = told["prices"], F.size(told["dimensions"])
    wrong_cell = F.exists(
        listed,
        lambda cell: F.coalesce(
            (F.size(cell["values"]) != named) | cell["unit_price"].isNull() | _unusable(cell["unit_price"], PRICE),
            F.lit(True),
        ),
    )
    twice = F.size(F.array_distinct(F.transform(listed, lambda cell: cell["values"]))) < F.size(listed)
    matrix = (model == "matrix") & (F.size(listed) > 0)
    return [
        F.when(value("size") == 0, F.lit("parameters: size is 0")),
        F.when(value("min") > value("max"), F.lit("parameters: min is above max")),
        F.when(value("min_spend") > value("max_spend"), F.lit("parameters: min_spend is above max_spend")),
        F.when(value("discount_pct") > 100, F.lit("parameters: discount_pct is above 100")),
        F.when(
            told["discount_pct"].isNotNull() & told["discount_amount"].isNotNull(),
            F.lit("parameters: discount_pct and discount_amount at once"),
        ),
        F.when(
            told["measure"].eqNullSafe(UNIQUE) & told["of"].isNull(), F.lit("parameters: unique does not say of which tag")
        ),
        F.when(
            ~told["measure"].eqNullSafe(UNIQUE) & told["of"].isNotNull(),
            F.lit("parameters: of stands without measure unique"),
        ),
        F.when(told["free"].isNotNull() & told["free_units"].isNotNull(), F.lit("parameters: free and free_units at once")),
        F.when(~value("anchor_day").between(1, 31), F.lit("parameters: anchor_day is not from 1 to 31")),
        F.when(matrix & ~named.between(1, 2), F.lit("parameters: dimensions are not one or two")),
        F.when(matrix & wrong_cell, F.lit("parameters: a price of the matrix lacks a value per dimension or a unit_price")),
        F.when(matrix & twice, F.lit("parameters: the matrix has two prices for the same values")),
    ]


def _unusable(text: Column, kind: str) -> Column:
    """Whether a text that is there is no number of this kind from 0 on; no digit may be lost."""
    value = number(text, kind)
    return text.isNotNull() & (value.isNull() | (value < 0) | finer(text, _scale(kind)))


def _scale(kind: str) -> int:
    return int(kind.rstrip(")").split(",")[1])


def _described(kind: str) -> str:
    return "a whole number from 0 on" if kind == WHOLE else f"a number from 0 on with at most {_scale(kind)} decimals"

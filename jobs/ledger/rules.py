"""Rules as configuration: what speaks against a record, when, where, and in which words.

A rule's condition is a Spark SQL boolean expression over a documented record, or the name of a registered check. It is true
when the rule speaks AGAINST the record; an unknown (null) condition does not speak. Everything that can be wrong with a rule is
found here, before Spark is started: syntax, names, kinds, and whatever could answer differently tomorrow or end a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, get_args

import sqlglot
from pydantic import Field, field_validator, model_validator
from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types

from jobs.ledger.tenants import BusinessLine
from jobs.runtime import config
from jobs.runtime.config import display, nearest
from jobs.runtime.errors import ConfigError

ANY = "*"
Severity = Literal["reject", "hold", "warn"]
_NOTHING = "Nothing was started; mend the file."
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

# What a condition may be made of. Whatever is not listed is refused: a clock, chance, a query, or a function that can end a run.
_FUNCTIONS: dict[str, tuple[type[exp.Expression], ...]] = {
    "abs": (exp.Abs,),
    "coalesce": (exp.Coalesce,),
    "greatest": (exp.Greatest,),
    "least": (exp.Least,),
    "if": (exp.If,),
    "nullif": (exp.Nullif,),
    "upper": (exp.Upper,),
    "lower": (exp.Lower,),
    "trim": (exp.Trim,),
    "length": (exp.Length,),
    "left": (exp.Left,),
    "right": (exp.Right,),
    "substring": (exp.Substring,),
    "concat": (exp.Concat,),
    "startswith": (exp.StartsWith,),
    "endswith": (exp.EndsWith,),
    "contains": (exp.Contains,),
    "datediff": (exp.DateDiff,),
    "date_add": (exp.DateAdd, exp.TsOrDsAdd),
    "date_sub": (exp.DateSub,),
    "add_months": (exp.AddMonths,),
    "year": (exp.Year,),
    "month": (exp.Month,),
    "day": (exp.Day,),
    "try_cast": (exp.TryCast,),
}
_GRAMMAR: tuple[type[exp.Expression], ...] = (
    exp.And, exp.Or, exp.Not, exp.Paren, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ,
    exp.Is, exp.In, exp.Between, exp.Like, exp.RegexpLike, exp.Add, exp.Sub, exp.Mul, exp.Neg, exp.Case, exp.Literal,
    exp.Boolean, exp.Null, exp.Column, exp.Identifier, exp.DataType, exp.DataTypeParam, exp.Var, exp.TsOrDsToDate, exp.Tuple,
)  # fmt: skip
_ALLOWED = (*_GRAMMAR, *(kind for kinds in _FUNCTIONS.values() for kind in kinds))
_ADVICE: dict[type[exp.Expression], str] = {
    exp.Div: "a division by zero would end the run; compare products instead",
    exp.IntDiv: "a division by zero would end the run; compare products instead",
    exp.Mod: "a division by zero would end the run",
    exp.TryCast: "a value that does not fit would end the run; use try_cast",
    exp.Subquery: "a condition looks at one record only",
    exp.Select: "a condition looks at one record only",
    exp.Exists: "a condition looks at one record only",
    exp.AggFunc: "a condition looks at one record only",
    exp.Window: "a condition looks at one record only",
    exp.CurrentDate: "a clock would answer differently tomorrow; use as_of",
    exp.CurrentTimestamp: "a clock would answer differently tomorrow; use as_of",
    exp.Rand: "chance would answer differently tomorrow",
}


@dataclass(frozen=True)
class Fact:
    """One column of a documented record."""

    name: str
    kind: str  # as Spark writes it: string, date, boolean, int, bigint, decimal(18,3)
    told: str  # what it says, for whoever writes rules
    personal: bool = False  # may be compared, never shown


class Rule(config.Strict):
    """One version of one rule."""

    id: str = Field(pattern="^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
    version: int = Field(ge=1)
    title: str = Field(min_length=1)
    business_lines: tuple[str, ...] = Field(default=(ANY,), min_length=1)
    countries: tuple[str, ...] = Field(default=(ANY,), min_length=1)  # ISO 3166 alpha-2
    valid_from: date
    valid_to: date | None = None  # the first day it no longer holds
    severity: Severity
    reason_code: str = Field(pattern="^[A-Z][A-Z0-9_]*$")
    message: str = Field(min_length=1)  # {column} stands for the value of a column
    condition: str | None = None
    check: str | None = None

    @field_validator("business_lines")
    @classmethod
    def _known_lines(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        known = (ANY, *get_args(BusinessLine))
        for line in lines:
            if line not in known:
                raise ValueError(f"unknown business line '{line}'; {nearest(line, known)}")
        return lines

    @field_validator("countries")
    @classmethod
    def _shaped_countries(cls, countries: tuple[str, ...]) -> tuple[str, ...]:
        for country in countries:
            if country != ANY and not re.fullmatch("[A-Z]{2}", country):
                raise ValueError(f"'{country}' is not an ISO 3166 code of two capitals")
        return countries

    @model_validator(mode="after")
    def _one_way_to_speak(self) -> Rule:
        if (self.condition is None) == (self.check is None):
            raise ValueError(f"rule '{self.id}' needs either a condition or a check")
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise ValueError(f"rule '{self.id}': valid_to is not after valid_from")
        return self

    @property
    def sql(self) -> str:
        """The condition as Spark SQL; a check speaks where its answer is no."""
        return f"NOT `{self.check}`" if self.check is not None else str(self.condition)

    def concerns(self, lines: Iterable[str] | None, countries: Iterable[str] | None) -> bool:
        """Whether it can speak of records of these lines and countries; None stands for all of them."""
        return _meet(self.business_lines, lines) and _meet(self.countries, countries)


class RuleFile(config.Strict):
    """conf/rules/<folder>/<subject>.yaml."""

    rules: tuple[Rule, ...] = Field(min_length=1)


def _meet(named: tuple[str, ...], asked: Iterable[str] | None) -> bool:
    return ANY in named or asked is None or bool(set(named) & set(asked))


def rules(folder: str, record: Mapping[str, Fact], checks: Iterable[str]) -> tuple[Rule, ...]:
    """Every rule of conf/rules/<folder>, validated, in a fixed order."""
    found: list[tuple[Path, Rule]] = []
    for path, content in config.load_all(f"rules/{folder}", RuleFile).values():
        found += [(path, rule) for rule in content.rules]
    if not found:
        raise ConfigError(f"conf/rules/{folder}/ has no rules. Nothing was started.")
    for path, rule in found:
        if why := wrong_with(rule, record, checks):
            raise ConfigError(f"{display(path)}: rule '{rule.id}' version {rule.version}: {why} {_NOTHING}")
    _no_overlap(found)
    return tuple(rule for _, rule in sorted(found, key=lambda one: (one[1].id, one[1].version)))


def wrong_with(rule: Rule, record: Mapping[str, Fact], checks: Iterable[str]) -> str | None:
    """Why a rule cannot be used with a record, in words; None when it can."""
    if rule.check is not None and rule.check not in set(checks):
        return f"unknown check '{rule.check}'; {nearest(rule.check, checks)}"
    if rule.condition is not None and (why := wrong_condition(rule.condition, record)):
        return why
    return wrong_message(rule.message, record)


def wrong_message(message: str, record: Mapping[str, Fact]) -> str | None:
    """Why a message template cannot be used with a record, in words; None when it can."""
    for name in _PLACEHOLDER.findall(message):
        if name not in record:
            return f"its message names an unknown column '{name}'; {nearest(name, record)}"
        if record[name].personal:
            return f"its message shows '{name}', which is personal and stays where it is."
    left = _PLACEHOLDER.sub("", message)
    return "its message has a brace without its partner." if "{" in left or "}" in left else None


def columns_of(rule: Rule) -> tuple[str, ...]:
    """The columns of the record that a rule looks at, sorted."""
    if rule.check is not None:
        return (rule.check,)
    return tuple(sorted({column.name.lower() for column in _parsed(str(rule.condition)).find_all(exp.Column)}))


def message_parts(message: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a message template: (text, False) or (column, True)."""
    at = 0
    for found in _PLACEHOLDER.finditer(message):
        if found.start() > at:
            yield message[at : found.start()], False
        yield found[1], True
        at = found.end()
    if at < len(message):
        yield message[at:], False


def _parsed(condition: str) -> exp.Expression:
    parsed = sqlglot.parse_one(condition, dialect="spark")
    assert isinstance(parsed, exp.Expression)
    return parsed


def wrong_condition(condition: str, record: Mapping[str, Fact]) -> str | None:
    """Why a condition cannot be asked of a record, in words; None when it can."""
    try:
        parsed = _parsed(condition)
    except sqlglot.errors.SqlglotError as error:
        line = error.errors[0] if getattr(error, "errors", None) else {}
        near = f" near '{line['highlight']}'" if line.get("highlight") else ""
        return f"its condition does not parse{near}."
    for node in parsed.walk():
        if isinstance(node, exp.Column) and (why := _wrong_column(node, record)):
            return why
        written_out = isinstance(node, exp.Cast | exp.TryCast) and isinstance(node.this, exp.Literal)  # DATE '2026-01-31'
        may_fail = isinstance(node, exp.TryCast) and not node.args.get("safe")  # CAST, as Spark once meant it
        if (may_fail or not isinstance(node, _ALLOWED)) and not written_out:
            return _not_allowed(node)
        if isinstance(node, exp.RegexpLike) and (why := _wrong_pattern(node)):
            return why
    return _wrong_kinds(parsed, record)


def _wrong_pattern(node: exp.Expression) -> str | None:
    pattern = node.args["expression"]
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        return f"its condition uses '{node.sql(dialect='spark')}': a pattern is written out as text."
    try:
        re.compile(pattern.name)
    except re.error:
        return f"its condition uses the pattern '{pattern.name}', which is not a regular expression."
    return None


def _wrong_column(column: exp.Column, record: Mapping[str, Fact]) -> str | None:
    if column.table:
        return f"its condition names '{column.sql(dialect='spark')}'; columns of the record stand alone."
    if column.name not in record:
        return f"its condition names an unknown column '{column.name}'; {nearest(column.name, record)}"
    return None


def _not_allowed(node: exp.Expression) -> str:
    for kind, advice in _ADVICE.items():
        if isinstance(node, kind):
            return f"its condition uses '{node.sql(dialect='spark')}': {advice}."
    name = node.name if isinstance(node, exp.Anonymous) else getattr(node, "sql_name", lambda: node.key)()
    return f"its condition uses '{name.lower()}', which rules may not; {nearest(name.lower(), _FUNCTIONS)}"


_FAMILIES = {
    "number": (
        exp.DataType.Type.INT, exp.DataType.Type.BIGINT, exp.DataType.Type.DECIMAL, exp.DataType.Type.SMALLINT,
        exp.DataType.Type.TINYINT, exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT,
    ),
    "text": (exp.DataType.Type.TEXT, exp.DataType.Type.VARCHAR, exp.DataType.Type.CHAR),
    "date": (exp.DataType.Type.DATE,),
    "yes or no": (exp.DataType.Type.BOOLEAN,),
}  # fmt: skip


def _wrong_kinds(parsed: exp.Expression, record: Mapping[str, Fact]) -> str | None:
    """Whether the condition is no question, or compares what cannot be compared without ending a run."""
    typed = parsed.copy()
    for column in list(typed.find_all(exp.Column)):
        column.set("table", exp.to_identifier("record"))
    schema = {"record": {fact.name: fact.kind for fact in record.values()}}
    annotated = annotate_types(exp.select(typed).from_("record"), schema=schema, dialect="spark").expressions[0]
    if (said := _family(annotated)) not in ("yes or no", None):
        return f"its condition is a {said}, not a question that is answered with yes or no."
    for node in annotated.walk():
        for one, other in _compared(node):
            kinds = (_family(one), _family(other))
            if None not in kinds and kinds[0] != kinds[1]:
                shown = node.sql(dialect="spark").replace("record.", "")
                return f"its condition compares a {kinds[0]} with a {kinds[1]} in '{shown}'; Spark would end the run there."
    return None


def _compared(node: exp.Expression) -> Iterator[tuple[exp.Expression, exp.Expression]]:
    if isinstance(
        node, exp.EQ | exp.NEQ | exp.GT | exp.GTE | exp.LT | exp.LTE | exp.NullSafeEQ | exp.Add | exp.Sub | exp.Mul
    ):
        yield node.this, node.expression
    elif isinstance(node, exp.Between):
        yield node.this, node.args["low"]
        yield node.this, node.args["high"]
    elif isinstance(node, exp.In):
        for one in node.expressions:
            yield node.this, one
    elif isinstance(node, exp.And | exp.Or):
        for side in (node.this, node.expression):
            yield exp.Boolean(this=True, _type=exp.DataType.build("boolean")), side


def _family(node: exp.Expression) -> str | None:
    """The kind of a typed expression, as a person calls it; None where it cannot be told."""
    if isinstance(node, exp.Paren):
        return _family(node.this)
    if isinstance(node, exp.Boolean | exp.Predicate | exp.Connector | exp.Not):
        return "yes or no"
    if isinstance(node, exp.Column | exp.Literal) or node.type is not None:
        kind = node.type.this if node.type is not None else None
        return next((family for family, kinds in _FAMILIES.items() if kind in kinds), None)
    return None


def _no_overlap(found: list[tuple[Path, Rule]]) -> None:
    """Two versions of one rule never hold on the same day for the same records."""
    for at, (path, one) in enumerate(found):
        for other_path, other in found[at + 1 :]:
            if one.id != other.id:
                continue
            where = display(path) if path == other_path else f"{display(path)} and {display(other_path)}"
            if one.version == other.version:
                raise ConfigError(f"{where}: rule '{one.id}' has version {one.version} twice. {_NOTHING}")
            ends = (one.valid_to or date.max, other.valid_to or date.max)
            together = one.valid_from < ends[1] and other.valid_from < ends[0]
            if together and one.concerns(*_scope(other)) and other.concerns(*_scope(one)):
                raise ConfigError(
                    f"{where}: rule '{one.id}' versions {one.version} and {other.version} hold on the same days for the same "
                    f"records; which one decides? End one with valid_to. {_NOTHING}"
                )


def _scope(rule: Rule) -> tuple[Iterable[str] | None, Iterable[str] | None]:
    return (
        None if ANY in rule.business_lines else rule.business_lines,
        None if ANY in rule.countries else rule.countries,
    )

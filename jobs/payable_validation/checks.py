"""Registered checks: questions that need a library. Each distinct value is asked about once, in vectorised batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


@dataclass(frozen=True)
class Check:
    """A question about a value of a country; the answer is yes, no, or None where nobody can tell."""

    column: str  # of the record, which holds the answer
    asks: Callable[[str | None, str], bool | None]
    country: str | None = None  # the record's column that gives the country
    values: tuple[str, ...] = ()  # the record's columns that give the value, the first that says something


def iban_valid(_country: str | None, value: str) -> bool | None:
    """Length, letters and check digits, and the national check digits where the country has any (ISO 13616)."""
    from schwifty import IBAN
    from schwifty.exceptions import SchwiftyException

    try:
        IBAN(value)
    except SchwiftyException:
        return False
    return True


def tax_number_valid(country: str | None, value: str) -> bool | None:
    """The VAT number of a country; a prefix that the number carries goes before the vendor's country."""
    compact = "".join(sign for sign in value.upper() if sign.isalnum())
    prefix = compact[:2] if compact[:2].isalpha() else ""
    told = prefix if prefix and _vat_module(prefix) else (country or "").upper()
    module = _vat_module(told)
    if module is None:
        return None
    bare = compact.removeprefix("T") if told == "JP" else compact  # a registered issuer writes T before its number
    return bool(module.is_valid(bare))


@cache
def _vat_module(country: str) -> Any:
    from stdnum.util import get_cc_module

    named = {"XI": "gb", "EL": "gr"}.get(country, country.lower())  # Northern Ireland and Greece write prefixes of their own
    return get_cc_module(named, "vat") if len(named) == 2 else None


CHECKS: dict[str, Check] = {
    check.column: check
    for check in (
        Check("iban_valid", iban_valid, values=("iban", "vendor_iban")),
        Check("tax_number_valid", tax_number_valid, country="tax_country", values=("vendor_tax_id", "vendor_tax_number")),
    )
}


def with_answers(record: DataFrame, name: str, sources: list[DataFrame]) -> DataFrame:
    """Add one check's column to the record.

    sources: frames of (country, value) that together hold every value the record can have; read on their own, so that the
    distinct values are found without computing the record twice. Only values that are not simply right are joined back.
    """
    check = CHECKS[name]
    asked = reduce(DataFrame.unionByName, sources).where(F.col("value").isNotNull()).distinct()
    doubtful = asked.mapInArrow(_asking(check), "country string, value string, answer boolean")
    named = doubtful.withColumnsRenamed({"country": "_country", "value": "_value", "answer": "_answer"})
    value = F.coalesce(*check.values) if len(check.values) > 1 else F.col(check.values[0])
    same = value.eqNullSafe(F.col("_value"))
    if check.country is not None:
        same = same & F.col(check.country).eqNullSafe(F.col("_country"))
    joined = record.join(F.broadcast(named), on=same, how="left")
    return joined.withColumn(name, _answer(value)).drop("_country", "_value", "_answer")


def _answer(value: Column) -> Column:
    right = F.col("_value").isNull()
    return F.when(value.isNotNull(), F.when(right, F.lit(True)).otherwise(F.col("_answer")))


def _asking(check: Check) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    asks = check.asks

    def ask(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            countries, values = batch.column(0).to_pylist(), batch.column(1).to_pylist()
            answers = [asks(country, value) for country, value in zip(countries, values, strict=True)]
            kept = [at for at, answer in enumerate(answers) if answer is not True]
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array([countries[at] for at in kept], pa.string()),
                    pa.array([values[at] for at in kept], pa.string()),
                    pa.array([answers[at] for at in kept], pa.bool_()),
                ],
                names=["country", "value", "answer"],
            )

    return ask

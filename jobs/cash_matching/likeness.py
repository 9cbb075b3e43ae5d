"""How much two texts resemble each other, by rapidfuzz, in ten-thousandths: whole numbers, the same on every machine.

Texts come in Arrow batches from Spark's Python workers; which of them are worth comparing was decided before, by joins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import types as T

SAME = 10_000


def with_names_likeness(pairs: DataFrame, left: str, right: str, name: str) -> DataFrame:
    """Pairs of names with their likeness as a column `name`, the two names left out."""
    kept = [field for field in pairs.schema.fields if field.name not in (left, right)]

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            arrays = [batch.column(field.name) for field in kept]
            found = names(batch.column(left).to_pylist(), batch.column(right).to_pylist())
            yield pa.RecordBatch.from_arrays(
                [*arrays, pa.array(found, pa.int32())], names=[*(field.name for field in kept), name]
            )

    return pairs.mapInArrow(score, T.StructType([*kept, T.StructField(name, T.IntegerType())]))


def with_likest_numbers(groups: DataFrame, least: int, most: int) -> DataFrame:
    """The numbers that are found best inside texts, each text of a group compared with each number of it.

    groups: texts, an array of structs (bank_account, transaction_id, text), and numbers, one of (document_id, key), beside
    other columns. Returns those, and bank_account, transaction_id, document_id and resemblance: for each text the `most`
    documents with a number of likeness `least` at least.
    """
    kept = [field for field in groups.schema.fields if field.name not in ("texts", "numbers")]
    told = ("bank_account", "transaction_id", "document_id")
    schema = T.StructType(
        [*kept, *(T.StructField(name, T.StringType()) for name in told), T.StructField("resemblance", T.IntegerType())]
    )

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for group in batch.to_pylist():
                ids, numbers = zip(*((one["document_id"], one["key"]) for one in group["numbers"]), strict=True)
                rows: list[list[object]] = []
                for said in group["texts"]:
                    for document, likeness in likest(said["text"], ids, numbers, least, most):
                        rows.append([said["bank_account"], said["transaction_id"], document, likeness])
                arrays = [pa.array([group[field.name]] * len(rows), pa.string()) for field in kept]
                arrays += [pa.array([row[at] for row in rows], pa.string()) for at in range(len(told))]
                arrays.append(pa.array([row[-1] for row in rows], pa.int32()))
                yield pa.RecordBatch.from_arrays(arrays, names=[field.name for field in schema.fields])

    return groups.mapInArrow(score, schema)


def likest(text: str, ids: Sequence[str], numbers: Sequence[str], least: int, most: int) -> list[tuple[str, int]]:
    """The documents whose numbers are found best inside a text; a number longer than the text is compared with all of it."""
    from rapidfuzz import fuzz, process

    best: dict[str, int] = {}
    for scorer, is_inside in ((fuzz.partial_ratio, True), (fuzz.ratio, False)):
        compared = {at: number for at, number in enumerate(numbers) if (len(number) <= len(text)) == is_inside}
        for _, ratio, at in process.extract(text, compared, scorer=scorer, score_cutoff=least / 100, limit=None):
            best[ids[at]] = max(best.get(ids[at], 0), round(ratio * 100))
    return sorted(best.items(), key=lambda told: (-told[1], told[0]))[:most]


def names(left: Sequence[str], right: Sequence[str]) -> list[int]:
    """How much two names resemble each other, in any order of their words."""
    from rapidfuzz import fuzz

    return [round(fuzz.WRatio(one, other) * 100) for one, other in zip(left, right, strict=True)]

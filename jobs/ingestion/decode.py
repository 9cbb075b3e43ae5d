"""Bytes to rows: every record of a landed file with its number, all values as text, malformed records included.

The decoding runs in Spark's Python workers, in vectorised Arrow batches; nothing is typed or refused here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from jobs.ingestion import camt
from jobs.ingestion.files import LandingFile, open_bytes, source_columns
from jobs.ledger.tenants import Mapping
from jobs.runtime.environment import environment

BLOCK = 8 << 20
TASK = 16 << 20  # bytes of files, packed as they come, that are worth a task of their own
MALFORMED = "_malformed"  # why the record could not be split into columns; null for a good one
LINE = "_line"


def decoded(spark: SparkSession, files: Sequence[LandingFile], mapping: Mapping) -> DataFrame:
    """Every record of `files`, which share one mapping.

    Returns tenant_id, landing_id, row_number (1 is the first record after a header), _malformed, and the source columns
    the mapping uses: text, or for Parquet the file's own types.
    """
    if mapping.format == "parquet":
        return _parquet(spark, files, mapping)
    columns = source_columns(mapping)
    listed = spark.createDataFrame(
        [(file.tenant_id, file.landing_id, str(file.path)) for file in files],
        "tenant_id string, landing_id string, path string",
    )
    fields = [("tenant_id", T.StringType()), ("landing_id", T.StringType()), ("row_number", T.LongType())]
    texts = [(name, T.StringType()) for name in (MALFORMED, *columns)]
    schema = T.StructType([T.StructField(name, kind) for name, kind in (*fields, *texts)])
    how = mapping.model_dump()

    def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                for rows in _in_columns(row["path"], how, columns):
                    owner = {
                        name: pa.array([row[name]] * rows.num_rows, pa.string()) for name in ("tenant_id", "landing_id")
                    }
                    arrays = [owner["tenant_id"], owner["landing_id"], *rows.columns]
                    yield pa.RecordBatch.from_arrays(arrays, names=[field.name for field in schema.fields])

    return listed.repartition(_tasks(files)).mapInArrow(decode, schema)


def _tasks(files: Sequence[LandingFile]) -> int:
    """How many tasks share these files: one a large file; small ones together, since a task costs more than reading them."""
    worth = sum(file.bytes for file in files) // TASK
    return min(len(files), max(worth, environment().shuffle_partitions))


def _in_columns(path: str, how: dict[str, Any], columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Batches of (row_number, _malformed, *columns) of a file of any text format, in file order."""
    if how["format"] == "camt":
        with open_bytes(Path(path)) as stream:
            yield from camt.records(stream, columns)
    elif how["format"] == "csv":
        yield from _records(path, how, columns)
    else:
        for lines in _records(path, how, (LINE,)):
            yield _parsed(lines, columns)


def _records(path: str, how: dict[str, Any], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Batches of (row_number, _malformed, *columns) of a delimited text file, in file order."""
    from pyarrow import csv

    is_csv = how["format"] == "csv"
    bad: list[tuple[int, str]] = []

    def refuse(row: Any) -> str:
        bad.append((row.number, f"row: {row.actual_columns} fields where {row.expected_columns} are expected"))
        return "skip"

    header = 1 if is_csv else 0
    stream = pa.input_stream(path, compression="gzip" if Path(path).suffix == ".gz" else None)
    reader = csv.open_csv(
        stream,
        read_options=csv.ReadOptions(
            use_threads=False,
            block_size=BLOCK,
            encoding=how["encoding"],
            column_names=None if is_csv else [LINE],
        ),
        parse_options=csv.ParseOptions(
            delimiter=how["delimiter"] if is_csv else "\x01",
            quote_char=how["quote"] if is_csv else False,
            newlines_in_values=is_csv,
            invalid_row_handler=refuse,
        ),
        convert_options=csv.ConvertOptions(
            column_types={name: pa.string() for name in columns},
            include_columns=list(columns),
            include_missing_columns=bool(how["one_of"]),  # which a file may lack was looked at when it arrived
            strings_can_be_null=False,
        ),
    )
    next_number = 1
    reported = 0
    for batch in reader:
        numbers: list[int] = []
        refused = {number - header for number, _ in bad}
        while len(numbers) < batch.num_rows:
            if next_number not in refused:
                numbers.append(next_number)
            next_number += 1
        yield pa.RecordBatch.from_arrays(
            [pa.array(numbers, pa.int64()), pa.nulls(batch.num_rows, pa.string()), *batch.columns],
            names=["row_number", MALFORMED, *columns],
        )
        if len(bad) > reported:
            yield _malformed(bad[reported:], header, columns)
            reported = len(bad)
    if len(bad) > reported:
        yield _malformed(bad[reported:], header, columns)


def _malformed(bad: Sequence[tuple[int, str]], header: int, columns: Sequence[str]) -> pa.RecordBatch:
    numbers = pa.array([number - header for number, _ in bad], pa.int64())
    reasons = pa.array([reason for _, reason in bad], pa.string())
    empty = [pa.nulls(len(bad), pa.string()) for _ in columns]
    return pa.RecordBatch.from_arrays([numbers, reasons, *empty], names=["row_number", MALFORMED, *columns])


def _parsed(lines: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """JSON Lines as columns of text. Numbers keep the digits they were written with: none passes through a double."""
    import json

    def text(value: Any) -> str | None:
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False)

    malformed, values = [], []
    for line in lines.column(2).to_pylist():
        try:
            record = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
        except ValueError:
            record = None
        whole = isinstance(record, dict)
        malformed.append(None if whole else "row: not a JSON object")
        values.append([text(record.get(name)) if whole else None for name in columns])
    arrays = [pa.array([row[at] for row in values], pa.string()) for at in range(len(columns))]
    return pa.RecordBatch.from_arrays(
        [lines.column(0), pa.array(malformed, pa.string()), *arrays], names=["row_number", MALFORMED, *columns]
    )


def _parquet(spark: SparkSession, files: Sequence[LandingFile], mapping: Mapping) -> DataFrame:
    columns = [f"`{name}`" for name in source_columns(mapping)]
    read = spark.read.parquet(*(str(file.path.resolve()) for file in files))
    owners = {str(file.path.resolve()): (file.tenant_id, file.landing_id) for file in files}
    named = []
    for address in read.inputFiles():  # as Spark writes it; decoded once a file here, not once a row there
        owner = owners[unquote(urlsplit(address).path)]
        spellings = {address, address.replace("file:///", "file:/", 1)}  # a row's metadata may write it the short way
        named += [(spelling, *owner) for spelling in sorted(spellings)]
    listed = spark.createDataFrame(named, "file_path string, tenant_id string, landing_id string")
    rows = read.select(
        F.col("_metadata.file_path").alias("file_path"),
        (F.col("_metadata.row_index") + 1).alias("row_number"),
        F.lit(None).cast("string").alias(MALFORMED),
        *columns,
    )
    owned = rows.join(F.broadcast(listed), on="file_path", how="left")
    return owned.select("tenant_id", "landing_id", "row_number", MALFORMED, *columns)

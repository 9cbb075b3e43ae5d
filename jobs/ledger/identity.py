"""Ids are sha2 over length-prefixed natural keys: the same facts give the same id, whenever and wherever they are computed."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F


def told(column: str) -> Column:
    """One part of a key: its length and its text, so that neighbours cannot run together; a dash for null."""
    text = F.col(column).cast("string")
    return F.coalesce(F.concat(F.length(text).cast("string"), F.lit(":"), text), F.lit("-"))


def natural_id(*columns: str) -> Column:
    """sha2 over the named columns, as 64 hexadecimal characters (law 6)."""
    return F.sha2(F.concat_ws("|", *(told(column) for column in columns)), 256)

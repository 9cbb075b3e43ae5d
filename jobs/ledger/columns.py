"""The column types every stage shares: money is a decimal with a currency beside it, never a float."""

from __future__ import annotations

from pyspark.sql import types as T

AMOUNT = T.DecimalType(18, 3)  # money on documents and in the journal, in the row's own currency
RATED = T.DecimalType(38, 18)  # money before the rounding that a policy names
QUANTITY = T.DecimalType(38, 21)  # usage and unit prices keep the scale of their feed (AWS reports up to 21 decimals)
RATE = T.DecimalType(9, 6)  # a tax rate as a share: 0.200000 is 20 %
CURRENCY = T.StringType()  # ISO 4217 alpha-3
COUNT = T.LongType()


def required(name: str, kind: T.DataType) -> T.StructField:
    """A column that is never null."""
    return T.StructField(name, kind, nullable=False)


def optional(name: str, kind: T.DataType) -> T.StructField:
    """A column that may be null, or whose presence a suite promises."""
    return T.StructField(name, kind, nullable=True)


TENANT = optional("tenant_id", T.StringType())
PERIOD = optional("period", T.DateType())  # first day of the month the row belongs to, in the billing time zone
PUBLICATION = optional("publication_id", T.StringType())  # the publication that brought the row; last column of every table

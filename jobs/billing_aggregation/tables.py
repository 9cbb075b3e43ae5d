"""What billing aggregation publishes."""

from __future__ import annotations

from pyspark.sql import types as T

from jobs.ledger.columns import COUNT, CURRENCY, PERIOD, PUBLICATION, QUANTITY, RATED, TENANT, optional
from jobs.runtime.tables import Table

OF_CHARGE = (
    # usage | flat | fee | discount | maximum | minimum | credit; only usage has a quantity
    optional("kind", T.StringType()),
    optional("account_id", T.StringType()),
    optional("product_id", T.StringType()),
    optional("price_id", T.StringType()),  # null when the price stands on the record
    optional("model", T.StringType()),  # as the price list calls it (docs/pricing.md), or price_on_record
    optional("region", T.StringType()),
    optional("unit", T.StringType()),
    optional("currency", CURRENCY),
    optional("price_currency", CURRENCY),  # of a price that was converted, else null
    optional("exchange_rate", QUANTITY),  # so much of the currency for one of the price's
    optional("rate_date", T.DateType()),
    optional("quantity", QUANTITY),
    optional("amount", RATED),  # null when no price is in force; the suite refuses it
    optional("usage_rows", COUNT),
    optional("credit_id", T.StringType()),  # of a line of kind credit, else null
    optional("prices_in_force", T.IntegerType()),  # 1 or the charge is refused: 0 missing, 2 overlapping
)

CHARGES = Table(  # one row per tenant, period and charge_id (kind, account, product, price, region, unit, currency, price currency)
    "billing.charges",
    T.StructType([TENANT, PERIOD, optional("charge_id", T.StringType()), *OF_CHARGE, PUBLICATION]),
    kind="derived",
    order=("account_id", "product_id"),
)

# one row per tenant, period, adjusts_period and charge_id: the new charge less all that was billed for it
ADJUSTMENTS = Table(
    "billing.adjustments",
    T.StructType(
        [
            TENANT,
            PERIOD,  # the open month that bills it
            optional("charge_id", T.StringType()),
            optional("adjusts_period", T.DateType()),  # first day of the invoiced month it belongs to
            *OF_CHARGE,
            PUBLICATION,
        ]
    ),
    kind="derived",
    order=("account_id", "product_id"),
)

LATE_USAGE = Table(  # one row per usage record that came after its month was invoiced, and what an open month has made of it
    "billing.late_usage",
    T.StructType(
        [
            TENANT,
            PERIOD,  # the open month
            optional("adjusts_period", T.DateType()),
            optional("record_id", T.StringType()),
            optional("revision", T.IntegerType()),
            optional("account_id", T.StringType()),
            optional("product_id", T.StringType()),
            optional("quantity", QUANTITY),
            optional("outcome", T.StringType()),  # adjusted, or why it waits
            optional("landing_id", T.StringType()),
            optional("row_number", T.LongType()),
            PUBLICATION,
        ]
    ),
    kind="derived",
    order=("account_id",),
)

LATE_PRICES = Table(  # one row per price that changed after a month was invoiced, that month and account it concerns, and what was made of it
    "billing.late_prices",
    T.StructType(
        [
            TENANT,
            PERIOD,  # the open month
            optional("adjusts_period", T.DateType()),
            optional("price_id", T.StringType()),
            optional("revision", T.IntegerType()),
            optional("product_id", T.StringType()),
            optional("account_id", T.StringType()),
            optional("outcome", T.StringType()),  # adjusted, changes nothing, or why it waits
            optional("landing_id", T.StringType()),  # of the statement that made the change
            optional("row_number", T.LongType()),
            PUBLICATION,
        ]
    ),
    kind="derived",
    order=("account_id",),
)

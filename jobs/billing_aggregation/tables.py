"""What billing aggregation publishes."""

from __future__ import annotations

from pyspark.sql import types as T

from jobs.ledger.columns import COUNT, CURRENCY, PERIOD, PUBLICATION, QUANTITY, RATED, TENANT, optional
from jobs.runtime.tables import Table

CHARGES = Table(  # one row per tenant, period and charge_id (kind, account, product, price, region, unit, currency)
    "billing.charges",
    T.StructType(
        [
            TENANT,
            PERIOD,
            optional("charge_id", T.StringType()),
            optional("kind", T.StringType()),  # usage | flat | fee | discount | maximum | minimum; only usage has a quantity
            optional("account_id", T.StringType()),
            optional("product_id", T.StringType()),
            optional("price_id", T.StringType()),  # null when the price stands on the record
            optional("model", T.StringType()),  # as the price list calls it (docs/pricing.md), or price_on_record
            optional("region", T.StringType()),
            optional("unit", T.StringType()),
            optional("currency", CURRENCY),
            optional("quantity", QUANTITY),
            optional("amount", RATED),  # null when no price is in force; the suite refuses it
            optional("usage_rows", COUNT),
            optional("prices_in_force", T.IntegerType()),  # 1 or the charge is refused: 0 missing, 2 overlapping
            PUBLICATION,
        ]
    ),
    kind="derived",
    order=("account_id", "product_id"),
)

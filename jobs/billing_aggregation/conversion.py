"""Prices in another currency than their account's: usable where a policy names the source of the rate, its day and the rounding.

Rates of a day are few; they are chosen without Spark, since plan() asks for them at every call. Source: docs/decisions/0013-currencies.md
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext
from functools import cached_property
from itertools import permutations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.billing_aggregation.settings import Conversion
from jobs.ledger.columns import QUANTITY, RATED
from jobs.ledger.money import exact_product
from jobs.ledger.periods import Period
from jobs.runtime.config import digest
from jobs.runtime.house import Snapshot, standing_told
from jobs.runtime.tables import catalog

READ = ("tenant_id", "source", "base_currency", "quote_currency", "rate", "rate_date", "revision", "withdrawn")
READ_ORDER = ("landing_id", "row_number")
DECIMALS = Decimal(1).scaleb(-15)  # of a rate that is the inverse of one, or comes of two
PAIR = ["tenant_id", "price_currency", "currency"]
RATES = f"tenant_id string, price_currency string, currency string, exchange_rate {QUANTITY.simpleString()}, rate_date date"
Pair = tuple[str, str]  # the currency of a price, and that of an account


@dataclass(frozen=True)
class Rate:
    """What one unit of a price's currency is worth in the account's, and the day that says so."""

    rate: Decimal
    day: date


@dataclass(frozen=True)
class Exchange:
    """What a month's prices in other currencies are converted at (RATES), and how."""

    rates: DataFrame
    policy: Conversion


class Rates:
    """The exchange rates of some tenants by a policy; none without one."""

    def __init__(self, policy: Conversion | None, snapshot: Snapshot, tenants: Collection[str]) -> None:
        self.policy, self._snapshot, self._tenants = policy, snapshot, tenants

    def of(self, tenant: str, month: Period) -> dict[Pair, Rate]:
        """What a month is converted at: as quoted, else the inverse, else through a currency that both are quoted in."""
        if self.policy is None:
            return {}
        wanted = self.policy.day_of(month)
        quoted: dict[Pair, Rate] = {}
        for day, told in sorted(self._quoted.get(tenant, {}).items()):
            if wanted - timedelta(days=self.policy.oldest_days) <= day <= wanted:
                quoted |= {pair: Rate(rate, day) for pair, rate in told.items()}
        return _every_pair(quoted)

    def fingerprint(self, tenant: str, month: Period) -> str:
        """What the rates of a month depend on."""
        told = sorted((*pair, f"{one.rate:f}", str(one.day)) for pair, one in self.of(tenant, month).items())
        return digest(*("|".join(row) for row in told), repr(self.policy))[:32]

    def exchange(self, spark: SparkSession, month: Period) -> Exchange | None:
        """What a month is converted at, for all tenants; None where nothing is."""
        rows = [
            (tenant, *pair, one.rate, one.day)
            for tenant in self._tenants
            for pair, one in sorted(self.of(tenant, month).items())
        ]
        return Exchange(spark.createDataFrame(rows, RATES), self.policy) if rows and self.policy else None

    @cached_property
    def _quoted(self) -> dict[str, dict[date, dict[Pair, Decimal]]]:
        """The rates of the policy's source by tenant and day: of each the highest revision, unless that withdraws it."""
        assert self.policy is not None
        found: dict[str, dict[date, dict[Pair, Decimal]]] = {}
        rows = standing_told(catalog()["raw.fx_rates"], self._snapshot, (*READ, *READ_ORDER), self._tenants)
        mine = (row for row in rows if row["source"] == self.policy.source)
        for row in sorted(mine, key=lambda row: (row["revision"] or 0, row["landing_id"], row["row_number"])):
            of_day = found.setdefault(row["tenant_id"], {}).setdefault(row["rate_date"], {})
            pair = (row["base_currency"], row["quote_currency"])
            of_day.pop(pair, None)
            if not row["withdrawn"]:
                of_day[pair] = row["rate"]
        return found


def _every_pair(quoted: Mapping[Pair, Rate]) -> dict[Pair, Rate]:
    """The pairs that these quotes tell of."""
    every = dict(quoted)
    with localcontext() as exact:
        exact.prec = 60
        for (base, quote), known in quoted.items():
            every.setdefault((quote, base), Rate((1 / known.rate).quantize(DECIMALS), known.day))
        through: dict[str, list[str]] = {}
        for base, quote in sorted(quoted):
            through.setdefault(base, []).append(quote)
        for base, quotes in through.items():
            for from_, into in permutations(quotes, 2):
                first, second = quoted[base, from_], quoted[base, into]
                crossed = Rate((second.rate / first.rate).quantize(DECIMALS), min(first.day, second.day))
                every.setdefault((from_, into), crossed)
    return every


def converted(lines: DataFrame, exchange: Exchange | None) -> DataFrame:
    """Charges in the currency of their account. lines: with price_currency (null where it is the same) and amount in that currency.

    Adds exchange_rate and rate_date, null where nothing is converted; the amount is rounded as the policy says.
    """
    if exchange is None:
        none = {"exchange_rate": F.lit(None).cast(QUANTITY), "rate_date": F.lit(None).cast("date")}
        return lines.withColumns(none)
    known = lines.join(F.broadcast(exchange.rates), on=PAIR, how="left")
    product = exact_product(F.col("amount").cast(QUANTITY), F.col("exchange_rate"))
    do = F.round if exchange.policy.rounding == "half_up" else F.bround
    amount = F.when(F.col("price_currency").isNull(), F.col("amount")).otherwise(
        do(product, exchange.policy.decimals).cast(RATED)
    )
    return known.withColumn("amount", amount)

"""Credits: what a customer was granted is used up by its charges, oldest expiry first, and never beyond what they come to.

What a credit covers is decided charge by charge in one order that everybody can follow, so a customer's month is worked through in
one place, in plain Python with exact decimals; only customers who have a credit are. Source: docs/decisions/0010-credits.md
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from jobs.billing_aggregation.settlement import CREDIT
from jobs.billing_aggregation.tables import CHARGES
from jobs.billing_aggregation.transforms import NATURAL
from jobs.ledger.columns import QUANTITY, RATED
from jobs.ledger.identity import natural_id
from jobs.ledger.money import NO_MINOR_UNITS, THREE_MINOR_UNITS, exact_difference
from jobs.ledger.periods import Period

NEVER = date(9999, 12, 31)
CHARGED = [name for name in NATURAL if name != "kind"]  # names what a charge is for; all kinds of it are covered together
OF_A_CUSTOMER = ["tenant_id", "payer_account_id", "currency"]
PLACES, DIGITS = 18, 60  # decimals of RATED; digits that no sum of them exceeds
ZERO = Decimal(0)


@dataclass(frozen=True)
class Credit:
    """What is left of a credit, and what it may be used for."""

    credit_id: str
    account_id: str
    balance: Decimal
    products: frozenset[str] | None = None  # None: all
    region: str | None = None  # None: all
    is_shared: bool = False  # with the accounts that its account pays for
    valid_to: date | None = None

    def covers(self, row: dict[str, Any]) -> bool:
        """Whether a charge is one it may be used for."""
        return (
            (self.is_shared or row["account_id"] == self.account_id)
            and (self.products is None or row["product_id"] in self.products)
            and (self.region is None or row["region"] == self.region)
        )


def used(charges: Sequence[dict[str, Any]], credits: Iterable[Credit], places: int) -> list[tuple[int, str, Decimal]]:
    """What each credit pays of each charge: place of the charge, credit_id, amount.

    charges: of one payer and currency, in a fixed order: account_id, product_id, region and amount, which may be below nothing.
    places: decimals of the currency. The credit that expires first goes first, then by credit_id. Together the charges a credit may be
    used for never come to less than nothing, and no charge above nothing does by itself.
    """
    left = [row["amount"] or ZERO for row in charges]
    found = []
    with localcontext(prec=DIGITS):
        for credit in sorted(credits, key=lambda one: (one.valid_to or NEVER, one.credit_id)):
            mine = [place for place, row in enumerate(charges) if credit.covers(row)]
            amount = min(credit.balance, sum((left[place] for place in mine), ZERO))
            if amount <= 0:
                continue
            for place, share in zip(mine, shares(amount, [max(left[place], ZERO) for place in mine], places), strict=True):
                if share:
                    left[place] -= share
                    found.append((place, credit.credit_id, share))
    return found


def shares(amount: Decimal, rooms: Sequence[Decimal], places: int) -> list[Decimal]:
    """An amount spread over charges in proportion, none more than its room; they add up to it. amount: at most the sum of rooms.

    All of the rooms if it fills them. Else whole minor units by largest remainder; what is less than one goes where there is room.
    """
    with localcontext(prec=DIGITS):
        unit = Decimal(1).scaleb(-places)
        whole = sum(rooms, ZERO)
        if amount == whole:
            return list(rooms)
        units = int(amount / unit)
        parts = [divmod(units * int(room.scaleb(PLACES)), int(whole.scaleb(PLACES))) for room in rooms]
        told = [floor * unit for floor, _ in parts]
        ranked = sorted(range(len(rooms)), key=lambda place: (-parts[place][1], place))
        rest = amount - sum(told, ZERO)
        for place in ranked:
            if rest >= unit and told[place] + unit <= rooms[place]:
                told[place] += unit
                rest -= unit
        for place in ranked:
            more = min(rest, rooms[place] - told[place])
            told[place] += more
            rest -= more
        return told


def places_of(currency: str) -> int:
    """Decimals of a currency's amounts."""
    return 0 if currency in NO_MINOR_UNITS else 3 if currency in THREE_MINOR_UNITS else 2


def in_force(credits: DataFrame, period: Period) -> DataFrame:
    """The credits that may be used in a month: not withdrawn, and holding on one of its days. credits: one row per credit."""
    holds = (F.col("valid_from") < F.lit(period.next.first_day)) & (
        F.col("valid_to").isNull() | (F.col("valid_to") > F.lit(period.first_day))
    )
    return credits.where(holds & ~F.coalesce("withdrawn", F.lit(False)))


def remaining(credits: DataFrame, charged: DataFrame) -> DataFrame:
    """Credits with their balance: what was granted less what was used. charged: CHARGES that have used some."""
    return _with(credits, charged, exact_difference(F.col("amount"), F.coalesce("used", F.lit(0).cast(RATED))))


def taken(credits: DataFrame, charged: DataFrame) -> DataFrame:
    """Credits with what these charges have used of them as their balance: all that a month which is rated again may use."""
    return _with(credits, charged, F.coalesce("used", F.lit(0).cast(RATED)))


def _with(credits: DataFrame, charged: DataFrame, balance: Column) -> DataFrame:
    joined = credits.join(sums(charged), on=["tenant_id", "credit_id"], how="left")
    return joined.withColumn("balance", balance.cast(RATED)).drop("used").where(F.col("balance") > 0)


def sums(charged: DataFrame) -> DataFrame:
    """What charges have used of each credit: tenant_id, credit_id, used. charged: CHARGES."""
    of_credits = charged.where(F.col("kind") == CREDIT)
    return of_credits.groupBy("tenant_id", "credit_id").agg((-F.sum("amount")).cast(RATED).alias("used"))


USED = T.StructType(
    [
        T.StructField("tenant_id", T.StringType()),
        *(T.StructField(name, T.StringType()) for name in CHARGED),
        T.StructField("credit_id", T.StringType()),
        T.StructField("amount", RATED),
    ]
)
_USED = pa.schema(
    [*((name, pa.string()) for name in ("tenant_id", *CHARGED, "credit_id")), ("amount", pa.decimal128(38, 18))]
)


def lines(charged: DataFrame, credits: DataFrame, accounts: DataFrame, period: Period) -> DataFrame:
    """The charges of kind credit that a month's charges come to: CHARGES without publication_id, below nothing.

    charged: CHARGES of the month without publication_id, by all accounts that share a payer. credits: raw.credits, one row per credit,
    with balance. accounts: one row per account.
    """
    payers = accounts.select(
        "tenant_id", "account_id", F.coalesce("payer_account_id", "account_id").alias("payer_account_id")
    )
    payer = F.coalesce("payer_account_id", "account_id").alias("payer_account_id")

    def owned(rows: DataFrame) -> DataFrame:
        found = rows.join(payers, on=["tenant_id", "account_id"], how="left")
        return found.withColumn("payer_account_id", payer)

    granted = owned(
        credits.select(
            "tenant_id", "credit_id", "account_id", "currency", "balance", "products", "region", "shared", "valid_to"
        )
    )
    concerned = granted.select(*OF_A_CUSTOMER).distinct()
    summed = charged.where(F.col("prices_in_force") == 1).groupBy("tenant_id", *CHARGED).agg(
        F.sum("amount").cast(RATED).alias("amount")
    )  # fmt: skip
    mine = owned(summed).join(F.broadcast(concerned), on=OF_A_CUSTOMER, how="left_semi")
    found = mine.groupBy(*OF_A_CUSTOMER).cogroup(granted.groupBy(*OF_A_CUSTOMER)).applyInArrow(_of_customer, USED)
    columns = [field.name for field in CHARGES.schema.fields if field.name != "publication_id"]
    return (
        found.withColumns(
            {
                "kind": F.lit(CREDIT), "period": F.lit(period.first_day), "quantity": F.lit(0).cast(QUANTITY),
                "usage_rows": F.lit(0).cast("bigint"), "prices_in_force": F.lit(1),
                "exchange_rate": F.lit(None).cast(QUANTITY), "rate_date": F.lit(None).cast("date"),
            }
        )
        .withColumn("charge_id", natural_id("tenant_id", "period", *NATURAL, "credit_id"))
        .select(*columns)
    )  # fmt: skip


def _of_customer(charges: pa.Table, granted: pa.Table) -> pa.Table:
    rows = sorted(charges.to_pylist(), key=lambda row: tuple((row[name] is not None, row[name] or "") for name in CHARGED))
    credits = [
        Credit(
            row["credit_id"], row["account_id"], row["balance"], row["products"] and frozenset(json.loads(row["products"])),
            row["region"], bool(row["shared"]) and row["account_id"] == row["payer_account_id"], row["valid_to"],
        )
        for row in granted.to_pylist()
    ]  # fmt: skip
    if not rows or not credits:
        return _USED.empty_table()
    told = [
        {name: rows[place][name] for name in ("tenant_id", *CHARGED)} | {"credit_id": credit_id, "amount": -amount}
        for place, credit_id, amount in used(rows, credits, places_of(rows[0]["currency"]))
    ]
    return pa.Table.from_pylist(told, schema=_USED)


def account(
    credits: DataFrame, before: DataFrame, charged: DataFrame, adjusted: DataFrame, accounts: DataFrame
) -> DataFrame:
    """Every credit that a run uses or gives back, beside what was granted and used before.

    credits: one row per credit. before: CHARGES of invoiced months, adjustments among them. charged, adjusted: what this run bills, as
    CHARGES. accounts: one row per account. Returns tenant_id, credit_id, granted (null where there is no such credit), used_before,
    used_now (less than nothing where some is given back), outside (charges it was used for and may not be) and overdrawn (charges of
    the month that it brings below nothing).
    """
    key = ["tenant_id", "credit_id"]
    now = sums(charged.unionByName(adjusted)).withColumnsRenamed({"used": "used_now"})
    then = sums(before).withColumnsRenamed({"used": "used_before"})
    payers = accounts.select(
        "tenant_id", "account_id", F.coalesce("payer_account_id", "account_id").alias("payer_account_id")
    )
    scopes = credits.select(
        *key, F.col("account_id").alias("owner"), F.col("currency").alias("granted_in"), F.col("amount").cast(RATED).alias("granted"),
        F.from_json("products", "array<string>").alias("scope"), F.col("region").alias("granted_region"),
        F.coalesce("shared", F.lit(False)).alias("is_shared"),
    )  # fmt: skip
    of_credits = charged.where(F.col("kind") == CREDIT).join(payers, on=["tenant_id", "account_id"], how="left")
    is_its_own = (F.col("owner") == F.col("account_id")) | (
        F.col("is_shared") & (F.col("owner") == F.col("payer_account_id"))
    )
    is_inside = (
        is_its_own & (F.col("granted_in") == F.col("currency"))
        & (F.col("scope").isNull() | F.array_contains("scope", F.col("product_id")))
        & (F.col("granted_region").isNull() | F.col("granted_region").eqNullSafe(F.col("region")))
    )  # fmt: skip
    scoped = of_credits.join(scopes, on=key, how="left").select(
        "tenant_id", *CHARGED, "credit_id", (~F.coalesce(is_inside, F.lit(False))).cast("int").alias("is_outside")
    )
    covered = charged.groupBy("tenant_id", *CHARGED).agg(F.sum("amount").alias("net"))
    same = [F.col(f"c.{name}").eqNullSafe(F.col(f"n.{name}")) for name in ("tenant_id", *CHARGED)]
    below = (F.col("n.net") < 0).cast("int").alias("is_below")
    judged = (
        scoped.alias("c")
        .join(covered.alias("n"), on=same, how="left")
        .select("c.tenant_id", "c.credit_id", "c.is_outside", below)
        .groupBy(*key)
        .agg(F.sum("is_outside").alias("outside"), F.sum("is_below").alias("overdrawn"))
    )
    joined = now.join(then, on=key, how="left").join(judged, on=key, how="left")
    nothing = F.lit(0).cast(RATED)
    return joined.join(scopes, on=key, how="left").select(
        *key, "granted", F.coalesce("used_before", nothing).alias("used_before"), "used_now",
        *(F.coalesce(name, F.lit(0)).alias(name) for name in ("outside", "overdrawn")),
    )  # fmt: skip

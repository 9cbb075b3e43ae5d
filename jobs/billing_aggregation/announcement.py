"""What a run would bill for invoiced months, told to a person before anything is staged."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pyspark.sql import functions as F

from jobs.billing_aggregation import adjustments, corrections
from jobs.billing_aggregation.corrections import Changed, Looked
from jobs.runtime import shown
from jobs.runtime.house import House, rows_told
from jobs.runtime.tables import catalog

MOST = 20  # rows of a table that a person is shown; more are counted
ZERO = Decimal(0)


def told(house: House, changed: Mapping[str, Changed], looked: Looked) -> str:
    """Per tenant and month: what has changed, what that comes to by product and currency, who would wait, and one example.

    looked: as corrections.look_again() returns it.
    """
    sums = _by_month(_sums(house, looked))
    waiting = _by_month(_waiting(looked))
    examples = _by_month(_examples(house, looked))
    late = _by_month(looked.records.groupBy("tenant_id", "period").count().collect())
    parts = []
    for month, tenants in looked.months.items():
        for tenant in tenants:
            key = (tenant, month)
            lines = [
                f"{tenant} {month}, invoiced, would be adjusted in {house.run.month}:",
                *_causes(house, changed[tenant], month, sum(row["count"] for row in late.get(key, ()))),
                *_amounts(sums.get(key, [])),
                *_refused(sums.get(key, [])),
                *(_waits(row) for row in waiting.get(key, ())),
                *(_example(row) for row in examples.get(key, ())),
            ]
            parts.append("\n  ".join(lines))
    return "\n".join(
        [
            *parts,
            f"Nothing was written. To bill it: countinghouse run billing_aggregation --period {house.run.month}; if it is not meant, "
            f"land what is right with a higher revision before.",
        ]
    )


def _sums(house: House, looked: Looked) -> list[Any]:
    """What would be billed, by product and currency."""
    of_months = adjustments.as_charges(adjustments.billable(corrections.changes(house), looked.waits))
    summed = of_months.groupBy("tenant_id", "period", "product_id", "currency").agg(
        F.countDistinct("account_id").alias("accounts"), F.count(F.lit(1)).alias("lines"), F.sum("amount").alias("amount"),
        F.count(F.when(F.col("amount").isNull(), 1)).alias("unpriced"),
    )  # fmt: skip
    return summed.orderBy("tenant_id", "period", "product_id", "currency").collect()


def _waiting(looked: Looked) -> list[Any]:
    """Who would wait for a person."""
    return (
        looked.waits.groupBy("tenant_id", "period")
        .agg(F.countDistinct("account_id").alias("accounts"), F.min(F.struct("account_id", "why")).alias("one"))
        .collect()
    )


def _examples(house: House, looked: Looked) -> list[Any]:
    """Of each month the account and product that moves most: what was billed, and what it would have cost."""
    key = ["tenant_id", "period", "account_id", "product_id", "currency"]
    of_months = adjustments.as_charges(adjustments.billable(corrections.changes(house), looked.waits))
    moved = of_months.groupBy(*key).agg(F.sum("amount").alias("amount")).where(F.col("amount").isNotNull())
    most = moved.groupBy("tenant_id", "period").agg(
        F.max_by(F.struct(*key, "amount"), F.struct(F.abs("amount"), *key)).alias("one")
    )
    chosen = most.select("one.*")
    before = corrections.billed(house, looked.months).groupBy(*key).agg(F.sum("amount").alias("billed"))
    return chosen.join(before, on=key, how="left").collect()


def _by_month(rows: list[Any]) -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        found.setdefault((row["tenant_id"], str(row["period"])[:7]), []).append(row)
    return found


def _causes(house: House, changed: Changed, month: str, records: int) -> list[str]:
    """What came after the month was invoiced."""
    causes = [f"usage: {records:,} records came late"] if records else []
    prices = changed.price_changes.get(month, ())
    files = {
        row["landing_id"]: row["file_name"]
        for row in rows_told(catalog()["raw.landed_files"], house.snapshot, ("landing_id", "file_name"), house.run.tenants)
    }
    for one in prices[:MOST]:
        source = one.source
        how = "withdrawn" if source["withdrawn"] else f"revision {source['revision'] or 0}"
        file = files.get(source["landing_id"], "an unknown file")
        causes.append(f"price {one.price_id} of {source['product_id']}: {how}, {file} row {source['row_number']}")
    if len(prices) > MOST:
        causes.append(f"and {len(prices) - MOST:,} prices more")
    return causes


def _amounts(sums: list[Any]) -> list[str]:
    if not sums:
        return ["nothing would be billed"]
    rows = [
        {"product": row["product_id"], "currency": row["currency"], "accounts": row["accounts"], "lines": row["lines"],
         "amount": shown.money(row["amount"] or ZERO, row["currency"] or "")}
        for row in sums[:MOST]
    ]  # fmt: skip
    totals: dict[str, Decimal] = {}
    for row in sums:
        currency = row["currency"] or "no currency"
        totals[currency] = totals.get(currency, ZERO) + (row["amount"] or ZERO)
    more = [f"and {len(sums) - MOST:,} products more"] if len(sums) > MOST else []
    in_all = ", ".join(f"{shown.money(amount, currency)} {currency}" for currency, amount in sorted(totals.items()))
    return [*shown.table(rows).splitlines(), *more, f"in all {in_all}"]


def _refused(sums: list[Any]) -> list[str]:
    """What a gate would stop."""
    without = [row for row in sums if row["unpriced"]]
    if not without:
        return []
    lines = sum(row["unpriced"] for row in without)
    return [
        f"{lines:,} lines would have no price in force, e.g. product {without[0]['product_id']}: the gate would hold the tenant"
    ]


def _waits(row: Any) -> str:
    one = row["one"]
    return f"{row['accounts']:,} accounts would wait for a person, e.g. {one['account_id']} {one['why']}"


def _example(row: Any) -> str:
    was, currency = row["billed"] or ZERO, row["currency"]
    amounts = [f"{shown.money(amount, currency)} {currency}" for amount in (was, was + row["amount"], row["amount"])]
    return f"for example {row['account_id']}, {row['product_id']}: {amounts[0]} was billed, {amounts[1]} is what it costs: {amounts[2]}"

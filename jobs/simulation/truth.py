"""What is in the simulated files, and what the bill has to be; computed with exact decimals and without Spark."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa

PRICED = """
create or replace temp table priced as
select u.*, coalesce(own.price_id, common.price_id) as price_id, coalesce(own.model, common.model) as model,
       coalesce(own.unit_price, common.unit_price, u.unit_price) as charged
from in_effect u
left join prices own on own.product_id = u.product_id and own.currency = u.currency and own.region = u.region
    and u.day >= own.valid_from and (own.valid_to is null or u.day < own.valid_to)
left join prices common on common.product_id = u.product_id and common.currency = u.currency and common.region is null
    and u.day >= common.valid_from and (common.valid_to is null or u.day < common.valid_to)
"""
CHARGES = """
create or replace temp table charges as
select currency, account_id, product_id, if(model = 'per_unit', price_id, null) as price, region, unit,
       count(*) as usage_rows, sum(quantity) as quantity, sum(quantity * charged) as amount
from priced group by all
"""
BY_CURRENCY = "select currency, sum(usage_rows)::bigint, count(*), sum(amount) from charges group by 1 order by 1"
BY_PRODUCT = "select currency, product_id, sum(quantity) from charges group by 1, 2 order by 1, 2"


@dataclass(frozen=True)
class FileTruth:
    """One file that can be read."""

    rows: int
    control_totals: dict[str, str]  # exact sum of the source column's numbers; rows without one count as nothing


@dataclass(frozen=True)
class FeedTruth:
    """One feed as one month delivers it: rows = accepted + quarantined + duplicates; late ones are among the accepted."""

    files: dict[str, FileTruth]
    unreadable: dict[str, str]  # file -> what it is instead
    rows: int
    accepted: int
    quarantined: int
    duplicates: int
    late: int
    kinds: dict[str, int]


@dataclass(frozen=True)
class CurrencyTruth:
    """What one currency of a month's bill comes to; late rows are left out, or are all there is in it."""

    usage_rows: int  # in effect: new rows that nothing replaced or took back, and revisions
    charges: int  # by account, product, listed price, region, unit and currency
    amount: str  # sum of quantity times unit price, not rounded
    quantities: dict[str, str]  # by product


@dataclass(frozen=True)
class TotalTruth:
    """One currency of one month over all tenants."""

    usage_rows: int
    charges: int
    amount: str


@dataclass(frozen=True)
class PayablesTruth:
    """The vendor invoices of one month, as the run at its end has to decide and pay them."""

    received: int
    lines: int  # records they come in
    decisions: dict[str, int]  # accept, hold, reject: what is first decided of those received
    wrong: dict[str, str | None]  # payable -> the one rule that it breaks
    released: list[str]  # held a month before, accepted now
    accepted: dict[str, str]  # gross amounts accepted in the month, by currency; credit notes are negative
    instructions: int  # payables paid
    instructed: dict[str, str]  # their amounts by currency


@dataclass(frozen=True)
class MonthTruth:
    """One tenant's month: what it delivers, what it is billed, and how many rows of it come a month too late."""

    delivered: dict[str, FeedTruth]
    bill: dict[str, CurrencyTruth]
    adjusted: dict[str, CurrencyTruth]  # what the late rows of the month before add, billed in this one
    usage_rows: int  # billed, over all currencies
    charges: int
    late_rows: int  # of this month, in the next one's delivery
    payables: PayablesTruth
    taxes: dict[str, dict[str, str]]  # account -> product, `*` for every other one -> who sells it and what it carries


@dataclass(frozen=True)
class TenantTruth:
    """One tenant."""

    business_line: str
    timezone: str
    accounts: int  # accepted ones, by the end of the world
    months: dict[str, MonthTruth]


@dataclass(frozen=True)
class MonthTotals:
    """One month over all tenants."""

    delivered_rows: dict[str, int]  # by feed
    kinds: dict[str, int]  # usage rows by kind
    usage_rows: int
    charges: int
    bill: dict[str, TotalTruth]


@dataclass(frozen=True)
class Truth:
    """Everything a run over the simulated world has to come to."""

    world: dict[str, int | str]
    tenants: dict[str, TenantTruth]
    totals: dict[str, MonthTotals]

    def write(self, path: Path) -> None:
        """Write the truth as JSON; amounts and quantities are strings, to stay exact."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def bill_of(in_effect: pa.Table, prices: pa.Table, connection: duckdb.DuckDBPyConnection) -> dict[str, CurrencyTruth]:
    """The bill of one month by currency. Usage without exactly one price in force breaks the simulation, not the bill."""
    connection.register("in_effect", in_effect)
    connection.register("prices", prices)
    connection.execute(PRICED)
    priced = connection.execute("select count(*), count(if(model is null, null, charged)) from priced").fetchone()
    if priced != (len(in_effect), len(in_effect)):
        raise ValueError(f"{len(in_effect)} rows of usage met {priced} prices; the simulated prices have gaps or overlaps")
    connection.execute(CHARGES)
    quantities: dict[str, dict[str, str]] = {}
    for currency, product, quantity in connection.execute(BY_PRODUCT).fetchall():
        quantities.setdefault(currency, {})[product] = plain(quantity)
    return {
        currency: CurrencyTruth(usage_rows, charges, plain(amount), quantities[currency])
        for currency, usage_rows, charges, amount in connection.execute(BY_CURRENCY).fetchall()
    }


def totals_of(months: Iterable[MonthTruth]) -> MonthTotals:
    """One month of all tenants in one."""
    rows, kinds, bill = Counter[str](), Counter[str](), dict[str, TotalTruth]()
    for month in months:
        rows.update({feed: truth.rows for feed, truth in month.delivered.items()})
        kinds.update(month.delivered["usage"].kinds)
        for currency, part in month.bill.items():
            sofar = bill.get(currency, TotalTruth(0, 0, "0"))
            amount = plain(Decimal(sofar.amount) + Decimal(part.amount))
            bill[currency] = TotalTruth(sofar.usage_rows + part.usage_rows, sofar.charges + part.charges, amount)
    return MonthTotals(
        delivered_rows=dict(rows),
        kinds=dict(kinds),
        usage_rows=sum(part.usage_rows for part in bill.values()),
        charges=sum(part.charges for part in bill.values()),
        bill=dict(sorted(bill.items())),
    )


def plain(number: Decimal) -> str:
    """A number without exponent and without zeros that say nothing."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

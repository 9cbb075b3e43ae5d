"""Which credits a run may use, read from what invoiced months have left of them. What they pay is computed in credits.py."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.billing_aggregation import adjustments, credits
from jobs.billing_aggregation.settlement import CREDIT
from jobs.billing_aggregation.tables import ADJUSTMENTS, CHARGES
from jobs.ledger.facts import current_accounts, latest_credits
from jobs.ledger.months import invoiced, open_before
from jobs.ledger.periods import Period
from jobs.runtime.house import House
from jobs.runtime.ops import Unit
from jobs.stages import INGESTION

NOTED = "crediting/charges"  # what a run notes beside its candidates: a month's charges before credits
ACCOUNT = (
    "tenant_id string, credit_id string, granted decimal(38,18), used_before decimal(38,18), used_now decimal(38,18), "
    "outside bigint, overdrawn bigint"
)


def with_credits(house: House, charged: DataFrame, accounts: DataFrame) -> DataFrame:
    """A month's charges with what credits pay of them, where there are any. charged: CHARGES without publication_id.

    A credit may be used by the earliest month that is not invoiced, so that two months never use the same balance.
    """
    turn = [name for name in tenants(house) if not open_before(house.snapshot, name, house.run.month.key)]
    if not turn:
        return charged
    granted = credits.in_force(_granted(house).where(F.col("tenant_id").isin(turn)), house.run.month)
    noted = house.keep(charged, NOTED)  # so that the month is not rated twice
    return noted.unionByName(credits.lines(noted, credits.remaining(granted, _used(house)), accounts, house.run.month))


def again(house: House, rated: DataFrame, billed: DataFrame, accounts: DataFrame, period: Period) -> DataFrame:
    """The lines of credits of a month that was rated again: what it has used may be used again, and no more.

    rated: its new charges, without publication_id. billed: all that was billed for it. Returns CHARGES without publication_id.
    """
    return credits.lines(rated, credits.taken(_granted(house), billed), accounts, period)


def account(house: House) -> DataFrame:
    """Every credit that this run uses or gives back, as credits.account() tells it; empty where no tenant has any."""
    if not tenants(house):
        return house.spark.createDataFrame([], ACCOUNT)
    adjusted = house.staged(ADJUSTMENTS.name) if house.was_staged(ADJUSTMENTS.name) else None
    changes = house.spark.createDataFrame([], CHARGES.schema) if adjusted is None else adjustments.as_charges(adjusted)
    accounts = current_accounts(house.standing("raw.accounts"))
    return credits.account(_granted(house), _used(house), house.staged(CHARGES.name), changes, accounts)


def tenants(house: House) -> list[str]:
    """The tenants of the run that have ever granted a credit."""
    units = {name: Unit(INGESTION.name, name, "all", "credits") for name in house.run.tenants}
    return [name for name, unit in units.items() if unit in house.snapshot.latest]


def _granted(house: House) -> DataFrame:
    return latest_credits(house.standing("raw.credits"))


def _used(house: House) -> DataFrame:
    """The lines of credits that stand on invoices: CHARGES."""
    charged = house.read_all_months(CHARGES.name).where(_is_invoiced(house))
    changes = house.read_all_months(ADJUSTMENTS.name).where(_is_invoiced(house))
    every = charged.unionByName(adjustments.as_charges(changes))
    return every.where(F.col("kind") == CREDIT)


def _is_invoiced(house: House) -> Column:
    """Whether a row is of an invoiced month of its tenant; one flat list, since a condition per tenant would be nested too deep."""
    months = [f"{name}/{month}" for name in house.run.tenants for month in invoiced(house.snapshot, name)]
    named = F.concat("tenant_id", F.lit("/"), F.date_format("period", "yyyy-MM"))
    return named.isin(*months) if months else F.lit(False)

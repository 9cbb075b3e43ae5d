"""The day an invoice falls due: a business day of the seller's country, where the policy asks for one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.invoice_generation.settings import DueDates
from jobs.ledger.calendars import LONGEST_REST, Market
from jobs.ledger.tenants import Tenant

LONGEST_TERMS = 365  # days
RESTING = "tenant_id string, legal_entity_id string, resting array<date>"


def resting(spark: SparkSession, tenants: Sequence[Tenant], issue_date: date) -> DataFrame:
    """The days on which nothing is settled where each legal entity sits, as far as terms of an issue date reach: RESTING."""
    until = date.fromordinal(issue_date.toordinal() + LONGEST_TERMS + LONGEST_REST)
    days = [date.fromordinal(day) for day in range(issue_date.toordinal() - LONGEST_REST, until.toordinal() + 1)]
    markets = {entity.country: Market(entity.country, "") for tenant in tenants for entity in tenant.legal_entities}
    closed = {country: [day for day in days if not market.is_open(day)] for country, market in markets.items()}
    rows = [(tenant.tenant, entity.id, closed[entity.country]) for tenant in tenants for entity in tenant.legal_entities]
    return spark.createDataFrame(rows, RESTING)


def moved(headers: DataFrame, closed: DataFrame, policy: DueDates) -> DataFrame:
    """Headers with due_date on a business day; headers: with tenant_id, legal_entity_id, issue_date, due_date. closed: RESTING.

    following: the day itself or the first business day after it. preceding: the last one before it, but never before the day of issue.
    """
    if policy == "unmoved":
        return headers
    is_open = "day -> NOT array_contains(resting, day)"
    after = f"filter(sequence(due_date, date_add(due_date, {LONGEST_REST})), {is_open})[0]"
    before = f"filter(sequence(due_date, date_sub(due_date, {LONGEST_REST}), INTERVAL -1 DAY), {is_open})[0]"
    day = after if policy == "following" else f"CASE WHEN {before} < issue_date THEN {after} ELSE {before} END"
    both = headers.join(F.broadcast(closed), on=["tenant_id", "legal_entity_id"], how="left")
    return both.withColumn("due_date", F.coalesce(F.expr(day), F.col("due_date"))).drop("resting")

"""Builders of payables, vendors and the tenants that pay them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from jobs.ingestion.tables import VENDORS
from jobs.ledger.tenants import Tenant
from jobs.payable_validation.tables import DECISIONS
from jobs.payment_planning import transforms
from jobs.payment_planning.settings import Policy
from jobs.payment_planning.tables import PAYMENT_INSTRUCTIONS
from tests.builders import ALPHA, Row, frame, table_of

GERMAN, BRITISH, FRENCH = "DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606"
WEDNESDAY_MORNING = datetime(2026, 7, 1, 9, 59, 59, 999999, tzinfo=UTC)  # the last instant of hour 2026-07-01T09


def policy(**more: Any) -> Policy:
    """A week ahead, due dates on weekends are paid on the Friday before."""
    told: dict[str, Any] = {
        "id": "test", "version": 1, "valid_from": "2000-01-01", "horizon_days": 7, "business_day": "previous", "default_terms": "net 30",
        "credit_notes": "leave_open", "cut_offs": {"sepa": "15:00", "transfer": "15:00", "immediate": "15:00"},
        "payment_methods": {"SEPA": "sepa", "Bank  Transfer": "transfer", "instant": "immediate"}, "subdivisions": {"GB": "ENG"},
    }  # fmt: skip
    return Policy.model_validate(told | more)


def payer(name: str = ALPHA, country: str = "DE", timezone: str = "Europe/Berlin", **accounts: str) -> Tenant:
    """A tenant with one legal entity that pays euros, pounds, yen and dollars, or from the accounts it is given by currency."""
    numbers = accounts or {"EUR": GERMAN, "GBP": BRITISH, "JPY": "JP-0001-1234567", "USD": "US-021000021-1"}
    entity = {
        "id": f"{name}-one", "country": country, "timezone": timezone, "invoice_prefix": "A", "tax_policy": "none", "name": "Alpha Söhne & Co",
        "bank_accounts": [{"iban": number, "currency": currency} for currency, number in numbers.items()],
    }  # fmt: skip
    return Tenant.model_validate({"tenant": name, "business_line": "cloud", "legal_entities": [entity]})


def decided(payable_id: str = "p-1", amount: str = "100", due: str | None = "2026-07-06", **more: Any) -> Row:
    """A row of payables.decisions: an accepted invoice over euros, with its due date."""
    row: Row = {
        "tenant_id": ALPHA, "period": "2026-07-01", "payable_id": payable_id, "decided_at": "2026-07-01T08", "decision": "accept",
        "reason_count": 0, "vendor_id": "v-1", "legal_entity_id": "alpha-one", "document_type": "invoice", "invoice_number": f"INV {payable_id}",
        "invoice_date": "2026-06-30", "received_on": "2026-06-30", "due_date": due, "currency": "EUR", "gross_amount": amount,
        "net_amount": amount, "tax_amount": "0", "line_count": 1, "publication_id": "d-1",
    }  # fmt: skip
    return row | more


def vendor(**more: Any) -> Row:
    """A row of raw.vendors: a French vendor."""
    row: Row = {
        "tenant_id": ALPHA, "vendor_id": "v-1", "legal_name": "Éditions Étoile", "country": "FR", "iban": FRENCH, "status": "active",
        "valid_from": "2020-01-01", "landing_id": "l-1", "row_number": 1,
    }  # fmt: skip
    return row | more


def instructed(payable_id: str = "p-1", **more: Any) -> Row:
    """A row of payables.payment_instructions."""
    return {"tenant_id": ALPHA, "payable_id": payable_id, "instruction_id": f"i-{payable_id}", "amount": "100"} | more


def accepted(spark: SparkSession, payables: Iterable[Row]) -> DataFrame:
    """The payables whose latest decision accepts them."""
    order = frame(spark, "publication_id string, place int", [{"publication_id": "d-1", "place": 0}])
    latest = transforms.latest(table_of(spark, DECISIONS, payables), order)
    return latest.where("decision = 'accept'").selectExpr("*", "true AS still_accepted")


def planned(
    spark: SparkSession,
    payables: Iterable[Row],
    vendors: Iterable[Row],
    owners: Mapping[str, tuple[Tenant, Policy]],
    before: Iterable[Row] = (),
    moment: datetime = WEDNESDAY_MORNING,
) -> DataFrame:
    """What becomes of payables, by tenant."""
    tenants, policies = [tenant for tenant, _ in owners.values()], {name: rules for name, (_, rules) in owners.items()}
    return transforms.planned(
        accepted(spark, payables),
        table_of(spark, PAYMENT_INSTRUCTIONS, before),
        transforms.current_vendors(table_of(spark, VENDORS, vendors), moment.date()),
        transforms.payers(spark, tenants, policies, moment),
        transforms.business_days(spark, tenants, policies, moment),
        transforms.methods(spark, policies),
    )

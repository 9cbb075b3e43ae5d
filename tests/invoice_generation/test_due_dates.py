"""Invoices fall due on business days of who sells."""

from __future__ import annotations

from datetime import date

import pytest

from jobs.invoice_generation.due_dates import moved, resting
from tests.builders import ALPHA, collected, entity, invoices, issued, tenant

SELLERS = [tenant(ALPHA, [entity("alpha-uk"), entity("alpha-ae", country="AE", invoice_prefix="E")])]


def due(seller, day):
    return issued(
        invoice_id=f"{seller} {day}", legal_entity_id=f"alpha-{seller}", issue_date=min("2026-12-01", day), due_date=day
    )


DAYS = [
    due("uk", "2026-12-16"),  # a Wednesday
    due("uk", "2026-12-19"),  # a Saturday
    due("uk", "2026-12-25"),  # Christmas, a Friday; Monday replaces Boxing Day, a Saturday
    due("ae", "2026-12-25"),  # an ordinary Friday
    due("uk", "2026-11-01"),  # the day of issue is a Sunday
]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param("unmoved", ["2026-12-25", "2026-11-01", "2026-12-16", "2026-12-19", "2026-12-25"], id="as_terms_say"),
        pytest.param("following", ["2026-12-25", "2026-11-02", "2026-12-16", "2026-12-21", "2026-12-29"], id="the_next"),
        pytest.param("preceding", ["2026-12-25", "2026-11-02", "2026-12-16", "2026-12-18", "2026-12-24"], id="the_last"),
    ],
)
def test_a_day_of_rest_gives_way_to_a_business_day(spark, policy, expected):
    closed = resting(spark, SELLERS, date(2026, 11, 1))
    found = collected(moved(invoices(spark, *DAYS), closed, policy), "invoice_id", "due_date")
    assert [str(day) for _, day in found] == expected

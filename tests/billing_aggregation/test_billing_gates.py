"""The suites of billing aggregation: a good frame passes, each broken promise is caught for the tenant that broke it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from jobs.billing_aggregation.tables import ADJUSTMENTS
from jobs.billing_aggregation.transforms import month_on_month
from tests.builders import ALPHA, charged, charges, failures, frame, judged, table_of

BROKEN_CHARGES = {
    # tenant that breaks it: (expectation, rows, how many, example)
    "twice": ("a charge stands once", [charged(), charged()], 1, "c-1"),
    "unpriced": ("every charge has a price in force", [charged(None, prices_in_force=0)], 1, "product storage in EUR"),
    "overlapping": ("no charge has two prices in force", [charged(None, prices_in_force=2)], 1, "product storage in EUR"),
    "unknown": (
        "every charge belongs to a known account",
        [charged(currency=None), charged(currency=None, charge_id="c-2")],
        2,
        "a-1",
    ),
    "amountless": ("every priced charge has an amount", [charged(None)], 1, "c-1"),
    "negative": (
        "few charges are negative",
        [charged("-1", quantity="-1"), charged("-1", quantity="-1", charge_id="c-0"), charged(charge_id="c-2")],
        2,
        "c-0",
    ),
    "counted_again": ("only usage has a quantity", [charged(kind="minimum")], 1, "c-1"),
}
ADJUSTED = {"period": "2026-08-01", "adjusts_period": "2026-07-01"}
BROKEN_ADJUSTMENTS = {
    "adjusted_twice": ("a charge stands once", [charged(**ADJUSTED), charged(**ADJUSTED)], 1, "c-1"),
    "adjusted_unpriced": (
        "every charge has a price in force",
        [charged(None, prices_in_force=0, **ADJUSTED)],
        1,
        "product storage in EUR",
    ),
    "itself": ("only an earlier month is adjusted", [charged(**(ADJUSTED | {"adjusts_period": "2026-08-01"}))], 1, "c-1"),
    "fee_with_a_quantity": ("only usage has a quantity", [charged(kind="fee", **ADJUSTED)], 1, "c-1"),
    "of_nothing": ("an adjustment moves something", [charged("0", quantity="0", usage_rows=0, **ADJUSTED)], 1, "c-1"),
}
CONSERVED = {
    "period": "2026-07-01",
    "product_id": "storage",
    "accepted_quantity": "1",
    "charged_quantity": "1",
    "accepted_rows": 1,
    "charged_rows": 1,
}
BROKEN_CONSERVATION = {
    "a_digit_lost": (
        "charged quantity = accepted usage",
        [CONSERVED | {"accepted_quantity": "1.000000000000000000001"}],
        1,
        "storage in 2026-07",
    ),
    "cancelled_out": ("charged rows = accepted rows", [CONSERVED | {"accepted_rows": 3}], 1, "storage in 2026-07"),
}
COLUMNS = (
    "tenant_id string, period date, product_id string, accepted_quantity decimal(38,21), charged_quantity decimal(38,21), "
    "accepted_rows bigint, charged_rows bigint"
)


@pytest.fixture(scope="module")
def failed_charges(spark, shared_home):
    """What the suite says of all tenants at once."""
    rows = [row | {"tenant_id": tenant} for tenant, (_, told, _, _) in BROKEN_CHARGES.items() for row in told]
    rows.append(charged(tenant_id="good"))
    return failures(
        judged("billing_aggregation", "charges", charges(spark, *rows), [*BROKEN_CHARGES, "good", "without_rows"])
    )


@pytest.fixture(scope="module")
def failed_conservation(spark, shared_home):
    """What the suite says of all tenants at once."""
    rows = [row | {"tenant_id": tenant} for tenant, (_, told, _, _) in BROKEN_CONSERVATION.items() for row in told]
    rows += [
        CONSERVED | {"tenant_id": "good"},
        {"tenant_id": "never_charged", "product_id": "x", "accepted_quantity": "1", "accepted_rows": 1},
    ]
    return failures(
        judged(
            "billing_aggregation",
            "conservation",
            frame(spark, COLUMNS, rows),
            [*BROKEN_CONSERVATION, "good", "never_charged"],
        )
    )


@pytest.mark.parametrize("tenant", BROKEN_CHARGES)
def test_a_broken_charge_is_caught_for_its_tenant(failed_charges, tenant):
    expectation, _, failing, example = BROKEN_CHARGES[tenant]
    assert [(v.expectation, v.failing, v.example) for v in failed_charges[tenant]] == [(expectation, failing, example)]


@pytest.fixture(scope="module")
def without_a_reason(spark, shared_home):
    """A charge below nothing with a reason, and one without."""
    told = {
        "without": charged("-1"),
        "taken_back": charged("-1", quantity="-1"),
        "discounted": charged("-1", kind="discount", quantity="0", usage_rows=0),
        "on_record": charged("-1", model="price_on_record"),
    }
    rows = [row | {"tenant_id": tenant} for tenant, row in told.items()]
    return failures(judged("billing_aggregation", "charges", charges(spark, *rows), list(told)))


@pytest.mark.parametrize("tenant", ["taken_back", "discounted", "on_record"])
def test_a_total_below_nothing_has_a_reason(without_a_reason, tenant):
    assert all(v.severity == "warning" for v in without_a_reason.get(tenant, []))


def test_a_total_below_nothing_without_a_reason_is_caught(without_a_reason):
    told = [(v.expectation, v.severity) for v in without_a_reason["without"]]
    assert told == [("no negative total without a reason", "critical"), ("few charges are negative", "warning")]


def test_tenants_whose_charges_are_good_go_on(failed_charges):
    assert set(failed_charges) == set(BROKEN_CHARGES)
    assert {v.severity for v in failed_charges["negative"]} == {"warning"}


@pytest.fixture(scope="module")
def failed_adjustments(spark, shared_home):
    """What the suite says of all tenants at once."""
    rows = [row | {"tenant_id": tenant} for tenant, (_, told, _, _) in BROKEN_ADJUSTMENTS.items() for row in told]
    rows.append(charged("-70", quantity="1", tenant_id="good", **ADJUSTED))
    return failures(
        judged("billing_aggregation", "adjustments", table_of(spark, ADJUSTMENTS, rows), [*BROKEN_ADJUSTMENTS, "good"])
    )


@pytest.mark.parametrize("tenant", BROKEN_ADJUSTMENTS)
def test_a_broken_adjustment_is_caught_for_its_tenant(failed_adjustments, tenant):
    expectation, _, failing, example = BROKEN_ADJUSTMENTS[tenant]
    assert [(v.expectation, v.failing, v.example) for v in failed_adjustments[tenant]] == [(expectation, failing, example)]
    assert "good" not in failed_adjustments


def test_a_product_that_jumps_is_a_warning_with_its_name(spark, shared_home):
    now = [
        charged("100"),
        charged("50", product_id="steady"),
        charged("9", product_id="new"),
        charged("1", product_id="fallen"),
    ]
    before = [
        charged("10"),
        charged("60", product_id="steady"),
        charged("7", product_id="fallen"),
        charged("8", product_id="gone"),
    ]
    compared = month_on_month(charges(spark, *now), charges(spark, *before), Decimal("5"))
    (told,) = failures(judged("billing_aggregation", "month_on_month", compared, [ALPHA]))[ALPHA]
    assert (told.severity, told.failing, told.example) == ("warning", 2, "product fallen in EUR")


@pytest.mark.parametrize("tenant", BROKEN_CONSERVATION)
def test_lost_usage_is_caught_for_its_tenant(failed_conservation, tenant):
    expectation, _, failing, example = BROKEN_CONSERVATION[tenant]
    assert [(v.expectation, v.failing, v.example) for v in failed_conservation[tenant]] == [(expectation, failing, example)]


def test_usage_without_any_charge_is_caught_too(failed_conservation):
    assert len(failed_conservation["never_charged"]) == 2
    assert "good" not in failed_conservation


USED = {"credit_id": "k-1", "granted": "100", "used_before": "60", "used_now": "40", "outside": 0, "overdrawn": 0}
OF_CREDITS = (
    "tenant_id string, credit_id string, granted decimal(38,18), used_before decimal(38,18), used_now decimal(38,18), "
    "outside bigint, overdrawn bigint"
)
BROKEN_CREDITS = {
    "too_much": ("credit used <= credit granted", USED | {"used_now": "40.000000000000000001"}),
    "never_granted": ("credit used <= credit granted", USED | {"granted": None}),
    "given_back_twice": ("no more of a credit is given back than was used", USED | {"used_now": "-60.01"}),
    "of_somebody_else": ("a credit is used for what it was given for", USED | {"outside": 1}),
    "paid_out": ("a credit brings no charge below nothing", USED | {"overdrawn": 1}),
}
GOOD_CREDITS = {
    "all_used": USED,
    "given_back": USED | {"used_now": "-60"},
    "lowered_after_it_was_used": USED | {"granted": "10", "used_now": "0"},
}


@pytest.fixture(scope="module")
def failed_credits(spark, shared_home):
    """What the suite says of all tenants at once."""
    told = {tenant: row for tenant, (_, row) in BROKEN_CREDITS.items()} | GOOD_CREDITS
    rows = frame(spark, OF_CREDITS, [row | {"tenant_id": tenant} for tenant, row in told.items()])
    return failures(judged("billing_aggregation", "credits", rows, [*told, "without_rows"]))


@pytest.mark.parametrize("tenant", BROKEN_CREDITS)
def test_a_credit_that_is_not_as_granted_is_caught_for_its_tenant(failed_credits, tenant):
    assert [(v.expectation, v.failing, v.example) for v in failed_credits[tenant]] == [(BROKEN_CREDITS[tenant][0], 1, "k-1")]


@pytest.mark.parametrize("tenant", [*GOOD_CREDITS, "without_rows"])
def test_credits_as_granted_pass(failed_credits, tenant):
    assert tenant not in failed_credits

"""The suites of ledger posting: a good frame passes, each broken promise is caught for the tenant that broke it."""

from __future__ import annotations

import pytest

from tests.builders import failures, frame, judged

ENTRY = {
    "entry_id": "e-1",
    "debit": "12",
    "credit": "12",
    "currencies": 1,
    "unposted": 0,
    "nobodys": 0,
    "smallest": "0",
    "repeated_lines": 0,
}
ENTRIES = (
    "tenant_id string, entry_id string, debit decimal(38,3), credit decimal(38,3), currencies bigint, unposted int, "
    "nobodys int, smallest decimal(18,3), repeated_lines bigint"
)
BROKEN_ENTRIES = {
    "one_sided": ("debits = credits", {"credit": "11.999"}),
    "without_credit": ("debits = credits", {"credit": None}),
    "two_currencies": ("an entry has one currency", {"currencies": 2}),
    "unposted": ("every event has a posting rule", {"unposted": 1}),
    "of_nobody": ("every entry has a legal entity", {"nobodys": 1}),
    "negative": ("no debit or credit is negative", {"smallest": "-0.001"}),
    "line_twice": ("an entry's lines stand once", {"repeated_lines": 1}),
}
SIDE = {
    "ledger_account": "accounts_receivable",
    "legal_entity_id": "uk",
    "currency": "EUR",
    "control": "12",
    "items": "12",
    "unnamed": 0,
}
SIDES = (
    "tenant_id string, ledger_account string, legal_entity_id string, currency string, control decimal(38,3), "
    "items decimal(38,3), unnamed bigint"
)
ITEMS, NAMED = "sub-ledger = control account", "every open item has a party and a number"
BROKEN_SIDES = {
    "items_missing": ({ITEMS}, {"items": "11.999"}),
    "no_items": ({ITEMS}, {"items": None, "unnamed": None}),
    "never_posted": ({ITEMS}, {"control": None}),
    "item_of_nobody": ({NAMED}, {"unnamed": 1}),
}
EVENT = {
    "event": "cash_received",
    "currency": "EUR",
    "happened_count": 2,
    "happened_gross": "12",
    "posted_count": 2,
    "posted_gross": "12",
}
EVENTS = (
    "tenant_id string, event string, currency string, happened_count bigint, happened_gross decimal(38,3), posted_count bigint, "
    "posted_gross decimal(38,3)"
)
BROKEN_EVENTS = {
    "one_missing": ("every event is posted", "critical", {"posted_count": 1, "posted_gross": "6"}),
    "none_posted": ("every event is posted", "critical", {"posted_count": 0, "posted_gross": None}),
    "amount_changed": ("what is posted is what happened", "critical", {"posted_gross": "11.999"}),
    "source_replayed": (
        "what is posted still stands in its source",
        "warning",
        {"happened_count": 1, "happened_gross": "6"},
    ),
}


@pytest.fixture(scope="module")
def failed_entries(spark, shared_home):
    """What the suite says of all tenants' entries at once."""
    rows = [ENTRY | more | {"tenant_id": tenant} for tenant, (_, more) in BROKEN_ENTRIES.items()]
    rows += [ENTRY | {"tenant_id": tenant} for tenant in ("good", "twice", "twice")]
    return failures(judged("ledger_posting", "journal", frame(spark, ENTRIES, rows), [*BROKEN_ENTRIES, "good", "twice"]))


@pytest.fixture(scope="module")
def failed_sides(spark, shared_home):
    """What the suite says of all tenants' control accounts at once."""
    rows = [SIDE | more | {"tenant_id": tenant} for tenant, (_, more) in BROKEN_SIDES.items()] + [
        SIDE | {"tenant_id": "good"}
    ]
    return failures(judged("ledger_posting", "sub_ledger", frame(spark, SIDES, rows), [*BROKEN_SIDES, "good"]))


@pytest.mark.parametrize("tenant", BROKEN_ENTRIES)
def test_a_broken_entry_is_caught_for_its_tenant(failed_entries, tenant):
    told = [(verdict.expectation, verdict.failing, verdict.example, verdict.severity) for verdict in failed_entries[tenant]]
    assert told == [(BROKEN_ENTRIES[tenant][0], 1, "e-1", "critical")]


def test_an_entry_that_stands_twice_is_caught_and_good_entries_pass(failed_entries):
    assert [verdict.expectation for verdict in failed_entries["twice"]] == ["an entry stands once"]
    assert "good" not in failed_entries


@pytest.mark.parametrize("tenant", BROKEN_SIDES)
def test_books_that_do_not_meet_are_caught_for_their_tenant(failed_sides, tenant):
    assert {verdict.expectation for verdict in failed_sides[tenant]} == BROKEN_SIDES[tenant][0]
    assert {(verdict.failing, verdict.example) for verdict in failed_sides[tenant]} == {(1, "accounts_receivable")}
    assert "good" not in failed_sides


def test_events_and_entries_that_do_not_meet_are_caught_for_their_tenant(spark, shared_home):
    rows = [EVENT | more | {"tenant_id": tenant} for tenant, (_, _, more) in BROKEN_EVENTS.items()]
    told = failures(
        judged(
            "ledger_posting",
            "events",
            frame(spark, EVENTS, [*rows, EVENT | {"tenant_id": "good"}]),
            [*BROKEN_EVENTS, "good"],
        )
    )
    found = {tenant: [(v.expectation, v.severity, v.example) for v in verdicts] for tenant, verdicts in told.items()}
    assert found == {tenant: [(title, level, "cash_received")] for tenant, (title, level, _) in BROKEN_EVENTS.items()}

"""Whole days over receivables and cash made by hand; each goes on from the states of the one before.

The tests of this module are one story and run in the order they stand in.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs.runtime import delta_log, ops, verbs
from jobs.runtime.errors import GateFailed, UpstreamMissing
from jobs.runtime.ops import TableVersion
from jobs.runtime.tables import catalog
from tests.builders import ALPHA, BETA, asked, conf_file
from tests.runtime import handmade
from tests.suspension_selection.debts import COUNTS, policy

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow

STAGE = "suspension_selection"


def settle(**more):
    """conf/suspension_selection.yaml of the home."""
    told = policy(
        one_step=True,
        share_max="0.9",
        allowed_anyway=1,
        states=[COUNTS[0] | {"min_days": 0}, COUNTS[1] | {"min_days": 2}],
        **more,
    )
    return {"policies": [told.model_dump(mode="json", exclude_none=True)]}


def owed(document: str, account: str = "a-1", amount: str = "100", left: str | None = None, due=date(2026, 7, 1)):
    return {
        "period": date(2026, 7, 1), "ledger_account": "accounts_receivable", "legal_entity_id": "one", "party_id": account, "document_id": document,
        "document_number": document, "document_date": date(2026, 6, 1), "due_date": due, "currency": "EUR", "original_amount": Decimal(amount),
        "open_amount": Decimal(left or amount),
    }  # fmt: skip


def post(tenant: str, *items, posted=None, attempt: int = 1) -> None:
    """A complete posting of July. posted: the cash that is in it, by unit."""
    mine = handmade.publication_of("ledger_posting", tenant, attempt)
    version = handmade.commit("ledger.open_items", items, mine, tenant, "ledger_posting", "2026-07")
    handmade.complete("ledger_posting", tenant, mine, [version], {("2026-07", "main"): posted or {}})


def match(tenant: str, day: str, applied=(), left=(), attempt: int = 1) -> str:
    """A complete matching of a day's cash; returns its publication."""
    mine = handmade.an_id("cash", tenant, day, str(attempt))[:32]
    versions = []
    for name, rows in (("cash.applications", applied), ("cash.unapplied", left)):
        table = delta_log.create_published(catalog()[name])
        schema = pa.schema(table.schema().to_arrow())
        told = [
            dict.fromkeys(schema.names)
            | row
            | {"tenant_id": tenant, "period": date.fromisoformat(day), "publication_id": mine}
            for row in rows
        ]
        note = {"publication_id": mine, "units": [{"tenant_id": tenant, "period": day, "lane": "main"}]}
        write_deltalake(
            table,
            pa.Table.from_pylist(told, schema=schema),
            mode="append",
            commit_properties=delta_log.properties(note, [(mine, 1)]),
        )
        versions.append(TableVersion(name, int(delta_log.open_table(name).version()), len(told)))
    handmade.complete("cash_matching", tenant, mine, versions, {(day, "main"): {}})
    return mine


def applied(document: str, amount: str = "100"):
    return {
        "application_id": f"x-{document}",
        "transaction_id": "t",
        "account_id": "a-1",
        "document_id": document,
        "currency": "EUR",
        "amount": Decimal(amount),
    }


def unapplied(account: str, amount: str):
    return {
        "transaction_id": "t-9",
        "bank_account": "B",
        "account_id": account,
        "currency": "EUR",
        "received": Decimal(amount),
        "applied": Decimal(0),
        "unapplied": Decimal(amount),
    }


def run(day: str, *tenants: str, key: str = "test"):
    return verbs.run_stage(asked(STAGE, *tenants, period=day, key=key))


def seen(name: str, *columns: str, **where):
    complete = {publication.publication_id for publication in ops.all_publications()}
    table = delta_log.open_table(name)
    rows = [] if table is None else table.to_pyarrow_table().to_pylist()
    rows = [
        row
        for row in rows
        if row["publication_id"] in complete and all(row[column] == value for column, value in where.items())
    ]
    return sorted(tuple(row[column] for column in columns) for row in rows)


def states(tenant: str = ALPHA):
    return [
        (str(day)[5:], account, state)
        for day, account, state in seen("suspension.account_states", "valid_from", "account_id", "state", tenant_id=tenant)
    ]


def actions(day: str, tenant: str = ALPHA):
    return seen(
        "suspension.candidates", "account_id", "action", "to_state", period=date.fromisoformat(day), tenant_id=tenant
    )


def configured(home, *tenants: str):
    """Tenants with a bank, under the policy of settle()."""
    for tenant in tenants:
        entity = {"id": "one", "country": "DE", "timezone": "Europe/Berlin", "invoice_prefix": "A", "tax_policy": "none"}
        feeds = {"bank_transactions": {"columns": {"transaction_id": "id"}}}
        told = {"tenant": tenant, "business_line": "cloud", "legal_entities": [entity], "feeds": feeds}
        conf_file(home, f"tenants/{tenant}.yaml", told)
    conf_file(home, f"{STAGE}.yaml", settle())


@pytest.fixture(scope="module")
def house(spark, shared_home):
    configured(shared_home, ALPHA, BETA)
    return shared_home


def test_without_open_items_or_the_days_cash_nobody_is_nominated(house):
    with pytest.raises(UpstreamMissing, match="Run ledger_posting of 2026-07 first"):
        run("2026-07-10", ALPHA)
    for tenant in (ALPHA, BETA):
        post(tenant, owed("d-1"), owed("d-2"), owed("d-3", "a-2"), owed("d-4", "a-3", due=date(2026, 7, 12)))
    match(ALPHA, "2026-07-09")
    with pytest.raises(UpstreamMissing, match="was not matched up to 2026-07-10, the newest is of 2026-07-09"):
        run("2026-07-10", ALPHA)


def test_who_owes_is_warned_first_and_who_has_paid_is_held(house):
    match(ALPHA, "2026-07-10", left=[unapplied("a-2", "100")])
    with pytest.raises(GateFailed, match=f"cash of tenant {BETA} was not matched"):
        run("2026-07-10")  # alpha goes on all the same
    assert actions("2026-07-10") == [("a-1", "warned", "warned"), ("a-2", "hold", "warned")]
    assert states() == [("07-10", "a-1", "warned")] and states(BETA) == []


def test_the_same_day_again_changes_nothing(house):
    assert run("2026-07-10", ALPHA, key="again").status == "unchanged"
    assert states() == [("07-10", "a-1", "warned")]


def test_the_next_step_waits_its_days(house):
    match(ALPHA, "2026-07-11")
    run("2026-07-11", ALPHA)
    assert actions("2026-07-11") == [("a-2", "warned", "warned")]  # its receipt is gone, warned for too short a time is a-1
    match(ALPHA, "2026-07-12")
    run("2026-07-12", ALPHA)
    assert actions("2026-07-12") == [("a-1", "suspended", "suspended")]
    assert states() == [("07-10", "a-1", "warned"), ("07-11", "a-2", "warned"), ("07-12", "a-1", "suspended")]


def test_cash_that_the_ledger_does_not_have_yet_counts_already(house):
    paid = match(ALPHA, "2026-07-13", applied=[applied("d-1"), applied("d-2")])
    run("2026-07-13", ALPHA)
    assert actions("2026-07-13") == [("a-1", "reinstate", "current"), ("a-3", "warned", "warned")]
    posted = {f"cash_matching/{ALPHA}/2026-07-13/main": f"{paid}/main"}
    post(
        ALPHA,
        owed("d-1", left="0"),
        owed("d-2", left="0"),
        owed("d-3", "a-2"),
        owed("d-4", "a-3", due=date(2026, 7, 12)),
        posted=posted,
        attempt=2,
    )
    match(ALPHA, "2026-07-14")
    run("2026-07-14", ALPHA)
    assert actions("2026-07-14") == []  # and it is not taken off twice
    assert states()[-2:] == [("07-13", "a-1", "current"), ("07-13", "a-3", "warned")]


def test_a_day_that_is_past_is_not_decided_in_hindsight(house):
    match(ALPHA, "2026-07-12", left=[unapplied("a-1", "500")], attempt=2)
    before = states()
    assert run("2026-07-12", ALPHA, key="hindsight").status == "unchanged"
    assert states() == before


def test_too_many_nominations_hold_the_tenant(house):
    conf_file(
        house, f"{STAGE}.yaml", settle() | {"policies": [settle()["policies"][0] | {"version": 2, "share_max": "0.5"}]}
    )
    match(BETA, "2026-07-15")
    with pytest.raises(GateFailed, match=r"3 of 3 accounts by test v2, which allows 0\.500000"):
        run("2026-07-15", BETA)
    assert states(BETA) == [] and actions("2026-07-15", BETA) == []

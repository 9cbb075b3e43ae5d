"""Two processes at once, as payables and cash are on any day: each file lands once, each entry stands once, and neither is red."""

from __future__ import annotations

import pytest

from jobs.runtime.books import visible_arrow
from jobs.runtime.contract import NOTHING_TO_DO
from jobs.runtime.verbs import audit, publish, run_stage, write
from tests.builders import ALPHA, asked, conf_file, dropped, plain, tenant_conf

HEAD = "number,account,name,day,due,amount\n"
ITEMS = HEAD + "INV-1,a-1,Somebody,2026-06-10,2026-07-10,10.00\nINV-2,a-1,Somebody,2026-06-11,2026-07-11,60.00\n"
COLUMNS = {
    "document_id": "number", "account_id": "account", "legal_name": "name", "document_date": "day", "due_date": "due",
    "currency": {"constant": "GBP"}, "original_amount": "amount", "open_amount": "amount",
}  # fmt: skip


def entries() -> list[tuple[str, str]]:
    """What a reader finds posted: the item and its amount on the receivables account."""
    lines = visible_arrow("ledger.journal_lines", tenant=ALPHA).to_pylist()
    return sorted((line["document_id"], plain(line["debit"])) for line in lines if line["debit"])


@pytest.mark.parametrize("first", ["began first", "began second"])
def test_each_entry_is_posted_once_whoever_publishes_first(spark, home, first):
    conf_file(
        home, f"tenants/{ALPHA}.yaml", tenant_conf(ALPHA, prefix="A") | {"feeds": {"open_items": {"columns": COLUMNS}}}
    )
    dropped(home, ALPHA, "open_items", "june.csv", ITEMS)
    run_stage(asked("ingestion", ALPHA))
    runs = {key: asked("ledger_posting", ALPHA, key=key, period="2026-06") for key in ("began first", "began second")}
    for run in runs.values():
        assert write(run).status == "done"
    for run in runs.values():
        assert audit(run).status == "done"
    assert publish(runs.pop(first)).status == "done"
    assert entries() == [("INV-1", "10"), ("INV-2", "60")]
    (left,) = runs.values()
    assert publish(left).status == NOTHING_TO_DO
    assert entries() == [("INV-1", "10"), ("INV-2", "60")]


def test_what_is_published_while_a_run_is_under_way_is_no_fault_of_it(spark, home):
    conf_file(
        home, f"tenants/{ALPHA}.yaml", tenant_conf(ALPHA, prefix="A") | {"feeds": {"open_items": {"columns": COLUMNS}}}
    )
    first, second = ITEMS.splitlines(keepends=True)[1:]
    dropped(home, ALPHA, "open_items", "one.csv", HEAD + first)
    run_stage(asked("ingestion", ALPHA))
    run = asked("ledger_posting", ALPHA, key="under way", period="2026-06")
    write(run)
    dropped(home, ALPHA, "open_items", "two.csv", HEAD + second)
    run_stage(asked("ingestion", ALPHA, key="meanwhile"))
    assert audit(run).status == "done", "what came meanwhile is for the next run"
    assert publish(run).status == "done"
    assert entries() == [("INV-1", "10")]
    run_stage(asked("ledger_posting", ALPHA, key="next", period="2026-06"))
    assert entries() == [("INV-1", "10"), ("INV-2", "60")]


def test_two_processes_may_land_at_once(spark, home):
    conf_file(
        home, f"tenants/{ALPHA}.yaml", tenant_conf(ALPHA, prefix="A") | {"feeds": {"open_items": {"columns": COLUMNS}}}
    )
    dropped(home, ALPHA, "open_items", "june.csv", ITEMS)
    runs = [asked("ingestion", ALPHA, key=key) for key in ("of payables", "of cash")]
    for run in runs:
        write(run)
    for run in runs:
        audit(run)
    assert [publish(run).status for run in runs] == ["done", NOTHING_TO_DO]
    assert len(visible_arrow("raw.open_items", tenant=ALPHA)) == 2

"""From landing to decisions through the real stages, hour after hour."""

from __future__ import annotations

from decimal import Decimal

import pytest

from jobs.runtime import ops
from jobs.runtime.books import visible_arrow
from jobs.runtime.errors import CallError, ConfigError, Refused
from jobs.runtime.verbs import audit, publish, run_stage, write
from tests.builders import ALPHA, BETA, asked, conf_file, dropped
from tests.payable_validation.payables import IBAN

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow

COLUMNS = ("id", "number", "vendor", "day", "received", "gross", "net", "tax", "iban")
BILLS = (
    "b-1,N-1,v-1,2026-07-10,2026-07-12 09:00:00,120,100,20,\n"
    "b-2,N-1,v-1,2026-07-11,2026-07-12 10:00:00,120,100,20,\n"  # the same again
    "b-3,N-3,v-2,2026-07-10,2026-07-12 09:00:00,60,50,10,\n"  # of a vendor nobody knows yet
    "b-4,N-4,v-1,2026-07-10,2026-07-31 14:30:00,12,10,2,\n"
)
HEADER = ",".join(COLUMNS) + "\n"
VENDORS = f"vendor,name,iban\nv-1,Somebody,{IBAN}\n"
SECOND = f"vendor,name,iban\nv-2,Somebody Else,{IBAN}\n"


def conf(name: str) -> dict[str, object]:
    """A British tenant whose invoices and vendors are CSV files."""
    return {
        "tenant": name,
        "business_line": "cloud",
        "legal_entities": [
            {"id": f"{name}-uk", "country": "GB", "timezone": "Europe/London", "invoice_prefix": "A", "tax_policy": "gb-seller"}
        ],
        "feeds": {
            "payables": {
                "columns": {
                    "record_id": "id", "payable_id": "id", "invoice_number": "number", "vendor_id": "vendor", "country": {"constant": "GB"},
                    "invoice_date": "day", "received_at": "received", "currency": {"constant": "GBP"}, "gross_amount": "gross",
                    "net_amount": "net", "tax_amount": "tax", "iban": "iban",
                }
            },
            "vendors": {"columns": {"vendor_id": "vendor", "legal_name": "name", "country": {"constant": "GB"}, "iban": "iban"}},
        },
    }  # fmt: skip


def landed(home, name: str, file: str, payables: str = "", vendors: str = "") -> None:
    """Files of a tenant, ingested."""
    conf_file(home, f"tenants/{name}.yaml", conf(name))
    if payables:
        dropped(home, name, "payables", file, HEADER + payables)
    if vendors:
        dropped(home, name, "vendors", file, vendors)
    run_stage(asked("ingestion", name, key=f"ingest-{name}-{file}"))  # one key is one run, and so one publication


def validated(hour: str, *tenants: str, key: str = "validate"):
    """A run of the hour."""
    return run_stage(asked("payable_validation", *tenants, key=f"{key}-{hour}", period=hour))


def decisions(tenant: str = ALPHA) -> list[tuple[str, str, str, list[str]]]:
    """Everything decided so far."""
    rows = visible_arrow("payables.decisions", tenant=tenant).to_pylist()
    return sorted((row["decided_at"], row["payable_id"], row["decision"], row["rule_ids"]) for row in rows)


FIRST, NEXT, QUIET, LAST = "2026-07-31T13", "2026-07-31T14", "2026-07-31T15", "2026-08-01T00"
BY_FIRST = [
    (FIRST, "b-1", "accept", []),
    (FIRST, "b-2", "reject", ["duplicate"]),
    (FIRST, "b-3", "hold", ["vendor-unknown"]),
]


def test_hour_after_hour_each_payable_is_decided_once(spark, home):
    """Landing to decisions; twice the same; a held one goes on when its vendor lands; an hour that has passed is frozen."""
    landed(home, ALPHA, "july.csv", BILLS, VENDORS)
    assert validated(FIRST, ALPHA).status == "done"
    assert decisions() == BY_FIRST
    again = validated(FIRST, ALPHA, key="again")
    assert again.status == "unchanged"

    assert validated(NEXT, ALPHA).status == "done"
    assert decisions() == [*BY_FIRST, (NEXT, "b-4", "accept", [])], "what is held and has not changed is not repeated"

    assert validated(QUIET, ALPHA).status == "done"
    assert len(decisions()) == 4, "an hour in which nothing happened is published too, and is empty"

    landed(home, ALPHA, "august.csv", vendors=SECOND)
    assert validated(LAST, ALPHA).status == "done"
    assert decisions()[4:] == [(LAST, "b-3", "accept", [])]
    frozen = validated(NEXT, ALPHA, key="late")
    assert frozen.status == "unchanged" and "1 are frozen" in frozen.message

    rows = visible_arrow("payables.decisions").to_pylist()
    assert {row["legal_entity_id"] for row in rows} == {"alpha-uk"}
    assert sum(row["gross_amount"] for row in rows if row["decision"] == "accept") == Decimal(192)
    (duplicate,) = [row for row in visible_arrow("payables.reasons").to_pylist() if row["payable_id"] == "b-2"]
    assert (duplicate["rule_id"], duplicate["evidence"]) == ("duplicate", '{"duplicate_of":"b-1"}')
    assert all(row["success"] for row in ops.rows(ops.GATE_RESULTS) if row["stage"] == "payable_validation")


def test_files_that_land_while_a_run_is_judged_are_for_the_next(spark, home):
    landed(home, ALPHA, "july.csv", BILLS, VENDORS)
    asked_for = asked("payable_validation", ALPHA, key="one", period=FIRST)
    write(asked_for)
    landed(home, ALPHA, "more.csv", "b-9,N-9,v-1,2026-07-10,2026-07-12 09:00:00,24,20,4,\n")
    assert audit(asked_for).status == "done"
    publish(asked_for)
    assert decisions() == BY_FIRST
    assert validated(NEXT, ALPHA).status == "done"
    assert [row[:3] for row in decisions()[3:]] == [(NEXT, "b-4", "accept"), (NEXT, "b-9", "accept")]


def test_a_new_rule_runs_the_tenants_it_concerns_again(spark, home):
    """Law 13: a rule of another country changes no fingerprint; one of ours does."""
    for name in (ALPHA, BETA):
        landed(home, name, "july.csv", BILLS, VENDORS)
    conf_file(home, f"tenants/{BETA}.yaml", conf(BETA) | {"business_line": "media"})
    validated(FIRST, ALPHA, BETA)
    rule = {
        "id": "large-film", "version": 1, "title": "Films are dear", "business_lines": ["media"], "valid_from": "2020-01-01",
        "severity": "hold", "reason_code": "LARGE", "message": "{gross_amount}", "condition": "gross_amount > 50",
    }  # fmt: skip
    conf_file(home, "rules/payables/own.yaml", {"rules": [rule | {"countries": ["JP"]}]})
    assert validated(FIRST, ALPHA, BETA, key="again").status == "unchanged"
    conf_file(home, "rules/payables/own.yaml", {"rules": [rule]})
    assert validated(FIRST, ALPHA, BETA, key="once-more").status == "done"
    assert decisions(ALPHA) == BY_FIRST
    changed = [row for row in decisions(BETA) if row not in BY_FIRST]
    assert changed == [(f"{FIRST}#02", "b-3", "hold", ["large-film", "vendor-unknown"])], "what is final stays"
    units = {unit.tenant_id: told for unit, told in ops.publications().items() if unit.stage == "payable_validation"}
    assert units[ALPHA].run_id != units[BETA].run_id, "what no rule concerns is not run again"


@pytest.mark.parametrize(
    ("period", "error", "said"),
    [
        (FIRST, Refused, "no payables of tenant alpha were published"),
        ("2026-07", CallError, "runs by hour, and '2026-07' is a month"),
        ("2026-07-31", CallError, "runs by hour, and '2026-07-31' is a day"),
    ],
)
def test_a_call_without_payables_or_hour_is_refused(home, period, error, said):
    conf_file(home, f"tenants/{ALPHA}.yaml", conf(ALPHA))
    with pytest.raises(error, match=said):
        run_stage(asked("payable_validation", ALPHA, period=period))


def test_a_misspelt_rule_stops_the_run_before_spark(home):
    conf_file(home, f"tenants/{ALPHA}.yaml", conf(ALPHA))
    rule = {
        "id": "own", "version": 1, "title": "t", "valid_from": "2020-01-01", "severity": "hold", "reason_code": "OWN",
        "message": "m", "condition": "gros_amount > 5",
    }  # fmt: skip
    conf_file(home, "rules/payables/own.yaml", {"rules": [rule]})
    with pytest.raises(ConfigError, match=r"own.yaml: rule 'own' version 1: .*did you mean 'gross_amount'"):
        run_stage(asked("payable_validation", ALPHA, period=FIRST))

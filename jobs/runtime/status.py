"""countinghouse status: where every month stands, what ran last, and what waits for a person. Without Spark."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jobs.ledger.periods import Period
from jobs.runtime import config, ops, shown
from jobs.runtime.books import Books, Row, known_tenant
from jobs.runtime.ops import Publication
from jobs.stages import (
    BILLING_AGGREGATION,
    CASH_MATCHING,
    INGESTION,
    INVOICE_GENERATION,
    LEDGER_POSTING,
    PAYABLE_VALIDATION,
    PAYMENT_PLANNING,
    STAGES,
    SUSPENSION_SELECTION,
)

PUBLISHED, HELD, FROZEN, MISSING = "published", "held", "frozen", "missing"
LAST_RUNS, EXAMPLES = 8, 12
STAGE_NAMES = [stage.name for stage in STAGES]
BEFORE = {  # a stage and the one whose month it takes up
    BILLING_AGGREGATION.name: INGESTION.name,
    INVOICE_GENERATION.name: BILLING_AGGREGATION.name,
    PAYABLE_VALIDATION.name: INGESTION.name,
    PAYMENT_PLANNING.name: PAYABLE_VALIDATION.name,
    CASH_MATCHING.name: INGESTION.name,
    LEDGER_POSTING.name: INVOICE_GENERATION.name,
    SUSPENSION_SELECTION.name: CASH_MATCHING.name,
}

QUARANTINED = """
SELECT tenant_id, feed, reason, count(*) AS rows FROM (
    SELECT q.tenant_id, q.feed, unnest(q.reasons) AS reason FROM raw.quarantine q
    ANTI JOIN (SELECT tenant_id, replaces_landing_id AS landing_id FROM raw.landed_files WHERE replaces_landing_id IS NOT NULL) r
      USING (tenant_id, landing_id)
) GROUP BY ALL ORDER BY rows DESC, tenant_id, feed, reason
"""
REFUSED = """
SELECT tenant_id, feed, file_name, status, reason, bytes FROM raw.landed_files WHERE status <> 'landed'
ORDER BY tenant_id, feed, file_name
"""
WAITING = """
WITH told AS (
    SELECT tenant_id, adjusts_period AS period, landing_id, row_number, max_by(outcome, period) AS outcome
    FROM billing.late_usage GROUP BY ALL
)
SELECT w.tenant_id, strftime(w.period, '%Y-%m') AS period, count(*) AS rows, sum(w.quantity) AS quantity,
       min(coalesce(t.outcome, w.reason)) AS reason
FROM billing.waiting w LEFT JOIN told t USING (tenant_id, period, landing_id, row_number)
WHERE t.outcome IS DISTINCT FROM 'adjusted' GROUP BY ALL ORDER BY 1, 2
"""
LATE_PRICES = """
WITH newest AS (
    SELECT * FROM billing.late_prices
    QUALIFY row_number() OVER (PARTITION BY tenant_id, adjusts_period, price_id, account_id ORDER BY period DESC, revision DESC) = 1
)
SELECT tenant_id, strftime(adjusts_period, '%Y-%m') AS period, price_id, revision, count(*) AS accounts, min(account_id) AS account,
       min(outcome) AS reason
FROM newest WHERE starts_with(outcome, 'waits') GROUP BY ALL ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, order=True)
class Standing:
    """How a stage of a tenant's month stands: published, held by its gate, frozen by a later stage, or missing.

    A stage that runs by day or hour stands as its newest run of the month left it.
    """

    stage: str
    tenant_id: str
    period: str  # the month
    state: str
    run_id: str = ""
    run_period: str = ""  # what the run is named after: the month, or a day or an hour of it


def standings(tenant: str | None = None) -> list[Standing]:
    """Every tenant and month that anything is known of, at every stage that has something to do there."""
    done: dict[tuple[str, str, str], Publication] = {}
    landed: dict[tuple[str, str], set[str]] = {}
    for publication in {publication.unit: publication for publication in ops.all_publications()}.values():
        unit = publication.unit
        if unit.period == "all" or (unit.stage != INGESTION.name and unit.lane != "main"):
            continue
        key = (unit.stage, unit.tenant_id, unit.period[:7])
        if key not in done or done[key].unit.period <= unit.period:
            done[key] = publication
        if unit.stage == INGESTION.name:
            landed.setdefault((unit.tenant_id, unit.period[:7]), set()).add(unit.lane)
    held = _held_in_month(done)
    found = []
    for one, month in sorted({key[1:] for key in (*done, *held)}):
        if tenant not in (None, one):
            continue
        lanes = landed.get((one, month), set())
        known = {stage.name for stage in STAGES if (stage.name, one, month) in (*done, *held)}
        for stage in STAGES:
            key = (stage.name, one, month)
            if key in held:
                found.append(Standing(stage.name, one, month, HELD, *held[key]))
            elif made := done.get(key):
                frozen = stage is BILLING_AGGREGATION and INVOICE_GENERATION.name in known
                found.append(
                    Standing(stage.name, one, month, FROZEN if frozen else PUBLISHED, made.run_id, made.unit.period)
                )
            elif _has_something_to_do(stage.name, lanes, known):
                grain = stage.grain or "month"
                found.append(Standing(stage.name, one, month, MISSING, run_period=Period(month).at(grain).key))
    return sorted(found, key=lambda unit: (STAGE_NAMES.index(unit.stage), unit.tenant_id, unit.period))


def _has_something_to_do(stage: str, lanes: set[str], known: set[str]) -> bool:
    """Whether a month that a stage has not published waits for it. lanes: feeds with rows of the month. known: stages that ran."""
    billing = {BILLING_AGGREGATION.name, INVOICE_GENERATION.name}
    if stage in billing:
        return "usage" in lanes or bool(billing & known)
    if stage == LEDGER_POSTING.name:
        return "usage" in lanes or "open_items" in lanes or bool(known - {INGESTION.name, SUSPENSION_SELECTION.name})
    waits_for = {PAYMENT_PLANNING.name: PAYABLE_VALIDATION.name, SUSPENSION_SELECTION.name: CASH_MATCHING.name}
    if stage in waits_for:
        return waits_for[stage] in known
    feeds = {PAYABLE_VALIDATION.name: "payables", CASH_MATCHING.name: "bank_transactions"}
    return stage == INGESTION.name or feeds.get(stage) in lanes


def _held_in_month(done: Mapping[tuple[str, str, str], Publication]) -> dict[tuple[str, str, str], tuple[str, str]]:
    """What is still held in a month, by stage, tenant and month: its run and period. A later publication takes a hold away."""
    found: dict[tuple[str, str, str], tuple[str, str]] = {}
    for (stage, one, period, _), run_id in sorted(_held().items(), key=lambda item: item[0][2]):
        key = (stage, one, period[:7])
        made = done.get(key)
        if not made or period > made.unit.period or (period == made.unit.period and run_id != made.run_id):
            found[key] = (run_id, period)
    return found


def _held() -> dict[tuple[str, str, str, str], str]:
    """The units whose last judgement held them: (stage, tenant, period, lane) -> run. Ingestion judges files, which have no month."""
    held: dict[tuple[str, str, str, str], str] = {}
    for row in ops.rows(ops.RUNS):
        if row["verb"] != "audit" or row["status"] not in ("done", "held"):
            continue
        verdict = json.loads(row["detail"] or "{}")
        stopped = {*verdict.get("held", ()), *verdict.get("asks", ())}  # what asks a person is held until one has answered
        for one in row["tenants"] or ():
            key = (row["stage"], one, row["period"], row["lane"] or "main")
            held.pop(key, None)
            if one in stopped:
                held[key] = row["run_id"]
    return held


def latest_verdicts(tenant: str | None = None) -> list[Row]:
    """What the newest judgement of every stage, lane, period and tenant said."""
    lanes = {row["run_id"]: row["lane"] for row in ops.rows(ops.RUNS)}
    newest: dict[tuple[str | None, ...], tuple[str, int]] = {}
    rows = [row for row in ops.rows(ops.GATE_RESULTS) if tenant in (None, row["tenant_id"])]

    def judged(row: Row) -> tuple[str | None, ...]:
        return row["stage"], lanes.get(row["run_id"]), row["period"], row["tenant_id"]

    for row in rows:
        newest[judged(row)] = (row["run_id"], row["attempt"])
    return [row for row in rows if newest[judged(row)] == (row["run_id"], row["attempt"])]


def cut_short() -> list[Row]:
    """Publications that were begun and never completed; the next run of their stage rolls them forward."""
    complete = {publication.publication_id for publication in ops.all_publications()}
    begun: dict[str, Row] = {}
    for row in ops.rows(ops.RUNS):
        if row["verb"] == "publish" and row["publication_id"]:
            if row["status"] == "started":
                begun[row["publication_id"]] = row
            elif row["status"] in ("done", "superseded"):
                begun.pop(row["publication_id"], None)
    return [row for key, row in begun.items() if key not in complete]


def tell(tenant: str | None = None) -> str:
    """The state of the house in one text, for all tenants or one."""
    known_tenant(tenant)
    with Books(tenant) as books:
        books.open("raw.quarantine", "raw.landed_files", "billing.waiting", "billing.late_usage", "billing.late_prices")
        quarantined, refused, waiting = books.rows(QUARANTINED), books.rows(REFUSED), books.rows(WAITING)
        late_prices = books.rows(LATE_PRICES)
    units = standings(tenant)
    failed = [row for row in latest_verdicts(tenant) if not row["success"]]
    parts = [
        f"Counting House at {config.home()}" + (f", tenant {tenant}" if tenant else ""),
        _section("Months", _months(units) if units else "nothing has been published yet; land files and run ingestion"),
        _section("Last runs", _last_runs(tenant)),
        _section("Gates that failed", _gates(failed)),
        _section("Quarantined rows by reason", _listed(quarantined, ("tenant_id", "feed", "rows", "reason"))),
        _section("Refused files", _listed(refused, ("tenant_id", "feed", "file_name", "reason"))),
        _section(
            "Usage that waits for an open month", _listed(waiting, ("tenant_id", "period", "rows", "quantity", "reason"))
        ),
        _section(
            "Changed prices of invoiced months that are not billed",
            _listed(late_prices, ("tenant_id", "period", "price_id", "revision", "accounts", "account", "reason")),
        ),
        _section("What waits for a person", _waits(tenant, units, failed, quarantined, refused, waiting, late_prices)),
    ]
    return "\n\n".join(part for part in parts if part)


def _section(title: str, body: str) -> str:
    return f"{title}\n{'-' * len(title)}\n{body}" if body else ""


def _months(units: Sequence[Standing]) -> str:
    """One row per month, one column per stage: how many tenants stand how."""
    counted: dict[tuple[str, str], Counter[str]] = {}
    for unit in units:
        counted.setdefault((unit.period, unit.stage), Counter())[unit.state] += 1
    rows = []
    for period in sorted({unit.period for unit in units}):
        row = {"month": period}
        for stage in STAGES:
            states = counted.get((period, stage.name), Counter())
            row[stage.name] = ", ".join(
                f"{states[state]} {state}" for state in (PUBLISHED, FROZEN, HELD, MISSING) if states[state]
            )
        rows.append(row)
    return shown.table(rows)


def _last_runs(tenant: str | None) -> str:
    ended = [
        row for row in ops.rows(ops.RUNS)
        if row["status"] != "started" and (tenant is None or tenant in (row["tenants"] or ()))
    ]  # fmt: skip
    rows = []
    for row in reversed(ended[-LAST_RUNS:]):
        alone = tenant is None or len(row["tenants"] or ()) == 1
        lines = (row["message"] or "").splitlines()
        rows.append(
            {
                "at": row["at"],
                "run": row["run_id"],
                "verb": row["verb"],
                "status": row["status"],
                "seconds": None if row["seconds"] is None else f"{row['seconds']:.1f}",
                "by": row["actor"],
                "said": lines[0][:70] if lines and alone else None,
            }  # fmt: skip
        )
    return shown.table(rows) if rows else ""


def _gates(failed: Sequence[Row]) -> str:
    rows = [
        {
            "severity": row["severity"],
            "tenant": row["tenant_id"],
            "period": row["period"],
            "suite": row["suite"],
            "expectation": row["expectation"],
            "failing": row["failing"],
            "e.g.": row["example"],
            "why it matters": row["notes"],
        }  # fmt: skip
        for row in sorted(
            failed, key=lambda row: (row["severity"] != "critical", row["period"], row["tenant_id"], row["suite"])
        )
    ]
    return _listed(rows, tuple(rows[0]) if rows else ())


def _listed(rows: Sequence[Row], columns: Sequence[str]) -> str:
    if not rows:
        return ""
    more = f"\n… {len(rows) - EXAMPLES} more" if len(rows) > EXAMPLES else ""
    return shown.table(rows[:EXAMPLES], columns) + more


def _waits(
    tenant: str | None,
    units: Sequence[Standing],
    failed: Sequence[Row],
    quarantined: Sequence[Row],
    refused: Sequence[Row],
    waiting: Sequence[Row],
    late_prices: Sequence[Row],
) -> str:
    told = []
    for stage, period in sorted({(unit.stage, unit.run_period) for unit in units if unit.state == HELD}):
        names = sorted(
            unit.tenant_id for unit in units if (unit.stage, unit.run_period, unit.state) == (stage, period, HELD)
        )
        why = sorted({row["expectation"] for row in failed if (row["stage"], row["period"]) == (stage, period) and row["tenant_id"] in names
                      and row["severity"] == "critical"})  # fmt: skip
        told.append(f"{stage} {period} holds {_names(names)}: {'; '.join(why)}. Mend the cause and run the stage again.")
    for row in cut_short():
        if tenant is None or tenant in (row["tenants"] or ()):
            told.append(
                f"{row['stage']} {row['period']}: publication {row['publication_id'][:8]} of run {row['run_id']} was cut short and is not "
                f"seen. Run the stage again; it finishes what was begun."
            )
    by_tenant = Counter[str]()
    for row in quarantined:
        by_tenant[row["tenant_id"]] += row["rows"]
    for name, rows in sorted(by_tenant.items()):
        told.append(
            f"{name}: {rows:,} reasons stand in raw.quarantine. Have the source mended, or the mapping, and replay the file."
        )
    for name, files in sorted(Counter(row["tenant_id"] for row in refused).items()):
        told.append(f"{name}: {files} files were refused. Ask for them again, or take them out of landing.")
    for row in waiting:
        told.append(
            f"{row['tenant_id']}: {row['rows']:,} usage rows of {row['period']} came after its invoices: {row['reason']}."
        )
    for row in late_prices:
        told.append(
            f"{row['tenant_id']}: price {row['price_id']} has changed for {row['period']}, which is invoiced; {row['accounts']:,} accounts, e.g. "
            f"{row['account']}: {row['reason']}."
        )
    for name in empty_files(tenant):
        told.append(f"{name}: was landed with no rows at all. Look at the file and its mapping.")
    told += _behind(units)
    return "\n".join(f"- {line}" for line in told) or "nothing"


def empty_files(tenant: str | None = None) -> list[str]:
    """Files that were landed and brought not one row: often a broken export, or a mapping that reads nothing."""
    with Books(tenant) as books:
        books.open("raw.landed_files")
        rows = books.rows(
            "SELECT tenant_id, feed, file_name FROM raw.landed_files WHERE status = 'landed' AND coalesce(rows_read, 0) = 0 ORDER BY ALL"
        )
    return [f"{row['tenant_id']}/{row['feed']}/{row['file_name']}" for row in rows]


def _behind(units: Iterable[Standing]) -> list[str]:
    """Stages that a tenant's month has not gone through, although it has gone through the one before."""
    known = list(units)
    reached = {(unit.stage, unit.tenant_id, unit.period) for unit in known if unit.state in (PUBLISHED, FROZEN)}
    told = []
    for stage, before in BEFORE.items():
        missing = [unit for unit in known if unit.stage == stage and unit.state == MISSING]
        for period in sorted({unit.period for unit in missing}):
            behind = sorted(
                unit for unit in missing if unit.period == period and (before, unit.tenant_id, period) in reached
            )
            if behind:
                told.append(
                    f"{stage} {behind[0].run_period} has not run for {_names([unit.tenant_id for unit in behind])}: "
                    f"countinghouse run {stage} --period {behind[0].run_period}"
                )
    return told


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

"""countinghouse status: where every month stands, what ran last, and what waits for a person. Without Spark."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from jobs.runtime import config, ops, shown
from jobs.runtime.books import Books, Row, known_tenant
from jobs.runtime.ops import Publication, Unit
from jobs.stages import BILLING_AGGREGATION, INVOICE_GENERATION, STAGES

PUBLISHED, HELD, FROZEN, MISSING = "published", "held", "frozen", "missing"
LAST_RUNS, EXAMPLES = 8, 12

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
SELECT tenant_id, strftime(period, '%Y-%m') AS period, count(*) AS rows, sum(quantity) AS quantity, min(reason) AS reason
FROM billing.waiting GROUP BY ALL ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Standing:
    """How one unit of a month stands: published, held by its gate, frozen by a later stage, or missing."""

    stage: str
    tenant_id: str
    period: str
    state: str
    run_id: str = ""


def standings(tenant: str | None = None) -> list[Standing]:
    """Every tenant and month that anything is known of, at every stage that publishes by month."""
    publications = ops.all_publications()
    latest: dict[Unit, tuple[int, Publication]] = {p.unit: (at, p) for at, p in enumerate(publications)}
    done: dict[tuple[str, str, str], Publication] = {}
    for _, publication in latest.values():
        unit = publication.unit
        if unit.period != "all":
            done[unit.stage, unit.tenant_id, unit.period] = publication
    held = _held()
    known = {(t, period) for _, t, period in (*done, *held)}
    found = []
    for stage in STAGES:
        for one, period in sorted(known):
            if tenant not in (None, one):
                continue
            made = done.get((stage.name, one, period))
            state, run_id = MISSING, ""
            if made:
                frozen = stage is BILLING_AGGREGATION and (INVOICE_GENERATION.name, one, period) in done
                state, run_id = FROZEN if frozen else PUBLISHED, made.run_id
            if (stage.name, one, period) in held and (not made or made.run_id != held[stage.name, one, period]):
                state, run_id = HELD, held[stage.name, one, period]
            found.append(Standing(stage.name, one, period, state, run_id))
    return found


def _held() -> dict[tuple[str, str, str], str]:
    """The units whose last judgement held them: (stage, tenant, period) -> run. Ingestion judges files, which have no month."""
    held: dict[tuple[str, str, str], str] = {}
    for row in ops.rows(ops.RUNS):
        if row["verb"] != "audit" or row["status"] not in ("done", "held"):
            continue
        stopped = set(json.loads(row["detail"] or "{}").get("held", ()))
        for one in row["tenants"] or ():
            held.pop((row["stage"], one, row["period"]), None)
            if one in stopped:
                held[row["stage"], one, row["period"]] = row["run_id"]
    return held


def latest_verdicts(tenant: str | None = None) -> list[Row]:
    """What the newest judgement of every stage, month and tenant said."""
    newest: dict[tuple[str, str, str], tuple[str, int]] = {}
    rows = [row for row in ops.rows(ops.GATE_RESULTS) if tenant in (None, row["tenant_id"])]
    for row in rows:
        newest[row["stage"], row["period"], row["tenant_id"]] = (row["run_id"], row["attempt"])
    return [row for row in rows if newest[row["stage"], row["period"], row["tenant_id"]] == (row["run_id"], row["attempt"])]


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
        books.open("raw.quarantine", "raw.landed_files", "billing.waiting")
        quarantined, refused, waiting = books.rows(QUARANTINED), books.rows(REFUSED), books.rows(WAITING)
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
        _section("What waits for a person", _waits(tenant, units, failed, quarantined, refused, waiting)),
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
) -> str:
    told = []
    for stage, period in sorted({(unit.stage, unit.period) for unit in units if unit.state == HELD}):
        names = sorted(unit.tenant_id for unit in units if (unit.stage, unit.period, unit.state) == (stage, period, HELD))
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
            f"{row['tenant_id']}: {row['rows']:,} usage rows of {row['period']} came after its invoices. They wait for an adjustment."
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
    """Months in which a tenant has gone through one stage and not through the next."""
    state = {(unit.stage, unit.tenant_id, unit.period): unit.state for unit in units}
    names = [stage.name for stage in STAGES]
    told = []
    for before, stage in pairwise(names):
        for period in sorted({period for _, _, period in state}):
            behind = sorted(
                tenant for (at, tenant, month), how in state.items()
                if at == stage and month == period and how == MISSING and state.get((before, tenant, period)) in (PUBLISHED, FROZEN)
            )  # fmt: skip
            if behind:
                told.append(
                    f"{stage} {period} has not run for {_names(behind)}: countinghouse run {stage} --period {period}"
                )
    return told


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

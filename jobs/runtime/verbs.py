"""The three verbs of every stage: write candidates, audit them, publish exactly what was judged.

A stage's job.py says what is to be done; this module does it the same way for all of them: fingerprints (law 6), attempts
that fence each other off, roll-forward of a publication that was cut short (law 4), run records (law 9).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jobs.ledger.periods import Period
from jobs.runtime import delta_log, faults, gates, migrations, ops, records, storage
from jobs.runtime.config import digest
from jobs.runtime.contract import NOTHING_TO_DO, Invocation, Outcome, Planned, code_version, job_of
from jobs.runtime.errors import (
    CallError,
    GateFailed,
    OutOfTurn,
    Refused,
    RunBroke,
    UpstreamMissing,
)
from jobs.runtime.house import House, Run, Snapshot
from jobs.runtime.logs import say, step
from jobs.runtime.ops import Publication, TableVersion, Unit
from jobs.runtime.session import interrupt, kept, session, session_id
from jobs.runtime.tables import catalog
from jobs.stages import BY_NAME, INGESTION

UNTOLD = -1  # of a turn in rows that an earlier version has written: as if it had moved
PATIENCE = 5  # how often a run that was overtaken by another one is done again


def perform(verb: str, invocation: Invocation) -> Outcome:
    """One verb of one stage; what the DAGs and the console both call."""
    verbs = {"write": write, "audit": audit, "publish": publish}
    if verb not in verbs:
        raise CallError(f"unknown verb '{verb}'; a stage is run by write, audit and publish, in that order.")
    return verbs[verb](invocation)


def run_stage(invocation: Invocation) -> Outcome:
    """All three verbs, as the console runs a stage; on one server, where one has to be started."""
    with kept():
        written = write(invocation)
        if written.status == NOTHING_TO_DO:
            return written
        audited = audit(invocation)
        try:
            published = publish(invocation)
        except GateFailed:  # every tenant is held; what the gate said is what a person wants to read
            raise GateFailed(audited.message) from None
        if audited.status == "held" or (audited.question and not invocation.approved_by):
            raise GateFailed(audited.message)
        return published


def write(invocation: Invocation) -> Outcome:
    """Stage candidates for every unit whose fingerprint has changed."""
    job = job_of(invocation.stage)
    period = Period(invocation.period).required(BY_NAME[invocation.stage].grain, invocation.stage)
    migrations.bring_up_to_date()
    for _ in range(delta_log.RETRIES):
        written = _write_what_is_due(job, invocation, period)
        if written is not None:
            return written
    raise RunBroke(f"{invocation.run_id}: other runs kept beginning first. Nothing was started; run this again.")


def _write_what_is_due(job: Any, invocation: Invocation, period: Period) -> Outcome | None:
    """The same once; None where another run has begun or published one of the units while this one looked what there is to do."""
    _finish_what_was_cut_short(invocation)
    looked_at = ops.table(ops.PUBLICATIONS)  # what is published from here on is not seen, and has moved a fence
    snapshot = Snapshot.of(ops.all_publications(looked_at))
    planned = job.plan(snapshot, period, invocation)
    code = code_version(invocation.stage)
    left_out = {p.unit.tenant_id: p.left_out for p in planned if p.left_out}
    due = [p for p in planned if not p.frozen and not p.left_out and snapshot.fingerprint(p.unit) != p.fingerprint(code)]
    frozen = [p for p in planned if p.frozen]
    for planned_unit in frozen:
        say(f"{planned_unit.unit.id}: {planned_unit.frozen}")
    if left_out and not due:
        raise UpstreamMissing(" ".join(left_out.values()))
    if not due:
        why = f"{len(planned) - len(frozen)} units are as they were" + (f", {len(frozen)} are frozen" if frozen else "")
        ops.append(ops.RUNS, [records.record(invocation, 0, "write", NOTHING_TO_DO, why)])
        return Outcome(invocation.run_id, 0, NOTHING_TO_DO, f"{invocation.stage} {period}: nothing to do, {why}.")
    units = tuple(p.unit for p in due)
    _interrupt_earlier(units, invocation.run_id)
    turns = ops.fences(_turns(units), looked_at)
    attempt = ops.register_attempt(units, looked_at)
    if attempt is None:
        return None
    faults.reach("write:registered")
    run = _run(invocation, attempt, period, units)
    with records.recorded(invocation, attempt, "write", run) as told, session() as spark:
        told["session_id"] = session_id(spark)
        ops.append(ops.RUNS, [records.record(invocation, attempt, "write", "started", "", run, told)])
        with step(f"{invocation.stage} {period}: writing candidates of {len(run.tenants)} tenants"):
            written = job.write(House(spark, snapshot, run))
        faults.reach("write:staged")
        content = [_planned_as_json(p, code) for p in (*due, *written.found)]
        told["detail"] = json.dumps(
            {
                "staged": written.staged,
                "looked_at": looked_at.version(),
                "inputs_at": _input_versions(invocation.stage),
                "units": content,
                "left_out": left_out,
                "turns": {turn.id: told for turn, told in turns.items()},
            }
        )
        told["message"] = f"{len(content)} units staged"
    return Outcome(run.run_id, attempt, "done", f"{invocation.stage} {period}: {told['message']}.")


def audit(invocation: Invocation) -> Outcome:
    """Let the stage's suites judge the staged version; tenants that fail are held."""
    written = _last(invocation.run_id, "write", ("done", NOTHING_TO_DO))
    if written["status"] == NOTHING_TO_DO:
        return Outcome(invocation.run_id, 0, NOTHING_TO_DO, f"{invocation.stage} {invocation.period}: nothing to judge.")
    run = _restore(invocation, written)
    detail = json.loads(written["detail"])
    if _has_moved(detail, run.units) and not _taken_over(run):
        return _audit_anew(invocation)
    job = job_of(invocation.stage)
    stage = BY_NAME[invocation.stage]
    with records.recorded(invocation, run.attempt, "audit", run) as told, session() as spark:
        with step(f"{invocation.stage} {invocation.period}: judging candidates of {len(run.tenants)} tenants"):
            house = House(spark, _looked_at(detail), run)
            frames = job.audit(house)
            judgement = gates.judge(
                invocation.stage, frames, stage.gates_of(invocation.lane), run.tenants, f"{run.run_id}.{run.attempt}"
            )
        faults.reach("audit:judged")
        ops.append(ops.GATE_RESULTS, [records.gate_row(run, verdict) for verdict in judgement.verdicts])
        faults.reach("audit:stored")
        held = judgement.held
        question = gates.question(invocation.stage, invocation.period, judgement)
        about = f" {job.summary(house)}" if hasattr(job, "summary") else ""
        left_out: dict[str, str] = detail["left_out"]
        told["status"] = "held" if held or left_out else "done"
        told["message"] = f"{len(judgement.verdicts)} verdicts, {len(held)} tenants held"
        told["detail"] = json.dumps({"held": sorted(held), "asks": sorted(judgement.asks)})
    if held and _has_moved(detail, run.units) and not _taken_over(run):
        return _audit_anew(invocation)  # what was judged was stale already
    if not held and not left_out:
        passed = f"{invocation.stage} {invocation.period}: {len(judgement.verdicts)} verdicts, all passed or stored as warnings.{about}"
        return Outcome(
            run.run_id, run.attempt, "done", "\n".join([passed, *([question] if question else [])]), question=question
        )
    mend = getattr(job, "WHAT_TO_DO", "Mend the cause")
    advice = f"{mend}, then clear {invocation.stage}.write of this run and what follows it; see docs/runbook.md#gate-failed."
    said = (
        [gates.message(invocation.stage, invocation.period, judgement, len(run.tenants) - len(held), advice)] if held else []
    )
    text = "\n".join([*left_out.values(), *said, *(part for part in (question, about.strip()) if part)])
    return Outcome(run.run_id, run.attempt, "held", text, held=left_out | dict.fromkeys(held, text), question=question)


def _looked_at(detail: Mapping[str, Any]) -> Snapshot:
    """What a run was made from: what others have published since is no fault of its candidates. detail: of the row of its write."""
    version = detail.get("looked_at")  # not told in rows that an earlier version has written
    return Snapshot.of(ops.all_publications(ops.table(ops.PUBLICATIONS, version)))


def _audit_anew(invocation: Invocation) -> Outcome:
    """Stage and judge what a run comes to after another one that went first."""
    say(f"{invocation.run_id}: another run went first. Doing it again from what that run has left, before it is judged.")
    write(invocation)
    return audit(invocation)


def publish(invocation: Invocation) -> Outcome:
    """Promote the judged version of the tenants that passed, then let it be seen.

    Where another run of the tenant went first, what was computed is stale: it is computed and judged again, then published.
    """
    for _ in range(PATIENCE):
        try:
            return _publish_judged(invocation)
        except OutOfTurn as error:
            say(f"{error.message} Doing it again from what that run has left.")
            if write(invocation).status == NOTHING_TO_DO:
                return _publish_judged(invocation)
            audited = audit(invocation)
            if audited.status == "held":
                _publish_judged(invocation)
                raise GateFailed(audited.message) from None
    raise RunBroke(f"{invocation.run_id}: other runs kept going first. Nothing was published; run this again.")


def _publish_judged(invocation: Invocation) -> Outcome:
    written = _last(invocation.run_id, "write", ("done", NOTHING_TO_DO))
    if written["status"] == NOTHING_TO_DO:
        return Outcome(invocation.run_id, 0, NOTHING_TO_DO, f"{invocation.stage} {invocation.period}: nothing to publish.")
    judged = _last(invocation.run_id, "audit", ("done", "held"))
    if judged["attempt"] != written["attempt"]:
        raise Refused(
            f"{invocation.run_id}: attempt {written['attempt']} was staged but never judged. Nothing was published. "
            f"Run the audit of this stage first."
        )
    run = _restore(invocation, written)
    verdict = json.loads(judged["detail"])
    asking = [tenant for tenant in verdict.get("asks", ()) if not invocation.approved_by]
    held = {*verdict["held"], *asking}
    passing = [tenant for tenant in run.tenants if tenant not in held]
    if asking:
        say(
            f"{invocation.stage} {invocation.period}: {', '.join(asking)} must be approved by a second person and nobody has; nothing of "
            f"them is published. Run the DAG of this stage in the Airflow UI and let somebody else answer its question."
        )
    if not passing:
        raise GateFailed(
            f"{invocation.stage} {invocation.period}: every tenant is held, nothing was published. See its audit task."
        )
    detail = json.loads(written["detail"]) | {"passing": passing}
    with records.recorded(invocation, run.attempt, "publish", run) as told:
        told["detail"] = json.dumps(detail)
        ops.append(ops.RUNS, [records.record(invocation, run.attempt, "publish", "started", "", run, told)])
        faults.reach("publish:started")
        tables = _publish(invocation, run, detail)
        told["message"] = ", ".join(f"{t.name} v{t.version}: {t.rows} rows" for t in tables)
    said = f"{invocation.stage} {invocation.period}: published {told['message']} for {len(passing)} tenants."
    return Outcome(run.run_id, run.attempt, "done", said, tables)


def _publish(invocation: Invocation, run: Run, detail: Mapping[str, Any]) -> tuple[TableVersion, ...]:
    """Commit each table, then the rows of ops.publications: the moment at which all of it is seen."""
    job = job_of(invocation.stage)
    passing: list[str] = detail["passing"]
    units = [unit for unit in detail["units"] if unit["tenant_id"] in passing]
    staged: dict[str, str] = dict(detail["staged"])
    note = {
        "run_id": run.run_id, "attempt": run.attempt, "stage": run.stage, "period": str(run.period), "dag_id": invocation.dag_id,
        "dag_run_id": invocation.dag_run_id, "task": invocation.task, "actor": invocation.actor, "reason": invocation.reason,
        "code_version": code_version(run.stage), "tenants": passing, "input_versions": detail["inputs_at"],
        "configuration_hash": digest(*(unit["configuration_hash"] for unit in units)),
        "units": [{key: unit[key] for key in ("tenant_id", "period", "lane")} for unit in units],
    }  # fmt: skip
    if hasattr(job, "before_publish"):
        with session() as spark:
            staged |= job.before_publish(House(spark, Snapshot.now(), run), staged, passing, note)
    first_day = str(run.period.first_day) if run.period else ""
    published, counts = [], {}
    for name in (table for table in BY_NAME[run.stage].outputs if table in staged):
        version = delta_log.promote(catalog()[name], staged[name], run.publication_id, passing, first_day, note)
        counts[name] = delta_log.staged_rows(delta_log.staged_files(staged[name]))
        published.append(TableVersion(name, version, sum(counts[name].get(tenant, 0) for tenant in passing)))
        faults.reach(f"publish:after:{name}")
    ops.complete(
        [
            Publication(
                unit=Unit(run.stage, unit["tenant_id"], unit["period"], unit["lane"]),
                run_id=run.run_id,
                attempt=run.attempt,
                publication_id=run.publication_id,
                fingerprint=unit["fingerprint"],
                inputs=unit["inputs"],
                tables=tuple(TableVersion(t.name, t.version, counts[t.name].get(unit["tenant_id"], 0)) for t in published),
                configuration_hash=unit["configuration_hash"],
                code_version=note["code_version"],
                parameters=unit["parameters"],
                actor=invocation.actor,
                dag_run_id=invocation.dag_run_id,
                fenced=Unit(run.stage, unit["tenant_id"], unit["period"], unit["lane"]) in run.units,
            )
            for unit in units
        ],
        note | {"publication_id": run.publication_id},
        turns=_turns_told(detail, [unit for unit in run.units if unit.tenant_id in passing]),
    )
    faults.reach("publish:complete")
    brought = [(table, tenant, counts[table].get(tenant, 0)) for table in counts for tenant in passing]
    records.append_quietly(
        ops.METRICS, [records.metric(run, "rows", rows, tenant, table=table) for table, tenant, rows in brought]
    )
    return tuple(published)


def _finish_what_was_cut_short(asked: Invocation) -> None:
    """Roll forward what a dead process left between its first commit and its last, for the units asked for (law 4)."""
    for _ in range(delta_log.RETRIES):
        if all(_finished(row) for row in _cut_short(asked)):
            return
    raise RunBroke(f"{asked.run_id}: other runs kept beginning first. Nothing was started; run this again.")


def _cut_short(asked: Invocation) -> list[dict[str, Any]]:
    """The rows by which the publications of the units asked for began that are not complete, and that nobody has dropped."""
    stage = asked.stage
    complete = Snapshot.now().complete
    begun: dict[str, dict[str, Any]] = {}
    for row in ops.rows(ops.RUNS):
        if row["stage"] == stage and row["verb"] == "publish":
            if row["status"] == "started":
                begun[row["publication_id"]] = row
            elif row["status"] == "done" or (
                row["status"] == "superseded" and not _must_follow(stage, row["publication_id"], complete)
            ):
                begun.pop(row["publication_id"], None)
    if asked.tenants:
        begun = {key: row for key, row in begun.items() if set(row["tenants"]) & set(asked.tenants)}
    if stage != INGESTION.name:  # landing belongs to no month
        begun = {key: row for key, row in begun.items() if row["period"] == asked.period}
    begun = {key: row for key, row in begun.items() if (row["lane"] or "main") == asked.lane}
    return [row for publication_id, row in begun.items() if publication_id not in complete]


def _must_follow(stage: str, publication_id: str, complete: Collection[str]) -> bool:
    """Whether a run has published a part of itself, so that nobody may drop the rest."""
    return any(ops.part_id(publication_id, lane) in complete for lane in BY_NAME[stage].parts)


def _finished(row: dict[str, Any]) -> bool:
    """Roll a publication forward, or drop it where another run has gone on since; False where somebody is at its units meanwhile.

    row: by which it began.
    """
    stage, publication_id, detail = row["stage"], row["publication_id"], json.loads(row["detail"])
    inputs = _inputs_told(stage, detail, detail["passing"])
    units = tuple(inputs)
    looked_at = ops.table(ops.PUBLICATIONS)
    published = Snapshot.of(ops.all_publications(looked_at))
    if publication_id in published.complete:
        return True
    if BY_NAME[stage].in_turn:  # there, to begin is not to take over
        superseded = _has_moved(detail, units)
    else:
        superseded = any(standing != 2 * row["attempt"] for standing in ops.fences(units, looked_at).values())
    if superseded and not _must_follow(stage, publication_id, published.complete):
        say(
            f"{stage}: publication {publication_id[:8]} was cut short and another run has gone on since; it is computed anew"
        )
        ops.append(ops.RUNS, [row | {"status": "superseded", "message": "another run has gone on since"}])
        return True
    _interrupt_earlier(units, row["run_id"])
    attempt = ops.register_attempt(units, looked_at)
    if attempt is None:
        return False
    say(
        f"{stage}: rolling forward publication {publication_id[:8]} of run {row['run_id']}, cut short in attempt {row['attempt']}"
    )
    invocation = Invocation(
        stage=stage, period=row["period"], run_key="", lane=row["lane"] or "main", dag_id=row["dag_id"] or "", dag_run_id=row["dag_run_id"] or "",
        task=row["task"] or "", actor=row["actor"] or "", reason=row["reason"] or "",
    )  # fmt: skip
    # The staged place keeps the attempt that wrote it; only the fence moves on.
    run = Run(row["run_id"], attempt, stage, Period(row["period"]), units, publication_id, inputs=inputs)
    ops.append(ops.RUNS, [row | {"attempt": attempt}])
    try:
        tables = _publish(invocation, run, detail)
    except OutOfTurn as error:  # what it was computed from has changed meanwhile
        say(f"{error.message} Its candidates are dropped; it is computed anew.")
        ops.append(ops.RUNS, [row | {"status": "superseded", "message": error.message}])
        return True
    rolled = ", ".join(f"{t.name} v{t.version}" for t in tables)
    record = records.record(invocation, attempt, "publish", "done", f"rolled forward: {rolled}", run)
    record |= {"run_id": row["run_id"], "publication_id": publication_id, "detail": row["detail"]}
    ops.append(ops.RUNS, [record])
    return True


def _turns(units: Iterable[Unit]) -> tuple[Unit, ...]:
    """The fences of tenants whose runs of this stage go on from each other: one for all periods."""
    return tuple(sorted({ops.turn_of(unit) for unit in units if BY_NAME[unit.stage].in_turn}, key=lambda turn: turn.id))


def _turns_told(detail: Mapping[str, Any], units: Iterable[Unit]) -> dict[Unit, int]:
    """How far the turns of units had moved before a run looked at what was published; detail: of the row of its write."""
    return {turn: detail.get("turns", {}).get(turn.id, UNTOLD) for turn in _turns(units)}


def _has_moved(detail: Mapping[str, Any], units: Iterable[Unit]) -> bool:
    """Whether another run of these tenants has published since."""
    told = _turns_told(detail, units)
    return bool(told) and ops.fences(told) != told


def _taken_over(run: Run) -> bool:
    """Whether a newer attempt of the same run is at it."""
    return any(row["run_id"] == run.run_id and row["attempt"] > run.attempt for row in ops.rows(ops.RUNS))


def _interrupt_earlier(units: Sequence[Unit], run_id: str) -> None:
    """Stop what a dead client's session may still do on the server for these tenants."""
    tenants, periods, lanes = ({getattr(unit, name) for unit in units} for name in ("tenant_id", "period", "lane"))
    open_sessions: dict[tuple[str, int], str] = {}
    for row in ops.rows(ops.RUNS):
        if row["stage"] != units[0].stage or row["verb"] != "write":
            continue
        if row["stage"] != INGESTION.name and not (row["period"] in periods and row["lane"] in lanes):
            continue  # another month at work beside this one
        if BY_NAME[row["stage"]].in_turn and row["run_id"] != run_id:
            continue  # another run at work beside this one, as when payables and cash of one month are posted at once
        key = (row["run_id"], row["attempt"])
        if row["status"] == "started" and tenants & set(row["tenants"] or ()):
            open_sessions[key] = row["session_id"] or ""
        else:
            open_sessions.pop(key, None)
    for (of_run, attempt), open_session in open_sessions.items():
        if open_session and not _told_interrupted(of_run, attempt):
            say(f"{of_run}: attempt {attempt} never ended; stopping what it may still do on the server")
            interrupt(open_session)
            ops.append(ops.RUNS, [{"run_id": of_run, "attempt": attempt, "stage": units[0].stage, "verb": "write",
                                   "status": "superseded", "message": "a newer attempt took over"}])  # fmt: skip


def _told_interrupted(run_id: str, attempt: int) -> bool:
    return any(
        row["run_id"] == run_id and row["attempt"] == attempt and row["status"] == "superseded" for row in ops.rows(ops.RUNS)
    )


def _run(invocation: Invocation, attempt: int, period: Period, units: tuple[Unit, ...]) -> Run:
    publication_id = digest(invocation.run_id, str(attempt), *sorted(unit.id for unit in units))[:32]
    return Run(invocation.run_id, attempt, invocation.stage, period, units, publication_id, dict(invocation.parameters))


def _restore(invocation: Invocation, written: Mapping[str, Any]) -> Run:
    inputs = _inputs_told(invocation.stage, json.loads(written["detail"]))
    return replace(_run(invocation, written["attempt"], Period(invocation.period), tuple(inputs)), inputs=inputs)


def _inputs_told(
    stage: str, detail: Mapping[str, Any], tenants: Collection[str] | None = None
) -> dict[Unit, Mapping[str, str]]:
    """The units of a run that hold a fence, and what each was made from. detail: of the row of its write. tenants: whose, if not all."""
    return {
        Unit(stage, unit["tenant_id"], unit["period"], unit["lane"]): unit["inputs"]
        for unit in detail["units"]
        if unit["fenced"] and (tenants is None or unit["tenant_id"] in tenants)
    }


def _planned_as_json(planned: Planned, code: str) -> dict[str, Any]:
    unit = planned.unit
    return {
        "fenced": planned.fenced,
        "tenant_id": unit.tenant_id, "period": unit.period, "lane": unit.lane, "inputs": dict(planned.inputs),
        "fingerprint": planned.fingerprint(code), "parameters": dict(planned.parameters),
        "configuration_hash": digest(json.dumps(dict(planned.configuration), sort_keys=True))[:16],
    }  # fmt: skip


def _input_versions(stage: str) -> dict[str, int]:
    found = {}
    for name in BY_NAME[stage].inputs:
        table = delta_log.open_table(name)
        if table is not None:
            found[name] = int(table.version())
    return found


def _last(run_id: str, verb: str, statuses: tuple[str, ...]) -> dict[str, Any]:
    """The newest ending of a verb of this run."""
    found = [
        row for row in ops.rows(ops.RUNS) if row["run_id"] == run_id and row["verb"] == verb and row["status"] in statuses
    ]
    if not found:
        raise Refused(
            f"{run_id}: its {verb} never ended well, so there is nothing to go on with. Nothing was published. "
            f"Clear the write task of this stage, or run the stage again."
        )
    return found[-1]


def dry_run(invocation: Invocation) -> str:
    """What a run would do, with what its stage announces; no table is changed, and what is computed for it is thrown away."""
    migrations.bring_up_to_date()
    snapshot = Snapshot.now()
    job = job_of(invocation.stage)
    period = Period(invocation.period).required(BY_NAME[invocation.stage].grain, invocation.stage)
    planned = job.plan(snapshot, period, invocation)
    code = code_version(invocation.stage)
    told, announced = [], []
    for unit in planned:
        if unit.frozen:
            told.append(f"{unit.unit.id}: frozen, {unit.frozen}")
        elif snapshot.fingerprint(unit.unit) == unit.fingerprint(code):
            told.append(f"{unit.unit.id}: as it is, nothing to do")
        else:
            told.append(f"{unit.unit.id}: would be written")
            announced += [unit.unit] if unit.announced else []
    if announced:
        run = _run(replace(invocation, run_key=f"dry run {invocation.run_key}"), 0, period, tuple(announced))
        with session() as spark:
            house = House(spark, snapshot, run)
            try:
                told.append(job.preview(house))
            finally:
                storage.remove(house.own_place)
    return "\n".join(told) or "nothing to do"

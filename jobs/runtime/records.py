"""What ops.runs, ops.metrics and ops.gate_results say of a verb, however it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jobs.runtime import gates, ops
from jobs.runtime.contract import Invocation, code_version
from jobs.runtime.errors import CountingHouseError, Superseded
from jobs.runtime.house import Run
from jobs.runtime.logs import say


@contextmanager
def recorded(invocation: Invocation, attempt: int, verb: str, run: Run) -> Iterator[dict[str, Any]]:
    """Write the run record of a verb, however it ends."""
    told: dict[str, Any] = {"status": "done", "message": ""}
    began = time.monotonic()
    try:
        yield told
    except BaseException as error:
        text = error.message if isinstance(error, CountingHouseError) else f"{type(error).__name__}"
        status = "superseded" if isinstance(error, Superseded) else "failed"
        append_quietly(
            ops.RUNS, [record(invocation, attempt, verb, status, text, run, {"seconds": time.monotonic() - began})]
        )
        raise
    told["seconds"] = time.monotonic() - began
    ops.append(ops.RUNS, [record(invocation, attempt, verb, told["status"], told["message"], run, told)])
    append_quietly(ops.METRICS, [metric(run, "seconds", told["seconds"], verb=verb)])


def append_quietly(name: str, records: list[dict[str, Any]]) -> None:
    """Append what nothing depends on; a disk that refuses it is told of, and no more."""
    try:
        ops.append(name, records)
    except Exception as error:  # a full disk refuses these too; nothing that matters may fail, or be hidden, for them
        say(f"{name} could not be written ({type(error).__name__})")


def record(
    invocation: Invocation,
    attempt: int,
    verb: str,
    status: str,
    text: str,
    run: Run | None = None,
    told: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A row of ops.runs. told: what the verb adds to it (detail, seconds, session_id)."""
    told = told or {}
    return {
        "run_id": invocation.run_id, "attempt": attempt, "stage": invocation.stage, "period": invocation.period, "lane": invocation.lane,
        "verb": verb, "status": status, "tenants": list(run.tenants) if run else list(invocation.tenants),
        "publication_id": run.publication_id if run else None, "message": text, "detail": told.get("detail"),
        "seconds": told.get("seconds"), "dag_id": invocation.dag_id, "dag_run_id": invocation.dag_run_id, "task": invocation.task,
        "actor": invocation.actor, "reason": invocation.reason, "code_version": code_version(invocation.stage),
        "session_id": told.get("session_id"),
    }  # fmt: skip


def metric(run: Run, name: str, value: float, tenant: str | None = None, **dimensions: str) -> dict[str, Any]:
    """A row of ops.metrics."""
    told = json.dumps({"stage": run.stage, "period": str(run.period or "all")} | dimensions)
    return {"name": name, "tenant_id": tenant, "dimensions": told, "value": float(value), "run_id": run.run_id}


def gate_row(run: Run, verdict: gates.Verdict) -> dict[str, Any]:
    """A row of ops.gate_results."""
    return {
        "run_id": run.run_id, "attempt": run.attempt, "stage": run.stage, "period": str(run.period or "all"),
        "suite": verdict.suite, "expectation": verdict.expectation, "tenant_id": verdict.tenant_id,
        "severity": verdict.severity, "success": verdict.success, "failing": verdict.failing, "example": verdict.example,
        "notes": verdict.notes,
    }  # fmt: skip

"""Great Expectations between the stages: a suite judges a staged version, and its verdict names tenants.

Every expectation of this house tells which tenants fail, by how many rows, and one example id (expectations/promises.py).
A result that is missing or carries an exception fails every tenant (law 3).
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyspark.sql import DataFrame

from jobs.runtime.environment import reports
from jobs.runtime.logs import say
from jobs.runtime.session import side_by_side
from jobs.stages import STAGES

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
SUITE_FAILED = "the gate itself"


@dataclass(frozen=True)
class Verdict:
    """What one expectation says of one tenant."""

    suite: str
    expectation: str
    tenant_id: str
    severity: str
    success: bool
    failing: int
    example: str | None
    notes: str


@dataclass(frozen=True)
class Judgement:
    """All verdicts of a stage's suites over one staged version."""

    verdicts: tuple[Verdict, ...]

    @property
    def held(self) -> dict[str, list[Verdict]]:
        """The tenants that a critical expectation holds back, with what failed."""
        held: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            if not verdict.success and verdict.severity == "critical":
                held.setdefault(verdict.tenant_id, []).append(verdict)
        return held

    @property
    def asks(self) -> dict[str, list[Verdict]]:
        """The tenants that are not held and that a person must approve before they are published, with what is beyond its limit."""
        held = self.held
        asks: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            if not verdict.success and verdict.severity == "approval" and verdict.tenant_id not in held:
                asks.setdefault(verdict.tenant_id, []).append(verdict)
        return asks


def judge(stage: str, frames: Mapping[str, DataFrame], gates: Sequence[str], tenants: Sequence[str], name: str) -> Judgement:
    """Run the suites of a stage, each on its frame; store their pages in Data Docs."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        FilesystemStoreBackendDefaults,
        ProgressBarsConfig,
    )

    from jobs.runtime import data_docs

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    stores = FilesystemStoreBackendDefaults(root_directory=str(reports() / "gates"))
    for store in (stores.expectations_store_name, stores.validation_definition_store_name):
        # Suites are code: each run keeps its own in memory. In one folder, two gates at once delete each other's.
        stores.stores[store]["store_backend"] = {"class_name": "InMemoryStoreBackend"}
    stores.data_docs_sites = {name: data_docs.made_here(site) for name, site in stores.data_docs_sites.items()}
    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            store_backend_defaults=stores,
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False),
        ),
    )
    module = importlib.import_module(f"expectations.{stage}")
    suites = {gate: context.suites.add(getattr(module, gate)()) for gate in gates}

    def judged(gate: str) -> list[Verdict]:
        suite = suites[gate]
        try:
            # A source for each, since its engine knows one batch at a time. Without persist: every suite reads its batch in one query.
            source = context.data_sources.add_or_update_spark(f"staged {gate}", persist=False)
            batch = source.add_dataframe_asset(f"{stage}.{gate}").add_batch_definition_whole_dataframe("staged")
            definition = gx.ValidationDefinition(name=f"{stage}.{gate}", data=batch, suite=suite)
            context.validation_definitions.add(definition)
            result = definition.run(
                batch_parameters={"dataframe": frames[gate]},
                result_format="COMPLETE",
                run_id=gx.RunIdentifier(run_name=name),
            )
            return _read(suite, result, tenants)
        except Exception as error:
            say(f"{suite.name}: the gate crashed ({type(error).__name__}: {str(error).splitlines()[0][:200]})")
            return [_crash(suite.name, tenant, type(error).__name__) for tenant in tenants]

    verdicts = [verdict for told in side_by_side(partial(judged, gate) for gate in gates) for verdict in told]
    try:
        _name_the_others(context)
        # Only the pages of this run: rendering all of them again would cost more with every run.
        context.build_data_docs(resource_identifiers=_pages(context, name) or None)
    except OSError as error:  # pages are a convenience; the verdicts stand in ops.gate_results
        say(f"Data Docs could not be written ({error.strerror})")
    return Judgement(tuple(verdicts))


def _name_the_others(context: Any) -> None:
    """Name the suites that this run did not judge by: of one that the context has never heard of, Data Docs would take the page away."""
    from great_expectations import ExpectationSuite

    known = {suite.name for suite in context.suites.all()}
    for name in (f"{stage.name}.{gate}" for stage in STAGES for gate in stage.gates):
        if name not in known:
            context.suites.add(ExpectationSuite(name=name))


def _pages(context: Any, name: str) -> list[Any]:
    """The identifiers of what this run has stored: its validation results, and the suites they are of."""
    results = [key for key in context.validation_results_store.list_keys() if key.run_id.run_name == name]
    return [*results, *(key.expectation_suite_identifier for key in results)]


def _read(suite: Any, result: Any, tenants: Sequence[str]) -> list[Verdict]:
    expected = {_title(expectation): expectation for expectation in suite.expectations}
    told: dict[str, Any] = {}
    for outcome in result.results:
        told[_title(outcome.expectation_config)] = outcome
    verdicts = []
    for title, expectation in expected.items():
        outcome = told.get(title)
        named = (expectation.meta or {}).get("severity")
        severity = str(named or getattr(expectation.severity, "value", expectation.severity))
        if outcome is None or _raised(outcome):
            verdicts += [_crash(suite.name, tenant, f"no result of '{title}'") for tenant in tenants]
            continue
        rows = (outcome.result.get("details") or {}).get("unexpected_rows") or []
        failing = {row["tenant_id"]: row for row in rows}
        if not outcome.success and not failing:
            verdicts += [_crash(suite.name, tenant, f"'{title}' failed and names no tenant") for tenant in tenants]
            continue
        for tenant in tenants:
            row = failing.pop(tenant, None)
            verdicts.append(_verdict(suite.name, title, tenant, severity, row, str(expectation.notes or "")))
        verdicts += [_crash(suite.name, tenant, f"'{title}' names a tenant that is not in this run: {other}")
                     for other in failing for tenant in tenants]  # fmt: skip
    return verdicts


def _verdict(suite: str, title: str, tenant: str, severity: str, row: Mapping[str, Any] | None, notes: str) -> Verdict:
    if row is None:
        return Verdict(suite, title, tenant, severity, True, 0, None, notes)
    example = row.get("example")
    return Verdict(
        suite, title, tenant, severity, False, int(row["failing"]), None if example is None else str(example), notes
    )


def _title(expectation: Any) -> str:
    return str(getattr(expectation, "description", None) or expectation.to_json_dict().get("description"))


def _raised(outcome: Any) -> bool:
    info = outcome.exception_info or {}
    if "raised_exception" in info:
        return bool(info["raised_exception"])
    return any(bool(inner.get("raised_exception")) for inner in info.values() if isinstance(inner, dict))


def _crash(suite: str, tenant: str, what: str) -> Verdict:
    return Verdict(suite, SUITE_FAILED, tenant, "critical", False, 0, what, "A gate without a result counts as failed.")


def question(stage: str, period: str, judgement: Judgement) -> str:
    """What is beyond its limit, for the person who has to approve it."""
    told = []
    for tenant, beyond in sorted(judgement.asks.items()):
        told.append(
            f"{stage} {period}, tenant {tenant}: beyond the limits of its policy, so a second person must approve it."
        )
        for verdict in beyond:
            told.append(f"  - {verdict.expectation}: {verdict.failing}, e.g. {verdict.example} ({verdict.notes})")
    return "\n".join(told)


def message(stage: str, period: str, judgement: Judgement, others: int, advice: str) -> str:
    """What the gate says to a person: what was refused, how much, one example, what did not happen, what to do next."""
    told = []
    for tenant, failed in sorted(judgement.held.items()):
        suites = ", ".join(sorted({verdict.suite for verdict in failed}))
        total = sum(1 for verdict in judgement.verdicts if verdict.tenant_id == tenant)
        told.append(f"{suites}, tenant {tenant}, {period}: {len(failed)} of {total} expectations failed.")
        for verdict in failed:
            example = f", e.g. {verdict.example}" if verdict.example else ""
            told.append(f"  - {verdict.expectation}: {verdict.failing}{example} ({verdict.notes})")
    held = ", ".join(sorted(judgement.held))
    told.append(f"Nothing of {held} was published by {stage}; {others} other tenants go on. {advice}")
    return "\n".join(told)

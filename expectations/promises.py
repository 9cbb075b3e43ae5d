"""The one form of expectation this house uses: a query whose rows are the failures, each with its tenant.

All promises of a suite are counted in one pass over the batch: one query, whatever their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from uuid import uuid4

import great_expectations.expectations as gxe
from great_expectations import ExpectationSuite
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import SparkDFExecutionEngine
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.query_metric_provider import QueryMetricProvider

# critical holds a tenant, warning is stored, approval lets a person decide: what is beyond it is published only when approved.
Severity = Literal["critical", "warning", "approval"]


@dataclass(frozen=True)
class Promise:
    """What a suite promises of its batch: no row fulfils `where` or, where it has a key instead, no two rows share it."""

    title: str
    example: str  # an id, never a name
    notes: str  # what would go wrong, and for whom
    severity: Severity
    where: str = ""  # Spark SQL
    key: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        """By itself: per tenant how many fail, counted exactly (no float passes through it), and the smallest example."""
        if not self.key:
            return (
                f"SELECT tenant_id, COUNT(*) AS failing, MIN({self._example}) AS example "
                f"FROM {{batch}} WHERE {self.where} GROUP BY tenant_id"
            )
        columns = ", ".join(self.key)
        return (
            f"SELECT tenant_id, COUNT(*) AS failing, MIN(example) AS example FROM (SELECT {columns}, "
            f"MIN({self._example}) AS example FROM {{batch}} GROUP BY {columns} HAVING COUNT(*) > 1) GROUP BY tenant_id"
        )

    def columns(self, number: int) -> str:
        """Among others: the same figures as two columns of a query over the whole batch."""
        return (
            f"COUNT_IF({self.where}) AS failing_{number}, "
            f"MIN(CASE WHEN {self.where} THEN {self._example} END) AS example_{number}"
        )

    @property
    def _example(self) -> str:
        return f"CAST({self.example} AS STRING)"


class PromiseKept(gxe.UnexpectedRowsExpectation):
    """One promise; its figures come from the pass over the batch that it shares with the others of its suite."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("promises.failing",)
    success_keys: ClassVar[tuple[str, ...]] = ("unexpected_rows_query", "one_pass", "number")

    one_pass: str
    number: int

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: dict[str, Any] | None = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        rows = [
            {name: row[name] for name in ("tenant_id", "failing", "example")}
            for row in metrics["promises.failing"]
            if row["promise"] == self.number
        ]
        return {"success": not rows, "result": {"observed_value": len(rows), "details": {"unexpected_rows": rows}}}


class FailingRows(QueryMetricProvider):
    """Every failing promise of a suite per tenant. Equal for all its expectations, so GX computes it once."""

    metric_name = "promises.failing"
    value_keys = ("one_pass",)
    query_param_name: ClassVar[str] = "one_pass"

    @metric_value(engine=SparkDFExecutionEngine)  # type: ignore[untyped-decorator]
    def _spark(
        cls: Any,
        execution_engine: SparkDFExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> list[dict[str, Any]]:
        batch, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        view = f"batch_{uuid4().hex}"  # suites are judged side by side in one session
        batch.createOrReplaceTempView(view)
        query = cls._format_query(cls._get_query_from_metric_value_kwargs(metric_value_kwargs), batch=view)
        try:
            return [row.asDict() for row in execution_engine.spark.sql(query).collect()]
        finally:  # a session may live for months of runs, and a view keeps all that it was planned from
            execution_engine.spark.catalog.dropTempView(view)


def no_rows(title: str, where: str, example: str, notes: str, severity: Severity = "critical") -> Promise:
    """Promise that no row of the batch fulfils `where` (Spark SQL)."""
    return Promise(title, example, notes, severity, where=where)


def unique(title: str, key: tuple[str, ...], example: str, notes: str) -> Promise:
    """Promise that `key` names at most one row of the batch."""
    return Promise(title, example, notes, "critical", key=key)


def suite(name: str, promises: Sequence[Promise]) -> ExpectationSuite:
    """A suite of promises about one batch."""
    query = one_pass(promises)
    return ExpectationSuite(
        name=name,
        expectations=[
            PromiseKept(
                description=promise.title,
                unexpected_rows_query=promise.query,
                one_pass=query,
                number=number,
                notes=promise.notes,
                severity="warning" if promise.severity == "approval" else promise.severity,  # GX knows no question
                meta={"severity": promise.severity},
            )
            for number, promise in enumerate(promises)
        ],
    )


def one_pass(promises: Sequence[Promise]) -> str:
    """The failures of all promises: promise (its number), tenant_id, failing, example."""
    by_row = [(number, promise) for number, promise in enumerate(promises) if not promise.key]
    parts = [
        f"SELECT {number} AS promise, tenant_id, failing, example FROM ({promise.query})"
        for number, promise in enumerate(promises)
        if promise.key
    ]
    if by_row:
        counted = ", ".join(promise.columns(number) for number, promise in by_row)
        stacked = ", ".join(f"{number}, failing_{number}, example_{number}" for number, _ in by_row)
        parts.append(
            "SELECT promise, tenant_id, failing, example FROM ("
            f"SELECT tenant_id, STACK({len(by_row)}, {stacked}) AS (promise, failing, example) "
            f"FROM (SELECT tenant_id, {counted} FROM {{batch}} GROUP BY tenant_id)) WHERE failing > 0"
        )
    return " UNION ALL ".join(parts)

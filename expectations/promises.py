"""The one form of expectation this house uses: a query whose rows are the failures, each with its tenant."""

from __future__ import annotations

from typing import Literal

import great_expectations.expectations as gxe


def no_rows(
    title: str, where: str, example: str, notes: str, severity: Literal["critical", "warning"] = "critical"
) -> gxe.UnexpectedRowsExpectation:
    """Promise that no row of the batch fulfils `where` (Spark SQL).

    A failure is counted per tenant, exactly (no float passes through it), with the smallest `example` (an id, never a
    name) as evidence. `notes` says what would go wrong, and for whom.
    """
    return gxe.UnexpectedRowsExpectation(
        description=title,
        unexpected_rows_query=(
            f"SELECT tenant_id, COUNT(*) AS failing, MIN(CAST({example} AS STRING)) AS example "
            f"FROM {{batch}} WHERE {where} GROUP BY tenant_id"
        ),
        notes=notes,
        severity=severity,
    )


def unique(title: str, key: tuple[str, ...], example: str, notes: str) -> gxe.UnexpectedRowsExpectation:
    """Promise that `key` names at most one row of the batch."""
    columns = ", ".join(key)
    return gxe.UnexpectedRowsExpectation(
        description=title,
        unexpected_rows_query=(
            f"SELECT tenant_id, COUNT(*) AS failing, MIN(example) AS example FROM (SELECT {columns}, "
            f"MIN(CAST({example} AS STRING)) AS example FROM {{batch}} GROUP BY {columns} HAVING COUNT(*) > 1) GROUP BY tenant_id"
        ),
        notes=notes,
        severity="critical",
    )

"""What a reader sees of a home's tables, in an order of its own, the publication's id aside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jobs.runtime import delta_log
from jobs.runtime.books import visible_arrow
from jobs.runtime.tables import catalog
from tests.homes import forget_home


def seen(home: Path, name: str) -> list[dict[str, Any]]:
    """The rows of complete publications."""
    before = os.environ["COUNTINGHOUSE_HOME"]
    os.environ["COUNTINGHOUSE_HOME"] = str(home)
    forget_home()
    try:
        if delta_log.open_table(name) is None:
            return []
        rows = visible_arrow(name).to_pylist()
    finally:
        os.environ["COUNTINGHOUSE_HOME"] = before
        forget_home()
    return sorted(({key: value for key, value in row.items() if key != "publication_id"} for row in rows), key=repr)


def seen_everywhere(home: Path) -> dict[str, list[dict[str, Any]]]:
    """Every published table."""
    return {name: seen(home, name) for name in catalog()}

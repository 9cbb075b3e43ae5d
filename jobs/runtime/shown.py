"""How facts are shown to a person on a terminal, and to a machine as JSON."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table

from jobs.ledger.money import NO_MINOR_UNITS, THREE_MINOR_UNITS

Row = Mapping[str, Any]

_LONG_ID = re.compile(r"^[0-9a-f]{32,64}$")
NARROWEST, UNBOUNDED = 40, 2000


def width() -> int:
    """How wide the terminal is; as wide as it takes where a file or a program reads."""
    return max(shutil.get_terminal_size().columns, NARROWEST) if sys.stdout.isatty() else UNBOUNDED


def plain(number: Decimal) -> str:
    """A decimal without exponent and without zeros that say nothing, thousands apart."""
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(amount: Decimal, currency: str) -> str:
    """An amount with the decimals its currency has, or as many as it needs."""
    places = 0 if currency in NO_MINOR_UNITS else 3 if currency in THREE_MINOR_UNITS else 2
    exact = round(amount, places) == amount
    return f"{amount:,.{places}f}" if exact else plain(amount)


def cell(value: Any, full: bool = False) -> str:
    """One value as text; long ids are cut to their first twelve characters unless `full` is asked for."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return "; ".join(cell(one, full) for one in value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {cell(one, full)}" for key, one in value.items())
    text = str(value)
    return text[:12] if not full and _LONG_ID.match(text) else text


def table(rows: Sequence[Row], columns: Sequence[str] = (), full: bool = False, wide: int | None = None) -> str:
    """Rows as a table, numbers to the right; as records below one another where the terminal is too narrow for it."""
    names = list(columns) or (list(rows[0]) if rows else [])
    if not names:
        return "(nothing)"
    cells = [[cell(row.get(name), full) for name in names] for row in rows]
    needed = sum(max([cell_len(name), *(cell_len(line[at]) for line in cells)]) + 2 for at, name in enumerate(names))
    if needed > (wide or width()):
        return records(rows, names, full)
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in names:
        numbers = any(
            isinstance(row.get(name), (int, Decimal, float)) and not isinstance(row.get(name), bool) for row in rows
        )
        shown.add_column(name, justify="right" if numbers else "left", no_wrap=True)
    for line in cells:
        shown.add_row(*line)
    return render(shown, needed + 2 * len(names) + 4)


def records(rows: Sequence[Row], columns: Sequence[str], full: bool = False) -> str:
    """Each row on lines of its own, columns without a value left out."""
    longest = max(map(len, columns))
    told = []
    for number, row in enumerate(rows, start=1):
        told.append(f"-- {number}")
        told += [f"{name:<{longest}}  {text}" for name in columns if (text := cell(row.get(name), full))]
    return "\n".join(told)


def render(what: RenderableType, wide: int | None = None) -> str:
    """Something rich can draw, as plain text."""
    into = io.StringIO()
    Console(file=into, width=wide or width(), color_system=None, highlight=False, markup=False, legacy_windows=False).print(
        what
    )
    return "\n".join(line.rstrip() for line in into.getvalue().splitlines())


def as_json(value: Any) -> str:
    """Anything as JSON; decimals are strings, so that they stay exact."""
    return json.dumps(value, default=_plain, ensure_ascii=False, indent=1)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return list(value) if isinstance(value, Iterable) else str(value)

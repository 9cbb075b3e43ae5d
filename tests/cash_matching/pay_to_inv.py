"""The labelled payments of ../shared/data/pay_to_inv: which invoices each one pays, and how well what was found agrees."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "pay_to_inv"
TENANT = "pay-to-inv"


@dataclass(frozen=True)
class Measured:
    """How what was found compares with the labels."""

    found: int
    right: int
    labelled: int

    @property
    def precision(self) -> float:
        """The share of what was found that is right."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """The share of what there is that was found."""
        return self.right / self.labelled

    def __str__(self) -> str:
        return f"{self.found} found, {self.right} right of {self.labelled}: precision {self.precision:.4f}, recall {self.recall:.4f}"


def rows(name: str) -> list[dict[str, str]]:
    """The rows of one of its files."""
    with gzip.open(DATA / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@cache
def labels() -> dict[str, frozenset[str]]:
    """The numbers of the invoices that each payment pays."""
    numbers = {row["invoice_id"]: row["Assignment Number"] for row in rows("invoices")}
    paid: dict[str, set[str]] = defaultdict(set)
    for row in rows("matches"):
        for payment in json.loads(row["payment_ids"]):
            paid[str(payment)] |= {numbers[str(invoice)] for invoice in json.loads(row["invoice_ids"])}
    return {payment: frozenset(invoices) for payment, invoices in paid.items()}


def of_year(year: str) -> tuple[str, str, frozenset[str]]:
    """The invoices of one fiscal year and the payments that pay nothing else, as files; and those payments."""
    invoices = [row for row in rows("invoices") if row["Fiscal Year"] == year]
    known = {row["Assignment Number"] for row in invoices}
    payments = [row for row in rows("payments") if labels()[row["payment_id"]] <= known]
    return _written(invoices), _written(payments), frozenset(row["payment_id"] for row in payments)


def _written(told: list[dict[str, str]]) -> str:
    from io import StringIO

    stream = StringIO(newline="")
    writer = csv.DictWriter(stream, told[0])
    writer.writeheader()
    writer.writerows(told)
    return stream.getvalue()


def by_pair(found: Mapping[str, Iterable[str]], among: Iterable[str]) -> Measured:
    """Payments and invoices pair by pair."""
    pairs = {(payment, invoice) for payment, invoices in found.items() for invoice in invoices}
    there = {(payment, invoice) for payment in among for invoice in labels()[payment]}
    return Measured(len(pairs), len(pairs & there), len(there))


def by_payment(found: Mapping[str, Iterable[str]], among: Iterable[str]) -> Measured:
    """Payments as a whole: right is only who pays exactly what is labelled."""
    right = sum(frozenset(invoices) == labels()[payment] for payment, invoices in found.items())
    return Measured(len(found), right, len(list(among)))

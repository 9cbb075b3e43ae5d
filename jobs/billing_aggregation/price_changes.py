"""The prices of an invoiced month that are not what they were when it was billed. Without Spark: plan() asks at every call."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

from jobs.billing_aggregation.models import FLAT
from jobs.ledger.periods import Period
from jobs.runtime.config import digest
from jobs.runtime.house import Snapshot, rows_told
from jobs.runtime.ops import Unit
from jobs.runtime.tables import catalog
from jobs.stages import INGESTION

Row = Mapping[str, Any]
Terms = tuple[Any, ...]  # what a price says of a month, as TERMS and the days of the month it holds in
TERMS = ("product_id", "model", "currency", "parameters", "region", "unit", "account_id")
DAYS = ("valid_from", "valid_to")
READ = ("tenant_id", "price_id", *TERMS, *DAYS, "revision", "withdrawn", "landing_id", "row_number")
NEVER = date(9999, 12, 31)


@dataclass(frozen=True)
class PriceChange:
    """A price that says something else of a month than it did when the month was billed."""

    said: tuple[Row, ...]  # every statement of it that held in the month at one time or another
    source: Row  # the statement that made the change

    @property
    def price_id(self) -> str:
        """The price."""
        return str(self.source["price_id"])


class PriceLists:
    """The prices of some tenants as they were known at any publication of a snapshot; read when first asked."""

    def __init__(self, snapshot: Snapshot, tenants: Collection[str]) -> None:
        self._snapshot, self._tenants = snapshot, tenants
        self._known: dict[tuple[str, str], dict[str, Row]] = {}
        self._again: dict[tuple[str, str], set[str]] = {}

    def changes(self, tenant: str, month: Period, billed_by: Collection[str]) -> list[PriceChange]:
        """The prices that say something else of the month now than in one of the price lists it was billed by.

        billed_by: fingerprints of the price list, one for each time the month was billed.
        """
        now, days = self.known(tenant, self._now(tenant)), days_of(month)
        lists = sorted(set(billed_by))
        earlier = [self.known(tenant, fingerprint) for fingerprint in lists]
        found = []
        for name in sorted({name for fingerprint in lists for name in self._stated_again(tenant, fingerprint)}):
            statements = [known.get(name) for known in (*earlier, now)]
            if len({said_of(statement, days) for statement in statements}) > 1:
                said = tuple(statement for statement in statements if statement and said_of(statement, days))
                found.append(PriceChange(said, next(statement for statement in reversed(statements) if statement)))
        return found

    def fingerprint(self, tenant: str, month: Period, changes: Collection[PriceChange]) -> str:
        """What the changed prices say of the month now."""
        now, days = self.known(tenant, self._now(tenant)), days_of(month)
        return digest(*(f"{one.price_id}: {said_of(now.get(one.price_id), days)}" for one in changes))[:32]

    def known(self, tenant: str, fingerprint: str) -> dict[str, Row]:
        """Of every price the statement that was known when the price list had this fingerprint: its highest revision."""
        key = (tenant, fingerprint)
        if key not in self._known:
            seen = self._seen(tenant, fingerprint)
            replaced = {row["replaces_landing_id"] for row in self._replacing if row["publication_id"] in seen}
            rows = (row for row in self._rows.get(tenant, ()) if row["publication_id"] in seen)
            standing = (row for row in rows if row["landing_id"] not in replaced)
            self._known[key] = {row["price_id"]: row for row in sorted(standing, key=_age)}  # of one price the last stays
        return self._known[key]

    def _stated_again(self, tenant: str, fingerprint: str) -> set[str]:
        """The prices of which another statement holds now than did by then."""
        key = (tenant, fingerprint)
        if key not in self._again:
            then, now = self.known(tenant, fingerprint), self.known(tenant, self._now(tenant))
            self._again[key] = {name for name in {*then, *now} if _place(then.get(name)) != _place(now.get(name))}
        return self._again[key]

    def _now(self, tenant: str) -> str:
        return self._snapshot.fingerprint(_unit(tenant)) or ""

    def _seen(self, tenant: str, fingerprint: str) -> set[str]:
        """The publications that had brought prices by then."""
        if not fingerprint:
            return set()
        seen = set()
        for publication in (one for one in self._snapshot.publications if one.unit == _unit(tenant)):
            seen.add(publication.publication_id)
            if publication.fingerprint == fingerprint:
                break
        return seen

    @cached_property
    def _rows(self) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in rows_told(catalog()["raw.prices"], self._snapshot, READ, self._tenants):
            found.setdefault(row["tenant_id"], []).append(row)
        return found

    @cached_property
    def _replacing(self) -> list[Row]:
        files = rows_told(catalog()["raw.landed_files"], self._snapshot, ("replaces_landing_id",), self._tenants)
        return [row for row in files if row["replaces_landing_id"]]


def days_of(month: Period) -> tuple[date, date, date]:
    """The first day of the month before, of the month, and of the one after it."""
    first = month.first_day
    return (first - timedelta(days=1)).replace(day=1), first, month.next.first_day


def said_of(statement: Row | None, days: tuple[date, date, date]) -> Terms:
    """What a price says of a month: nothing where it is withdrawn or does not hold in it. days: as days_of() tells them.

    The days it holds in are cut to the month, so that one which ends later changes nothing in it. A recurring fee may have begun
    in the month before.
    """
    if statement is None or statement["withdrawn"]:
        return ()
    before, first, after = days
    since = max(statement["valid_from"], before if statement["model"] == FLAT else first)
    until = min(statement["valid_to"] or NEVER, after)
    return (*(statement[name] for name in TERMS), since, until) if since < until else ()


def _unit(tenant: str) -> Unit:
    return Unit(INGESTION.name, tenant, "all", "prices")


def _place(statement: Row | None) -> tuple[Any, ...] | None:
    return (statement["landing_id"], statement["row_number"]) if statement else None


def _age(row: Row) -> tuple[Any, ...]:
    """Sorts statements of a price so that the one that holds comes last, as latest_prices() chooses it."""
    return row["revision"] or 0, row["landing_id"], row["row_number"]

"""A seeded world: many tenants' feeds in their real formats, and beside them what a right run has to come to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import duckdb

from jobs.runtime.config import SIMULATED
from jobs.runtime.errors import CallError
from jobs.simulation.accounts import accounts_of
from jobs.simulation.deliveries import deliver
from jobs.simulation.months import Month
from jobs.simulation.prices import price_rows
from jobs.simulation.taxpayers import classified
from jobs.simulation.tenants import SimTenant, tenants_at, write_configuration
from jobs.simulation.truth import MonthTruth, TenantTruth, Truth, totals_of


@dataclass(frozen=True)
class World:
    """What decides a simulated world; equal worlds are equal to the byte."""

    scale: int = 1
    seed: int = 7
    months: int = 3
    first_month: str = "2026-01"

    def __post_init__(self) -> None:
        if self.scale < 1 or self.months < 1:
            raise CallError(
                f"a world needs a scale and months of at least 1, not {self.scale} and {self.months}. Nothing was written."
            )
        try:
            Month.named(self.first_month)
        except ValueError as error:
            raise CallError(f"{error}. Nothing was written.") from None

    @property
    def calendar(self) -> tuple[Month, ...]:
        """The months that are simulated."""
        return tuple(Month.named(self.first_month).later(number) for number in range(self.months))


def simulate_world(world: World, into: Path, progress: Callable[[str], None]) -> Truth:
    """Write configuration, deliveries and truth of a world into a home; a world that was there before gives way.

    outbox/<month>/<tenant>/<feed>/<file> is what lands before that month's run.
    """
    _claim(into, world)
    tenants = tenants_at(world.scale)
    write_configuration(tenants, into / "conf", {tenant.name: classified(tenant, world.seed) for tenant in tenants})
    with duckdb.connect(config={"autoload_known_extensions": False}) as connection:
        told = {tenant.name: _simulate_tenant(tenant, world, into / "outbox", connection, progress) for tenant in tenants}
    totals = {month.name: totals_of(tenant.months[month.name] for tenant in told.values()) for month in world.calendar}
    truth = Truth(asdict(world), told, totals)
    truth.write(into / "truth" / "truth.json")
    return truth


def _claim(into: Path, world: World) -> None:
    """Mark the home as simulated, before anything else is written, and clear an earlier world out of it."""
    marker = into / SIMULATED
    real = [folder for folder in ("landing", "warehouse") if (into / folder).exists()]
    if real and not marker.exists():
        raise CallError(
            f"this home has a {real[0]}/ and is not simulated; a world would mix with it. Nothing was written; name another."
        )
    into.mkdir(parents=True, exist_ok=True)
    for folder in ("outbox", "truth"):
        shutil.rmtree(into / folder, ignore_errors=True)
    for path in (into / "conf").rglob("sim-*.yaml"):
        path.unlink()
    marker.write_text(json.dumps({"simulated": True, **asdict(world)}) + "\n", encoding="utf-8", newline="\n")


def _simulate_tenant(
    tenant: SimTenant, world: World, outbox: Path, connection: duckdb.DuckDBPyConnection, progress: Callable[[str], None]
) -> TenantTruth:
    """Write every delivery of one tenant; returns its truth."""
    prices = price_rows(tenant, world.seed, world.calendar)
    months: dict[str, MonthTruth] = {}
    for number, month in enumerate(world.calendar, start=1):
        told = deliver(tenant, world.seed, world.calendar[:number], prices, outbox / month.name / tenant.name, connection)
        months[month.name] = told
        progress(f"{tenant.name} {month.name}: {told.delivered['usage'].rows:,} usage rows")
    for month, following in pairwise(world.calendar):
        months[month.name] = replace(months[month.name], late_rows=months[following.name].delivered["usage"].late)
    accounts = len(accounts_of(tenant, world.seed, world.calendar).ids)
    return TenantTruth(tenant.line, tenant.timezone, accounts, months)

"""The simulated world: equal worlds are equal, its configuration is valid, and it never lands on a real home."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jobs.ledger.taxes import TaxPolicy
from jobs.ledger.tenants import Tenant
from jobs.runtime.config import load, load_all
from jobs.runtime.errors import CallError
from jobs.simulation.months import Month, local_seconds
from jobs.simulation.tenants import GIANT, SELLERS, tenants_at
from jobs.simulation.world import World, simulate_world


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def simulated(home: Path, **world: int | str) -> Path:
    simulate_world(World(**{"months": 1, **world}), home, lambda _: None)  # type: ignore[arg-type]
    return home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulated(tmp_path_factory.mktemp("world"))


def test_equal_worlds_are_equal_to_the_byte(home: Path, tmp_path: Path) -> None:
    assert contents(simulated(tmp_path)) == contents(home)


def test_another_seed_is_another_world(home: Path, tmp_path: Path) -> None:
    other, first = contents(simulated(tmp_path, seed=8) / "outbox"), contents(home / "outbox")
    assert other.keys() == first.keys()
    assert all(other[name] != first[name] for name in first if "/tax_rates/" not in name)  # which are no matter of chance


def test_a_tenant_does_not_depend_on_how_many_others_there_are(home: Path, tmp_path: Path) -> None:
    larger = contents(simulated(tmp_path, scale=2) / "outbox")
    assert contents(home / "outbox").items() <= larger.items()


def test_unreadable_files_stand_in_the_truth_and_not_in_its_rows(tmp_path: Path) -> None:
    truth = json.loads((simulated(tmp_path, scale=2) / "truth" / "truth.json").read_text(encoding="utf-8"))
    broken = {
        (tenant, name): said
        for tenant, told in truth["tenants"].items()
        for name, said in told["months"]["2026-01"]["delivered"]["usage"]["unreadable"].items()
    }
    assert set(broken.values()) == {"binary", "empty"}
    for (tenant, name), said in broken.items():
        data = (tmp_path / "outbox" / "2026-01" / tenant / "usage" / name).read_bytes()
        assert (data == b"") == (said == "empty")
        assert name not in truth["tenants"][tenant]["months"]["2026-01"]["delivered"]["usage"]["files"]


def test_a_new_world_clears_the_old_one(tmp_path: Path) -> None:
    simulated(tmp_path, scale=2)
    assert contents(simulated(tmp_path)) == contents(simulated(tmp_path / "fresh"))


def test_a_real_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "warehouse").mkdir()
    with pytest.raises(CallError, match="not simulated"):
        simulated(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "warehouse"]


@pytest.mark.parametrize("wrong", [{"scale": 0}, {"months": 0}, {"first_month": "2026-13"}])
def test_a_world_that_cannot_be_is_refused(wrong: dict[str, int | str]) -> None:
    with pytest.raises(CallError, match="Nothing was written"):
        World(**wrong)  # type: ignore[arg-type]


def test_tenant_files_are_valid_and_name_tax_policies_that_exist(home: Path) -> None:
    tenants = [load(path, Tenant) for path in sorted((home / "conf" / "tenants").glob("*.yaml"))]
    classes = {path.stem for path in (home / "conf" / "taxes" / "products").glob("*.yaml")}
    entities = [entity for tenant in tenants for entity in tenant.legal_entities]
    assert {tenant.business_line for tenant in tenants} == {"cloud", "retail", "media", "logistics", "utilities"}
    assert {entity.country for entity in entities} == set(SELLERS)
    assert {entity.tax_policy for entity in entities} <= set(load_all("taxes", TaxPolicy))
    assert {tenant.tenant for tenant in tenants} == classes
    for tenant in tenants:
        prefixes = [entity.invoice_prefix for entity in tenant.legal_entities]
        assert len(set(prefixes)) == len(prefixes)


def test_the_giant_has_about_half_of_a_large_world() -> None:
    tenants = tenants_at(20)
    assert len(tenants) == 80
    assert sum(tenant.usage_rows for tenant in tenants) == 2_000_000
    assert 900_000 < tenants[GIANT].usage_rows < 1_100_000
    assert len({tenant.name for tenant in tenants}) == 80


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        pytest.param("Europe/Berlin", 743, id="an_hour_is_skipped"),
        pytest.param("Asia/Tokyo", 744, id="no_summer_time"),
    ],
)
def test_a_month_is_as_long_as_its_zone_says(zone: str, hours: int) -> None:
    begin, end = Month.named("2026-03").span(zone)
    assert end - begin == hours * 3600
    shown = local_seconds(np.array([begin, end - 1]), zone).astype("datetime64[s]").astype(str)
    assert shown.tolist() == ["2026-03-01T00:00:00", "2026-03-31T23:59:59"]

"""The truth against the files: every tenant is read back through its own mapping and billed row by row, in plain Python."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from jobs.ledger.tenants import Column, Mapping, Tenant
from jobs.runtime.config import load
from jobs.simulation.truth import FeedTruth, MonthTruth, Truth
from jobs.simulation.world import World, simulate_world

WORLD = World(months=2, first_month="2026-02")  # March brings late rows, and summer time to some of the zones
MONTHS = ("2026-02", "2026-03")
TENANTS = ("sim-cloud-01", "sim-retail-02", "sim-media-03", "sim-logistics-04", "sim-utilities-05")
PATTERNS = {"dd.MM.yyyy HH:mm": "%d.%m.%Y %H:%M", "yyyyMMddHHmmss": "%Y%m%d%H%M%S", "dd.MM.yyyy": "%d.%m.%Y"}

Row = dict[str, Any]


@dataclass(frozen=True)
class Simulated:
    """A world on disk and what it says of itself."""

    home: Path
    truth: Truth
    read: dict[tuple[str, str, str], list[Row]] = field(default_factory=dict)  # several tests read the same files

    def tenant(self, name: str) -> Tenant:
        return load(self.home / "conf" / "tenants" / f"{name}.yaml", Tenant)

    def rows(self, tenant: Tenant, feed: str, month: str) -> list[Row]:
        """The canonical rows of one delivery, in the order of file name and row number."""
        delivery = (tenant.tenant, feed, month)
        if delivery not in self.read:
            mapping = tenant.feeds[feed]  # type: ignore[index]
            paths = sorted((self.home / "outbox" / month / tenant.tenant / feed).glob("*"))
            self.read[delivery] = [canonical(row, mapping) for path in paths for row in source_rows(path, mapping)]
        return self.read[delivery]

    def told(self, tenant: str, month: str) -> MonthTruth:
        return self.truth.tenants[tenant].months[month]


@dataclass
class Verdicts:
    """What became of the rows of one delivery."""

    accepted: list[Row] = field(default_factory=list)
    quarantined: int = 0
    duplicates: int = 0
    late: int = 0


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    home = tmp_path_factory.mktemp("world")
    return Simulated(home, simulate_world(WORLD, home, lambda _: None))


def source_rows(path: Path, mapping: Mapping) -> Iterator[Row]:
    data = path.read_bytes()
    if mapping.format == "parquet":
        yield from pq.read_table(path).to_pylist()
    elif mapping.format == "jsonl":
        yield from (json.loads(line) for line in data.decode(mapping.encoding).splitlines())
    else:
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode(mapping.encoding)
        for row in csv.DictReader(text.splitlines(), delimiter=mapping.delimiter):
            yield {name: None if value == "" else value for name, value in row.items()}


def canonical(row: Row, mapping: Mapping) -> Row:
    return {
        name: value_of(row, how if isinstance(how, Column) else Column(source=how), mapping)
        for name, how in mapping.columns.items()
    }


def value_of(row: Row, how: Column, mapping: Mapping) -> Any:
    if how.sql is not None:  # the one expression there is: a price list with the price in a column of its own
        return json.dumps({"unit_price": row["Preis"]} if row["Preis"] else {})
    value = how.constant if how.constant is not None else row[str(how.source)]
    if isinstance(value, str) and how.map is not None:
        value = how.map[value]
    if isinstance(value, str) and how.format is not None:
        try:
            return datetime.strptime(value, PATTERNS[how.format]).replace(tzinfo=ZoneInfo(mapping.timezone))
        except ValueError:
            return None
    return value


def day_of(value: Any) -> date | None:
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    return value.date() if isinstance(value, datetime) else date.fromisoformat(value)


def instant(value: Any, mapping: Mapping) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if value is None or value.tzinfo is not None:
        return value  # type: ignore[no-any-return]
    return value.replace(tzinfo=ZoneInfo(mapping.timezone))  # type: ignore[no-any-return]


def number(value: Any) -> Decimal | None:
    try:
        return None if value is None else Decimal(value)
    except InvalidOperation:
        return None


def judged(rows: list[Row], tenant: Tenant, month: str) -> Verdicts:
    """Each row accepted, quarantined or a duplicate; the first of two that contradict each other is the good one."""
    verdicts, seen = Verdicts(), dict[tuple[str, int], tuple[Any, ...]]()
    for row in rows:
        key, content = (row["record_id"], int(row["revision"] or 0)), tuple(row.values())
        start, quantity = instant(row["usage_start"], tenant.feeds["usage"]), number(row["quantity"])
        if row["account_id"] is None or start is None or quantity is None:
            verdicts.quarantined += 1
        elif key in seen:
            verdicts.duplicates += seen[key] == content
            verdicts.quarantined += seen[key] != content
        else:
            seen[key] = content
            local = start.astimezone(ZoneInfo(tenant.timezone))
            verdicts.late += f"{local:%Y-%m}" < month
            verdicts.accepted.append(row | {"local": local, "quantity": quantity, "revision": key[1]})
    return verdicts


def in_effect(rows: list[Row], month: str) -> list[Row]:
    """The last revision of every record of the month, unless it was withdrawn."""
    last: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row["revision"]):
        last[row["record_id"]] = row
    return [row for row in last.values() if str(row["withdrawn"]).lower() == "false" and f"{row['local']:%Y-%m}" == month]


def prices_by_key(rows: list[Row]) -> dict[tuple[str, str, str | None], list[Row]]:
    found = defaultdict(list)
    for row in rows:
        known = row | {"valid_from": day_of(row["valid_from"]), "valid_to": day_of(row["valid_to"])}
        found[row["product_id"], row["currency"], row.get("region")].append(known)
    return found


def price_of(row: Row, currency: str, prices: dict[tuple[str, str, str | None], list[Row]]) -> Row:
    """The one price in force for the row: that of its region, or else the one for no region."""
    day = row["local"].date()
    for region in dict.fromkeys((row.get("region"), None)):
        listed = prices.get((row["product_id"], currency, region), [])
        holding = [
            price
            for price in listed
            if price["valid_from"] <= day and (price["valid_to"] is None or day < price["valid_to"])
        ]
        if holding:
            assert len(holding) == 1, f"{len(holding)} prices of {row['product_id']} in {currency} on {day}"
            return holding[0]
    raise AssertionError(f"no price of {row['product_id']} in {currency} on {day}")


def delivered_before(simulated: Simulated, tenant: Tenant, feed: str, month: str) -> list[Row]:
    return [row for known in MONTHS if known <= month for row in simulated.rows(tenant, feed, known)]


@pytest.mark.parametrize("month", [pytest.param(MONTHS[0], marks=pytest.mark.slow), *MONTHS[1:]])
@pytest.mark.parametrize("name", TENANTS)
def test_the_bill_is_what_the_files_come_to(simulated: Simulated, name: str, month: str) -> None:
    tenant, told = simulated.tenant(name), simulated.told(name, month)
    currencies = {
        row["account_id"]: row["currency"]
        for row in delivered_before(simulated, tenant, "accounts", month)
        if row["country"]
    }
    prices = prices_by_key(delivered_before(simulated, tenant, "prices", month))
    verdicts = judged(simulated.rows(tenant, "usage", month), tenant, month)
    usage = told.delivered["usage"]
    assert (len(verdicts.accepted), verdicts.quarantined, verdicts.duplicates, verdicts.late) == (
        usage.accepted, usage.quarantined, usage.duplicates, usage.late,
    )  # fmt: skip
    assert usage.rows == usage.accepted + usage.quarantined + usage.duplicates

    before = MONTHS[MONTHS.index(month) - 1] if month != MONTHS[0] else ""
    for belongs_to, bill in ((month, told.bill), (before, told.adjusted)):
        assert {
            currency: (
                part.usage_rows,
                part.charges,
                Decimal(part.amount),
                {k: Decimal(v) for k, v in part.quantities.items()},
            )
            for currency, part in bill.items()
        } == billed(in_effect(verdicts.accepted, belongs_to), currencies, prices)


def billed(rows: list[Row], currencies: dict[str, str], prices: dict[tuple[str, str, str | None], list[Row]]) -> Row:
    """By currency: rows, charges, amount, and quantities by product."""
    parts: dict[str, list[tuple[tuple[Any, ...], Decimal, Decimal]]] = defaultdict(list)
    for row in rows:
        currency = currencies[row["account_id"]]
        price = price_of(row, currency, prices)
        listed = price["model"] == "per_unit"
        assert listed or row["currency"] == currency
        unit_price = Decimal(json.loads(price["parameters"])["unit_price"] if listed else row["unit_price"])
        charge = (row["account_id"], row["product_id"], listed and price["price_id"], row.get("region"), row["unit"])
        parts[currency].append((charge, row["quantity"], row["quantity"] * unit_price))
    found = {}
    for currency, mine in parts.items():
        quantities = defaultdict[str, Decimal](Decimal)
        for charge, quantity, _ in mine:
            quantities[charge[1]] += quantity
        amount = sum((amount for _, _, amount in mine), Decimal(0))
        found[currency] = (len(mine), len({charge for charge, _, _ in mine}), amount, dict(quantities))
    return found


@pytest.mark.parametrize("name", TENANTS)
def test_files_have_the_rows_and_control_totals_of_the_truth(simulated: Simulated, name: str) -> None:
    tenant = simulated.tenant(name)
    for month in MONTHS:
        for feed, told in simulated.told(name, month).delivered.items():
            folder = simulated.home / "outbox" / month / name / feed
            mapping = tenant.feeds[feed]  # type: ignore[index]
            assert sorted(path.name for path in folder.glob("*")) == sorted(told.files)
            for file, expected in told.files.items():
                rows = list(source_rows(folder / file, mapping))
                totals = {
                    column: sum(number(row[column]) or Decimal(0) for row in rows) for column in mapping.control_totals
                }
                assert (len(rows), totals) == (
                    expected.rows,
                    {name: Decimal(of) for name, of in expected.control_totals.items()},
                )


@pytest.mark.parametrize("name", TENANTS)
def test_every_kind_of_wrong_row_is_there_in_its_number(simulated: Simulated, name: str) -> None:
    tenant = simulated.tenant(name)
    for month in MONTHS:
        usage = simulated.told(name, month).delivered["usage"]
        without_account = sum(row["account_id"] is None for row in simulated.rows(tenant, "usage", month))
        possible = {kind for kind in usage.kinds if kind != "too_few_fields" or tenant.feeds["usage"].format == "csv"}
        assert usage.rows == sum(usage.kinds.values())
        assert without_account == usage.kinds["missing_account"]
        assert all(usage.kinds[kind] > 0 for kind in possible - {"late"})
        assert (usage.kinds["late"] > 0) == (month != MONTHS[0])


def test_accounts_without_a_country_are_counted_and_use_nothing(simulated: Simulated) -> None:
    for name in TENANTS:
        tenant = simulated.tenant(name)
        nowhere = {row["account_id"] for row in simulated.rows(tenant, "accounts", MONTHS[0]) if row["country"] is None}
        assert len(nowhere) == simulated.told(name, MONTHS[0]).delivered["accounts"].kinds["missing_country"] == 2
        assert nowhere.isdisjoint(row["account_id"] for row in simulated.rows(tenant, "usage", MONTHS[0]))


def test_yen_accounts_are_priced_in_yen_and_months_have_price_changes(simulated: Simulated) -> None:
    for name in TENANTS:
        tenant = simulated.tenant(name)
        prices = delivered_before(simulated, tenant, "prices", MONTHS[-1])
        ending = [day_of(row["valid_to"]) for row in prices if row["valid_to"] is not None]
        assert {"JPY", "EUR"} <= {row["currency"] for row in prices}
        assert {f"{day:%Y-%m}" for day in ending if day is not None and day.day > 1} == set(MONTHS)


def test_totals_are_the_sum_of_the_tenants(simulated: Simulated) -> None:
    for month in MONTHS:
        parts = [simulated.told(name, month) for name in TENANTS]
        total = simulated.truth.totals[month]
        assert total.usage_rows == sum(part.usage_rows for part in parts)
        assert total.charges == sum(part.charges for part in parts)
        for currency, whole in total.bill.items():
            assert Decimal(whole.amount) == sum(
                Decimal(part.bill[currency].amount) for part in parts if currency in part.bill
            )


def test_late_rows_belong_to_the_month_before(simulated: Simulated) -> None:
    for name in TENANTS:
        later: FeedTruth = simulated.told(name, MONTHS[1]).delivered["usage"]
        assert simulated.told(name, MONTHS[0]).late_rows == later.late > 0
        assert simulated.told(name, MONTHS[1]).late_rows == 0


def test_the_file_says_what_the_call_returned(simulated: Simulated) -> None:
    written = json.loads((simulated.home / "truth" / "truth.json").read_text(encoding="utf-8"))
    assert written["world"] == {"scale": 1, "seed": 7, "months": 2, "first_month": "2026-02"}
    assert written["totals"]["2026-02"]["usage_rows"] == simulated.truth.totals["2026-02"].usage_rows


def test_the_first_and_the_last_instant_of_a_month_are_billed_in_it(simulated: Simulated) -> None:
    """Both lie in another month in UTC for every zone that is not there."""
    tenant = simulated.tenant("sim-logistics-04")
    starts = [row["local"] for row in judged(simulated.rows(tenant, "usage", "2026-03"), tenant, "2026-03").accepted]
    tokyo = ZoneInfo("Asia/Tokyo")
    assert datetime(2026, 3, 1, tzinfo=tokyo) in starts
    assert datetime(2026, 3, 31, 23, 59, 59, tzinfo=tokyo) in starts
    assert datetime(2026, 3, 1, tzinfo=tokyo).astimezone(UTC).month == 2

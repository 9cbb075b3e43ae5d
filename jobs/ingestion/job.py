"""Landing files to raw tables: every row accepted, quarantined with its reasons, or counted as an exact duplicate."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import reduce
from itertools import groupby

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.ingestion import decode, files, rollup, transforms
from jobs.ingestion.feeds import FEEDS, FeedType
from jobs.ingestion.files import LANDED, Delivered, LandingFile
from jobs.ingestion.settings import settings
from jobs.ingestion.splitting import in_parts
from jobs.ingestion.tables import ACCOUNTS, LANDED_FILES, PRICES, QUARANTINE, USAGE, USAGE_ROLLUP, WAITING
from jobs.ingestion.transforms import ACCEPTED, DUPLICATE, QUARANTINED
from jobs.ledger.facts import current_accounts, latest_prices
from jobs.ledger.months import FREEZING
from jobs.ledger.periods import Period
from jobs.ledger.price_spans import billing_zones, price_spans
from jobs.ledger.tenants import Tenant, chosen, tenants
from jobs.ledger.usage_parts import begins, whole
from jobs.runtime import delta_log
from jobs.runtime.contract import Invocation, Planned, Written
from jobs.runtime.house import House, Snapshot, rows_told
from jobs.runtime.logs import say
from jobs.runtime.ops import Unit
from jobs.runtime.session import AT_ONCE
from jobs.runtime.tables import Table
from jobs.stages import INGESTION, INVOICE_GENERATION

WHAT_TO_DO = "Look at raw.quarantine and raw.landed_files of the tenant, mend the file or its mapping"


def plan(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """One unit per tenant with files to look at. Landing belongs to no month: a run takes whatever is complete."""
    settings()
    found = _arrivals(snapshot, chosen(invocation.tenants), invocation.parameters.get("replay"))
    for file in found:
        if file.status != LANDED:
            say(
                f"{file.tenant_id}/{file.feed}: {file.path.name} refused, it {file.reason}. Its rows were not landed; the others are."
            )
    return [
        Planned(Unit(INGESTION.name, tenant, "all", "files"), inputs={file.landing_id: file.status for file in group})
        for tenant, group in groupby(found, key=lambda file: file.tenant_id)
    ]


def write(house: House) -> Written:
    """Decode, type and judge every row; stage what was accepted, what was not, and the account of each file."""
    mine = {name: tenant for name, tenant in tenants().items() if name in house.run.tenants}
    found = _arrivals(house.snapshot, mine, house.run.parameters.get("replay"))
    totals = max((len(file.mapping.control_totals) for file in found if file.status == LANDED), default=0)
    of_feed = {
        feed.name: [file for file in found if file.feed == feed.name and file.status == LANDED] for feed in FEEDS.values()
    }

    landing: dict[str, Future[_Judged]] = {}

    def landed(feed: FeedType) -> _Judged:
        if feed.table is USAGE and ACCOUNTS.name in landing:
            landing[ACCOUNTS.name].result()  # they tell in which zone usage is billed
        judged = _judged(house, feed, of_feed[feed.name], mine, totals)
        accepted = judged.verdicts.where(F.col("verdict") == ACCEPTED)
        house.stage(in_parts(accepted) if feed.table is USAGE else accepted, feed.table.name)
        say(f"{feed.name}: {len(judged.landed)} files written")
        return judged

    def summed() -> dict[str, str]:
        usage, *_ = [landing[table.name].result() for table in (USAGE, ACCOUNTS, PRICES) if table.name in landing]
        return _summed(house, usage, mine)

    counted: dict[str, dict[str, object]] = {file.landing_id: {} for file in found}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for feed in (feed for feed in FEEDS.values() if of_feed[feed.name]):  # accounts before usage, which waits for them
            landing[feed.table.name] = pool.submit(landed, feed)
        sums = pool.submit(summed) if USAGE.name in landing else None
        judged = [one.result() for one in landing.values()]
        staged = {one.feed.table.name: house.place(one.feed.table.name) for one in judged}
        if judged:
            staged[QUARANTINE.name] = house.stage(reduce(DataFrame.unionByName, map(_quarantined, judged)), QUARANTINE.name)
            say("the rest is quarantined, now counting")
            _count(house, judged, totals, counted)
        staged |= sums.result() if sums else {}
    told = [_account_of(file, counted[file.landing_id], house.run.publication_id) for file in found]
    staged[LANDED_FILES.name] = house.stage(house.spark.createDataFrame(told, LANDED_FILES.schema), LANDED_FILES.name)
    return Written(staged, _found_units(house.snapshot, staged, found, _months_left_behind(house, found)))


@dataclass(frozen=True)
class _Judged:
    """The files of one feed, their canonical rows, and what is to become of them."""

    feed: FeedType
    landed: list[LandingFile]
    rows: DataFrame
    doubtful: DataFrame | None
    repeated: DataFrame
    verdicts: DataFrame


def _judged(house: House, feed: FeedType, landed: list[LandingFile], mine: dict[str, Tenant], totals: int) -> _Judged:
    """Every row of one feed's files with its verdict. Repetitions are found first, so that the rest is one pass."""
    rows, existing = _canonical(house, feed, landed, mine, totals), _existing(house, feed, landed)
    if feed.table is USAGE:
        existing = whole(existing)
    doubtful = house.keep(transforms.suspects(rows, existing, feed), f"doubtful/{feed.name}")
    if not house.keeps_rows(f"doubtful/{feed.name}"):
        repeated = house.spark.createDataFrame([], transforms.REPEATED)  # told so, Spark leaves out every join with them
        return _Judged(feed, landed, rows, None, repeated, transforms.with_verdicts(rows, repeated, feed))
    order = house.spark.createDataFrame(
        [(file.landing_id, at) for at, file in enumerate(landed)], "landing_id string, file_order int"
    )
    repeated = transforms.repetitions(rows, existing, doubtful, feed, order)
    repeated = house.keep(repeated, f"repeated/{feed.name}")  # few, and Spark knows it before it plans to join them
    return _Judged(feed, landed, rows, doubtful, repeated, transforms.with_verdicts(rows, repeated, feed))


def _existing(house: House, feed: FeedType, landed: list[LandingFile]) -> DataFrame:
    """What earlier runs have accepted of a feed and these files do not replace."""
    existing = house.standing(feed.table.name)
    replaced = [file.replaces for file in landed if file.replaces]
    return existing.where(~F.col("landing_id").isin(*replaced)) if replaced else existing


def _summed(house: House, usage: _Judged, mine: dict[str, Tenant]) -> dict[str, str]:
    """What is made from the staged usage: its sums, and what came too late for its month."""
    staged = {USAGE_ROLLUP.name: house.stage(_rolled_up(house, usage, mine), USAGE_ROLLUP.name)}
    if (late := _frozen_months(house)) is not None:
        staged[WAITING.name] = house.stage(transforms.waiting(house.staged(USAGE.name), late), WAITING.name)
    return staged


def _rolled_up(house: House, usage: _Judged, mine: dict[str, Tenant]) -> DataFrame:
    """The staged usage summed, by the prices that are known with those of this run."""
    staged, prices = house.staged(USAGE.name), latest_prices(_with_staged(house, PRICES, house.standing(PRICES.name)))
    accounts = _with_staged(house, ACCOUNTS, house.read_all_months(ACCOUNTS.name))
    zones = billing_zones(house.spark, {name: tenant.timezone for name, tenant in mine.items()}, accounts)
    sums = rollup.rolled_up(staged, price_spans(prices, zones))
    if usage.doubtful is None:
        return sums
    return sums.unionByName(rollup.said_again(staged, _existing(house, usage.feed, usage.landed), usage.doubtful))


def _with_staged(house: House, table: Table, known: DataFrame) -> DataFrame:
    """Rows of a table with those of this run."""
    return known.unionByName(house.staged(table.name)) if house.was_staged(table.name) else known


def _zones_of_accounts(house: House) -> DataFrame | None:
    """The accounts that are billed in a time zone of their own: tenant_id, account_id, billing_zone; None where there are none."""
    accounts = current_accounts(_with_staged(house, ACCOUNTS, house.standing(ACCOUNTS.name)))
    zones = accounts.where(F.col("timezone").isNotNull()).select(
        "tenant_id", "account_id", F.col("timezone").alias("billing_zone")
    )
    return None if zones.isEmpty() else zones


def _quarantined(judged: _Judged) -> DataFrame:
    return judged.verdicts.where(F.col("verdict") == QUARANTINED).select(
        "tenant_id", F.lit(judged.feed.name).alias("feed"), "landing_id", "row_number", "reasons", "source_row"
    )


def _count(house: House, judged: list[_Judged], totals: int, counted: dict[str, dict[str, object]]) -> None:
    """Per landing: what was read, counted in the source; what became of it, counted in what was staged (law 2)."""
    sources = (one.rows.select("landing_id", *(f"total_{at}" for at in range(totals))) for one in judged)
    names = {file.landing_id: file.mapping.control_totals for one in judged for file in one.landed}
    for row in transforms.read_counts(reduce(DataFrame.unionByName, sources), totals).collect():
        sums = {name: row[f"total_{at}"] for at, name in enumerate(names[row["landing_id"]])}
        counted[row["landing_id"]] |= {"rows_read": row["rows_read"], "control_totals": sums}
    ended = [
        *((_records(house.staged(one.feed.table.name), one.feed), "rows_accepted") for one in judged),
        (house.staged(QUARANTINE.name), "rows_quarantined"),
        *((one.repeated.where(F.col("told") == DUPLICATE), "rows_duplicate") for one in judged),
    ]
    labelled = (rows.select("landing_id", F.lit(how).alias("how")) for rows, how in ended)
    for row in reduce(DataFrame.unionByName, labelled).groupBy("landing_id", "how").count().collect():
        counted[row["landing_id"]][row["how"]] = row["count"]


def _records(rows: DataFrame, feed: FeedType) -> DataFrame:
    """A row for every record, be it staged in parts."""
    return rows.where(begins()) if feed.table is USAGE else rows


def _canonical(house: House, feed: FeedType, landed: list[LandingFile], mine: dict[str, Tenant], totals: int) -> DataFrame:
    """The rows of all files of a feed, typed. Files that share a mapping and a time zone are read by one branch of the plan."""

    def way(file: LandingFile) -> tuple[str, str]:
        return file.mapping_version, mine[file.tenant_id].timezone

    branches, zones = [], _zones_of_accounts(house) if feed.table is USAGE else None
    for (_, timezone), group in groupby(sorted(landed, key=way), key=way):
        alike = list(group)
        mapping = alike[0].mapping
        rows = decode.decoded(house.spark, alike, mapping)
        branches.append(transforms.mapped(rows, feed, mapping, settings(), timezone, totals, zones))
    rows = transforms.canonical(branches, feed, settings())
    if all(file.mapping.format == "parquet" for file in landed):
        return rows  # cheap to read again, and only the columns that a pass needs
    return house.keep(rows, f"decoded/{feed.name}")


def _frozen_months(house: House) -> DataFrame | None:
    """The months of this run's tenants that were already invoiced, or are being so: tenant_id, period."""
    frozen = {
        (unit.tenant_id, Period(unit.period).first_day)
        for unit in house.snapshot.latest
        if unit.stage == INVOICE_GENERATION.name and unit.lane in FREEZING and unit.tenant_id in house.run.tenants
    }
    return house.spark.createDataFrame(sorted(frozen), "tenant_id string, period date") if frozen else None


def audit(house: House) -> dict[str, DataFrame]:
    """files: the account of every file. usage: what was accepted, counted once more from the staged version."""
    landed = house.staged("raw.landed_files")
    nothing = house.spark.createDataFrame([], USAGE.schema)
    usage = house.staged(USAGE.name) if house.was_staged(USAGE.name) else nothing
    rolled = (
        house.staged(USAGE_ROLLUP.name)
        if house.was_staged(USAGE_ROLLUP.name)
        else house.spark.createDataFrame([], USAGE_ROLLUP.schema)
    )
    return {"files": landed, "usage": transforms.usage_account(usage, rolled, landed)}


def _arrivals(snapshot: Snapshot, mine: dict[str, Tenant], replay: str | None) -> list[LandingFile]:
    return files.arrivals(mine, _delivered(snapshot), replay)


def _delivered(snapshot: Snapshot) -> list[Delivered]:
    """The files of complete publications, read from Delta without Spark."""
    told = [field.name for field in fields(Delivered)]
    return [Delivered(**{name: row[name] for name in told}) for row in rows_told(LANDED_FILES, snapshot, told)]


def _account_of(file: LandingFile, counted: dict[str, object], publication_id: str) -> tuple[object, ...]:
    """A row of raw.landed_files."""
    landed = file.status == LANDED
    values = {
        "tenant_id": file.tenant_id, "landing_id": file.landing_id, "feed": file.feed, "file_name": file.path.name,
        "content_sha256": file.content_sha256, "mapping_version": file.mapping_version, "replaces_landing_id": file.replaces,
        "status": file.status, "reason": file.reason, "bytes": file.bytes, "publication_id": publication_id,
        "control_totals": counted.get("control_totals"),
    }  # fmt: skip
    for column in ("rows_read", "rows_accepted", "rows_quarantined", "rows_duplicate"):
        values[column] = counted.get(column, 0) if landed else 0
    return tuple(values[field.name] for field in LANDED_FILES.schema.fields)


def _months_left_behind(house: House, found: Iterable[LandingFile]) -> dict[str, set[tuple[str, str]]]:
    """By feed, the months a replayed file had rows in: they lose them, whether the replay brings new ones or not."""
    left: dict[str, set[tuple[str, str]]] = {}
    for feed in (feed for feed in FEEDS.values() if feed.month_of):
        if replaced := [file.replaces for file in found if file.replaces and file.feed == feed.name]:
            rows = house.read_all_months(feed.table.name).where(F.col("landing_id").isin(*replaced))
            months = rows.select("tenant_id", "period").distinct().collect()
            left[feed.name] = {(row["tenant_id"], str(row["period"])[:7]) for row in months}
    return left


def _found_units(
    snapshot: Snapshot, staged: dict[str, str], found: Iterable[LandingFile], left_behind: dict[str, set[tuple[str, str]]]
) -> list[Planned]:
    """The months, and the tables without months, that landed files have added to."""
    planned = []
    for feed in FEEDS.values():
        if feed.table.name not in staged:
            continue
        touched = set(left_behind.get(feed.name, ()))
        for file in delta_log.staged_files(staged[feed.table.name]):
            touched.add((file.unit["tenant_id"], file.unit["period"][:7] if "period" in file.unit else "all"))
        for tenant, month in sorted(touched):
            unit = Unit(INGESTION.name, tenant, month, feed.name)
            landings = sorted(file.landing_id for file in found if (file.tenant_id, file.feed) == (tenant, feed.name))
            before = snapshot.fingerprint(unit) or ""
            planned.append(Planned(unit, inputs={"before": before, "landings": ",".join(landings)}, fenced=False))
    return planned

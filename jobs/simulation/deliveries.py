"""One tenant's month in the outbox: its files, and the truth about them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from jobs.simulation.accounts import account_delivery, accounts_of
from jobs.simulation.chance import generator
from jobs.simulation.formats import SUMMED, Feed, file_bytes
from jobs.simulation.kinds import DRAWN_AS, DUPLICATES, QUARANTINED, Kind
from jobs.simulation.months import Month
from jobs.simulation.payables import payables_delivery
from jobs.simulation.taxpayers import certificate_rows, rate_rows, registration_rows, taxes_of
from jobs.simulation.tenants import BROKEN, SimTenant
from jobs.simulation.truth import FeedTruth, FileTruth, MonthTruth, bill_of, plain
from jobs.simulation.usage import UsageDelivery, usage_delivery
from jobs.simulation.vendors import vendor_rows

WITHOUT_A_NUMBER = (Kind.WRONG_QUANTITY, Kind.TOO_FEW_FIELDS)
NOISE_BYTES = 4_096
TAX_FILES = {"exemptions": "certificates", "tax_registrations": "registrations", "tax_rates": "rates"}


def deliver(
    tenant: SimTenant,
    seed: int,
    months: tuple[Month, ...],
    prices: pa.Table,
    folder: Path,
    connection: duckdb.DuckDBPyConnection,
) -> MonthTruth:
    """Write what the last of these months delivers; returns what is in it and what its bill has to be.

    Rows that come a month too late are not known yet: late_rows is 0.
    """
    everybody, before = (accounts_of(tenant, seed, known) for known in (months, months[:-1]))
    usage = usage_delivery(tenant, seed, months, everybody, before)
    bill = bill_of(usage.in_effect, prices, connection)
    payables = payables_delivery(tenant, seed, months)
    return MonthTruth(
        delivered={
            "accounts": _accounts(tenant, seed, months, folder),
            "prices": _prices(tenant, months, prices, folder),
            "usage": _usage(tenant, seed, months, usage, folder),
            "vendors": _good(tenant, "vendors", months[-1], vendor_rows(tenant, seed, months), folder),
            "purchase_orders": _good(tenant, "purchase_orders", months[-1], payables.orders, folder),
            "payables": _good(tenant, "payables", months[-1], payables.payables, folder),
            **_tax_feeds(tenant, seed, months, folder),
        },
        bill=bill,
        adjusted=bill_of(usage.late, prices, connection),
        usage_rows=sum(part.usage_rows for part in bill.values()),
        charges=sum(part.charges for part in bill.values()),
        late_rows=0,
        payables=payables.truth,
        taxes=taxes_of(tenant, seed, months),
    )


def _accounts(tenant: SimTenant, seed: int, months: tuple[Month, ...], folder: Path) -> FeedTruth:
    delivery = account_delivery(tenant, seed, months)
    files = write_files(tenant, "accounts", months[-1], (delivery.rows,), folder)
    refused = delivery.kinds["missing_country"]
    return _feed_truth(files, delivery.kinds, quarantined=refused)


def _prices(tenant: SimTenant, months: tuple[Month, ...], prices: pa.Table, folder: Path) -> FeedTruth:
    """The price rows this month brings; a month without new prices delivers no file."""
    rows = prices.filter(pc.equal(prices["delivered"], len(months) - 1))
    files = write_files(tenant, "prices", months[-1], (rows,) if len(rows) else (), folder)
    return _feed_truth(files, {"new": len(rows)})


def _good(tenant: SimTenant, feed: Feed, month: Month, rows: pa.Table, folder: Path) -> FeedTruth:
    """A feed of one file in which every row is landed."""
    return _feed_truth(write_files(tenant, feed, month, (rows,), folder), {"new": len(rows)})


def _tax_feeds(tenant: SimTenant, seed: int, months: tuple[Month, ...], folder: Path) -> dict[str, FeedTruth]:
    """What registries, authorities and excused customers say; a month without news delivers no file."""
    told: dict[Feed, pa.Table] = {
        "exemptions": certificate_rows(tenant, seed, months),
        "tax_registrations": registration_rows(tenant, seed, months),
        "tax_rates": rate_rows(months),
    }
    return {
        feed: _feed_truth(
            write_files(tenant, feed, months[-1], (rows,) if len(rows) else (), folder, TAX_FILES[feed]), {"new": len(rows)}
        )
        for feed, rows in told.items()
        if feed in tenant.dialect.headers
    }


def _usage(tenant: SimTenant, seed: int, months: tuple[Month, ...], usage: UsageDelivery, folder: Path) -> FeedTruth:
    files = write_files(tenant, "usage", months[-1], usage.files, folder)
    broken = tenant.index == BROKEN and len(months) == 1
    return _feed_truth(
        files,
        usage.kinds,
        quarantined=sum(usage.kinds[kind.label] for kind in QUARANTINED),
        duplicates=sum(usage.kinds[kind.label] for kind in DUPLICATES),
        late=usage.kinds[Kind.LATE.label],
        unreadable=_write_broken(tenant, seed, months[-1], folder / "usage") if broken else {},
    )


def _feed_truth(
    files: dict[str, FileTruth],
    kinds: dict[str, int],
    quarantined: int = 0,
    duplicates: int = 0,
    late: int = 0,
    unreadable: dict[str, str] | None = None,
) -> FeedTruth:
    rows = sum(kinds.values())
    return FeedTruth(files, unreadable or {}, rows, rows - quarantined - duplicates, quarantined, duplicates, late, kinds)


def write_files(
    tenant: SimTenant, feed: Feed, month: Month, parts: tuple[pa.Table, ...], folder: Path, name: str | None = None
) -> dict[str, FileTruth]:
    """Write the parts as files whose names sort in their order. name: what they are called, where not as their feed."""
    told = {}
    for number, rows in enumerate(parts, start=1):
        path = folder / feed / f"{name or feed}_{month.name}_{number:02d}{tenant.dialect.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file_bytes(rows, feed, tenant.dialect, tenant.timezone))
        told[path.name] = FileTruth(len(rows), _control_totals(rows, feed, tenant) if feed in SUMMED else {})
    return told


def _control_totals(rows: pa.Table, feed: Feed, tenant: SimTenant) -> dict[str, str]:
    """The exact sum of a feed's column as the file has it."""
    if DRAWN_AS in rows.column_names:
        rows = rows.filter(pc.invert(pc.is_in(rows[DRAWN_AS], pa.array([int(kind) for kind in WITHOUT_A_NUMBER]))))
    total = pc.sum(rows[SUMMED[feed]]).as_py() or Decimal(0)
    return {tenant.dialect.headers[feed][SUMMED[feed]]: plain(total)}


def _write_broken(tenant: SimTenant, seed: int, month: Month, folder: Path) -> dict[str, str]:
    """Write a file of noise and one of nothing between the good ones."""
    noise, nothing = (f"usage_{month.name}_{name}{tenant.dialect.suffix}" for name in ("00_noise", "01_nothing"))
    (folder / noise).write_bytes(b"\xff\x00" + generator(seed, tenant.name, "noise").bytes(NOISE_BYTES))
    (folder / nothing).write_bytes(b"")
    return {noise: "binary", nothing: "empty"}

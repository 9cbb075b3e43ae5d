"""One month of simulated usage: new rows, the wrong ones among them in known numbers, and the order in which they arrive."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.simulation.accounts import Accounts
from jobs.simulation.chance import generator
from jobs.simulation.formats import decimals
from jobs.simulation.kinds import BAD, DRAWN_AS, Kind
from jobs.simulation.months import Month, local_seconds
from jobs.simulation.prices import ON_RECORD, REGIONS, Product, products_of
from jobs.simulation.tenants import SimTenant

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ONE_IN = {  # new rows to one row of the kind
    Kind.DUPLICATE_WITHIN_FILE: 2_000,
    Kind.DUPLICATE_ACROSS_FILES: 2_000,
    Kind.CONFLICT: 4_000,
    Kind.REVISED: 500,
    Kind.WITHDRAWN: 1_000,
    Kind.LATE: 400,
    Kind.MISSING_ACCOUNT: 5_000,
    Kind.WRONG_QUANTITY: 5_000,
    Kind.WRONG_START: 5_000,
    Kind.TOO_FEW_FIELDS: 5_000,
}
FOLLOWING = (Kind.DUPLICATE_WITHIN_FILE, Kind.DUPLICATE_ACROSS_FILES, Kind.CONFLICT, Kind.REVISED, Kind.WITHDRAWN)
PRODUCTS_PER_ACCOUNT = 6
TEAMS = ("blue", "green", 'the "old" one', "data; ops")
DAY, HOUR = 86_400, 3_600
MILLION = 1_000_000


@dataclass(frozen=True)
class Draft:
    """Rows before they get their names: parallel columns of numbers."""

    record: Ints  # number within the delivery
    kind: Ints
    account: Ints
    product: Ints
    region: Ints  # -1 where the row names none
    start: Ints
    quantity: Ints  # millionths
    price: Ints  # millionths; -1 where a price list has it
    revision: Ints
    arrival: Floats  # file number, and the place within the file as its fraction

    def take(self, rows: Ints) -> Draft:
        """These rows, in this order."""
        return Draft(**{name: column[rows] for name, column in vars(self).items()})

    def having(self, **columns: Ints | Floats) -> Draft:
        """The same rows with other values in some columns."""
        return Draft(**{**vars(self), **columns})

    def __len__(self) -> int:
        """How many rows."""
        return len(self.record)


@dataclass(frozen=True)
class UsageDelivery:
    """One month's usage files, what is in them, and the rows that are to be billed: for the month, and for the one before, late."""

    files: tuple[pa.Table, ...]
    kinds: dict[str, int]
    in_effect: pa.Table
    late: pa.Table


def usage_delivery(
    tenant: SimTenant, seed: int, months: tuple[Month, ...], accounts: Accounts, earlier: Accounts
) -> UsageDelivery:
    """What the last of these months delivers; `earlier` are the accounts of the month before, whose late rows come along."""
    drafts = _Drafts(tenant, seed, months[-1], products_of(tenant, seed), accounts)
    new = drafts.rows(accounts, months[-1], tenant.usage_rows, Kind.NEW)
    following = _following(drafts, new)
    wrong = [drafts.rows(accounts, months[-1], drafts.number_of(kind), kind) for kind in BAD if drafts.can_have(kind)]
    late = [drafts.rows(earlier, months[-2], drafts.number_of(Kind.LATE), Kind.LATE)] if len(months) > 1 else []
    everything = _together([_numbered([new, *wrong, *late]), *following])
    arrived = everything.take(np.argsort(everything.arrival, kind="stable"))
    table, file = drafts.table(arrived), np.floor(arrived.arrival).astype(np.int64)
    bounds = np.searchsorted(file, np.arange(tenant.usage_files + 1))
    counted = Counter(arrived.kind.tolist())
    return UsageDelivery(
        files=tuple(table.slice(begin, end - begin) for begin, end in pairwise(bounds)),
        kinds={kind.label: counted[kind] for kind in Kind},
        in_effect=drafts.billable(everything, (Kind.NEW, Kind.REVISED)),
        late=drafts.billable(everything, (Kind.LATE,)),
    )


class _Drafts:
    """Draws the rows of one tenant's month."""

    def __init__(
        self, tenant: SimTenant, seed: int, month: Month, products: tuple[Product, ...], accounts: Accounts
    ) -> None:
        self.tenant, self.month, self.products, self.accounts = tenant, month, products, accounts
        self.chance = generator(seed, tenant.name, month.name, "usage")
        self.regions = REGIONS[tenant.line]
        self.currencies = tuple(sorted(set(accounts.currencies)))
        codes = {currency: number for number, currency in enumerate(self.currencies)}
        self.currency_of = np.array([codes[currency] for currency in accounts.currencies], dtype=np.int64)
        self.on_record = np.array([product.model == ON_RECORD for product in products])
        self.counted = np.array([product.counted for product in products])
        self.levels = np.array([[product.level_in(currency) for currency in self.currencies] for product in products])

    def number_of(self, kind: Kind) -> int:
        """How many rows of a kind a month has."""
        return max(2, self.tenant.usage_rows // ONE_IN[kind])

    def can_have(self, kind: Kind) -> bool:
        """Whether the tenant's format can be wrong in this way."""
        return kind != Kind.TOO_FEW_FIELDS or self.tenant.dialect.format == "csv"

    def rows(self, accounts: Accounts, used: Month, count: int, kind: Kind) -> Draft:
        """So many rows of one kind by these accounts, used in a month, arriving anywhere in the delivery."""
        account = self.lower_of_two(len(accounts.ids), count)
        product = (account * 5 + self.lower_of_two(PRODUCTS_PER_ACCOUNT, count)) % len(self.products)
        return Draft(
            record=np.zeros(count, dtype=np.int64),
            kind=np.full(count, int(kind)),
            account=account,
            product=product,
            region=self.region(account),
            start=self.start(used, count),
            quantity=self.quantity(product),
            price=self.price(product, account),
            revision=np.ones(count, dtype=np.int64),
            arrival=self.chance.random(count) * self.tenant.usage_files,
        )

    def lower_of_two(self, below: int, count: int) -> Ints:
        """Numbers of which the small ones are the likelier: a few accounts and products make most of the usage."""
        drawn: Ints = self.chance.integers(0, below, (2, count)).min(axis=0)
        return drawn

    def region(self, account: Ints) -> Ints:
        """Mostly the account's own region, sometimes another, sometimes none."""
        if not self.regions:
            return np.full(len(account), -1)
        draw = self.chance.integers(0, 100, len(account))
        return np.where(draw < 3, -1, (account + (draw < 8)) % len(self.regions))

    def start(self, used: Month, count: int) -> Ints:
        """Instants of a month on the dialect's clock; the month's first and last one are always among them."""
        begin, end = used.span(self.tenant.timezone)
        step = self.tenant.dialect.seconds
        instants: Ints = self.chance.integers(begin // step, end // step, count) * step
        instants[:2] = (begin, end - step)
        return instants

    def quantity(self, product: Ints) -> Ints:
        """Whole numbers of counted products, up to six decimals of others; one in a hundred priced on record is a credit."""
        count = len(product)
        coarse = np.array([1, 100, 10_000])[self.chance.integers(0, 3, count)]
        measured = self.chance.integers(1, 1_000 * MILLION, count) // coarse * coarse + coarse
        whole = self.chance.integers(1, 500, count) * MILLION
        credit = self.on_record[product] & (self.chance.integers(0, 100, count) == 0)
        return np.where(self.counted[product], whole, measured) * np.where(credit, -1, 1)

    def price(self, product: Ints, account: Ints) -> Ints:
        """The price on the record, within ten percent of the product's level; -1 where a price list has it."""
        level = self.levels[product, self.currency_of[account]]
        drawn = np.maximum(level * self.chance.integers(90, 111, len(product)) // 100, 1)
        return np.where(self.on_record[product], drawn, -1)

    def table(self, draft: Draft) -> pa.Table:
        """The rows under their canonical names, all values as they would be if no row were wrong, and their kind."""
        prefix = self.month.name.replace("-", "")
        numbers = pc.utf8_lpad(pa.array(draft.record).cast(pa.string()), 8, "0")
        days = [local_seconds(seconds, self.tenant.timezone) // DAY for seconds in (draft.start, draft.start + HOUR - 1)]
        start = pa.array(draft.start)
        end = np.where(
            days[0] == days[1], draft.start + HOUR, draft.start
        )  # in a day: the truth bills a record by its start
        return pa.table(
            {
                "record_id": pc.binary_join_element_wise(prefix, numbers, "-"),
                "account_id": pa.array(self.accounts.ids).take(pa.array(draft.account)),
                "product_id": pa.array([product.product_id for product in self.products]).take(pa.array(draft.product)),
                "usage_start": start.cast(pa.timestamp("s")),
                "usage_end": pa.array(end).cast(pa.timestamp("s")),
                "quantity": decimals(draft.quantity),
                "unit": pa.array([product.unit for product in self.products]).take(pa.array(draft.product)),
                "region": _named(self.regions, draft.region),
                "unit_price": decimals(draft.price, missing=draft.price < 0),
                "currency": _named(self.currencies, np.where(draft.price < 0, -1, self.currency_of[draft.account])),
                "tags": pa.array([json.dumps({"team": team}) for team in TEAMS]).take(pa.array(draft.account % len(TEAMS))),
                "revision": pa.array(draft.revision.astype(np.int32)),
                "withdrawn": pa.array(draft.kind == Kind.WITHDRAWN),
                DRAWN_AS: pa.array(draft.kind),
            }
        )

    def billable(self, everything: Draft, kinds: tuple[Kind, ...]) -> pa.Table:
        """The rows of some kinds that a bill is made of, with the account's currency and the day in the billing zone.

        A record that was replaced or taken back counts no more; its revision counts in its place.
        """
        replacing = np.isin(everything.kind, (Kind.REVISED, Kind.WITHDRAWN))
        replaced = np.isin(everything.record, everything.record[replacing])
        counts = np.isin(everything.kind, kinds) & ((everything.kind != Kind.NEW) | ~replaced)
        draft = everything.take(np.flatnonzero(counts))
        days = local_seconds(draft.start, self.tenant.timezone) // DAY
        named = self.table(draft).select(["account_id", "product_id", "region", "unit", "quantity", "unit_price"])
        currency = _named(self.currencies, self.currency_of[draft.account])
        day = pa.array(days.astype(np.int32)).cast(pa.date32())
        return named.append_column("currency", currency).append_column("day", day)


def _following(drafts: _Drafts, new: Draft) -> list[Draft]:
    """The rows that follow a new one: its copies, contradictions and revisions, each new row having one at most."""
    numbered, numbers = new.having(record=np.arange(len(new))), [drafts.number_of(kind) for kind in FOLLOWING]
    chosen = drafts.chance.choice(len(new), sum(numbers), replace=False)
    groups = np.split(chosen, np.cumsum(numbers)[:-1])
    return [_follow(drafts, numbered.take(group), kind) for kind, group in zip(FOLLOWING, groups, strict=True)]


def _follow(drafts: _Drafts, originals: Draft, kind: Kind) -> Draft:
    """One row for each original. A copy may come before it; others come after, since of two the first is the good one."""
    files, count = drafts.tenant.usage_files, len(originals)
    draw, arrival = drafts.chance.random(count), originals.arrival
    rows = originals.having(kind=np.full(count, int(kind)))
    if kind == Kind.DUPLICATE_WITHIN_FILE:
        return rows.having(arrival=np.floor(arrival) + draw)
    if kind == Kind.DUPLICATE_ACROSS_FILES:
        return rows.having(arrival=(arrival + drafts.chance.integers(1, files, count)) % files)
    after = np.minimum(arrival + (files - arrival) * draw, np.nextafter(files, 0))
    if kind == Kind.WITHDRAWN:
        return rows.having(arrival=after, revision=originals.revision + 1)
    other = originals.quantity + drafts.chance.integers(1, 20, count) * MILLION
    revision = originals.revision + (1 if kind == Kind.REVISED else 0)
    return rows.having(arrival=after, quantity=np.where(other == 0, MILLION, other), revision=revision)


def _numbered(drafts: list[Draft]) -> Draft:
    """Rows that are records of their own, with their numbers."""
    rows = _together(drafts)
    return rows.having(record=np.arange(len(rows)))


def _together(drafts: list[Draft]) -> Draft:
    return Draft(**{name: np.concatenate([vars(draft)[name] for draft in drafts]) for name in vars(drafts[0])})


def _named(names: tuple[str, ...], numbers: Ints) -> pa.Array:
    """The names at these numbers, none at -1."""
    return pa.array(names, pa.string()).take(pa.array(numbers, mask=numbers < 0))

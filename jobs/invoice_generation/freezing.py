"""The moment from which a month's documents must be issued: before their numbers, by one commit that nobody can overlook.

What they are made of changes no more from there on: the month's charges are frozen, usage of it waits for an open month, and money on
account that they deduct is taken. Who was about to change any of it comes too late, and looks again.
Source: law 7; docs/decisions/0006-numbering.md, docs/decisions/0017-prepayments.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobs.invoice_generation import prepaying
from jobs.runtime import delta_log, faults, ops
from jobs.runtime.config import digest
from jobs.runtime.errors import OutOfTurn, RunBroke
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Publication, TableVersion, Unit
from jobs.stages import BILLING_AGGREGATION, INGESTION, INVOICE_GENERATION, MONTH_FROZEN


def used_since(snapshot: Snapshot, charges: Publication) -> bool:
    """Whether usage was published for a month and its tenant since these charges were made of it."""
    usage = Unit(INGESTION.name, charges.unit.tenant_id, charges.unit.period, "usage")
    return charges.inputs.get("raw.usage") != snapshot.fingerprint(usage)


def freeze(house: House, place: str | None, passing: Sequence[str], note: Mapping[str, object]) -> None:
    """Freeze the month of the tenants that pass, once and for good; a run that was killed afterwards finds it done and goes on.

    place: where what their documents take of money on account is staged, if they take any. Raises OutOfTurn where charges or usage were
    published since the documents were made, cash matching has applied some of the money, or another run has frozen the month.
    """
    month, own_id = house.run.month, ops.part_id(house.run.publication_id, MONTH_FROZEN)
    holders = [unit for unit in house.run.units if unit.tenant_id in passing]
    frozen = {unit.tenant_id: Unit(INVOICE_GENERATION.name, unit.tenant_id, month.key, MONTH_FROZEN) for unit in holders}
    charged = {unit.tenant_id: Unit(BILLING_AGGREGATION.name, unit.tenant_id, month.key) for unit in holders}
    landing = [ops.turn_of(Unit(INGESTION.name, unit.tenant_id, "all", "files")) for unit in holders]
    money = prepaying.money(house, place, passing)
    told = dict(note) | {"publication_id": own_id}
    for _ in range(delta_log.RETRIES):
        # Read before the snapshot: what is published after it has moved one of them.
        standing = ops.fences([*charged.values(), *landing, *(money.turns if money else ())])
        now = house.looking_again()
        by = {found.publication_id: found for unit in frozen.values() if (found := now.snapshot.latest.get(unit))}
        if own_id in by:
            return
        ops.refuse_superseded(holders, house.run.attempt)
        for other in by.values():
            raise OutOfTurn(
                f"invoice_generation {month}: {other.run_id} has begun to issue this month of tenant {other.unit.tenant_id} and was cut short. "
                f"Nothing was issued here; that run is finished first. Run this again."
            )
        for unit in holders:
            _refuse_stale(now, unit, now.snapshot.latest[charged[unit.tenant_id]])
        taken = prepaying.staged_for(now, money, note) if money else {}
        done = [_part(house, unit, own_id, note) for unit in frozen.values()]
        done += [_part(house, unit, prepaying.own_id(house), note, version) for unit, version in taken.items()]
        if ops.take(done, told, holders, standing):
            faults.reach("publish:frozen")
            return
    raise RunBroke(f"{house.run.run_id}: other runs kept going first. Nothing was issued; run this again.")


def _refuse_stale(now: House, unit: Unit, charges: Publication) -> None:
    is_same = now.run.inputs[unit]["billing.charges"] == charges.fingerprint
    if is_same and not used_since(now.snapshot, charges):
        return
    raise OutOfTurn(
        f"invoice_generation {unit.period}: {'usage' if is_same else 'charges'} of tenant {unit.tenant_id} came since the documents were made. "
        f"Nothing was issued. Clear the write of this stage, or run it again."
    )


def _part(house: House, unit: Unit, own_id: str, note: Mapping[str, object], *tables: TableVersion) -> Publication:
    return Publication(
        unit=unit,
        run_id=house.run.run_id,
        attempt=house.run.attempt,
        publication_id=own_id,
        fingerprint=digest(unit.id, own_id),
        inputs={},
        tables=tables,
        configuration_hash=str(note["configuration_hash"]),
        code_version=str(note["code_version"]),
        actor=str(note["actor"]),
        dag_run_id=str(note["dag_run_id"]),
        fenced=False,
    )

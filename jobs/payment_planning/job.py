"""Accepted payables to payment batches, each with one bank file. What is instructed stays instructed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from jobs.ledger.periods import Period
from jobs.ledger.tenants import Tenant, chosen, tenants
from jobs.payment_planning import files, transforms
from jobs.payment_planning.settings import Policy, settings
from jobs.payment_planning.tables import PAYMENT_BATCHES, PAYMENT_INSTRUCTIONS
from jobs.runtime import faults, storage
from jobs.runtime.contract import Invocation, Planned, Written
from jobs.runtime.environment import documents
from jobs.runtime.errors import OutOfTurn, RunBroke, UpstreamMissing
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Unit
from jobs.stages import INGESTION, PAYABLE_VALIDATION, PAYMENT_PLANNING

WHAT_TO_DO = "Mend the vendor, the bank account of the legal entity or the policy that is named"
FILES = "documents"  # the place of the staged bank files, among the places of the staged tables
OUTCOMES = "outcomes"  # the place where a run writes down what becomes of every accepted payable


def plan(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """One unit per tenant whose invoices were decided on by the end of the period."""
    policies = settings()
    planned = []
    for name, tenant in chosen(invocation.tenants).items():
        decided = {
            unit.id: publication.fingerprint
            for unit, publication in snapshot.latest.items()
            if unit.stage == PAYABLE_VALIDATION.name and unit.tenant_id == name and unit.period <= period.key
        }
        if not decided:
            if invocation.tenants:
                raise UpstreamMissing(
                    f"payment_planning {period}: no decisions on vendor invoices of tenant {name} were published by then. Nothing "
                    f"was planned. Run payable_validation first."
                )
            continue
        vendors = snapshot.fingerprint(Unit(INGESTION.name, name, "all", "vendors")) or ""
        configuration = {
            "policy": policies.of(name, period.first_day).resolved(),
            "legal_entities": ";".join(entity.resolved() for entity in tenant.legal_entities),
        }
        unit = Unit(PAYMENT_PLANNING.name, name, period.key)
        later = snapshot.overtaken(unit)
        frozen = f"planned up to {later} already, with everything accepted before" if later else None
        planned.append(Planned(unit, decided | {"raw.vendors": vendors}, configuration, frozen=frozen))
    if not planned:
        raise UpstreamMissing(
            f"payment_planning {period}: no tenant has decisions on vendor invoices published by then. Nothing was planned. "
            f"Run payable_validation first."
        )
    return planned


def write(house: House) -> Written:
    """Write down what becomes of every payable, then the bank files, where the run stages; then stage instructions and batches."""
    day, root = house.run.month.first_day, house.beside(FILES)
    created = _moment(house) + timedelta(microseconds=1)
    owners, policies = _owners(house)
    paying = transforms.payers(house.spark, owners.values(), policies, _moment(house))
    vendors = transforms.current_vendors(house.standing("raw.vendors"), house.run.month.last_day)
    plan = transforms.planned(
        _accepted(house),
        house.read_all_months(PAYMENT_INSTRUCTIONS.name),
        vendors,
        paying,
        transforms.business_days(house.spark, owners.values(), policies, _moment(house)),
        transforms.methods(house.spark, policies),
    )
    outcomes = house.keep(plan.select(*transforms.OUTCOME), OUTCOMES)
    paid = transforms.lines(outcomes, vendors, paying, created)
    instructions = house.stage(transforms.instructions(paid, day), PAYMENT_INSTRUCTIONS.name)
    written = files.write(paid, root, created)
    batches = transforms.batches(house.staged(PAYMENT_INSTRUCTIONS.name), outcomes, written, day)
    return Written(
        {
            PAYMENT_INSTRUCTIONS.name: instructions,
            PAYMENT_BATCHES.name: house.stage(batches, PAYMENT_BATCHES.name),
            FILES: root,
        }
    )


def audit(house: House) -> dict[str, DataFrame]:
    """batches: every batch beside its instructions and its file. instructions: every accepted payable and what became of it."""
    batches, instructed = house.staged(PAYMENT_BATCHES.name), house.staged(PAYMENT_INSTRUCTIONS.name)
    told = files.read_back(batches, house.beside(FILES))
    owners, policies = _owners(house)
    paying = transforms.payers(house.spark, owners.values(), policies, _moment(house))
    days = transforms.business_days(house.spark, owners.values(), policies, _moment(house))
    published = house.read_all_months(PAYMENT_BATCHES.name)
    outcomes = house.kept(OUTCOMES)
    return {
        "batches": transforms.batches_account(batches, instructed, told, published, paying, days),
        "instructions": transforms.payables_account(
            _accepted(house), outcomes, house.read_all_months(PAYMENT_INSTRUCTIONS.name), instructed
        ),
    }


def before_publish(
    house: House, staged: Mapping[str, str], passing: Sequence[str], note: Mapping[str, object]
) -> dict[str, str]:
    """Look once more whether everything may still be paid, then let the files of the tenants that passed stand in documents/."""
    mine = F.col("tenant_id").isin(*passing)
    batches = house.read_staged(PAYMENT_BATCHES.name, staged[PAYMENT_BATCHES.name]).where(mine)
    waiting = batches.select(
        "tenant_id", "batch_id", "file_name", "content_sha256", "method", "value_date"
    ).toLocalIterator()
    # What is to be paid at once goes out first.
    ordered = sorted(
        waiting, key=lambda row: (row["method"] != "immediate", row["value_date"], row["tenant_id"], row["batch_id"])
    )
    if not _stand(ordered):  # a run that was cut short after this point has looked, and its files may be on their way
        _look_again(house, house.read_staged(PAYMENT_INSTRUCTIONS.name, staged[PAYMENT_INSTRUCTIONS.name]).where(mine))
    for row in ordered:
        _place(row["tenant_id"], row["file_name"], row["content_sha256"], staged[FILES])
        faults.reach("publish:file")
    faults.reach("publish:files")
    return {}


def _look_again(house: House, staged: DataFrame) -> None:
    """Refuse what was decided otherwise, or instructed by another run, since this run was written."""
    latest = transforms.latest(house.read_all_months("payables.decisions"), _order(house))
    still = latest.where(F.col("decision") == "accept")
    no_longer = staged.join(still, on=["tenant_id", "payable_id"], how="left_anti")
    others = house.read_all_months(PAYMENT_INSTRUCTIONS.name).where(F.col("publication_id") != house.run.publication_id)
    twice = staged.join(others, on=["tenant_id", "payable_id"], how="left_semi")
    for rows, what in ((no_longer, "are no longer accepted"), (twice, "were instructed by another run")):
        count, example = rows.agg(F.count(F.lit(1)), F.min("payable_id")).collect()[0]
        if count:
            raise OutOfTurn(
                f"payment_planning {house.run.period}: {count} payables {what} since this run was written, e.g. {example[:16]}. No "
                f"bank file was handed out. Clear the write of this stage, or run it again."
            )


def _stand(batches: Sequence[Row]) -> bool:
    """Whether the files of all these batches stand in documents/ already; no batches, no files."""
    return bool(batches) and all(
        storage.exists(files.below(documents(), row["tenant_id"], row["file_name"])) for row in batches
    )


def _place(tenant_id: str, name: str, content_sha256: str, root: str) -> None:
    """Let a staged file stand in documents/ too. One that stands there is left as it is, and must be the same."""
    target = files.below(documents(), tenant_id, name)
    storage.place_once(files.below(root, tenant_id, name), target)
    if hashlib.sha256(storage.read_bytes(target)).hexdigest() != content_sha256:
        raise RunBroke(
            f"payment_planning: the file {name[:16]}... of tenant {tenant_id} stands in documents/ with another content than was judged. "
            f"It was not overwritten and nothing was published. Find out who changed it; move it away and run this again."
        )


def _accepted(house: House) -> DataFrame:
    """The payables that were accepted by the run's period, and whether they still are."""
    decisions, order = house.read_all_months("payables.decisions"), _order(house)
    by_then = transforms.latest(decisions.where(F.substring("decided_at", 1, 13) <= house.run.month.key), order)
    now = transforms.latest(decisions, order).select(
        "tenant_id", "payable_id", (F.col("decision") == "accept").alias("still_accepted")
    )
    return by_then.where(F.col("decision") == "accept").join(now, on=["tenant_id", "payable_id"], how="left")


def _order(house: House) -> DataFrame:
    """The publications of decisions, oldest first: publication_id, place."""
    ids = [
        publication.publication_id
        for publication in house.snapshot.publications
        if publication.unit.stage == PAYABLE_VALIDATION.name and publication.unit.tenant_id in house.run.tenants
    ]
    rows = [(publication_id, place) for place, publication_id in enumerate(dict.fromkeys(ids))]
    return house.spark.createDataFrame(rows, "publication_id string, place int")


def _owners(house: House) -> tuple[dict[str, Tenant], dict[str, Policy]]:
    owners = {name: tenant for name, tenant in tenants().items() if name in house.run.tenants}
    told = settings()
    return owners, {name: told.of(name, house.run.month.first_day) for name in owners}


def _moment(house: House) -> datetime:
    """The last instant of the run's period; hours are those of UTC."""
    return (house.run.month.ends - timedelta(microseconds=1)).replace(tzinfo=UTC)

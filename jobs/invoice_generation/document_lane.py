"""Issued documents to files: the lane `documents` of invoice_generation, which is run after what is issued stands.

It renders what has no files yet and leaves alone what has; what it cannot render holds nothing but itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.invoice_generation import documents, labels
from jobs.invoice_generation.exact_checks import Rounding
from jobs.invoice_generation.settings import settings
from jobs.invoice_generation.tables import DOCUMENTS
from jobs.ledger.facts import current_accounts
from jobs.ledger.periods import Period
from jobs.ledger.taxes import taxes
from jobs.ledger.tenants import Tenant, chosen, tenants
from jobs.runtime import environment, faults
from jobs.runtime.config import digest
from jobs.runtime.contract import Invocation, Planned, Written
from jobs.runtime.errors import CallError, RunBroke, UpstreamMissing
from jobs.runtime.house import House, Snapshot, visible, visible_rows
from jobs.runtime.ops import Unit
from jobs.runtime.spark_server import jar_folder
from jobs.stages import INGESTION, INVOICE_GENERATION

LANE = "documents"
FILES = "documents"  # the place of the staged files, among the places of the staged tables
SHARE = "validated_share"  # the parameter by which a run asks for more, or less, to be validated


def plan(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """One unit per tenant with documents issued for the month; frozen when all of them were rendered."""
    policy = settings()
    share = validated_share(invocation.parameters)
    read = {country: found.resolved() for country, found in labels.by_country(policy.documents.default_language).items()}
    planned = []
    for name, tenant in chosen(invocation.tenants).items():
        issued = {
            unit.id: publication.fingerprint
            for unit, publication in snapshot.latest.items()
            if unit.stage == INVOICE_GENERATION.name
            and unit.tenant_id == name
            and unit.period == period.key
            and unit.lane == "main"
        }
        if not issued:
            if invocation.tenants:
                raise UpstreamMissing(
                    f"invoice_generation {period}, documents: nothing of tenant {name} was issued for this month. Nothing was "
                    f"rendered. Run invoice_generation of {period} first."
                )
            continue
        unit = Unit(INVOICE_GENERATION.name, name, period.key, LANE)
        made = snapshot.latest.get(unit)
        if made and all(made.inputs.get(one) == fingerprint for one, fingerprint in issued.items()):
            planned.append(Planned(unit, {}, frozen=f"rendered by {made.run_id}; what stands is never rendered again"))
            continue
        accounts = snapshot.fingerprint(Unit(INGESTION.name, name, "all", "accounts")) or ""
        configuration = {
            "documents": policy.documents.resolved(),
            "rounding": policy.rounding.resolved(),
            "legal_entities": ";".join(entity.resolved() for entity in tenant.legal_entities),
            "labels": digest(*(f"{country}{words}" for country, words in sorted(read.items()))),
        }
        planned.append(Planned(unit, issued | {"raw.accounts": accounts}, configuration, {SHARE: str(share)}))
    if not planned:
        raise UpstreamMissing(
            f"invoice_generation {period}, documents: no tenant has documents issued for this month. Nothing was rendered. "
            f"Run invoice_generation of {period} first."
        )
    return planned


def validated_share(parameters: Mapping[str, str]) -> Decimal:
    """The share of documents whose UBL the official rules are run on: what the run asks for, else the policy's."""
    told = parameters.get(SHARE)
    if told is None:
        return settings().documents.validated_share
    try:
        share = Decimal(told)
    except InvalidOperation:
        share = Decimal(-1)
    if not 0 <= share <= 1:
        raise CallError(f"validated share '{told}' is not a number from 0 to 1, like 0.05. Nothing was started.")
    return share


def write(house: House) -> Written:
    """Stage the files of documents that have none yet, and the list of them."""
    root = house.beside(FILES)
    made = documents.make(_papers(house), root, making(house), _spread())
    return Written({DOCUMENTS.name: house.stage(made, DOCUMENTS.name), FILES: root})


def audit(house: House) -> dict[str, DataFrame]:
    """documents: every document and format that was to be made beside its file, read back from where it was staged."""
    listed = house.staged(DOCUMENTS.name)
    return {"documents": documents.account(_papers(house), listed, house.beside(FILES), making(house), _spread())}


def before_publish(house: House, staged: Mapping[str, str], passing: Sequence[str]) -> dict[str, str]:
    """Let the files of the tenants that passed stand in documents/. One that stands there with another content stops the run."""
    listed = house.read_staged(DOCUMENTS.name, staged[DOCUMENTS.name]).where(F.col("tenant_id").isin(*passing))
    placed = documents.place(listed, staged[FILES], environment.documents())
    differs = ~F.col("is_same")
    differing, example = placed.agg(F.count_if(differs), F.min(F.when(differs, F.col("file_path")))).collect()[0]
    if differing:
        raise RunBroke(
            f"invoice_generation {house.run.period}, documents: {differing} files stand in documents/ with another content than was "
            f"judged, e.g. {example}. They were not overwritten and nothing was published. Find out who changed them; move them away "
            f"and run this again."
        )
    faults.reach("publish:documents")
    return {}


@dataclass(frozen=True)
class Looked:
    """What looking at the standing files of a tenant's month has found."""

    tenant_id: str
    files: int
    changed: int  # are missing, or are not what is listed
    failed: int  # break an official rule
    example: str | None


def looked_at(spark: SparkSession, snapshot: Snapshot, period: Period, names: Sequence[str], share: Decimal) -> list[Looked]:
    """Look at the files of a month as they stand, on demand: of a share of documents the hashes, and the official rules."""
    rows = visible_rows(spark, DOCUMENTS, visible(DOCUMENTS, snapshot))
    mine = F.col("tenant_id").isin(*names) & (F.col("period") == F.lit(period.first_day)) & documents.sampled(share)
    found = documents.validated(rows.where(mine), environment.documents(), str(jar_folder()), _spread())
    broken, changed = F.size("failed_rules") > 0, ~F.col("is_same")
    told = F.concat_ws(" ", "invoice_id", "format", F.get("failed_rules", F.lit(0)))
    per_tenant = found.groupBy("tenant_id").agg(
        F.count(F.lit(1)), F.count_if(changed), F.count_if(broken), F.min(F.when(changed | broken, told))
    )
    return [Looked(*row) for row in sorted(per_tenant.collect())]


def making(house: House) -> documents.Making:
    """What the workers need beside the rows."""
    policy = settings().documents
    return documents.Making(
        sellers=documents.sellers(_tenants(house).values()),
        formats=policy.formats,
        units=policy.units,
        labels=labels.by_country(policy.default_language),
        validated_share=validated_share(house.run.parameters),
        jars=str(jar_folder()),
        rounding=_rounding(_tenants(house).values()),
    )


def _rounding(of: Iterable[Tenant]) -> dict[tuple[str, str], Rounding]:
    """How the tax of every legal entity's documents was rounded: as its jurisdiction says, else as the house does."""
    own, told = settings().rounding, taxes()
    found = {}
    for tenant in of:
        for entity in tenant.legal_entities:
            lawful = told.policy(entity.tax_policy).rounding
            where = (lawful.method, lawful.per) if lawful else (own.method, own.tax_level)
            found[tenant.tenant, entity.id] = Rounding(*where)
    return found


def _tenants(house: House) -> dict[str, Tenant]:
    return {name: tenant for name, tenant in tenants().items() if name in house.run.tenants}


def _papers(house: House) -> DataFrame:
    """The issued documents of the month that have no files yet, with all that is on them."""
    has_files = house.read(DOCUMENTS.name).select("tenant_id", "invoice_id").distinct()
    issued = house.read("invoicing.invoices").join(has_files, on=["tenant_id", "invoice_id"], how="left_anti")
    return documents.frame(
        issued,
        house.read("invoicing.invoice_lines"),
        house.read("invoicing.invoice_taxes"),
        current_accounts(house.standing("raw.accounts")),
        house.read_all_months("invoicing.invoices"),
    )


def _spread() -> int:
    return environment.environment().shuffle_partitions

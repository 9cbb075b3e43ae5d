"""make check-conf: everything in conf/ is read and validated as a run would read it."""

from __future__ import annotations

import importlib

from jobs.ledger.taxes import taxes
from jobs.ledger.tenants import tenants
from jobs.runtime.config import nearest
from jobs.runtime.errors import ConfigError
from jobs.stages import STAGES


def check() -> str:
    """Validate environments, tenants with their mappings, tax policies, stages and the words of documents; returns what was found."""
    from jobs.ingestion.feeds import FEEDS
    from jobs.ingestion.files import source_columns
    from jobs.invoice_generation import labels, numbering
    from jobs.invoice_generation.settings import settings
    from jobs.runtime.environment import environment

    environment()
    told, invoicing = taxes(), settings()
    known = tenants()
    if unknown := sorted(set(told.products) - set(known)):
        raise ConfigError(
            f"taxes/products/{unknown[0]}.yaml is of no tenant; {nearest(unknown[0], known)} Nothing was started."
        )
    for policy in invoicing.prepayments:
        for name in (one for one in policy.tenants if one not in known):
            raise ConfigError(
                f"invoice_generation.yaml: prepayments, {policy.rule} names tenant '{name}'; {nearest(name, known)} Nothing was started."
            )
    for name, tenant in known.items():
        for entity in tenant.legal_entities:
            told.policy(entity.tax_policy)
            numbering.fits(entity, invoicing)
        for feed, mapping in tenant.feeds.items():
            columns = {column.name for column in FEEDS[feed].columns}
            for column in mapping.columns:
                if column not in columns:
                    raise ConfigError(
                        f"tenants/{name}.yaml: feeds.{feed}.columns has '{column}'; {nearest(column, columns)} Nothing was started."
                    )
            source_columns(mapping)
            optional = {*FEEDS[feed].defaults, *(("record_id",) if FEEDS[feed].may_be_identified_by_content else ())}
            for column in FEEDS[feed].required:
                if column not in mapping.columns and column not in optional and mapping.format != "camt":
                    raise ConfigError(
                        f"tenants/{name}.yaml: feeds.{feed}.columns does not say how '{column}' is made, which every {feed} row "
                        f"needs. Nothing was started."
                    )
    for stage in STAGES:
        try:
            module = importlib.import_module(f"jobs.{stage.name}.settings")
        except ModuleNotFoundError:
            continue
        module.settings()
    languages = {found.language for found in labels.by_country(settings().documents.default_language).values()}
    return (
        f"conf is valid: {len(known)} tenants, {len(told.policies)} tax policies, {len(STAGES)} stages, "
        f"documents in {len(languages)} languages."
    )

"""The accounting events of every stage to the journal; the journal's only writer."""

from __future__ import annotations

from pyspark.sql import DataFrame

from jobs.ledger.periods import Period
from jobs.ledger.tenants import chosen
from jobs.ledger_posting import transforms
from jobs.ledger_posting.settings import settings
from jobs.runtime.errors import Refused
from jobs.runtime.house import House, Snapshot
from jobs.runtime.ops import Unit
from jobs.runtime.verbs import Invocation, Planned, Written
from jobs.stages import INVOICE_GENERATION, LEDGER_POSTING

WHAT_TO_DO = "Mend the posting rules in conf/ledger_posting.yaml"


def plan(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """One unit per tenant with issued documents; what is posted stays posted."""
    rules = settings().resolved()
    planned = []
    for tenant in chosen(invocation.tenants):
        issued = snapshot.latest.get(Unit(INVOICE_GENERATION.name, tenant, period.key))
        unit = Unit(LEDGER_POSTING.name, tenant, period.key)
        if issued is None:
            if invocation.tenants:
                raise Refused(
                    f"ledger_posting {period}: no documents of tenant {tenant} were issued for this month. Nothing was posted. "
                    f"Run invoice_generation of {period} first."
                )
            continue
        posted = snapshot.latest.get(unit)
        same = posted is not None and posted.inputs.get("invoicing.invoices") == issued.fingerprint
        frozen = f"posted by {posted.run_id}" if posted and same else None
        planned.append(Planned(unit, {"invoicing.invoices": issued.fingerprint}, {"rules": rules}, frozen=frozen))
    if not planned:
        raise Refused(
            f"ledger_posting {period}: no tenant has documents issued for this month. Nothing was posted. "
            f"Run invoice_generation of {period} first."
        )
    return planned


def write(house: House) -> Written:
    """Stage entries, open items and the trial balance."""
    invoices = house.read("invoicing.invoices")
    posting = transforms.rules(house.spark, settings())
    place = house.stage(transforms.journal_lines(transforms.events(invoices), posting), "ledger.journal_lines")
    journal = house.staged("ledger.journal_lines")
    return Written(
        {
            "ledger.journal_lines": place,
            "ledger.open_items": house.stage(transforms.open_items(journal, invoices), "ledger.open_items"),
            "ledger.trial_balance": house.stage(transforms.trial_balance(journal), "ledger.trial_balance"),
        }
    )


def audit(house: House) -> dict[str, DataFrame]:
    """journal: every entry. sub_ledger: control account, open items and documents side by side."""
    journal = house.staged("ledger.journal_lines")
    return {
        "journal": transforms.entries(journal),
        "sub_ledger": transforms.sub_ledger(journal, house.staged("ledger.open_items"), house.read("invoicing.invoices")),
    }

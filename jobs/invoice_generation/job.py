"""Charges to numbered, taxed documents. What is issued is frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from deltalake.exceptions import CommitFailedError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.invoice_generation import (
    amounts,
    corrections,
    decisions,
    document_lane,
    due_dates,
    focus,
    focus_files,
    freezing,
    issue_control,
    numbering,
    prepaying,
    prepayments,
    rebilling,
    returns,
    transforms,
)
from jobs.invoice_generation.customers import customers
from jobs.invoice_generation.settings import Settings, settings
from jobs.invoice_generation.tables import CORRECTIONS, FOCUS_FILES, NUMBER_REGISTER, PREPAYMENTS
from jobs.ledger.columns import AMOUNT
from jobs.ledger.corrections import REBILL
from jobs.ledger.facts import current_accounts
from jobs.ledger.months import CARRIED, TURN, carried_from, open_before, turn_of
from jobs.ledger.periods import Period
from jobs.ledger.taxes import Taxes, taxes
from jobs.ledger.tenants import Tenant, chosen, tenants
from jobs.runtime import delta_log, environment, faults, storage
from jobs.runtime.contract import Invocation, Planned, Written
from jobs.runtime.errors import CallError, RunBroke, UpstreamMissing
from jobs.runtime.house import House, Snapshot, Visible, visible_rows
from jobs.runtime.logs import say
from jobs.runtime.ops import Unit
from jobs.stages import BILLING_AGGREGATION, INGESTION, INVOICE_GENERATION

WHAT_TO_DO = "Mend the account, the tax policy or the charges that are named"
DOCUMENTS_LANE = document_lane.LANE
FACTS = ("exemptions", "tax_rates", "tax_registrations", "invoice_corrections")  # feeds that decide about documents
FOCUS_ROWS = "focus_rows"  # the place of the rows of FOCUS files, among the places of the staged tables


def plan(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """What the lane that is asked for has to do: charges to be issued as documents, or issued documents to be rendered."""
    if invocation.lane not in INVOICE_GENERATION.lanes:
        raise CallError(
            f"invoice_generation has no lane '{invocation.lane}'; its lanes are {', '.join(INVOICE_GENERATION.lanes)}. Nothing was started."
        )
    return (document_lane.plan if invocation.lane == DOCUMENTS_LANE else _plan_issue)(snapshot, period, invocation)


def _plan_issue(snapshot: Snapshot, period: Period, invocation: Invocation) -> list[Planned]:
    """One unit per tenant with charges; refused when usage has landed after they were made, frozen when issued."""
    policy, told = settings(), taxes()
    issue_date = _issue_date(invocation, period)
    planned = []
    for name, tenant in chosen(invocation.tenants).items():
        charges = snapshot.latest.get(Unit(BILLING_AGGREGATION.name, name, period.key))
        unit = Unit(INVOICE_GENERATION.name, name, period.key)
        issued = snapshot.latest.get(unit)
        if issued:
            planned.append(Planned(unit, {}, frozen=f"issued by {issued.run_id}; later facts are adjusted in an open month"))
            continue
        waiting = carried_from(snapshot, name, period.key)
        if charges is None:
            if invocation.tenants:
                raise UpstreamMissing(
                    f"invoice_generation {period}: no charges of tenant {name} were published for this month. Nothing was "
                    f"invoiced. Run billing_aggregation of {period} first."
                )
            continue
        if freezing.used_since(snapshot, charges):
            why = (
                f"invoice_generation {period}: usage of tenant {name} was landed after its charges were made. Nothing of this "
                f"tenant was invoiced. Run billing_aggregation of {period} again."
            )
            planned.append(Planned(unit, {}, left_out=why))
            continue
        if waits := _out_of_order(snapshot, unit, issue_date):
            planned.append(Planned(unit, {}, left_out=waits))
            continue
        turn = turn_of(snapshot, name, period.key)
        if charges.inputs.get(TURN, turn) != turn:
            why = (
                f"invoice_generation {period}: another month of tenant {name} was invoiced after these charges were made, and both "
                f"may use its customers' credits. Nothing of this tenant was invoiced. Run billing_aggregation of {period} again."
            )
            planned.append(Planned(unit, {}, left_out=why))
            continue
        for entity in tenant.legal_entities:
            numbering.fits(entity, policy)
        accounts = snapshot.fingerprint(Unit(INGESTION.name, name, "all", "accounts")) or ""
        planned.append(
            Planned(
                unit,
                {
                    "billing.charges": charges.fingerprint,
                    "raw.accounts": accounts,
                    **_facts(snapshot, name),
                    **prepaying.inputs(snapshot, name, policy, issue_date),
                    CARRIED: ", ".join(waiting),
                },
                configuration=_configuration(tenant, told, period.last_day)
                | {"settings": policy.resolved_for(name, (entity.country for entity in tenant.legal_entities))}
                | prepaying.configuration(policy, name, issue_date),
                parameters={"issue_date": str(issue_date)},
            )
        )
    if not planned:
        raise UpstreamMissing(
            f"invoice_generation {period}: no tenant has charges published for this month. Nothing was invoiced. "
            f"Run billing_aggregation of {period} first."
        )
    return planned


def _out_of_order(snapshot: Snapshot, unit: Unit, issue_date: date) -> str | None:
    """Why a month may not be issued now: numbers and dates of a series go the way the months go."""
    said = f"invoice_generation {unit.period}: "
    nothing = f"Nothing of tenant {unit.tenant_id} was invoiced."
    if earlier := open_before(snapshot, unit.tenant_id, unit.period):
        return f"{said}{earlier[0]} of tenant {unit.tenant_id} is not invoiced yet and goes first. {nothing} Run it, then this month."
    dates = {
        other.period: publication.parameters.get("issue_date", "")
        for other, publication in snapshot.latest.items()
        if (other.stage, other.tenant_id, other.lane) == (unit.stage, unit.tenant_id, unit.lane)
    }
    latest = max(dates, key=lambda period: dates[period], default=None)
    if latest is not None and dates[latest] > str(issue_date):
        return (
            f"{said}documents of tenant {unit.tenant_id} dated {dates[latest]} were issued already, of {latest}; those of {issue_date} "
            f"would go back in time. {nothing} Issue them with a date from {dates[latest]} on: countinghouse run invoice_generation "
            f"--period {unit.period} --issue-date {dates[latest]}."
        )
    return None


def _facts(snapshot: Snapshot, tenant: str) -> dict[str, str]:
    """What its documents were decided by, of the feeds that it has delivered."""
    delivered = {feed: snapshot.fingerprint(Unit(INGESTION.name, tenant, "all", feed)) for feed in FACTS}
    return {f"raw.{feed}": fingerprint for feed, fingerprint in delivered.items() if fingerprint}


def _configuration(tenant: Tenant, told: Taxes, day: date) -> dict[str, str]:
    """The part of the configuration that this tenant's documents of a month ending on that day depend on."""
    used = told.used(_policies([tenant]), tenant.tenant, day)
    asked = {"outputs": tenant.outputs.resolved()} if tenant.outputs.focus else {}
    return {"legal_entities": ";".join(entity.resolved() for entity in tenant.legal_entities), **used, **asked}


def _policies(sellers: Iterable[Tenant]) -> list[str]:
    """The tax policies that their legal entities go by."""
    return sorted({entity.tax_policy for tenant in sellers for entity in tenant.legal_entities})


def _issue_date(invocation: Invocation, period: Period) -> date:
    told = invocation.parameters.get("issue_date")
    if told is None:
        return settings().issue_date(period)
    try:
        return date.fromisoformat(told)
    except ValueError:
        raise CallError(f"issue date '{told}' is not a date like 2026-11-01. Nothing was started.") from None


def _issued_on(house: House) -> date:
    """The issue date of the run's documents: what the run names, else the policy's."""
    told = house.run.parameters.get("issue_date")
    return date.fromisoformat(told) if told else settings().issue_date(house.run.month)


def _is_rendering(house: House) -> bool:
    return house.run.units[0].lane == DOCUMENTS_LANE


def write(house: House) -> Written:
    """Stage the candidates of the run's lane."""
    return document_lane.write(house) if _is_rendering(house) else _write_issue(house)


def _write_issue(house: House) -> Written:
    """Stage lines, taxes and headers of the month's documents, and the rows of the FOCUS files that tenants ask for."""
    policy = settings()
    issue_date = _issued_on(house)
    accounts = current_accounts(house.standing("raw.accounts"))
    decided = _with_returns(house, _decided(house, _billed(house), accounts), policy)
    every = house.keep(transforms.held(transforms.lines(decided, policy.rounding), policy.holding), "lines")
    lines = transforms.issued(every)
    more = _corrected(house, accounts, policy, issue_date) if _asking(house) else None
    all_lines = _with(lines, more.lines if more else None)
    staged = house.stage_all(
        {
            "invoicing.invoice_lines": all_lines,
            "invoicing.invoice_taxes": amounts.taxes(all_lines),
            CARRIED: transforms.carried_forward(every),
        }
    )
    headers = due_dates.moved(
        transforms.invoices(lines, house.staged("invoicing.invoice_taxes"), policy, issue_date),
        due_dates.resting(house.spark, list(_tenants(house).values()), issue_date),
        policy.due_dates,
    )
    documents = _with(headers, more.headers if more else None)
    if prepaying.concerned(house, policy, issue_date):
        documents = house.keep(documents, "headers")
        staged[prepaying.TAKEN] = prepaying.write(house, documents, policy, issue_date)
        documents = prepayments.deducted(documents, house.staged(PREPAYMENTS.name))
    staged |= house.stage_all({"invoicing.invoices": documents} | ({CORRECTIONS.name: more.answers} if more else {}))
    if focus.asking(_tenants(house)):
        house.keep(_focus_rows(house, all_lines, accounts), FOCUS_ROWS)
        staged[FOCUS_ROWS] = house.beside(FOCUS_ROWS)
    return Written(staged)


def _taking_back(house: House) -> list[str]:
    """The tenants of the run whose charges below nothing may reverse an invoice."""
    told = settings().returns
    return sorted(set(house.run.tenants) & set(told.tenants)) if told else []


def _with_returns(house: House, decided: DataFrame, policy: Settings) -> DataFrame:
    """Charges with the invoice that they reverse, of the tenants whose policy says so."""
    asking = _taking_back(house)
    if not asking or policy.returns is None:
        return returns.unnamed(decided)
    first = F.add_months(F.lit(house.run.month.first_day), -policy.returns.months)
    mine = F.col("tenant_id").isin(asking)
    before = mine & (F.col("period") >= first) & (F.col("period") < F.lit(house.run.month.first_day))
    invoices, lines, taxed = (
        house.read_all_months(f"invoicing.{name}").where(before) for name in ("invoices", "invoice_lines", "invoice_taxes")
    )
    return returns.named(decided.where(mine), invoices, lines, taxed).unionByName(returns.unnamed(decided.where(~mine)))


@dataclass(frozen=True)
class _Corrected:
    """The documents that a month's requests come to, and what became of each request."""

    lines: DataFrame
    headers: DataFrame
    answers: DataFrame


def _asking(house: House) -> list[str]:
    """The tenants of the run that have ever asked for a correction."""
    units = {name: Unit(INGESTION.name, name, "all", "invoice_corrections") for name in house.run.tenants}
    return [name for name, unit in units.items() if unit in house.snapshot.latest]


def _corrected(house: House, accounts: DataFrame, policy: Settings, issue_date: date) -> _Corrected:
    mine = F.col("tenant_id").isin(_asking(house))
    invoices, lines, taxed, settled = (
        house.read_all_months(name).where(mine)
        for name in ("invoicing.invoices", "invoicing.invoice_lines", "invoicing.invoice_taxes", CORRECTIONS.name)
    )
    requests = house.standing("raw.invoice_corrections").where(mine)
    pending = corrections.pending(requests, invoices, settled, house.run.month.next.first_day)
    named = house.keep(corrections.named(pending, invoices), "documents_named")
    standing = house.keep(corrections.left(lines, named), "standing_lines")
    asked = house.keep(corrections.judged(pending, named, standing), "corrections_asked")
    first_day = house.run.month.first_day
    made = corrections.lines(asked, named, standing, taxed, policy.rounding, first_day)
    if not asked.where(F.col("action") == REBILL).isEmpty():
        to_decide = house.keep(rebilling.to_decide(asked, named, standing, taxed), "lines_to_decide")
        again = house.keep(rebilling.compared(_decided(house, to_decide, accounts)), "lines_decided")
        asked = rebilling.answered(asked, again)
        made = made.unionByName(rebilling.lines(asked, again, first_day))
    made = house.keep(made, "corrected_lines")
    headers = corrections.headers(made, amounts.taxes(made), named, issue_date)
    return _Corrected(made, headers, corrections.answers(asked, made, first_day, issue_date))


def _with(rows: DataFrame, more: DataFrame | None) -> DataFrame:
    """Rows with those of correcting documents, where there are any; what rows have beside them is dropped when they are staged."""
    return rows if more is None else rows.unionByName(more, allowMissingColumns=True)


def _decided(house: House, charges: DataFrame, accounts: DataFrame) -> DataFrame:
    """Charges, each with its seller and its tax by what is known in the month of the run, or the reason why it is held."""
    told, tenants = taxes(), list(_tenants(house).values())
    policies, month = _policies(tenants), house.run.month
    known = customers(
        accounts, house.standing("raw.tax_registrations"), house.standing("raw.exemptions"), told.territories, month.last_day,
        settings().oldest_id_check_days,
    )  # fmt: skip
    selling = transforms.sellers(house.spark, tenants, told, settings().rounding)
    sold = transforms.sold(charges, known, selling, transforms.products(house.spark, told, tenants))
    charged = decisions.rates(house.spark, told, policies, house.standing("raw.tax_rates"))
    return decisions.decided(sold, house.spark, told, policies, charged)


def _focus_rows(house: House, lines: DataFrame, accounts: DataFrame) -> DataFrame:
    """The rows of the FOCUS files of those that ask for them, from the documents as they were staged."""
    selling = focus.sellers(house.spark, list(focus.asking(_tenants(house)).values()))
    shared = focus.documents(house.staged("invoicing.invoices"), accounts, selling)
    return focus.rows(lines, house.staged("invoicing.invoice_taxes"), shared)


def _tenants(house: House) -> dict[str, Tenant]:
    return {name: tenant for name, tenant in tenants().items() if name in house.run.tenants}


def audit(house: House) -> dict[str, DataFrame]:
    """The frames of the gates of the run's lane.

    invoices: every document with what its lines and taxes add up to. lines: every charge with the lines it is on, or what carries it.
    corrections: every document that is corrected. prepayments: prepaid money that moves beside its receipts and documents.
    issue_control: the drafts beside the months before. focus: every document whose tenant asks for FOCUS files, with what their rows add
    up to. In the lane of documents, documents alone.
    """
    if _is_rendering(house):
        return document_lane.audit(house)
    lines = house.staged("invoicing.invoice_lines")
    headers = house.staged("invoicing.invoices")
    asked = headers.where(F.col("tenant_id").isin(*focus.asking(_tenants(house))))
    return {
        "invoices": transforms.invoices_account(headers, lines, house.staged("invoicing.invoice_taxes")),
        "lines": transforms.lines_account(lines, house.staged(CARRIED), _billed(house)),
        "corrections": _corrected_originals(house, headers, lines),
        "prepayments": prepaying.audit(house),
        "issue_control": _beside_before(house, headers, lines),
        "focus": focus.account(_staged_rows(house, house.beside(FOCUS_ROWS)), asked),
    }


def _corrected_originals(house: House, headers: DataFrame, lines: DataFrame) -> DataFrame:
    """Every document that the run corrects beside all that has corrected it; what was issued is read only where it may correct some."""
    if not (_asking(house) or _taking_back(house)):
        return house.spark.createDataFrame([], corrections.ACCOUNT)
    before = (house.read_all_months(name) for name in ("invoicing.invoices", "invoicing.invoice_lines"))
    return corrections.account(headers, lines, *before)


def _beside_before(house: House, drafts: DataFrame, lines: DataFrame) -> DataFrame:
    """The drafts beside what was issued in the months before; how many of those is for each tenant's policy to say."""
    policy = settings()
    limits = {name: policy.issue_control_of(name) for name in house.run.tenants}
    before = F.lit(False)
    # By months, not by tenant: a message of Spark Connect may not be nested a hundred times.
    for months in sorted({limit.months for limit in limits.values()}):
        alike = [name for name, limit in limits.items() if limit.months == months]
        before = before | (
            F.col("tenant_id").isin(alike) & (F.col("period") >= F.add_months(F.lit(house.run.month.first_day), -months))
        )
    is_usual = before & (F.col("period") < F.lit(house.run.month.first_day))
    issued, issued_lines = (
        house.read_all_months(name).where(is_usual) for name in ("invoicing.invoices", "invoicing.invoice_lines")
    )
    return issue_control.compared(drafts, lines, issued, issued_lines, issue_control.policies(house.spark, limits))


def _staged_rows(house: House, place: str) -> DataFrame:
    """The rows of FOCUS files that were staged in some place; none where nobody had asked for them."""
    if not storage.exists(place):
        return house.spark.createDataFrame([], focus.ROWS)
    return house.spark.read.schema(focus.ROWS).parquet(place)


def _billed(house: House) -> DataFrame:
    """The month's charges and adjustments, and what earlier months have carried forward to it."""
    month = house.run.month
    open_months = [
        f"{tenant}/{earlier}" for tenant in house.run.tenants for earlier in carried_from(house.snapshot, tenant, month.key)
    ]
    mine = (
        F.concat("tenant_id", F.lit("/"), F.date_format("period", "yyyy-MM")).isin(*open_months)
        if open_months
        else F.lit(False)
    )
    waiting = transforms.carried_in(house.read_all_months(CARRIED).where(mine), month)
    billed = transforms.billed(house.read("billing.charges"), house.read("billing.adjustments"))
    return billed.unionByName(waiting, allowMissingColumns=True)


def before_publish(
    house: House, staged: Mapping[str, str], passing: Sequence[str], note: Mapping[str, object]
) -> dict[str, str]:
    """Freeze the month, number the documents that passed, let their FOCUS files stand; returns where what is new is staged.

    In the lane of documents: let the files that passed stand there.
    """
    if _is_rendering(house):
        return document_lane.before_publish(house, staged, passing)
    freezing.freeze(house, staged.get(prepaying.TAKEN), passing, note)
    places = _numbered(house, staged, passing, note)
    if FOCUS_ROWS in staged:
        places |= _focus_files(house, staged[FOCUS_ROWS], places["invoicing.invoices"], passing)
    return places


def _focus_files(house: House, rows_at: str, numbered_at: str, passing: Sequence[str]) -> dict[str, str]:
    """Write the FOCUS files of the tenants that passed, from the rows that were judged; returns where the list of them is staged."""
    mine = F.col("tenant_id").isin(*passing)
    numbered = house.read_staged("invoicing.invoices", numbered_at).where(mine)
    judged = _staged_rows(house, rows_at).where(mine)
    numbers = numbered.select("tenant_id", "invoice_id", "invoice_number")
    told = judged.join(numbers, on=["tenant_id", "invoice_id"], how="inner").withColumn("InvoiceId", F.col("invoice_number"))
    written = house.keep(focus_files.write(told, house.beside("documents"), environment.documents()), "focus_files")
    differs = ~F.col("is_same")
    files, differing, example = (
        focus_files.compared(written, judged)
        .agg(F.count(F.lit(1)), F.count_if(differs), F.min(F.when(differs, F.col("file_path"))))
        .collect()[0]
    )
    if differing:
        raise RunBroke(
            f"invoice_generation {house.run.period}: {differing} FOCUS files stand in documents/ with another content than was judged, e.g. "
            f"{example}. They were not overwritten and nothing was published. Find out who changed them; move them away and run this "
            f"again."
        )
    faults.reach("publish:focus")
    if not files:  # those that asked for them are held
        return {}
    return {
        FOCUS_FILES.name: house.stage(written.withColumn("billed_cost", F.col("billed_cost").cast(AMOUNT)), FOCUS_FILES.name)
    }


def _numbered(house: House, staged: Mapping[str, str], passing: Sequence[str], note: Mapping[str, object]) -> dict[str, str]:
    """Reserve the numbers of the documents that passed, then stage the numbered documents; returns where they stand.

    The register is the one truth: its commit names the place of the numbered documents, so that a run that was killed
    after it goes on with the same ones. Two runs at once for months of one tenant conflict at its fence, and the later one counts again;
    of two for one month only that comes here which has frozen it.
    """
    publication_id = house.run.publication_id
    for attempt in range(delta_log.RETRIES):
        table = delta_log.create_published(NUMBER_REGISTER)
        if table.transaction_version(publication_id) is not None:
            for commit in delta_log.commits(NUMBER_REGISTER.name):
                if commit.publication_id == publication_id:
                    return dict(commit.note["numbered"])
        fences = {f"numbers/{tenant}": table.transaction_version(f"numbers/{tenant}") or 0 for tenant in passing}
        places = _number(house, staged["invoicing.invoices"], passing, int(table.version()), attempt)
        faults.reach("publish:numbered")
        try:
            delta_log.promote_fenced(
                NUMBER_REGISTER,
                places["invoicing.number_register"],
                publication_id,
                passing,
                dict(note) | {"numbered": places},
                table,
                fences,
            )
        except CommitFailedError:
            say(f"{house.run.run_id}: another run took numbers meanwhile; counting again")
            continue
        return places
    raise RunBroke("invoicing.number_register: others kept taking numbers. Nothing was issued; run this again.")


def _number(house: House, staged_invoices: str, passing: Sequence[str], version: int, attempt: int) -> dict[str, str]:
    documents = house.read_staged("invoicing.invoices", staged_invoices).where(F.col("tenant_id").isin(*passing))
    every = visible_rows(house.spark, NUMBER_REGISTER, Visible(version))  # reserved is reserved, published or not
    register = every.where(F.col("tenant_id").isin(*passing))
    policy, selling = settings(), list(_tenants(house).values())
    issue_date = _issued_on(house)
    entities = numbering.entities(house.spark, selling, policy, issue_date)
    voids = numbering.voided(house.spark, selling)
    numbered = numbering.numbered(documents, register, entities, voids, policy)
    suffix = f"__numbered_{house.run.attempt}_{attempt}"
    place = house.stage(numbered, "invoicing.invoices", suffix)
    fresh = numbering.register_rows(house.staged("invoicing.invoices", suffix), register, voids)
    taken_at = house.stage(fresh, "invoicing.number_register", suffix)
    numbering.check(house.staged("invoicing.number_register", suffix), register, entities, policy)
    return {"invoicing.invoices": place, "invoicing.number_register": taken_at}

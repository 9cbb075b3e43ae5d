"""Receivables, cash and what excuses a customer, to the accounts that a policy nominates, holds back or lets return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.ledger.columns import AMOUNT, COUNT
from jobs.suspension_selection.settings import CURRENT, Condition, Policy
from jobs.suspension_selection.tables import ACCOUNT_STATES, CANDIDATES

HOLD, REINSTATE = "hold", "reinstate"
ACCOUNT = ("tenant_id", "account_id")
Assigned = Mapping[str, Mapping[str | None, Policy]]  # tenant -> segment, None for all others -> policy
SHOWN = 3  # so many receipts a hold names; the table of unapplied cash has them all


def distinct_policies(assigned: Assigned) -> list[Policy]:
    """The policies that decide for anybody, each once."""
    return list({policy.rule: policy for of_tenant in assigned.values() for policy in of_tenant.values()}.values())


def open_on(items: DataFrame, moved: DataFrame, day: date) -> DataFrame:
    """What each receivable had still open on a day.

    items: ledger.open_items of one month per tenant. moved: tenant_id, document_id, amount: cash that was applied by that day and is not in
    those items yet; negative where they contain what was applied later. A document of a later day is none yet.
    Returns tenant_id, account_id, document_id, document_number, due_date, currency, open_amount.
    """
    off = moved.groupBy("tenant_id", "document_id").agg(F.sum("amount").cast(AMOUNT).alias("moved"))
    known = items.where((F.col("ledger_account") == "accounts_receivable") & (F.col("document_date") <= F.lit(day)))
    return (
        known.join(off, on=["tenant_id", "document_id"], how="left")
        .select(
            "tenant_id", F.col("party_id").alias("account_id"), "document_id", "document_number", "due_date", "currency",
            (F.col("open_amount") - F.coalesce("moved", F.lit(0).cast(AMOUNT))).cast(AMOUNT).alias("open_amount"),
        )
        .where(F.col("open_amount") != 0)
    )  # fmt: skip


def with_policy(
    spark: SparkSession, accounts: DataFrame, documents: DataFrame, states: DataFrame, assigned: Assigned
) -> DataFrame:
    """Every account anybody speaks of, with the policy that decides for it: tenant_id, account_id, rule.

    accounts: one row per account, with its segment. An account that only a document or a state speaks of has no segment.
    """
    rows = [(tenant, segment or "", p.rule) for tenant, of_tenant in assigned.items() for segment, p in of_tenant.items()]
    told = spark.createDataFrame(rows, "tenant_id string, segment string, rule string")
    known = accounts.select(*ACCOUNT, F.coalesce("segment", F.lit("")).alias("segment"))
    spoken_of = documents.select(*ACCOUNT).unionByName(states.select(*ACCOUNT)).distinct()
    every = known.unionByName(spoken_of.join(known, on=list(ACCOUNT), how="left_anti").withColumn("segment", F.lit("")))
    by_segment = every.join(F.broadcast(told.where(F.col("segment") != "")), on=["tenant_id", "segment"], how="left")
    others = told.where(F.col("segment") == "").select("tenant_id", F.col("rule").alias("rule_of_others"))
    return by_segment.join(F.broadcast(others), on="tenant_id", how="inner").select(
        *ACCOUNT, F.coalesce("rule", "rule_of_others").alias("rule")
    )


def counting(
    spark: SparkSession,
    documents: DataFrame,
    accounts: DataFrame,
    disputes: DataFrame,
    promises: DataFrame,
    exemptions: DataFrame,
    taken_over: DataFrame,
    policies: Iterable[Policy],
    day: date,
) -> DataFrame:
    """The invoices that count against their accounts on a day: overdue, unpaid, and nothing excuses them.

    documents: as open_on() returns them. accounts: as with_policy() does. disputes, promises, exemptions, taken_over: standing rows of raw.
    Overdue is an invoice from the day after its due date. A promise excuses up to the promised day, a dispute up to the day before it is settled.
    Returns the documents with rule.
    """
    on = F.lit(day)
    holds = (F.col("valid_from") <= on) & (F.col("valid_to").isNull() | (on < F.col("valid_to")))
    kept = (F.col("valid_from") <= on) & (on <= F.col("promise_date"))
    named_disputed = disputes.where(holds).select("tenant_id", F.col("document_id").alias("named"))
    named_promised = promises.where(kept & F.col("document_id").isNotNull()).select(
        "tenant_id", F.col("document_id").alias("named")
    )
    told_by_system = taken_over.where(F.coalesce("disputed", F.lit(False)) | (F.col("promise_date") >= on)).select(
        "tenant_id", F.col("document_id").alias("named")
    )
    excused = named_disputed.unionByName(named_promised).unionByName(told_by_system).distinct()
    spared = (
        exemptions.where(holds & (F.col("kind") == "dunning"))
        .select(*ACCOUNT)
        .unionByName(promises.where(kept & F.col("document_id").isNull()).select(*ACCOUNT))
        .distinct()
    )
    rows = [(p.rule, currency, least) for p in policies for currency, least in p.minimum_open.items()]
    limits = spark.createDataFrame(rows, "rule string, currency string, least decimal(18,3)")
    unpaid = documents.where((F.col("due_date") < on) & (F.col("open_amount") > 0))
    large = (
        unpaid.join(accounts, on=list(ACCOUNT), how="inner")
        .join(F.broadcast(limits), on=["rule", "currency"], how="left")
        .where(F.col("least").isNull() | (F.col("open_amount") >= F.col("least")))
        .drop("least")
    )
    for name in ("document_id", "document_number"):  # customers speak of the number that is printed
        large = large.join(excused.withColumnRenamed("named", name), on=["tenant_id", name], how="left_anti")
    return large.join(spared, on=list(ACCOUNT), how="left_anti")


def covers(unapplied: DataFrame, suggestions: DataFrame, documents: DataFrame) -> DataFrame:
    """The money that stands beside an account's debts: receipts nobody has applied yet, and credit that is open.

    unapplied, suggestions: cash tables of one day per tenant. A receipt counts once for an account, whether it is known to be the
    account's or only suggested. Returns tenant_id, account_id, currency, covered, told (in words, with ids).
    """
    receipt = ["tenant_id", "transaction_id", "bank_account"]
    left = unapplied.where(F.col("unapplied") > 0)
    own = left.where(F.col("account_id").isNotNull()).select(
        *receipt, "account_id", "currency", "unapplied", F.lit("unapplied receipt ").alias("kind")
    )
    suggested = suggestions.where(F.col("account_id").isNotNull()).select(*receipt, "account_id").distinct()
    guessed = (
        left.drop("account_id")
        .join(suggested, on=receipt, how="inner")
        .join(own.select(*receipt, "account_id"), on=[*receipt, "account_id"], how="left_anti")
        .select(*receipt, "account_id", "currency", "unapplied", F.lit("suggested receipt ").alias("kind"))
    )
    receipts = own.unionByName(guessed).select(
        *ACCOUNT, "currency", F.col("unapplied").alias("amount"), F.concat("kind", "transaction_id").alias("named")
    )
    credit = documents.where(F.col("open_amount") < 0).select(
        *ACCOUNT, "currency", (-F.col("open_amount")).cast(AMOUNT).alias("amount"),
        F.concat(F.lit("open credit "), "document_id").alias("named"),
    )  # fmt: skip
    summed = (
        receipts.unionByName(credit)
        .groupBy(*ACCOUNT, "currency")
        .agg(F.sum("amount").cast(AMOUNT).alias("covered"), F.sort_array(F.collect_set("named")).alias("names"))
    )
    more = F.size("names") - SHOWN
    told = F.concat(
        F.array_join(F.slice("names", 1, SHOWN), ", "),
        F.when(more > 0, F.concat(F.lit(" and "), more.cast("string"), F.lit(" more"))).otherwise(F.lit("")),
        F.lit(": "),
        F.col("covered").cast("string"),
        F.lit(" "),
        F.col("currency"),
        F.lit(" could cover the debt"),
    )
    return summed.select(*ACCOUNT, "currency", "covered", told.alias("told"))


def standing_states(states: DataFrame, order: DataFrame, day: date | None = None) -> DataFrame:
    """One row per account: the state it was in at the beginning of a day, or is in now.

    states: suspension.account_states. order: publication_id, place, oldest first; tells two changes of one day apart.
    """
    newest = Window.partitionBy(*ACCOUNT).orderBy(
        F.col("valid_from").desc(), F.col("place").desc_nulls_last(), F.col("publication_id")
    )
    placed = states.join(F.broadcast(order), on="publication_id", how="left")
    told = placed if day is None else placed.where(F.col("valid_from") < F.lit(day))
    ranked = told.select("*", F.row_number().over(newest).alias("age"))
    return ranked.where(F.col("age") == 1).select(*ACCOUNT, "state", "valid_from")


def evaluated(
    accounts: DataFrame, counted: DataFrame, cover: DataFrame, states: DataFrame, policies: Iterable[Policy], day: date
) -> DataFrame:
    """Every account with what its policy makes of it on a day.

    accounts: as with_policy() returns them. counted: as counting() does. cover: as covers() does. states: the state of each account at the
    beginning of the day. Adds to CANDIDATES: is_known (the policy has the state the account is in). action is null for an account that stays.
    """
    debts = _debts(counted, day)
    before = states.select(*ACCOUNT, F.col("state").alias("from_state"), F.datediff(F.lit(day), "valid_from").alias("days"))
    facts = (
        accounts.join(debts, on=list(ACCOUNT), how="left")
        .join(before, on=list(ACCOUNT), how="left")
        .withColumn("from_state", F.coalesce("from_state", F.lit(CURRENT)))
        .withColumn("unpaid_count", F.coalesce("unpaid_count", F.lit(0)).cast(COUNT))
    )
    rules = list(policies)
    placed = facts.withColumn("at", _by_policy(rules, _place_of_state))
    moved = placed.withColumn("to", _by_policy(rules, _next_place))
    named = moved.select(
        "*",
        _by_policy(rules, _name_of_place).alias("to_state"),
        _by_policy(rules, _deciding_currency).alias("deciding_currency"),
        _by_policy(rules, lambda policy: F.lit(str(policy.covered_share)).cast("decimal(5,4)")).alias("covered_share"),
    )
    currency = F.coalesce("deciding_currency", "oldest_currency")
    shown = named.withColumn("currency", currency).withColumn(
        "overdue_balance", F.try_element_at("balances", F.col("currency")).cast(AMOUNT)
    )
    beside = shown.join(cover.select(*ACCOUNT, "currency", "covered", "told"), on=[*ACCOUNT, "currency"], how="left")
    further = F.col("to") > F.col("at")
    enough = F.col("covered") >= (F.col("overdue_balance") * F.col("covered_share"))
    held = further & F.coalesce(enough, F.lit(False))
    action = F.when(held, F.lit(HOLD)).when(F.col("to") == 0, F.lit(REINSTATE)).otherwise(F.col("to_state"))
    rule = F.concat("rule", F.lit(": "), F.when(F.col("to") == 0, F.lit("no condition holds")).otherwise(F.col("to_state")))
    acts = F.col("to").isNotNull()
    return beside.select(
        "tenant_id", F.lit(day).alias("period"), "account_id", F.when(acts, action).alias("action"), "from_state", "to_state",
        F.when(held, F.col("told")).alias("held_because"), "unpaid_count", F.col("oldest_overdue_days").cast("int").alias("oldest_overdue_days"),
        "currency", "overdue_balance",
        F.coalesce("document_ids", F.array().cast("array<string>")).alias("document_ids"),
        F.when(acts, rule).alias("policy_rule"), F.col("at").isNotNull().alias("is_known"), "rule",
    )  # fmt: skip


def _debts(counted: DataFrame, day: date) -> DataFrame:
    """Per account what counts against it: how many invoices, which, since when, and how much by currency."""
    by_currency = counted.groupBy(*ACCOUNT, "currency").agg(
        F.count(F.lit(1)).alias("invoices"),
        F.sum("open_amount").cast(AMOUNT).alias("balance"),
        F.min(F.struct("due_date", "document_id")).alias("oldest"),
        F.collect_set("document_id").alias("documents"),
    )
    return by_currency.groupBy(*ACCOUNT).agg(
        F.sum("invoices").alias("unpaid_count"),
        F.datediff(F.lit(day), F.min("oldest.due_date")).alias("oldest_overdue_days"),
        F.sort_array(F.flatten(F.collect_set("documents"))).alias("document_ids"),
        F.min_by("currency", "oldest").alias("oldest_currency"),
        F.map_from_entries(F.collect_set(F.struct("currency", "balance"))).alias("balances"),
    )


def fulfilled(condition: Condition) -> Column:
    """A condition of the policy language over the columns unpaid_count, oldest_overdue_days and balances (by currency)."""
    if condition.all is not None:
        return reduce(lambda one, other: one & other, map(fulfilled, condition.all))
    if condition.any is not None:
        return reduce(lambda one, other: one | other, map(fulfilled, condition.any))
    if condition.unpaid_count is not None:
        return F.coalesce(F.col("unpaid_count") >= condition.unpaid_count, F.lit(False))
    if condition.oldest_overdue_days is not None:
        return F.coalesce(F.col("oldest_overdue_days") >= condition.oldest_overdue_days, F.lit(False))
    reached = [_reached(currency, str(least)) for currency, least in (condition.overdue_balance or {}).items()]
    return reduce(lambda one, other: one | other, reached)


def _reached(currency: str, least: str) -> Column:
    balance = F.try_element_at("balances", F.lit(currency))
    return F.coalesce(balance >= F.lit(least).cast("decimal(18,3)"), F.lit(False))


def _balances(condition: Condition) -> Iterator[tuple[str, str]]:
    """The amounts by currency that a condition speaks of, in its order."""
    for part in (*(condition.all or ()), *(condition.any or ())):
        yield from _balances(part)
    for currency, least in (condition.overdue_balance or {}).items():
        yield currency, str(least)


def _by_policy(policies: Iterable[Policy], column: Callable[[Policy], Column]) -> Column:
    """A column that each policy makes in its own way."""
    return _case([(F.col("rule") == policy.rule, column(policy)) for policy in policies])


def _case(cases: Sequence[tuple[Column, Column]]) -> Column:
    """The value of the first case that holds; null where none does."""
    found = F.when(*cases[0])
    for holds, value in cases[1:]:
        found = found.when(holds, value)
    return found


def _place_of_state(policy: Policy) -> Column:
    """0 for current, 1 for the mildest state; null for a state that the policy does not have."""
    names = (CURRENT, *(state.name for state in policy.states))
    return _case([(F.col("from_state") == name, F.lit(place)) for place, name in enumerate(names)])


def _next_place(policy: Policy) -> Column:
    """Where an account goes from `at`: further, back to 0 where no condition holds any more, or null where it stays."""
    at, days = F.col("at"), F.col("days")
    further = []
    for place, state in enumerate(policy.states, start=1):
        waited = (at == place - 1) & (days.isNull() | (days >= state.min_days)) if state.min_days else F.lit(True)
        from_where = (at == place - 1) if policy.one_step else (at < place)
        further.append((fulfilled(state.when) & from_where & waited, F.lit(place)))
    some_condition = reduce(lambda one, other: one | other, (fulfilled(state.when) for state in policy.states))
    final = [place for place, state in enumerate(policy.states, start=1) if state.final]
    stays = at.isin(*final) if final else F.lit(False)
    return _case([*reversed(further), ((at > 0) & ~some_condition & ~stays, F.lit(0))])


def _name_of_place(policy: Policy) -> Column:
    names = (CURRENT, *(state.name for state in policy.states))
    return _case([(F.col("to") == place, F.lit(name)) for place, name in enumerate(names)])


def _deciding_currency(policy: Policy) -> Column:
    """The first currency of the entered state's condition whose amount is reached."""
    nothing = F.lit(None).cast("string")
    cases = []
    for place, state in enumerate(policy.states, start=1):
        told = [F.when(_reached(currency, least), F.lit(currency)) for currency, least in _balances(state.when)]
        cases.append((F.col("to") == place, F.coalesce(*told, nothing)))
    return _case(cases)


def candidates(accounts: DataFrame) -> DataFrame:
    """CANDIDATES without publication_id. accounts: as evaluated() returns them."""
    columns = [field.name for field in CANDIDATES.schema.fields if field.name != "publication_id"]
    return accounts.where(F.col("action").isNotNull()).select(*columns)


def changes(accounts: DataFrame, now: DataFrame, day: date) -> DataFrame:
    """ACCOUNT_STATES without publication_id: the accounts that are in another state than the one written down.

    accounts: as evaluated() returns them. now: the newest state of each account, this day's too: where a day is decided once more,
    what the first decision did is taken back by a further row.
    """
    moves = F.col("action").isNotNull() & (F.col("action") != HOLD)
    becomes = F.when(moves, F.col("to_state")).otherwise(F.col("from_state"))
    written = now.select(*ACCOUNT, F.col("state").alias("written"))
    compared = (
        accounts.select("*", becomes.alias("becomes"))
        .join(written, on=list(ACCOUNT), how="left")
        .withColumn("written", F.coalesce("written", F.lit(CURRENT)))
    )
    columns = [field.name for field in ACCOUNT_STATES.schema.fields if field.name != "publication_id"]
    return (
        compared.where(F.col("becomes") != F.col("written"))
        .select(
            "tenant_id", "period", "account_id", F.lit(day).alias("valid_from"), F.col("becomes").alias("state"),
            F.col("written").alias("previous_state"),
            F.coalesce(F.when(moves, F.col("policy_rule")), F.concat("rule", F.lit(": decided once more"))).alias("policy_rule"),
            "document_ids",
        )
        .select(*columns)
    )  # fmt: skip


def candidates_account(
    staged: DataFrame,
    changed: DataFrame,
    documents: DataFrame,
    now: DataFrame,
    accounts: DataFrame,
    assigned: Assigned,
    day: date,
) -> DataFrame:
    """Every staged candidate beside the documents it names, the change of state it makes, and the states its policy has.

    documents: as open_on() returns them. now: the newest published state of each account. accounts: as evaluated() returns
    them, for those in a state that no policy has.
    """
    names = {CURRENT, *(state.name for policy in distinct_policies(assigned) for state in policy.states)}
    named = staged.select(*ACCOUNT, F.col("currency").alias("decided_in"), F.explode("document_ids").alias("document_id"))
    owed = documents.select(
        *ACCOUNT, "document_id", "currency", "open_amount",
        ((F.col("due_date") < F.lit(day)) & (F.col("open_amount") > 0)).alias("is_owed"),
    )  # fmt: skip
    summed = (
        named.join(owed, on=[*ACCOUNT, "document_id"], how="left")
        .groupBy(*ACCOUNT)
        .agg(
            F.count(F.lit(1)).alias("documents_named"),
            F.sum((~F.coalesce("is_owed", F.lit(False))).cast("int")).alias("documents_wrong"),
            F.sum(F.when(F.col("currency") == F.col("decided_in"), F.col("open_amount")))
            .cast(AMOUNT)
            .alias("balance_found"),
        )
    )
    moved = changed.groupBy(*ACCOUNT).agg(F.count(F.lit(1)).alias("changes"), F.max("state").alias("new_state"))
    lost = accounts.where(~F.col("is_known")).select(*ACCOUNT, F.col("from_state").alias("unknown_state"))
    return (
        staged.drop("publication_id")
        .join(summed, on=list(ACCOUNT), how="left")
        .join(moved, on=list(ACCOUNT), how="full_outer")
        .join(now.select(*ACCOUNT, F.col("state").alias("written")), on=list(ACCOUNT), how="left")
        .join(lost, on=list(ACCOUNT), how="full_outer")
        .select(
            "*",
            F.coalesce("new_state", "written", F.lit(CURRENT)).alias("ends_in"),
            (F.coalesce("from_state", F.lit(CURRENT)).isin(*names) & F.coalesce("to_state", F.lit(CURRENT)).isin(*names)).alias("are_states"),
        )
    )  # fmt: skip


def shares(spark: SparkSession, staged: DataFrame, accounts: DataFrame, policies: Iterable[Policy]) -> DataFrame:
    """How many of the accounts of each policy are nominated, beside how many may be: one row per tenant and policy.

    Held and returning accounts are not counted. accounts: as with_policy() or evaluated() returns them.
    """
    rows = [(policy.rule, policy.share_max, policy.allowed_anyway) for policy in policies]
    limits = spark.createDataFrame(rows, "rule string, share_max decimal(9,6), allowed_anyway bigint")
    nominated = staged.where(~F.col("action").isin(HOLD, REINSTATE)).select(*ACCOUNT, F.lit(1).alias("nominated"))
    return (
        accounts.select(*ACCOUNT, "rule")
        .join(nominated, on=list(ACCOUNT), how="left")
        .groupBy("tenant_id", "rule")
        .agg(F.count(F.lit(1)).alias("accounts"), F.count("nominated").alias("nominated"))
        .join(F.broadcast(limits), on="rule", how="left")
    )


def by_action(candidates: DataFrame) -> DataFrame:
    """What a person who approves wants to know: per action and currency accounts, overdue, and one of them (first)."""
    named = F.struct("tenant_id", "account_id", "held_because")
    return candidates.groupBy("action", "currency").agg(
        F.count(F.lit(1)).alias("accounts"),
        F.sum("overdue_balance").alias("overdue"),
        F.min(named).alias("first"),
    )

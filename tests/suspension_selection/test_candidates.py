"""Debts and what excuses them, to who is nominated, held back or lets return."""

from __future__ import annotations

import pytest

from jobs.runtime.errors import ConfigError
from jobs.suspension_selection.job import told
from jobs.suspension_selection.settings import Settings
from jobs.suspension_selection.tables import CANDIDATES
from jobs.suspension_selection.transforms import by_action
from tests.builders import collected, customer, table_of
from tests.suspension_selection.debts import COUNTS, DAY, Facts, evaluated, owed, policy, received, suggested, was, when

SHOWN = (
    "account_id",
    "action",
    "from_state",
    "to_state",
    "unpaid_count",
    "oldest_overdue_days",
    "currency",
    "overdue_balance",
)
TWO = (owed("d-1"), owed("d-2", "50", due="2026-07-11"))
DISPUTE = {"document_id": "d-1", "account_id": "a-1", "valid_from": "2026-07-01"}
PROMISE = {"document_id": "d-1", "account_id": "a-1", "valid_from": "2026-07-10", "promise_date": "2026-07-31"}
EXEMPT = {"account_id": "a-1", "kind": "dunning", "valid_from": "2026-07-01"}
STEPS = {"one_step": True}


def goes(state, count=1, days=30, balance="100", start="current", currency="EUR"):
    return [("a-1", state, start, state, count, days, currency, balance)]


def returns(start, count=0, days=None, balance=None, currency=None):
    return [("a-1", "reinstate", start, "current", count, days, currency, balance)]


def held(state, count=1, days=30, balance="100", start="current"):
    return [("a-1", "hold", start, state, count, days, "EUR", balance)]


STAYS = []
CASES = {
    # --- what counts ---
    "one_unpaid_invoice_warns": (Facts((owed(),)), goes("warned")),
    "two_suspend": (Facts(TWO), goes("suspended", 2, balance="150")),
    "due_today_is_not_overdue": (Facts((owed(due="2026-07-31"),)), STAYS),
    "the_day_after_it_is": (Facts((owed(due="2026-07-30"),)), goes("warned", days=1)),
    "not_yet_due_does_not_count": (Facts((owed(), owed("d-2", due="2026-08-15"))), goes("warned")),
    "a_document_of_tomorrow_is_none_yet": (Facts((owed(document_date="2026-08-01"),)), STAYS),
    "what_is_paid_does_not_count": (Facts((owed(open_amount="0"),)), STAYS),
    "what_was_paid_since_the_ledger_was_posted_neither": (Facts((owed(),), moved=({"document_id": "d-1", "amount": "100"},)), STAYS),
    "paid_in_parts_the_rest_counts": (Facts((owed(),), moved=({"document_id": "d-1", "amount": "60"}, {"document_id": "d-1", "amount": "30"})), goes("warned", balance="10")),
    "what_was_paid_later_was_open_then": (Facts((owed(open_amount="0"),), moved=({"document_id": "d-1", "amount": "-100"},)), goes("warned")),
    "payables_do_not_count": (Facts((owed(ledger_account="accounts_payable"),)), STAYS),
    "small_rests_do_not_count": (Facts((owed(), owed("d-2", "0.99")), {"minimum_open": {"EUR": "1"}}), goes("warned")),
    "the_limit_itself_does": (Facts((owed(), owed("d-2", "1")), {"minimum_open": {"EUR": "1"}}), goes("suspended", 2, balance="101")),
    "a_limit_is_for_its_currency": (Facts((owed("d-1", "0.5", currency="USD"),), {"minimum_open": {"EUR": "1"}}), goes("warned", balance="0.5", currency="USD")),
    "disputed_does_not_count": (Facts(TWO, disputes=(DISPUTE,)), goes("warned", days=20, balance="50")),
    "customers_dispute_the_number_they_read": (Facts(TWO, disputes=(DISPUTE | {"document_id": "N-d-1"},)), goes("warned", days=20, balance="50")),
    "a_dispute_that_was_settled_no_longer_excuses": (Facts(TWO, disputes=(DISPUTE | {"valid_to": "2026-07-31"},)), goes("suspended", 2, balance="150")),
    "one_that_is_settled_tomorrow_still_does": (Facts(TWO, disputes=(DISPUTE | {"valid_to": "2026-08-01"},)), goes("warned", days=20, balance="50")),
    "one_that_is_raised_tomorrow_does_not_yet": (Facts(TWO, disputes=(DISPUTE | {"valid_from": "2026-08-01"},)), goes("suspended", 2, balance="150")),
    "the_other_system_may_say_that_it_is_disputed": (Facts(TWO, taken_over=({"document_id": "d-1", "disputed": True},)), goes("warned", days=20, balance="50")),
    "promised_does_not_count_up_to_the_day": (Facts(TWO, promises=(PROMISE,)), goes("warned", days=20, balance="50")),
    "a_broken_promise_does_not_excuse": (Facts(TWO, promises=(PROMISE | {"promise_date": "2026-07-30"},)), goes("suspended", 2, balance="150")),
    "one_made_tomorrow_not_yet": (Facts(TWO, promises=(PROMISE | {"valid_from": "2026-08-01", "promise_date": "2026-08-09"},)), goes("suspended", 2, balance="150")),
    "a_promise_may_be_for_all_of_an_account": (Facts((*TWO, owed("d-3", account="a-2")), promises=(PROMISE | {"document_id": None},)),
                                               [("a-2", "warned", "current", "warned", 1, 30, "EUR", "100")]),
    "the_other_system_may_know_of_a_promise": (Facts(TWO, taken_over=({"document_id": "d-1", "promise_date": "2026-07-31"},)), goes("warned", days=20, balance="50")),
    "the_exempt_are_left_alone": (Facts(TWO, exemptions=(EXEMPT,)), STAYS),
    "exempt_from_tax_is_not_exempt": (Facts(TWO, exemptions=(EXEMPT | {"kind": "tax"},)), goes("suspended", 2, balance="150")),
    "exempt_no_longer": (Facts(TWO, exemptions=(EXEMPT | {"valid_to": "2026-07-31"},)), goes("suspended", 2, balance="150")),
    # --- the policy language ---
    "a_balance_by_currency": (Facts((owed("d-1", "99", currency="USD"), owed("d-2", "100")), when({"overdue_balance": {"USD": "100", "EUR": "100"}})), goes("suspended", 2)),
    "balances_of_two_currencies_are_never_added": (Facts((owed("d-1", "99", currency="USD"), owed("d-2", "99")), when({"overdue_balance": {"USD": "100", "EUR": "100"}})), STAYS),
    "a_currency_without_a_threshold_does_not_decide": (Facts((owed(currency="GBP"),), when({"overdue_balance": {"EUR": "1"}})), STAYS),
    "a_mill_short_is_short": (Facts((owed("d-1", "99.999"),), when({"overdue_balance": {"EUR": "100"}})), STAYS),
    "age_in_days_from_the_due_date": (Facts((owed(due="2026-07-21"),), when({"oldest_overdue_days": 10})), goes("suspended", days=10)),
    "one_day_younger_is_too_young": (Facts((owed(due="2026-07-22"),), when({"oldest_overdue_days": 10})), STAYS),
    "all_of_several": (Facts(TWO, when({"all": [{"unpaid_count": 2}, {"oldest_overdue_days": 31}]})), STAYS),
    "any_of_several": (Facts(TWO, when({"any": [{"unpaid_count": 3}, {"oldest_overdue_days": 30}]})), goes("suspended", 2, balance="150")),
    "any_within_all": (
        Facts(TWO, when({"all": [{"unpaid_count": 2}, {"any": [{"oldest_overdue_days": 31}, {"overdue_balance": {"EUR": "150"}}]}]})), goes("suspended", 2, balance="150"),
    ),
    # --- states ---
    "as_far_as_the_debts_say": (Facts((*TWO, owed("d-3"))), goes("terminated", 3, balance="250")),
    "or_one_step_at_a_time": (Facts((*TWO, owed("d-3")), STEPS), goes("warned", 3, balance="250")),
    "the_next_step_the_next_day": (Facts((*TWO, owed("d-3")), STEPS, states=(was("warned"),)), goes("suspended", 3, balance="250", start="warned")),
    "what_is_as_it_should_be_stays": (Facts((owed(),), states=(was("warned"),)), STAYS),
    "nobody_goes_half_way_back": (Facts((owed(),), states=(was("suspended"),)), STAYS),
    "who_owes_nothing_returns": (Facts(states=(was("suspended"),)), returns("suspended")),
    "who_owes_too_little_for_any_condition_returns": (Facts((owed(),), {"states": COUNTS[1:]}, states=(was("suspended"),)), returns("suspended", 1, 30, "100", "EUR")),
    "who_is_only_in_dispute_returns": (Facts((owed(),), disputes=(DISPUTE,), states=(was("warned"),)), returns("warned")),
    "from_a_final_state_nobody_returns": (Facts(states=(was("terminated"),)), STAYS),
    "the_latest_state_stands": (Facts((owed(),), states=(was("warned", "2026-06-01"), was("current", "2026-07-01"))), goes("warned")),
    "of_two_on_one_day_the_later_publication": (Facts((owed(),), states=(was("warned", publication_id="s-1"), was("current", publication_id="s-2"))), goes("warned")),
    "what_was_decided_this_day_does_not_count_as_before": (Facts(TWO, STEPS, states=(was("warned", "2026-07-31"),)), goes("warned", 2, balance="150")),
    "long_enough_in_the_state_before": (
        Facts(TWO, STEPS | {"states": [COUNTS[0], COUNTS[1] | {"min_days": 7}]}, states=(was("warned", "2026-07-24"),)), goes("suspended", 2, balance="150", start="warned"),
    ),
    "not_long_enough": (Facts(TWO, STEPS | {"states": [COUNTS[0], COUNTS[1] | {"min_days": 7}]}, states=(was("warned", "2026-07-25"),)), STAYS),
    "a_state_that_must_be_waited_for_is_not_jumped_into": (Facts(TWO, {"states": [COUNTS[0], COUNTS[1] | {"min_days": 7}]}), goes("warned", 2, balance="150")),
    # --- money that could cover the debt ---
    "unapplied_cash_turns_it_into_a_hold": (Facts((owed(),), unapplied=(received(),)), held("warned")),
    "a_mill_less_does_not": (Facts((owed(),), unapplied=(received("99.999"),)), goes("warned")),
    "unless_the_policy_asks_for_less": (Facts((owed(),), {"covered_share": "0.5"}, unapplied=(received("50"),)), held("warned")),
    "several_receipts_add_up": (Facts((owed(),), unapplied=(received("50"), received("50", "t-2"))), held("warned")),
    "a_receipt_of_another_currency_covers_nothing": (Facts((owed(),), unapplied=(received("500", currency="USD"),)), goes("warned")),
    "a_suggestion_covers_too": (Facts((owed(),), unapplied=(received(account=None),), suggestions=(suggested(),)), held("warned")),
    "so_does_one_of_a_lower_rank": (Facts((owed(),), unapplied=(received(account=None),), suggestions=(suggested(account="a-9"), suggested(rank=2))), held("warned")),
    "a_receipt_suggested_twice_counts_once": (Facts((owed(),), unapplied=(received("50", account=None),), suggestions=(suggested(), suggested(rank=2))), goes("warned")),
    "nor_does_its_own_suggestion_count_again": (Facts((owed(),), unapplied=(received("50"),), suggestions=(suggested(),)), goes("warned")),
    "what_was_applied_already_is_not_suggested": (Facts((owed(),), suggestions=(suggested(),)), goes("warned")),
    "an_open_credit_note_covers_too": (Facts((owed(), owed("c-1", "-100")),), held("warned")),
    "a_hold_is_no_return": (Facts(states=(was("warned"),), unapplied=(received(),)), returns("warned")),
    # --- who is judged by what ---
    "a_segment_may_have_its_own_policy": (Facts((owed(),), segments={"key": {"states": [COUNTS[1]]}}, accounts=(customer(segment="key"),)), STAYS),
    "other_segments_have_the_one_for_all": (Facts((owed(),), segments={"key": {"states": [COUNTS[1]]}}, accounts=(customer(segment="small"),)), goes("warned")),
    "an_account_nobody_has_landed_too": (Facts((owed(),), segments={"key": {"states": [COUNTS[1]]}}), goes("warned")),
}  # fmt: skip


@pytest.fixture(scope="module")
def all_of_them(spark, tmp_path_factory):
    """All cases in one job, each as a tenant of its own, with accounts and documents of the same names."""
    told = evaluated(spark, {case: facts for case, (facts, _) in CASES.items()}, tmp_path_factory.mktemp("cases"))
    found = {case: [] for case in CASES}
    for case, *row in collected(told.candidates, "tenant_id", *SHOWN):
        found[case].append(tuple(row))
    moved = {case: [] for case in CASES}
    for case, *row in collected(told.changes, "tenant_id", "account_id", "state", "previous_state"):
        moved[case].append(tuple(row))
    evidence = {
        row[0]: row[1:] for row in collected(told.candidates, "tenant_id", "held_because", "document_ids", "policy_rule")
    }
    return found, moved, evidence


@pytest.mark.parametrize("case", CASES)
def test_an_account_is_nominated_for_what_counts(all_of_them, case):
    assert all_of_them[0][case] == CASES[case][1]


@pytest.mark.parametrize("case", CASES)
def test_who_is_not_held_enters_the_state_and_nobody_else_does(all_of_them, case):
    written = {row["account_id"]: row["state"] for row in CASES[case][0].states if row["valid_from"] == str(DAY)}
    expected = [(a, to, start) for a, action, start, to, *_ in CASES[case][1] if action != "hold" and written.get(a) != to]
    assert all_of_them[1][case] == expected


def test_a_nomination_shows_its_evidence(all_of_them):
    evidence = all_of_them[2]
    assert evidence["two_suspend"] == (None, ["d-1", "d-2"], "p0 v1: suspended")
    assert evidence["who_owes_nothing_returns"][2].endswith(": no condition holds")
    told = {
        case: evidence[case][0]
        for case in ("several_receipts_add_up", "a_suggestion_covers_too", "an_open_credit_note_covers_too")
    }
    assert told == {
        "several_receipts_add_up": "unapplied receipt t-1, unapplied receipt t-2: 100.000 EUR could cover the debt",
        "a_suggestion_covers_too": "suggested receipt t-1: 100.000 EUR could cover the debt",
        "an_open_credit_note_covers_too": "open credit c-1: 100.000 EUR could cover the debt",
    }


def test_a_day_decided_once_more_takes_back_what_no_longer_holds(spark, tmp_path):
    told = evaluated(spark, {"alpha": Facts(items=(owed(open_amount="0"),), states=(was("warned", str(DAY)),))}, tmp_path)
    assert collected(told.candidates) == []
    assert collected(told.changes, "state", "previous_state", "policy_rule") == [
        ("current", "warned", "p0 v1: decided once more")
    ]


WRONG = {
    "two_things_at_once": (when({"unpaid_count": 1, "oldest_overdue_days": 1}), "says exactly one thing"),
    "nothing": (when({}), "this one says 0"),
    "all_of_nothing": (when({"all": []}), "at least 1 item"),
    "a_float_of_nothing": (when({"overdue_balance": {"EUR": "0"}}), "positive amount"),
    "a_currency_that_is_none": (when({"overdue_balance": {"euro": "1"}}), "pattern"),
    "a_typo": (when({"unpaid": 1}), "Extra inputs"),
    "one_name_twice": ({"states": [COUNTS[0], COUNTS[0]]}, "a name of its own"),
    "a_state_called_hold": ({"states": [COUNTS[0] | {"name": "hold"}]}, "none is called current, hold or reinstate"),
    "a_share_above_all": ({"share_max": "1.1"}, "less than or equal to 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_policy_is_refused(case):
    with pytest.raises(ValueError, match=WRONG[case][1]):
        policy(**WRONG[case][0])


def test_the_policy_of_tenant_and_segment_goes_before_those_of_either():
    named = {
        "nobody": {}, "tenant": {"tenants": ["alpha"]}, "segment": {"segments": ["key"]}, "both": {"tenants": ["alpha"], "segments": ["key"]},
        "late": {"tenants": ["gamma"], "valid_from": DAY.isoformat()},
    }  # fmt: skip

    def settings(*names):
        return Settings.model_validate({"policies": [policy(id=name, **named[name]).model_dump() for name in names]})

    def told(names, tenant="alpha"):
        return {segment: found.id for segment, found in settings(*names).of(tenant, DAY).items()}

    assert told(["nobody", "tenant", "segment", "both"]) == {None: "tenant", "key": "both"}
    assert told(["nobody", "tenant", "segment"]) == {None: "tenant"}
    assert told(["nobody", "segment"]) == {None: "nobody", "key": "segment"}
    assert told(["nobody", "tenant", "segment", "both"], "beta") == {None: "nobody", "key": "segment"}
    assert settings("nobody", "late").of("gamma", DAY)[None].id == "late"
    assert settings("nobody", "late").of("gamma", DAY.replace(day=30))[None].id == "nobody"
    with pytest.raises(ConfigError, match="no policy for all segments of tenant beta"):
        settings("tenant").of("beta", DAY)
    with pytest.raises(ValueError, match="hold for one tenant and segment"):
        Settings.model_validate({"policies": [policy().model_dump(), policy(id="other").model_dump()]})


def test_whoever_approves_reads_how_many_what_they_owe_and_one_example(spark):
    def row(account, action, owed=None, currency=None, because=None):
        return {
            "tenant_id": "alpha",
            "account_id": account,
            "action": action,
            "currency": currency,
            "overdue_balance": owed,
            "held_because": because,
        }

    staged = table_of(
        spark,
        CANDIDATES,
        [
            row("a-2", "warned", "1000.50", "EUR"),
            row("a-1", "warned", "2.00", "EUR"),
            row("a-3", "warned", "7", "GBP"),
            row("a-4", "hold", "5", "EUR", "cash of 5 EUR is unapplied"),
            row("a-5", "reinstate"),
        ],
    )
    assert told(by_action(staged).collect()).splitlines() == [
        "Nominated:",
        "  - hold: 1 accounts, 5.00 EUR overdue, e.g. a-4 of alpha, cash of 5 EUR is unapplied",
        "  - reinstate: 1 accounts, e.g. a-5 of alpha",
        "  - warned: 2 accounts, 1,002.50 EUR overdue, e.g. a-1 of alpha",
        "  - warned: 1 accounts, 7.00 GBP overdue, e.g. a-3 of alpha",
    ]
    assert told([]) == "Nobody is nominated."

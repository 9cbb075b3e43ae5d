"""Accepted payables to what becomes of them: paid on which day and how, not due yet, or waiting for which reasons."""

from __future__ import annotations

import pytest

from jobs.payment_planning import terms, transforms
from jobs.payment_planning.settings import Settings
from jobs.payment_planning.transforms import BEFORE, NOT_DUE, NOW, WAITING
from jobs.runtime.errors import ConfigError
from tests.builders import collected, frame
from tests.payment_planning.payables import BRITISH, decided, instructed, payer, planned, policy, vendor

NEXT = {"business_day": "next"}
NET = {"credit_notes": "net"}
SHOWN = ("payable_id", "status", "value", "method", "why")


def paid(day, method="sepa", payable="p-1"):
    return [(payable, NOW, f"2026-07-{day:02d}", method, "")]


def waits(*reasons, payable="p-1"):
    return [(payable, WAITING, None, None, " ".join(reasons))]


LATER = [("p-1", NOT_DUE, None, None, "")]
CASES = {
    # case: (payables, vendors, policy, payer, instructed before, (payable, status, value date, method, reasons))
    "paid_on_its_due_date": ([decided()], None, {}, {}, [], paid(6)),
    "an_overdue_one_is_paid_today": ([decided(due="2026-05-01")], None, {}, {}, [], paid(1)),
    "years_overdue_is_paid_today_too": ([decided(due="2013-05-01")], None, {}, {}, [], paid(1)),
    "a_sunday_moves_to_the_friday_before": ([decided(due="2026-07-05")], None, {}, {}, [], paid(3)),
    "or_to_the_monday_after_by_policy": ([decided(due="2026-07-05")], None, NEXT, {}, [], paid(6)),
    "the_last_day_of_the_horizon_is_due": ([decided(due="2026-07-08")], None, {}, {}, [], paid(8)),
    "the_day_after_is_not": ([decided(due="2026-07-09")], None, {}, {}, [], LATER),
    "a_move_back_brings_it_into_the_horizon": ([decided(due="2026-07-05")], None, {"horizon_days": 2}, {}, [], paid(3)),
    "a_move_on_takes_it_out": ([decided(due="2026-07-04")], None, NEXT | {"horizon_days": 3}, {}, [], LATER),
    "a_year_away_is_not_due": ([decided(due="2027-07-01")], None, {}, {}, [], LATER),
    "a_holiday_of_the_payers_country_is_no_business_day": (  # 3 July 2026, kept for the 4th, a Saturday
        [decided(due="2026-07-04", currency="USD")], None, {}, {"country": "US", "timezone": "America/New_York"}, [], paid(2, "transfer"),
    ),
    "nor_is_one_of_the_currencys_market": ([decided(due="2026-07-03", currency="USD")], None, {}, {}, [], paid(2, "transfer")),
    "after_the_cut_off_of_the_payers_clocks_it_is_tomorrow": (  # 09:59 UTC is 18:59 in Tokyo
        [decided(due="2026-07-01", currency="JPY")], None, {}, {"country": "JP", "timezone": "Asia/Tokyo"}, [], paid(2, "transfer"),
    ),
    "a_cut_off_that_is_reached_is_past": ([decided(due="2026-07-01")], None, {"cut_offs": {"sepa": "11:59:59", "transfer": "15:00", "immediate": "15:00"}}, {}, [], paid(2)),
    "what_is_late_is_paid_even_beyond_a_short_horizon": (
        [decided(due="2026-07-01")], None, {"horizon_days": 0, "cut_offs": {"sepa": "01:00", "transfer": "15:00", "immediate": "15:00"}}, {}, [], paid(2),
    ),
    "the_due_date_goes_before_the_terms": ([decided(due="2026-07-07", terms="net 2")], None, {}, {}, [], paid(7)),
    "even_before_terms_nobody_understands": ([decided(due="2026-07-07", terms="soon")], None, {}, {}, [], paid(7)),
    "the_invoices_terms_go_before_the_vendors": ([decided(due=None, terms="net 2")], [vendor(terms="net 6")], {}, {}, [], paid(2)),
    "the_vendors_before_the_policys": ([decided(due=None)], [vendor(terms="net 6")], {"default_terms": "2"}, {}, [], paid(6)),
    "the_policys_where_nobody_says_anything": ([decided(due=None, terms=" ")], None, {"default_terms": "2"}, {}, [], paid(2)),
    "without_an_invoice_date_they_run_from_receipt": ([decided(due=None, invoice_date=None, terms="7", received_on="2026-06-30")], None, {}, {}, [], paid(7)),
    "at_once_is_the_first_possible_day": ([decided(due=None, terms="Due on  Receipt")], None, {}, {}, [], paid(1, "immediate")),
    "a_vendor_may_always_be_paid_at_once": ([decided(due="2026-09-01")], [vendor(payment_method="Instant")], {}, {}, [], paid(1, "immediate")),
    "terms_nobody_understands_wait": ([decided(due=None, terms="when it suits")], None, {}, {}, [], waits("unknown_terms")),
    "terms_without_any_date_wait": ([decided(due=None, invoice_date=None, received_on=None)], None, {}, {}, [], waits("unknown_terms")),
    "euros_within_the_area_go_by_sepa": ([decided()], [vendor(iban=BRITISH)], {}, {}, [], paid(6)),
    "other_currencies_are_transfers": ([decided(currency="GBP")], None, {}, {}, [], paid(6, "transfer")),
    "so_are_euros_out_of_the_area": ([decided()], [vendor(iban="BR1800360305000010009795493C1")], {}, {}, [], paid(6, "transfer")),
    "and_to_accounts_that_are_no_iban": ([decided()], [vendor(iban="021000021-123456")], {}, {}, [], paid(6, "transfer")),
    "a_vendor_may_ask_for_a_transfer": ([decided()], [vendor(payment_method="bank transfer")], {}, {}, [], paid(6, "transfer")),
    "an_iban_may_be_written_in_groups": ([decided()], [vendor(iban="fr14 2004 1010 0505 0001 3m02 606")], {}, {}, [], paid(6)),
    "wrong_check_digits_wait": ([decided()], [vendor(iban="FR1520041010050500013M02606")], {}, {}, [], waits("creditor_account_invalid")),
    "a_vendor_blocked_since_waits": ([decided()], [vendor(), vendor(status="Blocked", valid_from="2026-06-30", row_number=2)], {}, {}, [], waits("vendor_blocked")),
    "one_blocked_from_tomorrow_on_is_still_paid": ([decided()], [vendor(), vendor(status="blocked", valid_from="2026-07-02", row_number=2)], {}, {}, [], paid(6)),
    "a_vendor_without_an_account_waits": ([decided()], [vendor(iban=" ")], {}, {}, [], waits("no_creditor_account")),
    "an_unknown_vendor_waits": ([decided()], [], {}, {}, [], waits("vendor_unknown")),
    "a_currency_nobody_pays_waits": ([decided(currency="CHF")], None, {}, {}, [], waits("no_paying_account")),
    "a_way_of_paying_nobody_named_waits": ([decided()], [vendor(payment_method="cheque")], {}, {}, [], waits("unsupported_method")),
    "nothing_cannot_be_paid": ([decided(amount="0")], None, {}, {}, [], waits("amount_not_payable")),
    "nor_half_a_yen": ([decided(amount="100.5", currency="JPY")], None, {}, {}, [], waits("amount_not_payable")),
    "nor_a_tenth_of_a_cent": ([decided(amount="0.125")], None, {}, {}, [], waits("amount_not_payable")),
    "every_reason_is_told": (
        [decided(due=None, terms="?", currency="CHF")], [vendor(status="blocked", iban=None)], {}, {}, [],
        waits("vendor_blocked", "no_creditor_account", "no_paying_account", "unknown_terms"),
    ),
    "what_is_not_due_says_already_why_it_will_wait": ([decided(due="2026-09-01")], [], {}, {}, [], waits("vendor_unknown")),
    "paid_before_is_not_paid_again": ([decided()], None, {}, {}, [instructed()], [("p-1", BEFORE, None, None, "")]),
    "paid_before_even_if_the_vendor_is_gone": ([decided()], [], {}, {}, [instructed()], [("p-1", BEFORE, None, None, "vendor_unknown")]),
    "a_held_payable_is_not_spoken_of": ([decided(decision="hold"), decided("p-2")], None, {}, {}, [], paid(6, payable="p-2")),
    "the_latest_decision_stands": ([decided(), decided(decision="reject", decided_at="2026-07-01T09"), decided("p-2")], None, {}, {}, [], paid(6, payable="p-2")),
    "a_credit_note_is_left_open": ([decided("p-1", "-10", document_type="credit_note")], None, {}, {}, [], waits("credit_note_left_open")),
    "one_that_is_positive_is_wrong": ([decided("p-1", "10", document_type="credit_note")], None, NET, {}, [], waits("amount_not_payable")),
    "netted_it_joins_the_vendors_largest_payment": (
        [decided("p-1", "100"), decided("p-2", "300", due="2026-07-07"), decided("c-1", "-10", due="2026-12-01", document_type="credit_note"), decided("c-2", "-20")],
        None, NET, {}, [], [*paid(7, payable="c-1"), *paid(7, payable="c-2"), *paid(6), *paid(7, payable="p-2")],
    ),
    "what_would_leave_nothing_to_pay_waits": (
        [decided(), decided("c-1", "-100")], None, NET, {}, [], [*waits("credit_note_left_open", payable="c-1"), *paid(6)],
    ),
    "a_credit_note_with_no_payment_waits": ([decided("c-1", "-1")], None, NET, {}, [], waits("credit_note_left_open", payable="c-1")),
    "another_currencys_payment_is_no_payment": (
        [decided(currency="GBP"), decided("c-1", "-1")], None, NET, {}, [], [*waits("credit_note_left_open", payable="c-1"), *paid(6, "transfer")],
    ),
    "another_vendors_neither": (
        [decided(vendor_id="v-2"), decided("c-1", "-1")], [vendor(), vendor(vendor_id="v-2")], NET, {}, [],
        [*waits("credit_note_left_open", payable="c-1"), *paid(6)],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def all_plans(spark):
    """All cases in one job, each as a tenant of its own; no join may cross tenants."""
    payables, vendors, before, owners = [], [], [], {}
    for case, (told, known, rules, who, done, _) in CASES.items():
        mine = {"tenant_id": case, "legal_entity_id": f"{case.replace('_', '-')}-one"}
        payables += [row | mine for row in told]
        vendors += [row | {"tenant_id": case} for row in ([vendor()] if known is None else known)]
        before += [row | {"tenant_id": case} for row in done]
        owner = payer(case.replace("_", "-"), **who)
        owners[case] = (owner.model_copy(update={"tenant": case}), policy(**rules))
    plan = planned(spark, payables, vendors, owners, before)
    shown = plan.selectExpr(
        "tenant_id", "payable_id", "status",
        f"CASE WHEN status = '{NOW}' THEN CAST(value_date AS STRING) END AS value", f"CASE WHEN status = '{NOW}' THEN method END AS method",
        "array_join(reasons, ' ') AS why",
    )  # fmt: skip
    found = {case: [] for case in CASES}
    for case, *row in collected(shown, "tenant_id", *SHOWN):
        found[case].append(tuple(row))
    return found


@pytest.mark.parametrize("case", CASES)
def test_every_accepted_payable_is_paid_not_due_or_waits_for_a_reason(all_plans, case):
    assert sorted(all_plans[case]) == sorted(CASES[case][5])


TERMS = {  # terms of an invoice of 31 January 2026 -> when it falls due
    "immediate": "2026-01-31", "Cash on Delivery": "2026-01-31", "0": "2026-01-31", "net 0": "2026-01-31", "0 days": "2026-01-31",
    "30": "2026-03-02", "NET30": "2026-03-02", "net 30 days": "2026-03-02", "n/30": "2026-03-02", "30 days net": "2026-03-02", "  net   30 ": "2026-03-02",
    "030": "2026-03-02", "1 day": "2026-02-01", "2/10 net 30": "2026-03-02", "2% 10, n/30": "2026-03-02",
    "eom": "2026-01-31", "EOM+10": "2026-02-10", "eom 10": "2026-02-10", "end of month + 10 days": "2026-02-10",
    "net 30 eom": "2026-03-31", "30 days end of month": "2026-03-31",
    "10 eom": None, "net": None, "soon": None, "net 30 or so": None, "-5": None, "net 1000": None, "15th": None, "2/10": None, "": None,
}  # fmt: skip


def test_terms_are_read_by_the_grammar_and_nothing_is_guessed(spark):
    rows = frame(spark, "terms string, day date", [{"terms": text, "day": "2026-01-31"} for text in TERMS])
    due = rows.select("terms", terms.due_date(rows["terms"], rows["day"]).cast("string").alias("due"))
    assert dict(collected(due)) == TERMS
    assert {text for text in TERMS if text and terms.understood(text)} == {text for text, day in TERMS.items() if day}


def test_two_decisions_of_one_hour_are_told_apart_by_their_publications(spark):
    from jobs.payable_validation.tables import DECISIONS
    from tests.builders import table_of

    rows = [decided(publication_id="z-first"), decided(decision="hold", publication_id="a-second")]
    order = frame(
        spark,
        "publication_id string, place int",
        [{"publication_id": "z-first", "place": 0}, {"publication_id": "a-second", "place": 1}],
    )
    assert collected(transforms.latest(table_of(spark, DECISIONS, rows), order), "decision") == [("hold",)]


WRONG_POLICIES = {
    "terms_outside_the_grammar": ({"default_terms": "soon"}, "not in the grammar"),
    "a_country_without_calendar": ({"subdivisions": {"ZZ": "X"}}, "no holiday calendar of country 'ZZ'"),
    "a_part_that_is_none": ({"subdivisions": {"GB": "ENGLAND"}}, "is no part of GB"),
    "a_method_without_cut_off": ({"cut_offs": {"sepa": "15:00"}}, "no cut-off of immediate, transfer"),
    "an_unknown_key": ({"horizon": 3}, "Extra inputs"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_POLICIES)
def test_a_wrong_policy_is_refused(case):
    wrong, says = WRONG_POLICIES[case]
    with pytest.raises(ValueError, match=says):
        policy(**wrong)


def test_two_policies_of_one_tenant_may_not_hold_on_one_day():
    one, other = policy().model_dump(), policy(version=2, valid_from="2026-01-01").model_dump()
    with pytest.raises(ValueError, match="test v1 and test v2 hold for one tenant on one day"):
        Settings.model_validate({"policies": [one, other]})
    Settings.model_validate({"policies": [one | {"valid_to": "2026-01-01"}, other]})


def test_a_tenants_own_policy_goes_before_the_one_for_all_and_a_day_without_any_is_refused():
    from datetime import date

    both = Settings.model_validate(
        {"policies": [policy().model_dump(), policy(id="own", tenants=["alpha"], valid_from="2026-07-01").model_dump()]}
    )
    told = [
        both.of(tenant, date.fromisoformat(day)).rule
        for tenant, day in (("alpha", "2026-07-01"), ("alpha", "2026-06-30"), ("beta", "2026-07-01"))
    ]
    assert told == ["own v1", "test v1", "test v1"]
    with pytest.raises(ConfigError, match="no policy of tenant beta on 1999-01-01"):
        both.of("beta", date(1999, 1, 1))

"""Two runs issue one month, whichever way they meet: each charge is invoiced once, each number has its document, whoever dies."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from jobs.invoice_generation import job
from jobs.runtime import identities
from jobs.runtime.contract import NOTHING_TO_DO, Invocation
from jobs.runtime.errors import Superseded, UpstreamMissing
from jobs.runtime.verbs import audit, publish, run_stage, write
from tests.builders import (
    ALPHA,
    asked,
    at_point,
    collected,
    conf_file,
    dies,
    dropped,
    goes_through,
    moved_in,
    published,
    tenant_conf,
)
from tests.homes import forget_home

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow

JULY, AUGUST = "2026-07", "2026-08"
ACCOUNTS = "account,name,country,currency\na-1,Ada Somebody,GB,GBP\na-2,Bob Somebody,GB,GBP\n"
PRICE = "price,product,currency,since,unit_price,until,only\n"
PRICES = PRICE + "p-1,storage,GBP,2026-01-01,0.05,,\n"
AGREED = PRICE + "p-2,storage,GBP,2026-07-01,0.03,2026-08-01,a-1\n"  # for that month, afterwards
HEAD = "id,account,product,at,units\n"
EARLY = HEAD + "r-1,a-1,storage,2026-07-10 12:00:00,1000\n"
LATE = HEAD + "r-2,a-2,storage,2026-07-11 12:00:00,3000\n"
NEXT = HEAD + "r-3,a-1,storage,2026-08-10 12:00:00,1000\n"


@pytest.fixture(scope="module")
def charged(spark, shared_home):
    """July is charged: usage of one customer."""
    moved_in(shared_home, {ALPHA: EARLY}, accounts=ACCOUNTS)
    conf = tenant_conf(ALPHA)
    conf["feeds"]["prices"]["columns"] |= {"valid_to": "until", "account_id": "only"}
    conf_file(shared_home, f"tenants/{ALPHA}.yaml", conf)
    dropped(shared_home, ALPHA, "prices", "prices.csv", PRICES)
    goes_through(JULY, "ingestion", "billing_aggregation")
    return shared_home


@pytest.fixture
def month(charged, home):
    """The same in a home of the test's own."""
    shutil.copytree(charged, home, dirs_exist_ok=True)
    forget_home()
    return home


def drafted(key: str, stage: str = "invoice_generation", lane: str = "main") -> Invocation:
    """A run of July up to its publication."""
    run = replace(asked(stage, ALPHA, key=key, period=JULY), lane=lane)
    assert write(run).status == "done"
    assert audit(run).status == "done"
    return run


def lands_late(home):
    """Usage of another customer lands."""
    dropped(home, ALPHA, "usage", "late.csv", LATE)
    run_stage(asked("ingestion", ALPHA, key="late", period=JULY))


def charged_again():
    """July is charged again; returns how that ended."""
    return run_stage(asked("billing_aggregation", ALPHA, key="again", period=JULY)).status


def issued_again():
    """July is issued again; returns how that ended."""
    return run_stage(asked("invoice_generation", ALPHA, key="again", period=JULY)).status


def net(spark, month):
    return collected(published(spark, "invoicing.invoices", month), "account_id", "net_amount")


def everything_holds(spark, home):
    """Every identity; a register in which each number has its document; nothing left of July; and August bills the rest, once."""
    for _ in range(2):
        assert [finding for finding in identities.verify() if finding.broken] == []
        assert identities.reserved_only() == 0
        taken = sorted(row["number"] for row in published(spark, "invoicing.number_register").collect())
        documents = sorted(row["number"] for row in published(spark, "invoicing.invoices").collect())
        assert taken == documents == list(range(1, len(taken) + 1))
        assert [charged_again(), issued_again()] == [NOTHING_TO_DO, NOTHING_TO_DO]
        dropped(home, ALPHA, "usage", "august.csv", NEXT)
        goes_through(AUGUST, "ingestion", "billing_aggregation", "invoice_generation")


ONE, BOTH = [("a-1", "50")], [("a-1", "50"), ("a-2", "150")]  # what is invoiced of the usage that came early, and of all
LESS = [("a-1", "30")]  # with what July was charged too much


def test_whoever_began_later_goes_on_and_the_other_takes_no_number(spark, month):
    earlier, later = drafted("earlier"), drafted("later")
    with pytest.raises(Superseded, match="attempt 2 has taken over from attempt 1"):
        publish(earlier)
    assert published(spark, "invoicing.number_register").count() == 0
    assert publish(later).status == "done"
    assert net(spark, JULY) == ONE
    everything_holds(spark, month)


def test_one_that_was_overtaken_and_died_is_not_issued_beside_the_other(spark, month, monkeypatch):
    earlier, later = drafted("earlier"), drafted("later")
    at_point(monkeypatch, "publish:started", dies)
    with pytest.raises(KeyboardInterrupt):
        publish(earlier)
    assert publish(later).status == "done"
    assert net(spark, JULY) == ONE
    everything_holds(spark, month)


AFTER_THE_FREEZE = ("publish:frozen", "publish:numbered", "publish:after:invoicing.invoices")


@pytest.mark.parametrize("point", AFTER_THE_FREEZE)
def test_a_month_that_was_frozen_is_issued_as_it_was_then_although_its_run_died(spark, month, monkeypatch, point):
    at_point(monkeypatch, point, dies)
    with pytest.raises(KeyboardInterrupt):
        publish(drafted("earlier"))
    lands_late(month)
    assert published(spark, "billing.waiting", JULY).count() == 1
    assert charged_again() == NOTHING_TO_DO
    assert issued_again() == NOTHING_TO_DO, "it was rolled forward"
    assert net(spark, JULY) == ONE
    everything_holds(spark, month)
    assert net(spark, AUGUST) == BOTH


@pytest.mark.parametrize("point", AFTER_THE_FREEZE)
def test_whoever_comes_when_a_month_is_frozen_issues_it_as_it_was_then(spark, month, monkeypatch, point):
    def another_comes():
        lands_late(month)
        assert [charged_again(), issued_again()] == [NOTHING_TO_DO, NOTHING_TO_DO]
        assert net(spark, JULY) == ONE

    at_point(monkeypatch, point, another_comes)
    with pytest.raises(Superseded, match="has taken over from attempt 1"):
        publish(drafted("earlier"))
    assert net(spark, JULY) == ONE
    everything_holds(spark, month)
    assert net(spark, AUGUST) == BOTH


def test_documents_of_charges_that_changed_meanwhile_are_made_again(spark, month):
    run = drafted("earlier")
    lands_late(month)
    assert charged_again() == "done"
    assert publish(run).status == "done"
    assert net(spark, JULY) == BOTH
    everything_holds(spark, month)


def test_usage_that_came_after_the_drafts_is_charged_before_the_month_is_issued(spark, month):
    run = drafted("earlier")
    lands_late(month)
    with pytest.raises(UpstreamMissing, match="was landed after its charges were made"):
        publish(run)
    assert [charged_again(), issued_again()] == ["done", "done"]
    assert net(spark, JULY) == BOTH
    everything_holds(spark, month)


def test_usage_that_was_being_landed_when_the_month_was_frozen_waits_for_an_open_month(spark, month):
    issue = drafted("issue")
    dropped(month, ALPHA, "usage", "late.csv", LATE)
    landing = drafted("landing", "ingestion")
    assert publish(issue).status == "done"
    assert publish(landing).status == "done"
    assert published(spark, "billing.waiting", JULY).count() == 1
    assert net(spark, JULY) == ONE
    everything_holds(spark, month)
    assert net(spark, AUGUST) == BOTH


def cheaper(home):
    """Ada's price of July is agreed afterwards."""
    dropped(home, ALPHA, "prices", "agreed.csv", AGREED)
    run_stage(asked("ingestion", ALPHA, key="agreed", period=JULY))


def test_charges_that_were_under_way_when_the_month_was_frozen_come_too_late(spark, month):
    issue = drafted("issue")
    cheaper(month)
    charge = drafted("charge", "billing_aggregation")
    assert publish(issue).status == "done"
    with pytest.raises(Superseded, match="has taken over"):
        publish(charge)
    assert net(spark, JULY) == ONE
    everything_holds(spark, month)
    assert net(spark, AUGUST) == LESS


def test_charges_that_were_cut_short_before_the_month_was_frozen_are_never_rolled_forward(spark, month, monkeypatch):
    issue = drafted("issue")
    cheaper(month)
    at_point(monkeypatch, "publish:after:billing.charges", dies)
    with pytest.raises(KeyboardInterrupt):
        charged_again()
    assert publish(issue).status == "done"
    assert net(spark, JULY) == ONE
    everything_holds(spark, month)
    assert net(spark, AUGUST) == LESS


@pytest.mark.parametrize("lane", ["main", "documents"])
def test_what_is_published_while_another_run_looks_what_there_is_to_do_is_seen_by_it(spark, month, monkeypatch, lane):
    if lane == "documents":
        assert issued_again() == "done"
    first, honest, left = drafted("first", lane=lane), job.plan, [True]

    def plan(*told):
        planned = honest(*told)
        if left and left.pop():
            assert publish(first).status == "done"
        return planned

    monkeypatch.setattr(job, "plan", plan)
    second = replace(asked("invoice_generation", ALPHA, key="second", period=JULY), lane=lane)
    assert write(second).status == NOTHING_TO_DO
    assert published(spark, "invoicing.documents", JULY).count() == (2 if lane == "documents" else 0)
    assert net(spark, JULY) == ONE
    everything_holds(spark, month)

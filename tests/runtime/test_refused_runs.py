"""Runs that are refused before anything is staged: out of order, or asked for something that is not."""

from __future__ import annotations

import pytest

from jobs.runtime.errors import CallError, Refused, UpstreamMissing
from jobs.runtime.verbs import perform, run_stage
from tests.builders import ALPHA, USAGE_FILE, asked, moved_in


@pytest.fixture(scope="module")
def house(spark, shared_home):
    """One tenant's files, landed and not ingested."""
    moved_in(shared_home, {ALPHA: USAGE_FILE})
    return shared_home


def test_nothing_is_invoiced_before_it_was_charged(house):
    with pytest.raises(
        UpstreamMissing, match="no charges of tenant alpha were published.*Run billing_aggregation of 2026-07 first"
    ):
        run_stage(asked("invoice_generation", ALPHA))
    with pytest.raises(Refused, match="no usage of tenant alpha was published"):
        run_stage(asked("billing_aggregation", ALPHA))


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        pytest.param("audit", "its write never ended well", id="audit_without_write"),
        pytest.param("publish", "its write never ended well", id="publish_without_write"),
    ],
)
def test_a_verb_without_the_one_before_it_is_refused(house, verb, said):
    with pytest.raises(Refused, match=said):
        perform(verb, asked("billing_aggregation", ALPHA, key="out of order"))


def test_an_unknown_verb_is_refused(house):
    with pytest.raises(CallError, match="unknown verb 'pubish'"):
        perform("pubish", asked("billing_aggregation", ALPHA))


def test_an_issue_date_that_is_none_is_refused(house):
    with pytest.raises(CallError, match="issue date 'soon' is not a date"):
        run_stage(asked("invoice_generation", ALPHA, key="soon", issue_date="soon"))

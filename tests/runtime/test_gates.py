"""A gate that says nothing has said no; what it says names tenants, counts and one example."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from pyspark.sql import functions as F

from expectations.billing_aggregation import conservation
from jobs.runtime import data_docs
from jobs.runtime.environment import reports
from jobs.runtime.gates import SUITE_FAILED, Judgement, Verdict, _read, judge, message
from tests.builders import charged, charges, failures, frame, judged

COLUMNS = (
    "tenant_id string, period date, product_id string, accepted_quantity decimal(38,21), charged_quantity decimal(38,21), "
    "accepted_rows bigint, charged_rows bigint"
)


def row(tenant, **more):
    return {
        "tenant_id": tenant,
        "period": "2026-07-01",
        "product_id": "p",
        "accepted_quantity": "1",
        "charged_quantity": "1",
        "accepted_rows": 1,
        "charged_rows": 1,
    } | more


def test_a_frame_without_a_column_fails_every_tenant(spark, shared_home):
    told = judged("billing_aggregation", "charges", charges(spark, charged()).drop("amount"), ["alpha", "beta"])
    assert set(told.held) == {"alpha", "beta"}
    assert SUITE_FAILED in {verdict.expectation for verdict in told.held["beta"]}


def test_a_frame_that_cannot_be_computed_fails_every_tenant(spark, shared_home):
    rows = frame(spark, COLUMNS, [row("alpha")]).repartition(2)  # so that it fails when it is computed, not before
    broken = rows.withColumn("accepted_rows", F.expr("accepted_rows div (accepted_rows - 1)"))
    told = judged("billing_aggregation", "conservation", broken, ["alpha", "beta"])
    assert set(told.held) == {"alpha", "beta"}


def test_every_failing_tenant_is_named_beyond_the_number_of_rows_that_great_expectations_hands_back(spark, shared_home):
    names = [f"t-{n:03d}" for n in range(260)]
    rows = frame(spark, COLUMNS, [row(name, charged_rows=2 if n else 1) for n, name in enumerate(names)])
    assert sorted(judged("billing_aggregation", "conservation", rows, names).held) == names[1:]


def test_a_failing_tenant_that_is_not_in_the_run_holds_everybody(spark, shared_home):
    told = judged(
        "billing_aggregation",
        "conservation",
        frame(spark, COLUMNS, [row("alpha"), row("stranger", charged_rows=2)]),
        ["alpha"],
    )
    assert {verdict.expectation for verdict in told.held["alpha"]} == {SUITE_FAILED}


def test_suites_side_by_side_look_each_at_its_own_frame_and_one_that_crashes_takes_no_other_with_it(spark, shared_home):
    frames = {
        "conservation": frame(spark, COLUMNS, [row("alpha"), row("beta", charged_rows=2)]),
        "charges": charges(spark, charged()).drop("amount"),
        "adjustments": frame(spark, "tenant_id string", []),
    }
    gates = ["charges", "conservation", "adjustments"]
    told = judge("billing_aggregation", frames, gates, ["alpha", "beta"], "test.1")
    assert not [view for view in spark.catalog.listTables() if view.name.startswith("batch")], (
        "it would be kept with its plan"
    )
    assert list(dict.fromkeys(verdict.suite for verdict in told.verdicts)) == [
        f"billing_aggregation.{gate}" for gate in gates
    ]
    of_conservation = [verdict for verdict in told.verdicts if verdict.suite.endswith(".conservation")]
    assert {verdict.tenant_id for verdict in of_conservation if not verdict.success} == {"beta"}
    for gate in ("charges", "adjustments"):
        crashed = [verdict for verdict in told.verdicts if verdict.suite.endswith(f".{gate}")]
        assert {(verdict.tenant_id, verdict.expectation) for verdict in crashed} >= {
            ("alpha", SUITE_FAILED), ("beta", SUITE_FAILED)}  # fmt: skip


def test_a_run_leaves_pages_and_no_suite_that_another_run_could_lose(spark, shared_home):
    judged("billing_aggregation", "conservation", frame(spark, COLUMNS, [row("alpha")]), ["alpha"])
    judged("billing_aggregation", "charges", charges(spark, charged()), ["alpha"])
    gates = reports() / "gates"
    for page in ("conservation", "charges"):  # nor does the second take the first one's page away
        assert (gates / "uncommitted/data_docs/local_site/expectations/billing_aggregation" / f"{page}.html").exists()
    assert [*gates.glob("uncommitted/data_docs/local_site/validations/**/*.html")]
    assert not [*gates.glob("expectations/**/*.json"), *gates.glob("validation_definitions/**/*.json")]


def test_the_index_lists_the_latest_results_and_the_pages_of_the_others_stay(spark, shared_home, monkeypatch):
    monkeypatch.setattr(data_docs, "LISTED", 1)
    site = reports() / "gates" / "uncommitted" / "data_docs" / "local_site"
    before = set(site.glob("validations/**/*.html"))
    for _ in range(2):
        judged("billing_aggregation", "conservation", frame(spark, COLUMNS, [row("alpha")]), ["alpha"])
    assert len(set(site.glob("validations/**/*.html")) - before) == 2
    assert len(set(re.findall(r"validations/[^'\"?]+", (site / "index.html").read_text()))) == 1


def test_templates_of_pages_are_compiled_once_a_process():
    assert data_docs.Page().env is data_docs.Page().env
    assert data_docs.IndexPage().env is data_docs.IndexPage().env


def test_a_gate_nobody_wrote_does_not_pass(spark, shared_home):
    with pytest.raises(AttributeError, match="no_such_gate"):
        judge("billing_aggregation", {"no_such_gate": charges(spark)}, ["no_such_gate"], ["alpha"], "test.1")


def outcome(expectation, success=True, rows=(), raised=False):
    """A result as Great Expectations hands it over."""
    return SimpleNamespace(
        expectation_config=SimpleNamespace(description=expectation.description),
        success=success,
        result={"observed_value": len(rows), "details": {"unexpected_rows": list(rows)}},
        exception_info={"raised_exception": raised},
    )


FIRST, SECOND = conservation().expectations
RESULTS = {
    # case: (results, tenants held)
    "all_passed": ([outcome(FIRST), outcome(SECOND)], set()),
    "one_is_missing": ([outcome(FIRST)], {"alpha", "beta"}),
    "all_are_missing": ([], {"alpha", "beta"}),
    "one_raised": ([outcome(FIRST), outcome(SECOND, success=False, raised=True)], {"alpha", "beta"}),
    "one_failed_and_names_nobody": ([outcome(FIRST), outcome(SECOND, success=False)], {"alpha", "beta"}),
    "one_failed_for_one": (
        [outcome(FIRST), outcome(SECOND, False, [{"tenant_id": "beta", "failing": 3, "example": "p"}])],
        {"beta"},
    ),
}


@pytest.mark.parametrize("case", RESULTS)
def test_a_missing_result_counts_as_failed(case):
    results, held = RESULTS[case]
    judgement = Judgement(tuple(_read(conservation(), SimpleNamespace(results=results), ["alpha", "beta"])))
    assert set(judgement.held) == held


def test_every_tenant_has_a_verdict_of_every_expectation(spark, shared_home):
    told = judged("billing_aggregation", "conservation", frame(spark, COLUMNS, [row("alpha")]), ["alpha", "beta"])
    assert len(told.verdicts) == 2 * 2 and failures(told) == {}


def test_warnings_hold_nobody():
    verdict = Verdict("s", "e", "alpha", "warning", False, 3, "x", "notes")
    assert Judgement((verdict,)).held == {}


def test_the_message_tells_what_how_much_an_example_and_what_to_do():
    verdicts = (
        Verdict(
            "billing_aggregation.charges",
            "every charge has a price in force",
            "alpha",
            "critical",
            False,
            12,
            "product x",
            "It would be free.",
        ),
        Verdict("billing_aggregation.charges", "a charge stands once", "alpha", "critical", True, 0, None, ""),
    )
    told = message("billing_aggregation", "2026-07", Judgement(verdicts), 7, "Add the price.")
    assert told.splitlines() == [
        "billing_aggregation.charges, tenant alpha, 2026-07: 1 of 2 expectations failed.",
        "  - every charge has a price in force: 12, e.g. product x (It would be free.)",
        "Nothing of alpha was published by billing_aggregation; 7 other tenants go on. Add the price.",
    ]

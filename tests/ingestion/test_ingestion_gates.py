"""The suites of ingestion: a good frame passes, each broken promise is caught for the tenant that broke it."""

from __future__ import annotations

import pytest

from tests.builders import failures, frame, judged, landed

FILE = {
    "landing_id": "l-1", "feed": "usage", "file_name": "july.csv", "status": "landed", "bytes": 10, "rows_read": 100, "rows_accepted": 95,
    "rows_quarantined": 4, "rows_duplicate": 1,
}  # fmt: skip
REFUSED = {"status": "refused_unreadable", "rows_read": 0, "rows_accepted": 0, "rows_quarantined": 0, "rows_duplicate": 0}
BROKEN_FILES = {
    # tenant: (expectation, severity, rows, example)
    "row_lost": ("rows read = accepted + quarantined + duplicates", "critical", [FILE | {"rows_accepted": 94}], "l-1"),
    "row_invented": ("rows read = accepted + quarantined + duplicates", "critical", [FILE | {"rows_duplicate": 2}], "l-1"),
    "told_twice": ("a landing is told once", "critical", [FILE, FILE], "l-1"),
    "without_rows": ("a landed file has rows", "critical", [FILE | REFUSED | {"status": "landed"}], "l-1"),
    "much_quarantined": (
        "few rows of a file are quarantined",
        "warning",
        [FILE | {"rows_quarantined": 6, "rows_accepted": 93}],
        "l-1",
    ),
    "refused": ("no file is refused", "warning", [FILE | REFUSED], "july.csv"),
}
USAGE = {
    "rows_staged": 6, "records_staged": 5, "rows_told": 5, "rows_rolled": 6, "records": 5, "unusable": 0, "quantity_staged": "7.5", "quantity_rolled": "7.5",
}  # fmt: skip
BROKEN_USAGE = {
    "told_otherwise": ("rows staged = rows the files' accounts call accepted", {"rows_told": 6}, "5"),
    "landed_twice": ("a record and revision is landed once", {"records": 4}, "1"),
    "not_summed": ("the rollup = accepted usage", {"rows_rolled": 3}, "3"),
    "summed_otherwise": ("the rollup = accepted usage", {"quantity_rolled": "7.500000000000000000001"}, "0"),
    "incomplete": ("accepted usage is complete", {"unusable": 2}, "2"),
}


@pytest.fixture(scope="module")
def failed_files(spark, shared_home):
    """What the suite says of all tenants' files at once."""
    rows = [row | {"tenant_id": tenant} for tenant, (_, _, told, _) in BROKEN_FILES.items() for row in told]
    return failures(
        judged("ingestion", "files", landed(spark, *rows, FILE | {"tenant_id": "good"}), [*BROKEN_FILES, "good"])
    )


@pytest.fixture(scope="module")
def failed_usage(spark, shared_home):
    """What the suite says of all tenants' usage at once."""
    rows = [USAGE | more | {"tenant_id": tenant} for tenant, (_, more, _) in BROKEN_USAGE.items()]
    schema = (
        "tenant_id string, rows_staged bigint, rows_told bigint, rows_rolled bigint, records_staged bigint, records bigint, unusable bigint, "
        "quantity_staged decimal(38,21), quantity_rolled decimal(38,21)"
    )
    return failures(
        judged("ingestion", "usage", frame(spark, schema, [*rows, USAGE | {"tenant_id": "good"}]), [*BROKEN_USAGE, "good"])
    )


@pytest.mark.parametrize("tenant", BROKEN_FILES)
def test_a_file_that_does_not_add_up_is_caught_for_its_tenant(failed_files, tenant):
    expectation, severity, _, example = BROKEN_FILES[tenant]
    assert [(v.expectation, v.severity, v.failing, v.example) for v in failed_files[tenant]] == [
        (expectation, severity, 1, example)
    ]
    assert "good" not in failed_files


@pytest.mark.parametrize("tenant", BROKEN_USAGE)
def test_usage_that_does_not_add_up_is_caught_for_its_tenant(failed_usage, tenant):
    expectation, _, example = BROKEN_USAGE[tenant]
    assert [(v.expectation, v.severity, v.example) for v in failed_usage[tenant]] == [(expectation, "critical", example)]
    assert "good" not in failed_usage

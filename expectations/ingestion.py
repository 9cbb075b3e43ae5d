"""What ingestion promises: of every file no row is lost, and a record is landed once."""

from __future__ import annotations

from great_expectations import ExpectationSuite

from expectations.promises import no_rows, suite, unique
from jobs.ingestion.settings import settings


def files() -> ExpectationSuite:
    """Over raw.landed_files: one row per file."""
    return suite(
        "ingestion.files",
        [
            no_rows(
                "rows read = accepted + quarantined + duplicates",
                "rows_read <> rows_accepted + rows_quarantined + rows_duplicate",
                "landing_id",
                "A row that is in none of them is usage nobody bills, or bills twice.",
            ),
            no_rows(
                "a landed file has rows",
                "status = 'landed' AND rows_read = 0",
                "landing_id",
                "A file that has rows and brings none has been lost on the way.",
            ),
            no_rows(
                "few rows of a file are quarantined",
                f"rows_quarantined > rows_read * CAST('{settings().quarantined_share_max}' AS DECIMAL(9,6))",
                "landing_id",
                "Many bad rows at once point to a changed format: mend the mapping and replay the file.",
                severity="warning",
            ),
            no_rows(
                "no file is refused",
                "status <> 'landed'",
                "file_name",
                "A refused file brings no rows: delivered twice, empty, or unreadable.",
                severity="warning",
            ),
            unique(
                "a landing is told once", ("tenant_id", "landing_id"), "landing_id", "A file told twice is counted twice."
            ),
        ],
    )


def usage() -> ExpectationSuite:
    """Over the account of accepted usage: one row per tenant."""
    return suite(
        "ingestion.usage",
        [
            no_rows(
                "rows staged = rows the files' accounts call accepted",
                "records_staged <> rows_told",
                "records_staged",
                "The account of a file would not match its rows.",
            ),
            no_rows(
                "a record and revision is landed once",
                "records <> records_staged",
                "records_staged - records",
                "A record landed twice is billed twice.",
            ),
            no_rows(
                "the rollup = accepted usage",
                "rows_rolled <> rows_staged OR quantity_rolled <> quantity_staged",
                "rows_staged - rows_rolled",
                "A month is billed from the rollup; a row that is not in it would not be billed.",
            ),
            no_rows(
                "accepted usage is complete",
                "unusable > 0",
                "unusable",
                "Usage without an account, product, time or quantity cannot be billed.",
            ),
        ],
    )

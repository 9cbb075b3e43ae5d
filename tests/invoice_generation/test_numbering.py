"""Numbers without gaps, whatever the partitioning."""

from __future__ import annotations

import hashlib
import re

import pytest
from pyspark.sql import functions as F

from jobs.invoice_generation.numbering import numbered, register_rows
from jobs.invoice_generation.tables import NUMBER_REGISTER
from tests.builders import ALPHA, BETA, collected, frame, invoice_settings, invoices, issued, table_of

COUNT = 60


def unnumbered(n, **more):
    """A staged document with an id as they really are, spread evenly."""
    return issued(invoice_id=hashlib.sha256(str(n).encode()).hexdigest(), number=None, invoice_number=None) | more


DOCUMENTS = [
    *(unnumbered(n) for n in range(COUNT)),
    *(unnumbered(n, series="credit_note", document_type="credit_note") for n in range(100, 105)),
    *(unnumbered(n, tenant_id=BETA, legal_entity_id="beta-uk") for n in range(200, 210)),
    *(unnumbered(n, fiscal_year=2027) for n in range(300, 303)),
]
PREFIXES = [
    {"tenant_id": ALPHA, "legal_entity_id": "alpha-uk", "invoice_prefix": "A"},
    {"tenant_id": BETA, "legal_entity_id": "beta-uk", "invoice_prefix": "B"},
]


def numbers(spark, documents, register=(), settings=None):
    prefixes = frame(spark, "tenant_id string, legal_entity_id string, invoice_prefix string", PREFIXES)
    return numbered(documents, table_of(spark, NUMBER_REGISTER, register), prefixes, settings or invoice_settings())


def registered(document, number):
    """What the register says of a document."""
    kept = {
        name: document[name] for name in ("tenant_id", "period", "legal_entity_id", "series", "fiscal_year", "invoice_id")
    }
    return kept | {"number": number, "invoice_number": f"A-2026-{number:07d}", "publication_id": "earlier"}


@pytest.fixture(scope="module")
def first(spark):
    """The numbers of all documents: (tenant, series, year, number, invoice number, invoice id)."""
    shown = ("tenant_id", "series", "fiscal_year", "number", "invoice_number", "invoice_id")
    return numbers(spark, invoices(spark, *DOCUMENTS)).select(*shown).collect()


@pytest.mark.parametrize(
    ("series", "size"),
    [
        pytest.param((ALPHA, "invoice", 2026), COUNT, id="invoices"),
        pytest.param((ALPHA, "credit_note", 2026), 5, id="credit_notes"),
        pytest.param((BETA, "invoice", 2026), 10, id="another_tenant"),
        pytest.param((ALPHA, "invoice", 2027), 3, id="another_year"),
    ],
)
def test_every_series_counts_from_one_without_gaps(first, series, size):
    assert sorted(row["number"] for row in first if tuple(row)[:3] == series) == list(range(1, size + 1))


def test_numbers_look_as_the_policy_says(first):
    shown = {
        (row["tenant_id"], row["series"], row["fiscal_year"]): row["invoice_number"] for row in first if row["number"] == 3
    }
    assert shown == {
        (ALPHA, "invoice", 2026): "A-2026-0000003",
        (ALPHA, "credit_note", 2026): "ACN-2026-0000003",
        (BETA, "invoice", 2026): "B-2026-0000003",
        (ALPHA, "invoice", 2027): "A-2027-0000003",
    }


def test_another_format_is_another_look(spark):
    settings = invoice_settings(number_format="{year}/{prefix}{suffix}/{number}")
    assert collected(numbers(spark, invoices(spark, unnumbered(1)), settings=settings), "invoice_number") == [("2026/A/1",)]


def test_the_numbers_do_not_depend_on_partitioning(spark, first):
    turned = numbers(spark, invoices(spark, *DOCUMENTS).repartition(7).orderBy(F.rand(5)))
    assert {(row["invoice_id"], row["number"]) for row in turned.collect()} == {
        (row["invoice_id"], row["number"]) for row in first
    }


def test_counting_goes_on_after_the_register_and_known_documents_keep_their_number(spark):
    documents = [unnumbered(n) for n in range(20)]
    known = [registered(documents[3], 7), registered(documents[11], 2)]
    others = [registered(unnumbered(n), number) for n, number in zip(range(900, 905), (1, 3, 4, 5, 6), strict=True)]
    found = numbers(spark, invoices(spark, *documents), [*known, *others])
    by_id = {row["invoice_id"]: row["number"] for row in found.collect()}
    assert by_id[documents[3]["invoice_id"]] == 7 and by_id[documents[11]["invoice_id"]] == 2
    fresh = sorted(number for key, number in by_id.items() if key not in {row["invoice_id"] for row in known})
    assert fresh == list(range(8, 26))
    rows = register_rows(found, table_of(spark, NUMBER_REGISTER, [*known, *others]))
    assert sorted(row["number"] for row in rows.collect()) == fresh
    assert rows.columns == [name for name in NUMBER_REGISTER.schema.fieldNames() if name != "publication_id"]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        pytest.param("{prefix}-{year}", "must contain {number}", id="no_number"),
        pytest.param("{prefix}-{numbr}", "knows {prefix}, {suffix}, {year} and {number}", id="a_misspelt_field"),
    ],
)
def test_a_format_that_would_repeat_numbers_is_refused(pattern, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        invoice_settings(number_format=pattern)

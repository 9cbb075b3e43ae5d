"""Numbers without gaps, whatever the partitioning."""

from __future__ import annotations

import hashlib
import re
from datetime import date

import pytest

from jobs.invoice_generation.numbering import check, entities, fits, numbered, register_rows, voided
from jobs.invoice_generation.tables import NUMBER_REGISTER
from jobs.runtime.errors import ConfigError, Refused
from tests.builders import ALPHA, BETA, collected, entity, invoice_settings, invoices, issued, table_of, tenant

COUNT = 60


def unnumbered(n, **more):
    """A staged document with an id as they really are, spread evenly."""
    return issued(invoice_id=hashlib.sha256(str(n).encode()).hexdigest(), number=None, invoice_number=None) | more


DOCUMENTS = [
    *(unnumbered(n) for n in range(COUNT)),
    *(unnumbered(n, series="credit_note", document_type="credit_note") for n in range(100, 105)),
    *(unnumbered(n, tenant_id=BETA, legal_entity_id="beta-uk") for n in range(200, 210)),
]
SELLERS = [
    tenant(ALPHA, [entity("alpha-uk"), entity("alpha-in", country="IN", invoice_prefix="AIN")]),
    tenant(BETA, [entity("beta-uk", invoice_prefix="B")]),
]
INDIA = {
    "format": "{prefix}{suffix}/{yy}-{next_yy}/{number}",
    "fiscal_year_starts": 4,
    "max_length": 16,
    "source": "rule 46(b)",
}


def numbers(spark, documents, register=(), selling=SELLERS, issue_date=date(2026, 8, 1), **more):
    """Documents with their numbers, and what the register then takes."""
    settings = invoice_settings(**more)
    known, voids = table_of(spark, NUMBER_REGISTER, register), voided(spark, selling)
    told = entities(spark, selling, settings, issue_date)
    found = numbered(invoices(spark, *documents), known, told, voids, settings).localCheckpoint()
    taken = register_rows(found, known, voids).localCheckpoint()
    check(taken, known, told, settings)
    return found, taken


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
    return numbers(spark, DOCUMENTS)[0].select(*shown).collect()


@pytest.mark.parametrize(
    ("series", "size"),
    [
        pytest.param((ALPHA, "invoice", 2026), COUNT, id="invoices"),
        pytest.param((ALPHA, "credit_note", 2026), 5, id="credit_notes"),
        pytest.param((BETA, "invoice", 2026), 10, id="another_tenant"),
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
    }


@pytest.mark.parametrize(
    ("day", "year", "shown"),
    [
        pytest.param(date(2026, 3, 31), 2025, "AIN/25-26/1", id="the_last_day_of_a_year"),
        pytest.param(date(2026, 4, 1), 2026, "AIN/26-27/1", id="the_first_of_the_next"),
    ],
)
def test_a_seller_counts_by_the_fiscal_year_and_the_format_of_its_country(spark, day, year, shown):
    numbering = {"*": {"format": "{year}/{prefix}{suffix}/{number}"}, "IN": INDIA}
    documents = [unnumbered(1, legal_entity_id="alpha-in"), unnumbered(2)]
    found, _ = numbers(spark, documents, issue_date=day, numbering=numbering)
    assert collected(found.orderBy("legal_entity_id"), "legal_entity_id", "fiscal_year", "invoice_number") == [
        ("alpha-in", year, shown), ("alpha-uk", 2026, "2026/A/1"),
    ]  # fmt: skip


def test_the_numbers_do_not_depend_on_partitioning(spark, first):
    turned, _ = numbers(spark, DOCUMENTS[::-1])
    assert {(row["invoice_id"], row["number"]) for row in turned.collect()} == {
        (row["invoice_id"], row["number"]) for row in first
    }


def test_counting_goes_on_after_the_register_and_known_documents_keep_their_number(spark):
    documents = [unnumbered(n) for n in range(20)]
    known = [registered(documents[3], 7), registered(documents[11], 2)]
    others = [registered(unnumbered(n), number) for n, number in zip(range(900, 905), (1, 3, 4, 5, 6), strict=True)]
    found, rows = numbers(spark, documents, [*known, *others])
    by_id = {row["invoice_id"]: row["number"] for row in found.collect()}
    assert by_id[documents[3]["invoice_id"]] == 7 and by_id[documents[11]["invoice_id"]] == 2
    fresh = sorted(number for key, number in by_id.items() if key not in {row["invoice_id"] for row in known})
    assert fresh == list(range(8, 26))
    assert sorted(row["number"] for row in rows.collect()) == fresh
    assert rows.columns == [name for name in NUMBER_REGISTER.schema.fieldNames() if name != "publication_id"]


def test_voided_numbers_are_stepped_over_and_stand_in_the_register_with_their_reason(spark):
    lost = [
        {"series": "invoice", "fiscal_year": 2026, "first": 1, "last": 3, "reason": "issued by the earlier system"},
        {"series": "invoice", "fiscal_year": 2026, "first": 4, "last": 4, "reason": "spoilt"},
        {"series": "invoice", "fiscal_year": 2026, "first": 7, "last": 8, "reason": "issued on paper"},
        {"series": "invoice", "fiscal_year": 2026, "first": 10, "last": 90, "reason": "not reached yet"},
        {"series": "credit_note", "fiscal_year": 2026, "first": 1, "last": 2, "reason": "of another series"},
    ]  # fmt: skip
    selling = [tenant(ALPHA, [entity("alpha-uk", voided_numbers=lost)])]
    found, taken = numbers(spark, [unnumbered(n) for n in range(3)], selling=selling)
    assert sorted(row["number"] for row in found.collect()) == [5, 6, 9]
    stands = [row.asDict() | {"publication_id": "first"} for row in taken.orderBy("number").collect()]
    assert [(row["number"], row["void_reason"]) for row in stands] == [
        (1, "issued by the earlier system"), (2, "issued by the earlier system"), (3, "issued by the earlier system"), (4, "spoilt"),
        (5, None), (6, None), (7, "issued on paper"), (8, "issued on paper"), (9, None),
    ]  # fmt: skip
    again, more = numbers(spark, [unnumbered(n) for n in range(4)], stands, selling=selling)
    assert sorted(row["number"] for row in again.collect()) == [5, 6, 9, 91]
    assert sorted(row["number"] for row in more.collect()) == list(range(10, 92))


@pytest.mark.parametrize(
    ("register", "numbering", "said"),
    [
        pytest.param(
            [registered(unnumbered(n), number) for n, number in ((900, 1), (901, 3))],
            {},
            "3 numbers, 3 of them different, from 1 to 4",
            id="a_gap",
        ),
        pytest.param([registered(unnumbered(n), 1) for n in (900, 901)], {}, "2 of them different", id="a_repeat"),
        pytest.param(
            [], {"*": {"format": "{prefix}-{year}-{number}", "max_length": 9}}, "10 characters; GB allows 9", id="too_long"
        ),
    ],
)
def test_a_series_that_the_law_would_not_take_is_refused(spark, register, numbering, said):
    told = {"numbering": numbering} if numbering else {}
    documents = [unnumbered(n) for n in range(120 if numbering else 1)]
    with pytest.raises(Refused, match="Nothing was issued") as refused:
        numbers(spark, documents, register, **told)
    assert said in str(refused.value)


def test_a_prefix_that_leaves_no_room_for_a_years_numbers_is_refused():
    settings = invoice_settings(numbering={"*": {"format": "{prefix}{suffix}-{year}-{number:07d}"}, "IN": INDIA})
    fits(entity(country="IN", invoice_prefix="AB"), settings)
    with pytest.raises(ConfigError, match="Shorten invoice_prefix"):
        fits(entity(country="IN", invoice_prefix="ABCDEF"), settings)


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        pytest.param([(5, 4)], "before it begins", id="backwards"),
        pytest.param([(1, 4), (3, 9)], "voided twice", id="overlapping"),
    ],
)
def test_voided_numbers_that_contradict_each_other_are_refused(lost, said):
    told = [
        {"series": "invoice", "fiscal_year": 2026, "first": first, "last": last, "reason": "lost"} for first, last in lost
    ]
    with pytest.raises(ValueError, match=said):
        entity(voided_numbers=told)


@pytest.mark.parametrize(
    ("numbering", "said"),
    [
        pytest.param({"*": {"format": "{prefix}-{year}"}}, "must contain {number}", id="no_number"),
        pytest.param({"*": {"format": "{prefix}-{number}"}}, "must contain {year} or {yy}", id="no_year"),
        pytest.param({"*": {"format": "{prefix}-{numbr}"}}, "knows {prefix}, {suffix}, {year}", id="a_misspelt_field"),
        pytest.param({"IN": INDIA}, "needs '*'", id="not_for_all"),
        pytest.param({"*": INDIA, "India": INDIA}, "not by India", id="not_a_country"),
    ],
)
def test_a_numbering_that_would_repeat_or_miss_numbers_is_refused(numbering, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        invoice_settings(numbering=numbering)


@pytest.mark.parametrize(
    ("suffixes", "said"),
    [
        pytest.param(
            {"invoice": "", "credit_note": "CN", "debit_note": "DN"}, "lacks corrective_invoice", id="one_is_missing"
        ),
        pytest.param(
            {"invoice": "", "credit_note": "CN", "debit_note": "CN", "corrective_invoice": "CI"},
            "'CN' twice",
            id="two_alike",
        ),
    ],
)
def test_types_of_documents_that_would_share_numbers_are_refused(suffixes, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        invoice_settings(series={name: {"suffix": suffix, "title": name} for name, suffix in suffixes.items()})

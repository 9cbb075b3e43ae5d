"""Files of documents from frames: rendered by the workers, listed, read back, and let stand once."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from jobs.invoice_generation import documents, labels
from jobs.invoice_generation.document import of_row
from jobs.invoice_generation.tables import DOCUMENTS, INVOICE_LINES, INVOICE_TAXES, INVOICES
from jobs.ledger.facts import current_accounts
from jobs.runtime.spark_server import jar_folder
from tests.builders import ALPHA, BETA, accounts, customer, entity, failures, judged, table_of, tenant
from tests.invoice_generation.papers import KINDS, UNITS, line, row

SPREAD = 3
SELLER = entity(
    "alpha-at", country="AT", name="Alpha Wolken GmbH", tax_id="ATU12345675", email="rechnung@alpha.example",
    tax_ids={"DE": "DE111222333"}, bank_accounts=[{"iban": "AT611904300234573201", "bic": "BKAUATWW", "currency": "EUR"}],
    address={"street": "Mariahilfer Straße 1", "city": "Wien", "postal_code": "1060"},
)  # fmt: skip
POOR = entity("beta-at", country="AT")
OF_CUSTOMER = ("legal_name", "street", "city", "postal_code", "tax_id", "email")


def papers(**more):
    """A few documents of two tenants; beta has said nothing of itself."""
    found = {}
    for number, kind in enumerate(("domestic", "several rates", "credit note", "reverse charge", "gst", "greek")):
        of = dict(KINDS[kind][0]) | {
            "invoice_id": f"{number:x}" * 64,
            "account_id": f"a-{number}",
            "invoice_number": f"AT-{number}",
        }
        found[kind] = of | {"original_invoice_id": "d" * 64 if of["original_number"] else None}
    found["beta"] = dict(row(line("1.00"))) | {
        "tenant_id": BETA,
        "legal_entity_id": "beta-at",
        "invoice_id": "e" * 64,
        "account_id": "a-0",
    }
    for kind, changed in more.items():
        found[kind] |= changed
    return found


@pytest.fixture(scope="module")
def frame_of(spark):
    def frame(found):
        every = list(found.values())
        known = set(INVOICES.schema.fieldNames())
        issued = [{name: told for name, told in of.items() if name in known} for of in every]
        keys = ("tenant_id", "period", "invoice_id", "currency")
        lines = [one | {key: of[key] for key in keys} for of in every for one in reversed(of["lines"])]
        taxes = [one | {key: of[key] for key in keys} for of in every for one in of["taxes"]]
        original = issued[0] | {"invoice_id": "d" * 64, "invoice_number": "AT-2026-0000007", "issue_date": date(2026, 7, 1)}
        invoices = table_of(spark, INVOICES, issued)
        people = [
            customer(
                of["account_id"],
                tenant_id=of["tenant_id"],
                country=of["customer_country"] or "AT",
                **{name: of[name] for name in OF_CUSTOMER},
            )
            for of in every
        ]
        return documents.frame(
            invoices, table_of(spark, INVOICE_LINES, lines), table_of(spark, INVOICE_TAXES, taxes), current_accounts(accounts(spark, *people)),
            invoices.unionByName(table_of(spark, INVOICES, [original])),
        )  # fmt: skip

    return frame


@pytest.fixture(scope="module")
def making():
    known = [tenant(ALPHA, [SELLER]), tenant(BETA, [POOR])]
    return documents.Making(
        documents.sellers(known), ("ubl", "pdf"), UNITS, labels.by_country("en"), Decimal(1), str(jar_folder())
    )


@pytest.fixture(scope="module")
def made(spark, frame_of, making, tmp_path_factory):
    """The frame, the rows of the list, and where the files were staged."""
    root = tmp_path_factory.mktemp("staged")
    frame = frame_of(papers())
    rows = [found.asDict() for found in documents.make(frame, str(root), making, SPREAD).collect()]
    return frame, rows, root


def listed(spark, rows):
    return table_of(spark, DOCUMENTS, rows)


def test_a_document_of_the_frame_is_what_was_issued(made, making):
    frame, _, _ = made
    expected = {of["invoice_id"]: of for of in papers().values()}
    found = [told.asDict(recursive=True) for told in frame.collect()]
    assert {told["invoice_id"] for told in found} == set(expected)
    for told in found:
        of, seller = expected[told["invoice_id"]], making.sellers[told["tenant_id"], told["legal_entity_id"]]
        assert of_row(told, seller.party, seller.accounts) == of_row(of, seller.party, seller.accounts)


def test_every_document_has_its_files_and_its_rows(made):
    _, rows, root = made
    told = {(found["invoice_id"][0], found["format"]): found for found in rows}
    assert len(told) == len(rows) == 14
    for found in rows:
        if found["left_out"]:
            assert (found["tenant_id"], found["format"], found["left_out"]) == (BETA, "ubl", "seller_without_tax_number")
            assert found["file_path"] is None and found["content_sha256"] is None
            continue
        content = (root / found["file_path"]).read_bytes()
        assert found["file_path"].startswith(f"{found['tenant_id']}/invoices/2026-07/")
        assert hashlib.sha256(content).hexdigest() == found["content_sha256"] and len(content) == found["file_bytes"]
        assert content.startswith(b"%PDF" if found["format"] == "pdf" else b"<?xml")
    assert told["0", "ubl"]["layout"] == "peppol" and told["4", "ubl"]["layout"] == "en16931"
    assert told["2", "pdf"]["layout"] == "credit_note" and told["5", "pdf"]["language"] == "el"
    assert {
        (found["rules_checked"], found["failed_rules"] == [])
        for found in rows
        if found["format"] == "ubl" and found["file_path"]
    } == {(True, True)}
    assert {found["rules_checked"] for found in rows if found["format"] == "pdf"} == {False}


def test_partitions_and_order_change_no_byte(made, making, tmp_path):
    frame, rows, _ = made
    again = documents.make(
        frame.orderBy(F.col("invoice_id").desc()), str(tmp_path), replace(making, validated_share=Decimal(0)), 1
    ).collect()
    assert {found["file_path"]: found["content_sha256"] for found in again} == {
        found["file_path"]: found["content_sha256"] for found in rows
    }
    assert not any(found["rules_checked"] for found in again)


def test_who_is_registered_abroad_shows_that_number(made, making):
    _, rows, root = made
    german = next(found for found in rows if found["invoice_id"][0] == "3" and found["format"] == "ubl")
    assert "DE111222333" in (root / german["file_path"]).read_text()
    austrian = next(found for found in rows if found["invoice_id"][0] == "0" and found["format"] == "ubl")
    assert "DE111222333" not in (root / austrian["file_path"]).read_text()


def judgement(spark, made, making, rows, root: Path | None = None):
    frame, _, staged = made
    account = documents.account(frame, listed(spark, rows), str(root or staged), making, SPREAD)
    return {name: {verdict.expectation for verdict in verdicts} for name, verdicts in failures(judged("invoice_generation", "documents", account, (ALPHA, BETA))).items()}  # fmt: skip


def test_what_is_right_passes_and_a_missing_ubl_is_a_warning(spark, made, making):
    _, rows, _ = made
    assert judgement(spark, made, making, rows) == {BETA: {"every document has a UBL file"}}


def test_what_is_wrong_is_found(spark, made, making, tmp_path):
    """One spoilt thing per document, all in one judgement; beta stays as it was."""
    _, rows, staged = made
    spoilt = []
    for found in rows:
        told = dict(found)
        which = (found["invoice_id"][0], found["format"])
        if told["file_path"]:
            content = (staged / told["file_path"]).read_bytes()
            if which == ("2", "ubl"):
                content = content.replace(b"15.00", b"15.01")
            if which != ("3", "pdf"):  # there is no such file
                target = tmp_path / told["file_path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        if which == ("0", "pdf"):
            continue
        spoilt += [told, told] if which == ("1", "pdf") else [told]
        if which == ("4", "ubl"):
            told["failed_rules"] = ["BR-CO-15"]
        if which == ("5", "ubl"):
            told["rules_checked"], told["failed_rules"] = False, None
    spoilt.append(spoilt[0] | {"tenant_id": ALPHA, "invoice_id": "f" * 64, "format": "pdf"})
    assert judgement(spark, made, making, spoilt, tmp_path) == {
        BETA: {"every document has a UBL file"},
        ALPHA: {
            "every issued document is there in every format, once", "what is there was issued", "files of the sample were validated",
            "the file that stands has the hash that is listed", "a file says to the last digit what was issued",
            "files pass the official rules", "every document has a PDF",
        },
    }  # fmt: skip


def test_a_sign_that_no_font_has_is_named_and_holds_the_tenant(spark, frame_of, making, tmp_path):
    frame = frame_of(papers(domestic={"legal_name": "شركة"}))
    rows = [found.asDict() for found in documents.make(frame, str(tmp_path), making, SPREAD).collect()]
    assert [found["left_out"] for found in rows if found["left_out"] and found["tenant_id"] == ALPHA] == [
        "unshown_sign U+0634"
    ]
    told = judgement(spark, (frame, rows, tmp_path), making, rows)
    assert told[ALPHA] == {"every document has a PDF"}


def test_a_document_whose_legal_entity_is_gone_has_no_files_and_says_so(spark, frame_of, making, tmp_path):
    """Its legal entity was taken out of conf/tenants/ after it was issued; the others are rendered all the same."""
    frame = frame_of(papers(domestic={"legal_entity_id": "alpha-gone"}))
    rows = [found.asDict() for found in documents.make(frame, str(tmp_path), making, SPREAD).collect()]
    gone = [found for found in rows if found["invoice_id"] == "0" * 64]
    assert {(found["format"], found["left_out"], found["file_path"]) for found in gone} == {
        (kind, "unknown_seller alpha-gone", None) for kind in ("ubl", "pdf")
    }
    assert len([found for found in rows if found["tenant_id"] == ALPHA and found["file_path"]]) == 10
    account = documents.account(frame, listed(spark, rows), str(tmp_path), making, SPREAD)
    told = {
        one.expectation: one for one in failures(judged("invoice_generation", "documents", account, (ALPHA, BETA)))[ALPHA]
    }
    assert set(told) == {"every document's seller is known", "every document has a PDF", "every document has a UBL file"}
    verdict = told["every document's seller is known"]
    assert (verdict.failing, verdict.example, verdict.severity) == (2, f"{'0' * 64} unknown_seller alpha-gone", "critical")


def test_a_file_is_let_stand_once_and_never_again(spark, made, tmp_path):
    _, rows, root = made
    standing = tmp_path / "documents"
    placed = documents.place(listed(spark, rows), str(root), str(standing)).collect()
    assert len(placed) == 13 and all(found["is_same"] for found in placed)
    changed = next(found for found in rows if found["format"] == "pdf")["file_path"]
    (standing / changed).unlink()
    (standing / changed).write_bytes(b"another")
    again = documents.place(listed(spark, rows), str(root), str(standing)).collect()
    assert {found["file_path"] for found in again if not found["is_same"]} == {changed}
    assert (standing / changed).read_bytes() == b"another"


def test_the_sample_is_decided_by_the_id_alone_and_in_one_way(spark):
    ids = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(2000)]
    share = Decimal("0.05")
    frame = spark.createDataFrame([(one,) for one in ids], "invoice_id string")
    chosen = {found["invoice_id"] for found in frame.where(documents.sampled(share)).collect()}
    assert chosen == {one for one in ids if documents.is_sampled(one, share)}
    assert 60 < len(chosen) < 140
    assert all(documents.is_sampled(one, Decimal(1)) for one in ids) and not any(
        documents.is_sampled(one, Decimal(0)) for one in ids
    )
    assert frame.where(documents.sampled(Decimal(1))).count() == len(ids)

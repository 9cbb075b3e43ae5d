"""What documents ask payers to write (ISO 11649) names the document again, however the payer writes it."""

from __future__ import annotations

import pytest

from jobs.cash_matching import transforms
from jobs.cash_matching.settings import settings
from jobs.ledger.references import creditor_reference
from tests.builders import ALPHA, frame


@pytest.mark.parametrize(("number", "in_fours"), [
    pytest.param("AT-2026-0000042", True, id="written_in_fours_too"),
    pytest.param("I/26-27/17", True, id="with_slashes"),
    pytest.param("P06DECN-2026-0000001", False, id="of_more_pieces_than_are_looked_at_when_written_in_fours"),
])  # fmt: skip
def test_a_creditor_reference_names_the_document_it_is_made_of(spark, number, in_fours):
    reference = creditor_reference(number)
    spaced = " ".join(reference[at : at + 4] for at in range(0, len(reference), 4))
    texts = (reference, reference.lower(), f"INVOICE {reference} THANK YOU", *((spaced,) if in_fours else ()))
    kinds = {name: "date" if name.endswith("date") else "string" for name in transforms.RECEIPT}
    schema = ", ".join([*(f"{name} {kind}" for name, kind in kinds.items()), "currency string", "text string"])
    rows = [
        {"tenant_id": ALPHA, "transaction_id": f"t-{at}", "currency": "EUR", "text": text.upper()}
        for at, text in enumerate(texts)
    ]
    found = transforms.candidates(frame(spark, schema, rows), settings())
    documents = frame(
        spark,
        "tenant_id string, document_id string, document_number string",
        [{"tenant_id": ALPHA, "document_id": "d", "document_number": number}],
    )
    further = frame(spark, "tenant_id string, document_id string, reference string", [])
    keys = transforms.document_keys(documents, further, settings())
    naming = found.join(keys, on=["tenant_id", "key"], how="inner").select("transaction_id").distinct()
    assert {row["transaction_id"] for row in naming.collect()} == {f"t-{at}" for at in range(len(texts))}

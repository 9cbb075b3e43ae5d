"""That the official rules really run: their own test cases, and the examples of the standard, read and added up."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from lxml import etree

from jobs.invoice_generation import exact_checks, official_rules
from jobs.invoice_generation.official_rules import EN16931
from jobs.runtime.errors import RunBroke
from jobs.runtime.spark_server import jar_folder

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "einvoice"
JARS = str(jar_folder())
TEST = "{http://difi.no/xsd/vefa/validator/1.0}"
EXAMPLES = (  # all of them are UBL: none is CII, and the Italian one is a FatturaPA that was written as UBL
    "FT G2G_TD01 con Allegato, Bonifico e Split Payment.xml", "guide-example2.xml", "issue116.xml", "ubl-tc434-creditnote1.xml",
    "ubl-tc434-example10.xml", "ubl-tc434-example3.xml", "ubl-tc434-example5.xml", "ubl-tc434-example7.xml", "ubl-tc434-example9.xml",
)  # fmt: skip
pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="../shared/data/einvoice is not beside the repository")
UNITS = sorted((SHARED / "unit").glob("*.xml"))


def cases(path: Path) -> Iterator[tuple[bytes, str, dict[str, int]]]:
    """The documents of a test file, each with what it expects: passing or failing rules, and how often."""
    for test in etree.parse(path).getroot().iter(f"{TEST}test"):
        told = test.find(f"{TEST}assert")
        document = next(child for child in test if isinstance(child.tag, str) and not child.tag.startswith(TEST))
        content = etree.tostring(document, encoding="UTF-8", xml_declaration=True)
        for verdict in ("success", "error", "warning"):
            expected = {found.text.strip(): int(found.get("number") or 1) for found in told.findall(f"{TEST}{verdict}")}
            if expected:
                yield content, verdict, expected


def test_all_test_files_are_there():
    assert len(UNITS) == 69
    assert {path.name for path in (SHARED / "examples").glob("*.xml")} == set(EXAMPLES)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_rule_fails_where_its_authors_say_so(path):
    found = []
    for content, verdict, expected in cases(path):
        failing = [rule for rule, _ in official_rules.broken(content, EN16931, JARS)]
        for rule, times in expected.items():
            found.append(verdict)
            if verdict == "success":
                assert rule not in failing, f"{rule} fails where it must pass"
            else:
                assert failing.count(rule) == times, f"{rule} fails {failing.count(rule)} times, not {times}"
    assert {"success", "error"} <= set(found), "a file that expects no failure proves nothing"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_passes_and_its_totals_are_what_we_compute(name):
    content = (SHARED / "examples" / name).read_bytes()
    assert official_rules.failed(content, "en16931", JARS) == []
    assert official_rules.looked_at(content, EN16931, JARS) > 20
    found = exact_checks.said(content)
    assert found.lines
    computed = exact_checks.totals(found)
    assert computed == {total: found.totals[total] for total in computed}
    of_categories = {key: exact_checks.rounded(taxable * key[1], 2) for key, (taxable, _) in found.taxes.items()}
    assert of_categories == {key: tax for key, (_, tax) in found.taxes.items()}


def test_the_examples_have_allowances_charges_and_several_rates():
    """Else the test above would not say much."""
    every = [exact_checks.said((SHARED / "examples" / name).read_bytes()) for name in EXAMPLES]
    assert {found.kind for found in every} == {"Invoice", "CreditNote"}
    assert any(amount < 0 for found in every for amount, _ in found.allowances)
    assert any(amount > 0 for found in every for amount, _ in found.allowances)
    assert max(len(found.taxes) for found in every) > 2
    assert any(found.totals.get("PrepaidAmount", Decimal(0)) > 0 for found in every)


def test_what_is_no_ubl_is_said_by_name():
    with pytest.raises(ValueError, match="CrossIndustryInvoice"):
        exact_checks.said(
            b'<rsm:CrossIndustryInvoice xmlns:rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"/>'
        )


def test_without_the_rules_nothing_counts_as_checked(tmp_path):
    with pytest.raises(RunBroke, match="make setup"):
        official_rules.failed(b"<Invoice/>", "en16931", str(tmp_path))

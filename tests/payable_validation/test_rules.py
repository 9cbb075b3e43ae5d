"""Rules as configuration: what is wrong with one is said before anything starts."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from jobs.ledger.rules import Rule, columns_of, message_parts, wrong_with
from jobs.payable_validation.checks import CHECKS, iban_valid, tax_number_valid
from jobs.payable_validation.record import COMPARED_LAST, RECORD
from jobs.payable_validation.settings import rules_in_force, rules_of, settings
from jobs.runtime.config import ROOT
from jobs.runtime.errors import ConfigError
from tests.builders import plain_mapping
from tests.payable_validation.payables import buyer

GOOD = {
    "id": "some-rule", "version": 1, "title": "Something", "valid_from": "2020-01-01", "severity": "hold", "reason_code": "SOME",
    "message": "{gross_amount} is wrong", "condition": "gross_amount > 5",
}  # fmt: skip


def rule(**more):
    """A rule that nothing is wrong with, less what is None."""
    return Rule.model_validate({key: value for key, value in (GOOD | more).items() if value is not None})


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("gross_amount >", "does not parse"),
        ("gross_amount > 5)", "does not parse"),
        ("gros_amount > 5", "unknown column 'gros_amount'; did you mean 'gross_amount'?"),
        ("payables.gross_amount > 5", "columns of the record stand alone"),
        ("uper(country) = 'DE'", "'uper', which rules may not; did you mean 'upper'?"),
        ("current_date() > invoice_date", "use as_of"),
        ("now() > invoice_date", "which rules may not|use as_of"),
        ("rand() > 0.5", "chance would answer differently"),
        ("uuid() = payable_id", "'uuid', which rules may not"),
        ("monotonically_increasing_id() = 1", "which rules may not"),
        ("vendor_id IN (SELECT vendor_id FROM raw.vendors)", "one record only"),
        ("EXISTS (SELECT 1)", "one record only"),
        ("sum(gross_amount) > 5", "one record only"),
        ("row_number() OVER (ORDER BY payable_id) > 1", "one record only|which rules may not"),
        ("tax_amount / net_amount > 0.2", "division by zero"),
        ("CAST(invoice_number AS INT) > 5", "use try_cast"),
        ("gross_amount", "is a number, not a question"),
        ("upper(country)", "is a text, not a question"),
        ("country > 5", "compares a text with a number"),
        ("invoice_date = '2026-01-01'", "compares a date with a text"),
        ("country_served = 'yes'", "compares a yes or no with a text"),
        ("vendor_known AND gross_amount", "compares a yes or no with a number"),
        ("country RLIKE '['", "not a regular expression"),
        ("country RLIKE currency", "written out as text"),
    ],
)
def test_a_condition_that_cannot_be_used_is_refused_with_a_hint(condition, said):
    assert re.search(said, str(wrong_with(rule(condition=condition), RECORD, CHECKS)))


@pytest.mark.parametrize(
    "condition",
    [
        "invoice_date > DATE '2026-01-01'",
        "vendor_status <> 'active' OR NOT vendor_known",
        "datediff(received_on, invoice_date) > 30",
        "invoice_date > date_add(as_of, 3)",
        "gross_amount > CASE WHEN currency = 'JPY' THEN 100000 ELSE 1000 END",
        "try_cast(invoice_number AS INT) IS NULL",
        "po_currency IS DISTINCT FROM currency",
        "abs(tax_amount - net_amount * 0.2) > 0.01",
        "country IN ('DE', 'FR') AND invoice_number RLIKE '^[0-9]+$'",
        "NOT iban_agrees",
        "length(trim(coalesce(invoice_number, ''))) BETWEEN 1 AND 3",
    ],
)
def test_a_condition_over_the_record_is_taken(condition):
    assert wrong_with(rule(condition=condition), RECORD, CHECKS) is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"message": "{grossamount}"}, "unknown column 'grossamount'; did you mean 'gross_amount'?"),
        ({"message": "pay to {iban}"}, "'iban', which is personal"),
        ({"message": "one {brace"}, "a brace without its partner"),
        ({"condition": None, "check": "iban_vald"}, "unknown check 'iban_vald'; did you mean 'iban_valid'?"),
    ],
)
def test_a_message_or_check_that_cannot_be_used_is_refused(more, said):
    assert said in str(wrong_with(rule(**more), RECORD, CHECKS))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"severity": "holds"}, "severity"),
        ({"countrys": ["DE"]}, "unknown key 'rules.0.countrys'; did you mean 'countries'?"),
        ({"countries": ["Germany"]}, "'Germany' is not an ISO 3166 code"),
        ({"countries": [False]}, "countries"),  # an unquoted NO is no country to YAML
        ({"business_lines": ["clouds"]}, "unknown business line 'clouds'; did you mean 'cloud'?"),
        ({"valid_to": "2019-01-01"}, "valid_to is not after valid_from"),
        ({"check": "iban_valid"}, "either a condition or a check"),
        ({"condition": None}, "either a condition or a check"),
        ({"reason_code": "some code"}, "reason_code"),
        (
            {"condition": "gros_amount > 5"},
            "rule 'some-rule' version 1: its condition names an unknown column 'gros_amount'",
        ),
    ],
)
def test_a_misspelt_file_is_refused_by_name(home, write_conf, more, said):
    content = {key: value for key, value in (GOOD | more).items() if value is not None}
    write_conf("rules/payables/extra.yaml", {"rules": [content]})
    with pytest.raises(ConfigError, match="extra.yaml") as refused:
        settings()
    assert said in refused.value.message and "Nothing was started" in refused.value.message


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, "has version 1 twice"),
        ({"version": 2}, "versions 1 and 2 hold on the same days"),
        ({"version": 2, "valid_from": "2026-01-01"}, "versions 1 and 2 hold on the same days"),
        ({"version": 2, "business_lines": ["cloud"]}, "versions 1 and 2 hold on the same days"),
    ],
)
def test_two_versions_of_a_rule_do_not_speak_at_once(home, write_conf, other, said):
    write_conf("rules/payables/extra.yaml", {"rules": [GOOD, GOOD | other]})
    with pytest.raises(ConfigError, match=said):
        settings()


def test_versions_may_follow_each_other_or_divide_the_world(home, write_conf):
    first = GOOD | {"valid_to": "2026-01-01", "countries": ["DE"]}
    then = GOOD | {"version": 2, "valid_from": "2026-01-01", "countries": ["DE"]}
    abroad = GOOD | {"version": 3, "countries": ["FR"]}
    write_conf("rules/payables/extra.yaml", {"rules": [first, then, abroad]})
    assert [one.version for one in rules_in_force() if one.id == "some-rule"] == [1, 2, 3]


def test_rules_that_are_missing_are_told(home, write_conf):
    write_conf("payable_validation.yaml", {"rules": "payable"})
    with pytest.raises(ConfigError, match="conf/rules/payable/ has no rules"):
        settings()


def test_what_a_rule_looks_at_is_its_evidence():
    assert columns_of(rule(condition="Gross_Amount > 5 OR country = 'DE'".lower())) == ("country", "gross_amount")
    assert columns_of(rule(condition=None, check="iban_valid")) == ("iban_valid",)
    assert list(message_parts("a {b} c")) == [("a ", False), ("b", True), (" c", False)]


# --- the rules we begin with ------------------------------------------------------------------------------------------


def test_there_are_at_least_fifteen_rules_that_differ_by_country_and_line():
    rules = rules_in_force()
    assert len({one.id for one in rules}) >= 15
    one_country = {country for one in rules if len(one.countries) == 1 for country in one.countries if country != "*"}
    assert {"GB", "DE", "FR", "JP"} <= one_country
    lines = {one.business_lines for one in rules if "*" not in one.business_lines}
    assert len(lines) >= 2
    assert {one.severity for one in rules} == {"reject", "hold", "warn"}


def test_a_tenant_is_only_concerned_by_rules_of_its_countries_and_lines():
    rules = rules_in_force()
    mine = {one.id for one in rules_of(buyer(), rules)}
    assert {"tax-rate-de", "tax-rate-jp", "iban-valid", "duplicate"} <= mine
    assert "invoice-number-published" not in mine
    assert [one.version for one in rules_of(buyer(), rules) if one.id == "approval-limit"] == [1]
    french = buyer().model_copy(update={"legal_entities": buyer().legal_entities[:1]})
    assert {"tax-rate-de", "registered-issuer"} & {one.id for one in rules_of(french, rules)} == set()


@pytest.mark.parametrize(
    ("how", "versions"),
    [
        ({"constant": "retail"}, {1, 2}),
        ({"source": "line", "map": {"R": "retail", "P": "public"}}, {1, 2, 3}),
        ("line", {1, 2, 3}),  # the source says it row by row, so every rule may be needed
    ],
)
def test_a_mapping_may_bring_in_other_lines(how, versions):
    mapping = plain_mapping("payables", columns={"business_line": how})
    mixed = buyer().model_copy(update={"feeds": {"payables": mapping}})
    assert {one.version for one in rules_of(mixed, rules_in_force()) if one.id == "approval-limit"} == versions


def test_the_page_shows_the_record_as_it_is():
    page = (ROOT / "conf" / "rules" / "payables" / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (.+) \|$", page, re.MULTILINE)
    personal = " Personal: may be compared, is never shown."
    assert shown == [(fact.name, fact.kind, fact.told + (personal if fact.personal else "")) for fact in RECORD.values()]
    assert set(RECORD) >= COMPARED_LAST and set(CHECKS) <= set(RECORD)


def test_every_rule_file_says_what_it_is_about():
    for path in Path(ROOT / "conf" / "rules" / "payables").glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("# "), path.name
        for told in yaml.safe_load(path.read_text(encoding="utf-8"))["rules"]:
            assert isinstance(told["valid_from"], date) and not isinstance(told.get("condition"), Decimal)


# --- registered checks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("country", "number", "valid"),
    [
        ("DE", "DE136695976", True),
        ("DE", "136695976", True),
        ("DE", "DE 136 695 976", True),
        ("DE", "DE136695978", False),
        ("DE", "FR40303265045", True),  # the prefix says whose it is
        ("GB", "GB980780684", True),
        ("GB", "XI980780684", True),
        ("GR", "EL094259216", True),
        (None, "IE6433435F", True),
        (None, "136695976", None),
        ("US", "12-3456789", None),  # there is no VAT number to test
        ("JP", "T7000012050002", True),
        ("CH", "CHE-107.787.577 IVA", True),
    ],
)
def test_a_tax_number_is_tested_as_its_country_does(country, number, valid):
    assert tax_number_valid(country, number) is valid


@pytest.mark.parametrize(
    ("iban", "valid"),
    [
        ("DE89370400440532013000", True),
        ("DE89 3704 0044 0532 0130 00", True),
        ("gb29nwbk60161331926819", True),
        ("DE89370400440532013001", False),
        ("DE8937040044053201300", False),
        ("ZZ89370400440532013000", False),
        ("", False),
    ],
)
def test_an_iban_is_tested_by_its_check_digits(iban, valid):
    assert iban_valid(None, iban) is valid

"""conf/taxes/: what is wrong is told by file, rule, key and nearest name before anything starts; what counts has its place in fingerprints."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from jobs.invoice_generation.customers import read_id
from jobs.ledger.taxes import RECORD, Rate, Taxes, TaxPolicy, TaxRule, taxes
from jobs.runtime.config import ROOT
from jobs.runtime.errors import ConfigError
from tests.invoice_generation.taxed import MEMBERS, vat_id

RULE = {"id": "r", "category": "S", "rate": "0.2", "reason": "taxed", "valid_from": "2020-01-01", "source": "law"}
RATE = {"place": "GB", "rate": "0.2", "valid_from": "2020-01-01", "source": "law"}
EXPORT = {"category": "G", "rate": "0", "exemption_reason": "Export"}


def policy(*rules: dict, **more: object) -> dict:
    return {"policy": "mine", "rules": list(rules) or [RULE]} | more


WRONG = {
    # case: (file, content, what is said)
    "misspelt_fact": ("mine", policy(RULE | {"when": "seller_contry = 'GB'"}),
                      r"taxes/mine.yaml: rule 'r' of policy mine: its condition names an unknown column 'seller_contry'; did you mean 'seller_country'"),
    "no_question": ("mine", policy(RULE | {"when": "seller_country"}), "its condition is a text, not a question"),
    "compares_what_cannot_be": ("mine", policy(RULE | {"when": "tax_day > 5"}), "compares a date with a number"),
    "a_clock": ("mine", policy(RULE | {"when": "tax_day < current_date()"}), "a clock would answer differently tomorrow"),
    "no_sql": ("mine", policy(RULE | {"when": "seller_country ="}), "does not parse"),
    "reason_of_an_unknown_fact": ("mine", policy(RULE | {"reason": "in {contry}"}), "its reason names an unknown column 'contry'"),
    "unknown_table": ("mine", policy({k: v for k, v in RULE.items() if k != "rate"} | {"rates": "ue"}), "unknown table of rates 'ue'; did you mean"),
    "unknown_place": ("mine", policy({k: v for k, v in RULE.items() if k != "rate"} | {"rates": "eu", "place": "regoin_code"}),
                      "its place is an unknown column 'regoin_code'; did you mean 'region_code'"),
    "misspelt_key": ("mine", policy(RULE | {"categroy": "S"}), r"unknown key 'rules.0.categroy'; did you mean 'category'"),
    "unknown_category": ("mine", policy(RULE | {"category": "X"}), "rules.0.category"),
    "a_percentage": ("mine", policy(RULE | {"rate": "20"}), "less than or equal to 1"),
    "two_answers": ("mine", policy(RULE | {"rates": "eu"}), "needs exactly one of rate, rates, hold; 2 given"),
    "held_with_a_category": ("mine", policy({k: v for k, v in RULE.items() if k != "rate"} | {"hold": "why"}), "what is held has none"),
    "an_export_that_is_taxed": ("mine", policy(RULE | EXPORT | {"rate": "0.2"}), 'category G goes with rate "0"'),
    "an_export_that_does_not_say_so": ("mine", policy(RULE | {"category": "G", "rate": "0"}), "tells an exemption_reason"),
    "ends_before_it_begins": ("mine", policy(RULE | {"valid_to": "2020-01-01"}), "valid_to is not after valid_from"),
    "one_id_twice": ("mine", policy(RULE, RULE), "two rules carry one id: r"),
    "no_source": ("mine", policy({k: v for k, v in RULE.items() if k != "source"}), "key 'rules.0.source' is missing"),
    "called_otherwise": ("other", policy(), "other.yaml declares policy 'mine'"),
    "two_rates_on_one_day": ("rates/mine", {"table": "mine", "rates": [RATE, RATE | {"valid_from": "2021-01-01"}]},
                             "two rates hold for GB standard on 2021-01-01"),
    "no_pattern": ("territories/mine", {"territories": [{"country": "GB", "postcodes": "(", "treatment": "outside", "valid_from": "2020-01-01",
                                                         "source": "law"}]}, "is not a regular expression"),
    "a_member_twice": ("territories/mine", {"members": [{"country": "GB", "valid_from": "2020-01-01", "source": "law"}] * 2}, "members name GB twice"),
    "two_classes_on_one_day": ("products/alpha", {"products": [{"product": "p", "valid_from": "2020-01-01", "source": "x"}] * 2},
                               "product 'p' has two classes on one day"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_before_anything_starts(write_conf, case):
    name, content, said = WRONG[case]
    write_conf(f"taxes/{name}.yaml", content)
    with pytest.raises(ConfigError, match=said):
        taxes()


def test_an_unknown_policy_is_told_the_nearest_name():
    with pytest.raises(ConfigError, match="tax policy 'gb-sellers' does not exist.*did you mean 'gb-seller'"):
        taxes().policy("gb-sellers")


def test_the_page_tells_every_fact_a_rule_may_ask():
    page = (ROOT / "docs" / "taxes.md").read_text()
    told = {line.split("|")[1].strip(): line.split("|")[3].strip() for line in page.splitlines() if line.count("|") == 4}
    assert {name: told.get(name) for name in RECORD} == {name: fact.told for name, fact in RECORD.items()}


def test_every_policy_and_table_stands_on_the_page():
    page = (ROOT / "docs" / "taxes.md").read_text()
    told = taxes()
    assert [name for name in told.policies if f"`{name}`" not in page] == []


def test_every_member_state_has_its_rates():
    told = taxes()
    today = date(2026, 7, 31)
    standard = {
        r.place
        for r in told.tables["eu"].rates
        if r.tax_class == "standard" and r.valid_to is None and r.valid_from <= today
    }
    assert {member.country for member in told.territories.members if member.valid_to is None} == set(MEMBERS) <= standard


STANDARD = {  # as the European Commission tells their history: percent, and since when another one
    "AT": "20", "BE": "21", "BG": "20", "CY": "15 2012-03-01 17 2013-01-14 18 2014-01-13 19", "CZ": "20 2013-01-01 21",
    "DE": "19 2020-07-01 16 2021-01-01 19", "DK": "25", "EE": "20 2024-01-01 22 2025-07-01 24", "ES": "16 2010-07-01 18 2012-09-01 21",
    "FI": "22 2010-07-01 23 2013-01-01 24 2024-09-01 25.5", "FR": "19.6 2014-01-01 20",
    "GR": "19 2010-03-15 21 2010-07-01 23 2016-06-01 24", "HR": "25", "HU": "25 2012-01-01 27",
    "IE": "21 2012-01-01 23 2020-09-01 21 2021-03-01 23", "IT": "20 2011-09-17 21 2013-10-01 22", "LT": "21",
    "LU": "15 2015-01-01 17 2023-01-01 16 2024-01-01 17", "LV": "21 2011-01-01 22 2012-07-01 21", "MT": "18", "NL": "19 2012-10-01 21",
    "PL": "22 2011-01-01 23", "PT": "20 2010-07-01 21 2011-01-01 23",
    "RO": "19 2010-07-01 24 2016-01-01 20 2017-01-01 19 2025-08-01 21", "SE": "25", "SI": "20 2013-07-01 22", "SK": "19 2011-01-01 20 2025-01-01 23",
    "GB": "17.5 2011-01-04 20",
}  # fmt: skip
ACCEDED = {"HR": "2013-07-01"}  # later than the table begins
LATER = {("LV", "reduced_2"): "2018-01-01"}  # what is of this class was taxed at the standard rate before


def spans(table: str) -> dict[tuple[str, str, str | None], list[Rate]]:
    """The rates of a table by place, class and component, in the order of their days."""
    found: dict[tuple[str, str, str | None], list[Rate]] = {}
    for one in sorted(taxes().tables[table].rates, key=lambda rate: rate.valid_from):
        found.setdefault((one.place, one.tax_class, one.component), []).append(one)
    return found


def test_the_standard_rates_of_the_union_are_those_of_another_record():
    mine = {
        place: " ".join([f"{rates[0].rate * 100:f}".rstrip("0").rstrip(".")] + [f"{one.valid_from} {one.rate * 100:f}".rstrip("0").rstrip(".") for one in rates[1:]])
        for (place, tax_class, _), rates in spans("eu").items() if tax_class == "standard" and place in STANDARD
    }  # fmt: skip
    assert mine == STANDARD


def test_the_union_has_every_class_of_a_place_from_2010_or_its_accession_on_and_no_day_without():
    for (place, tax_class, _), rates in spans("eu").items():
        since = LATER.get((place, tax_class), ACCEDED.get(place, "2010-01-01"))
        assert (rates[0].valid_from, rates[-1].valid_to) == (date.fromisoformat(since), None), (place, tax_class)
        for one, other in pairwise(rates):
            assert one.valid_to == other.valid_from and one.rate != other.rate, (place, tax_class, other.valid_from)


REDUCED = {  # as lists of the European Commission tell all but the standard ones; on 2011-01-01 without those below 5 %
    "2011-01-01": "BE 6 12 BG 7 CZ 10 DE 7 EE 9 GR 6.5 13 ES 8 FR 5.5 IE 13.5 IT 10 CY 5 8 LV 12 LT 5 9 LU 6 12 HU 5 18 NL 6 AT 10 PL 5 8 PT 6 13 "
                  "RO 5 9 SI 8.5 SK 10 FI 9 13 SE 6 12 GB 5",
    "2014-01-13": "BE 6 12 BG 9 CZ 15 DE 7 EE 9 GR 6.5 13 ES 4 10 FR 2.1 5.5 10 HR 5 13 IE 4.8 9 13.5 IT 4 10 CY 5 9 LV 12 LT 5 9 LU 3 6 12 HU 5 18 "
                  "MT 5 7 NL 6 AT 10 PL 5 8 PT 6 13 RO 5 9 SI 9.5 SK 10 FI 10 14 SE 6 12 GB 5",
    "2026-03-27": "AT 10 13 BE 6 12 BG 9 CY 3 5 9 CZ 12 DE 7 EE 9 13 ES 4 10 FI 10 13.5 FR 2.1 5.5 10 GR 6 13 HR 5 13 HU 5 18 IE 4.8 9 13.5 IT 4 5 10 LT 5 12 "
                  "LU 3 8 14 LV 5 12 MT 5 7 NL 9 PL 5 8 PT 6 13 RO 11 SE 6 12 SI 5 9.5 SK 5 19 GB 5",
}  # fmt: skip


@pytest.mark.parametrize("day", REDUCED)
def test_the_reduced_rates_of_the_union_are_those_of_its_lists(day):
    told: dict[str, set[Decimal]] = {}
    for word in REDUCED[day].split():
        told.setdefault(word, set()) if word.isalpha() else told[list(told)[-1]].add(Decimal(word))
    on, least = date.fromisoformat(day), Decimal(5) if day == "2011-01-01" else Decimal(0)
    mine: dict[str, set[Decimal]] = {place: set() for place in told}
    for one in taxes().tables["eu"].rates:
        in_force = one.valid_from <= on and (one.valid_to is None or on < one.valid_to)
        if one.place in mine and one.tax_class != "standard" and in_force and one.rate * 100 >= least:
            mine[one.place].add(one.rate * 100)
    assert mine == told


@pytest.mark.parametrize("table", ["ae", "au", "ch", "gb", "jp", "no", "nz", "sg"])
def test_no_day_is_without_a_rate_elsewhere(table):
    for rates in spans(table).values():
        assert rates[-1].valid_to is None
        assert [one.valid_to for one in rates[:-1]] == [other.valid_from for other in rates[1:]]


def test_a_canadian_province_has_hst_alone_or_gst_on_every_day():
    standard = [one for one in taxes().tables["ca"].rates if one.tax_class == "standard"]
    for day in {one.valid_from for one in standard}:
        charged: dict[str, set[str | None]] = {one.place: set() for one in standard}
        for one in standard:
            if one.valid_from <= day and (one.valid_to is None or day < one.valid_to):
                charged[one.place].add(one.component)
        assert [
            place for place, told in charged.items() if told != {"HST"} and ("HST" in told or "GST" not in told)
        ] == [], day


def japan(rate: str, since: str) -> Taxes:
    """conf/taxes/ with another Japanese rate."""
    told = taxes()
    table = told.tables["jp"]
    fresh = table.rates[0].model_copy(update={"rate": rate, "valid_from": date.fromisoformat(since), "valid_to": None})
    return told.model_copy(
        update={"tables": told.tables | {"jp": table.model_copy(update={"rates": (*table.rates, fresh)})}}
    )


def test_a_new_japanese_rate_concerns_who_sells_from_japan_and_from_its_day_on():
    day, told = date(2026, 7, 31), taxes()
    now, later = japan("0.12", "2026-07-01"), japan("0.12", "2026-08-01")
    assert told.used(["jp-seller"], "alpha", day) != now.used(["jp-seller"], "alpha", day)
    assert told.used(["jp-seller"], "alpha", day) == later.used(["jp-seller"], "alpha", day)
    assert told.used(["eu-seller", "us-sales-tax"], "alpha", day) == now.used(["eu-seller", "us-sales-tax"], "alpha", day)


def test_products_concern_their_tenant(write_conf):
    before = {name: taxes().used(["gb-seller"], name, date(2026, 7, 31)) for name in ("alpha", "beta")}
    write_conf(
        "taxes/products/alpha.yaml",
        {"products": [{"product": "p", "tax_class": "zero", "valid_from": "2020-01-01", "source": "x"}]},
    )
    after = {name: taxes().used(["gb-seller"], name, date(2026, 7, 31)) for name in ("alpha", "beta")}
    assert after["alpha"] != before["alpha"] and after["beta"] == before["beta"]


def test_a_rule_without_a_condition_is_for_everybody():
    assert TaxRule.model_validate(RULE).when is None
    assert TaxPolicy.model_validate(policy()).tables == ()


IDS = {
    "it": ("IT 00743110157", "IT", ("IT", "00743110157", True)),
    "without_prefix": ("00743110157", "IT", ("IT", "00743110157", True)),
    "of_another_member_state": ("DE136695976", "IT", ("DE", "136695976", True)),
    "of_a_member_state_and_an_address_outside": ("DE136695976", "CH", ("DE", "136695976", True)),
    "greece_is_el": (vat_id("GR"), "GR", ("GR", vat_id("GR")[2:], True)),
    "greece_without_prefix": (vat_id("GR")[2:], "EL", ("GR", vat_id("GR")[2:], True)),
    "wrong_digit": ("IT00743110158", "IT", ("IT", "00743110158", False)),
    "northern_ireland": ("XI110305878", "GB", ("XI", "110305878", True)),
    "gb": ("GB 980 7806 84", "GB", ("GB", "980780684", True)),
    "ch": ("CHE-107.787.577 MWST", "CH", ("CH", "CHE107787577MWST", True)),
    "no": ("NO 995 525 828 MVA", "NO", ("NO", "995525828MVA", True)),
    "in": ("27AAPFU0939F1ZV", "IN", ("IN", "27AAPFU0939F1ZV", True)),
    "in_wrong": ("27AAPFU0939F1ZO", "IN", ("IN", "27AAPFU0939F1ZO", False)),
    "jp": ("T7000012050002", "JP", ("JP", "7000012050002", True)),
    "au": ("83 914 571 673", "AU", ("AU", "83914571673", True)),
    "ae": ("100123456700003", "AE", ("AE", "100123456700003", True)),
    "ae_too_short": ("10012345670", "AE", ("AE", "10012345670", False)),
    "nobody_knows": ("123", "AQ", ("AQ", "123", None)),
    "no_country": ("123", None, (None, "123", None)),
}


@pytest.mark.parametrize("case", IDS)
def test_the_form_of_an_id_is_read_by_the_library(case):
    tax_id, country, told = IDS[case]
    assert read_id(tax_id, country) == told


@pytest.mark.parametrize("country", MEMBERS)
def test_an_id_of_every_member_state_is_read_with_and_without_its_prefix(country):
    assert read_id(vat_id(country), country) == (country, vat_id(country)[2:], True)
    assert read_id(vat_id(country)[2:], country) == (country, vat_id(country)[2:], True)


def test_the_file_of_every_policy_is_checked_by_check_conf():
    names = {path.stem for path in (Path(ROOT) / "conf" / "taxes").glob("*.yaml")}
    assert names == set(taxes().policies)

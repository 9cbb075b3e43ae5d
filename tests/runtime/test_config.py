"""A wrong configuration is refused before anything starts, and the error names file, key and the nearest valid name."""

from __future__ import annotations

import copy

import pytest

from jobs.billing_aggregation import job as billing
from jobs.ingestion.settings import settings as ingestion_settings
from jobs.ledger.tenants import chosen, tenants
from jobs.runtime import check_conf, config
from jobs.runtime.config import conf_roots, display, nearest
from jobs.runtime.contract import job_of
from jobs.runtime.environment import environment
from jobs.runtime.errors import CallError, ConfigError
from tests.builders import tenant_conf


def wrong(change):
    """The small tenant with one thing changed."""
    told = copy.deepcopy(tenant_conf("small"))
    change(told)
    return told


def misspell_feed_key(told):
    told["feeds"]["usage"]["timezon"] = told["feeds"]["usage"].pop("timezone")


def misspell_entity_key(told):
    told["legal_entities"][0]["invoice_prefx"] = "A"


def misspell_column_rule(told):
    told["feeds"]["prices"]["columns"]["model"] = {"constnt": "per_unit"}


def set_at(*path, value):
    def change(told):
        for key in path[:-1]:
            told = told[key]
        told[path[-1]] = value

    return change


WRONG_TENANTS = {
    # case: (what is changed, what the error says)
    "a_misspelt_key": (lambda told: told.update(legal_entites=[]), ["unknown key 'legal_entites'; did you mean 'legal_entities'?"]),
    "a_misspelt_key_of_a_feed": (misspell_feed_key, ["unknown key 'feeds.usage.timezon'; did you mean 'timezone'?"]),
    "a_misspelt_key_in_a_list": (misspell_entity_key, ["unknown key 'legal_entities.0.invoice_prefx'; did you mean 'invoice_prefix'?"]),
    "a_misspelt_key_of_a_column": (misspell_column_rule, ["constnt'; did you mean 'constant'?"]),
    "a_missing_key": (lambda told: told.pop("business_line"), ["key 'business_line' is missing."]),
    "a_missing_key_in_a_list": (lambda told: told["legal_entities"][0].pop("country"), ["key 'legal_entities.0.country' is missing."]),
    "a_bad_value": (set_at("business_line", value="banking"), ["key 'business_line'", "cloud"]),
    "a_time_zone_nobody_knows": (
        set_at("legal_entities", 0, "timezone", value="Europe/Londn"), ["key 'legal_entities.0.timezone'", "'Europe/Londn' is not an IANA time zone"],
    ),
    "a_feed_nobody_knows": (set_at("feeds", "usages", value={"columns": {}}), ["feeds.usages"]),
    "two_origins_of_a_column": (
        set_at("feeds", "usage", "columns", "quantity", value={"source": "a", "constant": "1"}), ["exactly one of source, constant, sql is needed, 2 given"],
    ),
    "no_legal_entity": (set_at("legal_entities", value=[]), ["key 'legal_entities'"]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_TENANTS)
def test_a_wrong_tenant_names_file_and_key(write_conf, case):
    change, said = WRONG_TENANTS[case]
    write_conf("tenants/small.yaml", wrong(change))
    with pytest.raises(ConfigError) as refused:
        tenants()
    assert refused.value.exit_code == 2
    assert "conf/tenants/small.yaml" in refused.value.message
    assert all(part in refused.value.message for part in said), refused.value.message
    assert refused.value.message.endswith("Nothing was started; mend the file.")


def test_a_file_that_is_not_yaml_names_the_line(write_conf):
    write_conf("tenants/small.yaml", "tenant: small\nlegal_entities: [\n  - {id: x\nfeeds: }")
    with pytest.raises(ConfigError, match=r"conf/tenants/small.yaml, line \d+: not readable as YAML"):
        tenants()


def test_a_file_in_another_encoding_is_not_readable(home):
    path = home / "conf" / "tenants" / "small.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes("tenant: caf\xe9".encode("latin-1"))
    with pytest.raises(ConfigError, match="conf/tenants/small.yaml: not readable as YAML"):
        tenants()


@pytest.mark.parametrize(
    "content", [pytest.param("", id="empty"), pytest.param("- a\n- b\n", id="a_list"), pytest.param("7", id="a_number")]
)
def test_a_file_that_holds_no_keys_is_refused(write_conf, content):
    write_conf("ingestion.yaml", content)
    with pytest.raises(ConfigError, match="conf/ingestion.yaml: key 'the file'"):
        ingestion_settings()


def test_a_tenant_is_called_as_its_file(write_conf):
    write_conf("tenants/other.yaml", tenant_conf("small"))
    with pytest.raises(ConfigError, match="other.yaml declares tenant 'small'"):
        tenants()


def test_an_unknown_tenant_is_told_the_nearest(write_conf):
    write_conf("tenants/small.yaml", tenant_conf("small"))
    with pytest.raises(CallError, match="unknown tenant 'smal'; did you mean 'small'.*Nothing was started"):
        chosen(("smal",))


def test_an_unknown_stage_is_told_the_nearest():
    with pytest.raises(CallError, match="unknown stage 'invoice'; did you mean 'invoice_generation'.*Nothing was started"):
        job_of("invoice")
    assert job_of("billing_aggregation") is billing


def test_an_unknown_environment_is_told_the_nearest(home, monkeypatch):
    monkeypatch.setenv("COUNTINGHOUSE_ENVIRONMENT", "locl")
    with pytest.raises(ConfigError, match="conf/environments/locl.yaml does not exist; did you mean 'local'"):
        environment()


def test_a_homes_own_stage_file_stands_for_the_projects(write_conf):
    write_conf(
        "ingestion.yaml",
        "earliest_usage: 2020-01-01\nlatest_usage: 2030-12-31\nlongest_usage_days: 31\nquarantined_share_max: '0.5'\n",
    )
    assert ingestion_settings().latest_usage.year == 2030


def test_configuration_is_looked_for_in_the_project_then_in_the_home(home):
    assert conf_roots() == (config.ROOT / "conf", home / "conf")
    assert display(home / "conf" / "x.yaml") == "conf/x.yaml"


def test_what_is_hashed_does_not_depend_on_the_order_of_keys():
    told = tenant_conf("small")
    from jobs.ledger.tenants import Tenant

    assert Tenant.model_validate(told).resolved() == Tenant.model_validate(dict(reversed(told.items()))).resolved()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("usge", "did you mean 'usage'?", id="close"),
        pytest.param("zzz", "known: prices, usage", id="far"),
    ],
)
def test_a_hint_is_the_nearest_name_or_all_of_them(name, said):
    assert nearest(name, ["usage", "prices"]) == said


def test_the_projects_own_configuration_is_valid(home):
    assert check_conf.check().startswith("conf is valid: ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            set_at("feeds", "usage", "columns", "quantty", value="units"), "did you mean 'quantity'?", id="a_misspelt_column"
        ),
        pytest.param(
            set_at("legal_entities", 0, "tax_policy", value="gb-sellr"),
            "did you mean 'gb-seller'?",
            id="a_misspelt_tax_policy",
        ),
        pytest.param(
            set_at("feeds", "usage", "columns", "quantity", value={"sql": "a +* ("}), "does not parse", id="an_expression"
        ),
        pytest.param(set_at("feeds", "usage", "encoding", value="utf-9"), "utf-9", id="an_encoding_nobody_knows"),
        pytest.param(
            lambda told: told["feeds"]["usage"]["columns"].pop("quantity"), "quantity", id="a_required_column_without_a_rule"
        ),
    ],
)
def test_checking_the_configuration_finds_what_a_run_would_stumble_on(write_conf, change, said):
    write_conf("tenants/small.yaml", wrong(change))
    with pytest.raises(ConfigError) as refused:
        check_conf.check()
    assert said in refused.value.message


def test_two_sellers_for_one_country_are_refused(write_conf):
    """Which of the two would sell is not for chance to decide."""
    both = [entity | {"serves": ["DE"]} for entity in tenant_conf("small")["legal_entities"] * 2]
    both[1] = both[1] | {"id": "small-de", "invoice_prefix": "D"}
    write_conf("tenants/small.yaml", tenant_conf("small") | {"legal_entities": both})
    with pytest.raises(ConfigError, match="DE"):
        tenants()

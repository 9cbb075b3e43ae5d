"""A tenant is one YAML file: its legal entities, and how its feeds become canonical rows."""

from __future__ import annotations

import codecs
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, model_validator

from jobs.runtime.config import Strict, load_all, nearest
from jobs.runtime.errors import CallError, ConfigError

Feed = Literal["accounts", "prices", "usage"]


def _timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"'{name}' is not an IANA time zone")
    return name


Timezone = Annotated[str, AfterValidator(_timezone)]


def _encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError(f"encoding '{name}' of the mapping is not known") from None
    return name


Encoding = Annotated[str, AfterValidator(_encoding)]


class Column(Strict):
    """How one canonical column is made: from a source column, a constant, or a Spark SQL expression over source columns."""

    source: str | None = None
    constant: str | None = None
    sql: str | None = None
    map: dict[str, str] | None = None  # value -> value; an unmapped value is a reason for quarantine
    format: str | None = None  # date and time pattern, as Spark's to_timestamp reads it

    @model_validator(mode="after")
    def _one_origin(self) -> Column:
        given = [name for name in ("source", "constant", "sql") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of source, constant, sql is needed, {len(given)} given")
        return self


class Mapping(Strict):
    """How a feed of one tenant is read."""

    format: Literal["csv", "jsonl", "parquet"] = "csv"
    encoding: Encoding = "utf-8"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', min_length=1, max_length=1)
    null_values: tuple[str, ...] = ("", "NULL")
    timezone: Timezone = "UTC"  # of times that carry none
    equal_rows: Literal["count_once", "count_each"] = "count_once"  # where a row has no id of its own
    control_totals: tuple[str, ...] = ()  # source columns summed exactly per file
    columns: dict[str, Column | str]  # canonical column -> how; a plain string names the source column


class LegalEntity(Strict):
    """A seller of record of this tenant."""

    id: str
    country: str = Field(pattern="^[A-Z]{2}$")
    timezone: Timezone
    invoice_prefix: str = Field(pattern="^[A-Z0-9]{1,6}$")
    tax_policy: str  # conf/taxes/<name>.yaml
    serves: tuple[str, ...] = ()  # customer countries; what no other entity serves goes to the first one


class Tenant(Strict):
    """conf/tenants/<tenant>.yaml."""

    tenant: str = Field(pattern="^[a-z0-9][a-z0-9-]*$")
    business_line: Literal["cloud", "retail", "media", "logistics", "utilities"]
    legal_entities: tuple[LegalEntity, ...] = Field(min_length=1)
    feeds: dict[Feed, Mapping] = Field(default={})

    @model_validator(mode="after")
    def _one_seller_per_country(self) -> Tenant:
        served = [country for entity in self.legal_entities for country in entity.serves]
        if twice := sorted({country for country in served if served.count(country) > 1}):
            raise ValueError(f"several legal entities serve {', '.join(twice)}; which one sells there?")
        return self

    @property
    def timezone(self) -> str:
        """The time zone whose months are billed: that of the first legal entity."""
        return self.legal_entities[0].timezone


def tenants() -> dict[str, Tenant]:
    """Every tenant by name; the file is called as the tenant."""
    found = {}
    for stem, (path, tenant) in load_all("tenants", Tenant).items():
        if tenant.tenant != stem:
            raise ConfigError(f"{path.name} declares tenant '{tenant.tenant}'; file and tenant carry one name.")
        found[stem] = tenant
    return found


def chosen(names: tuple[str, ...]) -> dict[str, Tenant]:
    """The tenants a command names, or all of them."""
    known = tenants()
    for name in names:
        if name not in known:
            raise CallError(f"unknown tenant '{name}'; {nearest(name, known)} Nothing was started. Tenants: conf/tenants/.")
    return {name: tenant for name, tenant in known.items() if not names or name in names}

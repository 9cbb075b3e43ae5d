"""A tenant is one YAML file: its legal entities, and how its feeds become canonical rows."""

from __future__ import annotations

import codecs
from datetime import date
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, model_validator

from jobs.ledger.corrections import DocumentType
from jobs.runtime.config import Strict, load_all, nearest
from jobs.runtime.errors import CallError, ConfigError

Feed = Literal[
    "accounts", "prices", "usage", "vendors", "purchase_orders", "payables", "bank_transactions", "open_items", "disputes",
    "promises", "exemptions", "credits", "fx_rates", "invoice_corrections", "tax_rates", "tax_registrations",
]  # fmt: skip

# What a bank statement in a camt format says: columns of feed bank_transactions and of the source alike.
CAMT_COLUMNS = (
    "transaction_id", "statement_id", "bank_account", "booking_date", "value_date", "amount", "currency",
    "counterparty_name", "counterparty_iban", "reference", "remittance_text", "bank_code", "end_to_end_id",
)  # fmt: skip

BusinessLine = Literal["cloud", "retail", "media", "logistics", "utilities", "public"]


def _timezone(name: str) -> str:
    if name not in known_timezones():
        raise ValueError(f"'{name}' is not an IANA time zone")
    return name


@cache
def known_timezones() -> frozenset[str]:
    """The names of time zones that Python and Java both know."""
    return frozenset(name for name in available_timezones() if "/" in name or name == "UTC")  # walks a folder


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

    format: Literal["csv", "jsonl", "parquet", "camt"] = "csv"  # camt: ISO 20022 statements, which name their columns
    encoding: Encoding = "utf-8"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', min_length=1, max_length=1)
    null_values: tuple[str, ...] = ("", "NULL")
    timezone: Timezone = "UTC"  # of times that carry none
    equal_rows: Literal["count_once", "count_each"] = "count_once"  # where a row has no id of its own
    control_totals: tuple[str, ...] = ()  # source columns summed exactly per file
    one_of: tuple[tuple[str, ...], ...] = ()  # of each group a file has at least one column; those it lacks are empty
    columns: dict[str, Column | str]  # canonical column -> how; a plain string names the source column

    @model_validator(mode="before")
    @classmethod
    def _a_standard_names_its_columns(cls, told: Any) -> Any:
        if isinstance(told, dict) and told.get("format") == "camt":
            return {**told, "columns": {name: name for name in CAMT_COLUMNS} | (told.get("columns") or {})}
        return told

    @model_validator(mode="after")
    def _only_delimited_files_differ(self) -> Mapping:
        if self.one_of and self.format != "csv":
            raise ValueError(f"one_of is for csv files, whose headers differ; this feed is {self.format}")
        if short := next((group for group in self.one_of if len(group) < 2), None):
            raise ValueError(f"a group of one_of names two columns or more; {list(short)} leaves nothing to choose")
        return self


class BankAccount(Strict):
    """An account of ours, as statements and payment files name it."""

    iban: str = Field(pattern="^[A-Z0-9-]{4,34}$")  # IBAN, or the local number where a country has none
    bic: str | None = Field(default=None, pattern="^[A-Z0-9]{8}([A-Z0-9]{3})?$")
    currency: str = Field(pattern="^[A-Z]{3}$")
    pays: bool = True  # whether vendors are paid from it


class Address(Strict):
    """Where a legal entity sits, as documents show it; its country is the entity's."""

    street: str
    city: str
    postal_code: str = ""
    region: str = ""  # state or province, where tax or post asks for it: ISO 3166-2 without the country


class VoidedNumbers(Strict):
    """Numbers of a series that no document carries: taken by an earlier system, or lost. They stay in the register with the reason."""

    series: DocumentType
    fiscal_year: int = Field(ge=1990, le=2200)
    first: int = Field(ge=1)
    last: int = Field(ge=1)
    reason: str = Field(min_length=3)

    @model_validator(mode="after")
    def _in_order(self) -> VoidedNumbers:
        if self.last < self.first:
            raise ValueError(f"ends at {self.last}, before it begins at {self.first}")
        return self


class Sale(Strict):
    """What a legal entity sells, and when."""

    products: tuple[str, ...] = ()  # product ids; nobody named is every product
    valid_from: date | None = None
    valid_to: date | None = None  # the first day it no longer does

    def meets(self, other: Sale) -> bool:
        """Whether both sell one product on some day; who names a product goes before who sells all."""
        in_time = (self.valid_to is None or other.valid_from is None or other.valid_from < self.valid_to) and (
            other.valid_to is None or self.valid_from is None or self.valid_from < other.valid_to
        )
        return in_time and (bool(set(self.products) & set(other.products)) or not (self.products or other.products))


class LegalEntity(Strict):
    """A seller of record of this tenant, which is also who receives and pays."""

    id: str
    country: str = Field(pattern="^[A-Z]{2}$")
    timezone: Timezone
    invoice_prefix: str = Field(pattern="^[A-Z0-9]{1,6}$")
    tax_policy: str  # conf/taxes/<name>.yaml
    serves: tuple[str, ...] = ()  # customer countries; what no other entity serves goes to the first one
    sells: tuple[Sale, ...] = (Sale(),)  # everything, always, where nothing else is said
    currencies: tuple[str, ...] = ()  # in which it invoices; what comes in another one is held. None named: in any
    name: str = ""  # as documents and payment files write it; the id where it is empty
    address: Address | None = None
    tax_id: str | None = None  # VAT, GST or sales tax number at home, with the country's prefix where it has one
    tax_ids: dict[str, str] = Field(default={})  # registrations in other countries: ISO 3166 alpha-2 -> number; OSS: "EU"
    below_threshold_until: date | None = None  # when it begins to tax consumers elsewhere in the Union there
    registration_number: str | None = None  # in the company register
    email: str | None = None
    bank_accounts: tuple[BankAccount, ...] = ()
    voided_numbers: tuple[VoidedNumbers, ...] = ()

    @model_validator(mode="after")
    def _voided_once(self) -> LegalEntity:
        told = sorted((one.series, one.fiscal_year, one.first, one.last) for one in self.voided_numbers)
        for before, after in pairwise(told):
            if before[:2] == after[:2] and after[2] <= before[3]:
                raise ValueError(f"voided_numbers: {after[2]} of series {after[0]} {after[1]} is voided twice")
        return self


class Outputs(Strict):
    """What a tenant's customers get beside their documents."""

    focus: tuple[Literal["csv", "parquet"], ...] = ()  # a file of FOCUS 1.2 per payer, month and format

    @model_validator(mode="after")
    def _each_format_once(self) -> Outputs:
        if len(self.focus) != len(set(self.focus)):
            raise ValueError("a format of focus is named twice")
        return self


class Tenant(Strict):
    """conf/tenants/<tenant>.yaml."""

    tenant: str = Field(pattern="^[a-z0-9][a-z0-9-]*$")
    business_line: BusinessLine
    legal_entities: tuple[LegalEntity, ...] = Field(min_length=1)
    feeds: dict[Feed, Mapping] = Field(default={})
    outputs: Outputs = Outputs()

    @model_validator(mode="after")
    def _one_seller_per_country(self) -> Tenant:
        for at, one in enumerate(self.legal_entities):
            for other in self.legal_entities[at + 1 :]:
                twice = sorted(set(one.serves) & set(other.serves))
                if twice and any(mine.meets(yours) for mine in one.sells for yours in other.sells):
                    raise ValueError(f"several legal entities serve {', '.join(twice)}; which one sells there?")
        return self

    @model_validator(mode="after")
    def _one_owner_per_bank_account(self) -> Tenant:
        owned = [account.iban for entity in self.legal_entities for account in entity.bank_accounts]
        if len(owned) != len(set(owned)):
            raise ValueError("two bank accounts carry one number")
        return self

    def entity_of_country(self, country: str) -> LegalEntity:
        """The legal entity that deals with a country."""
        return next((entity for entity in self.legal_entities if country in entity.serves), self.legal_entities[0])

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

"""Tax as configuration: who is taxed how is decided by ordered, dated rules; rates, territories and products are tables beside them.

conf/taxes/<policy>.yaml holds what a seller goes by: rules whose conditions speak the language of jobs/ledger/rules.py over the
record below. conf/taxes/rates/<table>.yaml holds rates by place and tax class, conf/taxes/territories/ where the law treats a
customer other than its country's name says, conf/taxes/products/<tenant>.yaml what class a product is of. docs/taxes.md tells it
for those who write it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from jobs.ledger.money import Rounding
from jobs.ledger.rules import Fact, wrong_condition, wrong_message
from jobs.runtime import config
from jobs.runtime.config import display, nearest
from jobs.runtime.errors import ConfigError

STANDARD = "standard"  # the tax class of a product that nobody has told one of
FED = "tax_rates"  # as a table of rates: what the feed of that name brings
Category = Literal["S", "Z", "E", "AE", "K", "G", "O"]  # UNCL 5305, as EN 16931 uses it
UNTAXED = ("Z", "E", "AE", "K", "G", "O")  # of a rate of nothing, each by another reason
IdStatus = Literal["none", "invalid_form", "unknown", "in_check", "unregistered", "valid"]

RECORD: dict[str, Fact] = {  # what a rule may ask of a line; docs/taxes.md shows the same list, a test holds the two together
    fact.name: fact
    for fact in (
        Fact("seller_country", "string", "Where the legal entity that sells is established, ISO 3166."),
        Fact("seller_region", "string", "Its state: of an Indian seller the first two digits of its GSTIN, else its address'."),
        Fact("below_threshold", "boolean", "Whether the seller's sales to consumers elsewhere in the Union still stay below EUR 10,000 "
             "a year, as its legal entity says."),
        Fact("registered_there", "boolean", "Whether the seller has a VAT id of the vat_country, as its legal entity says."),
        Fact("customer_country", "string", "The country on the customer's address; unknown where it tells none."),
        Fact("region_code", "string", "State or province on the address, as its tax law codes it: ISO 3166-2 without the country."),
        Fact("vat_country", "string", "The country whose tax law the address falls under: FR for Monaco, GB for the Isle of Man."),
        Fact("territory", "string", "The special territory the address lies in; unknown for anywhere else."),
        Fact("territory_treatment", "string", "Of that territory: outside (of its country's tax area), own_rates, or part_of."),
        Fact("rate_place", "string", "The place whose rates hold at the address: the country, or a territory with rates of its own."),
        Fact("in_eu", "boolean", "Whether the address lies in the VAT area of the European Union on the tax point."),
        Fact("is_business", "boolean", "As the account says; where it does not, whether it tells a tax id."),
        Fact("id_status", "string", "Of the customer's tax id: none, invalid_form, unknown (no check that is recent enough), "
             "in_check, unregistered or valid."),
        Fact("id_country", "string", "The country that gave the tax id, where its form is right."),
        Fact("place_of_supply", "string", "India: the state's code of a GSTIN of the right form, else of the address."),
        Fact("product_id", "string", "What is sold."),
        Fact("tax_class", "string", "Of the product: standard, or as conf/taxes/products/ says."),
        Fact("supply", "string", "Of the product: services or goods."),
        Fact("exempt", "boolean", "Whether a certificate of tax exemption holds on the tax point, where the customer is taxed."),
        Fact("jurisdiction", "string", "The jurisdiction the account is taxed in, as its feed names it."),
        Fact("currency", "string", "Of the document, ISO 4217."),
        Fact("tax_day", "date", "The tax point: the last day of the month that the charge belongs to."),
    )
}  # fmt: skip


class Dated(config.Strict):
    """What holds for a time, because somebody says so."""

    valid_from: date
    valid_to: date | None = None  # the first day it no longer holds
    source: str = Field(min_length=1)  # the law or the register that says so

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Dated:
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise ValueError("valid_to is not after valid_from")
        return self


class TaxRule(Dated):
    """One line of a policy: which lines it is for, and their tax, or why they are held."""

    id: str = Field(pattern="^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
    when: str | None = None  # a question to the record; without one it is for every line
    category: Category | None = None
    rate: Decimal | None = Field(default=None, ge=0, le=1)  # a share: "0.20"
    rates: str | None = None  # or a table of rates, looked up by tax class at
    place: str = "rate_place"  # what this column of the record says
    missing: str = "no_rate"  # why a line is held whose rate is not there
    component: str | None = None  # what the tax is called; the policy's own name for it otherwise
    exemption_code: str | None = Field(default=None, pattern="^VATEX-[A-Z0-9-]+$")  # BT-121, code list VATEX
    exemption_reason: str | None = None  # what the document has to say: BT-120
    hold: str | None = Field(default=None, pattern="^[a-z][a-z_]*$")  # instead of a tax: the reason code
    reason: str = Field(min_length=1)  # in words; {column} stands for the value of a column

    @model_validator(mode="after")
    def _one_answer(self) -> TaxRule:
        told = [name for name in ("rate", "rates", "hold") if getattr(self, name) is not None]
        if len(told) != 1:
            raise ValueError(f"rule '{self.id}' needs exactly one of rate, rates, hold; {len(told)} given")
        if (self.category is None) != (self.hold is not None):
            raise ValueError(f"rule '{self.id}': what is taxed has a category, what is held has none")
        if self.category in UNTAXED and self.rate != 0:
            raise ValueError(f"rule '{self.id}': category {self.category} goes with rate \"0\"")
        if self.category in ("E", "AE", "K", "G", "O") and not (self.exemption_reason or self.exemption_code):
            raise ValueError(f"rule '{self.id}': category {self.category} tells an exemption_reason or an exemption_code")
        return self


class TaxRounding(config.Strict):
    """Where a jurisdiction rounds tax: once per category, component and rate of a document, or on every line."""

    per: Literal["document", "line"]
    method: Rounding = "half_up"


class RoundOff(config.Strict):
    """What the payable amount of documents in a currency is rounded to."""

    currency: str = Field(pattern="^[A-Z]{3}$")
    unit: Decimal = Field(gt=0)


class TaxPolicy(config.Strict):
    """conf/taxes/<policy>.yaml; the first rule that holds on the tax point and fits a line decides."""

    policy: str
    component: str = "VAT"  # what the tax is called
    rounding: TaxRounding | None = None  # the house's own where a jurisdiction leaves it open
    round_off: RoundOff | None = None
    rules: tuple[TaxRule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> TaxPolicy:
        ids = [rule.id for rule in self.rules]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"two rules carry one id: {', '.join(twice)}")
        return self

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables of rates that its rules look into."""
        return tuple(sorted({rule.rates for rule in self.rules if rule.rates}))


class Rate(Dated):
    """What one component of a tax comes to at a place, for products of a class."""

    place: str
    tax_class: str = STANDARD
    component: str | None = None  # the policy's own name for the tax otherwise
    rate: Decimal = Field(ge=0, le=1)


class RateTable(config.Strict):
    """conf/taxes/rates/<table>.yaml; a class that a place has no rate for is taxed at its standard rate."""

    table: str
    rates: tuple[Rate, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_rate_a_day(self) -> RateTable:
        spans: dict[tuple[str, str, str | None], list[Rate]] = {}
        for rate in self.rates:
            spans.setdefault((rate.place, rate.tax_class, rate.component), []).append(rate)
        for (place, tax_class, _), rates in spans.items():
            rates.sort(key=lambda rate: rate.valid_from)
            for one, other in pairwise(rates):
                if one.valid_to is None or one.valid_to > other.valid_from:
                    raise ValueError(f"two rates hold for {place} {tax_class} on {other.valid_from}; end one with valid_to")
        return self


class Territory(Dated):
    """An area that tax law treats other than the country on its addresses."""

    name: str | None = None  # None: another code for the same country, of which no reason has to speak
    country: str = Field(pattern="^[A-Z]{2}$")  # as addresses write it
    postcodes: str | None = None  # a regular expression over the post code without blanks; None: all of that country
    treatment: Literal["outside", "own_rates", "part_of"]
    of: str | None = Field(default=None, pattern="^[A-Z]{2}$")  # the country whose law it falls under, if not that one
    place: str | None = None  # in tables of rates; its country otherwise

    @field_validator("postcodes")
    @classmethod
    def _a_pattern(cls, told: str | None) -> str | None:
        try:
            re.compile(told or "")
        except re.error:
            raise ValueError(f"'{told}' is not a regular expression") from None
        return told


class Member(Dated):
    """A country in the VAT area of the European Union."""

    country: str = Field(pattern="^[A-Z]{2}$")


class Territories(config.Strict):
    """conf/taxes/territories/<subject>.yaml: of several that fit an address the first counts."""

    territories: tuple[Territory, ...] = ()
    members: tuple[Member, ...] = ()
    regions: dict[str, dict[str, str]] = Field(default={})  # country -> name or code of a region -> the code tax law uses

    @model_validator(mode="after")
    def _a_member_once(self) -> Territories:
        names = [member.country for member in self.members]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"members name {', '.join(twice)} twice")
        return self

    def __add__(self, other: Territories) -> Territories:
        return Territories(
            territories=self.territories + other.territories,
            members=self.members + other.members,
            regions=self.regions | other.regions,
        )


class ProductClass(Dated):
    """What a product is, for tax."""

    product: str
    tax_class: str = STANDARD
    supply: Literal["services", "goods"] = "services"


class Products(config.Strict):
    """conf/taxes/products/<tenant>.yaml; what stands in no such file is a service taxed at the standard rate."""

    products: tuple[ProductClass, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_class_a_day(self) -> Products:
        for at, one in enumerate(self.products):
            for other in self.products[at + 1 :]:
                together = (one.valid_to is None or other.valid_from < one.valid_to) and (
                    other.valid_to is None or one.valid_from < other.valid_to
                )
                if one.product == other.product and together:
                    raise ValueError(f"product '{one.product}' has two classes on one day; end one with valid_to")
        return self


class Taxes(config.Strict):
    """Everything in conf/taxes/."""

    policies: dict[str, TaxPolicy]
    tables: dict[str, RateTable] = Field(default={})
    territories: Territories = Territories()
    products: dict[str, Products] = Field(default={})  # by tenant

    def policy(self, name: str) -> TaxPolicy:
        """A policy by name."""
        if name not in self.policies:
            raise ConfigError(
                f"tax policy '{name}' does not exist in conf/taxes/; {nearest(name, self.policies)} Nothing was started."
            )
        return self.policies[name]

    def used(self, policies: Iterable[str], tenant: str, day: date) -> dict[str, str]:
        """The resolved part that a tenant's documents of the month ending on a day depend on, for their fingerprint (law 13).

        policies: those its sellers go by; of rates, the tables that these look into.
        """
        told = {"taxes/territories": _known((*self.territories.territories, *self.territories.members), day)}
        told["taxes/regions"] = repr(
            sorted((country, sorted(codes.items())) for country, codes in self.territories.regions.items())
        )
        for name in sorted(set(policies)):
            policy = self.policy(name)
            told[f"taxes/{name}"] = f"{policy.component};{policy.rounding};{policy.round_off};{_known(policy.rules, day)}"
            for table in policy.tables:
                if table != FED:
                    told[f"taxes/rates/{table}"] = _known(self.tables[table].rates, day)
        if tenant in self.products:
            told["taxes/products"] = _known(self.products[tenant].products, day)
        return told


def _known(lines: Iterable[Dated], day: date) -> str:
    """The lines that hold on a day or held before, as they stand in the fingerprint; what is to come does not count yet."""
    return ";".join(line.resolved() for line in lines if line.valid_from <= day)


def taxes() -> Taxes:
    """All of conf/taxes/, validated."""
    policies = _named("taxes", TaxPolicy, "policy")
    tables = _named("taxes/rates", RateTable, "table")
    territories = sum((found for _, found in config.load_all("taxes/territories", Territories).values()), Territories())
    products = {name: found for name, (_, found) in config.load_all("taxes/products", Products).items()}
    for name, (path, policy) in policies.items():
        for rule in policy.rules:
            if why := wrong_with(rule, [*(name for name in tables), FED]):
                raise ConfigError(
                    f"{display(path)}: rule '{rule.id}' of policy {name}: {why} Nothing was started; mend the file."
                )
    return Taxes(
        policies={name: policy for name, (_, policy) in policies.items()},
        tables={name: table for name, (_, table) in tables.items()},
        territories=territories,
        products=products,
    )


Named = TypeVar("Named", TaxPolicy, RateTable)


def _named(folder: str, model: type[Named], key: str) -> dict[str, tuple[Path, Named]]:
    """The files of a folder by name; a file is called as what it declares."""
    found = config.load_all(folder, model)
    for stem, (path, content) in found.items():
        if getattr(content, key) != stem:
            raise ConfigError(
                f"{display(path)} declares {key} '{getattr(content, key)}'; the file and what is in it carry one name."
            )
    return found


def wrong_with(rule: TaxRule, tables: Iterable[str]) -> str | None:
    """Why a rule cannot be used, in words; None when it can."""
    if rule.when is not None and (why := wrong_condition(rule.when, RECORD)):
        return why
    if why := wrong_message(rule.reason, RECORD):
        return why.replace("its message", "its reason")
    if rule.rates is not None and rule.rates not in tables:
        return f"unknown table of rates '{rule.rates}'; {nearest(rule.rates, tables)}"
    if rule.rates is not None and rule.place not in RECORD:
        return f"its place is an unknown column '{rule.place}'; {nearest(rule.place, RECORD)}"
    return None

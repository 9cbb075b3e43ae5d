"""conf/invoice_generation.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Literal, get_args

from pydantic import Field, field_validator

from jobs.ledger.corrections import DocumentType
from jobs.ledger.money import Rounding
from jobs.ledger.periods import Period
from jobs.ledger.policies import Dated, of_tenant, one_a_day
from jobs.runtime import config


class RoundingPolicy(config.Strict):
    """Where rounding happens, and how; tax_level holds where a tax policy leaves it open."""

    method: Rounding
    level: Literal["line", "document"]
    tax_level: Literal["line", "document"]


class Holding(config.Strict):
    """Which documents are not issued but carried forward to the next month, although their tax is decided."""

    minimum: dict[str, Decimal] = Field(default={})  # currency -> the smallest net amount an invoice is written for
    zero_total: Literal["issue", "carry"] = "issue"
    negative_total: Literal["credit_note", "carry"] = "credit_note"

    @field_validator("minimum")
    @classmethod
    def _above_nothing(cls, told: dict[str, Decimal]) -> dict[str, Decimal]:
        for currency, amount in told.items():
            if not re.fullmatch("[A-Z]{3}", currency) or amount <= 0:
                raise ValueError(f"'{currency}: {amount}' is not an ISO 4217 code and an amount above 0")
        return told


DueDates = Literal["unmoved", "following", "preceding"]  # what becomes of one that is no business day of the seller


class Series(config.Strict):
    """A series of numbers per legal entity and fiscal year."""

    suffix: str = Field(pattern="^[A-Z]{0,3}$")
    title: str


class Numbering(config.Strict):
    """What the numbers of a country's sellers look like, and when their years begin; law 8 makes the number itself."""

    format: str  # of {prefix}, {suffix}, {year} and {yy} in which the fiscal year begins, {next_yy}, and {number}
    fiscal_year_starts: int = Field(default=1, ge=1, le=12)  # month
    max_length: int = Field(default=35, ge=8, le=35)  # 35 is what an ISO 20022 reference holds
    source: str | None = None  # of what the law asks

    @field_validator("format")
    @classmethod
    def _formats(cls, pattern: str) -> str:
        told = {"prefix": "P", "suffix": "", "year": 2026, "yy": 26, "next_yy": 27}
        try:
            shown = {pattern.format(**told, number=number) for number in (1, 2)}
            years = {pattern.format(**(told | {"year": year, "yy": year % 100}), number=1) for year in (2026, 2027)}
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError("knows {prefix}, {suffix}, {year}, {yy}, {next_yy} and {number}") from error
        if len(shown) < 2:
            raise ValueError("must contain {number}")
        if len(years) < 2:
            raise ValueError("must contain {year} or {yy}: counting begins again every fiscal year")
        return pattern

    def fiscal_year(self, day: date) -> int:
        """The year in which the fiscal year of a day begins."""
        return day.year if day.month >= self.fiscal_year_starts else day.year - 1


class Returns(config.Strict):
    """Whose charges below nothing are credit notes that name the invoice they reverse, where one can be found."""

    tenants: tuple[str, ...] = Field(min_length=1)
    months: int = Field(ge=1, le=120)  # so far back an invoice may lie


class Prepayments(Dated):
    """Whether money that customers have paid on account is deducted from what they are invoiced; the issue date decides."""

    deduct: bool


class IssueControl(config.Strict):
    """How far a month may be from those before it without a second person's approval; shares are of what is usual."""

    tenants: tuple[str, ...] = ()  # whom it holds for; none: all that no other entry names
    months: int = Field(ge=1, le=24)  # so many months before are usual
    least_documents: int = Field(ge=1)  # differences of fewer documents are never asked for
    documents_share: Decimal = Field(gt=0)  # of the documents of a customer country
    amount_share: Decimal = Field(gt=0)  # of the amount of a product in a country and currency
    noticeable_share: Decimal = Field(ge=0, le=1)  # of all that the tenant bills in a currency; less is never asked for
    new_customers_share: Decimal = Field(gt=0, le=1)  # of the month's customers
    outlier_times: Decimal = Field(gt=1)  # a document beside the greatest of its account before


class Documents(config.Strict):
    """Which files a document has, and how closely they are looked at."""

    formats: tuple[Literal["ubl", "pdf"], ...] = Field(default=("ubl", "pdf"), min_length=1)
    validated_share: Decimal = Field(
        default=Decimal("0.05"), ge=0, le=1
    )  # of documents whose UBL the official rules are run on
    default_language: str = Field(
        default="en", pattern="^[a-z]{2}$"
    )  # of PDFs for customers of a country that no language names
    units: dict[str, str] = Field(default={})  # as usage calls a unit -> code of UN/ECE Recommendation 20

    @field_validator("formats")
    @classmethod
    def _each_format_once(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        if len(formats) != len(set(formats)):
            raise ValueError("a format is named twice")
        return formats

    @field_validator("units")
    @classmethod
    def _codes(cls, units: dict[str, str]) -> dict[str, str]:
        for unit, code in units.items():
            if not re.fullmatch("[A-Z0-9]{2,3}", code):
                raise ValueError(f"unit '{unit}' has '{code}', which is no code of UN/ECE Recommendation 20")
        return units


class Settings(config.Strict):
    """How charges become documents."""

    rounding: RoundingPolicy
    holding: Holding = Holding()
    oldest_id_check_days: int | None = Field(
        default=None, ge=1
    )  # how old a registry's check of a tax id may be at the tax point
    default_payment_terms_days: int = Field(ge=0, le=365)
    due_dates: DueDates
    issue_day: int = Field(ge=1, le=28)
    series: dict[DocumentType, Series]
    returns: Returns | None = None
    prepayments: tuple[Prepayments, ...] = ()
    issue_control: tuple[IssueControl, ...]
    numbering: dict[str, Numbering]  # by the seller's country; "*" is every other one
    documents: Documents = Documents()

    @field_validator("series")
    @classmethod
    def _every_type_has_one(cls, told: dict[DocumentType, Series]) -> dict[DocumentType, Series]:
        if missing := [name for name in get_args(DocumentType) if name not in told]:
            raise ValueError(f"lacks {', '.join(missing)}: its documents would carry the numbers of invoices")
        suffixes = [one.suffix for one in told.values()]
        if twice := sorted({suffix for suffix in suffixes if suffixes.count(suffix) > 1}):
            raise ValueError(f"has the suffix '{twice[0]}' twice: documents of two types would carry one number")
        return told

    @field_validator("numbering")
    @classmethod
    def _every_country_has_one(cls, told: dict[str, Numbering]) -> dict[str, Numbering]:
        if unknown := sorted(name for name in told if not re.fullmatch(r"\*|[A-Z]{2}", name)):
            raise ValueError(f"is keyed by ISO 3166 alpha-2 codes or *, not by {', '.join(unknown)}")
        if "*" not in told:
            raise ValueError("needs '*', the numbering of every other country")
        return told

    @field_validator("issue_control")
    @classmethod
    def _every_tenant_has_one(cls, told: tuple[IssueControl, ...]) -> tuple[IssueControl, ...]:
        if sum(not one.tenants for one in told) != 1:
            raise ValueError("needs one entry without tenants, for all that no other entry names")
        named = [name for one in told for name in one.tenants]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"names {', '.join(twice)} twice")
        return told

    @field_validator("prepayments")
    @classmethod
    def _one_policy_a_day(cls, told: tuple[Prepayments, ...]) -> tuple[Prepayments, ...]:
        return tuple(one_a_day(told))

    def resolved_for(self, tenant: str, countries: Iterable[str]) -> str:
        """The part that what a tenant issues depends on, as canonical JSON; countries: of its legal entities. How it is rendered is not."""
        told = self.model_dump(mode="json", exclude={"documents", "issue_control", "numbering", "prepayments", "returns"})
        told["issue_control"] = self.issue_control_of(tenant).model_dump(mode="json", exclude={"tenants"})
        told["numbering"] = {
            country: self.numbering_of(country).model_dump(mode="json") for country in sorted(set(countries))
        }
        named = self.returns is not None and tenant in self.returns.tenants
        told["returns"] = self.returns.months if named and self.returns else None
        return json.dumps(told, sort_keys=True, ensure_ascii=False)

    def issue_control_of(self, tenant: str) -> IssueControl:
        """The limits of a tenant."""
        named = (one for one in self.issue_control if tenant in one.tenants)
        return next(named, None) or next(one for one in self.issue_control if not one.tenants)

    def deducts(self, tenant: str, day: date) -> Prepayments | None:
        """The policy by which a tenant's invoices of an issue date take what was paid on account; None where they take nothing."""
        policy = of_tenant(self.prepayments, tenant, day)
        return policy if policy and policy.deduct else None

    def numbering_of(self, country: str) -> Numbering:
        """How a seller in a country numbers its documents."""
        return self.numbering.get(country, self.numbering["*"])

    def issue_date(self, period: Period) -> date:
        """The issue date of a month's documents where the run does not name one."""
        return period.next.first_day.replace(day=self.issue_day)


def settings() -> Settings:
    """The settings in force."""
    return config.load(config.stage_file("invoice_generation"), Settings)

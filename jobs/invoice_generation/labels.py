"""What a PDF writes beside the figures, in the customer's language: conf/documents/labels/<language>.yaml."""

from __future__ import annotations

from functools import cached_property

from babel import Locale, UnknownLocaleError
from pydantic import Field, model_validator

from jobs.runtime import config
from jobs.runtime.errors import ConfigError

FOLDER = "documents/labels"
CATEGORIES = ("AE", "E", "G", "K", "O", "Z")  # of which a document has to say why it charges nothing


class Labels(config.Strict):
    """The words of one language. A word that is missing is an error before anything is rendered."""

    language: str = Field(pattern="^[a-z]{2}$")  # ISO 639-1
    countries: tuple[str, ...] = ()  # whose customers read it
    invoice: str
    credit_note: str
    debit_note: str
    corrective_invoice: str
    number: str
    issue_date: str
    due_date: str
    period: str
    customer: str
    customer_number: str
    tax_number: str
    registration_number: str
    original: str  # the document that this one corrects
    reason: str
    position: str
    description: str
    quantity: str
    unit_price: str
    amount: str
    tax_rate: str
    net: str
    tax: str
    taxable: str
    gross: str
    rounding: str
    prepaid: str
    payable: str
    credited: str  # what a credit note gives back
    payment: str
    pay_until: str  # with {amount} and {date}
    nothing_due: str
    reference: str
    account: str
    bank: str
    carried: str  # above the lines of a further page
    page: str  # with {page} and {pages}
    mentions: dict[str, str]  # tax category -> why no tax is charged, in the words of the law

    @model_validator(mode="after")
    def _whole(self) -> Labels:
        if missing := [category for category in CATEGORIES if category not in self.mentions]:
            raise ValueError(f"mentions lacks {', '.join(missing)}: a document without tax has to say why")
        for name, needed in (("page", ("page", "pages")), ("pay_until", ("amount", "date"))):
            if any(f"{{{part}}}" not in getattr(self, name) for part in needed):
                raise ValueError(f"{name} has to contain {' and '.join(f'{{{part}}}' for part in needed)}")
        if empty := [name for name in type(self).model_fields if getattr(self, name) == ""]:
            raise ValueError(f"{', '.join(empty)} is empty")
        return self

    def locale(self, country: str) -> Locale:
        """How a country that reads this language writes dates and numbers; the language's own way where it has none."""
        try:
            return Locale.parse(f"{self.language}_{country}" if country in self.countries else self.language)
        except (UnknownLocaleError, ValueError):
            return Locale.parse(self.language)

    @cached_property
    def words(self) -> str:
        """Every sign that may be printed, for fonts to be asked about."""
        told = (value for name, value in self if isinstance(value, str) and name != "language")
        return "".join([*told, *self.mentions.values()])


def by_country(default_language: str) -> dict[str, Labels]:
    """The labels of every country that some language names, and "*" for the others."""
    found: dict[str, Labels] = {}
    languages = config.load_all(FOLDER, Labels)
    for stem, (path, labels) in languages.items():
        if labels.language != stem:
            raise ConfigError(
                f"{config.display(path)} declares language '{labels.language}'; file and language carry one name."
            )
        for country in labels.countries:
            if country in found:
                raise ConfigError(
                    f"{config.display(path)}: country {country} reads '{found[country].language}' already; a customer gets one language."
                )
            found[country] = labels
    if default_language not in languages:
        raise ConfigError(
            f"documents.default_language is '{default_language}', of which there are no labels; "
            f"{config.nearest(default_language, languages)} Nothing was started."
        )
    return found | {"*": languages[default_language][1]}

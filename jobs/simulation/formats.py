"""How each business line writes its files, and the mapping that says how to read them back."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.simulation.kinds import Kind
from jobs.simulation.months import local_seconds

Feed = Literal["accounts", "prices", "usage"]
SPOILT = {"account_id": Kind.MISSING_ACCOUNT, "quantity": Kind.WRONG_QUANTITY, "usage_start": Kind.WRONG_START}
NO_VALUE = {"quantity": "n/a", "usage_start": "no date"}  # what text says in place of a value
FIELDS_OF_A_SHORT_LINE = 3  # always before the quantity, so that no reader can take the line for a whole one
FREE_TEXT = frozenset({"legal_name", "street", "city", "parameters", "tags"})  # may hold delimiters and quotes
NOT_CANONICAL = frozenset({("prices", "unit_price")})  # written where `derived` makes the parameters from it


@dataclass(frozen=True)
class Dialect:
    """One way of writing the three feeds."""

    format: Literal["csv", "jsonl", "parquet"]
    suffix: str
    headers: dict[Feed, dict[str, str]]  # canonical column -> what the file calls it, in the order of the file
    encoding: str = "utf-8"
    delimiter: str = ","
    newline: str = "\n"
    local: bool = False  # times are those of the billing zone and carry none themselves; otherwise UTC
    time: str = "%Y-%m-%dT%H:%M:%SZ"
    time_format: str | None = None  # the same, as a mapping writes it; None where it needs none
    date: str = "%Y-%m-%d"
    date_format: str | None = None
    seconds: int = 1  # the step of its clock
    words: dict[str, dict[str, str]] = field(default_factory=dict)  # column -> canonical value -> what the file says
    derived: dict[Feed, dict[str, Any]] = field(default_factory=dict)  # canonical columns that no single column gives

    def mapping(self, feed: Feed, timezone: str) -> dict[str, Any]:
        """The mapping of one feed, as conf/tenants/<tenant>.yaml has it."""
        mapping: dict[str, Any] = {"format": self.format}
        if self.format == "csv":
            mapping |= {"encoding": self.encoding, "delimiter": self.delimiter}
        mapping["timezone"] = timezone if self.local else "UTC"
        if feed == "usage":
            mapping["control_totals"] = [self.headers["usage"]["quantity"]]
        written = [column for column in self.headers[feed] if (feed, column) not in NOT_CANONICAL]
        mapping["columns"] = {column: self._how(feed, column) for column in written} | self.derived.get(feed, {})
        return mapping

    def _how(self, feed: Feed, column: str) -> str | dict[str, Any]:
        """A source column, with what its values and times mean where that is not plain."""
        how: dict[str, Any] = {"source": self.headers[feed][column]}
        if column in self.words:
            how["map"] = {said: meant for meant, said in self.words[column].items()}
        if column.startswith("usage_") and self.time_format:
            how["format"] = self.time_format
        if column.startswith("valid_") and self.date_format:
            how["format"] = self.date_format
        return how if len(how) > 1 else self.headers[feed][column]


def file_bytes(rows: pa.Table, feed: Feed, dialect: Dialect, timezone: str) -> bytes:
    """The rows as the file a tenant of this dialect delivers. Equal rows give equal bytes."""
    if dialect.format == "parquet":
        return _parquet(rows, dialect.headers[feed])
    columns = {column: _text(rows, column, dialect, timezone) for column in dialect.headers[feed]}
    as_lines = _json_lines if dialect.format == "jsonl" else _csv_lines
    lines = as_lines(columns, rows, feed, dialect)
    text = pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), dialect.newline)[0].as_py() + dialect.newline
    data: bytes = text.encode(dialect.encoding)
    return gzip.compress(data, compresslevel=6, mtime=0) if dialect.suffix.endswith(".gz") else data


def decimals(micros: NDArray[np.int64], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Millionths as DECIMAL(18,6), null where missing; the numbers never become floats."""
    halves = np.column_stack((micros, micros >> 63)).astype("<i8")  # 128 bits, little end first: the number, then its sign
    exact = pa.Array.from_buffers(pa.decimal128(18, 6), len(micros), [None, pa.py_buffer(halves.tobytes())])
    return exact if missing is None else pc.if_else(pa.array(missing), pa.scalar(None, exact.type), exact)


def _parquet(rows: pa.Table, headers: dict[str, str]) -> bytes:
    typed = [_instants(_spoilt(rows[column].combine_chunks(), column, rows, None)) for column in headers]
    sink = io.BytesIO()
    pq.write_table(pa.table(dict(zip(headers.values(), typed, strict=True))), sink, compression="snappy")
    return sink.getvalue()


def _instants(values: pa.Array) -> pa.Array:
    """Times as readers of Parquet expect them: microseconds in UTC. Other columns as they are."""
    if not pa.types.is_timestamp(values.type):
        return values
    return values.cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))


def _csv_lines(columns: dict[str, pa.Array], rows: pa.Table, feed: Feed, dialect: Dialect) -> pa.Array:
    """The header and a line a row; a short line ends after its first fields."""
    fields = [_csv_field(values, column in FREE_TEXT) for column, values in columns.items()]
    lines = pc.binary_join_element_wise(*fields, dialect.delimiter)
    if "kind" in rows.column_names:
        short = pc.binary_join_element_wise(*fields[:FIELDS_OF_A_SHORT_LINE], dialect.delimiter)
        lines = pc.if_else(pc.equal(rows["kind"].combine_chunks(), int(Kind.TOO_FEW_FIELDS)), short, lines)
    header = dialect.delimiter.join(dialect.headers[feed].values())
    return pa.concat_arrays([pa.array([header]), lines])


def _csv_field(values: pa.Array, free_text: bool) -> pa.Array:
    """The text of a field; a missing value is an empty one."""
    if free_text:
        values = pc.binary_join_element_wise('"', pc.replace_substring(values, '"', '""'), '"', "")
    return pc.fill_null(values, "")


def _json_lines(columns: dict[str, pa.Array], rows: pa.Table, feed: Feed, dialect: Dialect) -> pa.Array:
    """One object a row; decimals are strings, because readers take JSON numbers for floats."""
    members = []
    for column, text in columns.items():
        bare = pa.types.is_boolean(rows[column].type) or pa.types.is_integer(rows[column].type)
        escaped = pc.replace_substring(pc.replace_substring(text, "\\", "\\\\"), '"', '\\"') if column in FREE_TEXT else text
        shown = escaped if bare else pc.binary_join_element_wise('"', escaped, '"', "")
        members.append(pc.binary_join_element_wise(f'"{dialect.headers[feed][column]}":', pc.fill_null(shown, "null"), ""))
    inside = pc.binary_join_element_wise(*members, ",")
    return pc.binary_join_element_wise("{", inside, "}", "")


def _text(rows: pa.Table, column: str, dialect: Dialect, timezone: str) -> pa.Array:
    """A column as text, in the dialect's words and clock."""
    values = rows[column].combine_chunks()
    if pa.types.is_decimal(values.type):
        text = _trimmed(values)
    elif pa.types.is_timestamp(values.type):
        text = pc.strftime(_shown(values, timezone) if dialect.local else values, format=dialect.time)
    elif pa.types.is_date(values.type):
        text = pc.strftime(values.cast(pa.timestamp("s")), format=dialect.date)
    else:
        text = values.cast(pa.string())
    if column in dialect.words:
        text = _worded(text, dialect.words[column])
    return _spoilt(text, column, rows, NO_VALUE.get(column))


def _trimmed(values: pa.Array) -> pa.Array:
    """Decimals without the zeros that say nothing: 12.5, 12."""
    return pc.utf8_rtrim(pc.utf8_rtrim(values.cast(pa.string()), "0"), ".")


def _shown(instants: pa.Array, timezone: str) -> pa.Array:
    """Instants as the clocks of a zone show them."""
    return pa.array(local_seconds(instants.cast(pa.int64()).to_numpy(), timezone)).cast(pa.timestamp("s"))


def _worded(text: pa.Array, words: dict[str, str]) -> pa.Array:
    coded = text.dictionary_encode()
    return pa.array([words[value] for value in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)


def _spoilt(values: pa.Array, column: str, rows: pa.Table, shown: str | None) -> pa.Array:
    """The column with `shown`, or nothing, in the rows that are wrong in it on purpose."""
    if column not in SPOILT or "kind" not in rows.column_names:
        return values
    wrong = pc.equal(rows["kind"].combine_chunks(), int(SPOILT[column]))
    return pc.if_else(wrong, pa.scalar(shown, values.type), values)


CLOUD = Dialect(
    format="csv",
    suffix=".csv",
    headers={
        "accounts": {
            "account_id": "BillingAccountId", "legal_name": "BillingAccountName", "country": "Country",
            "currency": "BillingCurrency", "street": "Street", "postal_code": "PostalCode", "city": "City",
            "tax_id": "TaxId", "is_business": "IsBusiness", "payment_terms_days": "TermsDays", "email": "Email",
            "valid_from": "ValidFrom",
        },
        "prices": {
            "price_id": "SkuPriceId", "product_id": "SkuId", "model": "PricingModel", "currency": "PricingCurrency",
            "parameters": "Parameters", "region": "RegionId", "unit": "PricingUnit", "valid_from": "ValidFrom",
            "valid_to": "ValidTo",
        },
        "usage": {
            "record_id": "LineItemId", "account_id": "BillingAccountId", "product_id": "SkuId",
            "usage_start": "ChargePeriodStart", "usage_end": "ChargePeriodEnd", "quantity": "ConsumedQuantity",
            "unit": "ConsumedUnit", "region": "RegionId", "unit_price": "ListUnitPrice", "currency": "BillingCurrency",
            "tags": "Tags", "revision": "Revision", "withdrawn": "Withdrawn",
        },
    },
)  # fmt: skip

PARAMETERS_OF_A_LIST_PRICE = """case when Preisart = 'Liste' then concat('{"unit_price":"', Preis, '"}') else '{}' end"""
RETAIL = Dialect(  # what a German point-of-sale system exports
    format="csv",
    suffix=".csv",
    encoding="latin-1",
    delimiter=";",
    newline="\r\n",
    local=True,
    time="%d.%m.%Y %H:%M",
    time_format="dd.MM.yyyy HH:mm",
    date="%d.%m.%Y",
    date_format="dd.MM.yyyy",
    seconds=60,
    headers={
        "accounts": {
            "account_id": "Kundennummer", "legal_name": "Firma", "street": "Straße", "postal_code": "PLZ", "city": "Ort",
            "country": "Land", "currency": "Währung", "tax_id": "USt-IdNr", "payment_terms_days": "Zahlungsziel",
            "email": "E-Mail", "is_business": "Gewerblich", "valid_from": "Gültig ab",
        },
        "prices": {
            "price_id": "Preisnummer", "product_id": "Artikel", "model": "Preisart", "currency": "Währung",
            "unit_price": "Preis", "unit": "Einheit", "valid_from": "Gültig ab", "valid_to": "Gültig bis",
        },
        "usage": {
            "record_id": "Bon", "account_id": "Kundennummer", "product_id": "Artikel", "usage_start": "Zeitpunkt",
            "quantity": "Menge", "unit": "Einheit", "unit_price": "Einzelpreis", "currency": "Währung",
            "revision": "Fassung", "withdrawn": "Storno",
        },
    },
    words={
        "country": {
            "DE": "Deutschland", "FR": "Frankreich", "GB": "Großbritannien", "CH": "Schweiz", "JP": "Japan", "US": "USA",
            "AT": "Österreich", "BE": "Belgien", "IE": "Irland", "CA": "Kanada",
        },
        "model": {"per_unit": "Liste", "price_on_record": "Beleg"},
        "is_business": {"true": "J", "false": "N"},
        "withdrawn": {"true": "J", "false": "N"},
    },
    derived={
        "prices": {"parameters": {"sql": PARAMETERS_OF_A_LIST_PRICE}}
    },
)  # fmt: skip

MEDIA = Dialect(
    format="jsonl",
    suffix=".jsonl",
    local=True,
    time="%Y-%m-%d %H:%M:%S",
    headers={
        "accounts": {
            "account_id": "subscriber", "legal_name": "name", "country": "country", "currency": "currency",
            "street": "street", "postal_code": "postcode", "city": "city", "tax_id": "tax_id", "is_business": "business",
            "email": "email", "valid_from": "since",
        },
        "prices": {
            "price_id": "price", "product_id": "item", "model": "model", "currency": "currency", "parameters": "parameters",
            "region": "territory", "unit": "unit", "valid_from": "from", "valid_to": "until",
        },
        "usage": {
            "record_id": "event", "account_id": "subscriber", "product_id": "item", "usage_start": "played_at",
            "quantity": "amount", "unit": "unit", "region": "territory", "unit_price": "price", "currency": "currency",
            "revision": "version", "withdrawn": "retracted",
        },
    },
    derived={"accounts": {"payment_terms_days": {"constant": "14"}}},
)  # fmt: skip

LOGISTICS = Dialect(
    format="parquet",
    suffix=".parquet",
    headers={
        "accounts": {
            "account_id": "shipper_id", "legal_name": "shipper_name", "country": "country_code",
            "currency": "currency_code", "street": "street", "postal_code": "postal_code", "city": "city",
            "tax_id": "tax_id", "is_business": "is_business", "payment_terms_days": "terms_days", "email": "email",
            "valid_from": "valid_from",
        },
        "prices": {
            "price_id": "tariff_id", "product_id": "service_code", "model": "model", "currency": "currency_code",
            "parameters": "parameters", "region": "port", "unit": "measure", "valid_from": "valid_from",
            "valid_to": "valid_to",
        },
        "usage": {
            "record_id": "movement_id", "account_id": "shipper_id", "product_id": "service_code",
            "usage_start": "departed_at", "usage_end": "arrived_at", "quantity": "measured", "unit": "measure",
            "region": "port", "unit_price": "agreed_price", "currency": "currency_code", "revision": "revision",
            "withdrawn": "cancelled",
        },
    },
)  # fmt: skip

UTILITIES = Dialect(  # meter readings of a head-end system
    format="csv",
    suffix=".csv.gz",
    delimiter="|",
    local=True,
    time="%Y%m%d%H%M%S",
    time_format="yyyyMMddHHmmss",
    headers={
        "accounts": {
            "account_id": "CONTRACT", "legal_name": "HOLDER", "street": "STREET", "postal_code": "ZIP", "city": "TOWN",
            "country": "COUNTRY", "currency": "CURRENCY", "payment_terms_days": "TERMS", "email": "EMAIL",
            "valid_from": "SINCE",
        },
        "prices": {
            "price_id": "TARIFF", "product_id": "REGISTER", "model": "MODEL", "currency": "CURRENCY",
            "parameters": "PARAMETERS", "region": "GRID", "unit": "UNIT", "valid_from": "SINCE", "valid_to": "UNTIL",
        },
        "usage": {
            "record_id": "READING", "product_id": "REGISTER", "account_id": "CONTRACT", "usage_start": "READ_AT",
            "quantity": "VALUE", "unit": "UNIT", "region": "GRID", "unit_price": "SPOT_PRICE", "currency": "CURRENCY",
            "revision": "REV", "withdrawn": "VOID",
        },
    },
    words={"withdrawn": {"true": "1", "false": "0"}},
    derived={"accounts": {"is_business": {"constant": "true"}}},
)  # fmt: skip

DIALECTS = {"cloud": CLOUD, "retail": RETAIL, "media": MEDIA, "logistics": LOGISTICS, "utilities": UTILITIES}

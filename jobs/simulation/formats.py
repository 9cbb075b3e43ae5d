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

from jobs.simulation.kinds import DRAWN_AS, Kind
from jobs.simulation.months import local_seconds

Feed = Literal[
    "accounts",
    "prices",
    "usage",
    "vendors",
    "purchase_orders",
    "payables",
    "disputes",
    "promises",
    "exemptions",
    "tax_registrations",
    "tax_rates",
]
SUMMED: dict[Feed, str] = {
    "usage": "quantity",
    "payables": "gross_amount",
}  # the column whose control total a delivery tells
SPOILT = {"account_id": Kind.MISSING_ACCOUNT, "quantity": Kind.WRONG_QUANTITY, "usage_start": Kind.WRONG_START}
TIMES = frozenset({"usage_start", "usage_end", "received_at", "checked_at"})
DATES = frozenset({"valid_from", "valid_to", "invoice_date", "due_date", "iban_changed_at", "promise_date"})
NO_VALUE = {"quantity": "n/a", "usage_start": "no date"}  # what text says in place of a value
FIELDS_OF_A_SHORT_LINE = 3  # always before the quantity, so that no reader can take the line for a whole one
FREE_TEXT = frozenset({"legal_name", "street", "city", "parameters", "tags", "reason"})  # may hold delimiters and quotes
NOT_CANONICAL = frozenset({("prices", "unit_price")})  # written where `derived` makes the parameters from it


@dataclass(frozen=True)
class Dialect:
    """One way of writing the feeds; bank statements are written in camt, whatever the dialect."""

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
    camt: str = "camt.053.001.08"  # what its bank sends
    words: dict[str, dict[str, str]] = field(default_factory=dict)  # column -> canonical value -> what the file says
    derived: dict[Feed, dict[str, Any]] = field(default_factory=dict)  # canonical columns that no single column gives

    def mapping(self, feed: Feed, timezone: str) -> dict[str, Any]:
        """The mapping of one feed, as conf/tenants/<tenant>.yaml has it."""
        mapping: dict[str, Any] = {"format": self.format}
        if self.format == "csv":
            mapping |= {"encoding": self.encoding, "delimiter": self.delimiter}
        mapping["timezone"] = timezone if self.local else "UTC"
        if feed in SUMMED:
            mapping["control_totals"] = [self.headers[feed][SUMMED[feed]]]
        written = [column for column in self.headers[feed] if (feed, column) not in NOT_CANONICAL]
        mapping["columns"] = {column: self._how(feed, column) for column in written} | self.derived.get(feed, {})
        return mapping

    @property
    def by_line(self) -> bool:
        """Whether vendor invoices come line by line, under an id of their own."""
        return "payable_id" in self.headers["payables"]

    def tells(self, column: str) -> bool:
        """Whether a column of the customer list is in its files."""
        return column in self.headers["accounts"]

    def _how(self, feed: Feed, column: str) -> str | dict[str, Any]:
        """A source column, with what its values and times mean where that is not plain."""
        how: dict[str, Any] = {"source": self.headers[feed][column]}
        if column in self.words:
            how["map"] = {said: meant for meant, said in self.words[column].items()}
        if column in TIMES and self.time_format:
            how["format"] = self.time_format
        if column in DATES and self.date_format:
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
    if DRAWN_AS in rows.column_names:
        short = pc.binary_join_element_wise(*fields[:FIELDS_OF_A_SHORT_LINE], dialect.delimiter)
        lines = pc.if_else(pc.equal(rows[DRAWN_AS].combine_chunks(), int(Kind.TOO_FEW_FIELDS)), short, lines)
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
    if column not in SPOILT or DRAWN_AS not in rows.column_names:
        return values
    wrong = pc.equal(rows[DRAWN_AS].combine_chunks(), int(SPOILT[column]))
    return pc.if_else(wrong, pa.scalar(shown, values.type), values)


CLOUD = Dialect(
    format="csv",
    suffix=".csv",
    headers={
        "accounts": {
            "account_id": "BillingAccountId", "legal_name": "BillingAccountName", "country": "Country",
            "currency": "BillingCurrency", "street": "Street", "postal_code": "PostalCode", "city": "City",
            "region": "StateOrProvince", "tax_jurisdiction": "TaxJurisdiction", "tax_id": "TaxId", "is_business": "IsBusiness",
            "payment_terms_days": "TermsDays", "email": "Email",
            "iban": "BankAccount", "valid_from": "ValidFrom",
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
        "vendors": {
            "vendor_id": "SupplierId", "legal_name": "SupplierName", "country": "Country", "tax_id": "TaxId", "iban": "BankAccount",
            "iban_changed_at": "BankAccountSince", "status": "Status", "payment_method": "PaymentMethod", "terms": "Terms",
            "valid_from": "ValidFrom",
        },
        "purchase_orders": {
            "po_number": "PurchaseOrder", "line_no": "Line", "vendor_id": "SupplierId", "quantity": "Quantity",
            "unit_price": "UnitPrice", "currency": "Currency",
        },
        "payables": {
            "record_id": "DocumentId", "invoice_number": "InvoiceNumber", "vendor_id": "SupplierId", "country": "Country",
            "invoice_date": "InvoiceDate", "received_at": "ReceivedAt", "currency": "Currency", "gross_amount": "Gross",
            "net_amount": "Net", "tax_amount": "Tax", "po_number": "PurchaseOrder", "terms": "Terms", "due_date": "DueDate",
            "iban": "BankAccount", "vendor_tax_id": "TaxId", "document_type": "DocumentType",
        },
        "disputes": {
            "document_id": "InvoiceNumber", "account_id": "BillingAccountId", "valid_from": "RaisedOn", "valid_to": "SettledOn",
            "reason": "Reason",
        },
        "promises": {
            "account_id": "BillingAccountId", "document_id": "InvoiceNumber", "valid_from": "MadeOn", "promise_date": "PayBy",
        },
        "exemptions": {
            "account_id": "BillingAccountId", "kind": "Kind", "jurisdiction": "Jurisdiction", "valid_from": "ValidFrom",
            "valid_to": "ValidTo", "reason": "Reason",
        },
        "tax_rates": {"jurisdiction": "Jurisdiction", "component": "Authority", "rate": "Rate", "valid_from": "ValidFrom"},
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
            "email": "E-Mail", "iban": "IBAN", "is_business": "Gewerblich", "valid_from": "Gültig ab",
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
        "vendors": {
            "vendor_id": "Lieferant", "legal_name": "Firma", "country": "Land", "tax_id": "USt-IdNr", "iban": "IBAN",
            "iban_changed_at": "IBAN seit", "status": "Zustand", "payment_method": "Zahlweg", "terms": "Zahlungsziel",
            "valid_from": "Gültig ab",
        },
        "purchase_orders": {
            "po_number": "Bestellung", "line_no": "Position", "vendor_id": "Lieferant", "quantity": "Menge",
            "unit_price": "Einzelpreis", "currency": "Währung",
        },
        "payables": {
            "record_id": "Beleg", "invoice_number": "Rechnungsnummer", "vendor_id": "Lieferant", "country": "Land",
            "invoice_date": "Rechnungsdatum", "received_at": "Eingang", "currency": "Währung", "net_amount": "Netto",
            "tax_amount": "USt", "gross_amount": "Brutto", "po_number": "Bestellung", "terms": "Zahlungsziel",
            "due_date": "Fällig", "iban": "IBAN", "vendor_tax_id": "USt-IdNr", "document_type": "Belegart",
        },
        "disputes": {
            "document_id": "Rechnung", "account_id": "Kundennummer", "valid_from": "Seit", "valid_to": "Bis", "reason": "Grund",
        },
        "promises": {
            "account_id": "Kundennummer", "document_id": "Rechnung", "valid_from": "Zugesagt am", "promise_date": "Zahlung bis",
        },
        "exemptions": {
            "account_id": "Kundennummer", "kind": "Wovon", "jurisdiction": "Wo", "valid_from": "Gültig ab", "valid_to": "Gültig bis",
            "reason": "Grund",
        },
        "tax_registrations": {"tax_id": "USt-IdNr", "country": "Land", "status": "Auskunft", "checked_at": "Geprüft"},
    },
    words={
        "country": {
            "DE": "Deutschland", "FR": "Frankreich", "GB": "Großbritannien", "CH": "Schweiz", "JP": "Japan", "US": "USA",
            "AT": "Österreich", "BE": "Belgien", "IE": "Irland", "CA": "Kanada", "LI": "Liechtenstein", "MC": "Monaco", "IM": "Insel Man",
            "BG": "Bulgarien", "CY": "Zypern", "CZ": "Tschechien", "DK": "Dänemark", "EE": "Estland", "ES": "Spanien", "FI": "Finnland",
            "GR": "Griechenland", "HR": "Kroatien", "HU": "Ungarn", "IT": "Italien", "LT": "Litauen", "LU": "Luxemburg", "LV": "Lettland",
            "MT": "Malta", "NL": "Niederlande", "PL": "Polen", "PT": "Portugal", "RO": "Rumänien", "SE": "Schweden", "SI": "Slowenien",
            "SK": "Slowakei",
        },
        "kind": {"dunning": "Mahnung", "tax": "Steuer"},
        "model": {"per_unit": "Liste", "price_on_record": "Beleg"},
        "is_business": {"true": "J", "false": "N"},
        "withdrawn": {"true": "J", "false": "N"},
        "status": {
            "active": "aktiv", "blocked": "gesperrt", "valid": "gültig", "invalid": "ungültig", "in_check": "in Prüfung",
        },
        "document_type": {"invoice": "Rechnung", "credit_note": "Gutschrift"},
    },
    derived={
        "prices": {"parameters": {"sql": PARAMETERS_OF_A_LIST_PRICE}},
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
            "email": "email", "iban": "account", "valid_from": "since",
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
        "vendors": {
            "vendor_id": "supplier", "legal_name": "name", "country": "country", "tax_id": "tax_id", "iban": "account",
            "iban_changed_at": "account_since", "status": "status", "payment_method": "paid_by", "terms": "terms",
            "valid_from": "since",
        },
        "purchase_orders": {
            "po_number": "order", "line_no": "line", "vendor_id": "supplier", "quantity": "quantity", "unit_price": "price",
            "currency": "currency",
        },
        "payables": {
            "record_id": "document", "invoice_number": "number", "vendor_id": "supplier", "country": "country",
            "invoice_date": "dated", "received_at": "received", "currency": "currency", "gross_amount": "gross",
            "net_amount": "net", "tax_amount": "tax", "po_number": "order", "terms": "terms", "due_date": "due",
            "iban": "account", "vendor_tax_id": "tax_id", "document_type": "type",
        },
        "disputes": {
            "document_id": "invoice", "account_id": "subscriber", "valid_from": "from", "valid_to": "until", "reason": "reason",
        },
        "promises": {"account_id": "subscriber", "document_id": "invoice", "valid_from": "made", "promise_date": "by"},
        "exemptions": {
            "account_id": "subscriber", "kind": "of", "jurisdiction": "where", "valid_from": "from", "valid_to": "until",
            "reason": "reason",
        },
    },
    camt="camt.053.001.02",
    derived={"accounts": {"payment_terms_days": {"constant": "14"}}},
)  # fmt: skip

LOGISTICS = Dialect(
    format="parquet",
    suffix=".parquet",
    headers={
        "accounts": {
            "account_id": "shipper_id", "legal_name": "shipper_name", "country": "country_code",
            "currency": "currency_code", "street": "street", "postal_code": "postal_code", "city": "city",
            "region": "state", "tax_jurisdiction": "tax_jurisdiction", "tax_id": "tax_id", "is_business": "is_business",
            "payment_terms_days": "terms_days", "email": "email",
            "iban": "account_number", "valid_from": "valid_from",
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
        "vendors": {
            "vendor_id": "carrier_id", "legal_name": "carrier_name", "country": "country_code", "tax_id": "tax_id",
            "iban": "account_number", "iban_changed_at": "account_changed_on", "status": "status",
            "payment_method": "payment_method", "terms": "terms", "valid_from": "valid_from",
        },
        "purchase_orders": {
            "po_number": "order_no", "line_no": "order_line", "vendor_id": "carrier_id", "quantity": "quantity",
            "unit_price": "unit_price", "currency": "currency_code",
        },
        "payables": {
            "record_id": "line_id", "payable_id": "document_id", "invoice_number": "invoice_no", "vendor_id": "carrier_id",
            "country": "country_code", "invoice_date": "invoice_date", "received_at": "received_at",
            "currency": "currency_code", "gross_amount": "gross", "net_amount": "net", "tax_amount": "tax",
            "po_number": "order_no", "terms": "terms", "due_date": "due_date", "iban": "account_number",
            "vendor_tax_id": "tax_id", "document_type": "document_type",
        },
        "disputes": {
            "document_id": "invoice_no", "account_id": "shipper_id", "valid_from": "valid_from", "valid_to": "valid_to",
            "reason": "reason",
        },
        "promises": {
            "account_id": "shipper_id", "document_id": "invoice_no", "valid_from": "valid_from", "promise_date": "promise_date",
        },
        "exemptions": {
            "account_id": "shipper_id", "kind": "kind", "jurisdiction": "jurisdiction", "valid_from": "valid_from",
            "valid_to": "valid_to", "reason": "reason",
        },
        "tax_rates": {"jurisdiction": "jurisdiction", "component": "authority", "rate": "rate", "valid_from": "valid_from"},
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
        "vendors": {
            "vendor_id": "SUPPLIER", "legal_name": "NAME", "country": "COUNTRY", "tax_id": "VAT_ID", "iban": "ACCOUNT",
            "iban_changed_at": "ACCOUNT_SINCE", "status": "BLOCKED", "payment_method": "METHOD", "terms": "TERMS",
            "valid_from": "SINCE",
        },
        "purchase_orders": {
            "po_number": "ORDER_NO", "line_no": "LINE", "vendor_id": "SUPPLIER", "quantity": "QUANTITY", "unit_price": "PRICE",
            "currency": "CURRENCY",
        },
        "payables": {
            "record_id": "VOUCHER", "invoice_number": "INVOICE", "vendor_id": "SUPPLIER", "country": "COUNTRY",
            "invoice_date": "DATED", "received_at": "RECEIVED", "currency": "CURRENCY", "gross_amount": "GROSS",
            "net_amount": "NET", "tax_amount": "TAX", "po_number": "ORDER_NO", "terms": "TERMS", "due_date": "DUE",
            "iban": "ACCOUNT", "vendor_tax_id": "VAT_ID", "document_type": "KIND",
        },
        "disputes": {
            "document_id": "INVOICE", "account_id": "CONTRACT", "valid_from": "SINCE", "valid_to": "UNTIL", "reason": "REASON",
        },
        "promises": {"account_id": "CONTRACT", "document_id": "INVOICE", "valid_from": "SINCE", "promise_date": "PAY_BY"},
        "exemptions": {
            "account_id": "CONTRACT", "kind": "KIND", "jurisdiction": "PLACE", "valid_from": "SINCE", "valid_to": "UNTIL",
            "reason": "REASON",
        },
    },
    words={
        "withdrawn": {"true": "1", "false": "0"},
        "status": {"active": "0", "blocked": "1"},
        "document_type": {"invoice": "RE", "credit_note": "GS"},
    },
    camt="camt.053.001.02",
    derived={"accounts": {"is_business": {"constant": "true"}}},
)  # fmt: skip

DIALECTS = {"cloud": CLOUD, "retail": RETAIL, "media": MEDIA, "logistics": LOGISTICS, "utilities": UTILITIES}

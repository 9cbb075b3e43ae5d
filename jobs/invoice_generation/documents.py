"""The files of issued documents: rendered, validated and read back by the workers, partition by partition, never through the driver.

A file is made once: it is staged, judged, and then let stand in documents/, where it is never rewritten. What a format cannot say, or a
font cannot show, has no file and a code that says why.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.invoice_generation import exact_checks, pdf, ubl
from jobs.invoice_generation.document import Account, Document, Party, of_row
from jobs.invoice_generation.labels import Labels
from jobs.ledger.tenants import LegalEntity, Tenant
from jobs.runtime import storage

KEY = ("tenant_id", "invoice_id")
OF_LINE = (
    "line_no", "product_id", "region", "unit", "quantity", "rated_amount", "line_amount", "tax_category", "tax_rate",
    "line_taxes", "service_period",
)  # fmt: skip
OF_TAX = ("tax_category", "tax_component", "tax_rate", "taxable_amount", "tax_amount", "exemption_code", "exemption_reason")
OF_INVOICE = (
    "period", "legal_entity_id", "account_id", "customer_country", "customer_region", "document_type", "invoice_number", "issue_date",
    "due_date", "currency", "net_amount", "tax_amount", "gross_amount", "rounding_amount", "prepaid_amount", "payable_amount",
    "original_invoice_id", "correction_reason",
)  # fmt: skip
OF_CUSTOMER = ("legal_name", "street", "city", "postal_code", "tax_id", "email")
EXTENSIONS = {"ubl": "xml", "pdf": "pdf"}
UNKNOWN_SELLER = "unknown_seller"  # and the legal entity that issued it: no tenant's file in conf/tenants/ names it any more

MADE = (
    "tenant_id string, period date, invoice_id string, invoice_number string, format string, left_out string, layout string, "
    "language string, file_path string, content_sha256 string, file_bytes bigint, rules_checked boolean, failed_rules array<string>"
)
FOUND = "tenant_id string, invoice_id string, format string, is_same boolean, problems array<string>"
VALIDATED = "tenant_id string, invoice_id string, format string, is_same boolean, failed_rules array<string>"
PLACED = "tenant_id string, file_path string, is_same boolean"
_TEXTS = pa.list_(pa.string())
_MADE = pa.schema(
    [
        ("tenant_id", pa.string()), ("period", pa.date32()), ("invoice_id", pa.string()), ("invoice_number", pa.string()),
        ("format", pa.string()), ("left_out", pa.string()), ("layout", pa.string()), ("language", pa.string()), ("file_path", pa.string()),
        ("content_sha256", pa.string()), ("file_bytes", pa.int64()), ("rules_checked", pa.bool_()), ("failed_rules", _TEXTS),
    ]
)  # fmt: skip
_FOUND = pa.schema(
    [
        ("tenant_id", pa.string()),
        ("invoice_id", pa.string()),
        ("format", pa.string()),
        ("is_same", pa.bool_()),
        ("problems", _TEXTS),
    ]
)
_VALIDATED = pa.schema(
    [
        ("tenant_id", pa.string()),
        ("invoice_id", pa.string()),
        ("format", pa.string()),
        ("is_same", pa.bool_()),
        ("failed_rules", _TEXTS),
    ]
)
_PLACED = pa.schema([("tenant_id", pa.string()), ("file_path", pa.string()), ("is_same", pa.bool_())])


@dataclass(frozen=True)
class Seller:
    """A legal entity as documents show it, and where it is registered beside its home."""

    party: Party
    accounts: tuple[Account, ...]
    registered: Mapping[str, str]  # country -> tax number


@dataclass(frozen=True)
class Making:
    """What a worker needs to make files, beside the rows."""

    sellers: Mapping[tuple[str, str], Seller]  # by tenant and legal entity
    formats: tuple[str, ...]
    units: Mapping[str, str]
    labels: Mapping[str, Labels]  # by country; "*" for the others
    validated_share: Decimal
    jars: str  # where the official rules are
    rounding: Mapping[tuple[str, str], exact_checks.Rounding] = field(
        default_factory=dict
    )  # of tax, by tenant and legal entity

    def document(self, row: Mapping[str, Any]) -> Document | None:
        """The document of a row of frame(), sold by who issued it; None where the configuration no longer knows who that is."""
        seller = self.sellers.get((row["tenant_id"], row["legal_entity_id"]))
        if seller is None:
            return None
        abroad = seller.registered.get(row["customer_country"] or "")
        party = replace(seller.party, tax_id=abroad) if abroad else seller.party
        return of_row(row, party, seller.accounts)

    def labels_for(self, country: str) -> Labels:
        """What is written beside the figures, as a country reads it."""
        return self.labels.get(country) or self.labels["*"]


def sellers(tenants: Iterable[Tenant]) -> dict[tuple[str, str], Seller]:
    """Every legal entity of some tenants, as their documents show it."""
    return {(tenant.tenant, entity.id): _seller(entity) for tenant in tenants for entity in tenant.legal_entities}


def _seller(entity: LegalEntity) -> Seller:
    address = entity.address
    party = Party(
        id=entity.id,
        name=entity.name or entity.id,
        country=entity.country,
        street=address.street if address else "",
        city=address.city if address else "",
        postal_code=address.postal_code if address else "",
        region=address.region if address else "",
        tax_id=entity.tax_id or "",
        registration_number=entity.registration_number or "",
        email=entity.email or "",
    )
    accounts = tuple(Account(one.iban, one.bic or "", one.currency) for one in entity.bank_accounts)
    return Seller(
        party, accounts, {country: number for country, number in entity.tax_ids.items() if country != entity.country}
    )


def frame(invoices: DataFrame, lines: DataFrame, taxes: DataFrame, accounts: DataFrame, originals: DataFrame) -> DataFrame:
    """One row per document with its lines, its taxes and its customer: what of_row() takes.

    invoices, lines, taxes: issued rows. accounts: one row per account. originals: issued documents of any month, which others may
    correct. lines and taxes are arrays in a fixed order.
    """
    customers = accounts.select("tenant_id", "account_id", *OF_CUSTOMER)
    corrected = originals.select(
        "tenant_id", F.col("invoice_id").alias("original_invoice_id"), F.col("invoice_number").alias("original_number"),
        F.col("issue_date").alias("original_date"),
    )  # fmt: skip
    return (
        invoices.select(*KEY, *OF_INVOICE)
        .join(_nested(lines, "lines", OF_LINE), on=list(KEY), how="left")
        .join(_nested(taxes, "taxes", OF_TAX), on=list(KEY), how="left")
        .join(customers, on=["tenant_id", "account_id"], how="left")
        .join(corrected, on=["tenant_id", "original_invoice_id"], how="left")
        .withColumns({name: F.coalesce(name, F.array()) for name in ("lines", "taxes")})
    )


def _nested(rows: DataFrame, name: str, columns: Sequence[str]) -> DataFrame:
    """The rows of each document as one sorted array. No two are equal, so a set loses none."""
    return rows.groupBy(*KEY).agg(F.array_sort(F.collect_set(F.struct(*columns))).alias(name))


def make(papers: DataFrame, root: str, making: Making, spread: int) -> DataFrame:
    """Render every document below `root` in every format. papers: as frame() returns it. Returns MADE, a row per document and format.

    A document is rendered wherever its row lies; `spread` partitions, so that all workers have some.
    """
    return papers.repartition(spread, *KEY).mapInArrow(_each(_maker(root, making), _MADE), MADE)


def _maker(root: str, making: Making) -> Callable[[Mapping[str, Any]], list[dict[str, Any]]]:
    def made(row: Mapping[str, Any]) -> list[dict[str, Any]]:
        document = making.document(row)
        unsold = {"left_out": f"{UNKNOWN_SELLER} {row['legal_entity_id']}"}
        return [
            _named(row, kind) | (_made(document, row, kind, root, making) if document else unsold) for kind in making.formats
        ]

    return made


def _named(row: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Which document a row of MADE is of, and in which format."""
    shared = {name: row[name] for name in ("tenant_id", "period", "invoice_id", "invoice_number")}
    return shared | {"format": kind, "rules_checked": False}


def _made(document: Document, row: Mapping[str, Any], kind: str, root: str, making: Making) -> dict[str, Any]:
    """Make one file; returns what its row of MADE says of it."""
    labels = making.labels_for(document.buyer.country)
    why = ubl.obstacle(document) if kind == "ubl" else pdf.obstacle(document, labels)
    if why:
        return {"left_out": why}
    about: dict[str, Any] = {}
    if kind == "ubl":
        content, about["layout"] = ubl.rendered(document, making.units), ubl.profile(document)
    else:
        content = pdf.rendered(document, labels)
        about |= {"layout": document.kind, "language": labels.language}
    path = file_path(document, f"{row['period']:%Y-%m}", kind)
    storage.write_bytes(f"{root}/{path}", content)
    if kind == "ubl" and is_sampled(document.invoice_id, making.validated_share):
        from jobs.invoice_generation import official_rules  # its processor is made in the process that runs it

        stands = storage.read_bytes(f"{root}/{path}")
        about |= {"rules_checked": True, "failed_rules": official_rules.failed(stands, about["layout"], making.jars)}
    return about | {
        "file_path": path, "content_sha256": hashlib.sha256(content).hexdigest(), "file_bytes": len(content),
    }  # fmt: skip


def file_path(document: Document, month: str, kind: str) -> str:
    """Where a file stands below documents/. Of the number stands there what every file system takes; the id makes it unique."""
    shown = re.sub("[^A-Za-z0-9]+", "-", document.number)[:60].strip("-")
    return f"{document.tenant_id}/invoices/{month}/{shown}-{document.invoice_id[:16]}.{EXTENSIONS[kind]}"


def is_sampled(invoice_id: str, share: Decimal) -> bool:
    """Whether a document is among those whose UBL is validated: decided by its id alone."""
    return int(invoice_id[-8:], 16) < share * 2**32


def sampled(share: Decimal) -> Column:
    """The same, of column invoice_id."""
    return F.conv(F.substring("invoice_id", -8, 8), 16, 10).cast("bigint") < F.lit(share * 2**32).cast("decimal(18,6)")


def account(papers: DataFrame, listed: DataFrame, root: str, making: Making, spread: int) -> DataFrame:
    """Every document and format beside the files that were made: one row for each that was issued or listed.

    papers: as frame() returns it. listed: DOCUMENTS as staged. The files are read below `root`: is_same says whether one has the hash
    that is listed, problems what is wrong with a UBL file to the last digit. Returns tenant_id, invoice_id, format, is_issued, times (it
    is listed), left_out, file_path, is_same, problems, is_sampled, rules_checked, failed_rules.
    """  # fmt: skip
    wanted = papers.select(
        *KEY, F.explode(F.array(*(F.lit(kind) for kind in making.formats))).alias("format"), F.lit(True).alias("is_issued")
    )
    on = [*KEY, "format"]
    files = listed.groupBy(*on).agg(
        F.count(F.lit(1)).alias("times"),
        *(F.max(name).alias(name) for name in ("left_out", "file_path", "rules_checked", "failed_rules")),
    )
    read = _read_back(papers, listed, root, making, spread)
    return (
        wanted.join(files, on=on, how="full_outer")
        .join(read, on=on, how="left")
        .withColumn("is_sampled", sampled(making.validated_share) & (F.col("format") == "ubl"))
    )


def _read_back(papers: DataFrame, listed: DataFrame, root: str, making: Making, spread: int) -> DataFrame:
    """What the files say. Returns FOUND, a row per file that is listed."""
    of_file = ("format", "file_path", "content_sha256")
    files = listed.where(F.col("file_path").isNotNull()).groupBy(*KEY).agg(
        F.array_sort(F.collect_set(F.struct(*of_file))).alias("files")
    )  # fmt: skip
    beside = papers.join(files, on=list(KEY), how="inner")
    return beside.repartition(spread, *KEY).mapInArrow(_each(_reader(root, making), _FOUND), FOUND)


def _reader(root: str, making: Making) -> Callable[[Mapping[str, Any]], list[dict[str, Any]]]:
    def found(row: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [_found(row, file, root, making) for file in row["files"]]

    return found


def _found(row: Mapping[str, Any], file: Mapping[str, Any], root: str, making: Making) -> dict[str, Any]:
    told = {"tenant_id": row["tenant_id"], "invoice_id": row["invoice_id"], "format": file["format"]}
    place = f"{root}/{file['file_path']}"
    if not storage.exists(place):
        return told | {"is_same": False, "problems": ["there is no file"]}
    content = storage.read_bytes(place)
    rounding = making.rounding.get((row["tenant_id"], row["legal_entity_id"]), exact_checks.Rounding())
    problems = exact_checks.problems(content, row, rounding) if file["format"] == "ubl" else []
    return told | {"is_same": hashlib.sha256(content).hexdigest() == file["content_sha256"], "problems": problems}


def place(listed: DataFrame, staged: str, standing: str) -> DataFrame:
    """Let the files of DOCUMENTS rows stand below `standing`; one that stands there is left as it is. Returns PLACED, a row per file."""
    files = listed.where(F.col("file_path").isNotNull()).select("tenant_id", "file_path", "content_sha256")

    def placed(row: Mapping[str, Any]) -> list[dict[str, Any]]:
        target = f"{standing}/{row['file_path']}"
        storage.place_once(f"{staged}/{row['file_path']}", target)
        is_same = hashlib.sha256(storage.read_bytes(target)).hexdigest() == row["content_sha256"]
        return [{"tenant_id": row["tenant_id"], "file_path": row["file_path"], "is_same": is_same}]

    return files.mapInArrow(_each(placed, _PLACED), PLACED)


def validated(listed: DataFrame, standing: str, jars: str, spread: int) -> DataFrame:
    """Files of DOCUMENTS rows as they stand below `standing`: whether they have their hash, and the official rules that a UBL breaks.

    Returns VALIDATED, a row per file.
    """
    files = listed.where(F.col("file_path").isNotNull()).select(*KEY, "format", "layout", "file_path", "content_sha256")

    def looked_at(row: Mapping[str, Any]) -> list[dict[str, Any]]:
        from jobs.invoice_generation import official_rules

        told = {name: row[name] for name in (*KEY, "format")}
        target = f"{standing}/{row['file_path']}"
        if not storage.exists(target):
            return [told | {"is_same": False, "failed_rules": []}]
        content = storage.read_bytes(target)
        is_same = hashlib.sha256(content).hexdigest() == row["content_sha256"]
        checked = row["format"] == "ubl" and is_same  # of another file there is nothing to say
        return [
            told
            | {"is_same": is_same, "failed_rules": official_rules.failed(content, row["layout"], jars) if checked else []}
        ]

    return files.repartition(spread, *KEY).mapInArrow(_each(looked_at, _VALIDATED), VALIDATED)


def _each(
    told_of: Callable[[Mapping[str, Any]], list[dict[str, Any]]], schema: pa.Schema
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What mapInArrow takes: each row of a partition becomes some rows, a batch a batch."""

    def of_partition(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            told = [made for row in batch.to_pylist() for made in told_of(row)]
            yield pa.RecordBatch.from_pylist(told, schema=schema)

    return of_partition

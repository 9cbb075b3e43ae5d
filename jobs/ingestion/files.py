"""Landing files: which are complete and new, which were delivered before, and which cannot be read at all."""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import shutil
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import pyarrow.parquet as pq
import sqlglot
from sqlglot import exp

from jobs.ingestion import camt
from jobs.ingestion.feeds import FEEDS
from jobs.ledger.tenants import CAMT_COLUMNS, Column, Mapping, Tenant
from jobs.runtime import environment
from jobs.runtime.config import digest, display, nearest
from jobs.runtime.errors import CallError, ConfigError

CHUNK = 1 << 20
INCOMPLETE = (".part", ".tmp", ".partial")

LANDED, DUPLICATE, UNREADABLE = "landed", "refused_duplicate", "refused_unreadable"


@dataclass(frozen=True)
class LandingFile:
    """One complete file in landing/<tenant>/<feed>/, looked at but not yet read into tables."""

    tenant_id: str
    feed: str
    path: Path
    bytes: int
    content_sha256: str
    mapping: Mapping
    status: str = LANDED
    reason: str | None = None
    replaces: str | None = None

    @property
    def mapping_version(self) -> str:
        """The mapping is known by its content."""
        return digest(self.mapping.resolved())[:16]

    @property
    def landing_id(self) -> str:
        """One content, read in one way; a refused delivery is known by its name as well."""
        told = (self.tenant_id, self.feed, self.content_sha256, self.mapping_version, self.replaces or "")
        return digest(*told, *(() if self.status == LANDED else (self.path.name, self.status)))[:32]


@dataclass(frozen=True)
class Delivered:
    """A file that stands in raw.landed_files already."""

    tenant_id: str
    feed: str
    file_name: str
    content_sha256: str
    mapping_version: str
    landing_id: str
    status: str
    replaces_landing_id: str | None = None


def land(feed: str, tenant: Tenant, files: Iterable[Path]) -> list[Path]:
    """Copy files into landing so that each appears there complete or not at all."""
    if feed not in FEEDS:
        raise CallError(f"unknown feed '{feed}'; {nearest(feed, FEEDS)} Nothing was landed.")
    if feed not in tenant.feeds:
        raise CallError(
            f"tenant {tenant.tenant} has no mapping for feed '{feed}'; {nearest(feed, tenant.feeds)} Nothing was landed. "
            f"Add it to conf/tenants/{tenant.tenant}.yaml."
        )
    sources = list(files)
    for source in sources:
        if not source.is_file():
            raise CallError(f"{source} is not a file. Nothing was landed.")
        if source.stat().st_size == 0:
            raise CallError(f"{source.name} is empty (0 bytes). Nothing was landed. Ask its sender for the file again.")
        form = tenant.feeds[feed].format
        why = _no_statement(source) if form == "camt" else _not_text(source, tenant.feeds[feed].encoding)
        if form != "parquet" and why:
            raise CallError(
                f"{source.name} {why}. Nothing was landed. Is it the right file, and the right encoding in the mapping?"
            )
    folder = environment.landing() / tenant.tenant / feed
    folder.mkdir(parents=True, exist_ok=True)
    landed = []
    for source in sources:
        target = folder / source.name
        partial = folder / f".{source.name}.part"
        shutil.copyfile(source, partial)
        partial.rename(target)
        landed.append(target)
    return landed


def arrivals(tenants: dict[str, Tenant], delivered: list[Delivered], replay: str | None) -> list[LandingFile]:
    """The files a run has to look at: complete, in a mapped feed, and not seen before under this name.

    A file whose content was delivered before under another name is refused, and so is one that cannot be read; both are
    recorded. `replay` names one file (tenant/feed/name) that is to be read again because its mapping was mended.
    """
    seen = {(d.tenant_id, d.feed, d.file_name, d.content_sha256) for d in delivered}
    replaced = {d.replaces_landing_id for d in delivered if d.status == LANDED}
    standing = [d for d in delivered if d.status == LANDED and d.landing_id not in replaced]
    contents = {(d.tenant_id, d.feed, d.content_sha256): d for d in standing}
    found, asked_for = [], False
    for tenant in tenants.values():
        for feed, mapping in sorted(tenant.feeds.items()):
            for path in _complete(environment.landing() / tenant.tenant / feed):
                is_replay = replay == f"{tenant.tenant}/{feed}/{path.name}"
                asked_for = asked_for or is_replay
                sha = _sha256(path, path.stat().st_mtime_ns)
                if (tenant.tenant, feed, path.name, sha) in seen and not is_replay:
                    continue
                file = LandingFile(tenant.tenant, feed, path, path.stat().st_size, sha, mapping)
                before = contents.get((tenant.tenant, feed, sha))
                if is_replay and before:
                    if before.mapping_version == file.mapping_version:
                        raise CallError(
                            f"{replay}: its mapping has not changed since it was landed, so a replay would change nothing. "
                            f"Nothing was started."
                        )
                    file = _with(file, replaces=before.landing_id)
                elif before:
                    why = f"same content as {before.file_name}, which was delivered before"
                    file = _with(file, status=DUPLICATE, reason=why)
                if file.status == LANDED and (why_not := unreadable(file)):
                    file = _with(file, status=UNREADABLE, reason=why_not)
                contents.setdefault(
                    (tenant.tenant, feed, sha),
                    Delivered(tenant.tenant, feed, path.name, sha, file.mapping_version, file.landing_id, file.status),
                )
                found.append(file)
    if replay and not asked_for:
        raise CallError(f"{replay} is not in landing. Nothing was started. A replay is named tenant/feed/file.")
    return found


def _with(file: LandingFile, status: str = LANDED, reason: str | None = None, replaces: str | None = None) -> LandingFile:
    return LandingFile(
        file.tenant_id, file.feed, file.path, file.bytes, file.content_sha256, file.mapping, status, reason, replaces
    )


def _complete(folder: Path) -> Iterator[Path]:
    """A landing file is complete when it has been renamed into place; nothing may point outside."""
    inside = environment.landing().resolve()
    for path in sorted(folder.glob("*")):
        if path.name.startswith((".", "_")) or path.suffix in INCOMPLETE:
            continue
        if not path.resolve().is_relative_to(inside):
            raise CallError(
                f"{display(path)} points outside landing. Nothing was started. Copy the file in with `countinghouse land`."
            )
        if path.is_file():
            yield path


@cache
def _sha256(path: Path, _modified: int) -> str:
    """What a file says, whatever it was packed with: the same rows packed twice are the same delivery."""
    try:
        with open_bytes(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    except (OSError, EOFError, zlib.error):  # not a whole gzip file; looking into it will refuse it by name
        return hashlib.sha256(path.read_bytes()).hexdigest()


def unreadable(file: LandingFile) -> str | None:
    """Why nothing of a file can be read, in words; None when its rows can be looked at one by one."""
    if file.bytes == 0:
        return "the file is empty"
    if file.mapping.format == "parquet":
        try:
            header = list(pq.read_schema(file.path).names)
        except Exception:
            return "not a Parquet file"
        return _missing(file, header) or ("has no rows" if pq.read_metadata(file.path).num_rows == 0 else None)
    if file.mapping.format == "camt":
        return _no_statement(file.path) or _missing(file, list(CAMT_COLUMNS))
    if why := _not_text(file.path, file.mapping.encoding):
        return why
    if file.mapping.format == "jsonl":
        return None
    return _missing(file, header_of(file.path, file.mapping)) or _only_a_header(file)


def _no_statement(path: Path) -> str | None:
    try:
        with open_bytes(path) as stream:
            return camt.unreadable(stream)
    except (OSError, EOFError, zlib.error):
        return "is not a whole gzip file"


def _only_a_header(file: LandingFile) -> str | None:
    with io.TextIOWrapper(open_bytes(file.path), encoding=file.mapping.encoding, newline=None) as text:
        for number, line in enumerate(text):
            if number and line.strip():
                return None
    return "has a header and no rows"


def _not_text(path: Path, encoding: str) -> str | None:
    decoder = codecs.getincrementaldecoder(encoding)()
    multibyte = encoding.lower().replace("-", "").replace("_", "").startswith(("utf16", "utf32"))
    offset = 0
    try:
        with open_bytes(path) as stream:
            while chunk := stream.read(CHUNK):
                if not multibyte and b"\0" in chunk:
                    return f"is a binary file: byte {offset + chunk.index(0)} is zero"
                decoder.decode(chunk)
                offset += len(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return f"is not {encoding}: byte {offset + error.start} does not decode"
    except (OSError, EOFError):
        return "is not a whole gzip file"
    return "the file is empty" if offset == 0 else None


def open_bytes(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked where its name ends in .gz."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def header_of(path: Path, mapping: Mapping) -> list[str]:
    """The column names of a CSV file."""
    with io.TextIOWrapper(open_bytes(path), encoding=mapping.encoding, newline=None) as text:
        for row in csv.reader(text, delimiter=mapping.delimiter, quotechar=mapping.quote):
            return [name.removeprefix("\ufeff") for name in row]
    return []


def _missing(file: LandingFile, header: list[str]) -> str | None:
    for group in file.mapping.one_of:
        if not set(group) & set(header):
            told = ", ".join(f"'{name}'" for name in group)
            return f"has none of the columns {told}; {nearest(group[0], header)}"
    may_lack = {name for group in file.mapping.one_of for name in group}
    for name in source_columns(file.mapping):
        if name not in header and name not in may_lack:
            return f"has no column '{name}'; {nearest(name, header)}"
    return None


def source_columns(mapping: Mapping) -> tuple[str, ...]:
    """The source columns a mapping uses, in a fixed order."""
    used = set(mapping.control_totals)
    for rule in mapping.columns.values():
        used |= columns_of(rule)
    return tuple(sorted(used))


def columns_of(rule: Column | str) -> set[str]:
    """The source columns that one canonical column is made from."""
    if isinstance(rule, str):
        return {rule}
    if rule.source is not None:
        return {rule.source}
    if rule.sql is None:
        return set()
    try:
        parsed = sqlglot.parse_one(rule.sql, dialect="spark")
    except sqlglot.errors.ParseError:
        raise ConfigError(f"the mapping's sql '{rule.sql}' does not parse. Nothing was started; mend it.") from None
    return {column.name for column in parsed.find_all(exp.Column)}

"""Files of the warehouse, on a disk or in an object store, without Spark."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs as arrow_fs
from pyarrow import parquet as pq


def _filesystem(location: str) -> tuple[arrow_fs.FileSystem, str]:
    if "://" in location:
        filesystem, path = arrow_fs.FileSystem.from_uri(location)
        return filesystem, str(path)
    return arrow_fs.LocalFileSystem(), location


def read_text(location: str) -> str:
    """The whole of a small file."""
    filesystem, path = _filesystem(location)
    with filesystem.open_input_stream(path) as stream:
        return bytes(stream.read()).decode()


def read_bytes(location: str) -> bytes:
    """The whole of a file, as it is."""
    filesystem, path = _filesystem(location)
    with filesystem.open_input_stream(path) as stream:
        return bytes(stream.read())


def write_bytes(location: str, content: bytes) -> None:
    """A file that stands there as a whole or not at all; one that stood there before is replaced."""
    filesystem, path = _filesystem(location)
    if isinstance(filesystem, arrow_fs.LocalFileSystem):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        half = Path(f"{path}.{os.getpid()}.part")
        half.write_bytes(content)
        half.replace(path)
        return
    with filesystem.open_output_stream(path) as stream:  # an object store shows nothing before the end
        stream.write(content)


def exists(location: str) -> bool:
    """Whether there is such a file or folder."""
    filesystem, path = _filesystem(location)
    return bool(filesystem.get_file_info(path).type != arrow_fs.FileType.NotFound)


def remove(location: str) -> None:
    """Take away a folder and all that is in it, if it is there."""
    filesystem, path = _filesystem(location)
    if filesystem.get_file_info(path).type == arrow_fs.FileType.Directory:
        filesystem.delete_dir(path)


@dataclass(frozen=True)
class StoredFile:
    """A file below some folder."""

    path: str  # relative to the folder
    bytes: int
    modified_ms: int


def files_below(location: str, suffix: str) -> list[StoredFile]:
    """The files below a folder whose names end in `suffix`, in the order of their paths."""
    filesystem, root = _filesystem(location)
    found = filesystem.get_file_info(arrow_fs.FileSelector(root, recursive=True))
    return sorted(
        (
            StoredFile(info.path[len(root.rstrip("/")) + 1 :], info.size, int(info.mtime_ns or 0) // 1_000_000)
            for info in found
            if info.is_file and info.path.endswith(suffix)
        ),
        key=lambda file: file.path,
    )


def parquet_table(location: str) -> pa.Table:
    """The whole of a small Parquet file."""
    filesystem, path = _filesystem(location)
    with filesystem.open_input_file(path) as file:
        return pq.ParquetFile(file).read()


def parquet_rows(location: str) -> int:
    """How many rows a Parquet file has, from its footer."""
    filesystem, path = _filesystem(location)
    return int(pq.read_metadata(path, filesystem=filesystem).num_rows)


def spark_schema(location: str) -> dict[str, Any]:
    """The schema of a Parquet file that Spark has written, as Spark notes it in the footer."""
    filesystem, path = _filesystem(location)
    noted = pq.read_metadata(path, filesystem=filesystem).metadata
    return dict(json.loads(noted[b"org.apache.spark.sql.parquet.row.metadata"]))


def place_once(source: str, target: str) -> None:
    """Make `source` stand at `target` too, unless something stands there: that is left as it is, for the caller to compare."""
    if not exists(target):
        place(source, target)


def place(source: str, target: str) -> None:
    """Make `source` stand at `target` too: a hard link on a disk, a server-side copy elsewhere. Doing it twice is harmless."""
    filesystem, path = _filesystem(target)
    if isinstance(filesystem, arrow_fs.LocalFileSystem):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, path)
        except FileExistsError:
            return
        except OSError:  # another disk, or a file system without links
            filesystem.copy_file(source, path)
        return
    filesystem.copy_file(_filesystem(source)[1], path)

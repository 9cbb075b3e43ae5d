"""Files of the warehouse, on a disk or in an object store, without Spark."""

from __future__ import annotations

import os
from pathlib import Path

from pyarrow import fs as arrow_fs


def _filesystem(location: str) -> tuple[arrow_fs.FileSystem, str]:
    if "://" in location:
        return arrow_fs.FileSystem.from_uri(location)
    return arrow_fs.LocalFileSystem(), location


def read_text(location: str) -> str:
    """The whole of a small file."""
    filesystem, path = _filesystem(location)
    with filesystem.open_input_stream(path) as stream:
        return bytes(stream.read()).decode()


def exists(location: str) -> bool:
    """Whether there is such a file or folder."""
    filesystem, path = _filesystem(location)
    return filesystem.get_file_info(path).type != arrow_fs.FileType.NotFound


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

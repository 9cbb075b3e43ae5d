"""Changing homes within a process. Not in conftest.py, which would be run again, with a home of its own, by whoever imports it."""

from __future__ import annotations


def forget_home() -> None:
    """Drop what the process remembers of a home."""
    from jobs.ingestion import files
    from jobs.runtime import contract, environment, ops

    for remembered in (environment.environment, ops._exists, files._sha256, contract.code_version):
        remembered.cache_clear()

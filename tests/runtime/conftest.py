"""A furnished home for whoever asks what is said of one: made once a module, copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.runtime import handmade


@pytest.fixture(scope="module")
def furnished(shared_home: Path) -> Path:
    """Alpha's and beta's January, complete. Nobody changes it; a module may say what else stands there."""
    handmade.furnish(shared_home)
    return shared_home


@pytest.fixture
def house(furnished: Path, home: Path) -> Path:
    """The same in a home of the test's own."""
    shutil.copytree(furnished, home, dirs_exist_ok=True)
    return home

"""Seeded chance: a stream of its own for every subject, so that no part of the world depends on the others."""

from __future__ import annotations

import numpy as np

from jobs.runtime.config import digest


def generator(seed: int, *subject: str) -> np.random.Generator:
    """A generator that gives the same numbers for the same seed and subject, whatever else was drawn before."""
    return np.random.Generator(np.random.PCG64(int(digest(str(seed), *subject), 16)))

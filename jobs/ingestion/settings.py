"""conf/ingestion.yaml."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from jobs.runtime import config


class Settings(config.Strict):
    """What ingestion refuses to believe, and when people are told."""

    earliest_usage: date  # usage before this day is a mistake of its source
    latest_usage: date  # and so is usage after this one
    longest_usage_days: int = Field(ge=1, le=3660)  # a record that lasts longer is a mistake of its source
    quarantined_share_max: str  # share of a file's rows, quoted; above it the file's tenant gets a warning


def settings() -> Settings:
    """The settings in force."""
    return config.load(config.stage_file("ingestion"), Settings)

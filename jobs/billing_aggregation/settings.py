"""conf/billing_aggregation.yaml."""

from __future__ import annotations

from pydantic import Field

from jobs.runtime import config


class Settings(config.Strict):
    """When a month is billed."""

    grace_hours: int = Field(ge=0, le=744)


def settings() -> Settings:
    """The settings in force."""
    return config.load(config.stage_file("billing_aggregation"), Settings)

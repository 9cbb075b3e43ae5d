"""conf/cash_matching.yaml."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field, model_validator

from jobs.runtime import config

Share = Annotated[Decimal, Field(ge=0, le=1)]


class Weights(config.Strict):
    """How much each kind of agreement counts in the score of a suggestion."""

    amount: Share
    reference: Share
    payer: Share

    @model_validator(mode="after")
    def _together_one(self) -> Weights:
        if self.amount + self.reference + self.payer != 1:
            raise ValueError(f"amount, reference and payer are {self.amount + self.reference + self.payer} together, not 1")
        return self


class Settings(config.Strict):
    """What names a document, and what is worth suggesting."""

    shortest_reference: int = Field(ge=3, le=20)
    pieces_of_a_reference: int = Field(ge=1, le=8)
    suggestions_per_receipt: int = Field(ge=1, le=20)
    lowest_score: Share
    weights: Weights
    small_difference: Share
    reference_likeness: Share
    name_likeness: Share
    largest_block: int = Field(ge=1, le=100_000)


def settings() -> Settings:
    """The settings in force."""
    return config.load(config.stage_file("cash_matching"), Settings)

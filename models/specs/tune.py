"""Tuning: which learning rates are tried for every variant, and on which seeds."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from models.specs.base import Spec
from models.specs.optimizer import LearningRate
from models.specs.seeds import MAX_SEEDS, Seed, SeedCount, listed

MOST_RATES = 20
OWN_FIRST = 1_000_000
"""Where the seeds for tuning begin: far from those that trials usually have."""


class TuneSpec(Spec):
    """Each variant is trained with every ``learning_rate`` under each of these ``seeds``; the rate with the best mean
    validation loss is then its own.
    """

    learning_rate: Annotated[tuple[LearningRate, ...], Field(min_length=2, max_length=MOST_RATES)]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MAX_SEEDS)] | SeedCount = SeedCount(
        count=3, first=OWN_FIRST
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name, values in (("learning_rate", self.learning_rate), ("seeds", self.seed_list())):
            if len(set(values)) != len(values):
                message = f"each value of {name} counts once; the list repeats one"
                raise ValueError(message)
        return self

    def seed_list(self) -> tuple[int, ...]:
        return listed(self.seeds)

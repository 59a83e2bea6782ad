"""Seeds: a list of them, or so many from a first one on."""

from typing import Annotated

from pydantic import Field

from models.specs.base import Spec

MAX_SEEDS = 1_000

Seed = Annotated[int, Field(ge=0, lt=2**32)]


class SeedCount(Spec):
    """``count`` seeds from ``first`` on."""

    count: int = Field(ge=1, le=MAX_SEEDS)
    first: Seed = 0


def listed(seeds: tuple[int, ...] | SeedCount) -> tuple[int, ...]:
    return tuple(range(seeds.first, seeds.first + seeds.count)) if isinstance(seeds, SeedCount) else seeds

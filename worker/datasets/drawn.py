"""Where the generated data sets get their chance from: one numpy generator per (seed, kind)."""

from typing import Protocol

import numpy as np

from worker.randomness import derived_seed


class Seeded(Protocol):
    """A data set's spec, as far as chance goes."""

    @property
    def kind(self) -> str: ...

    @property
    def split_seed(self) -> int | None: ...


def generator(spec: Seeded, seed: int) -> np.random.Generator:
    """From the split seed, or the run's where that is null; never the stream that permutes the cases."""
    return np.random.default_rng(derived_seed(seed if spec.split_seed is None else spec.split_seed, "data", spec.kind))

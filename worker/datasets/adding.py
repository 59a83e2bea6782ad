"""The adding problem (Hochreiter & Schmidhuber 1997): say the sum of the two numbers that are marked."""

import numpy as np

from models.specs.dataset import AddingSpec
from worker.datasets.drawn import generator
from worker.datasets.split import Arrays


def arrays(spec: AddingSpec, seed: int) -> Arrays:
    """x (cases, length, 2): a number of U(0,1) and a marker, one marker in each half; y (cases, 1), their sum."""
    chance = generator(spec, seed)
    half = spec.length // 2
    every = np.arange(spec.cases)
    # float32 from the start: a set of two million steps is a quarter of a gigabyte as it is.
    x = np.zeros((spec.cases, spec.length, 2), dtype=np.float32)
    x[:, :, 0] = chance.random((spec.cases, spec.length), dtype=np.float32)
    early = chance.integers(0, half, spec.cases)
    late = chance.integers(half, spec.length, spec.cases)
    x[every, early, 1] = x[every, late, 1] = 1.0
    return Arrays(x, (x[every, early, 0] + x[every, late, 0])[:, None])

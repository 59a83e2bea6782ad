"""Handwritten digits as 64 steps of one pixel each, row by row or in one fixed order."""

import numpy as np

from models.specs.dataset import DigitsSpec, SequentialDigitsSpec
from worker.datasets import digits
from worker.datasets.split import Arrays
from worker.randomness import derived_seed


def arrays(spec: SequentialDigitsSpec, seed: int) -> Arrays:
    """x (1797, 64, 1) in [0, 1], y (1797,)."""
    images = digits.arrays(DigitsSpec(), seed)
    x = images.x.reshape(-1, 64, 1)
    if spec.permuted:
        # The order is part of the task, so no run's seed enters it.
        x = x[:, np.random.default_rng(derived_seed(0, "sequential_digits")).permutation(64)]
    return Arrays(x, images.y)

"""Handwritten digits, 1,797 cases of 8×8 (scikit-learn ``load_digits``), x/16."""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits

from models.specs.dataset import DigitsSpec
from worker.datasets.split import Arrays


def arrays(_spec: DigitsSpec, _seed: int) -> Arrays:
    """x (1797, 1, 8, 8) in [0, 1], y (1797,)."""
    return _read()


@cache
def _read() -> Arrays:
    x, y = load_digits(return_X_y=True)
    return Arrays(np.asarray(x, dtype=np.float64).reshape(-1, 1, 8, 8) / 16.0, np.asarray(y, dtype=np.int64))

"""Handwritten digits, 1,797 cases of 8×8 (scikit-learn ``load_digits``), x/16."""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits

from worker.datasets.split import Features, Labels


@cache
def arrays() -> tuple[Features, Labels]:
    """x (1797, 64) in [0, 1], y (1797,)."""
    x, y = load_digits(return_X_y=True)
    return np.asarray(x, dtype=np.float64) / 16.0, np.asarray(y, dtype=np.int64)

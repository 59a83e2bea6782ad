"""Handwritten digits, 1,797 cases of 8×8, x/16, from the file inside scikit-learn, which is never imported: it would
take 140 MB of every worker.
"""

from functools import cache

import numpy as np

from models.specs.dataset import DigitsSpec
from worker.datasets.package import folder_of
from worker.datasets.split import Arrays


def arrays(_spec: DigitsSpec, _seed: int) -> Arrays:
    """x (1797, 1, 8, 8) in [0, 1], y (1797,). RuntimeError without the package."""
    return _read()


@cache
def _read() -> Arrays:
    file = folder_of("sklearn", "digits") / "datasets" / "data" / "digits.csv.gz"
    rows = np.loadtxt(file, delimiter=",")  # 64 pixels and the label
    return Arrays(rows[:, :-1].reshape(-1, 1, 8, 8) / 16.0, rows[:, -1].astype(np.int64))

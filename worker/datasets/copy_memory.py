"""The copying memory problem (Arjovsky 2016): keep ten symbols over a delay, then say them.

Who keeps nothing says blank until the delimiter, and then each of 8 symbols with 1/8: 10·ln 8/(delay + 20) per step.
"""

import numpy as np

from models.specs.dataset import CopyMemorySpec
from worker.datasets.drawn import generator
from worker.datasets.split import Arrays

SYMBOLS = 8
KEPT = 10
BLANK = 8
DELIMITER = 9


def arrays(spec: CopyMemorySpec, seed: int) -> Arrays:
    """x and y (cases, delay + 20): symbols, delay − 1 blanks, delimiter, 10 blanks → delay + 10 blanks, symbols."""
    symbols = generator(spec, seed).integers(0, SYMBOLS, (spec.cases, KEPT))
    x = np.full((spec.cases, spec.delay + 2 * KEPT), BLANK, dtype=np.int64)
    y = x.copy()
    x[:, :KEPT] = symbols
    x[:, -KEPT - 1] = DELIMITER
    y[:, -KEPT:] = symbols
    return Arrays(x, y)

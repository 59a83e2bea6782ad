"""The temporal order problem (Hochreiter & Schmidhuber 1997, 6a): which of X and Y came first, and which then."""

import numpy as np

from models.specs.dataset import TemporalOrderSpec
from worker.datasets.drawn import generator
from worker.datasets.split import Arrays

# X and Y are 0 and 1, so that the class is a number of two binary digits; 2 to 5 say nothing.
OTHERS = (2, 6)
START = 6
END = 7


def arrays(spec: TemporalOrderSpec, seed: int) -> Arrays:
    """x (cases, length) tokens; y (cases,): 0 XX, 1 XY, 2 YX, 3 YY."""
    chance = generator(spec, seed)
    every = np.arange(spec.cases)
    x = chance.integers(*OTHERS, (spec.cases, spec.length))
    x[:, 0], x[:, -1] = START, END
    first, second = chance.integers(0, 2, (2, spec.cases))
    # The paper's places: the first signal within the second tenth, the second within the sixth.
    tenth = spec.length // 10
    x[every, chance.integers(tenth, 2 * tenth + 1, spec.cases)] = first
    x[every, chance.integers(5 * tenth, 6 * tenth + 1, spec.cases)] = second
    return Arrays(x, 2 * first + second)

"""Curves in one dimension that are told apart like digits, made the way of MNIST-1D (Greydanus 2020).

The steps and their sizes are the paper's; the ten curves and the code are this project's own.
"""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from models.specs.dataset import Mnist1dSpec
from worker.datasets.drawn import generator
from worker.datasets.split import Arrays

Numbers = npt.NDArray[np.float64]

POINTS = 40
BLOCK = 10_000
PADDING = (36, 60)
SCALE = 0.4
MOST_SHIFT = 48
SHEAR = 0.75
SMOOTH_NOISE = 0.25
SMOOTHNESS = 2.0
WHITE_NOISE = 0.02
# One row per class, 12 heights from −9 to 9, drawn by hand so that no two are shifts or multiples of each other.
CURVES = np.array(
    [
        [0, 5, 8, 9, 9, 9, 9, 9, 9, 8, 5, 0],
        [0, -9, -7, -5, -3, -1, 1, 3, 5, 7, 9, 0],
        [0, 6, 9, 6, 0, -3, -6, -8, -9, -9, -9, 0],
        [0, 5, 9, 5, 0, 1, 1, 0, 5, 9, 5, 0],
        [0, -3, -6, -9, -9, -9, 4, 4, 9, 4, 4, 0],
        [0, -9, -9, -9, -2, 4, 8, 9, 8, 4, -4, 0],
        [0, -8, -4, -2, -8, -9, -9, -8, -2, 5, 7, 0],
        [0, 9, 9, 8, 6, 4, 2, 0, -3, -6, -9, 0],
        [0, -6, -9, -6, 0, 6, 6, 0, -6, -9, -6, 0],
        [0, 7, 9, 7, 1, 1, 2, 2, 1, -4, -8, 0],
    ],
    dtype=np.float64,
)


def arrays(spec: Mnist1dSpec, seed: int) -> Arrays:
    """x (cases, 40), y (cases,): as many cases of each class as can be."""
    chance = generator(spec, seed)
    y = np.arange(spec.cases) % len(CURVES)
    x = np.empty((spec.cases, POINTS), dtype=np.float32)
    # A block at a time: on the way to 40 points a case is many times as large.
    for start in range(0, spec.cases, BLOCK):
        x[start : start + BLOCK] = _drawn(chance, y[start : start + BLOCK])
    return Arrays(x, y)


def _drawn(chance: np.random.Generator, y: npt.NDArray[np.int64]) -> Numbers:
    # The draws come in this order for ever: another one would be another data set under the same seed.
    cases, longest = len(y), CURVES.shape[1] + PADDING[1]
    lengths = CURVES.shape[1] + chance.integers(PADDING[0], PADDING[1] + 1, cases)
    scales = 1.0 + SCALE * chance.uniform(-0.5, 0.5, cases)
    shifts = chance.integers(0, MOST_SHIFT + 1, cases)
    shears = SHEAR * chance.uniform(-0.5, 0.5, cases)
    long = place(y, lengths, scales, shifts, shears)
    long += SMOOTH_NOISE * gaussian_filter1d(chance.standard_normal((cases, longest)), SMOOTHNESS, axis=1)
    long += WHITE_NOISE * chance.standard_normal((cases, longest))
    return shorten(long, lengths)


def place(
    y: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    scales: Numbers,
    shifts: npt.NDArray[np.int64],
    shears: Numbers,
) -> Numbers:
    """Each case's curve in its ``lengths`` points: scaled, shifted around in a ring, minus a line of slope ``shears``.

    What is behind a case's length in the rectangle is never read.
    """
    standard = (CURVES - CURVES.mean(axis=1, keepdims=True)) / CURVES.std(axis=1, keepdims=True)
    standard -= standard[:, :1]  # a curve starts where its padding is
    steps = np.arange(CURVES.shape[1] + PADDING[1])
    padded = np.zeros((len(CURVES), len(steps)))
    padded[:, : CURVES.shape[1]] = standard
    # Past a case's length the remainder begins anew; these points are never read.
    source = (steps - shifts[:, None]) % lengths[:, None]
    line = steps / (lengths[:, None] - 1.0) - 0.5
    placed: Numbers = scales[:, None] * padded[y[:, None], source] - shears[:, None] * line
    return placed


def shorten(long: Numbers, lengths: npt.NDArray[np.int64]) -> Numbers:
    """The first ``lengths`` of each row at 40 places, evenly spaced from end to end, between neighbours by a line."""
    places = np.linspace(0.0, 1.0, POINTS) * (lengths[:, None] - 1.0)
    # The last place lies on the last point; one left of it there is still a neighbour on the right.
    left = np.minimum(places.astype(np.int64), lengths[:, None] - 2)
    part = places - left
    rows = np.arange(len(long))[:, None]
    short: Numbers = long[rows, left] * (1.0 - part) + long[rows, left + 1] * part
    return short

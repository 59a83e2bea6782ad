"""Coverage of the intervals of successes: counted over all that can happen, not simulated."""

import itertools
import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from gradient_clinic.values import Array
from models.analysis.statistics.effects import clopper_pearson, paired_success_difference
from proofs.science.populations import bounds_of

P_GRID: Final[Array] = np.linspace(0.0, 1.0, 2001)


def exact(of: int) -> dict[str, Any]:
    """Clopper-Pearson's least coverage over all probabilities of a fine grid, its own bounds included."""
    intervals = [clopper_pearson(count, of) for count in range(of + 1)]
    low, high = (np.array([bounds[side] for bounds in intervals if bounds is not None]) for side in (0, 1))
    # Coverage falls just outside a bound, so the grid has the two neighbours of every bound too.
    edges = np.concatenate([low - 1e-12, low + 1e-12, high - 1e-12, high + 1e-12])
    p = np.unique(np.clip(np.concatenate([P_GRID, edges]), 0.0, 1.0))
    inside = (low[:, None] <= p) & (p <= high[:, None])
    coverage = (stats.binom.pmf(np.arange(of + 1)[:, None], of, p) * inside).sum(axis=0)
    return {"n": of, "least": float(coverage.min()), "mean": float(coverage.mean())}


def newcombe(pairs: int) -> dict[str, Any]:
    """The paired difference of successes: every table of ``pairs`` counted, over rates and correlations."""
    tables = [
        (both, first, second, pairs - both - first - second)
        for both in range(pairs + 1)
        for first in range(pairs + 1 - both)
        for second in range(pairs + 1 - both - first)
    ]
    intervals = [paired_success_difference(*_outcomes(table)) for table in tables]
    low, high = bounds_of(tuple(intervals))
    counts = np.array(tables)
    coverages = {
        "{:g} and {:g}, correlation {:g}".format(*cell): _counted(counts, low, high, cell) for cell in _cells()
    }
    least = min(coverages, key=lambda name: coverages[name])
    return {
        "n": pairs,
        "least": coverages[least],
        "least_at": least,
        "mean": float(np.mean(list(coverages.values()))),
    }


Cell = tuple[float, float, float]


def _cells() -> Iterator[Cell]:
    """(p of the one, p of the other, correlation): those that are possible."""
    for p1, p2, phi in itertools.product((0.05, 0.2, 0.5, 0.8, 0.95), (0.05, 0.2, 0.5, 0.8, 0.95), (0.0, 0.5)):
        if p2 >= p1 and min(_probabilities((p1, p2, phi))) >= 0.0:
            yield p1, p2, phi


def _probabilities(cell: Cell) -> tuple[float, float, float, float]:
    p1, p2, phi = cell
    both = p1 * p2 + phi * math.sqrt(p1 * (1 - p1) * p2 * (1 - p2))
    return both, p1 - both, p2 - both, 1 - p1 - p2 + both


def _counted(counts: npt.NDArray[np.int64], low: Array, high: Array, cell: Cell) -> float:
    chance = stats.multinomial.pmf(counts, counts[0].sum(), np.clip(_probabilities(cell), 0.0, 1.0))
    truth = cell[0] - cell[1]
    inside = (low <= truth + 1e-12) & (truth - 1e-12 <= high)
    return float(chance[inside].sum())


def _outcomes(table: tuple[int, int, int, int]) -> tuple[list[bool], list[bool]]:
    both, first, second, neither = table
    ones = [True] * (both + first) + [False] * (second + neither)
    twos = [True] * both + [False] * first + [True] * second + [False] * neither
    return ones, twos

"""How often the intervals of the service hold what they are meant to hold: simulated, or counted where it can be.

``OF_MEANS`` is a closed list: an interval function that is added there is tabled like the others.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from models.analysis.gradient import gradient_of_run
from models.analysis.layers import simultaneous_level
from models.analysis.statistics import LEVEL, Array, Interval, clopper_pearson, paired_success_difference, t_intervals
from science.promises import Promise
from science.scale import Scale

SIZES: Final = (2, 3, 5, 10, 20, 50)
SEED: Final = 5
Bounds = tuple[Array, Array]
Draw = Callable[[np.random.Generator, tuple[int, int]], Array]


@dataclass(frozen=True, slots=True)
class Population:
    """Where values come from, with its exact mean."""

    name: str
    mean: float
    draw: Draw


def _train_or_die(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    learned = rng.random(shape) < 0.7
    return np.where(learned, 0.95, 0.1) + 0.02 * rng.standard_normal(shape)


POPULATIONS: Final = (
    Population("normal", 0.0, lambda rng, shape: rng.standard_normal(shape)),
    Population("skewed (lognormal, σ = 1)", math.exp(0.5), lambda rng, shape: rng.lognormal(0.0, 1.0, shape)),
    Population("heavy tails (t, 3 degrees)", 0.0, lambda rng, shape: rng.standard_t(3, shape)),
    Population("bimodal (70 % at .95, 30 % at .1)", 0.7 * 0.95 + 0.3 * 0.1, _train_or_die),
)


def bounds_of(intervals: tuple[Interval, ...]) -> Bounds:
    return np.array([its.low for its in intervals]), np.array([its.high for its in intervals])


@dataclass(frozen=True, slots=True)
class OfMean:
    """An interval of a population's mean. ``bounds`` takes (n, repetitions), a column each."""

    name: str
    where: str
    bounds: Callable[[Array], Bounds]


OF_MEANS: Final = (
    OfMean(
        "t",
        "a variant's G, metric and loss over seeds; paired differences; ln time ratios; a factorial's effects",
        lambda values: bounds_of(t_intervals(values)),
    ),
)


def run(scale: Scale, _processes: int) -> dict[str, Any]:
    repetitions = scale.repetitions
    return {
        "repetitions": repetitions,
        "means": list(means(repetitions)),
        "paired": list(paired(repetitions)),
        "layers": list(simultaneous(repetitions)),
        "increments": [increments(batch, scale.networks) for batch in (1, 64)],
        "exact": [exact(of) for of in SIZES],
        "success_difference": [newcombe(pairs) for pairs in SIZES],
    }


def means(repetitions: int) -> Iterator[dict[str, Any]]:
    """Share of intervals that hold the population's mean."""
    for (index, its), population, n in itertools.product(enumerate(OF_MEANS), POPULATIONS, SIZES):
        values = population.draw(np.random.default_rng([SEED, index, n]), (n, repetitions))
        low, high = its.bounds(values)
        yield {
            "interval": its.name,
            "population": population.name,
            "n": n,
            "coverage": covered(low, high, population.mean),
        }


def paired(repetitions: int) -> Iterator[dict[str, Any]]:
    """t over differences of two arms under the same seeds, half of whose variance is the seed's; the truth is 0."""
    for population, n in itertools.product(POPULATIONS, SIZES):
        rng = np.random.default_rng([SEED, 77, n])
        shared = rng.standard_normal((n, repetitions))
        arms = [shared + population.draw(rng, (n, repetitions)) for _ in range(2)]
        low, high = bounds_of(t_intervals(arms[1] - arms[0]))
        yield {"population": population.name, "n": n, "coverage": covered(low, high, 0.0)}


def simultaneous(repetitions: int) -> Iterator[dict[str, Any]]:
    """Whether all layers' r lie in their intervals at once: r is a random walk down from the last hidden layer."""
    for layers, population, n in itertools.product((5, 30), POPULATIONS[:3], SIZES):
        rng = np.random.default_rng([SEED, 99, layers, n])
        held = np.ones(repetitions, dtype=bool)
        walk, truth = np.zeros((n, repetitions)), 0.0
        for _ in range(layers - 1):
            walk, truth = walk + population.draw(rng, (n, repetitions)), truth + population.mean
            low, high = bounds_of(t_intervals(walk, simultaneous_level(layers)))
            held &= (low <= truth) & (truth <= high)
        yield {"population": population.name, "layers": layers, "n": n, "coverage": float(held.mean())}


WIDTH: Final = 64
DEPTH: Final = 30
GROUP: Final = 5


def increments(batch: int, nets: int) -> dict[str, Any]:
    """G of one untrained He-ReLU network from its own increments, and over groups of five networks.

    ln δ over depth is a random walk only nearly: neighbouring increments share weights, and their spread is not normal.
    """
    levels = np.concatenate([_levels(batch, 250, chunk) for chunk in range(nets // 250)])
    gains = levels[:, 0] - levels[:, -1]
    truth = float(gains.mean())
    alone = [gradient_of_run(row, batch_norm=False).total_gain for row in levels.tolist()]
    low, high = np.array([[its.low, its.high] for its in alone], dtype=np.float64).T
    seeds = bounds_of(t_intervals(gains[: len(gains) // GROUP * GROUP].reshape(-1, GROUP).T))
    return {
        "batch": batch,
        "nets": len(levels),
        "one run": covered(low, high, truth),
        "five seeds": covered(*seeds, truth),
        "mean": truth,
        "spread": float(gains.std(ddof=1)),
    }


def _levels(batch: int, nets: int, chunk: int) -> Array:
    """(nets, layers): ln rms δ of many networks at once; h ← W·φ(h), W ~ N(0, 2/width), cotangent N(0, 1)."""
    rng = np.random.default_rng([SEED, batch, chunk])
    h = rng.standard_normal((nets, WIDTH, batch), dtype=np.float32)
    weights, slopes = [], []
    for _ in range(DEPTH - 1):
        weights.append(rng.standard_normal((nets, WIDTH, WIDTH), dtype=np.float32) * np.float32(math.sqrt(2.0 / WIDTH)))
        slopes.append(h > 0)
        h = weights[-1] @ np.maximum(h, 0.0)
    delta = rng.standard_normal(h.shape, dtype=np.float32)
    levels = [delta]
    for weight, slope in zip(reversed(weights), reversed(slopes), strict=True):
        levels.append(slope * (weight.transpose(0, 2, 1) @ levels[-1]))
    return np.array([0.5 * np.log((its.astype(np.float64) ** 2).mean(axis=(1, 2))) for its in reversed(levels)]).T


def covered(low: Array, high: Array, truth: float) -> float:
    return float(((low <= truth) & (truth <= high)).mean())


# --- counted, not simulated ---------------------------------------------------------------------------------------

P_GRID: Final[Array] = np.linspace(0.0, 1.0, 2001)


def exact(of: int) -> dict[str, Any]:
    """Clopper-Pearson's least coverage over all probabilities of a fine grid, its own bounds included."""
    found = [clopper_pearson(count, of) for count in range(of + 1)]
    low, high = (np.array([bounds[side] for bounds in found if bounds is not None]) for side in (0, 1))
    # Coverage falls just outside a bound, so the grid has every bound's two neighbours too.
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
    coverages = {_named(cell): _counted(counts, low, high, cell) for cell in _cells()}
    least = min(coverages, key=lambda name: coverages[name])
    return {
        "n": pairs,
        "least": coverages[least],
        "least_at": least,
        "mean": float(np.mean(list(coverages.values()))),
    }


Cell = tuple[float, float, float]


def _cells() -> Iterator[Cell]:
    """(p of the one, p of the other, correlation), those that can be."""
    for p1, p2, phi in itertools.product((0.05, 0.2, 0.5, 0.8, 0.95), (0.05, 0.2, 0.5, 0.8, 0.95), (0.0, 0.5)):
        if p2 >= p1 and min(_probabilities((p1, p2, phi))) >= 0.0:
            yield p1, p2, phi


def _named(cell: Cell) -> str:
    return "{:g} and {:g}, correlation {:g}".format(*cell)


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


# --- words ----------------------------------------------------------------------------------------------------------


def promises(figures: Mapping[str, Any]) -> Iterator[Promise]:
    """What the design says of intervals, and what was found."""
    normal = [row["coverage"] for row in figures["means"] if row["population"] == "normal" and row["interval"] == "t"]
    worst = max(normal, key=lambda value: abs(value - LEVEL))
    yield Promise(
        "t-intervals on normal data, n = 2 … 50", "95 ± 2 %", f"worst {worst:.1%}", abs(worst - LEVEL) <= 0.02
    )
    least = min(row["least"] for row in figures["exact"])
    yield Promise("exact intervals of a probability", "never below 95 %", f"least {least:.2%}", least >= LEVEL - 1e-9)

"""How often the intervals of the service hold what they are meant to hold: counted where that can be, else simulated.

``GIVEN`` is a closed list of what the service answers with an interval; a test holds it against the answers' types.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from gradient_clinic.intervals import LEVEL, t_intervals
from models.analysis.comparison.layers import simultaneous_level
from proofs.promise import Promise
from proofs.science.coverage_counts import exact, newcombe
from proofs.science.coverage_networks import gains
from proofs.science.coverage_over_seeds import SHIFTED, effect_sizes, service
from proofs.science.populations import NORMAL, POPULATIONS, SEED, bounds_of, covered
from proofs.science.scale import Scale

SIZES: Final = (2, 3, 5, 10, 20, 50)
PROMISED: Final = 2_000
"""Bootstrapped samples behind a promise, at any scale: 2 points are then four standard errors."""
NORMALS: Final = frozenset({NORMAL.name, SHIFTED.name})
OVER_SEEDS: Final = "what the service gives over seeds"
STUDENT: Final = "t"
GIVEN: Final[Mapping[str, str]] = {
    "metric": OVER_SEEDS,
    "metric_of_all": OVER_SEEDS,
    "loss": OVER_SEEDS,
    "closed": OVER_SEEDS,
    "metric_difference": f"{OVER_SEEDS}, of paired differences",
    "difference": f"{OVER_SEEDS}, of paired differences",
    "effect_size_interval": "Hedges' g",
    "success": "Clopper-Pearson",
    "record": "Clopper-Pearson",
    "success_difference": "Newcombe",
    "total_gain": f"{STUDENT} over seeds, or over one run's increments; over time one run has none",
    "gain_per_layer": f"e^({STUDENT}) over seeds, or over one run's kept increments",
    "gain_per_step": f"e^({STUDENT}) over seeds; one run has none",
    "at_start": f"{STUDENT}, of r in a layer",
    "at_end": f"{STUDENT}, of r in a layer",
    "change": f"paired {STUDENT}; states of layers by those of all layers at once",
    "step_time_ratio": f"e^({STUDENT}) of ln ratios",
    "effect": f"{STUDENT} of a factorial's contrasts within seeds",
    "validation_loss": f"{STUDENT} over the seeds of tuning",
}
"""By the field of an answer: which interval of the page it is. e^ of an interval holds e^ of what that holds."""


def run(scale: Scale, processes: int) -> dict[str, Any]:
    repetitions = scale.repetitions
    return {
        "repetitions": repetitions,
        "means": list(means(repetitions)),
        "paired": list(paired(repetitions)),
        "layers": list(simultaneous(repetitions)),
        "service": service(scale.resampled, PROMISED, processes),
        "effect_sizes": list(effect_sizes(repetitions // 5)),
        "gains": list(gains(scale.networks)),
        "exact": [exact(of) for of in SIZES],
        "success_difference": [newcombe(pairs) for pairs in SIZES],
    }


def means(repetitions: int) -> Iterator[dict[str, Any]]:
    """Share of t-intervals that hold the population's mean."""
    for population, n in itertools.product(POPULATIONS, SIZES):
        values = population.draw(np.random.default_rng([SEED, 0, n]), (n, repetitions))
        coverage = covered(*bounds_of(t_intervals(values)), population.mean)
        yield {"population": population.name, "n": n, "coverage": coverage}


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


# --- promises -------------------------------------------------------------------------------------------------------


def promises(figures: Mapping[str, Any]) -> Iterator[Promise]:
    yield _of_normal("t-intervals on normal data, n = 2 … 50", figures["means"])
    yield _of_normal("what the service gives over 10 … 50 seeds, normal data", figures["service"])
    yield _of_normal("effect size, normal differences, n = 3 … 50", figures["effect_sizes"])
    least = min(row["least"] for row in figures["exact"])
    yield Promise("exact intervals of a probability", "never below 95 %", f"least {least:.2%}", least >= LEVEL - 1e-9)


def _of_normal(what: str, rows: list[Mapping[str, Any]]) -> Promise:
    shares = [row["coverage"] for row in rows if row["population"] in NORMALS]
    worst = max(shares, key=lambda value: abs(value - LEVEL))
    return Promise(what, "95 ± 2 %", f"worst {worst:.1%}", abs(worst - LEVEL) <= 0.02)

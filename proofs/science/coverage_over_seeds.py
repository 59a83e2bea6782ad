"""Coverage of what the service itself gives over seeds: a mean by the method that it chooses, and an effect size."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from gradient_clinic.intervals import t_intervals
from gradient_clinic.values import Array
from models.analysis.statistics.effects import hedges_g_interval
from models.analysis.statistics.methods import Method
from models.analysis.statistics.over_seeds import over_seeds
from proofs.pool import over
from proofs.science.populations import NORMAL, POPULATIONS, SEED, Population, bounds_of, covered

SERVICE_SIZES: Final = (10, 20, 30, 50)
EFFECT_SIZES: Final = (3, 5, 10, 20, 50)
BLOCK: Final = 50
"""Samples that one process draws and judges at once."""
SHIFTED: Final = replace(
    NORMAL, name="normal, mean 1 sd", mean=1.0, middle=1.0, draw=lambda rng, shape: 1.0 + rng.standard_normal(shape)
)


@dataclass(frozen=True, slots=True)
class Block:
    """``BLOCK`` samples of a population, named by its number: its ``draw`` cannot be sent to another process."""

    population: int
    n: int
    number: int

    def values(self) -> Array:
        """(n, BLOCK)."""
        rng = np.random.default_rng([SEED, 11, self.population, self.n, self.number])
        return POPULATIONS[self.population].draw(rng, (self.n, BLOCK))


def service(repetitions: int, of_normal: int, processes: int) -> list[dict[str, Any]]:
    """``over_seeds`` with its own choice of method, and plain t on the same samples. ``of_normal``: samples of the one
    population of which something is promised.
    """
    cells = list(itertools.product(range(len(POPULATIONS)), SERVICE_SIZES))
    samples = {
        which: of_normal if population is NORMAL else repetitions for which, population in enumerate(POPULATIONS)
    }
    blocks = [[Block(*cell, number) for number in range(samples[cell[0]] // BLOCK)] for cell in cells]
    judged = iter(over(_judged, list(itertools.chain.from_iterable(blocks)), processes))
    return [_row(cell, list(itertools.chain.from_iterable(itertools.islice(judged, len(cell))))) for cell in blocks]


def _judged(block: Block) -> list[tuple[str, bool]]:
    """For each sample: the method that was taken, and whether its interval holds what it speaks of."""
    population = POPULATIONS[block.population]
    means = [over_seeds(sample) for sample in block.values().T.tolist()]
    return [(mean.method, _holds(population, mean.method, mean.low, mean.high)) for mean in means]


def _holds(population: Population, method: str, low: float | None, high: float | None) -> bool:
    truth = population.middle if method == Method.IQM_BCA else population.mean
    return low is not None and high is not None and low <= truth <= high


def _row(blocks: list[Block], judged: list[tuple[str, bool]]) -> dict[str, Any]:
    population, share = POPULATIONS[blocks[0].population], sum(held for _, held in judged) / len(judged)
    student = bounds_of(t_intervals(np.concatenate([block.values() for block in blocks], axis=1)))
    by_method = {name: [held for method, held in judged if method == name] for name in sorted(dict(judged))}
    return {
        "population": population.name,
        "n": blocks[0].n,
        "samples": len(judged),
        "coverage": share,
        "error": math.sqrt(share * (1.0 - share) / len(judged)),
        "t": covered(*student, population.mean),
        "share": {name: len(held) / len(judged) for name, held in by_method.items()},
        "coverage_by_method": {name: sum(held) / len(held) for name, held in by_method.items()},
    }


def effect_sizes(repetitions: int) -> Iterator[dict[str, Any]]:
    """Whether the interval of Hedges' g holds (mean of the differences)/(their standard deviation)."""
    for (number, population), n in itertools.product(enumerate((*POPULATIONS, SHIFTED)), EFFECT_SIZES):
        values = population.draw(np.random.default_rng([SEED, 13, number, n]), (n, repetitions))
        low, high = bounds_of(tuple(hedges_g_interval(sample) for sample in values.T.tolist()))
        coverage = covered(low, high, population.mean / population.spread)
        yield {"population": population.name, "n": n, "coverage": coverage}

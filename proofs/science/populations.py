"""Where simulated values come from, what intervals over them are meant to hold, and how often they do."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from gradient_clinic.intervals import Interval
from gradient_clinic.values import Array

SEED: Final = 5
Bounds = tuple[Array, Array]
Draw = Callable[[np.random.Generator, tuple[int, int]], Array]
DEAD, ALIVE, NOISE, SHARE_DEAD = 0.1, 0.95, 0.02, 0.3


@dataclass(frozen=True, slots=True)
class Population:
    """``middle``: the mean of what lies between its quartiles; ``spread``: its standard deviation."""

    name: str
    mean: float
    middle: float
    spread: float
    draw: Draw


def _train_or_die(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    learned = rng.random(shape) < 1.0 - SHARE_DEAD
    return np.where(learned, ALIVE, DEAD) + NOISE * rng.standard_normal(shape)


def _middle_of_lognormal() -> float:
    """E[e^z] over z between the quartiles of N(0, 1): a normal shifted by 1 under e^½, twice as it is of a half."""
    quartile = float(special.ndtri(0.75))
    return 2.0 * math.exp(0.5) * float(special.ndtr(quartile - 1.0) - special.ndtr(-quartile - 1.0))


def _middle_of_two_groups() -> float:
    """The lower quartile lies in the dead group, the upper one among those alive; E[z; z > a] of a normal is φ(a)."""
    low, high = (float(special.ndtri(p)) for p in (0.25 / SHARE_DEAD, (0.75 - SHARE_DEAD) / (1.0 - SHARE_DEAD)))
    densities = [math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) for z in (low, high)]
    dead = DEAD * (SHARE_DEAD - 0.25) + SHARE_DEAD * NOISE * densities[0]
    alive = ALIVE * (0.75 - SHARE_DEAD) - (1.0 - SHARE_DEAD) * NOISE * densities[1]
    return 2.0 * (dead + alive)


NORMAL: Final = Population("normal", 0.0, 0.0, 1.0, lambda rng, shape: rng.standard_normal(shape))
LOGNORMAL: Final = Population(
    "skewed (lognormal, σ = 1)",
    math.exp(0.5),
    _middle_of_lognormal(),
    math.sqrt(math.e * (math.e - 1.0)),
    lambda rng, shape: rng.lognormal(0.0, 1.0, shape),
)
STUDENT: Final = Population(
    "heavy tails (t, 3 degrees)", 0.0, 0.0, math.sqrt(3.0), lambda rng, shape: rng.standard_t(3, shape)
)
TWO_GROUPS: Final = Population(
    "bimodal (70 % at .95, 30 % at .1)",
    (1.0 - SHARE_DEAD) * ALIVE + SHARE_DEAD * DEAD,
    _middle_of_two_groups(),
    math.hypot((ALIVE - DEAD) * math.sqrt(SHARE_DEAD * (1.0 - SHARE_DEAD)), NOISE),
    _train_or_die,
)
POPULATIONS: Final = (NORMAL, LOGNORMAL, STUDENT, TWO_GROUPS)


def bounds_of(intervals: tuple[Interval, ...]) -> Bounds:
    return np.array([interval.low for interval in intervals]), np.array([interval.high for interval in intervals])


def covered(low: Array, high: Array, truth: float) -> float:
    """The share of the intervals that hold the truth."""
    return float(((low <= truth) & (truth <= high)).mean())

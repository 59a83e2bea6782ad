"""Means with their intervals, of a few values.

Infinite values are data here (an exactly zero gradient has ln = −∞) and NaN means "not measured".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from gradient_clinic.values import Array, Finite

LEVEL: Final = 0.95
CANCELLED: Final = 1e-12
"""A mean so small beside its values is what rounding leaves of 0: accuracies whose differences cancel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate(Finite):
    """A mean with its 95 % interval; ``low`` and ``high`` null where n does not give one."""

    mean: float | None
    low: float | None
    high: float | None
    n: int
    method: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean between two bounds, any of them possibly infinite; all NaN where n = 0.

    ``bounded`` is False where n gives no spread: the bounds are then the point itself, which decides.
    """

    mean: float
    low: float
    high: float
    n: int
    bounded: bool = True

    def estimate(self, method: str) -> Estimate:
        known = self.bounded and math.isfinite(self.mean)
        return Estimate(
            mean=self.mean, low=self.low if known else None, high=self.high if known else None, n=self.n, method=method
        )

    def exp(self) -> "Interval":
        """The interval of e^value, whose mean is then the geometric one."""
        with np.errstate(over="ignore"):
            mean, low, high = (float(np.exp(bound)) for bound in (self.mean, self.low, self.high))
        return Interval(mean, low, high, self.n, self.bounded)

    def scaled(self, factor: float) -> "Interval":
        """The interval of factor·value, for a positive factor."""
        return Interval(factor * self.mean, factor * self.low, factor * self.high, self.n, self.bounded)


def t_intervals(values: Array, level: float = LEVEL) -> tuple[Interval, ...]:
    """mean ± t(n−1)·sd/√n of every column (Student 1908). NaN is left out.

    An infinite value makes the mean infinite and opens the interval on its side; the other bound is that of the
    finite values, so that −∞ among values far below a limit still lies below it, and beside 0 decides nothing.
    """
    finite = np.isfinite(values)
    k = finite.sum(axis=0)
    safe, degrees = np.maximum(k, 1), np.maximum(k - 1, 1)
    with np.errstate(over="ignore", invalid="ignore"):  # a loss of 1e200 has a spread beyond float64
        mean = np.where(finite, values, 0.0).sum(axis=0) / safe
        size = np.where(finite, np.abs(values), 0.0).sum(axis=0) / safe
        mean = np.where(np.abs(mean) <= CANCELLED * size, 0.0, mean)
        squares = (np.where(finite, values - mean, 0.0) ** 2).sum(axis=0)
        half = np.where(k > 1, special.stdtrit(degrees, 0.5 + level / 2.0) * np.sqrt(squares / degrees / safe), 0.0)
        narrow, wide = mean - half, mean + half
    known = (~np.isnan(values)).sum(axis=0)
    below, above = (values == -np.inf).any(axis=0), (values == np.inf).any(axis=0)
    low = np.select([known == 0, below, k == 0], [np.nan, -np.inf, np.inf], narrow)
    high = np.select([known == 0, above, k == 0], [np.nan, np.inf, -np.inf], wide)
    centre = np.select([(known == 0) | (below & above), below, above], [np.nan, -np.inf, np.inf], mean)
    columns = zip(centre.tolist(), low.tolist(), high.tolist(), known.tolist(), strict=True)
    return tuple(Interval(middle, least, most, n, bounded=n > 1) for middle, least, most, n in columns)


def t_interval(values: Sequence[float] | Array, level: float = LEVEL) -> Interval:
    """``t_intervals`` of one column."""
    return t_intervals(np.asarray(values, dtype=np.float64).reshape(-1, 1), level)[0]

"""Small-sample statistics of comparisons: exact and score intervals of successes, paired effects, Holm.

Infinite values are data here and NaN means "not measured": each function says what it does with them. Nothing here
knows of layers or remedies.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy import special

from gradient_clinic.intervals import LEVEL, Interval
from gradient_clinic.values import Array

ROUNDING: Final = 1e-9


def standardised(differences: Sequence[float]) -> float | None:
    """The mean in standard deviations. 0 where all are zero; None where they do not spread otherwise."""
    d = np.asarray(differences, dtype=np.float64)
    if d.size > 0 and not d.any():
        return 0.0
    spread = _spread(d)
    return None if spread is None else float(d.mean()) / spread


def paired_t_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of a paired t-test. No spread: 1 where all are zero, else None (the test cannot be made)."""
    n, ratio = len(differences), standardised(differences)
    if ratio is None or ratio == 0.0:
        return None if ratio is None else 1.0
    return float(2.0 * special.stdtr(n - 1, -abs(ratio) * math.sqrt(n)))


def hedges_g(differences: Sequence[float]) -> float | None:
    """Paired Hedges g = J(m)·mean(d)/sd(d), J(m) = Γ(m/2)/(√(m/2)·Γ((m−1)/2)), m = n − 1 (Hedges 1981).

    0 where all differences are; None where they do not spread, and for 2 of them, where J = 0 says nothing.
    """
    m, ratio = len(differences) - 1, standardised(differences)
    if ratio is None or ratio == 0.0:
        return ratio
    if m == 1:
        return None
    return math.exp(math.lgamma(m / 2) - math.lgamma((m - 1) / 2)) / math.sqrt(m / 2) * ratio


def hedges_g_interval(differences: Sequence[float]) -> Interval:
    """g with the interval of the effect that it estimates, (mean of d)/(sd of d): exact for normal differences.

    t = √n·mean/sd is noncentral t at n − 1 degrees with shift √n·effect; the bounds are the effects at which t lies at
    either tail's edge (Steiger & Fouladi 1997). Without a spread, and below three, there are no bounds.
    """
    n, g, ratio = len(differences), hedges_g(differences), standardised(differences)
    if g is None or ratio is None or n < 3 or not has_spread(np.asarray(differences, dtype=np.float64)):
        point = math.nan if g is None else g
        return Interval(point, point, point, n, bounded=False)
    # Of the absolute value, so that A less B has the mirror image of B less A.
    ends = [math.copysign(1.0, ratio) * shift / math.sqrt(n) for shift in _shifts(abs(ratio) * math.sqrt(n), n - 1)]
    return Interval(g, min(ends), max(ends), n)


LARGE_T: Final = 1_000.0


def _shifts(t: float, degrees: int) -> list[float]:
    """Shifts of the noncentral t of which ``t`` is the upper and the lower quantile; scipy's are good to 1e-5."""
    tail = (1.0 - LEVEL) / 2.0
    if t > LARGE_T:  # the shift over t is then that of the spread alone, and scipy's search takes seconds
        return [t * math.sqrt(float(special.chdtri(degrees, p)) / degrees) for p in (1.0 - tail, tail)]
    return [float(special.nctdtrinc(degrees, p, t)) for p in (1.0 - tail, tail)]


def has_spread(values: Array) -> bool:
    """Whether finite values differ by more than rounding."""
    return _spread(values) is not None


def _spread(d: Array) -> float | None:
    """The standard deviation; None where it cannot be had or is what rounding leaves of equal differences."""
    if d.size < 2 or not np.isfinite(d).all():
        return None
    largest = float(np.abs(d).max()) or 1.0
    share = float((d / largest).std(ddof=1))  # squares stay finite
    return share * largest if share > ROUNDING else None


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm's step-down adjustment (Holm 1979); None stays None and does not count in the family."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[index] = largest
    return tuple(adjusted)


def clopper_pearson(count: int, of: int, level: float = LEVEL) -> tuple[float, float] | None:
    """The exact interval of a probability, by beta quantiles (Clopper & Pearson 1934). None for no trials."""
    if of == 0:
        return None
    tail = (1.0 - level) / 2.0
    low = 0.0 if count == 0 else float(special.betaincinv(count, of - count + 1, tail))
    high = 1.0 if count == of else float(special.betaincinv(count + 1, of - count, 1.0 - tail))
    return low, high


def wilson(count: int, of: int, level: float = LEVEL) -> tuple[float, float]:
    """The score interval of a probability (Wilson 1927)."""
    z = float(special.ndtri(0.5 + level / 2.0))
    p = count / of
    centre = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    # At 0 and at ``of`` one bound is the proportion itself; rounding must not put it beside.
    return min(max(0.0, centre - half), p), max(min(1.0, centre + half), p)


def paired_success_difference(first: Sequence[bool], second: Sequence[bool]) -> Interval:
    """p(first) − p(second) over pairs, with Newcombe's hybrid score interval for paired data.

    Newcombe 1998, Stat. Med. 17:2635, method 10: two Wilson intervals joined through the pairs' φ coefficient with
    its continuity correction. It stays inside ±1, is antisymmetric, and keeps its width at 0 of n and n of n, where
    a Wald interval collapses to a point and n = 5 would look certain.
    """
    n = len(first)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, bounded=False)
    p1, p2 = sum(first) / n, sum(second) / n
    if n == 1:
        return Interval(p1 - p2, p1 - p2, p1 - p2, 1, bounded=False)
    (l1, u1), (l2, u2) = wilson(sum(first), n), wilson(sum(second), n)
    phi = _phi(first, second)
    down = math.sqrt(max(0.0, (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2))
    up = math.sqrt(max(0.0, (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2))
    return Interval(p1 - p2, max(-1.0, p1 - p2 - down), min(1.0, p1 - p2 + up), n)


def _phi(first: Sequence[bool], second: Sequence[bool]) -> float:
    """The continuity-corrected φ of the paired 2 × 2 table; 0 where a margin is empty."""
    n = len(first)
    both = sum(a and b for a, b in zip(first, second, strict=True))
    ones, twos = sum(first), sum(second)
    product = ones * (n - ones) * twos * (n - twos)
    if product == 0:
        return 0.0
    neither = n - ones - twos + both
    excess = both * neither - (ones - both) * (twos - both)
    return (max(excess - n / 2, 0.0) if excess > 0 else float(excess)) / math.sqrt(product)

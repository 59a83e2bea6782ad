"""The mean of an outcome over seeds, and of its paired differences, by the method that so many seeds allow.

Below 20 seeds Student's t, whose intervals keep their level there as no bootstrap's do. From 20 on the bias-corrected
and accelerated bootstrap (Efron 1987), widened as a t-interval is (Hesterberg 2015, decision 14), and where tails are
heavy the mean of the middle half, which no few runs decide (Agarwal et al. 2021). The same figures give the same
interval, in whatever order they come, and A less B the mirror image of B less A.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import scipy  # which loads scipy.stats where it is first used: 25 MB and a second that fewer seeds need not take
from scipy import special

from gradient_clinic.intervals import LEVEL, Estimate, Interval, t_interval
from gradient_clinic.values import Array
from models.analysis.statistics.effects import ROUNDING, has_spread, paired_t_p
from models.analysis.statistics.methods import PAIRED, Method

MANY: Final = 20
HEAVY: Final = 0.01
"""Tails are heavy where the kurtosis test (Anscombe & Glynn 1983, for 20 values and more) rejects those of a normal
distribution at this level: so one in a hundred normal samples is taken for heavy."""
CUT: Final = 0.25
RESAMPLES: Final = 9_999
BATCH: Final = 1_000_000
"""Values that are resampled at once, so that a thousand seeds take no more memory than twenty."""
MIDDLE_TEST: Final = "paired t on the middle half"


def middle_mean(values: Array, axis: int = 0) -> Array:
    """The interquartile mean."""
    mean: Array = scipy.stats.trim_mean(values, CUT, axis=axis)
    return mean


CENTRES: Final[dict[Method, Callable[..., Any]]] = {Method.BCA: np.mean, Method.IQM_BCA: middle_mean}
"""What a bootstrap gives the interval of."""


def over_seeds(values: Sequence[float]) -> Estimate:
    """By Student's t or a bootstrap; ``mean`` is the interquartile one where its method says so. NaN is left out."""
    known = np.asarray([value for value in values if not math.isnan(value)], dtype=np.float64)
    method = _method(known)
    interval = t_interval(known) if method is Method.T else _bootstrap(_turned(known), method)
    return interval.estimate(method.value)


def paired_over_seeds(differences: Sequence[float]) -> Estimate:
    """``over_seeds`` of differences; ``method`` says that they are paired."""
    estimate = over_seeds(differences)
    return replace(estimate, method=PAIRED[Method(estimate.method)].value)


def paired_test(differences: Sequence[float]) -> tuple[str, float | None]:
    """Which test speaks of the mean that ``paired_over_seeds`` gives, and its two-sided p."""
    values = np.asarray(differences, dtype=np.float64)
    if _method(values) is Method.IQM_BCA:
        return MIDDLE_TEST, middle_t_p(values)
    return Method.PAIRED_T, paired_t_p(differences)


def middle_t_p(values: Array) -> float:
    """Two-sided p that the middle half has mean 0, its spread from winsorised values (Tukey & McLaughlin 1963)."""
    ordered, cut = np.sort(values / np.abs(values).max()), int(CUT * values.size)
    kept = values.size - 2 * cut
    winsorised = np.clip(ordered, ordered[cut], ordered[-cut - 1])
    error = float(winsorised.std(ddof=1)) * math.sqrt(values.size) / kept
    return float(2.0 * special.stdtr(kept - 1, -abs(float(middle_mean(ordered))) / error))


def widened(n: int) -> float:
    """The level to ask of a bootstrap over ``n`` values, so that a normal sample's interval is as wide as Student's.

    Resampling has a standard error too small by √((n−1)/n), and normal quantiles (Hesterberg 2015, The American
    Statistician 69:371, 5.1). Tails are where √(n/(n−1))·t cuts them from a normal.
    """
    cut = math.sqrt(n / (n - 1)) * float(special.stdtrit(n - 1, 0.5 + LEVEL / 2.0))
    return 1.0 - 2.0 * float(special.ndtr(-cut))


def _method(values: Array) -> Method:
    if values.size < MANY or not np.isfinite(values).all() or not has_spread(values):
        return Method.T
    if not has_heavy_tails(values):
        return Method.BCA
    # Where nothing but the tails differs, the middle has no interval.
    ordered, cut = np.sort(values), int(CUT * values.size)
    spread = ordered[-cut - 1] - ordered[cut]
    return Method.IQM_BCA if spread > ROUNDING * np.abs(values).max() else Method.BCA


def has_heavy_tails(values: Array) -> bool:
    """Of 20 values or more that differ."""
    scaled = values / np.abs(values).max()  # fourth powers stay finite
    return bool(scipy.stats.kurtosistest(scaled, alternative="greater").pvalue < HEAVY)


@dataclass(frozen=True, slots=True)
class _Turned:
    """Values in order, in the one of their two directions that is taken for both."""

    values: tuple[float, ...]
    sign: float


def _turned(values: Array) -> _Turned:
    there, back = tuple(np.sort(values).tolist()), tuple(np.sort(-values).tolist())
    return _Turned(there, 1.0) if there >= back else _Turned(back, -1.0)


def _bootstrap(turned: _Turned, method: Method) -> Interval:
    bounds = [turned.sign * bound for bound in _bca(turned.values, method)]
    mean = turned.sign * float(CENTRES[method](np.asarray(turned.values)))
    return Interval(mean, min(bounds), max(bounds), len(turned.values))


@lru_cache(maxsize=4_096)  # a comparison that is read while runs end asks again for every variant that has ended
def _bca(values: tuple[float, ...], method: Method) -> tuple[float, float]:
    data = np.asarray(values)
    largest = float(np.abs(data).max())
    seed = int.from_bytes(blake2b(data.tobytes(), digest_size=8).digest())
    found = scipy.stats.bootstrap(
        (data / largest,),  # third powers stay finite
        CENTRES[method],
        n_resamples=RESAMPLES,
        batch=max(1, BATCH // data.size),
        vectorized=True,
        confidence_level=widened(data.size),
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return largest * float(found.low), largest * float(found.high)

"""From ln rms δ per hidden layer to the gradient facts: total gain G, gain per layer, and their kind.

``levels`` are ln rms δ of the hidden layers in forward order; −∞ is an exact zero, NaN was not measured. Of no layers
nothing is known: inconclusive, without a gain.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from gradient_clinic.gains.increments import kept_increments
from gradient_clinic.gains.limits import LIMIT, STANDARD, Cut
from gradient_clinic.intervals import Estimate, Interval, t_interval
from gradient_clinic.values import Array, Value

FEWEST_INCREMENTS: Final = 3
OVER_INCREMENTS: Final = "t over increments"
OVER_SEEDS: Final = "t"

GradientKind = Literal["vanishing", "exploding", "healthy", "inconclusive"]
Region = Literal["below", "above", "inside", "across"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFacts(Value):
    """One recurrent layer's time axis: ln(rms ∂L/∂state before the first step / after the last), and per step back."""

    layer: str
    kind: GradientKind
    total_gain: Estimate
    gain_per_step: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientFacts(Value):
    """One moment's gradients: how G lies to its network's cut, and per layer e^(mean increment) = √χ toward the input.

    ``kind`` is that of the depth axis, or of the time axis of a recurrent layer where that one is the worse.
    ``judged``: False of one hidden layer, whose G is 0 by definition and says nothing.
    """

    kind: GradientKind
    total_gain: Estimate
    gain_per_layer: Estimate | None
    time: tuple[TimeFacts, ...] = ()
    judged: bool = True


def log_ratios(levels: Sequence[float]) -> Array:
    """r per layer: ln rms δ less that of the last hidden layer; NaN where that one is zero or not finite."""
    values = np.asarray(levels, dtype=np.float64)
    return values - values[-1] if values.size and math.isfinite(values[-1]) else np.full(values.shape, math.nan)


def total_gain(levels: Sequence[float]) -> float:
    """G = ln(rms δ of the first hidden layer / rms δ of the last); NaN where that is not defined."""
    return float(log_ratios(levels)[0]) if len(levels) else math.nan


def region(interval: Interval, cut: Cut = STANDARD) -> Region:
    """Where an interval lies to the limits; ``inside`` means ±3. ``across`` where it lies on both sides of one, where
    outcomes confirm no limit, or where it is not known.
    """
    if cut.vanishing is not None and interval.high < cut.vanishing:
        return "below"
    if cut.exploding is not None and interval.low > cut.exploding:
        return "above"
    return "inside" if interval.low > -LIMIT and interval.high < LIMIT else "across"


KIND_OF: Final[dict[Region, GradientKind]] = {
    "below": "vanishing",
    "above": "exploding",
    "inside": "healthy",
    "across": "inconclusive",
}


def gradient_of_run(
    levels: Sequence[float], *, batch_norm: bool, resized: Sequence[bool] = (), cut: Cut = STANDARD
) -> GradientFacts:
    """The facts of one run. The interval of G is that of the mean of its H−1 increments, times H−1.

    ``resized`` layers differ in channels or resolution from the one before: they count in G alone.
    """
    gain = _gain_over_increments(levels)
    per_layer = _kept_mean(levels, batch_norm=batch_norm, resized=resized)
    return GradientFacts(
        kind=KIND_OF[region(gain, cut)],
        total_gain=gain.estimate(OVER_INCREMENTS),
        gain_per_layer=None if per_layer is None else per_layer.exp().estimate(OVER_INCREMENTS),
        judged=len(levels) > 1,
    )


def gradient_of_seeds(
    runs: Sequence[Sequence[float]], *, batch_norm: bool, resized: Sequence[bool] = (), cut: Cut = STANDARD
) -> GradientFacts:
    """The facts of a variant: t over its runs' G, and over their mean increments; one run speaks for itself."""
    # A run without a finite G says nothing of the mean; where none has one, the first speaks for all.
    measured = [levels for levels in runs if not math.isnan(total_gain(levels))]
    if len(measured) == 1 or len(runs) == 1:
        return gradient_of_run((measured or runs)[0], batch_norm=batch_norm, resized=resized, cut=cut)
    gain = t_interval([total_gain(levels) for levels in measured])
    kept = [_kept_mean(levels, batch_norm=batch_norm, resized=resized) for levels in measured]
    means = [mean.mean for mean in kept if mean is not None]
    no_increment = (not means and any(mean is None for mean in kept)) or any(len(levels) <= 1 for levels in runs)
    return GradientFacts(
        kind=KIND_OF[region(gain, cut)],
        total_gain=gain.estimate(OVER_SEEDS),
        gain_per_layer=None if no_increment else t_interval(means).exp().estimate(OVER_SEEDS),
        judged=any(len(levels) > 1 for levels in runs),
    )


def _increments(levels: Sequence[float]) -> Array:
    values = np.asarray(levels, dtype=np.float64)
    with np.errstate(invalid="ignore"):  # −∞ − (−∞): two silent layers have no ratio
        return values[:-1] - values[1:]


def _point(value: float, n: int) -> Interval:
    return Interval(value, value, value, n, bounded=False)


def _gain_over_increments(levels: Sequence[float]) -> Interval:
    gain, increments = total_gain(levels), _increments(levels)
    # Fewer than 3 increments, or a layer in between without a finite level: the point value decides.
    if len(increments) < FEWEST_INCREMENTS or not np.isfinite(increments).all() or not math.isfinite(gain):
        return _point(gain, len(increments))
    return t_interval(increments).scaled(len(increments))


def _kept_mean(levels: Sequence[float], *, batch_norm: bool, resized: Sequence[bool]) -> Interval | None:
    """The interval of the mean kept increment, which is ln √χ; None where there is none, as for one hidden layer."""
    alike = ~np.asarray(resized[1:], dtype=bool) if resized else np.ones(max(0, len(levels) - 1), dtype=bool)
    increments = _increments(levels)[alike]
    kept = increments[kept_increments(len(increments) + 1, batch_norm)]
    if len(kept) == 0:
        return None
    # A layer without a finite level leaves no mean, and leaving it out would hide it.
    if not np.isfinite(kept).all():
        return _point(math.nan, len(kept))
    return t_interval(kept) if len(kept) >= FEWEST_INCREMENTS else _point(float(kept.mean()), len(kept))

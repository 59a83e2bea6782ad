"""The time axis of recurrent layers: how ∂L/∂state grows or shrinks on its way back through the steps.

``levels`` are ln rms ∂L/∂state at the recorded steps, from the state before the first input to the last one. −∞ is an
exact zero. NaN was not measured: no case of the batch is so long.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from gradient_clinic.gains.depth_axis import (
    KIND_OF,
    OVER_INCREMENTS,
    OVER_SEEDS,
    GradientFacts,
    GradientKind,
    TimeFacts,
    region,
)
from gradient_clinic.gains.increments import SETTLING_FIRST, SETTLING_LAST
from gradient_clinic.gains.limits import OVER_TIME
from gradient_clinic.intervals import Interval, t_interval

ENOUGH = 8
"""Steps that have to remain before the ends are left out."""


def time_of_run(layer: str, levels: Sequence[float], steps: Sequence[int]) -> TimeFacts:
    """The facts of one run: numbers without intervals. Its steps share their weights, so their spread says nothing of
    another network's: a t-interval over them held 15 % of what it should (science, Intervals).
    """
    gain, rate = _point(total_gain(levels)), _point(_rate(levels, steps))
    return TimeFacts(
        layer=layer,
        kind=KIND_OF[region(gain, OVER_TIME)],
        total_gain=gain.estimate(OVER_INCREMENTS),
        gain_per_step=rate.exp().estimate(OVER_INCREMENTS),
    )


def time_of_seeds(layer: str, runs: Sequence[Sequence[float]], steps: Sequence[int]) -> TimeFacts:
    """The facts of a variant: t over its runs."""
    measured = [levels for levels in runs if not math.isnan(total_gain(levels))]
    if len(measured) <= 1:
        return time_of_run(layer, (measured or runs)[0], steps)
    gain = t_interval([total_gain(levels) for levels in measured])
    rate = t_interval([_rate(levels, steps) for levels in measured])
    return TimeFacts(
        layer=layer,
        kind=KIND_OF[region(gain, OVER_TIME)],
        total_gain=gain.estimate(OVER_SEEDS),
        gain_per_step=rate.exp().estimate(OVER_SEEDS),
    )


def total_gain(levels: Sequence[float]) -> float:
    """ln(first measured / last); NaN where the last is zero or not finite."""
    known = [level for level in levels if not math.isnan(level)]
    return known[0] - known[-1] if known and math.isfinite(known[-1]) else math.nan


def with_time(depth: GradientFacts, times: Sequence[TimeFacts]) -> GradientFacts:
    """The facts of the depth axis, with those of the time axes beside them."""
    if not times:
        return depth
    return replace(depth, kind=worst_kind(depth, times), time=tuple(times))


def worst_kind(depth: GradientFacts, times: Sequence[TimeFacts]) -> GradientKind:
    """That of the axis which lies furthest beyond the cut; a healthy axis never hides a sick one."""
    axes = [(depth.kind, depth.total_gain.mean), *((time.kind, time.total_gain.mean) for time in times)]
    # A gain without a finite number lies beyond every other.
    sick = [axis for axis in axes if axis[0] in {"vanishing", "exploding"}]
    if sick:
        return max(sick, key=lambda axis: math.inf if axis[1] is None else abs(axis[1]))[0]
    return "inconclusive" if any(kind == "inconclusive" for kind, _ in axes) else "healthy"


def _point(value: float) -> Interval:
    return Interval(value, value, value, 0 if math.isnan(value) else 1, bounded=False)


def _rate(levels: Sequence[float], steps: Sequence[int]) -> float:
    """Mean ln gain per step back; the ends left out where enough remain. NaN where a level is not finite."""
    last = steps[-1]
    ends = (SETTLING_FIRST, last - SETTLING_LAST) if last - SETTLING_FIRST - SETTLING_LAST >= ENOUGH else (0, last)
    known = [(step, level) for step, level in zip(steps, levels, strict=True) if math.isfinite(level)]
    kept = [(step, level) for step, level in known if ends[0] <= step <= ends[1]]
    if len(kept) < 2 or len(known) < sum(not math.isnan(level) for level in levels):
        return math.nan
    return (kept[0][1] - kept[-1][1]) / (kept[-1][0] - kept[0][0])

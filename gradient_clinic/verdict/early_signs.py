"""The few numbers that an early reading rests on, from the records of a run so far. Losses are in units of chance."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from gradient_clinic.gains.depth_axis import total_gain
from gradient_clinic.values import Array
from gradient_clinic.verdict.measurements import finite_maximum, log_median
from gradient_clinic.verdict.run_trace import RunTrace

WINDOW: Final = 10
"""Records that "now" is read over: a single batch is noise."""
SMOOTH: Final = 5
"""Records averaged before a minimum of the loss is sought."""
FEWEST_FOR_REBOUND: Final = 20
HALF: Final = 0.5
"""Of chance: where a run counts as trained."""


@dataclass(frozen=True, slots=True)
class Signs:
    """The few numbers that the rules read. Gains are of the depth axis; NaN is "not measured"."""

    step: int
    hidden: tuple[str, ...]
    broken: bool
    normalized: bool
    even_steps: bool
    """The optimiser's step is as long in every layer however small its gradient is."""
    loss_at_start: float
    loss: float
    fall: float
    """By how much ten steps have lowered the loss; NaN before there are twenty."""
    rebound: float
    """By how much the smoothed loss rose above its minimum, where that was below chance."""
    gain_at_start: float
    gain: float
    silent: bool
    """δ of the last hidden layer is exactly zero, so that G has no value."""
    update: float
    longest: float
    """The largest median ‖ΔW‖/‖W‖ of all records so far."""
    dead: tuple[float, ...]
    saturated: tuple[float, ...]

    @property
    def furthest_gain(self) -> float:
        return max((self.gain, self.gain_at_start), key=lambda gain: 0.0 if math.isnan(gain) else abs(gain))

    @property
    def steps_to_half(self) -> float:
        """At the speed of the last ten steps; ∞ where the loss does not fall."""
        return (self.loss - HALF) / self.fall * WINDOW if self.fall > 0.0 else math.inf


def signs_of(trace: RunTrace, chance_level: float, *, even_steps: bool) -> Signs:
    rows = [row for row, layer in enumerate(trace.layers) if layer.role == "hidden"]
    loss = trace.curves["loss"] / chance_level
    deltas = trace.signals["activation_gradient_rms"][rows]
    updates = trace.signals["update_ratio"][rows]
    now = [log_median(row[-WINDOW:]) for row in deltas]
    return Signs(
        step=int(trace.steps[-1]),
        hidden=tuple(trace.layers[row].name for row in rows),
        broken=_broken(trace, loss),
        normalized=any(trace.layers[row].normalization is not None for row in rows),
        even_steps=even_steps,
        loss_at_start=float(loss[0]),
        loss=float(loss[-WINDOW:].mean()),
        fall=_fall(loss),
        rebound=_rebound(loss),
        gain_at_start=total_gain([log_median(row[:1]) for row in deltas]),
        gain=total_gain(now),
        silent=now[-1] == -math.inf,
        update=float(np.median(np.median(updates[:, -WINDOW:], axis=1))),
        longest=finite_maximum(np.median(updates, axis=0)),
        dead=tuple(trace.signals["dead_fraction"][rows, -1].tolist()),
        saturated=tuple(trace.signals["saturated_fraction"][rows, -1].tolist()),
    )


def _broken(trace: RunTrace, loss: Array) -> bool:
    signals = trace.signals
    counted = bool(signals["nonfinite_count"].any())
    measured = loss, signals["activation_rms"], signals["activation_gradient_rms"]
    return counted or not all(np.isfinite(its).all() for its in measured)


def _fall(loss: Array) -> float:
    if len(loss) < 2 * WINDOW or not np.isfinite(loss).all():
        return math.nan
    return float(loss[-2 * WINDOW : -WINDOW].mean() - loss[-WINDOW:].mean())


def _rebound(loss: Array) -> float:
    if len(loss) < FEWEST_FOR_REBOUND or not np.isfinite(loss).all():
        return 0.0
    smooth = np.convolve(loss, np.full(SMOOTH, 1.0 / SMOOTH), "valid")
    lowest = int(smooth.argmin())
    return float(smooth[lowest:].max() - smooth[lowest]) if smooth[lowest] < 1.0 else 0.0

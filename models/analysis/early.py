"""An early reading of a run that still goes on: does its trace so far foretell that it will not train?

It reads the stored records 0 … t and nothing else: no theory, no later step. The verdict of a run that has ended is
``verdict.py``'s, by its training outcome. Losses are in units of the chance level. The thresholds were chosen on tanh
and ReLU networks alone, and are measured on others by ``make bench-science``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.analysis.cuts import LIMIT
from models.analysis.gradient import total_gain
from models.analysis.measurements import log_median
from models.analysis.statistics import Array
from models.analysis.trace import RunTrace
from models.analysis.verdict import FRACTION_LIMIT, Evidence, worst

EARLY_RULES: Final = "early-1"
WINDOW: Final = 10
"""Records that "now" is read over: a single batch is noise."""
SMOOTH: Final = 5
"""Records averaged before a minimum of the loss is sought."""
FAR: Final = 9.0
"""|G| of three times the cut, a factor 8,000 between the ends: beyond it no optimiser made up for it in time. Between
3 and 9 Adam often does."""
LEARNED: Final = 0.7
"""A loss below has left its plateau: from there on G decides nothing."""
STILL: Final = 3e-5
"""‖ΔW‖/‖W‖ of one step; 1e-3 is usual. A hundred such steps change a weight by 0.3 %."""
LEAP: Final = 0.5
"""‖ΔW‖/‖W‖ of one step that leaves little of what was drawn. Under a norm the scale of W is free, and it may."""
REBOUND: Final = 0.15
"""A loss that was below chance and rose by so much: the step is too long for where the weights are now."""
RISEN: Final = 1.5
"""So many times chance, and times its own start: training makes it worse."""
PLATEAU: Final = 0.84
FALL: Final = 0.02
"""Stalled: above the one, and in ten steps down by less than the other; half of chance is then 170 steps away."""
FEWEST_FOR_REBOUND: Final = 20
FEWEST_FOR_STALL: Final = 40

EarlyKind = Literal["vanishing", "exploding", "diverged", "unstable", "dead", "saturated", "healthy", "undecided"]


class EarlyReading(BaseModel):
    """``undecided`` where there is too little evidence, or where what gradients and loss say contradicts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: EarlyKind
    step: int
    """The last step that was read."""
    evidence: tuple[Evidence, ...]
    rules: str = EARLY_RULES

    @property
    def alarm(self) -> bool:
        return self.kind not in {"healthy", "undecided"}


@dataclass(frozen=True, slots=True)
class Signs:
    """The few numbers that the rules read. Gains are of the depth axis; NaN is "not measured"."""

    step: int
    hidden: tuple[str, ...]
    broken: bool
    normalized: bool
    loss_at_start: float
    loss: float
    fall: float
    """By how much ten steps have lowered the loss; NaN before there are twenty."""
    rebound: float
    """By how much the smoothed loss rose above its minimum, where that was below chance."""
    gain_at_start: float
    gain: float
    update: float
    dead: tuple[float, ...]
    saturated: tuple[float, ...]

    @property
    def furthest_gain(self) -> float:
        return max((self.gain, self.gain_at_start), key=lambda gain: 0.0 if math.isnan(gain) else abs(gain))


Finding = tuple[EarlyKind, Evidence]


def read_early(trace: RunTrace, chance_level: float) -> EarlyReading:
    """The reading at the trace's last record. A trace needs its records from step 0 on, in every step."""
    signs = signs_of(trace, chance_level)
    for rule in ALARMS:
        if found := rule(signs):
            return EarlyReading(kind=found[0], step=signs.step, evidence=(found[1],))
    kind: EarlyKind = "healthy" if _goes_well(signs) else "undecided"
    return EarlyReading(kind=kind, step=signs.step, evidence=(_of_loss(signs, "loss_of_chance", signs.loss, LEARNED),))


def signs_of(trace: RunTrace, chance_level: float) -> Signs:
    rows = [row for row, layer in enumerate(trace.layers) if layer.role == "hidden"]
    loss = trace.curves["loss"] / chance_level
    deltas = trace.signals["activation_gradient_rms"][rows]
    updates = trace.signals["update_ratio"][rows, -WINDOW:]
    return Signs(
        step=int(trace.steps[-1]),
        hidden=tuple(trace.layers[row].name for row in rows),
        broken=_broken(trace, loss),
        normalized=any(trace.layers[row].normalization is not None for row in rows),
        loss_at_start=float(loss[0]),
        loss=float(loss[-WINDOW:].mean()),
        fall=_fall(loss),
        rebound=_rebound(loss),
        gain_at_start=total_gain([log_median(row[:1]) for row in deltas]),
        gain=total_gain([log_median(row[-WINDOW:]) for row in deltas]),
        update=float(np.median(np.median(updates, axis=1))),
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


# --- the alarms, in the order of what decides -----------------------------------------------------------------------


def _nonfinite(signs: Signs) -> Finding | None:
    return ("diverged", _evidence(signs, "nonfinite_count", "first_nonfinite", None, 0.0)) if signs.broken else None


def _far(signs: Signs) -> Finding | None:
    """G beyond ±9 at the start or now, and the loss has not left its plateau."""
    gain = signs.furthest_gain
    if not (abs(gain) > FAR and signs.loss > LEARNED):
        return None
    return _kind_of(gain), _of_gain(signs, gain, FAR)


def _still(signs: Signs) -> Finding | None:
    """δ vanishes and with it the step: the weights do not move (plain SGD; Adam's steps keep their length)."""
    if not (signs.gain < -LIMIT and signs.update < STILL and signs.loss > LEARNED):
        return None
    return "vanishing", _evidence(signs, "update_ratio", "median_layer", signs.update, STILL)


def _leap(signs: Signs) -> Finding | None:
    if signs.normalized or not signs.update > LEAP:
        return None
    kind: EarlyKind = "exploding" if signs.gain > LIMIT else "unstable"
    return kind, _evidence(signs, "update_ratio", "median_layer", signs.update, LEAP)


def _rose(signs: Signs) -> Finding | None:
    if signs.rebound > REBOUND:
        return "unstable", _of_loss(signs, "rise_above_minimum", signs.rebound, REBOUND)
    if signs.step >= WINDOW and signs.loss > RISEN * max(1.0, signs.loss_at_start):
        return "unstable", _of_loss(signs, "loss_of_chance", signs.loss, RISEN)
    return None


def _stalled(signs: Signs) -> Finding | None:
    """The loss stands near chance and there is a reason in the layers; without one this is no alarm."""
    if signs.step < FEWEST_FOR_STALL or not (signs.loss > PLATEAU and signs.fall < FALL):
        return None
    if abs(signs.gain) > LIMIT:
        return _kind_of(signs.gain), _of_gain(signs, signs.gain, LIMIT)
    kinds: tuple[tuple[EarlyKind, str, tuple[float, ...]], ...] = (
        ("dead", "dead_fraction", signs.dead),
        ("saturated", "saturated_fraction", signs.saturated),
    )
    for kind, signal, fractions in kinds:
        if worst(fractions)[1] > FRACTION_LIMIT:
            return kind, _evidence(signs, signal, "worst_hidden_layer", worst(fractions)[1], FRACTION_LIMIT)
    return None


ALARMS: Final[tuple[Callable[[Signs], Finding | None], ...]] = (_nonfinite, _far, _still, _leap, _rose, _stalled)


def _goes_well(signs: Signs) -> bool:
    """The loss has left its plateau; or is falling, or not asked yet, with gradients inside ±3."""
    if signs.loss < LEARNED:
        return True
    inside = abs(signs.gain) < LIMIT
    return inside and (signs.step < WINDOW or signs.loss_at_start - signs.loss > FALL)


# --- evidence -------------------------------------------------------------------------------------------------------


def _kind_of(gain: float) -> EarlyKind:
    return "vanishing" if gain < 0.0 else "exploding"


def _of_gain(signs: Signs, gain: float, limit: float) -> Evidence:
    return _evidence(signs, "activation_gradient_rms", "total_gain", gain, math.copysign(limit, gain))


def _of_loss(signs: Signs, statistic: str, value: float, threshold: float) -> Evidence:
    return _evidence(signs, "loss", statistic, value, threshold)


def _evidence(signs: Signs, signal: str, statistic: str, value: float | None, threshold: float) -> Evidence:
    margin = None if value is None else abs(abs(value) - abs(threshold))
    return Evidence(
        signal=signal,
        layers=() if signal == "loss" else signs.hidden,
        steps=(0, signs.step),
        statistic=statistic,
        value=value,
        threshold=threshold,
        margin=margin,
    )

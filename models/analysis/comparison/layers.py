"""Layer by layer against the baseline: what a variant did to r = ln(rms δ of the layer / rms δ of the last one).

States come from intervals that hold for all layers of a network at once: Bonferroni, each of the H−1 layers below
the last at 1 − 0.05/(H−1). It assumes nothing of how layers hang together; a max-t over five seeds would have to
estimate that from five numbers. With one seed the point values decide. ``change`` is a plain 95 % Estimate.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from gradient_clinic.gains.depth_axis import Region, log_ratios, region
from gradient_clinic.intervals import LEVEL, Estimate, Interval, t_intervals
from gradient_clinic.verdict.shapes import Measured
from models.analysis.statistics.methods import Method

State = Literal["repaired", "not_repaired", "over_corrected", "harmed", "fine", "unclear", "not_applicable"]
Moment = Literal["at_start", "at_end"]

STATES: Final[dict[tuple[Region, Region], State]] = {
    ("below", "inside"): "repaired",
    ("above", "inside"): "repaired",
    ("below", "below"): "not_repaired",
    ("above", "above"): "not_repaired",
    ("below", "above"): "over_corrected",
    ("above", "below"): "over_corrected",
    ("inside", "below"): "harmed",
    ("inside", "above"): "harmed",
    ("inside", "inside"): "fine",
}
"""(baseline, variant) → state; an interval across a limit, or none, leaves it ``unclear``."""


class LayerChange(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    state: State
    change: Estimate
    """r(variant) − r(baseline), paired by seed."""


class LayerComparison(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: str
    at_start: LayerChange
    at_end: LayerChange | None


Runs = Mapping[int, Measured]
"""The runs of one variant that ended, by seed."""


def compare_layers(baseline: Runs, variant: Runs, names: Sequence[str]) -> tuple[LayerComparison, ...]:
    """Every hidden layer of ``names`` (those of either network); ``at_end`` null where nothing was trained."""
    trained = any(run.end is not None for run in (*baseline.values(), *variant.values()))
    start = _changes(baseline, variant, names, "at_start")
    end = _changes(baseline, variant, names, "at_end") if trained else dict.fromkeys(names)
    return tuple(LayerComparison(layer=name, at_start=start[name], at_end=end[name]) for name in names)


def simultaneous_level(layers: int) -> float:
    """Of each layer's interval, so that those of all ``layers`` hold at once at 95 %."""
    below_last = max(1, layers - 1)  # the last layer's r is 0 by definition and needs no share of the error
    return 1.0 - (1.0 - LEVEL) / below_last


def profile(runs: Runs, moment: Moment, level: float = LEVEL) -> dict[str, Interval]:
    """The interval of r by layer name, over the runs that were measured then; empty where none was."""
    measured = [ratios for run in runs.values() if (ratios := _ratios(run, moment))]
    return _by_name(measured, measured[0], level) if measured else {}


def _by_name(rows: Sequence[Mapping[str, float]], names: Iterable[str], level: float = LEVEL) -> dict[str, Interval]:
    """One interval per name; a row that lacks it has not measured it."""
    columns = list(names)
    values = np.array([[row.get(name, np.nan) for name in columns] for row in rows]).reshape(len(rows), len(columns))
    return dict(zip(columns, t_intervals(values, level), strict=True))


def _ratios(run: Measured, moment: Moment) -> dict[str, float]:
    levels = run.start if moment == "at_start" else run.end
    return {} if levels is None else dict(zip(run.hidden, log_ratios(levels).tolist(), strict=True))


def _changes(baseline: Runs, variant: Runs, names: Sequence[str], moment: Moment) -> dict[str, LayerChange]:
    before, after = _simultaneous(baseline, moment), _simultaneous(variant, moment)
    pairs = [
        (_ratios(baseline[seed], moment), _ratios(run, moment)) for seed, run in variant.items() if seed in baseline
    ]
    differences = [
        {name: _difference(theirs[name], ours[name]) for name in theirs.keys() & ours.keys()} for theirs, ours in pairs
    ]
    changes = _by_name(differences, names)
    return {
        name: LayerChange(
            state=_state(before.get(name), after.get(name), known=bool(before and after)),
            change=changes[name].estimate(Method.PAIRED_T),
        )
        for name in names
    }


def _difference(before: float, after: float) -> float:
    """NaN for two infinities of one sign: both layers are silent, and by how much they differ is not known."""
    return after - before if before != after else (0.0 if math.isfinite(after) else math.nan)


def _simultaneous(runs: Runs, moment: Moment) -> dict[str, Interval]:
    layers = max((len(run.hidden) for run in runs.values()), default=1)
    return profile(runs, moment, simultaneous_level(layers))


def _state(before: Interval | None, after: Interval | None, *, known: bool) -> State:
    if before is None or after is None:
        return "not_applicable" if known else "unclear"  # unknown: one of the two has not been measured yet
    return STATES.get((region(before), region(after)), "unclear")

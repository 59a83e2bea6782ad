"""Layer by layer against the baseline: what a variant did to r = ln(rms δ of the layer / rms δ of the last one).

States come from intervals that hold for all layers of a network at once: Bonferroni, each of the H−1 layers below
the last at 1 − 0.05/(H−1). It assumes nothing of how layers hang together; a max-t over five seeds would have to
estimate that from five numbers. With one seed the point values decide. ``change`` is a plain 95 % Estimate.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.analysis.gradient import Region, log_ratios, region
from models.analysis.measurements import Measured
from models.analysis.statistics import LEVEL, Array, Estimate, Interval, t_interval, t_intervals

State = Literal["repaired", "not_repaired", "over_corrected", "harmed", "fine", "unclear", "not_applicable"]
Moment = Literal["at_start", "at_end"]
PAIRED: Final = "paired t"

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


def profile(runs: Runs, moment: Moment) -> dict[str, Array]:
    """r by layer name, one value per run that was measured then, in the order of ``runs``."""
    rows = [_ratios(run, moment) for run in runs.values()]
    measured = [row for row in rows if row]
    return {name: np.array([row[name] for row in measured]) for name in (measured[0] if measured else {})}


def _ratios(run: Measured, moment: Moment) -> dict[str, float]:
    levels = run.start if moment == "at_start" else run.end
    return {} if levels is None else dict(zip(run.hidden, log_ratios(levels).tolist(), strict=True))


def _changes(baseline: Runs, variant: Runs, names: Sequence[str], moment: Moment) -> dict[str, LayerChange]:
    before, after = _simultaneous(baseline, moment), _simultaneous(variant, moment)
    pairs = [
        (_ratios(baseline[seed], moment), _ratios(run, moment)) for seed, run in variant.items() if seed in baseline
    ]
    changes: dict[str, LayerChange] = {}
    for name in names:
        both = [(theirs[name], ours[name]) for theirs, ours in pairs if name in theirs and name in ours]
        changes[name] = LayerChange(
            state=_state(before.get(name), after.get(name), known=bool(before and after)),
            change=t_interval([_difference(*pair) for pair in both]).estimate(PAIRED),
        )
    return changes


def _difference(before: float, after: float) -> float:
    """NaN for two infinities of one sign: both layers are silent, and by how much they differ is not known."""
    return after - before if before != after else (0.0 if np.isfinite(after) else np.nan)


def _simultaneous(runs: Runs, moment: Moment) -> dict[str, Interval]:
    ratios = profile(runs, moment)
    if not ratios:
        return {}
    below_last = max(1, len(ratios) - 1)  # the last layer's r is 0 by definition and needs no share of the error
    level = 1.0 - (1.0 - LEVEL) / below_last
    return dict(zip(ratios, t_intervals(np.column_stack(list(ratios.values())), level), strict=True))


def _state(before: Interval | None, after: Interval | None, *, known: bool) -> State:
    if before is None or after is None:
        return "not_applicable" if known else "unclear"  # unknown: one of the two has not been measured yet
    return STATES.get((region(before), region(after)), "unclear")

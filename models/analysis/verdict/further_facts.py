"""Facts beside the two total gains. None of them makes a headline; each is one number against its threshold.

The forward slope, the scale of all layers' δ together, G after the first steps where the start is an exception, and
the loss that was still falling when training ended, the test accuracy against always saying the commonest label.
"""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from scipy import special

from models.analysis.gains.depth_axis import GradientFacts, gradient_of_run
from models.analysis.gains.limits import LIMIT
from models.analysis.verdict.evidence import START, Where, above, beyond, gain_against
from models.analysis.verdict.measurements import NORMAL_QUANTILE
from models.analysis.verdict.shapes import Evidence, Measured

LEFT_OPEN: Final = "total_gain_without_confirmed_cut"
OVER_TIME_ALONE: Final = "total_gain_over_time"
FORWARD: Final = "growth_per_layer"
SCALE: Final = "median_ln_ratio_to_output"
AFTER_ZERO: Final = "total_gain_after_zero_start"
AFTER_TRANSIENT: Final = "total_gain_after_transient"
ABOVE_MAJORITY: Final = "accuracy_above_majority"
AT_MAJORITY: Final = "accuracy_at_majority"
BY_LUCK: Final = frozenset({ABOVE_MAJORITY, AT_MAJORITY})
FALLING: Final = "loss_still_falling"

SCALE_LIMIT: Final = math.log(1000.0)
"""δ of a usual network's hidden layers lies within a factor of 1000 of what the loss sends down: the output layer's
weights alone make it √(classes/width) of it, 0.1 at a width of 1000."""
FALSE_ALARM: Final = 0.05
"""Of the one-sided test that an accuracy is above that of always saying the commonest label."""


def facts_beside(measured: Measured, at_start: GradientFacts, positions: int) -> Iterator[Evidence]:
    """Those that were measured. ``positions``: pixels or steps over which a readout may spread δ."""
    found = (
        left_open(measured, at_start),
        over_time_alone(at_start),
        forward_slope(measured),
        global_scale(measured, at_start, positions),
        settled(measured, at_start),
        falling_loss(measured),
        accuracy_at_chance(measured),
    )
    yield from (item for item in found if item is not None)


def left_open(measured: Measured, at_start: GradientFacts) -> Evidence | None:
    """A G of the depth axis beyond ±3 where training outcomes of this kind of network confirm no cut."""
    gain = at_start.total_gain.mean
    if gain is None or not measured.depth_cut.leaves_open(gain):
        return None
    return gain_against(measured, START, LEFT_OPEN, gain)


def over_time_alone(at_start: GradientFacts) -> Evidence | None:
    """The time axis furthest beyond ±3: a name for its gain, by which outcomes alone cannot be told (decision 12)."""
    known = [(its, its.total_gain.mean) for its in at_start.time if its.total_gain.mean is not None]
    layer, gain = max(((its.layer, gain) for its, gain in known), key=lambda its: abs(its[1]), default=("", 0.0))
    if abs(gain) <= LIMIT:
        return None
    where = Where("activation_gradient_rms", (layer,), START)
    return beyond(where, OVER_TIME_ALONE, gain, math.copysign(LIMIT, gain), upward=gain > 0)


def forward_slope(measured: Measured) -> Evidence | None:
    """Growth of rms h per layer toward the output, against what makes a factor of e³ over all hidden layers.

    Weight gradients multiply it with δ, so that a decay of both ends can cancel in them and in neither of these.
    """
    if len(measured.forward) < 2:
        return None
    slope = (measured.forward[-1] - measured.forward[0]) / (len(measured.forward) - 1)
    limit = math.copysign(LIMIT / (len(measured.forward) - 1), slope)
    if not math.isfinite(slope) or abs(slope) > 300.0:  # e^300 a layer: an overflow, which is told as such
        return None
    where = Where("activation_rms", (measured.hidden[0], measured.hidden[-1]), START)
    return beyond(where, FORWARD, math.exp(slope), math.exp(limit), upward=limit > 0)


def global_scale(measured: Measured, at_start: GradientFacts, positions: int) -> Evidence | None:
    """Median ln(rms δ of a hidden layer / of the output layer) at the start, where all layers are small or large
    together: where G itself lies beyond the cut, single layers explain it.
    """
    levels = np.array([level for level in measured.start if math.isfinite(level)])
    if not levels.size or not math.isfinite(measured.output_start) or at_start.kind in {"vanishing", "exploding"}:
        return None
    value = float(np.median(levels)) - measured.output_start
    limit = SCALE_LIMIT if value > 0 else -SCALE_LIMIT - math.log(positions)
    found = beyond(Where("activation_gradient_rms", measured.hidden, START), SCALE, value, limit, upward=value > 0)
    return found if abs(value) > abs(limit) else None


def settled(measured: Measured, at_start: GradientFacts) -> Evidence | None:
    """G after the first steps, where the start is an exception: weights that start at zero, and batch norm whose
    gradients lie beyond the cut at step 0 and inside it soon after.
    """
    after = settled_facts(measured)
    if after is None or not (measured.zero_start or is_transient(measured, at_start)):
        return None
    statistic = AFTER_ZERO if measured.zero_start else AFTER_TRANSIENT
    return gain_against(measured, measured.settled_steps, statistic, after.total_gain.mean)


def is_transient(measured: Measured, at_start: GradientFacts) -> bool:
    """Whether batch norm's gradients started beyond the cut and were inside after the first steps."""
    after = settled_facts(measured)
    sick = at_start.kind in {"vanishing", "exploding"}
    return measured.batch_norm and sick and after is not None and after.kind == "healthy"


def settled_facts(measured: Measured) -> GradientFacts | None:
    if measured.settled is None:
        return None
    return gradient_of_run(
        measured.settled, batch_norm=measured.batch_norm, resized=measured.resized, cut=measured.depth_cut
    )


def falling_loss(measured: Measured) -> Evidence | None:
    """By how much the loss of an untrained run fell within the end window, where that is more than its noise: it may
    have been stopped too soon.
    """
    fall, error = measured.loss_fall, measured.loss_fall_error
    if measured.trained in {None, "yes"} or measured.diverged or fall is None or error is None:
        return None
    limit = NORMAL_QUANTILE * error
    return above(Where("loss", (), measured.end_steps), FALLING, fall, limit) if fall > limit else None


def accuracy_at_chance(measured: Measured) -> Evidence | None:
    """The test accuracy of a run that has not trained, against the largest that saying the commonest label reaches by
    luck in 19 of 20 test sets (binomial: the floor is the majority's share, and not 1/K).
    """
    facts = measured.facts
    share, accuracy, cases = facts.majority_share, facts.test_metric, facts.test_cases
    if share is None or cases == 0 or not math.isfinite(accuracy):
        return None
    if measured.trained in {None, "yes"} or measured.diverged:
        return None
    most = special.bdtrik(1.0 - FALSE_ALARM, cases, share) if share > 0.0 else 0.0  # where no test case has that label
    limit = math.ceil(most) / cases
    where = Where("test_metric", (), (measured.last_step, measured.last_step))
    return above(where, ABOVE_MAJORITY if accuracy > limit else AT_MAJORITY, accuracy, limit)

"""What single layers, or all of them together, show beside G: units, activations, inputs, sizes."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
from scipy import special

from gradient_clinic.gains.limits import LIMIT
from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.facts.fact import (
    CORRELATION,
    FLAT_SLOPE,
    START,
    Fact,
    Reading,
    above,
    below,
)
from gradient_clinic.verdict.headline import FRACTION_LIMIT, worst
from gradient_clinic.verdict.shapes import Evidence
from gradient_clinic.verdict.wording import layers_words, number, steps_words, words

LEAST_WEIGHTS: Final = 0.45
"""‖W‖ at the end over ‖W‖ at the start. Of ReLU and tanh networks of 3 and 5 layers on digits under AdamW, all with
0.54 and more learn and none with 0.37 and less does, whatever rate and decay took them there."""
LARGE_INPUT: Final = 1000.0
"""rms h of the first layer. Standardised inputs give about the weights' own scale, 1 to 10; only inputs that are out of
scale themselves give so much, and then no learning rate fits both this layer and the others."""
SMALLEST_NORMAL: Final = 1.1754943508222875e-38
"""float32 below this loses digits, and is zero on devices that flush."""
SMALLEST_HALF: Final = 2.0**-24
"""The smallest number of float16: half of it and less is zero."""
SCALE_LIMIT: Final = math.log(1000.0)
"""δ of a usual network's hidden layers lies within a factor of 1000 of what the loss sends down: the output layer's
weights alone make it √(classes/width) of it, 0.1 at a width of 1000."""


# --- the first non-finite value -------------------------------------------------------------------------------------


def _first_nonfinite(where: str) -> Callable[[Case], Reading | None]:
    def number_of(case: Case) -> Reading | None:
        place = case.measured.first_nonfinite
        if not case.measured.diverged or place is None or place.where != where:
            return None
        if place.layer is None:  # of a log, whose own facts say it
            return None
        return Reading(None, 0.0, None, (place.layer,), (place.step, place.step))

    return number_of


def _nonfinite_words(item: Evidence) -> str:
    return f"the first non-finite value came at {steps_words(item.steps)} in {layers_words(item.layers)}"


NONFINITE_FORWARD: Final = Fact(
    "nonfinite_count", "first_nonfinite_forward", _first_nonfinite("forward"), _nonfinite_words
)
NONFINITE_BACKWARD: Final = Fact(
    "nonfinite_count", "first_nonfinite_backward", _first_nonfinite("backward"), _nonfinite_words
)


# --- units and activations ------------------------------------------------------------------------------------------


def _worst(case: Case, fractions: tuple[float, ...]) -> Reading | None:
    """The hidden layer with the largest fraction, where it exceeds one half."""
    index, value = worst(fractions)
    if value <= FRACTION_LIMIT:
        return None
    return above(value, FRACTION_LIMIT, (case.measured.hidden[index],), case.measured.end_steps or START)


def _dead(case: Case) -> Reading | None:
    return _worst(case, case.measured.dead)


def _saturated(case: Case) -> Reading | None:
    return _worst(case, case.measured.saturated)


def _worst_words(item: Evidence) -> str:
    return f"{words(item.signal)} is {number(item.value)} in {layers_words(item.layers)}"


WORST: Final = "worst_hidden_layer"
DEAD: Final = Fact("dead_fraction", WORST, _dead, _worst_words)
SATURATED: Final = Fact("saturated_fraction", WORST, _saturated, _worst_words)


def _slope(case: Case) -> Reading | None:
    """A φ that works where it is flat, by its rms slope at the start."""
    slopes = [slope for slope in case.measured.slope_at_start if not math.isnan(slope)]
    median = float(np.median(slopes)) if slopes else math.nan
    return below(median, FLAT_SLOPE, case.measured.hidden, START) if median < FLAT_SLOPE else None


SLOPE: Final = Fact("activation_rms", "median_rms_slope", _slope, called="the median slope of the activations")


# --- samples that become one point: rank collapse -------------------------------------------------------------------

# Deep in an untrained network of ReLUs the correlation of two samples' h goes to 1 at any scale of the weights, even
# where gradients keep their size (Poole 2016; of a critical ReLU 1 − c falls as 1/depth²), and no gradient through such
# layers tells samples apart. A random unit is off for a sample with probability ½, so where a share near ½ is off for
# all, all are one point. Smooth and leaky activations collapse too and are never flat, so there it cannot be seen.

FEWEST_CASES: Final = 8
"""Of fewer the share that is off for all is near ½ without any collapse."""


def _off_at_start(case: Case) -> Reading | None:
    """Where the median hidden layer of the untrained network has more units off for all of a batch than samples of
    correlation 0.97 leave off. None where a layer is off altogether, which is another fault.
    """
    shares, cases = [share for share in case.measured.dead_at_start if not math.isnan(share)], case.setup.batch_size
    if cases < FEWEST_CASES or not shares or max(shares) == 1.0:
        return None
    share, limit = float(np.median(shares)), share_off(CORRELATION, cases)
    return above(share, limit, case.measured.hidden, START) if share > limit else None


def _collapsed_words(item: Evidence) -> str:
    share = f"at the start {number(item.value)} of the median layer's units are off for every one"
    return f"samples become one point on their way: {share}"


OFF_AT_START: Final = Fact(
    "dead_fraction",
    "median_off_for_all_at_start",
    _off_at_start,
    _collapsed_words,
    called="the share of units that are off for every case",
)


@lru_cache(maxsize=64)
def share_off(correlation: float, cases: int) -> float:
    """P(all of ``cases`` standard normals with this common correlation are below 0) = E[Φ(−√(c/(1−c))·z)^cases]."""
    z = np.linspace(-9.0, 9.0, 20_001)
    all_off = np.exp(cases * special.log_ndtr(-math.sqrt(correlation / (1.0 - correlation)) * z))
    return float(np.trapezoid(all_off * np.exp(-0.5 * z * z), z)) / math.sqrt(2.0 * math.pi)


# --- sizes ----------------------------------------------------------------------------------------------------------


def _inputs(case: Case) -> Reading | None:
    """rms h of the first hidden layer at the start: what the inputs bring. A norm there takes it out."""
    level = next(iter(case.measured.forward), math.nan)
    if not math.log(LARGE_INPUT) < level < math.inf:
        return None
    return above(math.exp(level), LARGE_INPUT, case.measured.hidden[:1], START)


def _inputs_words(item: Evidence) -> str:
    return f"inputs are out of scale: rms h of {item.layers[0]} is {number(item.value)} at the start"


INPUTS: Final = Fact("activation_rms", "first_layer_rms", _inputs, _inputs_words, called="rms h of the first layer")


def _growth(case: Case) -> Reading | None:
    """Growth of rms h per layer toward the output, against what makes a factor of e³ over all hidden layers.

    Weight gradients multiply it with δ, so that a decay of both ends can cancel in them and in neither of these.
    """
    levels, names = case.measured.forward, case.measured.hidden
    if len(levels) < 2:
        return None
    slope, limit = (levels[-1] - levels[0]) / (len(levels) - 1), LIMIT / (len(levels) - 1)
    if not math.isfinite(slope) or abs(slope) > 300.0:  # e^300 a layer: an overflow, which is told as such
        return None
    ends = names[0], names[-1]
    if math.copysign(1.0, slope) > 0:
        return above(math.exp(slope), math.exp(limit), ends, START)
    return below(math.exp(slope), math.exp(-limit), ends, START)


def _growth_words(item: Evidence) -> str | None:
    if item.margin is None or item.margin <= 0:
        return None
    verb = "grows" if (item.value or 0.0) > 1.0 else "shrinks"
    return f"forward, h {verb} from {item.layers[0]} to {item.layers[-1]} at the start: ×{number(item.value)} per layer"


GROWTH: Final = Fact("activation_rms", "growth_per_layer", _growth, _growth_words)


def _scale(case: Case) -> Reading | None:
    """Median ln(rms δ of a hidden layer / of the output layer) at the start, where all layers are small or large
    together: where G itself lies beyond the cut, single layers explain it.
    """
    its = case.measured
    levels = [level for level in its.start if math.isfinite(level)]
    if not levels or not math.isfinite(its.output_start) or case.at_start.kind in {"vanishing", "exploding"}:
        return None
    value, least = float(np.median(levels)) - its.output_start, -SCALE_LIMIT - math.log(case.setup.positions)
    if value > 0:
        return above(value, SCALE_LIMIT, its.hidden, START) if value > SCALE_LIMIT else None
    return below(value, least, its.hidden, START) if value < least else None


def _scale_words(item: Evidence) -> str:
    if item.value is None:
        return "δ of all hidden layers together is out of proportion to the output layer's"
    size = "small" if item.value < 0 else "large"
    ratio = number(math.exp(item.value))
    return f"δ of all hidden layers together is {size} at the start: ×{ratio} of the output layer's"


SCALE: Final = Fact(
    "activation_gradient_rms",
    "median_ln_ratio_to_output",
    _scale,
    _scale_words,
    called="ln(rms δ of all hidden layers / the output's)",
)


def _underflow(case: Case) -> Reading | None:
    """The smallest rms δ of a hidden layer, at the start or else at the end. A dead layer's zero is exact, not lost."""
    its = case.measured
    if _dead(case) is not None:
        return None
    for levels, steps in ((its.start, START), (its.end, its.end_steps)):
        known = [level if not math.isnan(level) else math.inf for level in levels or ()]
        if known and min(known) < math.log(SMALLEST_NORMAL):
            layer = int(np.argmin(known))
            return below(math.exp(known[layer]), SMALLEST_NORMAL, (its.hidden[layer],), steps)
    return None


LOWEST: Final = Fact("activation_gradient_rms", "smallest_layer", _underflow, called="the smallest rms δ")


def _lost_in_half(case: Case) -> Reading | None:
    """The smallest rms of what stands for δ in float16, δ times the loss's scale, in the untrained network."""
    scale, its = case.setup.loss_scale, case.measured
    known = [level if math.isfinite(level) else math.inf for level in its.start]
    if scale is None or not known or min(known) == math.inf:
        return None
    size, layer = math.exp(min(known)) * scale, its.hidden[int(np.argmin(known))]
    return below(size, SMALLEST_HALF, (layer,), START) if size < SMALLEST_HALF else None


def _lost_in_half_words(item: Evidence) -> str:
    size = f"rms δ of {layers_words(item.layers)} times the loss's scale is {number(item.value, 2)}"
    return f"δ is lost in float16: {size}, and {number(item.threshold, 2)} is its smallest number"


LOST_IN_HALF: Final = Fact("activation_gradient_rms", "smallest_layer_in_half", _lost_in_half, _lost_in_half_words)


def _weights_left(case: Case) -> Reading | None:
    """‖W‖ at the end over ‖W‖ at the start, the median layer's, where something takes of the weights in every step."""
    its = case.measured
    if not case.setup.decay > 0.0 or not its.weights_left < LEAST_WEIGHTS:
        return None
    return below(its.weights_left, LEAST_WEIGHTS, its.hidden, its.end_steps)


def _weights_left_words(item: Evidence) -> str:
    return f"decay has taken the weights to {number(item.value, 2)} of their size at the start"


WEIGHTS_LEFT: Final = Fact(
    "weight_norm",
    "median_left",
    _weights_left,
    _weights_left_words,
    called="the size of the weights beside that at the start",
)

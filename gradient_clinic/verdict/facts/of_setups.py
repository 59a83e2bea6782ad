"""What a network, its data and its weights bring before the first step."""

import math
from typing import Final

import numpy as np

from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.facts.fact import (
    CORRELATION,
    FLAT_SLOPE,
    LARGE_UPDATE,
    LEAST_RATE,
    SMALL_WEIGHTS,
    START,
    Fact,
    Reading,
    above,
    below,
)
from gradient_clinic.verdict.shapes import Evidence
from gradient_clinic.verdict.wording import layers_words, number

LARGE_INPUTS: Final = 5.0
"""rms of the inputs. Standardised ones have 1, pixels from 0 to 1 about 0.3; at 5 a tanh behind a layer that keeps
signals in size is flat, and a rate that fits the other layers is 25 times too high for the first."""
LARGE_TARGETS: Final = 10.0
"""Standard deviation of the targets. The loss's gradient grows with it and curvature does not, so that a rate which
fits targets of 1 takes steps as many times too long."""
SMALL_TARGETS: Final = 0.05
"""Standard deviation of the targets. What an untrained network says is then larger than what it shall say. Two ReLU
and two tanh layers under SGD and Adam, rates 0.001 to 0.1, 15 epochs: all learn with 0.1 and more, most with 0.03, two
of eight with 0.01, none with 0.003."""
LARGE_OFFSET: Final = 3.0
"""Mean of the targets over their standard deviation. Two-layer tanh and ReLU networks under SGD and Adam learn in 6
epochs where it is 1; where it is 3 those under Adam do not, as biases alone have to come so far first."""
SMALL_INPUTS: Final = 0.05
"""rms of the inputs. Two ReLU layers on digits end at an accuracy of 0.97 with 0.3, 0.89 with 0.1, 0.44 with 0.03."""
LARGE_WEIGHTS: Final = 2.0
"""√σw² over that which keeps signals in size: a tanh's rms slope behind it is below ½ from the second layer on."""
GROWN: Final = 4.0
"""√σw² at the end of weights that started small. LSTMs, GRUs and MLPs, weights times 0.03 to 0.5, at usual rates and up
to 100 times as high: of the 70 runs that end at up to 4.3, 58 learn within 500 steps at that rate, and 68 from usual
weights; of the 33 that end at 7.7 and more 4 and 9 do, and all at a lower rate (docs/verdicts.md)."""
LEAST_APART: Final = 0.02
"""Correlation. Of 36 networks of ReLU, SELU and tanh with 2 to 16 layers on digits, all 25 above 0.02 learn (test
accuracy 0.67 to 0.97 in 6 epochs of Adam) and none of the 11 below 0.007 does (0.08 to 0.54)."""
NEARLY_EQUAL_SPREAD: Final = 0.01
"""Of the weights of a layer over their rms; 1 of weights that are random around zero. Two tanh layers on digits with
weights from 0.1 less a spread of 0.001 (here 0.003) to 0.1 fail in 250 steps of SGD; with 0.01 (0.03) they learn."""
LEAST_LEFT: Final = 0.01
"""Of the square of the difference between two cases. ReLU and tanh networks of 2 and 5 hidden layers of 64 on digits,
weights at the critical variance moved by a mean, 6 epochs of SGD and of Adam: all with 0.015 and more learn, and those
that fail have 0.007 and less."""
FEW_CASES: Final = 5
"""Numbers over which batch norm takes a mean. Of ReLU networks on digits, 400 steps of Adam: three layers fail with
batches of 2 and 3, six with 2, 3 and 4; with 6 and more all learn, as they do with layer norm at any."""
MANY_BLOCKS: Final = 6
"""From here on post-norm transformers are trained with warm-up (Xiong et al. 2020 use 6 + 6)."""


def _equal_units(case: Case) -> Reading | None:
    layers = case.setup.equal_units
    return above(float(len(layers)), 0.0, layers, START) if layers else None


def _equal_units_words(item: Evidence) -> str:
    return f"all units of {layers_words(item.layers, all_of_them=True)} start with the same weights and stay alike"


EQUAL_UNITS: Final = Fact("weight_norm", "layers_of_equal_units", _equal_units, _equal_units_words)


def _nearly_equal(case: Case) -> Reading | None:
    """The layer whose weights spread least beside their size."""
    alike = [(spread, name) for name, spread in case.setup.nearly_equal if spread < NEARLY_EQUAL_SPREAD]
    if not alike:
        return None
    return below(min(alike)[0], NEARLY_EQUAL_SPREAD, tuple(name for _, name in alike), START)


def _nearly_equal_words(item: Evidence) -> str:
    layers = layers_words(item.layers, all_of_them=True)
    spread = f"the weights spread by {number(item.value, 2)} of their size, and random ones by all of it"
    return f"all units of {layers} start nearly alike: {spread}"


NEARLY_EQUAL: Final = Fact("weight_norm", "spread_of_weights", _nearly_equal, _nearly_equal_words)


def input_rms(case: Case) -> float:
    """rms of the inputs by the first layer's h and its weights' gain; NaN where either is not known."""
    gain, level = case.setup.first_layer_gain, next(iter(case.measured.forward), math.nan)
    return math.exp(level) / gain if gain and level < 300.0 else math.nan


def _input_scale(case: Case) -> Reading | None:
    size, first = input_rms(case), case.measured.hidden[:1]
    if size > LARGE_INPUTS:
        return above(size, LARGE_INPUTS, first, START)
    return below(size, SMALL_INPUTS, first, START) if size < SMALL_INPUTS else None


def _input_scale_words(item: Evidence) -> str:
    return f"inputs are out of scale: their rms is about {number(item.value, 2)}, and 1 is usual"


INPUT_SCALE: Final = Fact(
    "activation_rms", "input_rms", _input_scale, _input_scale_words, called="the rms of the inputs"
)


def _target_scale(case: Case) -> Reading | None:
    """The standard deviation of the targets: chance is its square where the loss is the squared error."""
    chance = case.measured.facts.chance_level
    if not case.setup.values or not 0.0 < chance < math.inf:
        return None
    if (size := math.sqrt(chance)) > LARGE_TARGETS:
        return above(size, LARGE_TARGETS)
    return below(size, SMALL_TARGETS) if size < SMALL_TARGETS else None


def _target_scale_words(item: Evidence) -> str:
    return f"targets are out of scale: their standard deviation is {number(item.value, 3)}, and 1 is usual"


def _target_offset(case: Case) -> Reading | None:
    offset = case.measured.facts.target_offset
    if not case.setup.values or offset is None or not offset > LARGE_OFFSET:
        return None
    return above(offset, LARGE_OFFSET)


def _target_offset_words(item: Evidence) -> str:
    return f"targets are out of scale: their mean is {number(item.value, 3)} of their standard deviations from 0"


TARGET_OFFSET: Final = Fact("loss", "target_offset", _target_offset, _target_offset_words)
TARGET_SCALE: Final = Fact("loss", "target_deviation", _target_scale, _target_scale_words)


def _weight_scale(case: Case) -> Reading | None:
    """The layer whose weights are largest beside what its φ bears, where a bounded φ is flat behind it at the start, or
    lies inside a fused layer, where its slope is not seen.
    """
    slopes = dict(zip(case.measured.hidden, case.measured.slope_at_start, strict=False))
    gains = case.gains_on_axis
    flat = [(gain / usual, name) for name, gain, usual in gains if not slopes.get(name, 1.0) >= FLAT_SLOPE]
    size, name = max(flat, default=(0.0, ""))
    return above(size, LARGE_WEIGHTS, (name,), START) if size > LARGE_WEIGHTS else None


def _weight_scale_words(item: Evidence) -> str:
    times = f"{number(item.value, 2)} times as large as keeps signals in size"
    return f"weights of {layers_words(item.layers)} start {times}, so that its activation is flat"


WEIGHT_SCALE: Final = Fact("weight_norm", "gain_beside_critical", _weight_scale, _weight_scale_words)


def start_gain(case: Case) -> float:
    """The median √σw² of the layers with a bounded φ, or else that of the first layer; NaN where neither is known.
    Weights that are zero on purpose do not count.
    """
    gains = [gain for _, gain, _ in case.gains_on_axis] or [case.setup.first_layer_gain or 0.0]
    drawn = [gain for gain in gains if gain > 0.0]
    return float(np.median(drawn)) if drawn else math.nan


def gain_at_end(case: Case) -> float:
    """The same over the end window."""
    return start_gain(case) * case.measured.weights_left


def _starts_small(case: Case) -> bool:
    """Weights that start so small that a step is long beside them, and not beside what they grow to. Of weights under a
    norm the scale is free, and such a step is too long; units that have died have not grown. Of a transformer its
    branches tell.
    """
    its = case.measured
    grows = its.largest_update > LARGE_UPDATE and gain_at_end(case) <= GROWN
    sick = case.kind in {"stalled", "slow"} and not its.normalized
    return case.branch_gain is None and sick and grows and start_gain(case) < SMALL_WEIGHTS


def _start_gain(case: Case) -> Reading | None:
    its = case.measured
    return below(start_gain(case), SMALL_WEIGHTS, its.hidden, START) if _starts_small(case) else None


def _end_gain(case: Case) -> Reading | None:
    its = case.measured
    return below(gain_at_end(case), GROWN, its.hidden, its.end_steps) if _starts_small(case) else None


def _start_gain_words(item: Evidence) -> str:
    return f"weights start too small: their √σw² is {number(item.value, 2)}, and about 1 keeps signals in size"


def _end_gain_words(item: Evidence) -> str:
    return f"training has grown it to {number(item.value, 2)}: steps are long beside such a start alone"


START_GAIN: Final = Fact("weight_norm", "gain_at_start", _start_gain, _start_gain_words)
END_GAIN: Final = Fact(
    "weight_norm", "gain_at_end", _end_gain, _end_gain_words, called="√σw² of the weights at the end"
)


def _told_apart(case: Case) -> Reading | None:
    left = case.setup.told_apart
    return (
        below(left, LEAST_APART, case.measured.hidden[-1:], START) if left is not None and left < LEAST_APART else None
    )


def _told_apart_words(item: Evidence) -> str:
    left = f"a correlation of {number(item.value, 2)} tells one case from another"
    return f"the noise of dropout grows with depth: behind {layers_words(item.layers)} {left}"


TOLD_APART: Final = Fact("activation_rms", "correlation_left_by_dropout", _told_apart, _told_apart_words)


def _alike(case: Case) -> Reading | None:
    left = case.setup.alike
    return (
        above(left, CORRELATION, case.measured.hidden[-1:], START) if left is not None and left > CORRELATION else None
    )


def _alike_words(item: Evidence) -> str:
    theory = f"theory puts the correlation of two cases behind {layers_words(item.layers)} at {number(item.value, 3)}"
    return f"samples become one point on their way: {theory}"


PREDICTED_ALIKE: Final = Fact("activation_rms", "predicted_correlation", _alike, _alike_words)


def _stream(case: Case) -> Reading | None:
    """rms h of the residual stream where it meets the output, over that where it starts."""
    levels = [level for level in case.measured.forward if math.isfinite(level)]
    if not case.setup.bare_stream or not levels:
        return None
    growth = math.exp(min(levels[-1] - levels[0], 300.0))
    return above(growth, 1.0, case.measured.hidden[-1:], START)


def _stream_words(item: Evidence) -> str:
    grown = f"where its rms h is {number(item.value, 2)} times that of the first"
    return f"no norm stands between the residual stream and the output, {grown} at the start"


BARE_STREAM: Final = Fact("activation_rms", "growth_of_stream", _stream, _stream_words)


def _post_norm(case: Case) -> Reading | None:
    blocks = case.setup.post_norm_blocks
    if blocks < MANY_BLOCKS or case.setup.warm_up:
        return None
    return above(float(blocks), float(MANY_BLOCKS - 1), case.measured.hidden[-1:], START)


def _post_norm_words(item: Evidence) -> str:
    return f"{number(item.value)} blocks normalise after the sum, and the rate has no warm-up"


POST_NORM: Final = Fact("activation_gradient_rms", "post_norm_blocks", _post_norm, _post_norm_words)


def _left_by_means(case: Case) -> Reading | None:
    left = case.setup.left_by_means
    return below(left, LEAST_LEFT, case.setup.uncentred, START) if left < LEAST_LEFT else None


def _left_by_means_words(item: Evidence) -> str:
    layers = layers_words(item.layers, all_of_them=True)
    left = f"theory leaves {number(item.value, 2)} of the square of what tells two cases apart"
    return f"weights of {layers} have a mean, which all units share: {left}"


LEFT_BY_MEANS: Final = Fact("weight_norm", "left_by_means", _left_by_means, _left_by_means_words)


def _few_cases(case: Case) -> Reading | None:
    counted = case.setup.cases_per_statistic
    return below(float(counted), float(FEW_CASES)) if counted is not None and counted < FEW_CASES else None


def _few_cases_words(item: Evidence) -> str:
    return f"batch norm takes its mean and variance over {number(item.value)} numbers, so that they are mostly noise"


FEW_CASES_NORMED: Final = Fact("activation_rms", "numbers_per_statistic", _few_cases, _few_cases_words)


def _window(case: Case) -> Reading | None:
    """Steps of time that a gradient goes back, of those that there are."""
    window = case.setup.window
    return None if window is None else below(float(window), float(case.setup.time_steps))


def _window_words(item: Evidence) -> str:
    steps = f"every {number(item.value)} of {number(item.threshold)} steps"
    return f"the gradient over time is cut after {steps}: what lies further back teaches nothing"


WINDOW: Final = Fact("activation_gradient_rms", "steps_to_the_cut", _window, _window_words)


def _mean_rate(case: Case) -> Reading | None:
    left = case.setup.mean_rate
    return below(left, LEAST_RATE) if left < LEAST_RATE else None


def _mean_rate_words(item: Evidence) -> str:
    return f"the schedule leaves {number(item.value, 2)} of the learning rate, as a mean over all steps"


MEAN_RATE: Final = Fact("update_ratio", "mean_rate_left", _mean_rate, _mean_rate_words)

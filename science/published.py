"""The rules of other tools as published, beside which ours are measured. Numbers are those of the science notes.

A rule sees one step, as in the reference measurement: raw ∂L/∂W of all weight tensors, the update, the activations,
and the losses so far. "Any layer" is meant where a tool warns for a tensor. What is not here
is named in ``left_out.py``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.analysis.statistics import Array
from science.glimpse import Glimpse


@dataclass(frozen=True, slots=True)
class Look:
    """What a rule may know at a step."""

    step: int
    glimpse: Glimpse
    losses: Array
    norms: Array
    """Of this step and all before."""
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Rule:
    """``number`` in the science notes' table of published rules; ``fires`` with the published thresholds."""

    number: int
    tool: str
    name: str
    formula: str
    fires: Callable[[Look], bool]

    @property
    def title(self) -> str:
        return f"{self.number} {self.tool}: {self.name}"


Flags = npt.NDArray[np.bool_]


def _any(values: Flags | np.bool_) -> bool:
    return bool(np.any(values))


def _ratio(look: Look) -> Array:
    """mean|ΔW| / mean|W| per tensor."""
    return look.glimpse.update_mean / (look.glimpse.weight_mean + 1e-9)


def _neighbours(look: Look) -> Array:
    """mean|g| of each tensor over that of the next one toward the output."""
    g = look.glimpse.gradient_mean
    return g[:-1] / np.where(g[1:] == 0, np.nan, g[1:])


def _median_ratio(look: Look) -> float:
    """NaN where every layer above is silent."""
    ratios = _neighbours(look)
    known = ratios[~np.isnan(ratios)]
    return float(np.median(known)) if known.size else float("nan")


def _in_a_row(hits: Flags, count: int) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(hits, count) if len(hits) >= count else np.zeros((0, 1))
    return bool(windows.all(axis=-1).any())


def _not_finite(look: Look) -> bool:
    return not bool(look.glimpse.gradient_finite.all())


def _ends(look: Look) -> float:
    """‖g₁‖/‖g_L‖."""
    norms = look.glimpse.gradient_norm
    return float(norms[0] / norms[-1]) if norms[-1] > 0 else float("nan")


def _dead_relu(look: Look) -> bool:
    return _any(look.glimpse.inactive_units > 0.5)


def _poor_init(look: Look) -> bool:
    its = look.glimpse
    variances = its.weight_variance
    narrow = (its.gradient_p95 - its.gradient_p5) < 0.001
    flat = look.step >= 5 and _any(np.ptp(look.losses[-5:]) == 0)
    return look.step <= 10 and (_any(variances.max() > 10 * variances.min()) or _any(narrow) or flat)


def _loss_not_decreasing(look: Look) -> bool:
    return look.step >= 10 and not bool(look.losses[-11] - look.losses[-1] >= 0.001 * look.losses[-11])


def _loss_trouble(look: Look) -> bool:
    losses = look.losses
    slow = look.step >= 5 and not bool(losses[-1] <= 0.95 * losses[-6])
    return slow or bool(losses[-1] >= 2 * np.min(losses))


def _log_update(look: Look) -> Array:
    return np.log10(look.glimpse.update_mean / look.glimpse.weight_mean)


def _btt_explode(look: Look) -> bool:
    mean = look.glimpse.gradient_mean
    return _not_finite(look) or bool(np.median(mean) > 1e4) or _median_ratio(look) > 1e3


def _btt_vanish(look: Look) -> bool:
    mean = look.glimpse.gradient_mean
    return bool(np.median(mean) < 1e-5) or _any(mean == 0) or _median_ratio(look) < 1e-4


def _learning_rate_range(look: Look) -> bool:
    ratio = look.learning_rate * look.glimpse.gradient_norm / look.glimpse.weight_norm
    return _any((ratio < 1e-5) | (ratio > 0.1))


def _beyond(values: Array, window: int, least: int) -> bool:
    """Whether a value so far exceeded mean + 6 sd of the ``window`` before it, of which ``least`` are needed."""
    for at in range(least, len(values)):
        before = values[max(0, at - window) : at]
        if values[at] > before.mean() + 6 * before.std() and before.std() > 0:
            return True
    return False


def _zclip(look: Look) -> bool:
    mean, variance = float(look.norms[:25].mean()), float(look.norms[:25].var())
    for value in look.norms[25:]:
        if value > mean + 2.5 * variance**0.5:
            return True
        mean = 0.97 * mean + 0.03 * float(value)
        variance = 0.97 * variance + 0.03 * (float(value) - mean) ** 2
    return False


def _decades(look: Look) -> bool:
    """A straight line through log10 mean|g| of the hidden tensors spans more than 3 decades."""
    mean = look.glimpse.gradient_mean[:-1]
    if len(mean) < 2 or not (mean > 0).all() or not np.isfinite(mean).all():
        return True
    slope = np.polyfit(np.arange(len(mean)), np.log10(mean), 1)[0]
    return bool(abs(slope) * (len(mean) - 1) > 3)


RULES: Final[Sequence[Rule]] = (
    Rule(1, "SageMaker", "VanishingGradient", "mean|g| < 1e-7", lambda its: _any(its.glimpse.gradient_mean < 1e-7)),
    Rule(2, "SageMaker", "ExplodingTensor", "any NaN/Inf", _not_finite),
    Rule(3, "SageMaker", "DeadRelu", "unit active < 1 %, in > 50 % of a layer", _dead_relu),
    Rule(
        4,
        "SageMaker",
        "SaturatedActivation",
        "tanh input outside ±9.4999, sigmoid [−23, 16.99999]; 1 %, 50 %",
        lambda its: _any(its.glimpse.flat_units > 0.5),
    ),
    Rule(5, "SageMaker", "PoorWeightInit", "variances max/min > 10, or p95−p5 < .001, or loss flat 5", _poor_init),
    Rule(
        6,
        "SageMaker",
        "WeightUpdateRatio",
        "> 10 or < 1e-8 (ε 1e-9)",
        lambda its: _any((_ratio(its) > 10) | (_ratio(its) < 1e-8)),
    ),
    Rule(7, "SageMaker", "AllZero", "100 % of g", lambda its: _any(its.glimpse.gradient_zeros == 1)),
    Rule(8, "SageMaker", "LossNotDecreasing", "< .1 % over 10 steps", _loss_not_decreasing),
    Rule(
        10,
        "AutoTrainer",
        "vanish",
        "‖g₁‖/‖g_L‖ < 1e-3 and ‖g₁‖ < 1e-4",
        lambda its: _ends(its) < 1e-3 and _any(its.glimpse.gradient_norm[0] < 1e-4),
    ),
    Rule(
        11,
        "AutoTrainer",
        "explode",
        "‖g₁‖/‖g_L‖ > 70, NaN, or loss ≥ 1e3",
        lambda its: _ends(its) > 70 or _not_finite(its) or not bool(its.losses[-1] < 1e3),
    ),
    Rule(
        12,
        "AutoTrainer",
        "dying ReLU",
        "zero share of all gradients ≥ .7",
        lambda its: _any(its.glimpse.gradient_zeros.mean() >= 0.7),
    ),
    Rule(16, "AutoTrainer", "large weight", "max|w| > 5", lambda its: not bool(its.glimpse.weight_max.max() <= 5)),
    Rule(
        17,
        "TheDeepChecker",
        "vanish",
        "mean|g| < 1e-6, or 4 successive ratios ≤ .5",
        lambda its: _any(its.glimpse.gradient_mean < 1e-6) or _in_a_row(_neighbours(its) <= 0.5, 4),
    ),
    Rule(
        18,
        "TheDeepChecker",
        "explode",
        "mean|g| > 1e6, or 4 successive ratios ≥ 2",
        lambda its: not bool((its.glimpse.gradient_mean <= 1e6).all()) or _in_a_row(_neighbours(its) >= 2, 4),
    ),
    Rule(
        19,
        "TheDeepChecker",
        "update ratio",
        "log10(mean|Δw|/mean|w|) > −1 or < −4",
        lambda its: _any((_log_update(its) > -1) | (_log_update(its) < -4)),
    ),
    Rule(
        20,
        "TheDeepChecker",
        "dead layer",
        "p95|a| < 1e-5 in > 50 % of neurons",
        lambda its: _any(its.glimpse.weak_units > 0.5),
    ),
    Rule(
        23,
        "TheDeepChecker",
        "weights",
        "|w| < 1e-5 in > 95 %; > 95 % negative; mean|w| > 1e8",
        lambda its: (
            _any(its.glimpse.weight_tiny > 0.95)
            or _any(its.glimpse.weight_negative > 0.95)
            or _any(its.glimpse.weight_mean > 1e8)
        ),
    ),
    Rule(24, "TheDeepChecker", "loss", "drop < 5 % per 5 steps; ≥ 2× its minimum", _loss_trouble),
    Rule(26, "DeepDiagnosis", "vanish", "mean|ΔW| < 1e-7", lambda its: _any(its.glimpse.update_mean < 1e-7)),
    Rule(27, "DeepDiagnosis", "dead", "≥ 70 % of outputs ≤ 0", lambda its: _any(its.glimpse.not_positive >= 0.7)),
    Rule(
        28,
        "DeepDiagnosis",
        "saturated",
        "input outside ±5 for > 50 %",
        lambda its: _any(its.glimpse.beyond_five > 0.5),
    ),
    Rule(
        29,
        "DeepDiagnosis",
        "numeric",
        "mean of g NaN, Inf or exactly 0",
        lambda its: (
            not bool(np.isfinite(its.glimpse.gradient_signed_mean).all()) or _any(its.glimpse.gradient_signed_mean == 0)
        ),
    ),
    Rule(
        30,
        "DeepDiagnosis",
        "weights; lr",
        "var W < 1e-5 or > 10; lr‖g‖/‖w‖ outside [1e-5, .1]",
        lambda its: (
            _any((its.glimpse.weight_variance < 1e-5) | (its.glimpse.weight_variance > 10)) or _learning_rate_range(its)
        ),
    ),
    Rule(31, "BTTackler", "explode", "NaN/Inf; median mean|g| > 1e4; median ratio > 1e3", _btt_explode),
    Rule(32, "BTTackler", "vanish", "median mean|g| < 1e-5; a layer 0; median ratio < 1e-4", _btt_vanish),
    Rule(
        33,
        "BTTackler",
        "dead ReLU",
        "median zero rate > .5 (of g, one step)",
        lambda its: _any(np.median(its.glimpse.gradient_zeros) > 0.5),
    ),
    Rule(35, "MindInsight", "vanish", "mean|g| < 1e-9", lambda its: _any(its.glimpse.gradient_mean < 1e-9)),
    Rule(36, "MindInsight", "explode", "NaN/Inf", _not_finite),
    Rule(
        37,
        "MindInsight",
        "weight change",
        "mean ratio > .1 or < 1e-4; unchanged",
        lambda its: _any((_ratio(its) > 0.1) | (_ratio(its) < 1e-4)) or _any(its.glimpse.unchanged == 1),
    ),
    Rule(
        38,
        "MindInsight",
        "activation range",
        "< .1 % of tanh inputs within ±8.8",
        lambda its: _any(its.glimpse.tanh_inside < 0.001),
    ),
    Rule(39, "OLMo-core", "spike", "loss > mean + 6σ of the last 128", lambda its: _beyond(its.losses, 128, 128)),
    Rule(
        40,
        "OLMo-core",
        "skip step",
        "loss or norm > mean + 6σ (128; after 64)",
        lambda its: _beyond(its.losses, 128, 64) or _beyond(its.norms, 128, 64),
    ),
    Rule(41, "ZClip", "spike", "z > 2.5 (EMA .97, 25 warm-up)", _zclip),
    Rule(
        43,
        "UMLAUT",
        "learning rate",
        "> .01 or < 1e-7",
        lambda its: its.learning_rate > 0.01 or its.learning_rate < 1e-7,
    ),
    Rule(45, "torchtitan", "non-finite", "gradient not finite", _not_finite),
    Rule(0, "–", "slope over depth", "> 3 decades over hidden ∂L/∂W", _decades),
)
BY_NUMBER: Final = {rule.number: rule for rule in RULES}

SETS: Final[dict[str, tuple[int, ...]]] = {
    "SageMaker 1+2": (1, 2),
    "MindInsight 35": (35,),
    "MindInsight 35+37": (35, 37),
    "TheDeepChecker 17+18": (17, 18),
    "TheDeepChecker 17+18+19": (17, 18, 19),
    "AutoTrainer 10+11+12": (10, 11, 12),
    "BTTackler 31+32+33": (31, 32, 33),
    "slope > 3 decades": (0,),
}
"""The sets of the reference measurement. One fires when any of its rules does."""


def fires(numbers: Sequence[int], look: Look) -> bool:
    """Whether any of these rules does. NaN in a comparison is no alarm, unless the rule says so."""
    with np.errstate(all="ignore"):
        return any(BY_NUMBER[number].fires(look) for number in numbers)

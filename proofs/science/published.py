"""The rules of other tools as published, beside which ours are measured. The numbers are our own count of them.

A rule sees one step, as in the reference measurement: raw ∂L/∂W of all weight tensors, the update, the activations,
and the losses so far. Where a tool warns for a tensor, a warning for any tensor counts. Rules that are not here are
named with their reasons on the page (``LEFT_OUT``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gradient_clinic.values import Array
from proofs.science.tensor_statistics import TensorStatistics


@dataclass(frozen=True, slots=True)
class Step:
    """What a rule may know at a step."""

    index: int
    tensors: TensorStatistics
    losses: Array
    norms: Array
    """Of this step and all before."""
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Rule:
    """``number`` is its row in the table of ``docs/science.md``; ``fires`` has the published thresholds."""

    number: int
    tool: str
    name: str
    formula: str
    fires: Callable[[Step], bool]

    @property
    def title(self) -> str:
        return f"{self.number} {self.tool}: {self.name}"


Flags = npt.NDArray[np.bool_]


def _any(values: Flags | np.bool_) -> bool:
    return bool(np.any(values))


def _ratio(step: Step) -> Array:
    """mean|ΔW| / mean|W| per tensor."""
    return step.tensors.update_mean / (step.tensors.weight_mean + 1e-9)


def _neighbours(step: Step) -> Array:
    """mean|g| of each tensor over that of the next one toward the output."""
    g = step.tensors.gradient_mean
    return g[:-1] / np.where(g[1:] == 0, np.nan, g[1:])


def _median_ratio(step: Step) -> float:
    """NaN where every layer above is silent."""
    ratios = _neighbours(step)
    known = ratios[~np.isnan(ratios)]
    return float(np.median(known)) if known.size else float("nan")


def _in_a_row(hits: Flags, count: int) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(hits, count) if len(hits) >= count else np.zeros((0, 1))
    return bool(windows.all(axis=-1).any())


def _not_finite(step: Step) -> bool:
    return not bool(step.tensors.gradient_finite.all())


def _ends(step: Step) -> float:
    """‖g₁‖/‖g_L‖."""
    norms = step.tensors.gradient_norm
    return float(norms[0] / norms[-1]) if norms[-1] > 0 else float("nan")


def _dead_relu(step: Step) -> bool:
    return _any(step.tensors.inactive_units > 0.5)


def _poor_init(step: Step) -> bool:
    variances = step.tensors.weight_variance
    narrow = (step.tensors.gradient_p95 - step.tensors.gradient_p5) < 0.001
    flat = step.index >= 5 and _any(np.ptp(step.losses[-5:]) == 0)
    return step.index <= 10 and (_any(variances.max() > 10 * variances.min()) or _any(narrow) or flat)


def _loss_not_decreasing(step: Step) -> bool:
    return step.index >= 10 and not bool(step.losses[-11] - step.losses[-1] >= 0.001 * step.losses[-11])


def _loss_trouble(step: Step) -> bool:
    losses = step.losses
    slow = step.index >= 5 and not bool(losses[-1] <= 0.95 * losses[-6])
    return slow or bool(losses[-1] >= 2 * np.min(losses))


def _log_update(step: Step) -> Array:
    return np.log10(step.tensors.update_mean / step.tensors.weight_mean)


def _btt_explode(step: Step) -> bool:
    mean = step.tensors.gradient_mean
    return _not_finite(step) or bool(np.median(mean) > 1e4) or _median_ratio(step) > 1e3


def _btt_vanish(step: Step) -> bool:
    mean = step.tensors.gradient_mean
    return bool(np.median(mean) < 1e-5) or _any(mean == 0) or _median_ratio(step) < 1e-4


def _learning_rate_range(step: Step) -> bool:
    ratio = step.learning_rate * step.tensors.gradient_norm / step.tensors.weight_norm
    return _any((ratio < 1e-5) | (ratio > 0.1))


def _beyond(values: Array, window: int, least: int) -> bool:
    """Whether a value so far exceeded mean + 6 sd of the ``window`` before it, of which ``least`` are needed."""
    for at in range(least, len(values)):
        before = values[max(0, at - window) : at]
        if values[at] > before.mean() + 6 * before.std() and before.std() > 0:
            return True
    return False


def _zclip(step: Step) -> bool:
    mean, variance = float(step.norms[:25].mean()), float(step.norms[:25].var())
    for value in step.norms[25:]:
        if value > mean + 2.5 * variance**0.5:
            return True
        mean = 0.97 * mean + 0.03 * float(value)
        variance = 0.97 * variance + 0.03 * (float(value) - mean) ** 2
    return False


def _decades(step: Step) -> bool:
    """A straight line through log10 mean|g| of the hidden tensors spans more than 3 decades."""
    mean = step.tensors.gradient_mean[:-1]
    if len(mean) < 2 or not (mean > 0).all() or not np.isfinite(mean).all():
        return True
    slope = np.polyfit(np.arange(len(mean)), np.log10(mean), 1)[0]
    return bool(abs(slope) * (len(mean) - 1) > 3)


RULES: Final[Sequence[Rule]] = (
    Rule(1, "SageMaker", "VanishingGradient", "mean|g| < 1e-7", lambda step: _any(step.tensors.gradient_mean < 1e-7)),
    Rule(2, "SageMaker", "ExplodingTensor", "any NaN/Inf", _not_finite),
    Rule(3, "SageMaker", "DeadRelu", "unit active < 1 %, in > 50 % of a layer", _dead_relu),
    Rule(
        4,
        "SageMaker",
        "SaturatedActivation",
        "tanh input outside ±9.4999, sigmoid [−23, 16.99999]; 1 %, 50 %",
        lambda step: _any(step.tensors.flat_units > 0.5),
    ),
    Rule(5, "SageMaker", "PoorWeightInit", "variances max/min > 10, or p95−p5 < .001, or loss flat 5", _poor_init),
    Rule(
        6,
        "SageMaker",
        "WeightUpdateRatio",
        "> 10 or < 1e-8 (ε 1e-9)",
        lambda step: _any((_ratio(step) > 10) | (_ratio(step) < 1e-8)),
    ),
    Rule(7, "SageMaker", "AllZero", "100 % of g", lambda step: _any(step.tensors.gradient_zeros == 1)),
    Rule(8, "SageMaker", "LossNotDecreasing", "< .1 % over 10 steps", _loss_not_decreasing),
    Rule(
        10,
        "AutoTrainer",
        "vanish",
        "‖g₁‖/‖g_L‖ < 1e-3 and ‖g₁‖ < 1e-4",
        lambda step: _ends(step) < 1e-3 and _any(step.tensors.gradient_norm[0] < 1e-4),
    ),
    Rule(
        11,
        "AutoTrainer",
        "explode",
        "‖g₁‖/‖g_L‖ > 70, NaN, or loss ≥ 1e3",
        lambda step: _ends(step) > 70 or _not_finite(step) or not bool(step.losses[-1] < 1e3),
    ),
    Rule(
        12,
        "AutoTrainer",
        "dying ReLU",
        "zero share of all gradients ≥ .7",
        lambda step: _any(step.tensors.gradient_zeros.mean() >= 0.7),
    ),
    Rule(16, "AutoTrainer", "large weight", "max|w| > 5", lambda step: not bool(step.tensors.weight_max.max() <= 5)),
    Rule(
        17,
        "TheDeepChecker",
        "vanish",
        "mean|g| < 1e-6, or 4 successive ratios ≤ .5",
        lambda step: _any(step.tensors.gradient_mean < 1e-6) or _in_a_row(_neighbours(step) <= 0.5, 4),
    ),
    Rule(
        18,
        "TheDeepChecker",
        "explode",
        "mean|g| > 1e6, or 4 successive ratios ≥ 2",
        lambda step: not bool((step.tensors.gradient_mean <= 1e6).all()) or _in_a_row(_neighbours(step) >= 2, 4),
    ),
    Rule(
        19,
        "TheDeepChecker",
        "update ratio",
        "log10(mean|Δw|/mean|w|) > −1 or < −4",
        lambda step: _any((_log_update(step) > -1) | (_log_update(step) < -4)),
    ),
    Rule(
        20,
        "TheDeepChecker",
        "dead layer",
        "p95|a| < 1e-5 in > 50 % of neurons",
        lambda step: _any(step.tensors.weak_units > 0.5),
    ),
    Rule(
        23,
        "TheDeepChecker",
        "weights",
        "|w| < 1e-5 in > 95 %; > 95 % negative; mean|w| > 1e8",
        lambda step: (
            _any(step.tensors.weight_tiny > 0.95)
            or _any(step.tensors.weight_negative > 0.95)
            or _any(step.tensors.weight_mean > 1e8)
        ),
    ),
    Rule(24, "TheDeepChecker", "loss", "drop < 5 % per 5 steps; ≥ 2× its minimum", _loss_trouble),
    Rule(26, "DeepDiagnosis", "vanish", "mean|ΔW| < 1e-7", lambda step: _any(step.tensors.update_mean < 1e-7)),
    Rule(27, "DeepDiagnosis", "dead", "≥ 70 % of outputs ≤ 0", lambda step: _any(step.tensors.not_positive >= 0.7)),
    Rule(
        28,
        "DeepDiagnosis",
        "saturated",
        "input outside ±5 for > 50 %",
        lambda step: _any(step.tensors.beyond_five > 0.5),
    ),
    Rule(
        29,
        "DeepDiagnosis",
        "numeric",
        "mean of g NaN, Inf or exactly 0",
        lambda step: (
            not bool(np.isfinite(step.tensors.gradient_signed_mean).all())
            or _any(step.tensors.gradient_signed_mean == 0)
        ),
    ),
    Rule(
        30,
        "DeepDiagnosis",
        "weights; lr",
        "var W < 1e-5 or > 10; lr‖g‖/‖w‖ outside [1e-5, .1]",
        lambda step: (
            _any((step.tensors.weight_variance < 1e-5) | (step.tensors.weight_variance > 10))
            or _learning_rate_range(step)
        ),
    ),
    Rule(31, "BTTackler", "explode", "NaN/Inf; median mean|g| > 1e4; median ratio > 1e3", _btt_explode),
    Rule(32, "BTTackler", "vanish", "median mean|g| < 1e-5; a layer 0; median ratio < 1e-4", _btt_vanish),
    Rule(
        33,
        "BTTackler",
        "dead ReLU",
        "median zero rate > .5 (of g, one step)",
        lambda step: _any(np.median(step.tensors.gradient_zeros) > 0.5),
    ),
    Rule(35, "MindInsight", "vanish", "mean|g| < 1e-9", lambda step: _any(step.tensors.gradient_mean < 1e-9)),
    Rule(36, "MindInsight", "explode", "NaN/Inf", _not_finite),
    Rule(
        37,
        "MindInsight",
        "weight change",
        "mean ratio > .1 or < 1e-4; unchanged",
        lambda step: _any((_ratio(step) > 0.1) | (_ratio(step) < 1e-4)) or _any(step.tensors.unchanged == 1),
    ),
    Rule(
        38,
        "MindInsight",
        "activation range",
        "< .1 % of tanh inputs within ±8.8",
        lambda step: _any(step.tensors.tanh_inside < 0.001),
    ),
    Rule(39, "OLMo-core", "spike", "loss > mean + 6σ of the last 128", lambda step: _beyond(step.losses, 128, 128)),
    Rule(
        40,
        "OLMo-core",
        "skip step",
        "loss or norm > mean + 6σ (128; after 64)",
        lambda step: _beyond(step.losses, 128, 64) or _beyond(step.norms, 128, 64),
    ),
    Rule(41, "ZClip", "spike", "z > 2.5 (EMA .97, 25 warm-up)", _zclip),
    Rule(
        43,
        "UMLAUT",
        "learning rate",
        "> .01 or < 1e-7",
        lambda step: step.learning_rate > 0.01 or step.learning_rate < 1e-7,
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
"""The sets of the reference measurement. One fires when any of step rules does."""


def fires(numbers: Sequence[int], step: Step) -> bool:
    """Whether any of these rules does. NaN in a comparison is no alarm, unless the rule says so."""
    with np.errstate(all="ignore"):
        return any(BY_NUMBER[number].fires(step) for number in numbers)

"""What may be wrong with an experiment, as far as its plan shows it before anything is trained.

The thresholds are those of the verdict's rules. Where a rule needs a number that only training has, such as the size of
inputs that were uploaded, what the plan leaves open is suspected.
"""

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gradient_clinic.gains.limits import LIMIT
from gradient_clinic.quadrature import gaussian_moments
from gradient_clinic.verdict.case import Setup
from gradient_clinic.verdict.causes import EXPLAINS, NEARER
from gradient_clinic.verdict.facts.fact import CORRELATION, FLAT_SLOPE, LEAST_RATE
from gradient_clinic.verdict.facts.of_setups import (
    FEW_CASES,
    LARGE_TARGETS,
    LARGE_WEIGHTS,
    LEAST_APART,
    LEAST_LEFT,
    MANY_BLOCKS,
    NEARLY_EQUAL_SPREAD,
    SMALL_TARGETS,
)
from gradient_clinic.verdict.shapes import CAUSES, Cause
from gradient_clinic.verdict.wording import layers_words, number
from models.analysis.suggestion.changes import changes_for
from models.analysis.theory.propagation import propagate
from models.analysis.theory.structure import norms_of
from models.analysis.verdict.answers_to_causes import rate_beyond
from models.plan import Plan
from models.specs.datasets_generated import TeacherStudentSpec
from models.specs.remedy import RemedySpec
from models.specs.uploaded import UploadedSpec

MUCH_DECAY: Final = 3.0
"""As an exponent, over all steps. On digits an exponent of 3 costs up to a third of the accuracy, and 9 all of it."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A cause that may hold, why it may, and ``changes`` of which each would mend it."""

    cause: Cause
    why: str
    changes: tuple[RemedySpec, ...]


def suspects_of(plan: Plan, setup: Setup, most: float) -> Iterator[Suspect]:
    """In the order of causes. What another of them would bring about is left out, as in a verdict. ``most``: the work
    that ``setup`` was asked with.
    """
    found = {cause: why for cause, rule in RULES.items() if (why := rule(plan, setup)) is not None}
    if (flat := _saturating(plan, setup, most)) is not None:
        found["saturating_activation"] = flat
    explained: set[Cause] = set().union(*(EXPLAINS.get(cause, ()) for cause in found))
    found = {cause: why for cause, why in found.items() if cause not in explained}
    if not NEARER & found.keys() and (deep := _depth(setup)) is not None:
        found["depth_without_skip"] = deep
    for cause in CAUSES:
        if cause in found:
            yield Suspect(cause, found[cause], changes_for(cause, plan, setup))


def rates(plan: Plan, setup: Setup, why: str) -> Iterator[Suspect]:
    """The learning rate: that it is too high, and that it is too low, each with a change of its own; where it is out of
    what is usual, that alone.
    """
    rate, side = plan.optimizer.learning_rate, rate_beyond(plan)
    changes = changes_for("learning_rate", plan, setup)
    if side is not None:
        wrong = "low" if side == "higher" else "high"
        yield Suspect(
            "learning_rate", f"{rate:g} is too {wrong} for most networks under {plan.optimizer.kind}", changes
        )
        return
    for change, wrong in zip(changes, ("high", "low"), strict=False):
        yield Suspect("learning_rate", f"{rate:g} may be too {wrong}; {why}", (change,))


def _symmetric_weights(_: Plan, setup: Setup) -> str | None:
    alike = [name for name, spread in setup.nearly_equal if spread < NEARLY_EQUAL_SPREAD]
    if not setup.equal_units and not alike:
        return None
    layers = layers_words(setup.equal_units or alike, all_of_them=True)
    return f"all units of {layers} start with {'the same' if setup.equal_units else 'nearly the same'} weights"


def _input_scale(plan: Plan, _: Setup) -> str | None:
    """Sets of the catalogue come in range; what was uploaded is kept as it was."""
    if not isinstance(plan.dataset, UploadedSpec) or plan.dataset.standardise != "none":
        return None
    return "nothing scales the inputs, and no plan shows how large they are"


def _target_scale(plan: Plan, setup: Setup) -> str | None:
    dataset = plan.dataset
    if not setup.values or dataset.standardise_targets:
        return None
    if isinstance(dataset, UploadedSpec):
        return "nothing scales the targets, and no plan shows how large they are"
    if isinstance(dataset, TeacherStudentSpec):
        # Of A·x with x of variance 1: the squares of A's singular values, shared by the outputs.
        deviation = math.hypot(*dataset.singular_values) / math.sqrt(dataset.outputs)
        if not SMALL_TARGETS <= deviation <= LARGE_TARGETS:
            return f"targets have a standard deviation of about {number(deviation)}, and 1 is usual"
    return None


def _initialisation(plan: Plan, setup: Setup) -> str | None:
    """Weights beyond what a bounded φ bears, or theory's G of them beyond the cut; a norm makes them void."""
    axis = {layer.name for layer in plan.network.hidden}
    sizes = {name: gain / usual for name, gain, usual in setup.weight_gains if name in axis}
    largest = max(sizes, key=lambda name: sizes[name], default="")
    if (size := sizes.get(largest, 0.0)) > LARGE_WEIGHTS:
        return f"weights of {largest} start {number(size, 2)} times as large as keeps signals in size"
    if setup.left_by_means < LEAST_LEFT:
        common = f"weights of {layers_words(setup.uncentred, all_of_them=True)} have a mean, which all units share"
        return f"{common}: {number(setup.left_by_means, 2)} is left of the square of what tells two cases apart"
    gain = setup.predicted_gain
    # A loop that explodes has a rule of its own below.
    if gain is None or abs(gain) <= LIMIT or norms_of(plan.network) or (plan.network.recurrent and gain > 0.0):
        return None
    return f"theory puts the total gain of these weights at {number(gain, signed=True)}"


def _saturating(plan: Plan, setup: Setup, most: float) -> str | None:
    """A bounded φ that halves δ by itself where it works: half of the usual decay is enough, as in a network that stays
    at chance. Where theory has no gain φ's own counts, unless a norm undoes it.
    """
    activation = setup.activation
    if activation is None or not activation.bounded:
        return None
    settled = propagate(plan.network, plan.experiment.batch_size, most=most).asymptotes
    lengths = {its.q_star for its in settled if its.q_star > 0.0 and math.isfinite(its.q_star)} or {1.0}
    slope = math.sqrt(min(gaussian_moments(activation, q).slope_square for q in lengths))
    gain = setup.predicted_gain
    if gain is None and not norms_of(plan.network):
        gain = (len(plan.network.hidden) - 1) * math.log(max(slope, sys.float_info.min))
    if gain is None or gain >= -LIMIT / 2.0 or slope >= FLAT_SLOPE:
        return None
    return f"{activation.function} alone leaves {number(slope, 2)} of δ in each layer where it works"


def _dropout_noise(_: Plan, setup: Setup) -> str | None:
    """It drowns what tells cases apart, or takes δ beyond the cut: χ grows by 1/(1 − p) in each layer."""
    left, gain = setup.told_apart, setup.predicted_gain
    if left is None:
        return None
    if left < LEAST_APART:
        return f"behind dropout a correlation of {number(left, 2)} tells one case from another in the last layer"
    return f"theory puts the total gain under dropout at {number(gain, signed=True)}" if (gain or 0.0) > LIMIT else None


def _weight_decay(_: Plan, setup: Setup) -> str | None:
    if setup.decay < MUCH_DECAY:
        return None
    # Beyond 700 the exponential leaves what a float holds.
    return f"decay alone would leave {number(math.exp(-min(setup.decay, 700.0)), 2)} of the weights by the last step"


def _few_cases(_: Plan, setup: Setup) -> str | None:
    counted = setup.cases_per_statistic
    if counted is None or counted >= FEW_CASES:
        return None
    return f"batch norm takes its mean and variance over {counted} numbers"


def _truncation(_: Plan, setup: Setup) -> str | None:
    return (
        None if setup.window is None else f"the gradient is cut after every {setup.window} of {setup.time_steps} steps"
    )


def _missing_norm(_: Plan, setup: Setup) -> str | None:
    return "no norm stands between the residual stream and the output" if setup.bare_stream else None


def _post_norm(_: Plan, setup: Setup) -> str | None:
    if setup.post_norm_blocks < MANY_BLOCKS or setup.warm_up:
        return None
    return f"{setup.post_norm_blocks} blocks normalise after the sum, and the rate has no warm-up"


def _rate(plan: Plan, setup: Setup) -> str | None:
    if setup.mean_rate >= LEAST_RATE or plan.optimizer.schedule is None:
        return None
    return f"the schedule leaves {number(setup.mean_rate, 2)} of the rate, as a mean over all steps"


def _batch_norm(plan: Plan, setup: Setup) -> str | None:
    gain = setup.predicted_gain
    if gain is None or gain <= LIMIT or "batch_norm" not in norms_of(plan.network):
        return None
    return f"theory puts the total gain under batch norm at {number(gain, signed=True)}"


def _exploding_over_time(plan: Plan, setup: Setup) -> str | None:
    gain = setup.predicted_gain
    if gain is None or gain <= LIMIT or not plan.network.recurrent:
        return None
    return f"theory puts the total gain over time at {number(gain, signed=True)}"


def _depth(setup: Setup) -> str | None:
    if setup.has_skips or setup.alike is None or setup.alike <= CORRELATION:
        return None
    return f"theory puts the correlation of two cases in the last layer at {number(setup.alike, 3)}"


RULES: Final[Mapping[Cause, Callable[[Plan, Setup], str | None]]] = {
    "symmetric_weights": _symmetric_weights,
    "input_scale": _input_scale,
    "target_scale": _target_scale,
    "initialisation": _initialisation,
    "dropout_noise": _dropout_noise,
    "weight_decay": _weight_decay,
    "batch_norm_of_few_cases": _few_cases,
    "truncation": _truncation,
    "missing_norm": _missing_norm,
    "post_norm_at_depth": _post_norm,
    "learning_rate": _rate,
    "batch_norm_at_depth": _batch_norm,
    "exploding_over_time": _exploding_over_time,
}

"""Which single changes would mend a cause: remedies with the values that fit this plan, the likeliest first.

Whether one of them can stand in the network, does anything there and is worth trying by theory, ``choice.py`` asks.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from gradient_clinic.verdict.case import Setup
from gradient_clinic.verdict.facts.fact import LEAST_RATE
from gradient_clinic.verdict.facts.of_setups import LEAST_LEFT
from gradient_clinic.verdict.shapes import Cause
from models.analysis.theory.structure import norms_of
from models.analysis.verdict.answers_to_causes import (
    HIGHER_RATE,
    LITTLE_DROPOUT,
    LOWER_RATE,
    critical_inits,
    over_time,
    rate_beyond,
    times_rate,
    unequal_weights,
    usual_rate,
    weaker_decay,
    weaker_dropout,
    whole_time,
)
from models.plan import Plan
from models.specs.data_remedies import StandardiseRemedy, StandardiseTargetsRemedy
from models.specs.remedy import RemedySpec
from models.specs.structural_remedies import (
    ActivationRemedy,
    BatchNormRemedy,
    DropoutRemedy,
    LayerNormRemedy,
    PreNormRemedy,
    ResidualRemedy,
    ScaledRemedy,
)
from models.specs.training_remedies import ClassWeightsRemedy, ClipNormRemedy, ScheduleRemedy


def changes_for(cause: Cause, plan: Plan, setup: Setup) -> tuple[RemedySpec, ...]:
    """Each mends the cause by itself. Empty where no remedy does."""
    of_cause = CHANGES.get(cause)
    return () if of_cause is None else tuple(of_cause(plan, setup))


def _symmetric(_: Plan, setup: Setup) -> Iterator[RemedySpec]:
    yield unequal_weights(setup.activation)


def _weights(plan: Plan, setup: Setup) -> Iterator[RemedySpec]:
    """Around 0 where they have a mean; else those of a critical network, or a norm, which makes their variance void."""
    if setup.left_by_means < LEAST_LEFT:
        yield unequal_weights(setup.activation)
        return
    if plan.network.recurrent:
        yield from over_time(plan)
        return
    yield from critical_inits(setup.activation)
    yield from _norms(plan)


def _norms(plan: Plan) -> Iterator[RemedySpec]:
    if "batch_norm" not in norms_of(plan.network):
        yield BatchNormRemedy(kind="batch_norm")
    yield LayerNormRemedy(kind="layer_norm")


def _saturating(plan: Plan, _: Setup) -> Iterator[RemedySpec]:
    yield ActivationRemedy(kind="activation", function="relu")
    yield from _norms(plan)


def _dropout(plan: Plan, _: Setup) -> Iterator[RemedySpec]:
    """As strong as it may be; hardly any where depth alone leaves too little to tell cases apart."""
    weaker = weaker_dropout(plan)
    yield DropoutRemedy(kind="dropout", p=LITTLE_DROPOUT[-1] if weaker is None else weaker[0])


def _stream(plan: Plan, _: Setup) -> Iterator[RemedySpec]:
    """A lower rate bears a stream that grows; it is all there is to try where the norms are in the branches."""
    if "batch_norm" not in norms_of(plan.network):
        yield BatchNormRemedy(kind="batch_norm")
    yield ScaledRemedy(kind="scaled")
    yield times_rate(plan, LOWER_RATE)


def _rates(plan: Plan, setup: Setup) -> Iterator[RemedySpec]:
    """Another schedule where that takes the rate away; a usual rate where it is far from one; else lower and higher."""
    if setup.mean_rate < LEAST_RATE and plan.optimizer.schedule is not None:
        yield ScheduleRemedy(kind="schedule")
    elif rate_beyond(plan) is not None:
        yield usual_rate(plan)
    else:
        yield times_rate(plan, LOWER_RATE)
        yield times_rate(plan, HIGHER_RATE)


def _decay(plan: Plan, _: Setup) -> Iterator[RemedySpec]:
    if (weaker := weaker_decay(plan)) is not None:
        yield weaker


def _time_window(plan: Plan, _: Setup) -> Iterator[RemedySpec]:
    if (whole := whole_time(plan)) is not None:
        yield whole


def _skips(_: Plan, __: Setup) -> Iterator[RemedySpec]:
    yield ResidualRemedy(kind="residual")
    yield ScaledRemedy(kind="scaled")


def _instead_of_batch_norm(plan: Plan, setup: Setup) -> Iterator[RemedySpec]:
    yield LayerNormRemedy(kind="layer_norm")
    yield from _skips(plan, setup)


def _over_time(plan: Plan, _: Setup) -> Iterator[RemedySpec]:
    if plan.network.recurrent:
        yield from over_time(plan)
    yield ClipNormRemedy(kind="clip_norm")


def _only(*remedies: RemedySpec) -> Callable[[Plan, Setup], Iterator[RemedySpec]]:
    return lambda _, __: iter(remedies)


CHANGES: Final[Mapping[Cause, Callable[[Plan, Setup], Iterator[RemedySpec]]]] = {
    "symmetric_weights": _symmetric,
    "input_scale": _only(StandardiseRemedy(kind="standardise")),
    "target_scale": _only(StandardiseTargetsRemedy(kind="standardise_targets")),
    "initialisation": _weights,
    "saturating_activation": _saturating,
    "dropout_noise": _dropout,
    "weight_decay": _decay,
    "batch_norm_of_few_cases": _only(LayerNormRemedy(kind="layer_norm")),
    "truncation": _time_window,
    "missing_norm": _stream,
    "post_norm_at_depth": _only(PreNormRemedy(kind="pre_norm")),
    "learning_rate": _rates,
    "dead_units": _only(ActivationRemedy(kind="activation", function="leaky_relu")),
    "depth_without_skip": _skips,
    "batch_norm_at_depth": _instead_of_batch_norm,
    "exploding_over_time": _over_time,
    "numeric_range": _only(StandardiseRemedy(kind="standardise")),
    "class_imbalance": _only(ClassWeightsRemedy(kind="class_weights")),
    "too_few_steps": lambda plan, _: iter((times_rate(plan, HIGHER_RATE),)),
}

"""What a cause asks for by itself, with the value that fits this run; theory of the total gain has no say in it."""

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final, Literal

from gradient_clinic.activations import Activation
from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.facts.of_layers import LOST_IN_HALF
from gradient_clinic.verdict.facts.of_losses import FIRST_LOSS
from gradient_clinic.verdict.facts.of_setups import LEFT_BY_MEANS, START_GAIN, TARGET_SCALE, WEIGHT_SCALE
from gradient_clinic.verdict.facts.of_steps import BRANCH_START
from gradient_clinic.verdict.shapes import Answer, Cause
from gradient_clinic.verdict.wording import number
from models.analysis.theory.correlations import correlations
from models.analysis.theory.meanfield import critical_weight_variance
from models.plan import Plan
from models.specs.data_remedies import StandardiseRemedy, StandardiseTargetsRemedy
from models.specs.init import GaussianInit, InitSpec, KaimingNormalInit, LecunNormalInit, XavierNormalInit
from models.specs.optimizer import LARGEST_RATE, AdamSpec
from models.specs.recurrent_remedies import ForgetBiasRemedy, IrnnRemedy, LstmRemedy, TruncatedBpttRemedy
from models.specs.remedy import RemedySpec
from models.specs.structural_remedies import (
    BatchNormRemedy,
    DropoutRemedy,
    InitRemedy,
    LayerNormRemedy,
    OrthogonalInitRemedy,
    PreNormRemedy,
    ScaledRemedy,
)
from models.specs.training_remedies import (
    ClassWeightsRemedy,
    ClipNormRemedy,
    LearningRateRemedy,
    MixedPrecisionRemedy,
    OptimizerRemedy,
    ScheduleRemedy,
    WarmUpRemedy,
)

LARGEST_VARIANCE: Final = 10.0
"""A critical σw² above (a sigmoid's is 103) drives φ into its flat ends: no initialisation to recommend."""
SMALLEST_RATE: Final = sys.float_info.min
LOWER_RATE: Final = 0.1
HIGHER_RATE: Final = 3.0
HIGHEST_RATE: Final = 10.0
USUAL_UPDATE: Final = 0.01
"""‖ΔW‖/‖W‖ of the largest step of networks that learn in some hundred steps: 0.002 to 0.08 on digits."""
USUAL_ADAM: Final = 0.001
USUAL_DECAY: Final = 0.01
SHALLOW_ADAM: Final = 0.003
"""Which repaired more networks of few layers, and fewer of many, among those of the record."""
SHALLOW: Final = 6
"""Hidden layers that need no path around them."""
USUAL_RATES: Final[Mapping[str, tuple[float, float]]] = {
    "sgd": (1e-3, 1.0),
    "rmsprop": (1e-4, 0.02),
    "adam": (1e-4, 0.02),
    "adamw": (1e-4, 0.02),
    "nadam": (1e-4, 0.02),
    "radam": (1e-4, 0.02),
    "muon": (1e-3, 0.2),
}
"""A decade and more to each side of what is usual (0.01 to 0.1 of SGD, 0.001 to 0.002 of Adam and its kin, 0.02 of
Muon). Of seven drawn networks that failed at a rate outside, beside a fault of their own, the first remedy of the
network repaired one alone, and all seven with a usual rate."""
NAMED_INITS: Final[dict[float, InitSpec]] = {
    1.0: LecunNormalInit(kind="lecun_normal"),
    2.0: KaimingNormalInit(kind="kaiming_normal"),
}
LITTLE_DROPOUT: Final = (0.2, 0.1, 0.05, 0.02, 0.01)
APART: Final = 0.2
"""Difference of correlations that a weaker dropout is to leave: ten times what is needed to learn at all."""
WARM_UP_SHARE: Final = 0.4
"""Of all steps; a post-norm transformer that is not trained for long needs much of them."""


def answers_to(plan: Plan, case: Case, causes: tuple[Cause, ...]) -> Iterator[Answer]:
    """Cause by cause. None for those that theory answers (``advice.py``)."""
    for cause in causes:
        yield from (replace(its, cause=cause) for its in ANSWERS.get(cause, _none)(plan, case))


def answer(remedy: RemedySpec, why: str, direction: Literal["lower", "higher"] | None = None) -> Answer:
    spec = remedy.model_dump(mode="json", exclude_none=True)
    return Answer(remedy=remedy.kind, why=why, spec=spec, direction=direction)


def rate_of(plan: Plan, factor: float, why: str) -> Answer:
    """A learning rate so many times that of the run."""
    direction: Literal["lower", "higher"] = "lower" if factor < 1.0 else "higher"
    return answer(times_rate(plan, factor), f"a {direction} rate: {why}", direction)


def times_rate(plan: Plan, factor: float) -> LearningRateRemedy:
    """The rate so many times that of the run, to three digits, as far as a rate may go."""
    # As people write a rate: whether it was tried already is asked by equality (``left_to_try.py``).
    value = float(f"{plan.optimizer.learning_rate * factor:.3g}")
    return LearningRateRemedy(kind="learning_rate", value=min(max(value, SMALLEST_RATE), LARGEST_RATE))


def rate_beyond(plan: Plan) -> Literal["lower", "higher"] | None:
    """Which way the rate lies that is usual for this optimiser, where this one is out of its range."""
    least, most = USUAL_RATES[plan.optimizer.kind]
    rate = plan.optimizer.learning_rate
    return "higher" if rate < least else "lower" if rate > most else None


def usual_rate(plan: Plan) -> LearningRateRemedy:
    """In the middle of what is usual for this optimiser, by its decades."""
    least, most = USUAL_RATES[plan.optimizer.kind]
    return LearningRateRemedy(kind="learning_rate", value=float(f"{math.sqrt(least * most):.1g}"))


def lower_rate(plan: Plan, why: str) -> Iterator[Answer]:
    """A tenth, unless the rate is below all that is usual."""
    if rate_beyond(plan) != "higher":
        yield rate_of(plan, LOWER_RATE, why)


def longer_steps(plan: Plan, case: Case) -> Iterator[Answer]:
    """A rate at which the largest step would be of usual size, or three times as high where that is not enough: steps
    of most optimisers are proportional to it.
    """
    largest, rate = case.measured.largest_update, plan.optimizer.learning_rate
    if largest > 0.0:
        factor = min(max(USUAL_UPDATE / largest, HIGHER_RATE), HIGHEST_RATE / rate)
        moved = f"at this one the largest step moves the weights by {number(largest, 2)} of themselves"
        yield rate_of(plan, factor, f"{moved}, and {USUAL_UPDATE:g} is usual")


def usual_optimizer(plan: Plan) -> Iterator[Answer]:
    """Adam at a usual rate: its steps have the same size whatever the gradients' is. RAdam's first ones have not: they
    are plain momentum. Of a plug-in no plan says how deep it is.
    """
    shallow = plan.network.kind != "plugin" and len(plan.network.hidden) <= SHALLOW
    optimizer, rate = plan.optimizer, SHALLOW_ADAM if shallow else USUAL_ADAM
    like_adam = optimizer.kind in {"adam", "adamw", "nadam"}
    if not (like_adam and USUAL_ADAM / 2.0 <= optimizer.learning_rate <= SHALLOW_ADAM * 2.0):
        why = f"Adam at {rate:g}: steps of a usual size, whatever the size of the gradients"
        yield answer(OptimizerRemedy(kind="optimizer", optimizer=AdamSpec(kind="adam", learning_rate=rate)), why)


def fitting_init(activation: Activation | None) -> InitSpec | None:
    """At the critical weight variance of the network's φ, where it has one that can be drawn."""
    variance = None if activation is None else critical_weight_variance(activation, 0.0)
    if variance is None or variance > LARGEST_VARIANCE:
        return None
    named = next((init for known, init in NAMED_INITS.items() if math.isclose(variance, known, rel_tol=1e-6)), None)
    return named or GaussianInit(kind="gaussian", weight_variance=variance)


def over_time(plan: Plan) -> Iterator[RemedySpec]:
    """What changes ∂L/∂state per step; a gated cell keeps its gates."""
    cells = {node.cell for node in plan.network.recurrent}
    if "lstm" in cells:
        yield ForgetBiasRemedy(kind="forget_bias", value=_forget_bias(plan))
    else:
        yield LstmRemedy(kind="lstm", forget_bias=_forget_bias(plan))
    if not cells & {"lstm", "gru"}:
        yield IrnnRemedy(kind="irnn")
        # ReLU passes half of the square, which √2 makes up for.
        yield OrthogonalInitRemedy(kind="orthogonal_init", gain=math.sqrt(2.0) if "relu" in cells else 1.0)


def _forget_bias(plan: Plan) -> float:
    """Such that σ(b)^T = 1/e over T steps; 1, as is usual, where they are few."""
    # As σ(b) ≈ 1 − e^(−b), that is b ≈ ln T (Tallec & Ollivier 2018, chrono initialisation).
    steps = max(node.steps for node in plan.network.recurrent)
    return max(1.0, round(math.log(steps), 1))


def critical_inits(activation: Activation | None) -> Iterator[RemedySpec]:
    """Weights of a critical network, random and orthogonal; none where none can be drawn."""
    init = fitting_init(activation)
    if activation is not None and init is not None:
        yield InitRemedy(kind="init", init=init)
        gain = math.sqrt(critical_weight_variance(activation, 0.0) or 1.0)
        yield OrthogonalInitRemedy(kind="orthogonal_init", gain=gain)


def unequal_weights(activation: Activation | None) -> InitRemedy:
    """Random ones around 0 that fit the activation, as far as any do."""
    return InitRemedy(kind="init", init=fitting_init(activation) or XavierNormalInit(kind="xavier_normal"))


def standardise(plan: Plan, _: Case) -> Iterator[Answer]:
    if plan.dataset.standardise == "none":
        why = "inputs of mean 0 and variance 1 put every layer in range"
        yield answer(StandardiseRemedy(kind="standardise"), why)


def _none(_: Plan, __: Case) -> Iterator[Answer]:
    yield from ()


def _symmetric(_: Plan, case: Case) -> Iterator[Answer]:
    why = "random weights let units differ, which no rate, no optimiser and no norm can do for equal ones"
    yield answer(unequal_weights(case.setup.activation), why)


def _targets(plan: Plan, case: Case) -> Iterator[Answer]:
    """A rate as many times lower as the targets are larger: the gradient of a squared error grows with them."""
    # Chance under a squared error is the variance of the targets.
    size = math.sqrt(case.measured.facts.chance_level)
    why = "targets of mean 0 and variance 1 fit usual rates"
    yield answer(StandardiseTargetsRemedy(kind="standardise_targets"), why)
    if not TARGET_SCALE.of(case) or size < 1.0:
        return
    yield rate_of(plan, 1.0 / size, "the gradient of the squared error grows with the targets")
    yield answer(ClipNormRemedy(kind="clip_norm"), "bounds a step that targets of this size make too long")


def _weights(_: Plan, case: Case) -> Iterator[Answer]:
    if LEFT_BY_MEANS.of(case):
        why = "weights around 0 leave units nothing that all of them share"
        yield answer(unequal_weights(case.setup.activation), why)
        return
    init = fitting_init(case.setup.activation)
    if WEIGHT_SCALE.of(case) and init is not None:
        yield answer(InitRemedy(kind="init", init=init), "smaller weights keep the activation out of its flat ends")
    elif FIRST_LOSS.of(case) and init is not None:
        yield answer(InitRemedy(kind="init", init=init), "smaller weights start at a loss near chance")
    elif START_GAIN.of(case) or BRANCH_START.of(case):
        yield answer(unequal_weights(case.setup.activation), "larger weights need no steps to grow first")


def _dropout(plan: Plan, _: Case) -> Iterator[Answer]:
    if (weaker := weaker_dropout(plan)) is not None:
        p, left = weaker
        why = f"less dropout: at p = {p:g} a correlation of {left:.2g} tells one case from another"
        yield answer(DropoutRemedy(kind="dropout", p=p), why, "lower")


def weaker_dropout(plan: Plan) -> tuple[float, float] | None:
    """(p, what it leaves): the largest p that leaves enough of the difference between two cases."""
    for p in LITTLE_DROPOUT:
        left = correlations(plan.network, dropout=p)
        if left is not None and left.told_apart >= APART:
            return p, left.told_apart
    return None


def _decay(plan: Plan, _: Case) -> Iterator[Answer]:
    if (weaker := weaker_decay(plan)) is not None:
        why = f"a decay of {USUAL_DECAY:g} leaves the weights what training gives them"
        yield answer(weaker, why, "lower")


def weaker_decay(plan: Plan) -> OptimizerRemedy | None:
    """The same optimiser with a usual decay, where its own is above."""
    own = plan.optimizer
    if own.kind not in {"adamw", "muon"} or own.weight_decay <= USUAL_DECAY:
        return None
    return OptimizerRemedy(kind="optimizer", optimizer=own.model_copy(update={"weight_decay": USUAL_DECAY}))


def _few_cases(_: Plan, __: Case) -> Iterator[Answer]:
    yield answer(LayerNormRemedy(kind="layer_norm"), "it normalises each case by itself, however few a batch has")


def _time_window(plan: Plan, _: Case) -> Iterator[Answer]:
    if (whole := whole_time(plan)) is not None:
        yield answer(whole, "gradients reach back to the first step", "higher")


def whole_time(plan: Plan) -> TruncatedBpttRemedy | None:
    """A window as long as the sequence, where the run's own is shorter."""
    cut = [node.steps for node in plan.network.recurrent if node.truncate is not None]
    return TruncatedBpttRemedy(kind="truncated_bptt", steps=max(cut)) if cut else None


def later_schedule(plan: Plan) -> Iterator[Answer]:
    """A cosine, which ends with the run, in the place of a schedule that leaves too little of the rate."""
    if plan.optimizer.schedule is not None:
        why = "a rate that falls to the end of the run and not before it"
        yield answer(ScheduleRemedy(kind="schedule"), why)


def _norm(plan: Plan, case: Case) -> Iterator[Answer]:
    if not case.measured.batch_norm:
        yield answer(BatchNormRemedy(kind="batch_norm"), "a norm keeps the stream in size from block to block")
    yield from lower_rate(plan, "what a step changes grows with the stream, and no norm bounds it")
    yield answer(ScaledRemedy(kind="scaled"), "branches of 1/√blocks their size keep the stream as it is")


def _post_norm(plan: Plan, _: Case) -> Iterator[Answer]:
    yield answer(PreNormRemedy(kind="pre_norm"), "norms before the branches leave the stream a path of its own")
    steps = max(1, round(WARM_UP_SHARE * plan.steps))
    yield answer(WarmUpRemedy(kind="warm_up", steps=steps), "a rate that rises spares the first, too large, steps")
    yield from lower_rate(plan, "gradients near the output are too large for this one at the start")


def _numbers(plan: Plan, case: Case) -> Iterator[Answer]:
    if LOST_IN_HALF.of(case):
        why = "bfloat16 has the range of float32, so that no δ is lost"
        yield answer(MixedPrecisionRemedy(kind="mixed_precision", dtype="bfloat16"), why)
    yield from standardise(plan, case)


def _classes(plan: Plan, _: Case) -> Iterator[Answer]:
    if plan.objective.class_weights is None:
        why = "each class counts alike in the loss; look at a metric that does so too"
        yield answer(ClassWeightsRemedy(kind="class_weights"), why)


ANSWERS: Final[Mapping[Cause, Callable[[Plan, Case], Iterator[Answer]]]] = {
    "symmetric_weights": _symmetric,
    "input_scale": standardise,
    "target_scale": _targets,
    "initialisation": _weights,
    "dropout_noise": _dropout,
    "weight_decay": _decay,
    "batch_norm_of_few_cases": _few_cases,
    "truncation": _time_window,
    "missing_norm": _norm,
    "post_norm_at_depth": _post_norm,
    "numeric_range": _numbers,
    "class_imbalance": _classes,
}

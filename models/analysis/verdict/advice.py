"""Which remedies answer a verdict. What a remedy treats is in its catalogue text; whether it would here, theory says:
each structural candidate is put into this very network and its total gain predicted, over depth or, where it is a
recurrent network that is sick over time, over its steps. Only remedies that apply to the network's kind are named.

An L2 term is never an answer, and clipping never one to vanishing: neither changes the ratios between layers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from gradient_clinic.activations import Activation
from gradient_clinic.gains.limits import LIMIT
from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.facts.of_losses import FALLING
from gradient_clinic.verdict.facts.of_setups import INPUT_SCALE, MEAN_RATE
from gradient_clinic.verdict.facts.of_steps import SHORT_STEP, SMALL_STEP
from gradient_clinic.verdict.shapes import Answer, Cause
from gradient_clinic.verdict.wording import number
from models.analysis.theory.what_if import gain_with, is_worth
from models.analysis.verdict.answers_to_causes import (
    HIGHER_RATE,
    LOWER_RATE,
    SHALLOW,
    answer,
    answers_to,
    critical_inits,
    later_schedule,
    longer_steps,
    over_time,
    rate_of,
    standardise,
    usual_optimizer,
)
from models.analysis.verdict.pairs import with_pairs
from models.analysis.verdict.record import remedies_of, told
from models.plan import Plan
from models.specs.remedy import REMEDIES, RemedySpec
from models.specs.slots import Slot
from models.specs.structural_remedies import (
    ActivationRemedy,
    BatchNormRemedy,
    LayerNormRemedy,
    PreNormRemedy,
    ResidualRemedy,
    ReZeroRemedy,
    ScaledRemedy,
    SeluRemedy,
)
from models.specs.training_remedies import ClipNormRemedy

WELL: Final = frozenset({"healthy", "inconclusive"})
AT_RUN_TIME: Final = ("schedule", "learning_rate", "optimizer", "clip_norm")
"""In this order where the rate is at fault: so often they have repaired (record.json)."""
AT_RUN_TIME_FOR: Final[frozenset[Cause]] = frozenset({"learning_rate", "exploding_over_time", "too_few_steps"})
"""Causes that these answer."""


def find_answers(plan: Plan, case: Case, causes: tuple[Cause, ...]) -> tuple[Answer, ...]:
    """The remedies worth trying: what a cause asks for by itself first, cause by cause; then those that theory puts
    inside ±3, by |G|; then what acts at run time, or before those where the rate was what broke the network; then, for
    a network at chance, what makes most networks train. Of those, the first that change one thing each go before a
    second that changes the same. Among them stand remedies that belong together (``pairs.py``). A healthy network may
    still be improved where its inputs are out of scale. Each has its record and its price; what changes nothing here is
    left out.
    """
    ordered = (told(plan, case.kind, causes, answer) for answer in _in_order(plan, case, causes))
    alone = list(_one_of_each([answer for answer in ordered if answer is not None]))
    return tuple(alone if case.kind in WELL else with_pairs(plan, case, causes, alone))


def find_answers_of_code(plan: Plan, case: Case, causes: tuple[Cause, ...]) -> tuple[Answer, ...]:
    """Of a plug-in: what acts at run time, on the optimiser and the gradients. Its layers can neither be changed nor be
    put into theory.
    """
    if case.kind in WELL:
        return ()
    ordered = (told(plan, case.kind, causes, answer) for answer in _at_run_time(plan, case, causes))
    return tuple(_one_of_each([answer for answer in ordered if answer is not None]))


def _one_of_each(answers: Sequence[Answer]) -> Iterator[Answer]:
    """In order, but what changes the same part of the network as one before it stands behind the others."""
    parts, second = set[Slot](), list[Answer]()
    for each in answers:
        part = remedies_of(each)[0].slots[0]
        if part in parts:
            second.append(each)
        else:
            parts.add(part)
            yield each
    yield from second


def _in_order(plan: Plan, case: Case, causes: tuple[Cause, ...]) -> tuple[Answer, ...]:
    if case.kind == "healthy":
        inputs = standardise(plan, case) if INPUT_SCALE.of(case) else ()
        return (*answers_to(plan, case, causes), *inputs)
    if case.kind == "inconclusive":
        return ()
    # Nothing else changes anything of equal units, and no remedy tells cases apart that are alike.
    if causes in {("symmetric_weights",), ("overlapping_classes",)}:
        return tuple(answers_to(plan, case, causes))
    found: set[str] = {case.kind, case.at_start.kind, *causes}
    applying = _applying(plan)
    candidates = (remedy for remedy in _candidates(plan, case, causes) if remedy.kind in applying)
    structural = [answer for remedy in candidates if (answer := _structural(plan, case, remedy, found))]
    structural = [replace(answer, cause=_treated(answer, causes)) for answer in structural]
    # Another activation alone has repaired none of those that were counted (record.json).
    structural.sort(key=lambda answer: (answer.remedy == "activation", abs(answer.predicted_gain or 0.0)))
    at_run_time = list(_at_run_time(plan, case, causes))
    if "learning_rate" in causes:
        at_run_time.sort(key=lambda answer: AT_RUN_TIME.index(answer.remedy))
    if "learning_rate" in causes and case.kind != "vanishing":
        # What broke it comes before what mends its traces, such as dead units.
        ordered = [*answers_to(plan, case, causes), *at_run_time, *structural]
    else:  # the steps of vanishing gradients are short
        ordered = [*answers_to(plan, case, causes), *structural, *at_run_time]
    if case.measured.trained == "no" or not (ordered or FALLING.of(case)):
        ordered = _with_usual(ordered, list(_usual(plan, case)))
    first: dict[str, Answer] = {}
    for each in ordered:
        if each.remedy in applying:
            first.setdefault(each.remedy, each)
    return tuple(first.values())


def _treated(answer: Answer, causes: tuple[Cause, ...]) -> Cause | None:
    """The first cause that its remedy treats by the catalogue."""
    treats = REMEDIES[answer.remedy].about.treats
    return next((cause for cause in causes if cause in treats), None)


def _applying(plan: Plan) -> set[str]:
    kind = plan.network.kind
    return {name for name, remedy in REMEDIES.items() if kind in remedy.about.applies_to}


def _candidates(plan: Plan, case: Case, causes: tuple[Cause, ...]) -> Iterator[RemedySpec]:
    """One remedy of each kind, with the parameter that fits this network's activation."""
    if plan.network.recurrent:
        if "truncation" not in causes:  # what is cut off, no cell and no weights bring back
            yield from over_time(plan)
        return
    if "depth_without_skip" in causes and not case.starts_beyond_over_depth:
        yield from _skips(case)  # samples have become one point, which G does not tell and nothing else changes
        return
    activation = case.setup.activation
    if not case.measured.normalized:
        yield from critical_inits(activation)
    if not case.measured.batch_norm:
        yield BatchNormRemedy(kind="batch_norm")
    if case.measured.batch_norm or not case.measured.normalized:
        yield LayerNormRemedy(kind="layer_norm")
    yield ActivationRemedy(kind="activation", function="leaky_relu" if _is_one_sided(activation) else "relu")
    if case.setup.has_skips or "depth_without_skip" in causes:
        yield from _skips(case)


def _skips(case: Case) -> Iterator[RemedySpec]:
    if not case.setup.has_skips:
        yield ResidualRemedy(kind="residual")
    yield ScaledRemedy(kind="scaled")
    yield ReZeroRemedy(kind="rezero")
    yield PreNormRemedy(kind="pre_norm")


def _is_one_sided(activation: Activation | None) -> bool:
    return activation is not None and activation.function == "relu"


def _structural(plan: Plan, case: Case, remedy: RemedySpec, found: set[str]) -> Answer | None:
    """The remedy if it treats what was found, and theory puts G inside ±3 with it or at least halves it."""
    about = remedy.about
    gain = gain_with(plan, remedy) if found & set(about.treats) else None
    if gain is None:
        return None
    # Theory beside theory where there is one: its figure before and after is off by the same.
    theory = case.setup.predicted_gain
    now = theory if theory is not None else case.at_start.total_gain.mean
    if not is_worth(gain, now if case.starts_beyond and now is not None else 0.0):
        return None
    axis = " over time" if plan.network.recurrent else ""
    change = f"theory puts the total gain{axis} of the untrained network at {number(gain, signed=True)}"
    before = "" if now is None else f" instead of {number(now, signed=True)}"
    caution = f", which is still beyond ±{LIMIT:g}" if abs(gain) > LIMIT else ""
    return Answer(
        remedy=remedy.kind,
        why=f"{about.title}: {change}{before}{caution}. Fails where: {about.fails_when}.",
        spec=remedy.model_dump(mode="json", exclude_none=True),
        predicted_gain=gain,
        basis="theory",
    )


def _at_run_time(plan: Plan, case: Case, causes: tuple[Cause, ...]) -> Iterator[Answer]:
    cause = next((cause for cause in causes if cause in AT_RUN_TIME_FOR), None)
    yield from (replace(its, cause=cause) for its in _on_steps(plan, case, causes))


def _on_steps(plan: Plan, case: Case, causes: tuple[Cause, ...]) -> Iterator[Answer]:
    no_clip = case.kind == "vanishing" or any(remedy.kind == "clip_norm" for remedy in plan.run_time)
    short, gone = SMALL_STEP.of(case) or SHORT_STEP.of(case), MEAN_RATE.of(case)
    if "learning_rate" in causes and gone is not None:
        yield from later_schedule(plan)
        return
    broke = case.measured.diverged or ("learning_rate" in causes and short is None)
    # Adam divides by the gradient's own size, so clipping bounds no step of it.
    if case.over_time == "exploding" and not no_clip:
        why = "bounds a step where gradients explode over time; the ratios between steps stay as they are"
        yield answer(ClipNormRemedy(kind="clip_norm"), why)
    elif broke and not no_clip and plan.optimizer.kind == "sgd":
        why = "bounds the size of a step; all layers shrink by one factor, so the ratios between them stay as they are"
        yield answer(ClipNormRemedy(kind="clip_norm"), why)
    if "learning_rate" in causes and short is not None:
        yield from longer_steps(plan, case)
    elif "learning_rate" in causes:
        why = "gradients are in range before the first step, and training at this rate broke them or the loss"
        yield rate_of(plan, LOWER_RATE, why)
    elif case.kind in {"stalled", "slow"} and {"no_gradient_cause_found", "too_few_steps"} & set(causes):
        why = "gradients are in range, so the rate and the number of steps are what is left to vary"
        yield rate_of(plan, HIGHER_RATE, why)
    if {"learning_rate", "too_few_steps"} & set(causes):
        yield from usual_optimizer(plan)


def _with_usual(ordered: Sequence[Answer], usual: Sequence[Answer]) -> list[Answer]:
    """Behind what speaks for itself; another activation alone comes last."""
    last = [answer for answer in ordered if answer.remedy == "activation"]
    shown = [answer for answer in ordered if answer not in last]
    return [*shown, *(replace(answer, basis="usual") for answer in usual), *last]


def _usual(plan: Plan, case: Case) -> Iterator[Answer]:
    """What makes most networks train, whatever is wrong with them: a path for signals that no layer can close, units
    that are normalised, an activation with the weights that fit it, steps of usual size.
    """
    if plan.network.recurrent:
        return
    if not case.setup.has_skips and len(plan.network.hidden) > SHALLOW:
        yield answer(
            ReZeroRemedy(kind="rezero"), "a path around every block: signals pass the depth from the first step on"
        )
    if not case.measured.normalized:
        yield answer(BatchNormRemedy(kind="batch_norm"), "h of variance 1 in every layer, whatever the weights are")
        yield answer(SeluRemedy(kind="selu"), "an activation and weights that keep signals in size together")
    yield from usual_optimizer(plan)

"""Remedies of which the plan shows that they change nothing: what they set is so already, or they cannot act."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from models.plan.variants import Plan
from models.specs.optimizer import OptimizerSpec
from models.specs.remedy import RemedySpec
from models.specs.training_remedies import EmaClipRemedy, WarmUpRemedy

IN_TRAINING = "it acts in training, and there is none"
OF_MATRICES: Final = {"learning_rate": 0.0, "momentum": 0.0, "nesterov": False, "ns_steps": 1, "weight_decay": 0.0}
"""What Muon's own part reads."""


def without_effect(plan: Plan, baseline: Plan) -> str | None:
    """Why a variant trains as the baseline does, bit for bit; None where it may not."""
    if _acting(plan) != _acting(baseline):
        return None
    return "; ".join(dict.fromkeys(_reason(plan, remedy) for remedy in plan.remedies)) or "it holds no remedy"


def _acting(plan: Plan) -> tuple[object, ...]:
    """All that a remedy can change, as far as it acts."""
    trains = plan.steps > 0
    # Tokens are never scaled, so how they would be is no difference.
    of_tokens = plan.dataset.facts.form == "tokens"
    dataset = plan.dataset.model_copy(update={"standardise": "none"}) if of_tokens else plan.dataset
    run_time = tuple(remedy for remedy in plan.run_time if not any(_idle(plan, remedy)))
    return plan.network, dataset, _stepping(plan) if trains else None, plan.objective, run_time


def _stepping(plan: Plan) -> OptimizerSpec:
    """The optimiser, as far as it acts: AdamW, which has a rate of its own, takes all that is no matrix from Muon."""
    return plan.optimizer.model_copy(update=OF_MATRICES) if _is_without_matrices(plan) else plan.optimizer


def _is_without_matrices(plan: Plan) -> bool:
    return plan.optimizer.kind == "muon" and not plan.network.has_matrices


def _idle(plan: Plan, remedy: RemedySpec) -> Iterator[str]:
    """Why a remedy that acts while training does not; nothing where it may."""
    if plan.steps == 0 and remedy.kind != "mixed_precision":
        yield IN_TRAINING
    if getattr(remedy, "strength", None) == 0.0:
        yield "its strength is 0"
    if remedy.kind in IDLE and (said := IDLE[remedy.kind](plan, remedy)) is not None:
        yield said


def _ema_clip(plan: Plan, remedy: EmaClipRemedy) -> str | None:
    if plan.steps > remedy.warm_up:
        return None
    return f"it only measures in its first {remedy.warm_up} steps, and there are {plan.steps}"


def _warm_up(_: Plan, remedy: WarmUpRemedy) -> str | None:
    """Its smallest factor is that of step 0."""
    first = remedy.start_factor + (1.0 - remedy.start_factor) / remedy.steps
    return "its factor is 1 from the first step on" if first >= 1.0 else None


IDLE: dict[str, Callable[[Plan, Any], str | None]] = {"ema_clip": _ema_clip, "warm_up": _warm_up}


def _reason(plan: Plan, remedy: RemedySpec) -> str:
    # What cannot act says so itself; all else is set already, as the plans are equal.
    if (said := next(_idle(plan, remedy), None)) is not None and remedy in plan.run_time:
        return said
    if remedy.kind == "standardise":
        return "tokens are not scaled" if plan.dataset.facts.form == "tokens" else "the data are so already"
    if remedy.kind == "standardise_targets":
        return "the targets are so already"
    if remedy.kind in {"learning_rate", "optimizer", "momentum", "schedule"}:
        return _of_the_optimizer(plan)
    if remedy.kind in {"class_weights", "label_smoothing"}:
        return "the loss is so already"
    return "the network is so already"


def _of_the_optimizer(plan: Plan) -> str:
    if plan.steps == 0:
        return IN_TRAINING
    return "Muon has no hidden matrix to take" if _is_without_matrices(plan) else "the optimiser is so already"

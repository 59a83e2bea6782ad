"""What a trial says of the causes: a variant that changes one thing and comes further shows what it changed."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from gradient_clinic.verdict.facts.of_setups import FEW_CASES
from gradient_clinic.verdict.shapes import CAUSES, Cause
from models.analysis.comparison.arms import Arm, Runs
from models.analysis.comparison.from_chance import CLOSED
from models.analysis.comparison.grade import HELPS
from models.analysis.comparison.parts import ShownCause, VersusBaseline
from models.analysis.theory.structure import cases_per_statistic, equal_units, first_activation, has_skips
from models.plan import Plan, Variant
from models.plan.watched import AnyVariant, trained_here


def causes_of(first: Arm, arms: Sequence[Arm], against: Sequence[VersusBaseline]) -> tuple[ShownCause, ...]:
    """Those of the baseline's verdict by rule, and those that single remedies show by trial, in the order of causes."""
    # The last of the causes says that none was found.
    by_rule = [] if first.verdict is None else [cause for cause in first.verdict.causes if cause != CAUSES[-1]]
    shown: dict[Cause, list[Arm]] = defaultdict(list)
    for arm, versus in zip(arms, against, strict=True):
        cause = _changed(first.variant, arm.variant)
        if cause is not None and versus.grade is not None and versus.grade.degree in HELPS:
            shown[cause].append(arm)
    return (*(ShownCause(cause=cause, shown_by="rule") for cause in by_rule), *_by_trial(first.ended, shown))


def _changed(baseline: AnyVariant, variant: AnyVariant) -> Cause | None:
    """What others have trained does not say what it changes."""
    before, after = trained_here(baseline), trained_here(variant)
    return None if before is None or after is None else changed_cause(before.plan, after)


def _by_trial(baseline: Runs, shown: Mapping[Cause, Sequence[Arm]]) -> Iterator[ShownCause]:
    for cause in CAUSES:
        if arms := shown.get(cause):
            seeds = {seed for arm in arms for seed in arm.ended if _further(arm.ended, baseline, seed)}
            variants = tuple(arm.variant.name for arm in arms)
            yield ShownCause(cause=cause, shown_by="trial", variants=variants, seeds=tuple(sorted(seeds)))


def _further(ours: Runs, theirs: Runs, seed: int) -> bool:
    return seed in theirs and any(closed(ours[seed]) > closed(theirs[seed]) for closed in CLOSED.values())


def changed_cause(baseline: Plan, variant: Variant) -> Cause | None:
    """The one cause that a variant of one remedy speaks of; None for what mends several, as norms do."""
    if len(variant.remedies) != 1:
        return None
    of_kind = SPEAKS_OF.get(variant.remedies[0].kind)
    return None if of_kind is None else of_kind(baseline, variant.plan)


def _weights(before: Plan, _: Plan) -> Cause:
    return "symmetric_weights" if equal_units(before.network) else "initialisation"


def _activation(before: Plan, _: Plan) -> Cause:
    activation = first_activation(before.network)
    return "saturating_activation" if activation is not None and activation.bounded else "dead_units"


def _skips(before: Plan, _: Plan) -> Cause:
    return "missing_norm" if has_skips(before.network) else "depth_without_skip"


def _rate(before: Plan, after: Plan) -> Cause | None:
    return "learning_rate" if after.optimizer.learning_rate != before.optimizer.learning_rate else None


def _dropout(before: Plan, after: Plan) -> Cause | None:
    weaker = sum(layer.dropout for layer in after.network.layers) < sum(
        layer.dropout for layer in before.network.layers
    )
    return "dropout_noise" if weaker else None


def _decay(before: Plan, after: Plan) -> Cause | None:
    """An optimiser that differs by its decay alone."""
    own = getattr(before.optimizer, "weight_decay", None)
    if own is None or after.optimizer.model_copy(update={"weight_decay": own}) != before.optimizer:
        return None
    return "weight_decay" if after.optimizer != before.optimizer else None


def _norm(before: Plan, _: Plan) -> Cause | None:
    counted = cases_per_statistic(before.network, before.experiment.batch_size)
    return "batch_norm_of_few_cases" if counted is not None and counted < FEW_CASES else None


def _time_window(before: Plan, after: Plan) -> Cause | None:
    was, now = (max(node.truncate or node.steps for node in plan.network.recurrent) for plan in (before, after))
    return "truncation" if now > was else None


def _always(cause: Cause) -> Callable[[Plan, Plan], Cause]:
    return lambda _, __: cause


SPEAKS_OF: Final[Mapping[str, Callable[[Plan, Plan], Cause | None]]] = {
    "init": _weights,
    "orthogonal_init": _weights,
    "activation": _activation,
    "standardise": _always("input_scale"),
    "standardise_targets": _always("target_scale"),
    "learning_rate": _rate,
    "class_weights": _always("class_imbalance"),
    "warm_up": _always("learning_rate"),
    "schedule": _always("learning_rate"),
    "pre_norm": _always("post_norm_at_depth"),
    "dropout": _dropout,
    "optimizer": _decay,
    "truncated_bptt": _time_window,
    **dict.fromkeys(("layer_norm", "rms_norm", "group_norm"), _norm),
    **dict.fromkeys(("residual", "scaled", "rezero", "skip_init", "layer_scale", "highway"), _skips),
}
"""By the remedy's kind, of the plans before and after it."""

"""Why a run is not healthy: causes that its numbers carry, each with its evidence. A healthy verdict has none, unless
its loss hides cases that are lost.
"""

import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from gradient_clinic.gains.depth_axis import GradientKind
from gradient_clinic.gains.limits import LIMIT
from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.facts.fact import Fact
from gradient_clinic.verdict.facts.of_gains import OVER_TIME_ALONE, PREDICTED
from gradient_clinic.verdict.facts.of_layers import (
    DEAD,
    GROWTH,
    INPUTS,
    LOST_IN_HALF,
    LOWEST,
    OFF_AT_START,
    SATURATED,
    SCALE,
    SLOPE,
    WEIGHTS_LEFT,
)
from gradient_clinic.verdict.facts.of_logs import RATE_LEFT
from gradient_clinic.verdict.facts.of_losses import (
    ABOVE_CHANCE,
    AS_NEIGHBOURS,
    AT_MAJORITY,
    FALLING,
    FIRST_LOSS,
    ONE_LABEL,
    RARE_LOST,
    UNBALANCED,
)
from gradient_clinic.verdict.facts.of_setups import (
    BARE_STREAM,
    END_GAIN,
    EQUAL_UNITS,
    FEW_CASES_NORMED,
    INPUT_SCALE,
    LEFT_BY_MEANS,
    MEAN_RATE,
    NEARLY_EQUAL,
    POST_NORM,
    PREDICTED_ALIKE,
    START_GAIN,
    TARGET_OFFSET,
    TARGET_SCALE,
    TOLD_APART,
    WEIGHT_SCALE,
    WINDOW,
)
from gradient_clinic.verdict.facts.of_steps import BRANCH_START, LARGEST_STEP, SHORT_STEP, SMALL_STEP
from gradient_clinic.verdict.shapes import CAUSES, Cause, Evidence


def find_causes(case: Case) -> tuple[tuple[Cause, ...], list[Evidence]]:
    """The causes in the order that clients know, with what shows them. Empty for ``inconclusive``."""
    if case.kind == "inconclusive":
        return (), []
    if not case.measured.has_layers:
        return _of_a_log(case)
    if case.kind == "healthy":
        lost = _shown(RARE_LOST, case)
        return (("class_imbalance",), lost) if lost else ((), [])
    found = {cause: shown for cause, rule in RULES_BY_CAUSE.items() if (shown := rule(case)) is not None}
    explained = {cause for name in found for cause in EXPLAINS.get(name, ())}
    found = {cause: shown for cause, shown in found.items() if cause not in explained}
    if not NEARER & set(found) and (depth := _depth_without_skip(case)) is not None:
        found["depth_without_skip"] = depth
        if depth:  # units are off because all samples are one point; a leaky activation repairs nothing there
            found.pop("dead_units", None)
    found = found or _without_gradients(case)
    causes = tuple(cause for cause in CAUSES if cause in found)
    return causes, [shown for cause in causes for shown in found[cause]]


def _of_a_log(case: Case) -> tuple[tuple[Cause, ...], list[Evidence]]:
    """No more than loss and rate show by themselves: most causes look alike in them, so mostly none is named."""
    if case.kind in {"healthy", "diverged"}:
        return (), []
    if gone := _shown(RATE_LEFT, case):
        return ("learning_rate",), gone
    falling = _shown(FALLING, case)
    return (("too_few_steps",), falling) if falling else ((), [])


def _without_gradients(case: Case) -> dict[Cause, list[Evidence]]:
    """What is left where no rule of gradients speaks: steps that are too short or too few, or the data."""
    if gone := _shown(MEAN_RATE, case):
        return {"learning_rate": gone}
    if off := _shown(SMALL_STEP, case) or _shown(LARGEST_STEP, case):
        return {"learning_rate": off}
    if left := _of_the_data(case) or _of_the_forward_pass(case):
        return left
    found: dict[Cause, list[Evidence]] = {}
    if short := _shown(SHORT_STEP, case):
        found["learning_rate"] = short
    if going := _shown(FALLING, case) or _shown(BRANCH_START, case):
        found["too_few_steps"] = going
    return found or {"no_gradient_cause_found": []}


def _of_the_data(case: Case) -> dict[Cause, list[Evidence]]:
    """What the network does is what its labels' shares, or its cases' neighbours, do without it."""
    share = case.measured.facts.majority_share
    at_majority = _shown(AT_MAJORITY, case) if share is not None and share > UNBALANCED else None
    if alone := at_majority or _shown(ONE_LABEL, case):
        return {"class_imbalance": alone}
    if case.measured.trained == "partly" and (alike := _shown(AS_NEIGHBOURS, case)):
        return {"overlapping_classes": alike}
    return {}


def _of_the_forward_pass(case: Case) -> dict[Cause, list[Evidence]]:
    """What skips hide from G: δ passes around branches that hand on little of h, or of their own slope."""
    activation = case.setup.activation
    if case.measured.normalized:
        return {}
    if (growth := GROWTH.of(case)) is not None and (growth.value or 0.0) < 1.0 and (growth.margin or 0.0) > 0.0:
        return {"initialisation": [growth]}
    if activation is not None and activation.bounded and (flat := _shown(SLOPE, case)):
        return {"saturating_activation": flat}
    return {}


def _shown(fact: Fact, case: Case) -> list[Evidence] | None:
    found = fact.of(case)
    return None if found is None else [found]


def _symmetric_weights(case: Case) -> list[Evidence] | None:
    """Equal units get equal gradients and never differ: no rate, no optimiser and no norm tells them apart. Units that
    are nearly equal part slowly, as what tells them apart is a small share of every gradient.
    """
    return _shown(EQUAL_UNITS, case) or _shown(NEARLY_EQUAL, case)


def _input_scale(case: Case) -> list[Evidence] | None:
    return _shown(INPUT_SCALE, case)


def _target_scale(case: Case) -> list[Evidence] | None:
    return _shown(TARGET_SCALE, case) or _shown(TARGET_OFFSET, case)


def _dropout_noise(case: Case) -> list[Evidence] | None:
    return _shown(TOLD_APART, case)


def _weight_decay(case: Case) -> list[Evidence] | None:
    return _shown(WEIGHTS_LEFT, case)


def _batch_norm_of_few_cases(case: Case) -> list[Evidence] | None:
    return _shown(FEW_CASES_NORMED, case)


def _truncation(case: Case) -> list[Evidence] | None:
    """Asked of a run that does not train: what the cut hides may be what the task needs."""
    return _shown(WINDOW, case)


def _missing_norm(case: Case) -> list[Evidence] | None:
    """A stream of sums grows with depth, and with it what a step changes: it breaks at a rate that a norm bears."""
    return _shown(BARE_STREAM, case) if case.ever_exploding or _learning_rate(case) is not None else None


def _post_norm_at_depth(case: Case) -> list[Evidence] | None:
    """Gradients near the output of an untrained post-norm transformer are too large for the rate that the rest likes,
    and warm-up is how it is trained (Xiong et al. 2020).
    """
    return _shown(POST_NORM, case)


def _exploding_over_time(case: Case) -> list[Evidence] | None:
    return (_shown(OVER_TIME_ALONE, case) or []) if case.over_time == "exploding" else None


def _initialisation(case: Case) -> list[Evidence] | None:
    """G starts beyond the cut and theory says so of these weights; under a norm their variance drops out. Or G is
    inside, and δ of all layers together is so small or large that nothing trains; or a bounded φ is flat because of the
    weights below it; or the weights make the outputs so large that the loss starts far above chance; or what the
    weights have in common drowns what tells cases apart; or they are so small that they have to grow first.
    """
    if common := _shown(LEFT_BY_MEANS, case):
        return common
    theory, measured = case.setup.predicted_gain, case.at_start.kind
    if case.measured.trained == "no" and (out_of_scale := _shown(SCALE, case)):
        return out_of_scale
    if large := _shown(WEIGHT_SCALE, case) or _too_sure(case):
        return large
    if case.measured.normalized:
        return None
    if theory is not None and math.isfinite(theory) and _beyond(theory, measured):
        return _shown(PREDICTED, case)
    small = [START_GAIN.of(case), END_GAIN.of(case)]
    if case.kind == "stalled":  # one that has left chance has grown its branches, and lacks no more than steps
        small.append(BRANCH_START.of(case))
    return [shown for shown in small if shown is not None] or None


def _beyond(theory: float, measured: GradientKind) -> bool:
    """Whether both say the same of G at the start."""
    return (theory < -LIMIT and measured == "vanishing") or (theory > LIMIT and measured == "exploding")


def _too_sure(case: Case) -> list[Evidence] | None:
    """Inputs, targets and streams that are out of scale bring it about too, and are told as such."""
    others = (INPUT_SCALE, INPUTS, TARGET_SCALE, TARGET_OFFSET, BARE_STREAM)
    return None if any(fact.of(case) for fact in others) else _shown(FIRST_LOSS, case)


def _saturating_activation(case: Case) -> list[Evidence] | None:
    """A bounded φ works where it is flat: so by its rms slope at the start, or by its saturated entries. In a network
    that stays at chance half of the usual decay is enough.
    """
    activation, gain = case.setup.activation, case.at_start.total_gain.mean
    if activation is None or not activation.bounded:
        return None
    decays = case.kind == "stalled" and gain is not None and gain < -LIMIT / 2.0
    if (case.at_start.kind == "vanishing" or decays) and (flat := _shown(SLOPE, case)):
        return flat
    return _most_of_a_layer(SATURATED, case)


def _learning_rate(case: Case) -> list[Evidence] | None:
    """Healthy before the first step, and training itself broke it."""
    measured = case.measured
    if not case.starts_inside or measured.trained is None or INPUTS.of(case):
        return None
    if (targets := TARGET_SCALE.of(case)) is not None and (targets.value or 0.0) < 1.0:
        return None  # the untrained network is above chance already, whatever the steps are
    if worse := _made_worse(case):
        return worse
    if measured.diverged or case.ever_exploding:
        return []
    return _shown(LARGEST_STEP, case) if measured.trained == "no" else None


def _made_worse(case: Case) -> list[Evidence] | None:
    """By steps that move the weights: an untrained network may start above chance."""
    return None if SMALL_STEP.of(case) else _shown(ABOVE_CHANCE, case)


def _dead_units(case: Case) -> list[Evidence] | None:
    return _most_of_a_layer(DEAD, case)


def _most_of_a_layer(fact: Fact, case: Case) -> list[Evidence] | None:
    if case.kind in {"exploding", "diverged"}:  # there it is what the explosion left behind
        return None
    return _shown(fact, case)


def _depth_without_skip(case: Case) -> list[Evidence] | None:
    """Asked where neither weights nor activation nor batch norm are to blame, which would be repaired with less.

    G starts beyond the cut though theory has it inside, and every verdict shows that; or all samples are one point deep
    in the network. Then another initialisation, a leaky activation or layer norm repair nothing, and skips do.
    """
    if case.setup.has_skips:
        return None
    if case.starts_beyond_over_depth:
        return []
    return None if case.at_start.time else _shown(OFF_AT_START, case) or _shown(PREDICTED_ALIKE, case)


def _batch_norm_at_depth(case: Case) -> list[Evidence] | None:
    """Batch norm multiplies δ² by χ ≥ 1 per layer whatever the weights are (Yang 2019). A start that the first steps
    have put right explains nothing of the end.
    """
    return [] if case.measured.batch_norm and case.ever_exploding else None


def _numeric_range(case: Case) -> list[Evidence] | None:
    """Numbers out of range: inputs out of scale, overflow before anything was trained, or underflow of δ in a layer
    that is not dead.
    """
    if inputs := _shown(INPUTS, case):
        return inputs
    place = case.measured.first_nonfinite
    return [] if place is not None and place.step == 0 else _shown(LOWEST, case) or _shown(LOST_IN_HALF, case)


RULES_BY_CAUSE: Final[dict[Cause, Callable[[Case], list[Evidence] | None]]] = {
    "symmetric_weights": _symmetric_weights,
    "input_scale": _input_scale,
    "target_scale": _target_scale,
    "initialisation": _initialisation,
    "saturating_activation": _saturating_activation,
    "dropout_noise": _dropout_noise,
    "weight_decay": _weight_decay,
    "batch_norm_of_few_cases": _batch_norm_of_few_cases,
    "missing_norm": _missing_norm,
    "post_norm_at_depth": _post_norm_at_depth,
    "learning_rate": _learning_rate,
    "dead_units": _dead_units,
    "batch_norm_at_depth": _batch_norm_at_depth,
    "exploding_over_time": _exploding_over_time,
    "truncation": _truncation,
    "numeric_range": _numeric_range,
}
EXPLAINS: Final[Mapping[Cause, AbstractSet[Cause]]] = {
    "symmetric_weights": set(CAUSES) - {"symmetric_weights"},
    "input_scale": {"saturating_activation", "learning_rate", "dead_units"},
    "target_scale": {"dead_units", "numeric_range"},
    "initialisation": {"learning_rate"},
    "dropout_noise": {"learning_rate", "dead_units"},
    "weight_decay": {"learning_rate", "dead_units"},
    "batch_norm_of_few_cases": {"learning_rate", "dead_units"},
}
"""What else a cause brings about, which is then not named beside it: mending that would mend nothing."""
NEARER: Final[AbstractSet[Cause]] = {
    "symmetric_weights",
    "input_scale",
    "initialisation",
    "saturating_activation",
    "dropout_noise",
    "weight_decay",
    "batch_norm_of_few_cases",
    "batch_norm_at_depth",
}
"""Causes that are repaired with less than skips: depth is asked for where none of them is found."""

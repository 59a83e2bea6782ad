"""Why a run is not healthy: causes that its numbers carry, each with its evidence. A healthy verdict has none."""

import math
from collections.abc import Callable
from typing import Final

from gradient_clinic.gains.limits import LIMIT
from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.facts import of_gains, of_layers, of_losses
from gradient_clinic.verdict.facts.fact import Fact
from gradient_clinic.verdict.shapes import CAUSES, Cause, Evidence


def find_causes(case: Case) -> tuple[tuple[Cause, ...], list[Evidence]]:
    """The causes in the order that clients know, with what shows them. Empty for ``healthy`` and ``inconclusive``."""
    if case.kind in {"healthy", "inconclusive"}:
        return (), []
    found = {cause: shown for cause, rule in RULES_BY_CAUSE.items() if (shown := rule(case)) is not None}
    explained = {"initialisation", "saturating_activation", "batch_norm_at_depth"} & set(found)
    if not explained and (depth := _depth_without_skip(case)) is not None:
        found["depth_without_skip"] = depth
        if depth:  # units are off because all samples are one point; a leaky activation repairs nothing there
            found.pop("dead_units", None)
    if not found:
        found["no_gradient_cause_found"] = []
    causes = tuple(cause for cause in CAUSES if cause in found)
    return causes, [shown for cause in causes for shown in found[cause]]


def _shown(fact: Fact, case: Case) -> list[Evidence] | None:
    found = fact.of(case)
    return None if found is None else [found]


def _initialisation(case: Case) -> list[Evidence] | None:
    """G starts beyond the cut and theory says so of these weights; under a norm their variance drops out. Or G is
    inside, and δ of all layers together is so small or large that nothing trains.
    """
    theory, measured = case.setup.predicted_gain, case.at_start.kind
    if case.measured.trained == "no" and (out_of_scale := _shown(of_layers.SCALE, case)):
        return out_of_scale
    if case.measured.normalized or theory is None or not math.isfinite(theory):
        return None
    if (theory < -LIMIT and measured == "vanishing") or (theory > LIMIT and measured == "exploding"):
        return _shown(of_gains.PREDICTED, case)
    return None


def _saturating_activation(case: Case) -> list[Evidence] | None:
    """A bounded φ works where it is flat: so by its rms slope at the start, or by its saturated entries."""
    activation = case.setup.activation
    if activation is None or not activation.bounded:
        return None
    if case.at_start.kind == "vanishing" and (flat := _shown(of_layers.SLOPE, case)):
        return flat
    return _most_of_a_layer(of_layers.SATURATED, case)


def _learning_rate(case: Case) -> list[Evidence] | None:
    """Healthy before the first step, and training itself broke it."""
    measured = case.measured
    if not case.starts_inside or measured.trained is None or of_layers.INPUTS.of(case):
        return None
    if above := _shown(of_losses.ABOVE_CHANCE, case):
        return above
    if measured.diverged or case.ever_exploding:
        return []
    return _shown(of_layers.LARGEST_STEP, case) if measured.trained == "no" else None


def _dead_units(case: Case) -> list[Evidence] | None:
    return _most_of_a_layer(of_layers.DEAD, case)


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
    return None if case.at_start.time else _shown(of_layers.OFF_AT_START, case)


def _batch_norm_at_depth(case: Case) -> list[Evidence] | None:
    """Batch norm multiplies δ² by χ ≥ 1 per layer whatever the weights are (Yang 2019). A start that the first steps
    have put right explains nothing of the end.
    """
    return [] if case.measured.batch_norm and case.ever_exploding else None


def _numeric_range(case: Case) -> list[Evidence] | None:
    """Numbers out of range: inputs out of scale, overflow before anything was trained, or underflow of δ in a layer
    that is not dead.
    """
    if inputs := _shown(of_layers.INPUTS, case):
        return inputs
    place = case.measured.first_nonfinite
    return [] if place is not None and place.step == 0 else _shown(of_layers.LOWEST, case)


RULES_BY_CAUSE: Final[dict[Cause, Callable[[Case], list[Evidence] | None]]] = {
    "initialisation": _initialisation,
    "saturating_activation": _saturating_activation,
    "learning_rate": _learning_rate,
    "dead_units": _dead_units,
    "batch_norm_at_depth": _batch_norm_at_depth,
    "numeric_range": _numeric_range,
}

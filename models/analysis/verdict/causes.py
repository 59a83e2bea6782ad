"""Why a run is not healthy: causes that its numbers carry, each with its evidence. A healthy verdict has none."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from models.analysis.gains.depth_axis import GradientFacts, GradientKind
from models.analysis.gains.limits import LIMIT
from models.analysis.verdict import evidence, further_facts
from models.analysis.verdict.collapse import collapsed
from models.analysis.verdict.headline import FRACTION_LIMIT, worst
from models.analysis.verdict.shapes import CAUSES, Cause, Evidence, Measured, RunKind
from models.plan import LayerPlan

FLAT_SLOPE: Final = 0.5
"""A bounded φ is called saturating where its rms slope at the measured rms of h is below: each layer then halves δ
at unit weight variance. A sigmoid never exceeds 0.25; tanh starts at 1 and passes ½ at an rms of h of about 1.9."""
LARGE_UPDATE: Final = 0.1
"""‖ΔW‖/‖W‖ of one step; 0.001 is usual (Karpathy)."""
LARGE_INPUT: Final = 1000.0
"""rms h of the first layer. Standardised inputs give about the weights' own scale, 1 to 10; only inputs that are out of
scale themselves give so much, and then no learning rate fits both this layer and the others."""
SMALLEST_NORMAL: Final = 1.1754943508222875e-38
"""float32 below this loses digits, and is zero on devices that flush."""


@dataclass(frozen=True)  # without slots: what several rules ask is computed once
class Case:
    """One run before the rules: its numbers, its gradients, its headline, and theory's G for its network (of the axis,
    depth or time, where it is furthest from 0). ``first_layer`` is the first with an activation, where there is one.
    """

    measured: Measured
    at_start: GradientFacts
    at_end: GradientFacts | None
    kind: RunKind
    first_layer: LayerPlan
    predicted_gain: float | None
    has_skips: bool = False
    positions: int = 1
    batch_size: int = 1

    @cached_property
    def starts_beyond(self) -> bool:
        """Beyond the cut, and not only before the first steps have put it right."""
        return self.at_start.kind in {"vanishing", "exploding"} and not self.is_transient

    @cached_property
    def is_transient(self) -> bool:
        return further_facts.is_transient(self.measured, self.at_start) and not self.ends_exploding

    @property
    def starts_beyond_over_depth(self) -> bool:
        """A recurrent network may be sick over time alone, which no skip over depth treats."""
        gain = self.at_start.total_gain.mean
        over_depth = gain is None or self.measured.depth_cut.is_beyond(gain)
        return self.starts_beyond and (not self.at_start.time or over_depth)

    @property
    def has_large_inputs(self) -> bool:
        """A norm in the first layer takes them out."""
        return bool(self.measured.forward) and math.log(LARGE_INPUT) < self.measured.forward[0] < math.inf

    @property
    def starts_inside(self) -> bool:
        """In range before the first step, its interval aside."""
        gain = self.at_start.total_gain.mean
        return self.at_start.kind == "healthy" or (not self.starts_beyond and gain is not None and abs(gain) < LIMIT)

    @property
    def over_time(self) -> GradientKind | None:
        """What the time axis of a recurrent layer shows at the start, where it is beyond the cut."""
        sick = [its for its in self.at_start.time if its.kind in {"vanishing", "exploding"}]
        worst_axis = max(sick, key=lambda its: abs(its.total_gain.mean or math.inf), default=None)
        return None if worst_axis is None else worst_axis.kind

    @property
    def ends_exploding(self) -> bool:
        return self.at_end is not None and self.at_end.kind == "exploding"

    @property
    def ever_exploding(self) -> bool:
        return self.ends_exploding or (self.at_start.kind == "exploding" and not self.is_transient)


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


def _initialisation(case: Case) -> list[Evidence] | None:
    """G starts beyond the cut and theory says so of these weights; under a norm their variance drops out. Or G is
    inside, and δ of all layers together is so small or large that nothing trains.
    """
    theory, measured = case.predicted_gain, case.at_start.kind
    out_of_scale = further_facts.global_scale(case.measured, case.at_start, case.positions)
    if out_of_scale is not None and case.measured.trained == "no":
        return [out_of_scale]
    if case.measured.normalized or theory is None or not math.isfinite(theory):
        return None
    if (theory < -LIMIT and measured == "vanishing") or (theory > LIMIT and measured == "exploding"):
        return [evidence.predicted_gain(case.measured, theory)]
    return None


def _saturating_activation(case: Case) -> list[Evidence] | None:
    """A bounded φ works where it is flat: so by its rms slope at the start, or by its saturated entries."""
    activation = case.first_layer.activation
    if activation is None or not activation.bounded:
        return None
    slopes = np.array([slope for slope in case.measured.slope_at_start if not math.isnan(slope)])
    slope = float(np.median(slopes)) if slopes.size else math.nan
    if case.at_start.kind == "vanishing" and slope < FLAT_SLOPE:
        return [evidence.slope(case.measured, slope, FLAT_SLOPE)]
    return _most_of_a_layer(case, "saturated_fraction", case.measured.saturated)


def _learning_rate(case: Case) -> list[Evidence] | None:
    """Healthy before the first step, and training itself broke it."""
    measured = case.measured
    if not case.starts_inside or measured.trained is None or case.has_large_inputs:
        return None
    if shown := evidence.loss_above_chance(measured):
        return [shown]
    if measured.diverged or case.ever_exploding:
        return []
    if measured.trained == "no" and measured.largest_update > LARGE_UPDATE:
        return [evidence.large_update(measured, LARGE_UPDATE)]
    return None


def _dead_units(case: Case) -> list[Evidence] | None:
    return _most_of_a_layer(case, "dead_fraction", case.measured.dead)


def _most_of_a_layer(case: Case, signal: str, fractions: tuple[float, ...]) -> list[Evidence] | None:
    if case.kind in {"exploding", "diverged"}:  # there it is what the explosion left behind
        return None
    shown = evidence.worst_fraction(signal, case.measured, fractions)
    return None if shown is None else [shown]


def _depth_without_skip(case: Case) -> list[Evidence] | None:
    """Asked where neither weights nor activation nor batch norm are to blame, which would be repaired with less.

    G starts beyond the cut though theory has it inside, and every verdict shows that; or all samples are one point deep
    in the network. Then another initialisation, a leaky activation or layer norm repair nothing, and skips do.
    """
    if case.has_skips:
        return None
    if case.starts_beyond_over_depth:
        return []
    together = None if case.at_start.time else collapsed(case.measured, case.batch_size)
    return None if together is None else [together]


def _batch_norm_at_depth(case: Case) -> list[Evidence] | None:
    """Batch norm multiplies δ² by χ ≥ 1 per layer whatever the weights are (Yang 2019). A start that the first steps
    have put right explains nothing of the end.
    """
    return [] if case.measured.batch_norm and case.ever_exploding else None


def _numeric_range(case: Case) -> list[Evidence] | None:
    """Numbers out of range: inputs out of scale, overflow before anything was trained, or underflow of δ in a layer
    that is not dead.
    """
    measured = case.measured
    if case.has_large_inputs:
        return [evidence.first_layer(measured, LARGE_INPUT)]
    if measured.first_nonfinite is not None and measured.first_nonfinite.step == 0:
        return []
    if worst(measured.dead)[1] > FRACTION_LIMIT:  # a dead layer's zero is exact, not lost
        return None
    for levels, steps in ((measured.start, evidence.START), (measured.end, measured.end_steps)):
        known = [level if not math.isnan(level) else math.inf for level in levels or ()]
        if known and min(known) < math.log(SMALLEST_NORMAL):
            layer = int(np.argmin(known))
            return [evidence.underflow(measured, layer, known[layer], SMALLEST_NORMAL, steps)]
    return None


RULES_BY_CAUSE: Final[dict[Cause, Callable[[Case], list[Evidence] | None]]] = {
    "initialisation": _initialisation,
    "saturating_activation": _saturating_activation,
    "learning_rate": _learning_rate,
    "dead_units": _dead_units,
    "batch_norm_at_depth": _batch_norm_at_depth,
    "numeric_range": _numeric_range,
}

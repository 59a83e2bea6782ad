"""The kind of a verdict: the first of the precedence that holds for a run."""

from typing import Final

import numpy as np

from gradient_clinic.gains.depth_axis import GradientFacts
from gradient_clinic.verdict.shapes import Measured, RunKind

FRACTION_LIMIT: Final = 0.5
"""A hidden layer with more than this share of dead units, or of saturated entries, is named."""


def headline(measured: Measured, at_start: GradientFacts, at_end: GradientFacts | None) -> RunKind:
    """The first kind that holds, in the order of docs/verdicts.md."""
    moments = [facts.kind for facts in (at_end, at_start) if facts is not None]
    if measured.diverged:
        return "exploding" if "exploding" in moments else "diverged"
    if at_end is None or measured.trained is None:
        return at_start.kind
    if measured.trained == "yes":
        return "healthy"
    for kind in moments:
        if kind in {"vanishing", "exploding"}:
            return kind
    return _without_gradient_reason(measured)


def _without_gradient_reason(measured: Measured) -> RunKind:
    if worst(measured.dead)[1] > FRACTION_LIMIT:
        return "dead"
    if worst(measured.saturated)[1] > FRACTION_LIMIT:
        return "saturated"
    return "stalled" if measured.trained == "no" else "slow"


def worst(fractions: tuple[float, ...]) -> tuple[int, float]:
    """(index, value) of the largest measured fraction; (0, 0.0) where none was."""
    if not fractions:
        return 0, 0.0
    values = np.nan_to_num(np.array(fractions), nan=0.0)
    index = int(values.argmax())
    return index, float(values[index])

"""The Verdict of a run, and of a variant over its seeds: its shape, and the precedence of the headline.

Findings are elsewhere: ``evidence.py`` and ``causes.py``, ``answers.py`` for remedies, ``sentences.py`` for words;
``summary.py`` (a run) and ``variant.py`` (its seeds) join them.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeVar, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.analysis.gradient import GradientFacts
from models.analysis.measurements import Measured, Trained
from models.analysis.statistics import Number

RULES: Final = "4"
FRACTION_LIMIT: Final = 0.5
"""A hidden layer with more than this share of dead units, or of saturated entries, is named."""
SHARE: Final = 0.8
"""A variant has the value that at least this share of its seeds have."""

RunKind = Literal[
    "vanishing", "exploding", "healthy", "inconclusive", "diverged", "dead", "saturated", "stalled", "slow"
]
Kind = Literal[RunKind, "mixed"]
Value = TypeVar("Value", bound=str)
Cause = Literal[
    "initialisation",
    "saturating_activation",
    "learning_rate",
    "dead_units",
    "depth_without_skip",
    "batch_norm_at_depth",
    "numeric_range",
    "no_gradient_cause_found",
]
CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evidence(_Answer):
    """One number against its threshold. ``margin`` is how far it lies beyond, negative where it does not reach it.

    ``seeds``: over how many runs the value is a mean.
    """

    signal: str
    layers: tuple[str, ...]
    steps: tuple[int, int] | None
    statistic: str
    value: Number
    threshold: Number
    margin: Number
    seeds: int = 1


class Answer(_Answer):
    """A remedy of the catalogue with a reason, and as a spec to paste. ``predicted_gain``: theory's G with it."""

    remedy: str
    why: str
    spec: Mapping[str, object]
    predicted_gain: Number = None


class Outcome(_Answer):
    """What a verdict says, its numbers aside."""

    kind: Kind
    trained: Trained | Literal["mixed"] | None
    causes: tuple[Cause, ...]


class Near(_Answer):
    """A number so close to a threshold that another processor's rounding may take it across (``near.py``).

    ``distance``: between them, in the statistic's own unit. ``would_be``: what the verdict says on the other side; None
    where the steps are so long that it may be any. ``seeds``: of how many runs ``value`` and ``distance`` are means.
    """

    rule: str
    layers: tuple[str, ...]
    statistic: str
    value: Number
    threshold: Number
    distance: Number
    would_be: Outcome | None
    seeds: int = 1


class Verdict(_Answer):
    """What is wrong, where, why and what answers it. Field for field the contract's Verdict."""

    kind: Kind
    at_start: GradientFacts
    at_end: GradientFacts | None
    trained: Trained | Literal["mixed"] | None
    causes: tuple[Cause, ...]
    conditions: str
    sentence: str
    evidence: tuple[Evidence, ...]
    answers: tuple[Answer, ...]
    seeds: Mapping[str, int]
    near: tuple[Near, ...] = ()
    rules: str = RULES

    @property
    def outcome(self) -> Outcome:
        return Outcome(kind=self.kind, trained=self.trained, causes=self.causes)


def headline(measured: Measured, at_start: GradientFacts, at_end: GradientFacts | None) -> RunKind:
    """The contract's precedence: the first that holds."""
    moments = [facts.kind for facts in (at_end, at_start) if facts is not None]
    if measured.diverged:
        return "exploding" if "exploding" in moments else "diverged"
    if at_end is None:
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
    values = np.nan_to_num(np.array(fractions), nan=0.0)
    index = int(values.argmax())
    return index, float(values[index])


def shared(counts: Mapping[Value, int]) -> Value | Literal["mixed"]:
    """The value of at least 80 % of the seeds, else ``mixed``."""
    value = max(counts, key=lambda key: counts[key])
    return value if counts[value] >= SHARE * sum(counts.values()) else "mixed"

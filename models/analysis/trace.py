"""One run as analysis reads it: plain arrays and facts, however they were stored."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import PlainSerializer

from models.analysis.statistics import Array
from models.plan import LayerPlan, TimePoint
from models.signals import SignalName

JUDGED: Final[tuple[SignalName, ...]] = (
    "activation_rms",
    "activation_gradient_rms",
    "dead_fraction",
    "saturated_fraction",
    "nonfinite_count",
)
"""The signals that the rules read step by step; of ``update_ratio`` they read the largest."""


def _json_number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


# Pydantic's ser_json_inf_nan does not reach model_dump(mode="json"), and a bare NaN is no JSON for Postgres.
Real = Annotated[float, PlainSerializer(_json_number, return_type=float | str, when_used="json")]
"""A float that returns from JSON as it was, NaN and ±∞ included."""


@dataclass(frozen=True, slots=True)
class RunTrace:
    """What was recorded. ``layers`` in plan order, the output last; NaN and ±∞ are data.

    ``steps`` has the R recorded step numbers, ``signals`` an (L, R) array per contract name, ``curves`` an (R,) array.
    """

    layers: tuple[LayerPlan, ...]
    steps: npt.NDArray[np.int64]
    signals: Mapping[str, Array]
    curves: Mapping[str, Array]
    time: tuple[TimePoint, ...] = ()
    state_gradient_rms: Array = field(default_factory=lambda: np.zeros((0, 0)))
    """(recorded states, R): rms ∂L/∂state of the recurrent layers."""
    largest_update: Array | None = None
    """(L,): the largest finite ‖ΔW‖/‖W‖ of all the run's records; needed where ``steps`` are only some of them."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run beside its trace. ``chance_level`` is the entropy of the training labels, or the
    training MSE of predicting their mean; ``step_seconds`` is the median over the run's steps.
    """

    steps_asked: int
    stopped_by: Literal["nonfinite_steps", "loss_above"] | None
    outcome: Literal["finished", "diverged"]
    chance_level: Real
    test_metric: Real
    test_loss: Real
    conditions: str
    step_seconds: Real
    device_seconds: Real
    peak_memory_bytes: int
    parameters: int
    overhead: Real
    validation_loss: Real | None = None
    """At the end of training; None where there is no validation part."""
    majority_share: Real | None = None
    """The accuracy, on the test part, of always saying the commonest training label; None where cases have no label
    each, or nothing was held out."""
    test_cases: int = 0

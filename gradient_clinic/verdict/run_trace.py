"""One run as analysis reads it: plain arrays and facts, however they were stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gradient_clinic.layers import Layer, TimePoint
from gradient_clinic.signals import SignalName
from gradient_clinic.values import Array

JUDGED: Final[tuple[SignalName, ...]] = (
    "activation_rms",
    "activation_gradient_rms",
    "weight_norm",
    "dead_fraction",
    "saturated_fraction",
    "nonfinite_count",
)
"""The signals that the rules read step by step; of ``update_ratio`` they read the largest."""


@dataclass(frozen=True, slots=True)
class RunTrace:
    """What was recorded. ``layers`` in plan order, the output last; NaN and ±∞ are data.

    ``steps`` has the R recorded step numbers, ``signals`` an (L, R) array per contract name, ``curves`` an (R,) array.
    """

    layers: tuple[Layer, ...]
    steps: npt.NDArray[np.int64]
    signals: Mapping[str, Array]
    curves: Mapping[str, Array]
    time: tuple[TimePoint, ...] = ()
    state_gradient_rms: Array = field(default_factory=lambda: np.zeros((0, 0)))
    """(recorded states, R): rms ∂L/∂state of the recurrent layers."""
    largest_update: Array | None = None
    """(L,): the largest finite ‖ΔW‖/‖W‖ of all the run's records; needed where ``steps`` are only some of them."""

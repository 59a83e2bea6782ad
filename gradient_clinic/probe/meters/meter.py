"""What is measured of the tensors of a recorded step, whatever computes it.

A meter is shown the h and δ of a step and gives a row per name of ``SIGNALS``, one number per layer. ``host`` reduces
CPU tensors as they come, ``device`` stacks everything where it is and copies once; both give the same numbers up to
rounding.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gradient_clinic.activations import Activation, Interval
from gradient_clinic.probe.points import Point

Array = npt.NDArray[np.float64]
Scalar = float | Tensor

NO_STATES: Array = np.zeros((2, 0))


class Meter(ABC):
    """Is shown what the layers of ``points`` compute in a step, and reduces it.

    Norms are true for every finite tensor: no square under- or overflows. A NaN or Inf makes them NaN or Inf.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = points
        self.forget()

    def forget(self) -> None:
        """Begin another step."""
        self._uses = [0] * len(self.points)
        self._waiting = set(range(len(self.points)))

    def see_h(self, index: int, h: Tensor) -> int:
        """Layer ``index`` computed ``h``. Which use of the layer this was: ``see_delta`` wants to know."""
        self._take_h(index, h)
        self._waiting.add(index)
        self._uses[index] += 1
        return self._uses[index]

    def see_delta(self, index: int, use: int, delta: Tensor) -> None:
        """∂L/∂h of a use. A layer used twice in a pass is that of its last use, in h and in δ."""
        if self._uses[index] == use:
            self._take_delta(index, delta)
            self._waiting.discard(index)

    def seen_elsewhere(self) -> None:
        """Every layer has shown h and δ, which somebody else has reduced into this meter."""
        self._uses = [1] * len(self.points)
        self._waiting.clear()

    @abstractmethod
    def see_gradient(self, index: int) -> None:
        """Backward has written ∂L/∂W of the layer: a chance to reduce it that ``settle`` does not need."""

    def missing(self) -> tuple[list[int], list[int]]:
        """The layers that have shown (no h, no δ): what is read of them there means nothing."""
        return [index for index, uses in enumerate(self._uses) if uses == 0], sorted(self._waiting)

    def complete(self) -> bool:
        return not self._waiting

    @abstractmethod
    def settle(self, others: Sequence[Tensor]) -> Scalar:
        """Reduce all that was seen, with ∂L/∂W as it is. The norm over all ∂L/∂W and ``others``."""

    @abstractmethod
    def norm(self, tensors: Sequence[Tensor]) -> Scalar:
        """‖·‖₂ over all of them together."""

    @abstractmethod
    def norms(self, tensors: Sequence[Tensor]) -> Tensor:
        """‖·‖₂ of each, float64, where they are."""

    @abstractmethod
    def read(
        self, scalars: Sequence[Scalar], states: Tensor | None = None, *, updated: bool
    ) -> tuple[Array, list[float], Array]:
        """(signals × layers, the scalars, ``states`` (2, n)), with one copy unless something is not finite.

        ``updated``: an update followed; the update ratios are NaN otherwise.
        """

    @abstractmethod
    def _take_h(self, index: int, h: Tensor) -> None: ...

    @abstractmethod
    def _take_delta(self, index: int, delta: Tensor) -> None: ...


def flat_intervals(activation: Activation | None) -> list[Interval] | None:
    """Where φ' = 0, as closed intervals in order; None where it is so nowhere."""
    if activation is None or activation.shape.active is None:
        return None
    return list(_between(activation.shape.active))


def _between(intervals: Sequence[Interval]) -> Iterator[Interval]:
    """The closed intervals between and around some open ones that are sorted."""
    edges = [-math.inf, *(edge for interval in intervals for edge in interval), math.inf]
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        if low < high or math.isfinite(low):
            yield low, high

"""What is measured of the tensors of a recorded step, whatever computes it.

A meter keeps the h and δ of a step and gives a row per name of ``MEASURED``, one number per layer. ``host`` reads CPU
tensors as they come, ``device`` stacks everything where it is and copies once; both give the same numbers up to
rounding.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from models.activations import Activation, Interval
from worker.points import Point

Array = npt.NDArray[np.float64]
Scalar = float | Tensor

MEASURED = (
    "activation_rms",
    "activation_gradient_rms",
    "weight_gradient_norm",
    "weight_gradient_max",
    "weight_norm",
    "dead_fraction",
    "saturated_fraction",
    "nonfinite_count",
    "update_norm",
)
"""The rows of a step. ``update_norm``, the last, is there where an update followed."""


NO_STATES: Array = np.zeros((2, 0))


class Meter(ABC):
    """Keeps what the layers of ``points`` show in a step, and reduces it when backward is through.

    Norms are true for every finite tensor: no square under- or overflows. A NaN or Inf makes them NaN or Inf.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = points
        self.forget()

    def forget(self) -> None:
        """Begin another step."""
        self._h: list[Tensor | None] = [None] * len(self.points)
        self._delta: list[Tensor | None] = [None] * len(self.points)
        self._versions = [0] * len(self.points)

    def see_h(self, index: int, h: Tensor) -> Tensor:
        """Layer ``index`` computed ``h``, detached; what is kept of it."""
        self._h[index] = h = h.clone() if self.points[index].changed_in_place else h
        self._delta[index] = None
        self._versions[index] = h._version  # noqa: SLF001 -- documented under this name
        return h

    def see_delta(self, index: int, h: Tensor, delta: Tensor) -> None:
        """∂L/∂h of what ``see_h`` gave. A layer used twice in a pass is that of its last use, in h and in δ."""
        if self._h[index] is h:
            self._delta[index] = delta

    def missing(self) -> tuple[list[str], list[str]]:
        """The layers that have shown (no h, no δ)."""
        kept = ([*zip(its, self.points, strict=True)] for its in (self._h, self._delta))
        h, delta = ([point.name for one, point in pairs if one is None] for pairs in kept)
        return h, delta

    def complete(self) -> bool:
        return None not in self._delta

    def settle(self, others: Sequence[Tensor]) -> Scalar:
        """Reduce all that was seen, with ∂L/∂W as it is. The norm over all ∂L/∂W and ``others``."""
        h = [self._unchanged(index, one) for index, one in enumerate(self._h) if one is not None]
        return self._reduce(h, [one for one in self._delta if one is not None], others)

    @abstractmethod
    def norm(self, tensors: Sequence[Tensor]) -> Scalar:
        """‖·‖₂ over all of them together."""

    @abstractmethod
    def read(
        self, scalars: Sequence[Scalar], states: Tensor | None = None, *, updated: bool
    ) -> tuple[Array, list[float], Array]:
        """(rows × layers, the scalars, ``states`` (2, n)), with one copy at most. ``updated``: an update followed."""

    @abstractmethod
    def _reduce(self, h: Sequence[Tensor], delta: Sequence[Tensor], others: Sequence[Tensor]) -> Scalar: ...

    def _unchanged(self, index: int, h: Tensor) -> Tensor:
        point = self.points[index]
        if h._version != self._versions[index]:  # noqa: SLF001 -- documented under this name
            message = f"h of layer {point.name} was overwritten in place: give its Point with changed_in_place=True"
            raise RuntimeError(message)
        return h if point.unit_axis == -1 else h.movedim(point.unit_axis, -1)


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

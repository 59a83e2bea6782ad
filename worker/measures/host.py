"""Reduces the tensors of a step on the CPU, one number after another; see ``base``."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.activations import Activation, Interval
from worker.measures.base import NO_STATES, Array, Meter, Scalar, flat_intervals
from worker.points import Point

View = npt.NDArray[Any]
_SPAN = 8192
"""Entries in one dot product. Above 10,000 OpenBLAS would start threads; shorter sums also round less."""
_TRUSTED = {np.dtype(one).char: float(np.finfo(one).tiny / np.finfo(one).eps) for one in (np.float32, np.float64)}
"""A mean square below this may have lost squares to underflow."""


class HostMeter(Meter):
    """Reduces CPU tensors layer by layer, so that what one reduction has fetched is in the cache for the next; through
    numpy views where torch's own operation would take longer.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        super().__init__(points)
        self._before = [torch.empty_like(point.weight, requires_grad=False) for point in points]
        self._inactive = [_inactive(point.activation) for point in points]
        self._columns: list[list[float]] = []

    @np.errstate(over="ignore", invalid="ignore")
    def _reduce(self, h: Sequence[Tensor], delta: Sequence[Tensor], others: Sequence[Tensor]) -> float:
        torch._foreach_copy_(self._before, [point.weight.detach() for point in self.points])
        self._columns = [self._column(index, *pair) for index, pair in enumerate(zip(h, delta, strict=True))]
        norms = [column[2] for column in self._columns]
        # Biases and the like are small, and one torch call for all of them costs less than views of each.
        return _norm(np.array(norms + _norms_of_small(others)))

    def _column(self, index: int, h: Tensor, delta: Tensor) -> list[float]:
        of_h, of_delta = _flat(h), _flat(delta)
        norm, delta_norm, weight_norm = _norm(of_h), _norm(of_delta), _norm(_flat(self._before[index]))
        dead, saturated = self._inactive[index](h)
        of_gradient, gradient_norm, largest = None, 0.0, 0.0
        if (gradient := self.points[index].weight.grad) is not None:
            of_gradient = _flat(gradient)
            gradient_norm = _norm(of_gradient)
            least, most = torch.aminmax(gradient)
            largest = max(most.item(), -least.item())
        bad = 0 if math.isfinite(norm + delta_norm + gradient_norm) else _nonfinite(of_h, of_delta, of_gradient)
        root = math.sqrt(of_h.size)
        return [norm / root, delta_norm / root, gradient_norm, largest, weight_norm, dead, saturated, bad]

    @np.errstate(over="ignore", invalid="ignore")
    def norm(self, tensors: Sequence[Tensor]) -> float:
        return _norm(np.array([_norm(_flat(tensor)) for tensor in tensors]))

    @np.errstate(over="ignore", invalid="ignore")
    def read(
        self, scalars: Sequence[Scalar], states: Tensor | None = None, *, updated: bool
    ) -> tuple[Array, list[float], Array]:
        rows = self._columns
        if updated:
            weights = [point.weight for point in self.points]
            changes = [_distance(_flat(one), _flat(before)) for one, before in zip(weights, self._before, strict=True)]
            rows = [[*column, change] for column, change in zip(self._columns, changes, strict=True)]
        numbers = [one.item() if isinstance(one, Tensor) else one for one in scalars]
        of_states = NO_STATES if states is None else states.numpy()
        return np.ascontiguousarray(np.array(rows).T), [float(one) for one in numbers], of_states


def _norms_of_small(tensors: Sequence[Tensor]) -> list[float]:
    if not tensors:
        return []
    norms: list[float] = torch.stack(torch._foreach_norm(list(tensors), 2, dtype=torch.float64)).tolist()  # noqa: SLF001 -- no public name
    return norms


def _flat(tensor: Tensor) -> View:
    return _view(tensor).ravel()


def _view(tensor: Tensor) -> View:
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.dtype is not torch.float32 and tensor.dtype is not torch.float64:
        tensor = tensor.float()  # numpy has no bfloat16, and sums of halves overflow
    view: View = tensor.numpy()
    return view


def _norm(flat: View) -> float:
    """One dot product, and its square root where the sum can be trusted."""
    size = flat.size
    if size <= _SPAN:
        square = float(flat.dot(flat))
    else:
        square = sum(float(part.dot(part)) for part in (flat[at : at + _SPAN] for at in range(0, size, _SPAN)))
    if _TRUSTED[flat.dtype.char] * size <= square < math.inf:
        return math.sqrt(square)
    return _exact_norm(flat)


def _exact_norm(flat: View) -> float:
    wide = np.abs(flat, dtype=np.float64)
    largest = float(wide.max(initial=0.0))
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    wide /= largest
    return largest * math.sqrt(float(wide.dot(wide)))


def _distance(flat: View, other: View) -> float:
    """‖flat − other‖, in parts that stay in the cache."""
    part = np.empty(min(_SPAN, flat.size), dtype=flat.dtype)
    square = 0.0
    for at in range(0, flat.size, _SPAN):
        some = flat[at : at + _SPAN]
        here = part[: some.size]
        np.subtract(some, other[at : at + _SPAN], out=here)
        square += float(here.dot(here))
    if _TRUSTED[flat.dtype.char] * flat.size <= square < math.inf:
        return math.sqrt(square)
    return _exact_norm(np.subtract(flat, other))


def _nonfinite(*views: View | None) -> int:
    """How many entries are NaN or ±Inf."""
    return sum(view.size - int(np.count_nonzero(np.isfinite(view))) for view in views if view is not None)


def _inactive(activation: Activation | None) -> Callable[[Tensor], tuple[float, float]]:
    """(share of dead units, share of saturated entries) of h (batch, …, units). NaN is neither."""
    unsaturated = None if activation is None else activation.shape.unsaturated
    flats = flat_intervals(activation)

    def read(h: Tensor) -> tuple[float, float]:
        dead = 0.0 if flats is None else _dead(h.reshape(-1, h.shape[-1]), flats)
        if unsaturated is None:
            return dead, 0.0
        view, (low, high) = _view(h), unsaturated
        return dead, int(np.count_nonzero(view <= low) + np.count_nonzero(view >= high)) / view.size

    return read


def _dead(units: Tensor, flats: Sequence[Interval]) -> float:
    """A unit is dead where φ'(h) = 0 for every sample of the batch: each entry lies in one of ``flats``."""
    if len(flats) == 1:
        # All entries lie in one interval where their extremes do; NaN is an extreme, and never inside.
        low, high = flats[0]
        dead = _view(units.amax(0)) <= high
        if low > -math.inf:
            dead &= _view(units.amin(0)) >= low
    else:
        view = _view(units)
        dead = np.logical_or.reduce([(view >= low) & (view <= high) for low, high in flats]).all(axis=0)
    return int(np.count_nonzero(dead)) / len(dead)

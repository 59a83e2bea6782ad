"""What is measured of the tensors of a recorded step, and how, on the CPU and on a device.

A meter keeps the h and δ of a step and gives a row per name of ``MEASURED``, one number per layer. ``HostMeter`` reads
CPU tensors through numpy, ``DeviceMeter`` stacks everything where it is and copies once; both give the same numbers
up to rounding.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.activations import Activation, Interval
from worker.points import Point

Array = npt.NDArray[np.float64]
View = npt.NDArray[Any]
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
    def read(self, scalars: Sequence[Scalar], *, updated: bool) -> tuple[Array, list[float]]:
        """(rows × layers, the scalars), with one copy at most. ``updated``: an update followed."""

    @abstractmethod
    def _reduce(self, h: Sequence[Tensor], delta: Sequence[Tensor], others: Sequence[Tensor]) -> Scalar: ...

    def _unchanged(self, index: int, h: Tensor) -> Tensor:
        point = self.points[index]
        if h._version != self._versions[index]:  # noqa: SLF001 -- documented under this name
            message = f"h of layer {point.name} was overwritten in place: give its Point with changed_in_place=True"
            raise RuntimeError(message)
        return h if point.unit_axis == -1 else h.movedim(point.unit_axis, -1)


# --- the CPU ----------------------------------------------------------------------------------------------------

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
        return _norm(np.array(norms + (_norms(others).tolist() if others else [])))

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
    def read(self, scalars: Sequence[Scalar], *, updated: bool) -> tuple[Array, list[float]]:
        rows = self._columns
        if updated:
            weights = [point.weight for point in self.points]
            changes = [_distance(_flat(one), _flat(before)) for one, before in zip(weights, self._before, strict=True)]
            rows = [[*column, change] for column, change in zip(self._columns, changes, strict=True)]
        numbers = [one.item() if isinstance(one, Tensor) else one for one in scalars]
        return np.ascontiguousarray(np.array(rows).T), [float(one) for one in numbers]


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
    active = None if activation is None else activation.shape.active
    unsaturated = None if activation is None else activation.shape.unsaturated
    flats = None if active is None else list(_complement(active))

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


# --- a device ---------------------------------------------------------------------------------------------------


class DeviceMeter(Meter):
    """Rows of (layers,) float64 on the device, all layers together. Nothing here waits for it but ``read``."""

    def __init__(self, points: Sequence[Point]) -> None:
        super().__init__(points)
        self._before = [torch.empty_like(point.weight, requires_grad=False) for point in points]
        self._rows: list[Tensor] = []

    def _reduce(self, h: Sequence[Tensor], delta: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        weights = [point.weight.detach() for point in self.points]
        gradients = [
            torch.zeros_like(its) if its.grad is None else its.grad for its in (point.weight for point in self.points)
        ]
        activations = [(one, point.activation) for one, point in zip(h, self.points, strict=True)]
        roots = torch.tensor([math.sqrt(one.numel()) for one in h], dtype=torch.float64)
        roots = roots.to(h[0].device, non_blocking=True)
        # To ask the norms would cost a synchronisation, so every entry is looked at.
        counts = [torch.stack([(~one.isfinite()).sum() for one in its]) for its in (h, delta, gradients)]
        self._rows = [
            _norms(h) / roots,
            _norms(delta) / roots,
            _norms(gradients),
            _largest(gradients),
            _norms(weights),
            torch.stack([_dead_on_device(*pair) for pair in activations]),
            torch.stack([_saturated_on_device(*pair) for pair in activations]),
            torch.stack(counts).sum(0).double(),
        ]
        torch._foreach_copy_(self._before, weights)
        return _norms([torch.cat([self._rows[2], _norms(others)]) if others else self._rows[2]])[0]

    def norm(self, tensors: Sequence[Tensor]) -> Tensor:
        return _norms([_norms(tensors)])[0]

    def read(self, scalars: Sequence[Scalar], *, updated: bool) -> tuple[Array, list[float]]:
        rows = [*self._rows]
        if updated:
            weights = [point.weight.detach() for point in self.points]
            rows.append(_norms(torch._foreach_sub(weights, self._before)))  # noqa: SLF001 -- no public name
        on_device = [one.detach().reshape(1).double() for one in scalars if isinstance(one, Tensor)]
        host: Array = torch.cat([*rows, *on_device]).to("cpu", copy=True).numpy()
        size = len(rows) * len(self.points)
        copied = iter(host[size:].tolist())
        numbers = [next(copied) if isinstance(one, Tensor) else float(one) for one in scalars]
        return host[:size].reshape(len(rows), -1), numbers


def _norms(tensors: Sequence[Tensor]) -> Tensor:
    """‖t‖₂ of each, (tensors,)."""
    if tensors[0].dtype != torch.float64:
        return torch.stack(torch._foreach_norm(list(tensors), 2, dtype=torch.float64))  # noqa: SLF001 -- no public name
    # Squares of float64 entries have no wider type to go to.
    largest = _largest(tensors)
    scale = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    scaled = torch._foreach_div(list(tensors), list(scale.unbind()))  # noqa: SLF001 -- no public name
    return torch.stack(torch._foreach_norm(scaled, 2)) * scale  # noqa: SLF001 -- no public name


def _largest(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([tensor.abs().amax() for tensor in tensors]).double()


def _dead_on_device(h: Tensor, activation: Activation | None) -> Tensor:
    if activation is None or activation.shape.active is None:
        return torch.zeros((), dtype=torch.float64, device=h.device)
    flat = torch.stack([(h >= low) & (h <= high) for low, high in _complement(activation.shape.active)]).any(0)
    return flat.reshape(-1, h.shape[-1]).all(0).double().mean()


def _saturated_on_device(h: Tensor, activation: Activation | None) -> Tensor:
    if activation is None or activation.shape.unsaturated is None:
        return torch.zeros((), dtype=torch.float64, device=h.device)
    low, high = activation.shape.unsaturated
    return ((h <= low) | (h >= high)).double().mean()


def _complement(intervals: Sequence[Interval]) -> Iterator[Interval]:
    """The closed intervals between and around some open ones that are sorted."""
    edges = [-math.inf, *(edge for interval in intervals for edge in interval), math.inf]
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        if low < high or math.isfinite(low):
            yield low, high


def meter_for(points: Sequence[Point]) -> Meter:
    return (HostMeter if points[0].weight.device.type == "cpu" else DeviceMeter)(points)

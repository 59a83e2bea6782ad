"""The reductions of a recorded step, and how they are computed on the CPU and on a device.

``Reducer.measure`` is the one list of what is measured. ``HostReducer`` reads CPU tensors as numpy views: a torch
operation costs microseconds before it starts, and a small layer has no more. ``DeviceReducer`` stacks everything
where it is and copies once. Both give the same numbers up to rounding.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.activations import Activation, Interval

Array = npt.NDArray[np.float64]
View = npt.NDArray[Any]
Held = TypeVar("Held")
"""A tensor as the reducer reads it."""
Row = TypeVar("Row")
"""A number per layer."""
Scalar = float | Tensor

MEASURED = (
    "activation_norm",
    "activation_gradient_norm",
    "weight_gradient_norm",
    "weight_gradient_max",
    "weight_norm",
    "dead_fraction",
    "saturated_fraction",
    "nonfinite_count",
)


class Reducer(ABC, Generic[Held, Row]):
    """Reductions of lists of tensors, one tensor per layer, to rows."""

    def measure(
        self,
        h: Sequence[Held],
        delta: Sequence[Held],
        gradients: Sequence[Held],
        weights: Sequence[Held],
        activations: Sequence[Activation | None],
    ) -> list[Row]:
        """A row per name of MEASURED."""
        norms = [self.norms(its) for its in (h, delta, gradients)]
        return [
            *norms,
            self.largest(gradients),
            self.norms(weights),
            *self.inactive(h, activations),
            self.nonfinite((h, delta, gradients), norms),
        ]

    @abstractmethod
    def hold(self, tensors: Sequence[Tensor]) -> list[Held]:
        """The tensors as this reducer reads them, without a copy where there can be none."""

    @abstractmethod
    def norms(self, tensors: Sequence[Held]) -> Row:
        """‖t‖₂, true for every finite t: no square under- or overflows. NaN or Inf where t holds one."""

    @abstractmethod
    def largest(self, tensors: Sequence[Held]) -> Row:
        """max|t|, NaN where t holds one."""

    @abstractmethod
    def inactive(self, h: Sequence[Held], activations: Sequence[Activation | None]) -> tuple[Row, Row]:
        """(share of dead units, share of saturated entries) of h (batch, …, units). NaN is neither."""

    @abstractmethod
    def nonfinite(self, operands: Sequence[Sequence[Held]], norms: Sequence[Row]) -> Row:
        """How many entries of each layer's operands are NaN or ±Inf, together; ``norms`` as of ``norms``."""

    @abstractmethod
    def total(self, norms: Row, others: Sequence[Held]) -> Scalar:
        """‖·‖₂ over the tensors that have these norms and the others together."""

    @abstractmethod
    def keep(self, tensors: Sequence[Held], kept: list[Held] | None) -> list[Held]:
        """Copies, made in ``kept`` where it is given."""

    @abstractmethod
    def changes(self, tensors: Sequence[Held], kept: list[Held]) -> Row:
        """‖t − kept‖₂. ``kept`` may be overwritten."""

    @abstractmethod
    def to_host(self, rows: Sequence[Row], scalars: Sequence[Scalar]) -> tuple[Array, list[float]]:
        """(rows × layers, the scalars), with one copy at most."""


# --- the CPU ----------------------------------------------------------------------------------------------------

_SPAN = 8192
"""Entries in one dot product. Above 10,000 OpenBLAS would start threads; shorter sums also round less."""
_TRUSTED = {np.dtype(one).char: float(np.finfo(one).tiny / np.finfo(one).eps) for one in (np.float32, np.float64)}
"""A mean square below this may have lost squares to underflow."""


class HostReducer(Reducer[View, list[float]]):
    """Views of CPU tensors; every row is a list of numbers at once."""

    def hold(self, tensors: Sequence[Tensor]) -> list[View]:
        return [_view(tensor) for tensor in tensors]

    @np.errstate(over="ignore", invalid="ignore")
    def norms(self, tensors: Sequence[View]) -> list[float]:
        return [_norm(tensor.ravel()) for tensor in tensors]

    def largest(self, tensors: Sequence[View]) -> list[float]:
        flat = [tensor.ravel() for tensor in tensors]
        return [max(float(np.maximum.reduce(its)), -float(np.minimum.reduce(its))) for its in flat]

    def inactive(self, h: Sequence[View], activations: Sequence[Activation | None]) -> tuple[list[float], list[float]]:
        pairs = list(zip(h, activations, strict=True))
        return [_dead(*pair) for pair in pairs], [_saturated(*pair) for pair in pairs]

    def nonfinite(self, operands: Sequence[Sequence[View]], norms: Sequence[list[float]]) -> list[float]:
        counts = [0.0] * len(norms[0])
        for tensors, row in zip(operands, norms, strict=True):
            if math.isfinite(sum(row)):
                continue
            for index, (tensor, norm) in enumerate(zip(tensors, row, strict=True)):
                if not math.isfinite(norm):
                    counts[index] += tensor.size - np.count_nonzero(np.isfinite(tensor))
        return counts

    @np.errstate(over="ignore", invalid="ignore")
    def total(self, norms: list[float], others: Sequence[View]) -> float:
        return _norm(np.array([*norms, *self.norms(others)]))

    def keep(self, tensors: Sequence[View], kept: list[View] | None) -> list[View]:
        if kept is None:
            return [tensor.copy() for tensor in tensors]
        for copy, tensor in zip(kept, tensors, strict=True):
            np.copyto(copy, tensor)
        return kept

    @np.errstate(over="ignore", invalid="ignore")
    def changes(self, tensors: Sequence[View], kept: list[View]) -> list[float]:
        for copy, tensor in zip(kept, tensors, strict=True):
            np.subtract(tensor, copy, out=copy)
        return self.norms(kept)

    def to_host(self, rows: Sequence[list[float]], scalars: Sequence[Scalar]) -> tuple[Array, list[float]]:
        numbers = [one.item() if isinstance(one, Tensor) else one for one in scalars]
        return np.array(rows, dtype=np.float64), [float(one) for one in numbers]


def _view(tensor: Tensor) -> View:
    tensor = tensor.detach()
    if tensor.dtype not in {torch.float32, torch.float64}:
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


def _dead(h: View, activation: Activation | None) -> float:
    """A unit is dead where φ'(h) = 0 for every sample of the batch."""
    if activation is None or activation.shape.active is None:
        return 0.0
    units = h.reshape(-1, h.shape[-1])
    flats = list(_complement(activation.shape.active))
    if len(flats) == 1:
        # All entries lie in one interval where their extremes do; NaN is an extreme, and never inside.
        (low, high), dead = flats[0], np.ones(1, dtype=np.bool_)
        if high < math.inf:
            dead = np.maximum.reduce(units, axis=0) <= high
        if low > -math.inf and dead.any():
            dead = dead & (np.minimum.reduce(units, axis=0) >= low)
    else:
        dead = np.logical_or.reduce([(units >= low) & (units <= high) for low, high in flats]).all(axis=0)
    return np.count_nonzero(dead) / dead.size


def _saturated(h: View, activation: Activation | None) -> float:
    if activation is None or activation.shape.unsaturated is None:
        return 0.0
    low, high = activation.shape.unsaturated
    return (np.count_nonzero(h <= low) + np.count_nonzero(h >= high)) / h.size


# --- a device ---------------------------------------------------------------------------------------------------


class DeviceReducer(Reducer[Tensor, Tensor]):
    """Rows of (layers,) float64 on the device. Nothing here waits for it but ``to_host``."""

    def hold(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [tensor.detach() for tensor in tensors]

    def norms(self, tensors: Sequence[Tensor]) -> Tensor:
        norms = torch.stack(torch._foreach_norm(list(tensors), 2, dtype=torch.float64))  # noqa: SLF001 -- no public name
        if tensors[0].dtype != torch.float64:
            return norms
        # Squares of float64 entries have no wider type to go to.
        largest = self.largest(tensors)
        scale = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
        scaled = torch._foreach_div(list(tensors), list(scale.unbind()))  # noqa: SLF001 -- as above
        return torch.stack(torch._foreach_norm(scaled, 2)) * scale  # noqa: SLF001 -- as above

    def largest(self, tensors: Sequence[Tensor]) -> Tensor:
        return torch.stack([tensor.abs().amax() for tensor in tensors]).double()

    def inactive(self, h: Sequence[Tensor], activations: Sequence[Activation | None]) -> tuple[Tensor, Tensor]:
        pairs = list(zip(h, activations, strict=True))
        return torch.stack([_dead_on_device(*pair) for pair in pairs]), torch.stack(
            [_saturated_on_device(*pair) for pair in pairs]
        )

    def nonfinite(self, operands: Sequence[Sequence[Tensor]], norms: Sequence[Tensor]) -> Tensor:
        # To ask the norms would cost a synchronisation, so every entry is looked at.
        counts = [torch.stack([(~tensor.isfinite()).sum() for tensor in tensors]) for tensors in operands]
        return torch.stack(counts).sum(0).double()

    def total(self, norms: Tensor, others: Sequence[Tensor]) -> Tensor:
        every = torch.cat([norms, self.norms(others)]) if others else norms
        return self.norms([every])[0]

    def keep(self, tensors: Sequence[Tensor], kept: list[Tensor] | None) -> list[Tensor]:
        if kept is None:
            return [tensor.clone() for tensor in tensors]
        torch._foreach_copy_(kept, list(tensors))
        return kept

    def changes(self, tensors: Sequence[Tensor], kept: list[Tensor]) -> Tensor:
        return self.norms(torch._foreach_sub(list(tensors), kept))  # noqa: SLF001 -- as above

    def to_host(self, rows: Sequence[Tensor], scalars: Sequence[Scalar]) -> tuple[Array, list[float]]:
        on_device = [one for one in scalars if isinstance(one, Tensor)]
        flat = torch.cat([*rows, *(one.detach().reshape(1).to(rows[0].dtype) for one in on_device)])
        host: Array = flat.to("cpu", copy=True).numpy()
        copied = iter(host[len(rows) * len(rows[0]) :].tolist())
        matrix = host[: len(rows) * len(rows[0])].reshape(len(rows), -1)
        return matrix, [next(copied) if isinstance(one, Tensor) else float(one) for one in scalars]


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


def reducer_for(device: torch.device) -> HostReducer | DeviceReducer:
    return HostReducer() if device.type == "cpu" else DeviceReducer()

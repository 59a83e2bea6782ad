"""Reduces CPU tensors at once, while they are in the cache, so that none has to be kept; see ``meter``."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from gradient_clinic.activations import Activation
from gradient_clinic.probe.meters import kernels
from gradient_clinic.probe.meters.kernels import Integers, Marks, Reals
from gradient_clinic.probe.meters.meter import NO_STATES, Array, Meter, Scalar, flat_intervals
from gradient_clinic.probe.points import Point
from gradient_clinic.signals import SIGNALS

_ZEROS: dict[torch.dtype, Reals] = {
    torch.float32: np.zeros(1, dtype=np.float32),
    torch.float64: np.zeros(1, dtype=np.float64),
}
"""Types that are read as they are. Others are read as float32: numpy has no bfloat16, and sums of halves overflow."""

_SIGNALS = np.array([kernels.COLUMNS[name] for name in SIGNALS])


class HostMeter(Meter):
    """A row of ``kernels`` per layer, filled as the step goes on."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._seen = np.zeros(len(points), dtype=np.int32)
        self._table = np.zeros((len(points), len(kernels.COLUMNS)))
        super().__init__(points)
        self._rows = list(self._table)
        self._limits: list[dict[torch.dtype, Reals]] = [
            {torch.float32: limits.astype(np.float32), torch.float64: limits}
            for limits in (_limits(point.activation) for point in points)
        ]
        self._weights = [point.weight for point in points]
        self._before = _Before([], torch.float32)

    def forget(self) -> None:
        super().forget()
        self._seen[:] = 0
        self._table[:] = 0.0  # of what takes no part in the next step nothing is left
        self._fitted = False

    def see_gradient(self, index: int) -> None:
        self._fit()
        weight, gradient, before = self._weights[index], self._weights[index].grad, self._before
        if gradient is not None:
            weight, gradient = _readable(weight, before.kind), _readable(gradient, before.kind)
            addresses = weight.data_ptr(), gradient.data_ptr()
            # Both are in the cache just now; at the end of backward they would be read from memory.
            kernels.see_weight(*addresses, before.parts[index], before.sign_off, self._rows[index])
            self._seen[index] = 1

    def settle(self, others: Sequence[Tensor]) -> float:
        self._fit()
        before = self._before
        # Held by name until the kernel returns: an address alone keeps no tensor alive.
        weights = [_readable(weight, before.kind) for weight in self._weights]
        gradients = [None if weight.grad is None else _readable(weight.grad, before.kind) for weight in self._weights]
        of_gradients = np.array([0 if gradient is None else gradient.data_ptr() for gradient in gradients])
        norm = kernels.settle(
            _addresses(weights),
            of_gradients,
            before.ends,
            before.values,
            before.sign_off,
            self._seen,
            self._table,
            _norms(others),
        )
        return float(norm)

    def norm(self, tensors: Sequence[Tensor]) -> float:
        return float(kernels.norm_of(_norms(tensors)))

    def norms(self, tensors: Sequence[Tensor]) -> Tensor:
        return torch.from_numpy(_norms(tensors))

    def read(
        self, scalars: Sequence[Scalar], states: Tensor | None = None, *, updated: bool
    ) -> tuple[Array, list[float], Array]:
        if updated:
            weights = [_readable(weight, self._before.kind) for weight in self._weights]
            kernels.see_changes(_addresses(weights), self._before.ends, self._before.values, self._table)
        else:
            self._table[:, kernels.UPDATE] = math.nan
        rows = kernels.columns_of(self._table, _SIGNALS)
        return rows, [float(scalar) for scalar in scalars], NO_STATES if states is None else states.numpy()

    def share(self, table: Array, seen: Marks, values: Reals) -> None:
        """Keep all numbers in these arrays from now on: they are rows of what many meters have together."""
        self._fit()
        self._table, self._seen, self._rows = table, seen, list(table)
        self._before.keep_in(values)

    @property
    def weight_sizes(self) -> list[int]:
        return [weight.numel() for weight in self._weights]

    def _fit(self) -> None:
        """Room for the weights as they are in this step: a user may have given the model another type."""
        if self._fitted:
            return
        self._fitted = True
        sizes = [weight.numel() for weight in self._weights]
        # One type for all: float32 fits in float64, and a table of addresses has one type of entries.
        wide = any(weight.dtype is torch.float64 for weight in self._weights)
        kind = torch.float64 if wide else torch.float32
        if (self._before.sizes, self._before.kind) != (sizes, kind):
            self._before = _Before(sizes, kind)

    def _take_h(self, index: int, h: Tensor) -> None:
        h = _readable(h)
        sizes = h.shape
        if self.points[index].unit_axis == -1:
            # Steps count as cases; a convolution's unit is a channel with all its pixels.
            shape = (h.numel() // sizes[-1], sizes[-1], 1)
        else:
            shape = (sizes[0], sizes[1], math.prod(sizes[2:]))
        kernels.see_h(h.data_ptr(), shape, self._limits[index][h.dtype], self._rows[index])

    def _take_delta(self, index: int, delta: Tensor) -> None:
        delta = _readable(delta)
        kernels.see_delta(delta.data_ptr(), delta.numel(), _ZEROS[delta.dtype], self._rows[index])


def warm_up() -> None:
    """Compile the kernels, or load them, before a step has to wait for it."""
    weight = torch.ones(1, 1)
    weight.grad = weight.clone()
    meter = HostMeter([Point("", weight, nn.Identity(), None)])
    meter.see_delta(0, meter.see_h(0, weight), weight)
    meter.see_gradient(0)
    meter.settle([weight])
    meter.read([], updated=True)
    together = HostMeters([meter])
    together.see_h(0, weight[None])
    together.see_delta(0, weight[None])
    together.see_gradient(0)


class HostMeters:
    """The meters of networks alike, which show one tensor (networks, cases, units) for all: one call reduces it."""

    def __init__(self, meters: Sequence[HostMeter]) -> None:
        self._meters, first = meters, meters[0]
        self._ends = np.cumsum(first.weight_sizes)
        self._tables = np.zeros((len(meters), len(first.points), len(kernels.COLUMNS)))
        self._seen = np.zeros(self._tables.shape[:2], dtype=np.int32)
        self._before = np.zeros((len(meters), self._ends[-1]), dtype=_ZEROS[first.points[0].weight.dtype].dtype)
        self._limits = [_limits(point.activation).astype(self._before.dtype) for point in first.points]
        for meter, *rows in zip(meters, self._tables, self._seen, self._before, strict=True):
            meter.share(*rows)

    def see_h(self, index: int, h: Tensor) -> None:
        h = h if h.is_contiguous() else h.contiguous()
        shape = (math.prod(h.shape[1:-1]), h.shape[-1], 1)
        kernels.see_h_of_each(h.data_ptr(), shape, self._limits[index], index, self._tables)

    def see_delta(self, index: int, delta: Tensor) -> None:
        delta = delta if delta.is_contiguous() else delta.contiguous()
        size = delta.numel() // len(delta)
        kernels.see_delta_of_each(delta.data_ptr(), size, _ZEROS[delta.dtype], index, self._tables)

    def see_gradient(self, index: int) -> None:
        weights = [meter.points[index].weight for meter in self._meters]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        last, size = int(self._ends[index]), weights[0].numel()
        at = _addresses(weights), _addresses(gradients)
        kernels.see_weight_of_each(
            *at, last - size, last, self._before, kernels.SIGN_OFF[self._before.itemsize], index, self._tables
        )
        self._seen[:, index] = 1


class _Before:
    """Every weight as it was before an update, one after another."""

    def __init__(self, sizes: list[int], kind: torch.dtype) -> None:
        self.sizes, self.kind = sizes, kind
        self.ends = np.cumsum(sizes, dtype=np.int64)
        self.keep_in(np.zeros(sum(sizes), dtype=_ZEROS[kind].dtype))
        self.sign_off = kernels.SIGN_OFF[self.values.itemsize]

    def keep_in(self, values: Reals) -> None:
        self.values: Reals = values
        self.parts = [values[end - size : end] for end, size in zip(self.ends, self.sizes, strict=True)]


def _readable(tensor: Tensor, kind: torch.dtype | None = None) -> Tensor:
    """One whose memory a kernel can read, of type ``kind``."""
    own = tensor.dtype
    if own is not kind:
        if kind is not None:
            tensor = tensor.to(kind)
        elif own is not torch.float32 and own is not torch.float64:
            tensor = tensor.float()
    return tensor if tensor.is_contiguous() else tensor.contiguous()


def _addresses(tensors: Sequence[Tensor]) -> Integers:
    """The caller keeps the tensors for as long as the addresses are used."""
    return np.array([tensor.data_ptr() for tensor in tensors])


def _norms(tensors: Sequence[Tensor]) -> Array:
    """‖·‖₂ of each, in any order."""
    read = [_readable(tensor) for tensor in tensors]
    kinds = {tensor.dtype for tensor in read}
    if len(kinds) != 1:
        # A kernel reads one type of entries. With no tensor at all there is nothing to join but an empty array.
        by_type = [_norms([tensor for tensor in read if tensor.dtype is kind]) for kind in kinds]
        return np.concatenate([*by_type, np.zeros(0)])
    sizes = np.array([tensor.numel() for tensor in read])
    norms: Array = kernels.norms_of(_addresses(read), sizes, _ZEROS[kinds.pop()])
    return norms


def _limits(activation: Activation | None) -> Array:
    """Of ``kernels``: where φ' = 0, and where φ is saturated; NaN in place of what the activation has not."""
    flats = flat_intervals(activation)
    ends = [math.nan, 0.0] if flats is None else [end for interval in flats for end in interval]
    unsaturated = None if activation is None else activation.shape.unsaturated
    nowhere = [math.inf, -math.inf]
    return np.array([*(ends + nowhere)[:4], *((math.nan, 0.0) if unsaturated is None else unsaturated)])

"""Reduces the tensors of a step where they are, all layers together, without waiting for the device."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from models.activations import Activation
from worker.measures.base import NO_STATES, Array, Meter, Scalar, flat_intervals
from worker.points import Point


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

    def read(
        self, scalars: Sequence[Scalar], states: Tensor | None = None, *, updated: bool
    ) -> tuple[Array, list[float], Array]:
        rows = [*self._rows]
        if updated:
            weights = [point.weight.detach() for point in self.points]
            rows.append(_norms(torch._foreach_sub(weights, self._before)))  # noqa: SLF001 -- no public name
        on_device = [one.detach().reshape(1).double() for one in scalars if isinstance(one, Tensor)]
        with_states = [] if states is None else [states.flatten()]
        host: Array = torch.cat([*rows, *on_device, *with_states]).to("cpu", copy=True).numpy()
        size = len(rows) * len(self.points)
        copied = iter(host[size : size + len(on_device)].tolist())
        numbers = [next(copied) if isinstance(one, Tensor) else float(one) for one in scalars]
        of_states = NO_STATES if states is None else host[size + len(on_device) :].reshape(2, -1)
        return host[:size].reshape(len(rows), -1), numbers, of_states


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
    intervals = flat_intervals(activation)
    if intervals is None:
        return torch.zeros((), dtype=torch.float64, device=h.device)
    flat = torch.stack([(h >= low) & (h <= high) for low, high in intervals]).any(0)
    return flat.reshape(-1, h.shape[-1]).all(0).double().mean()


def _saturated_on_device(h: Tensor, activation: Activation | None) -> Tensor:
    if activation is None or activation.shape.unsaturated is None:
        return torch.zeros((), dtype=torch.float64, device=h.device)
    low, high = activation.shape.unsaturated
    return ((h <= low) | (h >= high)).double().mean()

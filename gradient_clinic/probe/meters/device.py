"""Reduces the tensors of a step where they are, all layers together, without waiting for the device."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gradient_clinic.activations import Activation
from gradient_clinic.probe.meters.meter import NO_STATES, Array, Meter, Scalar, flat_intervals
from gradient_clinic.probe.points import Point
from gradient_clinic.signals import SIGNALS, SignalName


class DeviceMeter(Meter):
    """Rows of (layers,) float64 on the device. Keeps h and δ of every layer until the record is read, so that most rows
    take one operation for all layers. Only ``read`` waits for the device.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        super().__init__(points)
        self._before = [torch.empty_like(point.weight, requires_grad=False) for point in points]
        self._rows: dict[SignalName, Tensor] = {}

    def forget(self) -> None:
        super().forget()
        self._h: dict[int, Tensor] = {}
        self._versions: dict[int, int] = {}
        self._delta: dict[int, Tensor] = {}

    def see_gradient(self, index: int) -> None:
        """Together they take fewer operations."""

    def settle(self, others: Sequence[Tensor]) -> Tensor:
        h, delta = self._kept()
        weights = [point.weight.detach() for point in self.points]
        # A zero in place of none, so that every row has a number per layer.
        gradients = [
            torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in _weights(self.points)
        ]
        norms = _norms(gradients)
        none = norms.new_zeros(())
        activations = [(one, point.activation, none) for one, point in zip(h, self.points, strict=True)]
        self._rows = {
            "activation_rms": _rms(h),
            "activation_gradient_rms": _rms(delta),
            "weight_gradient_norm": norms,
            "weight_gradient_max": _largest(gradients),
            "weight_norm": _norms(weights),
            "update_ratio": torch.full_like(norms, math.nan),
            "dead_fraction": torch.stack([dead_share(*of_layer) for of_layer in activations]),
            "saturated_fraction": torch.stack([saturated_share(*of_layer) for of_layer in activations]),
            "nonfinite_count": _nonfinite(gradients),
        }
        # Before the optimiser: the update ratio is of the change that follows.
        torch._foreach_copy_(self._before, weights)
        return _norms([torch.cat([norms, _norms(others)]) if others else norms])[0]

    def norm(self, tensors: Sequence[Tensor]) -> Tensor:
        return _norms([_norms(tensors)])[0]

    def norms(self, tensors: Sequence[Tensor]) -> Tensor:
        return _norms(tensors)

    def read(
        self, scalars: Sequence[Scalar], states: Tensor | None = None, *, updated: bool
    ) -> tuple[Array, list[float], Array]:
        rows = dict(self._rows)
        if updated:
            weights = [weight.detach() for weight in _weights(self.points)]
            changes = _norms(torch._foreach_sub(weights, self._before))  # noqa: SLF001 -- no public name
            rows["update_ratio"] = changes / rows["weight_norm"]
        on_device = [scalar.detach().reshape(1).double() for scalar in scalars if isinstance(scalar, Tensor)]
        with_states = [] if states is None else [states.flatten()]
        # The one copy of a record: all rows, the scalars and the states behind each other.
        host: Array = (
            torch.cat([*(rows[name] for name in SIGNALS), *on_device, *with_states]).to("cpu", copy=True).numpy()
        )
        size = len(SIGNALS) * len(self.points)
        copied = iter(host[size : size + len(on_device)].tolist())
        numbers = [next(copied) if isinstance(scalar, Tensor) else float(scalar) for scalar in scalars]
        of_states = NO_STATES if states is None else host[size + len(on_device) :].reshape(2, -1)
        matrix = host[:size].reshape(len(SIGNALS), -1)
        self._count_nonfinite(matrix)
        return matrix, numbers, of_states

    def _take_h(self, index: int, h: Tensor) -> None:
        h = h.detach()
        self._h[index] = h = h.clone() if self.points[index].changed_in_place else h
        # torch counts changes in place: a kept h whose count has moved is not what the layer computed.
        self._versions[index] = h._version  # noqa: SLF001 -- documented under this name

    def _take_delta(self, index: int, delta: Tensor) -> None:
        self._delta[index] = delta

    def _kept(self) -> tuple[list[Tensor], list[Tensor]]:
        """h (…, units) and δ of every layer, NaN where none was seen. RuntimeError where h is no longer what it was."""
        h, nothing = [], self._before[0].new_full((1, 1), math.nan)
        for index, point in enumerate(self.points):
            one = self._h.get(index)
            if one is None:
                h.append(nothing)
                continue
            if one._version != self._versions[index]:  # noqa: SLF001 -- documented under this name
                message = f"h of layer {point.name} was overwritten in place: give its Point with changed_in_place=True"
                raise RuntimeError(message)
            h.append(one if point.unit_axis == -1 else one.movedim(point.unit_axis, -1))
        return h, [self._delta.get(index, nothing) for index in range(len(self.points))]

    def _count_nonfinite(self, matrix: Array) -> None:
        """Entries of h and δ are counted where their norms are not finite alone: there, it costs another copy."""
        for name, kept in (("activation_rms", self._h), ("activation_gradient_rms", self._delta)):
            for layer in np.flatnonzero(~np.isfinite(matrix[SIGNALS.index(name)])).tolist():
                if layer in kept:
                    matrix[SIGNALS.index("nonfinite_count"), layer] += int((~kept[layer].isfinite()).sum())


def _weights(points: Sequence[Point]) -> list[Tensor]:
    return [point.weight for point in points]


def _norms(tensors: Sequence[Tensor]) -> Tensor:
    """‖t‖₂ of each, (tensors,)."""
    if tensors[0].dtype != torch.float64:
        return torch.stack(torch._foreach_norm(list(tensors), 2, dtype=torch.float64))  # noqa: SLF001 -- no public name
    # Squares of float64 entries have no wider type to go to.
    largest = _largest(tensors)
    scale = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    scaled = torch._foreach_div(list(tensors), list(scale.unbind()))  # noqa: SLF001 -- no public name
    return torch.stack(torch._foreach_norm(scaled, 2)) * scale  # noqa: SLF001 -- no public name


def _rms(tensors: Sequence[Tensor]) -> Tensor:
    roots = torch.tensor([math.sqrt(tensor.numel()) for tensor in tensors], dtype=torch.float64)
    return _norms(tensors) / roots.to(tensors[0].device, non_blocking=True)


def _largest(tensors: Sequence[Tensor]) -> Tensor:
    """max|t| of each, (tensors,)."""
    return torch.stack(torch._foreach_norm(list(tensors), math.inf)).double()  # noqa: SLF001 -- no public name


def _nonfinite(tensors: Sequence[Tensor]) -> Tensor:
    """How many entries of each are NaN or ±Inf: those that do not give 0 when taken from themselves."""
    nothing = torch._foreach_sub(list(tensors), list(tensors))  # noqa: SLF001 -- no public name
    return torch.stack([torch.linalg.vector_norm(difference, 0, dtype=torch.float64) for difference in nothing])


def dead_share(h: Tensor, activation: Activation | None, none: Tensor) -> Tensor:
    """The share of units whose every entry lies where φ' = 0."""
    dead = dead_units(h, activation)
    return none if dead is None else dead.sum(dtype=torch.float64) / h.shape[-1]


def dead_units(h: Tensor, activation: Activation | None) -> Tensor | None:
    """(units,): whether every entry lies where φ' = 0; None where that is nowhere. ``h``: (…, units). All entries lie
    in one interval where their extremes do.
    """
    flats = flat_intervals(activation)
    if flats is None:
        return None
    units = h.reshape(-1, h.shape[-1])
    if len(flats) == 1:
        low, high = flats[0]
        # One interval that begins at −∞, as ReLU's, needs the largest entry of a unit alone.
        dead = units.amax(0) <= high
        if low > -math.inf:
            dead = dead & (units.amin(0) >= low)
    else:
        dead = torch.stack([(units >= low) & (units <= high) for low, high in flats]).any(0).all(0)
    return dead


def saturated_share(h: Tensor, activation: Activation | None, none: Tensor) -> Tensor:
    """The share of entries outside of where φ is unsaturated."""
    if activation is None or activation.shape.unsaturated is None:
        return none
    low, high = activation.shape.unsaturated
    return ((h <= low) | (h >= high)).sum(dtype=torch.float64) / h.numel()

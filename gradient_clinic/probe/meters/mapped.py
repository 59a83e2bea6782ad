"""Reduces the tensors of a step of many networks alike, where they are, in as many operations as those of one take.

Every tensor has the networks as its first axis. Its numbers are those of ``device`` for each of them, up to rounding.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from gradient_clinic.probe.meters.device import dead_share, saturated_share
from gradient_clinic.probe.meters.meter import Array
from gradient_clinic.probe.points import Point
from gradient_clinic.signals import SIGNALS, SignalName

Share = Callable[..., Tensor]
"""Of ``h`` (…, units) of one network, its activation, and what is given where that has no such part."""


class MappedMeter:
    """``points`` are those of one network, and ``weights`` (networks, …) what theirs are a part of, in float32. Nothing
    but ``read`` waits for the device.
    """

    def __init__(self, points: Sequence[Point], weights: Sequence[Tensor]) -> None:
        self._points, self._weights = points, weights
        self._before = [torch.empty_like(weight, requires_grad=False) for weight in weights]
        self._rows: dict[SignalName, Tensor] = {}
        self.forget()

    def forget(self) -> None:
        """Begin another step."""
        self._h: dict[int, Tensor] = {}
        self._delta: dict[int, Tensor] = {}

    def see_h(self, index: int, h: Tensor) -> None:
        self._h[index] = h.detach()

    def see_delta(self, index: int, delta: Tensor) -> None:
        self._delta[index] = delta

    def settle(self, others: Sequence[Tensor]) -> Tensor:
        """Reduce all that was seen, with ∂L/∂W as it is: the norms (networks,) over all ∂L/∂W and ``others``.
        RuntimeError where a layer took no part.
        """
        missing = [its.name for index, its in enumerate(self._points) if index not in self._delta]
        if missing:
            message = f"no backward pass went through {', '.join(missing)}"
            raise RuntimeError(message)
        layers = range(len(self._points))
        h, delta = [self._h[layer] for layer in layers], [self._delta[layer] for layer in layers]
        weights = [weight.detach() for weight in self._weights]
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        norms = norms_of_each(gradients)
        none = norms.new_zeros(())
        by_unit = [_units_last(one, point) for one, point in zip(h, self._points, strict=True)]
        self._rows = {
            "activation_rms": _rms(h),
            "activation_gradient_rms": _rms(delta),
            "weight_gradient_norm": norms,
            "weight_gradient_max": torch.stack([_flat_norm(its, math.inf) for its in gradients]),
            "weight_norm": norms_of_each(weights),
            "dead_fraction": _shares(dead_share, by_unit, self._points, none),
            "saturated_fraction": _shares(saturated_share, by_unit, self._points, none),
            "nonfinite_count": torch.stack([(~its.flatten(1).isfinite()).sum(1).double() for its in gradients]),
        }
        # Before the optimiser: the update ratio is of the change that follows.
        torch._foreach_copy_(self._before, weights)
        return total_of_each([*gradients, *others])

    def read(self, curves: Sequence[Tensor]) -> tuple[Array, Array]:
        """(networks, signals, layers), and (networks, curves) of ``curves`` (networks,), after the update: one copy
        unless something is not finite.
        """
        changes = torch._foreach_sub([weight.detach() for weight in self._weights], self._before)  # noqa: SLF001 -- no public name
        rows = {**self._rows, "update_ratio": norms_of_each(changes) / self._rows["weight_norm"]}
        told = [*(rows[name] for name in SIGNALS), torch.stack([its.detach().double() for its in curves])]
        host = torch.cat(told).to("cpu", copy=True).numpy()  # (signals · layers + curves, networks)
        of_layers, of_curves = np.split(host, [len(SIGNALS) * len(self._points)])
        signals: Array = of_layers.reshape(len(SIGNALS), len(self._points), -1).transpose(2, 0, 1).copy()
        self._count_nonfinite(signals)
        return signals, of_curves.T

    def _count_nonfinite(self, signals: Array) -> None:
        """Entries of h and δ are counted where their norms are not finite alone: there, it costs another copy."""
        counted = SIGNALS.index("nonfinite_count")
        for name, kept in (("activation_rms", self._h), ("activation_gradient_rms", self._delta)):
            for network, layer in np.argwhere(~np.isfinite(signals[:, SIGNALS.index(name)])).tolist():
                signals[network, counted, layer] += int((~kept[layer][network].isfinite()).sum())


def norms_of_each(tensors: Sequence[Tensor]) -> Tensor:
    """‖·‖₂ of each network's part of each tensor, (tensors, networks), float64: no float32 square underflows."""
    return torch.stack([_flat_norm(its, 2) for its in tensors])


def total_of_each(tensors: Sequence[Tensor]) -> Tensor:
    """‖·‖₂ of each network's part of all tensors, (networks,), float64."""
    return norms_of_each(tensors).square().sum(0).sqrt()


def _flat_norm(tensor: Tensor, order: float) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(tensor.flatten(1), order, dim=1, dtype=torch.float64)
    return norms


def _rms(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([_flat_norm(its, 2) / math.sqrt(its[0].numel()) for its in tensors])


def _units_last(h: Tensor, point: Point) -> Tensor:
    """(networks, …, units)."""
    return h if point.unit_axis == -1 else h.movedim(point.unit_axis + 1, -1)


def _shares(share: Share, h: Sequence[Tensor], points: Sequence[Point], none: Tensor) -> Tensor:
    of_each = [vmap(partial(share, activation=point.activation, none=none)) for point in points]
    return torch.stack([of_networks(one) for of_networks, one in zip(of_each, h, strict=True)])

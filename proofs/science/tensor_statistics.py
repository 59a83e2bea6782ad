"""Statistics of the entries of each tensor in one step: published rules read them, and our records do not keep them.

The arrays are over the weight tensors in forward order, the output's last. To read them takes no torch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn

from gradient_clinic.probe.points import Point
from gradient_clinic.values import Array

TANH_EDGE = 8.8
TINY = 1e-5
ACTIVE_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class TensorStatistics:
    """Of one step. g = ∂L/∂W as backward left it, w = W before the update, dw what the update made of it, h what enters
    the activation, a = φ(h). NaN stands for what a layer does not have: the
    output has no a, and a recurrent loop no h.
    """

    gradient_mean: Array
    gradient_norm: Array
    gradient_zeros: Array
    gradient_signed_mean: Array
    gradient_p5: Array
    gradient_p95: Array
    gradient_finite: Array
    weight_mean: Array
    weight_norm: Array
    weight_variance: Array
    weight_max: Array
    weight_tiny: Array
    weight_negative: Array
    update_mean: Array
    unchanged: Array
    inactive_units: Array
    """Share of units whose a is above 0 in less than 1 % of the batch."""
    flat_units: Array
    """Share of units whose h lies in less than 1 % of the batch inside the range of rule 4 (tanh and sigmoid)."""
    weak_units: Array
    """Share of units whose |a| has a 95th percentile below 1e-5."""
    not_positive: Array
    beyond_five: Array
    """Shares of entries: a ≤ 0, |h| > 5."""
    tanh_inside: Array
    """Share of entries of a tanh's h within ±8.8."""


NAMES = tuple(field.name for field in fields(TensorStatistics))


def packed(steps: Sequence[TensorStatistics]) -> Array:
    """(steps, fields, layers)."""
    return np.array([[getattr(tensors, name) for name in NAMES] for tensors in steps])


def unpacked(matrix: Array) -> list[TensorStatistics]:
    return [TensorStatistics(*row) for row in matrix]


class Collector:
    """Reads a model in chosen steps: call ``before`` the step, then ``after`` it. In other steps it costs nothing."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = points
        self.collecting = False
        self._weights: list[Tensor] = []
        self._h: dict[int, Tensor] = {}
        for index, point in enumerate(points):
            if point.loop is None:
                point.module.register_forward_hook(self._keep(index))

    def before(self) -> None:
        self.collecting = True
        self._weights = [point.weight.detach().clone() for point in self.points]
        self._h.clear()

    def after(self) -> TensorStatistics:
        self.collecting = False
        rows = [self._layer(index, point) for index, point in enumerate(self.points)]
        return TensorStatistics(*np.array(rows, dtype=np.float64).T)

    def _keep(self, index: int) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            if self.collecting:
                self._h[index] = output.detach().clone()

        return hook

    def _layer(self, index: int, point: Point) -> list[float]:
        before, after = self._weights[index].double(), point.weight.detach().double()
        g = torch.zeros_like(before) if point.weight.grad is None else point.weight.grad.double()
        last = index == len(self.points) - 1
        return [*_of_gradient(g), *_of_weight(before), *_of_update(before, after), *self._of_h(index, point, last=last)]

    def _of_h(self, index: int, point: Point, *, last: bool) -> list[float]:
        h, activation = self._h.get(index), point.activation
        if h is None or activation is None or last:
            return [math.nan] * 6
        units = h.movedim(point.unit_axis, -1).flatten(0, -2).double().numpy()
        a = activation.phi(units)
        edge = {"tanh": (-9.4999, 9.4999), "sigmoid": (-23.0, 16.99999)}.get(activation.function, (-math.inf, math.inf))
        inside = (units > edge[0]) & (units < edge[1])
        with np.errstate(invalid="ignore"):
            weak = np.percentile(np.abs(a), 95, axis=0) < TINY
        return [
            float(((a > 0).mean(axis=0) < ACTIVE_SHARE).mean()),
            float((inside.mean(axis=0) < ACTIVE_SHARE).mean()),
            float(weak.mean()),
            float((a <= 0).mean()),
            float((np.abs(units) > 5.0).mean()),
            float((np.abs(units) < TANH_EDGE).mean()) if activation.function == "tanh" else math.nan,
        ]


def _of_gradient(g: Tensor) -> list[float]:
    entries = torch.sort(g.flatten()).values
    low, high = (float(entries[round(share * (len(entries) - 1))]) for share in (0.05, 0.95))
    return [
        float(g.abs().mean()),
        float(g.norm()),
        float((g == 0).double().mean()),
        float(g.mean()),
        low,
        high,
        float(bool(torch.isfinite(g).all())),
    ]


def _of_weight(w: Tensor) -> list[float]:
    return [
        float(w.abs().mean()),
        float(w.norm()),
        float(w.var()),
        float(w.abs().max()),
        float((w.abs() < TINY).double().mean()),
        float((w < 0).double().mean()),
    ]


def _of_update(before: Tensor, after: Tensor) -> list[float]:
    same = torch.allclose(after, before, rtol=1e-5, atol=1e-8, equal_nan=True)
    return [float((after - before).abs().mean()), float(same)]

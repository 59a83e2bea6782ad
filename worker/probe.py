"""Measures every layer of any ``nn.Module`` while it trains, without changing a bit of the training.

A layer is one weight tensor with the normalisation and activation that follow it; h is what enters the activation,
δ = ∂loss/∂h. Gradients are read as they are in ``.grad`` when the optimiser steps, or earlier where the caller says
so by ``observe`` (before a penalty or clipping changes them). All statistics of a step are stacked on the device and
copied to the host once. Norms are taken in float64: squares of float32 entries neither underflow nor overflow there.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from models.activations import Activation
from models.signals import CURVES

Array = npt.NDArray[np.float64]
Where = Literal["forward", "backward"]


@dataclass(frozen=True, slots=True)
class FirstNonfinite:
    layer: str
    where: Where


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step: an array per signal (layers in forward order, the output last), and the curves.

    ``update_ratio`` is NaN where no update followed. Curves that the caller did not give are NaN.
    """

    step: int
    layers: tuple[str, ...]
    activation_rms: Array
    activation_gradient_rms: Array
    weight_gradient_norm: Array
    weight_gradient_max: Array
    weight_norm: Array
    update_ratio: Array
    dead_fraction: Array
    saturated_fraction: Array
    nonfinite_count: Array
    loss: float = math.nan
    penalty: float = 0.0
    learning_rate: float = math.nan
    gradient_norm: float = math.nan
    total_gradient_norm: float = math.nan
    clipped_gradient_norm: float = math.nan
    clipped: float = 0.0
    step_seconds: float = math.nan
    loss_scale: float = 1.0
    overhead_seconds: float = 0.0

    @property
    def first_nonfinite(self) -> FirstNonfinite | None:
        """The first layer in forward order with a non-finite h, else the first in backward order (contract)."""
        forward = np.flatnonzero(~np.isfinite(self.activation_rms))
        if forward.size:
            return FirstNonfinite(self.layers[forward[0]], "forward")
        backward = np.flatnonzero(self.nonfinite_count > 0)
        return FirstNonfinite(self.layers[backward[-1]], "backward") if backward.size else None

    @property
    def finite(self) -> bool:
        """Whether loss, h, δ and ∂L/∂W are; a loss that nobody gave counts as finite."""
        return not math.isinf(self.loss) and not self.nonfinite_count.any()


@dataclass(frozen=True, slots=True)
class Point:
    """A measuring point: the weight, and the module whose output is h."""

    name: str
    weight: nn.Parameter
    module: nn.Module
    activation: Activation | None
    changed_in_place: bool = False
    """The activation overwrites h, so a copy has to be kept."""


@dataclass(slots=True)
class Probe:
    """Made by ``attach``. ``recording`` false makes the hooks do nothing for a step."""

    points: tuple[Point, ...]
    optimizer: torch.optim.Optimizer | None
    recording: bool = True
    overhead_seconds: float = 0.0
    _handles: list[RemovableHandle] = field(default_factory=list)
    _h: list[Tensor | None] = field(init=False)
    _delta: list[Tensor | None] = field(init=False)
    _before: list[Tensor] = field(init=False)
    _roots: Array = field(init=False)
    _observed: list[Tensor] | None = None
    _step: int = 0

    def __post_init__(self) -> None:
        self._h = [None] * len(self.points)
        self._delta = [None] * len(self.points)
        self._before = [torch.empty_like(point.weight, requires_grad=False) for point in self.points]
        for index, point in enumerate(self.points):
            self._handles.append(point.module.register_forward_hook(self._forward_hook(index, point)))
        if self.optimizer is not None:
            self._handles.append(self.optimizer.register_step_pre_hook(self._before_step))

    def detach(self) -> None:
        """Leave the model and the optimiser as they were."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._forget()

    def watch(self, index: int, h: Tensor, *, changed_in_place: bool = False) -> None:
        """Take ``h`` (batch × units, requiring a gradient) as what enters layer ``index``'s activation."""

        def keep_gradient(gradient: Tensor) -> None:
            self._delta[index] = gradient

        self._h[index] = h.detach().clone() if changed_in_place else h.detach()
        h.register_hook(keep_gradient)

    def observe(self) -> None:
        """Read h, δ and ``.grad`` now: after backward, before anything changes the gradients."""
        began = time.perf_counter()
        self._observed = self._measure()
        torch._foreach_copy_(self._before, [point.weight.detach() for point in self.points])
        self.overhead_seconds = time.perf_counter() - began

    def record(self, step: int | None = None, **curves: float | Tensor) -> StepRecord:
        """The step's record, after ``optimizer.step()`` (or without one: the update ratio is NaN then).

        ``curves``: values of the contract's curves, numbers or tensors of one element on the device.
        """
        began = time.perf_counter()
        updated = self._observed is not None and self.optimizer is not None
        if self._observed is None:
            self._observed = self._measure()
        names = [name for name in CURVES if name in curves]
        host = self._to_host(updated=updated, curves=[curves[name] for name in names])
        self._step = self._step + 1 if step is None else step + 1
        self._forget()
        spent = self.overhead_seconds + time.perf_counter() - began
        return self._assemble(host, updated=updated, names=names, overhead_seconds=spent)

    # --- hooks ------------------------------------------------------------------------------------------------

    def _forward_hook(self, index: int, point: Point) -> Any:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            if self.recording and output.requires_grad:
                self.watch(index, output, changed_in_place=point.changed_in_place)

        return hook

    def _before_step(self, *_: object) -> None:
        if self.recording and self._observed is None:
            self.observe()

    # --- measures ---------------------------------------------------------------------------------------------

    def _measure(self) -> list[Tensor]:
        """Rows of (layers,) on the device: ‖h‖, ‖δ‖, ‖∂L/∂W‖, max|∂L/∂W|, ‖W‖, dead, saturated, non-finite."""
        h, delta = self._seen(self._h, "forward"), self._seen(self._delta, "backward")
        weights = [point.weight.detach() for point in self.points]
        gradients = [_gradient(point.weight) for point in self.points]
        self._roots = np.sqrt([its.numel() for its in h])
        norms = [_norms(h), _norms(delta), _norms(gradients)]
        dead, saturated = zip(
            *(_inactive(its, p.activation) for its, p in zip(h, self.points, strict=True)), strict=True
        )
        return [
            *norms,
            torch.stack([gradient.abs().amax() for gradient in gradients]).double(),
            _norms(weights),
            torch.stack(dead).double(),
            torch.stack(saturated).double(),
            sum(_nonfinite(its, norm) for its, norm in zip((h, delta, gradients), norms, strict=True)),
        ]

    def _seen(self, kept: Sequence[Tensor | None], what: str) -> list[Tensor]:
        missing = [point.name for point, tensor in zip(self.points, kept, strict=True) if tensor is None]
        if missing:
            message = f"no {what} pass went through {', '.join(missing)} since the last record"
            raise RuntimeError(message)
        return [tensor for tensor in kept if tensor is not None]

    def _to_host(self, *, updated: bool, curves: Sequence[float | Tensor]) -> Array:
        """The one copy: measures and updates, (9, layers), then the curves, all flat."""
        assert self._observed is not None  # noqa: S101 -- record sees to it
        rows = [*self._observed]
        if updated:
            rows.append(_norms(torch._foreach_sub([point.weight.detach() for point in self.points], self._before)))
        device = rows[0].device
        scalars = [torch.as_tensor(one, dtype=torch.float64, device=device).reshape(1) for one in curves]
        flat = torch.cat([*rows, *scalars])
        return np.asarray(flat.cpu().numpy(), dtype=np.float64)

    def _assemble(self, host: Array, *, updated: bool, names: Sequence[str], overhead_seconds: float) -> StepRecord:
        layers = len(self.points)
        rows = host[: (9 if updated else 8) * layers].reshape(-1, layers)
        curves: dict[str, float] = dict(zip(names, host[rows.size :].tolist(), strict=True))
        h, delta, gradient, largest, weight, dead, saturated, nonfinite = rows[:8]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = rows[8] / weight if updated else np.full(layers, np.nan)
        return StepRecord(
            step=self._step - 1,
            layers=tuple(point.name for point in self.points),
            activation_rms=h / self._roots,
            activation_gradient_rms=delta / self._roots,
            weight_gradient_norm=gradient,
            weight_gradient_max=largest,
            weight_norm=weight,
            update_ratio=ratio,
            dead_fraction=dead,
            saturated_fraction=saturated,
            nonfinite_count=nonfinite,
            overhead_seconds=overhead_seconds,
            **curves,
        )

    def _forget(self) -> None:
        self._h = [None] * len(self.points)
        self._delta = [None] * len(self.points)
        self._observed = None


def _norms(tensors: Sequence[Tensor]) -> Tensor:
    """‖t‖₂ of each tensor, float64, (tensors,)."""
    return torch.stack(torch._foreach_norm(tensors, 2, dtype=torch.float64))


def _gradient(weight: nn.Parameter) -> Tensor:
    return torch.zeros_like(weight) if weight.grad is None else weight.grad


def _inactive(h: Tensor, activation: Activation | None) -> tuple[Tensor, Tensor]:
    """(share of dead units, share of saturated entries) of h (batch, …, units). A non-finite h is neither."""
    none = torch.zeros((), dtype=torch.float64, device=h.device)
    if activation is None:
        return none, none
    shape = activation.shape
    dead, saturated = none, none
    if shape.active is not None:
        # A unit is dead where φ'(h) = 0 for every sample of the batch.
        flat = torch.stack([(h >= low) & (h <= high) for low, high in _complement(shape.active)]).any(0)
        dead = flat.reshape(-1, h.shape[-1]).all(0).double().mean()
    if shape.unsaturated is not None:
        low, high = shape.unsaturated
        saturated = ((h <= low) | (h >= high)).double().mean()
    return dead, saturated


def _complement(intervals: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The closed intervals between and around some open ones that are sorted."""
    edges = [-math.inf, *(edge for interval in intervals for edge in interval), math.inf]
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        if low < high or math.isfinite(low):
            yield low, high


def _nonfinite(tensors: Sequence[Tensor], norms: Tensor) -> Tensor:
    """How many entries of each tensor are NaN or ±Inf. On the CPU a finite norm has answered already; on a device
    asking would cost a synchronisation, so every entry is looked at.
    """
    if norms.device.type == "cpu" and bool(norms.isfinite().all()):
        return torch.zeros_like(norms)
    return torch.stack([(~tensor.isfinite()).sum() for tensor in tensors]).double()


# --- attaching to any module ------------------------------------------------------------------------------------

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)  # noqa: SLF001 -- torch names no public base
_FUNCTIONS: dict[type[nn.Module], str] = {
    nn.Identity: "identity",
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.PReLU: "prelu",
    nn.ELU: "elu",
    nn.CELU: "celu",
    nn.SELU: "selu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Mish: "mish",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.Softsign: "softsign",
    nn.Softplus: "softplus",
    nn.LogSigmoid: "logsigmoid",
    nn.Tanhshrink: "tanhshrink",
    nn.Hardtanh: "hardtanh",
    nn.Hardsigmoid: "hardsigmoid",
    nn.Hardswish: "hardswish",
    nn.ReLU6: "relu6",
    nn.Softshrink: "softshrink",
    nn.Hardshrink: "hardshrink",
}


def attach(
    model: nn.Module, optimizer: torch.optim.Optimizer | None = None, points: Sequence[Point] | None = None
) -> Probe:
    """Measure ``model`` from now on. ``points`` default to what ``find_points`` finds. ValueError where there are none."""
    found = tuple(find_points(model) if points is None else points)
    if not found:
        message = "the model has no layer with a weight of two or more dimensions: there is nothing to measure"
        raise ValueError(message)
    return Probe(found, optimizer)


def find_points(model: nn.Module) -> list[Point]:
    """A point per leaf module with a weight matrix, in the order of registration; norms and the first activation
    that follow it belong to it. Layers registered in another order than they run are named in that other order.
    """
    found: list[Point] = []
    closed = True
    for name, module in model.named_modules():
        if next(module.children(), None) is not None:
            continue
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.dim() > 1:
            found.append(Point(name, weight, module, None))
            closed = False
        elif found and not closed and isinstance(module, _NORMS):
            found[-1] = replace(found[-1], module=module)
        elif found and not closed and type(module) in _FUNCTIONS:
            activation = Activation(_FUNCTIONS[type(module)], _parameter(module))
            in_place = bool(getattr(module, "inplace", False))
            found[-1] = replace(found[-1], activation=activation, changed_in_place=in_place)
            closed = True
    return found


def _parameter(module: nn.Module) -> float:
    value = getattr(module, "negative_slope", getattr(module, "alpha", 0.0))
    return float(value)

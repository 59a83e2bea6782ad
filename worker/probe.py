"""Measures every layer of any ``nn.Module`` while it trains, without changing a bit of the training.

A layer is one weight tensor with the normalisation and activation that follow it; h is what enters the activation,
δ = ∂loss/∂h. Gradients are read as they are in ``.grad`` when the optimiser steps, or earlier where the caller says
so by ``observe`` (before a penalty or clipping changes them). Under gradient accumulation h and δ are those of the
last pass. What is computed of them, and how, is in ``worker.measures``.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from models.signals import CURVES
from worker.measures import Array, DeviceReducer, HostReducer, Scalar, reducer_for
from worker.points import Point, find_points

Where = Literal["forward", "backward"]


@dataclass(frozen=True, slots=True)
class FirstNonfinite:
    layer: str
    where: Where


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step: an array per signal (layers in forward order, the output last), and the curves.

    ``update_ratio`` is NaN where no update followed. ``gradient_norm`` is over all parameters of the model; the total
    and the clipped one equal it unless the caller says otherwise. Other curves that the caller did not give are NaN.
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


@dataclass(slots=True)
class Probe:
    """Made by ``attach``. ``recording`` false makes the hooks do nothing for a step."""

    points: tuple[Point, ...]
    others: tuple[Tensor, ...]
    """The parameters that no point measures; their gradients count in ``gradient_norm``."""
    optimizer: torch.optim.Optimizer | None
    reducer: HostReducer | DeviceReducer
    recording: bool = True
    overhead_seconds: float = 0.0
    """What ``observe`` and ``gradient_norm`` took since the last record."""
    _handles: list[RemovableHandle] = field(default_factory=list)
    _h: list[Tensor | None] = field(init=False)
    _delta: list[Tensor | None] = field(init=False)
    _versions: list[int] = field(init=False)
    _before: list[Any] | None = None
    _observed: list[Any] | None = None
    _gradient_norm: Scalar = math.nan
    _roots: Array = field(init=False)
    _stepped: bool = False
    _step: int = 0

    def __post_init__(self) -> None:
        self._versions = [0] * len(self.points)
        self._roots = np.ones(len(self.points))
        self._forget()
        for index, point in enumerate(self.points):
            self._handles.append(point.module.register_forward_hook(self._forward_hook(index, point)))
        if self.optimizer is not None:
            self._handles.append(self.optimizer.register_step_pre_hook(self._before_step))

    def detach(self) -> None:
        """Leave the model and the optimiser as they were."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._before = None
        self._forget()

    def watch(self, index: int, h: Tensor, *, changed_in_place: bool = False) -> None:
        """Take ``h`` (batch × units, requiring a gradient) as what enters layer ``index``'s activation."""
        seen = h.detach().clone() if changed_in_place else h.detach()

        def keep_gradient(gradient: Tensor) -> None:
            # A layer used twice in a pass is that of its last use, in h and in δ.
            if self._h[index] is seen:
                self._delta[index] = gradient

        self._h[index] = seen
        self._delta[index] = None
        self._versions[index] = seen._version  # noqa: SLF001 -- torch's own word for it in its documentation
        h.register_hook(keep_gradient)  # type: ignore[no-untyped-call]

    def observe(self) -> None:
        """Read h, δ and ``.grad`` now: after backward, before anything changes the gradients."""
        began = time.perf_counter()
        reducer: Any = self.reducer
        h, delta = self._seen(self._h, "forward"), self._seen(self._delta, "backward")
        weights = reducer.hold([point.weight for point in self.points])
        gradients = reducer.hold([_gradient(point.weight) for point in self.points])
        activations = [point.activation for point in self.points]
        self._observed = reducer.measure(
            reducer.hold([self._units_last(*pair) for pair in enumerate(h)]),
            reducer.hold(delta),
            gradients,
            weights,
            activations,
        )
        self._gradient_norm = reducer.total(self._observed[2], reducer.hold(_gradients(self.others)))
        self._roots = np.sqrt([its.numel() for its in h])
        if self.optimizer is not None:
            self._before = reducer.keep(weights, self._before)
        self.overhead_seconds += time.perf_counter() - began

    def gradient_norm(self) -> Scalar:
        """‖g‖ over all parameters as it is now, for what came after ``observe``."""
        began = time.perf_counter()
        reducer: Any = self.reducer
        gradients = reducer.hold(_gradients([*(point.weight for point in self.points), *self.others]))
        norm: Scalar = reducer.total(reducer.norms(gradients), [])
        self.overhead_seconds += time.perf_counter() - began
        return norm

    def record(self, step: int | None = None, **curves: Scalar) -> StepRecord:
        """The step's record, after ``optimizer.step()`` (or without one: the update ratio is NaN then).

        ``curves``: values of the contract's curves, numbers or tensors of one element on the device.
        """
        if self._observed is None:
            self.observe()
        assert self._observed is not None  # noqa: S101 -- observe has seen to it
        began = time.perf_counter()
        reducer: Any = self.reducer
        rows = [*self._observed]
        if self._stepped:
            rows.append(reducer.changes(reducer.hold([point.weight for point in self.points]), self._before))
        named = {"gradient_norm": self._gradient_norm, **{name: curves[name] for name in CURVES if name in curves}}
        matrix, scalars = reducer.to_host(rows, list(named.values()))
        self._step = self._step + 1 if step is None else step + 1
        spent = self.overhead_seconds + time.perf_counter() - began
        self._forget()
        return self._assemble(matrix, dict(zip(named, scalars, strict=True)), overhead_seconds=spent)

    # --- hooks ------------------------------------------------------------------------------------------------

    def _forward_hook(self, index: int, point: Point) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            if self.recording and output.requires_grad:
                self.watch(index, output, changed_in_place=point.changed_in_place)

        return hook

    def _before_step(self, *_: object) -> None:
        if self.recording:
            if self._observed is None:
                self.observe()
            self._stepped = True

    # --- reading ----------------------------------------------------------------------------------------------

    def _seen(self, kept: Sequence[Tensor | None], what: str) -> list[Tensor]:
        missing = [point.name for point, tensor in zip(self.points, kept, strict=True) if tensor is None]
        if missing:
            message = f"no {what} pass went through {', '.join(missing)} since the last record"
            raise RuntimeError(message)
        return [tensor for tensor in kept if tensor is not None]

    def _units_last(self, index: int, h: Tensor) -> Tensor:
        point = self.points[index]
        if h._version != self._versions[index]:  # noqa: SLF001 -- as above
            message = f"h of layer {point.name} was overwritten in place: give its Point with changed_in_place=True"
            raise RuntimeError(message)
        return h if point.unit_axis == -1 else h.movedim(point.unit_axis, -1)

    def _assemble(self, matrix: Array, curves: dict[str, float], *, overhead_seconds: float) -> StepRecord:
        h, delta, gradient, largest, weight, dead, saturated, nonfinite, *update = matrix
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = update[0] / weight if update else np.full(len(weight), np.nan)
        curves.setdefault("total_gradient_norm", curves["gradient_norm"])
        curves.setdefault("clipped_gradient_norm", curves["total_gradient_norm"])
        return StepRecord(
            step=self._step - 1,
            layers=tuple([point.name for point in self.points]),
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
        self._stepped = False
        self.overhead_seconds = 0.0


def attach(
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    points: Sequence[Point] | None = None,
    reducer: HostReducer | DeviceReducer | None = None,
) -> Probe:
    """Measure ``model`` from now on. ``points`` default to what ``find_points`` finds, the reducer to that of the
    device. ValueError where there is nothing to measure.
    """
    found = tuple(find_points(model) if points is None else points)
    if not found:
        message = "the model has no layer with a weight of two or more dimensions: there is nothing to measure"
        raise ValueError(message)
    measured = {id(point.weight) for point in found}
    others = tuple(its for its in model.parameters() if id(its) not in measured)
    return Probe(found, others, optimizer, reducer or reducer_for(found[0].weight.device))


def _gradient(weight: Tensor) -> Tensor:
    return torch.zeros_like(weight) if weight.grad is None else weight.grad


def _gradients(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.grad for tensor in tensors if tensor.grad is not None]

"""Measures every layer of any ``nn.Module`` while it trains, without changing a bit of the training.

A layer is one weight tensor with the normalisation and activation that follow it; h is what enters the activation,
δ = ∂loss/∂h. Gradients are read when backward ends, before a penalty or clipping changes them. Under gradient
accumulation h and δ are those of the last pass. What is computed of them, and how, is in ``meters``.
"""

import math
import time
import timeit
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gradient_clinic.probe.meters import meter_for
from gradient_clinic.probe.meters.meter import NO_STATES, Array, Meter, Scalar
from gradient_clinic.probe.points import Loop, Point, find_points
from gradient_clinic.probe.states import inside_of, side_by_side, state_norms
from gradient_clinic.signals import SIGNALS

_SCALED = [SIGNALS.index(name) for name in ("activation_gradient_rms", "weight_gradient_norm", "weight_gradient_max")]
"""What a factor of the loss multiplies."""
LARGE = 2**14
"""Entries of a weight that is read as soon as its gradient is there: later, both would have left the cache."""


def _nothing() -> Array:
    return np.zeros(0)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step: an array per name of ``SIGNALS`` (layers in forward order, the output last), and the curves.

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
    times: tuple[str, ...] = ()
    """The recorded states of recurrent layers, as ``NetworkPlan.time`` names them; the two arrays are over these."""
    state_rms: Array = field(default_factory=_nothing)
    state_gradient_rms: Array = field(default_factory=_nothing)
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
    meter: Meter
    lengths: Callable[[], Tensor | None] = lambda: None
    """Of the cases in the pass that runs, where the model knows some that end early."""
    loss_scale: float = 1.0
    """What the loss was multiplied by before backward; records are without it."""
    recording: bool = True
    overhead_seconds: float = 0.0
    """What reading took since the last record, an estimate of what torch takes to call the hooks included."""
    _handles: list[RemovableHandle] = field(default_factory=list)
    _loops: list[Loop] = field(default_factory=list)
    _layers: tuple[str, ...] = ()
    _times: tuple[str, ...] = ()
    _calling_seconds: float = 0.0
    _gradient_norm: Scalar | None = None
    _queued: bool = False
    _updated: bool = False
    _step: int = 0

    def __post_init__(self) -> None:
        for index, point in enumerate(self.points):
            if point.loop is not None:
                # Before the pass as well: a loop keeps its steps only in passes that are recorded.
                self._handles.append(point.module.register_forward_pre_hook(self._listen(point.loop)))
                self._handles.append(point.module.register_forward_hook(self._loop_hook(index, point.loop)))
            else:
                self._handles.append(point.module.register_forward_hook(self._forward_hook(index)))
            # Small weights are read all in one call when backward ends; for large ones that is too late for the cache.
            if point.weight.requires_grad and point.weight.numel() >= LARGE:
                at_weight = partial(self._see_gradient, index)
                self._handles.append(point.weight.register_post_accumulate_grad_hook(at_weight))  # type: ignore[no-untyped-call]
        self._calling_seconds = len(self.points) * hook_seconds()
        self._layers = tuple(point.name for point in self.points)
        loops = [point for point in self.points if point.loop is not None]
        self._times = tuple(f"{point.name}@{step}" for point in loops if point.loop for step in point.loop.time_steps)
        if self.optimizer is not None:
            self._handles.append(self.optimizer.register_step_pre_hook(self._before_step))

    def detach(self) -> None:
        """Leave the model and the optimiser as they were."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._forget()
        for point in self.points:
            if point.loop is not None:
                point.loop.listening = False

    def watch(self, index: int, h: Tensor) -> None:
        """Take ``h`` (batch × units, requiring a gradient) as what enters layer ``index``'s activation."""
        began = time.perf_counter()
        inside = inside_of(h, self.lengths()) if h.dim() == 3 else None
        use = self.meter.see_h(index, h if inside is None else h.detach()[inside])
        on_gradient(h, partial(self._see_delta, index, use, inside))
        self.overhead_seconds += time.perf_counter() - began

    def gradient_norm(self) -> Scalar:
        """‖g‖ over all parameters as it is now, for what came after backward."""
        began = time.perf_counter()
        norm = self.meter.norm(_gradients([*(point.weight for point in self.points), *self.others]))
        self.overhead_seconds += time.perf_counter() - began
        return norm

    def record(self, step: int | None = None, **curves: Scalar) -> StepRecord:
        """The step's record, after ``optimizer.step()`` (or without one: the update ratio is NaN then).

        ``curves``: values of ``CURVES``, numbers or tensors of one element on the device.
        """
        norm = self._settled()
        began = time.perf_counter()
        named = {"gradient_norm": norm, **curves}
        # The curves travel with the rows, so that a record costs one copy from the device.
        matrix, numbers, states = self.meter.read(list(named.values()), self._states(), updated=self._updated)
        self._step = self._step + 1 if step is None else step + 1
        record = self._assemble(matrix, dict(zip(named, numbers, strict=True)), states, began)
        self._forget()
        return record

    def record_of(self, step: int, signals: Array, curves: dict[str, float], seconds: float) -> StepRecord:
        """The record of a step that was read together with those of other networks, in ``seconds`` for this one:
        ``signals`` (signals, layers).
        """
        self._step, self.overhead_seconds = step + 1, seconds
        record = self._assemble(signals, dict(curves), NO_STATES, time.perf_counter())
        self._forget()
        return record

    def skipped(self) -> None:
        """The optimiser's step was left out on purpose: its update is 0, and not unknown."""
        self._before_step()

    def settle(self) -> None:
        """Backward has ended, of a network that is trained together with others: nobody else says so."""
        self._settled()

    def updating(self) -> None:
        """An update follows that is made of several networks at once, and by no ``optimizer.step()``."""
        self._before_step()

    # --- hooks ------------------------------------------------------------------------------------------------

    def _forward_hook(self, index: int) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            if self.recording and output.requires_grad:
                self.watch(index, output)

        return hook

    def _listen(self, loop: Loop) -> Callable[[nn.Module, object], None]:
        def hook(_module: nn.Module, _inputs: object) -> None:
            loop.listening = self.recording and torch.is_grad_enabled()

        return hook

    def _loop_hook(self, index: int, loop: Loop) -> Callable[[nn.Module, object, Tensor], None]:
        """Of a recurrent layer: δ of all steps comes in one tensor, every state keeps the gradient that reaches it."""

        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            if not (loop.listening and output.requires_grad):
                return
            for state in loop.states:
                if state.requires_grad:
                    state.retain_grad()
            self._loops.append(loop)
            assert loop.given is not None  # it listens
            inside = inside_of(loop.given, loop.lengths)
            h = side_by_side(loop.entering)
            use = self.meter.see_h(index, h if inside is None else h[inside])
            on_gradient(loop.given, partial(self._see_delta, index, use, inside))

        return hook

    def _see_delta(self, index: int, use: int, inside: Tensor | None, delta: Tensor) -> None:
        began = time.perf_counter()
        self.meter.see_delta(index, use, delta if inside is None else delta[inside])
        # Asked for by the first δ of each backward pass: torch has no hook for its end.
        if not self._queued:
            self._queued = True
            at_the_end_of_backward(self._after_backward)
        self.overhead_seconds += time.perf_counter() - began

    def _see_gradient(self, index: int, _weight: Tensor) -> None:
        if self.recording:
            began = time.perf_counter()
            self.meter.see_gradient(index)
            self.overhead_seconds += time.perf_counter() - began

    def _after_backward(self) -> None:
        """Gradients are read now, before a penalty or clipping changes them."""
        self._queued = False
        self._gradient_norm = None
        # Not yet where a pass is made of several backward calls: the last one of them completes it.
        if self.meter.complete():
            self._settled()

    def _before_step(self, *_: object) -> None:
        if self.recording:
            self._settled()
            self._updated = True

    def _settled(self) -> Scalar:
        """The gradient norm, with every other number reduced. RuntimeError where a layer took no part."""
        if self._gradient_norm is None:
            if not self.meter.complete():
                self._refuse()
            began = time.perf_counter()
            self._gradient_norm = self.meter.settle(_gradients(self.others))
            self.overhead_seconds += time.perf_counter() - began + self._calling_seconds
        return self._gradient_norm

    def _refuse(self) -> NoReturn:
        no_h, no_delta = self.meter.missing()
        which = "forward" if no_h else "backward"
        names = ", ".join(self._layers[index] for index in no_h or no_delta)
        message = f"no {which} pass went through {names} since the last record"
        raise RuntimeError(message)

    def _states(self) -> Tensor | None:
        """(2, states) of rms and gradient rms over all recurrent layers, on the device; None without any."""
        if not self._loops:
            return None
        return torch.cat([state_norms(loop, self.meter.norms) for loop in self._loops], dim=1)

    def _assemble(self, matrix: Array, curves: dict[str, Any], states: Array, began: float) -> StepRecord:
        if self.loss_scale != 1.0:
            # Backward went through the scaled loss; forward values never met the scale.
            states = states / [[1.0], [self.loss_scale]]
            matrix[_SCALED] /= self.loss_scale
            curves["gradient_norm"] /= self.loss_scale
        curves.setdefault("total_gradient_norm", curves["gradient_norm"])
        curves.setdefault("clipped_gradient_norm", curves["total_gradient_norm"])
        signals: dict[str, Any] = dict(zip(SIGNALS, matrix, strict=True))
        curves["overhead_seconds"] = self.overhead_seconds + time.perf_counter() - began
        rms, gradient_rms = states
        return StepRecord(
            self._step - 1,
            self._layers,
            times=self._times,
            state_rms=rms,
            state_gradient_rms=gradient_rms,
            **signals,
            **curves,
        )

    def _forget(self) -> None:
        self.meter.forget()
        self._gradient_norm = None
        self._updated = False
        self.overhead_seconds = 0.0
        for loop in self._loops:
            # They hold the graph of the whole loop: until they go, its memory does not.
            loop.given, loop.entering, loop.states = None, [], []
        self._loops.clear()


def attach(
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    points: Sequence[Point] | None = None,
    meter: type[Meter] | None = None,
) -> Probe:
    """Measure ``model`` from now on. ``points`` default to what ``find_points`` finds, the meter to that of the device.
    ValueError where there is nothing to measure.
    """
    found = tuple(find_points(model) if points is None else points)
    if not found:
        message = "the model has no layer with a weight of two or more dimensions: there is nothing to measure"
        raise ValueError(message)
    measured = {id(point.weight) for point in found}
    others = tuple(parameter for parameter in model.parameters() if id(parameter) not in measured)
    kind = meter or meter_for(found[0].weight.device)
    # Asked in each pass, as a model may meet other lengths in every one.
    return Probe(found, others, optimizer, kind(found), lengths=lambda: getattr(model, "lengths", None))


def at_the_end_of_backward(do: Callable[[], None]) -> None:
    """Of the backward pass that is running. The engine's own name is private; torch's DDP and FSDP stand on it too."""
    torch.autograd.Variable._execution_engine.queue_callback(do)  # noqa: SLF001 -- as said


@cache
def hook_seconds() -> float:
    """What torch takes to call a layer's hooks, which they cannot time: measured once, on hooks that do nothing."""
    layer, given = nn.utils.skip_init(nn.Linear, 1, 1), torch.ones(1, 1)  # type: ignore[no-untyped-call]
    with torch.enable_grad():
        bare = min(timeit.repeat(lambda: layer(given).backward(), number=50, repeat=5))
        layer.register_forward_hook(lambda _module, _inputs, h: on_gradient(h, lambda _delta: None))
        hooked = min(timeit.repeat(lambda: layer(given).backward(), number=50, repeat=5))
    return max(0.0, (hooked - bare) / 50)


def on_gradient(h: Tensor, do: Callable[[Tensor], None]) -> None:
    """``h.register_hook(do)`` without a handle to remove it, which takes three times as long."""
    if h._backward_hooks is None and h.grad_fn is not None:  # noqa: SLF001 -- as torch.Tensor.register_hook does
        h._backward_hooks = OrderedDict({0: do})  # noqa: SLF001 -- as above
        h.grad_fn._register_hook_dict(h)  # noqa: SLF001 -- as above
    else:
        h.register_hook(do)  # type: ignore[no-untyped-call]


def _gradients(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [gradient for tensor in tensors if (gradient := tensor.grad) is not None]

"""Takes h and δ of the rows in a recorded step, and weights and gradients when its optimiser steps.

Its hooks are there while a step is recorded and no longer: other steps run the modules as they are.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gradient_clinic.probe.meters import meter_for
from gradient_clinic.probe.meters.device import dead_units
from gradient_clinic.probe.meters.meter import Array, Scalar
from gradient_clinic.probe.points import Point
from gradient_clinic.probe.probe import hook_seconds, on_gradient
from gradient_clinic.signals import SIGNALS, SignalName
from gradient_clinic.watcher.guard import Guard, Hook
from gradient_clinic.watcher.rows import Held, Place, Row, first_tensor

OF_H: Final[tuple[SignalName, ...]] = ("activation_rms", "dead_fraction", "saturated_fraction")
OF_DELTA: Final[tuple[SignalName, ...]] = ("activation_gradient_rms",)
OF_WEIGHT: Final[tuple[SignalName, ...]] = (
    "weight_gradient_norm",
    "weight_gradient_max",
    "weight_norm",
    "update_ratio",
)
OF_GRADIENT: Final[tuple[SignalName, ...]] = ("weight_gradient_norm", "weight_gradient_max")


@dataclass(frozen=True, slots=True)
class Seen:
    """Of a step, by row: how many entries of h and of δ were reduced, and which units are dead in all of them."""

    of_h: Mapping[int, int]
    of_delta: Mapping[int, int]
    dead: Mapping[int, Tensor]


class Listener:
    """``parameters``: all of the model, which beside the rows count in the gradient norm. ``shared``: other processes
    see other cases of the same step, so that ``seen`` is wanted.
    """

    def __init__(
        self, parameters: Sequence[Tensor], rows: Sequence[Row], guard: Guard, *, shared: bool = False
    ) -> None:
        self.rows = tuple(rows)
        self.seen = Seen({}, {}, {})
        """Of the step that was read last."""
        self._shared = shared
        self._entries: dict[int, int] = {}
        self._dead: dict[int, Tensor] = {}
        self._guard = guard
        nothing = torch.zeros(1, device=parameters[0].device)
        measured = {id(row.weight) for row in rows}
        self._others = [its for its in parameters if id(its) not in measured]
        self._meter = meter_for(parameters[0].device)([_point(row, nothing) for row in rows])
        self._without = {OF_WEIGHT: [index for index, row in enumerate(rows) if row.weight is None]}
        self._handles: list[RemovableHandle] = []

    def start(self) -> None:
        for index, place in self._places():
            see = partial(self._guard.run, self._see, index)
            if place.side == "output":
                self._handles.append(place.module.register_forward_hook(Hook(lambda _, __, h, see=see: see(h))))
            else:
                hook = Hook(lambda _, args, kwargs, see=see: see((args, kwargs)))
                self._handles.append(place.module.register_forward_pre_hook(hook, with_kwargs=True))

    def stop(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def give(self, h: Sequence[Held | None]) -> None:
        """``h``: by row, what a followed pass has met."""
        for index, held in enumerate(h):
            if held is not None and held.value is not None and held.value.numel():
                held.wanted_by.append(self.see_h(index, held.value))

    def see_h(self, index: int, h: Tensor) -> Callable[[Tensor], None]:
        """Returns who wants to know δ of this h."""
        if self._shared:
            self._note(index, h.detach())
        return partial(self._guard.run, self._meter.see_delta, index, self._meter.see_h(index, h.detach()))

    def settle(self) -> Scalar:
        """Read weights and gradients as they are now. ‖g‖ over all parameters, each once."""
        return self._meter.settle([its.grad for its in self._others if its.grad is not None])

    def read(self, scalars: Sequence[Scalar], *, updated: bool) -> tuple[Array, list[float]]:
        """(signals × rows, the scalars), and begin anew. NaN where nothing was measured."""
        matrix, numbers, _ = self._meter.read(scalars, updated=updated)
        no_h, no_delta = self._meter.missing()
        of_delta = {index: size for index, size in self._entries.items() if index not in no_delta}
        self.seen, self._entries, self._dead = Seen(self._entries, of_delta, self._dead), {}, {}
        for names, rows in {**self._without, OF_H: no_h, OF_DELTA: sorted({*no_h, *no_delta})}.items():
            matrix[np.ix_([SIGNALS.index(name) for name in names], rows)] = math.nan
        self._meter.forget()
        self._guard.seconds += hook_seconds() * len(self._places())
        return matrix, numbers

    def forget(self) -> None:
        self._meter.forget()

    def _note(self, index: int, h: Tensor) -> None:
        place = self.rows[index].place
        axis = -1 if place is None else place.unit_axis
        self._entries[index] = h.numel()
        dead = dead_units(h.movedim(axis, -1), self.rows[index].activation)
        if dead is not None:
            self._dead[index] = dead

    def _places(self) -> list[tuple[int, Place]]:
        return [(index, row.place) for index, row in enumerate(self.rows) if row.place is not None]

    def _see(self, index: int, given: object) -> None:
        h = first_tensor(given)
        if h is None or not torch.is_grad_enabled() or not h.requires_grad or not h.numel():
            return
        on_gradient(h, self.see_h(index, h))


def unscaled(matrix: Array, of_delta: float, of_gradient: float) -> Array:
    """Without what the loss, and what the gradients as the optimiser finds them, are multiplied by."""
    matrix = matrix.copy()
    matrix[[SIGNALS.index(name) for name in OF_DELTA]] /= of_delta
    matrix[[SIGNALS.index(name) for name in OF_GRADIENT]] /= of_gradient
    return matrix


class Capture:
    """Holds the tensors of a followed pass that may be an h, until the rows are known."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._all: list[Held] = []
        self._as_made: dict[int, Held] = {}

    def take(self, tensor: Tensor) -> Held:
        held = self._as_made.get(id(tensor))
        if held is None:
            held = self._as_made[id(tensor)] = Held(tensor, tensor.shape, tensor.requires_grad)
            self._all.append(held)
            if tensor.requires_grad:
                on_gradient(tensor, partial(self._guard.run, _hand_on, held))
        return held

    def before_change(self, tensor: Tensor) -> None:
        """What is taken of this tensor afterwards is another h."""
        held = self._as_made.pop(id(tensor), None)
        if held is not None:
            held.value, held.changed_in_place = tensor.detach().clone(), True

    def release(self) -> None:
        for held in self._all:
            held.value = None
        self._as_made.clear()


def _hand_on(held: Held, delta: Tensor) -> None:
    for wants in held.wanted_by:
        wants(delta)


def _point(row: Row, nothing: Tensor) -> Point:
    place = row.place
    module = nn.Identity() if place is None else place.module
    return Point(
        row.name,
        nothing if row.weight is None else row.weight,
        module,
        row.activation,
        changed_in_place=place is not None and place.changed_in_place,
        unit_axis=-1 if place is None else place.unit_axis,
    )


def is_compiled(model: nn.Module) -> Any:
    """Whether a module or one below it is compiled or scripted: its inside calls no hooks."""
    return any(
        hasattr(its, "_orig_mod")
        or getattr(its, "_compiled_call_impl", None) is not None
        or isinstance(its, torch.jit.ScriptModule)
        for its in model.modules()
    )

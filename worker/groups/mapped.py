"""The steps of runs of one structure on a GPU: what one run's step launches, launched once for all of them.

The forward pass is one network's own, mapped over the weights of all (``torch.func``); reading, remedies and the update
go over tensors of all. So neither operations nor copies to the host grow with the members (decision 52). Each member's
numbers are those of its own training up to rounding.
"""

import copy
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from gradient_clinic.probe.meters.mapped import MappedMeter
from gradient_clinic.probe.probe import Probe, on_gradient
from worker.begun import laid_out
from worker.groups.held import HeldCases, HeldOptimizer, HeldWeights
from worker.groups.treatment import Treatment
from worker.trainer import Trainer


class MappedStep:
    """The steps of ``trainers``, of one ``mapped_structure_of``, for as long as these are the members."""

    FEWEST: ClassVar[int] = 1
    """Members that are trained so: also one that is left over, so that all of an experiment are."""

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self._trainers, first = trainers, trainers[0]
        self._weights = HeldWeights([trainer.model for trainer in trainers])
        self._cases = HeldCases(trainers)
        self._treatment = Treatment(trainers, self._weights, first.device)
        self._optimizer = HeldOptimizer(trainers, self._weights)
        weights = [point.weight for point in laid_out(first.model).points()]
        self._others = self._weights.without(weights)
        for trainer in trainers:
            trainer.members = max(trainer.members, len(trainers))
            trainer.close()  # nothing passes through its own network but evaluations
        # Whose modules are passed through, with the weights of all: hooks stay off the members' own.
        self._network = copy.deepcopy(laid_out(first.model))
        points = self._network.points()
        self._meter = MappedMeter(points, [self._weights.of(its) for its in weights])
        self._shown: dict[int, Tensor] = {}
        for index, point in enumerate(points):
            point.module.register_forward_hook(partial(self._see_h, index))

    def make(self) -> list[Exception | None]:
        trainers, began, members = self._trainers, time.perf_counter(), len(self._trainers)
        for trainer in trainers:
            trainer.begin(trainer.due)
        recording = trainers[0].recording is not None
        curves = {"loss": self._backward()}
        read_at = time.perf_counter()
        if recording:
            curves["gradient_norm"] = self._meter.settle([its.grad for its in self._others if its.grad is not None])
        reading = time.perf_counter() - read_at
        curves |= self._treatment.apply(recording=recording)
        self._optimizer.step()
        seconds = (time.perf_counter() - began - reading) / members
        for trainer in trainers:
            trainer.took(seconds, shared=True)
        if recording:
            self._record(curves, seconds, reading)
        self._meter.forget()
        return [None] * members

    def _record(self, curves: dict[str, Tensor], seconds: float, reading: float) -> None:
        began = time.perf_counter()
        signals, numbers = self._meter.read(list(curves.values()))
        reading = (reading + time.perf_counter() - began) / len(self._trainers)
        for trainer, its, of_curves in zip(self._trainers, signals, numbers.tolist(), strict=True):
            assert isinstance(trainer.probe, Probe)  # a plug-in's rows are read by its own
            told = dict(zip(curves, of_curves, strict=True))
            told |= {"learning_rate": trainer.rate, "step_seconds": seconds}
            trainer.see(trainer.probe.record_of(trainer.due, its, told, reading))

    def _backward(self) -> Tensor:
        """The losses (members,), with the gradients of all in ``.grad``."""
        x, y = self._cases.batch(self._trainers[0].due)
        for weights in self._weights.parameters.values():
            weights.grad = None
        losses, h = vmap(self._pass)(self._weights.parameters, self._weights.buffers, x, y)
        for index, of_all in h.items():
            self._meter.see_h(index, of_all)
            on_gradient(of_all, partial(self._meter.see_delta, index))
        torch.autograd.backward(losses, torch.ones_like(losses))
        result: Tensor = losses.detach()
        return result

    def _pass(self, parameters: Any, buffers: Any, x: Tensor, y: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Of one member: the loss, and h of each layer."""
        self._shown = {}
        outputs = functional_call(self._network, (parameters, buffers), (x,))
        return self._trainers[0].objective.loss(outputs, y), self._shown

    def _see_h(self, index: int, _module: nn.Module, _inputs: object, h: Tensor) -> None:
        self._shown[index] = h

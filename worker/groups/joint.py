"""The steps of runs of one structure on a CPU, made at once: each member's are those that it would make alone."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from gradient_clinic.probe.probe import Probe
from gradient_clinic.probe.together import Together
from worker.begun import laid_out
from worker.datasets.split import IGNORED
from worker.groups.stacked import StackedNetwork
from worker.groups.update import update
from worker.trainer import Trainer


class JointStep:
    """The steps of ``trainers`` made at once, for as long as these are the members."""

    FEWEST: ClassVar[int] = 2

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self._trainers = trainers
        probes = [trainer.probe for trainer in trainers if isinstance(trainer.probe, Probe)]
        self._together = Together(probes) if len(probes) == len(trainers) else None
        self._network = StackedNetwork([laid_out(trainer.model) for trainer in trainers], self._together)

    def make(self) -> list[Exception | None]:
        """The error of each member that its own remedies have ended; None of the others."""
        trainers, began = self._trainers, time.perf_counter()
        for trainer in trainers:
            trainer.begin(trainer.due)
        losses = self._backward()
        failed: list[Exception | None] = [
            caught(trainer.treat, loss) for trainer, loss in zip(trainers, losses, strict=True)
        ]
        update([trainer for trainer, error in zip(trainers, failed, strict=True) if error is None and trainer.made])
        reading = sum(trainer.reading_seconds for trainer in trainers)
        # What each member took alone cannot be told apart: all have the same part.
        seconds = (time.perf_counter() - began - reading) / len(trainers)
        return [
            error or caught(partial(trainer.conclude, shared=True), trainer.due, seconds)
            for trainer, error in zip(trainers, failed, strict=True)
        ]

    def _backward(self) -> list[Tensor]:
        """Each member's loss, with its gradients in ``.grad``."""
        parts = [trainer.batches.of(trainer.due) for trainer in self._trainers]
        if self._together is not None:
            self._together.recording = self._trainers[0].recording is not None
        outputs = self._network(torch.stack([part.x for part in parts]))
        losses = _losses(self._trainers, outputs, [part.y for part in parts])
        self._network.begin_backward()
        torch.autograd.backward(losses)
        if self._together is not None and self._together.recording:
            self._together.settle()
        return [loss.detach() for loss in losses]


def _losses(trainers: Sequence[Trainer], outputs: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    if all(trainer.objective.is_plain_cross_entropy for trainer in trainers):
        logs = functional.log_softmax(outputs.flatten(1, -2), dim=-1)
        pairs = zip(logs.unbind(), wanted, strict=True)
        return [functional.nll_loss(log, y.flatten(), ignore_index=IGNORED) for log, y in pairs]
    each = zip(trainers, outputs.unbind(), wanted, strict=True)
    return [trainer.objective.loss(output, y) for trainer, output, y in each]


def caught(call: Callable[..., object], *given: object) -> Exception | None:
    try:
        call(*given)
    except Exception as error:  # noqa: BLE001 -- one member's must not end the others
        return error
    return None

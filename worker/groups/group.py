"""Runs that are trained as one: each goes its own course, and the steps of all are made together.

A member is an ordinary ``Trainer`` with its own network, optimiser, generators, remedies, probe and judging. Only the
forward and backward pass, the reading of the probes and the update are made for all at once. On the CPU each member's
weights, losses, traces and states are those that it would have alone, bit for bit (decision 40).
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from gradient_clinic.probe.probe import Probe
from gradient_clinic.probe.together import Together
from worker.begun import laid_out
from worker.datasets.split import IGNORED
from worker.groups.pace import Pace
from worker.groups.stacked import StackedNetwork
from worker.groups.update import update
from worker.results import Seen
from worker.trainer import Due, Trainer, never


def _nothing() -> None:
    pass


@dataclass(slots=True)
class Member:
    """A run of the group, and what is asked of it between steps; see ``Trainer.run``."""

    trainer: Trainer
    between_steps: Callable[[], None] = _nothing
    wanted: Callable[[int], bool] = never
    course: Iterator[Seen | Due] = field(init=False)
    ended: bool = False

    def __post_init__(self) -> None:
        self.course = self.trainer.course(self.between_steps, self.wanted)


class Group:
    """``members`` begin at one step. ``train`` yields what each sees with its number, or the error that has ended it;
    ``leave`` ends one. Those that are left go on as if there had never been others.
    """

    def __init__(self, members: Sequence[Member], pace: Pace | None = None) -> None:
        """``pace``: by which steps are made together; always where there is none."""
        self.members, self._pace = members, pace or Pace(gain=math.inf)
        self._clock = SharedClock(len(members))
        self._joint: JointStep | None = None
        for member in members:
            member.trainer.clock = self._clock.read

    def train(self) -> Iterator[tuple[int, Seen | Exception]]:
        try:
            while self._going():
                yield from self._advance()
                yield from self._step()
        finally:
            for number in range(len(self.members)):
                self.leave(number)

    def leave(self, number: int) -> None:
        member = self.members[number]
        if not member.ended:
            member.ended = True
            member.trainer.close()
            self._joint = None
            self._clock.shared_by(len(self._going()))

    def _going(self) -> list[Member]:
        return [member for member in self.members if not member.ended]

    def _advance(self) -> Iterator[tuple[int, Seen | Exception]]:
        """Every member up to its next step, or to its end."""
        for number, member in enumerate(self.members):
            while not member.ended:
                try:
                    seen = next(member.course)
                except StopIteration:
                    self.leave(number)
                except Exception as error:  # noqa: BLE001 -- it is this member's own, and told to who reads
                    self.leave(number)
                    yield number, error
                else:
                    if isinstance(seen, Due):
                        member.trainer.due = seen.step
                        break
                    yield number, seen

    def _step(self) -> Iterator[tuple[int, Exception]]:
        going = [(number, member) for number, member in enumerate(self.members) if not member.ended]
        trainers = [member.trainer for _, member in going]
        failed = self._made(trainers) if trainers else []
        for (number, _), error in zip(going, failed, strict=True):
            if error is not None:
                self.leave(number)
                yield number, error

    def _made(self, trainers: Sequence[Trainer]) -> Sequence[Exception | None]:
        """The next step of each, and the errors that have ended some."""
        if len(trainers) == 1:
            return _alone(trainers)
        together, began = self._pace.is_together(trainers[0].due), time.process_time()
        try:
            # Its weights are the members' own in either way, so that going from one to the other moves nothing.
            self._joint = self._joint or JointStep(trainers)
            failed = self._joint.make() if together else _alone(trainers)
        except Exception as error:  # noqa: BLE001 -- what fails for all is told to each
            return [error] * len(trainers)
        if trainers[0].plan.experiment.trace.every == 1 or trainers[0].recording is None:
            self._pace.took((time.process_time() - began) / len(trainers), together=together)
        return failed


class JointStep:
    """The steps of ``trainers`` made at once, for as long as these are the members."""

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
            _caught(trainer.treat, loss) for trainer, loss in zip(trainers, losses, strict=True)
        ]
        update([trainer for trainer, error in zip(trainers, failed, strict=True) if error is None and trainer.made])
        reading = sum(trainer.reading_seconds for trainer in trainers)
        # What each member took alone cannot be told apart: all have the same part.
        seconds = (time.perf_counter() - began - reading) / len(trainers)
        return [
            error or _caught(partial(trainer.conclude, shared=True), trainer.due, seconds)
            for trainer, error in zip(trainers, failed, strict=True)
        ]

    def _backward(self) -> list[Tensor]:
        """Each member's loss, with its gradients in ``.grad``."""
        parts = [trainer.batch(trainer.due) for trainer in self._trainers]
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


def _alone(trainers: Sequence[Trainer]) -> list[Exception | None]:
    return [_caught(trainer.step, trainer.due) for trainer in trainers]


def _caught(call: Callable[..., object], *given: object) -> Exception | None:
    try:
        call(*given)
    except Exception as error:  # noqa: BLE001 -- one member's must not end the others
        return error
    return None


class SharedClock:
    """Seconds of one member: all share what goes by evenly, however many they are just then."""

    def __init__(self, members: int, now: Callable[[], float] = time.perf_counter) -> None:
        self._members, self._seconds, self._now, self._read_at = members, 0.0, now, now()

    def read(self) -> float:
        now = self._now()
        self._seconds += (now - self._read_at) / max(1, self._members)
        self._read_at = now
        return self._seconds

    def shared_by(self, members: int) -> None:
        self.read()
        self._members = members

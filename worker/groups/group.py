"""Runs that are trained as one: each goes its own course, and the steps of all are made together.

A member is an ordinary ``Trainer`` with its own network, optimiser, generators, remedies, probe and judging. Only the
forward and backward pass, the reading of the probes and the update are made for all at once. On the CPU each member's
weights, losses, traces and states are those that it would have alone, bit for bit (decision 40). On a GPU they are so
up to rounding, and what a step launches does not grow with the members (decision 52).
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from worker.groups.joint import JointStep, caught
from worker.groups.mapped import MappedStep
from worker.groups.pace import COLD, Pace
from worker.results import Seen
from worker.trainer import Due, Trainer, never

Joining = type[JointStep | MappedStep]
"""How the steps of a group are made at once: on a CPU, and on a GPU."""


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

    def __init__(self, members: Sequence[Member], pace: Pace | None = None, joining: Joining = JointStep) -> None:
        """``pace``: by which steps are made together; always where there is none. ``joining``: how they are made so."""
        self.members, self._pace = members, pace or Pace(gain=math.inf)
        self._joining = joining
        self._clock = SharedClock(len(members))
        self._joint: JointStep | MappedStep | None = None
        for member in members:
            member.trainer.clock = self._clock.read

    def train(self) -> Iterator[tuple[int, Seen | Exception]]:
        try:
            while going := self._going():
                together, steps = self._pace.stretch()
                if together and len(going) >= self._joining.FEWEST:
                    yield from self._stretch(range(len(self.members)), steps, together=True)
                else:
                    for number in range(len(self.members)):
                        yield from self._stretch([number], steps, together=False)
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

    def _stretch(self, numbers: Sequence[int], steps: int, *, together: bool) -> Iterator[tuple[int, Seen | Exception]]:
        """So many steps of these members, each to its own end at the latest."""
        for step in range(steps):
            for number in numbers:
                yield from self._advance(number)
            going = [number for number in numbers if not self.members[number].ended]
            if not going:
                return
            trainers = [self.members[number].trainer for number in going]
            began = time.process_time()
            failed = self._made(trainers) if together else [caught(trainers[0].step, trainers[0].due)]
            # Where not all steps are recorded, those that are not are the more.
            if step >= COLD and (trainers[0].plan.experiment.trace.every == 1 or trainers[0].recording is None):
                self._pace.took((time.process_time() - began) / len(trainers), together=together)
            for number, error in zip(going, failed, strict=True):
                if error is not None:
                    self.leave(number)
                    yield number, error

    def _advance(self, number: int) -> Iterator[tuple[int, Seen | Exception]]:
        """A member up to its next step, or to its end."""
        member = self.members[number]
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
                    return
                yield number, seen

    def _made(self, trainers: Sequence[Trainer]) -> Sequence[Exception | None]:
        """The next step of all, together, and the errors that have ended some."""
        try:
            self._joint = self._joint or self._joining(trainers)
            return self._joint.make()
        except Exception as error:  # noqa: BLE001 -- what fails for all is told to each
            return [error] * len(trainers)


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

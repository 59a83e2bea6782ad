"""Which steps are recorded: each so many, each so many seconds, or as many as a share of the time pays for.

The share is of the process's time: watches of one process, as those of a pair of adversaries, have equal parts of it.
"""

import math
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

LEAD: Final = 51
"""The first steps, recorded whatever they cost: the verdict reads the untrained network and what settles in steps 10 to
19, and the early reading's recall was measured at step 50, with every step recorded."""

UNTOLD: Final = 20
"""The same where nobody tells the loss: there is no early reading then."""
WARM: Final = 10
"""Steps after which time is taken: the first ones compile, and follow the pass."""
SEEN: Final = 0.7
"""Of what recording costs a training the part that a watch sees itself, at least: behind a record caches are cold and
memory is given back. Trainings of ``proofs.watched`` cost about 1.4 times what was timed. So a share holds as a whole.
"""

ASKED: Final = 64
"""A watch has its part of the share for so many askings, of all watches, behind its own last one: it may step less
often than the others, or be no more.
"""


class Cadence(Protocol):
    def wants(self, step: int, now: float, spent: float, *, told: bool = True) -> bool:
        """Whether ``step`` is recorded. ``now`` in seconds of any clock, the same one for all; ``spent``: seconds of
        recording so far; ``told``: somebody tells the loss.
        """


@dataclass(slots=True)
class Company:
    """The watches of a process that are asked in turn."""

    spent: float = 0.0
    """Seconds of recording, of all of them."""
    _asked: deque[int] = field(default_factory=lambda: deque(maxlen=ASKED))

    def joined_by(self, who: object, spent: float) -> int:
        """How many they are. ``spent``: by this one, since it was asked last."""
        self._asked.append(id(who))
        self.spent += spent
        return len(set(self._asked))


PROCESS: Final = Company()


@dataclass(frozen=True, slots=True)
class EachSteps:
    steps: int

    def wants(self, step: int, now: float, spent: float, *, told: bool = True) -> bool:  # noqa: ARG002 -- one shape
        return step % self.steps == 0


@dataclass(slots=True)
class EachSeconds:
    seconds: float
    _last: float = -float("inf")

    def wants(self, step: int, now: float, spent: float, *, told: bool = True) -> bool:  # noqa: ARG002 -- as above
        if step >= _lead(told=told) and now - self._last < self.seconds:
            return False
        self._last = now
        return True


@dataclass(slots=True)
class Share:
    """Of the time since the lead, recording takes ``share`` at most, with all others of the process that do the same;
    what one record costs is known from the last.
    """

    share: float
    company: Company = field(default_factory=lambda: PROCESS)
    _asked: float = 0.0
    _before: float = 0.0
    _allowed: float = 0.0
    _spent: float = 0.0
    _cost: float = 0.0
    _wanted: bool = False

    def wants(self, step: int, now: float, spent: float, *, told: bool = True) -> bool:
        sharers = self.company.joined_by(self, spent - self._spent)
        if self._wanted:
            self._cost = spent - self._spent
        lead = step < _lead(told=told)
        if lead:
            self._before = spent
        else:
            self._allowed += self.share / sharers * (now - self._asked)
        self._asked, self._spent = now, spent
        self._wanted = lead or spent - self._before + self._cost <= self._allowed
        return self._wanted


def _lead(*, told: bool) -> int:
    return LEAD if told else UNTOLD


@dataclass(slots=True)
class Even:
    """Steps at even distances, as a service keeps them: each ``stride``. Of a share or of seconds it is chosen once, by
    what the steps of the lead have taken and recorded. The lead itself is recorded whole.
    """

    wanted: Cadence
    stride: int | None = None
    """None until it is known."""
    agreed: Callable[[int], int] = int
    """What several processes that record the same steps make of their own."""
    company: Company = field(default_factory=lambda: PROCESS)
    _began: float = 0.0
    _before: float = 0.0
    _others: float = 0.0
    _spent: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.wanted, EachSteps):
            self.stride = self.wanted.steps

    def wants(self, step: int, now: float, spent: float, *, told: bool = True) -> bool:  # noqa: ARG002 -- as above
        if self.stride is None:
            sharers = self.company.joined_by(self, spent - self._spent)
            self._spent = spent
            if step == WARM:
                self._began, self._before, self._others = now, spent, self.company.spent
            if step == LEAD:
                steps = LEAD - WARM
                step_s = (now - self._began - (self.company.spent - self._others)) / steps
                self.stride = self.agreed(self._chosen(step_s, sharers * (spent - self._before) / steps))
        return self.stride is None or step % self.stride == 0

    def _chosen(self, step_s: float, cost_s: float) -> int:
        """``cost_s``: of one record, times those who share the time."""
        every_s = self.wanted.seconds if isinstance(self.wanted, EachSeconds) else 0.0
        if isinstance(self.wanted, Share):
            every_s = cost_s / max(self.wanted.share, 1e-9)
        return max(1, math.ceil(every_s / max(step_s, 1e-9)))


def cadence_of(every: float | str) -> Cadence:
    """Of a number of steps, ``"0.5s"`` or ``"2%"``. ValueError for anything else."""
    if isinstance(every, int) and every > 0:
        return EachSteps(every)
    if isinstance(every, str) and (found := re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(s|%)\s*", every)):
        value = float(found[1])
        return EachSeconds(value) if found[2] == "s" else Share(SEEN * value / 100.0)
    message = (
        f"every={every!r} is neither a number of steps (10), nor of seconds ('0.5s'), nor a share of the time ('2%')"
    )
    raise ValueError(message)

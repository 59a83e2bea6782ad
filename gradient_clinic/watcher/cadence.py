"""Which steps are recorded: each so many, each so many seconds, or as many as a share of the time pays for."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

LEAD: Final = 51
"""The first steps, recorded whatever they cost: the verdict reads the untrained network and what settles in steps 10 to
19, and the early reading's recall was measured at step 50, with every step recorded."""


WARM: Final = 10
"""Steps after which time is taken: the first ones compile, and follow the pass."""


class Cadence(Protocol):
    def wants(self, step: int, now: float, spent: float) -> bool:
        """Whether ``step`` is recorded. ``now`` in seconds of any clock; ``spent``: seconds of recording so far."""


@dataclass(frozen=True, slots=True)
class EachSteps:
    steps: int

    def wants(self, step: int, now: float, spent: float) -> bool:  # noqa: ARG002 -- one shape for all
        return step % self.steps == 0


@dataclass(slots=True)
class EachSeconds:
    seconds: float
    _last: float = -float("inf")

    def wants(self, step: int, now: float, spent: float) -> bool:  # noqa: ARG002 -- as above
        if step >= LEAD and now - self._last < self.seconds:
            return False
        self._last = now
        return True


@dataclass(slots=True)
class Share:
    """Of the time since the lead, recording takes ``share`` at most; what one record costs is known from the last."""

    share: float
    _began: float = 0.0
    _before: float = 0.0
    _spent: float = 0.0
    _cost: float = 0.0
    _wanted: bool = False

    def wants(self, step: int, now: float, spent: float) -> bool:
        if self._wanted:
            self._cost = spent - self._spent
        self._spent = spent
        if step < LEAD:
            self._began, self._before = now, spent
        self._wanted = step < LEAD or spent - self._before + self._cost <= self.share * (now - self._began)
        return self._wanted


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
    _began: float = 0.0
    _before: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.wanted, EachSteps):
            self.stride = self.wanted.steps

    def wants(self, step: int, now: float, spent: float) -> bool:
        if self.stride is None and step == WARM:
            self._began, self._before = now, spent
        if self.stride is None and step == LEAD:
            cost = (spent - self._before) / (LEAD - WARM)
            self.stride = self.agreed(self._chosen((now - self._began) / (LEAD - WARM) - cost, cost))
        return self.stride is None or step % self.stride == 0

    def _chosen(self, step_s: float, cost_s: float) -> int:
        """``cost_s``: of one record."""
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
        return EachSeconds(value) if found[2] == "s" else Share(value / 100.0)
    message = (
        f"every={every!r} is neither a number of steps (10), nor of seconds ('0.5s'), nor a share of the time ('2%')"
    )
    raise ValueError(message)

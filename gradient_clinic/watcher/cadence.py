"""Which steps are recorded: each so many, each so many seconds, or as many as a share of the time pays for."""

import re
from dataclasses import dataclass
from typing import Final, Protocol

LEAD: Final = 51
"""The first steps, recorded whatever they cost: the verdict reads the untrained network and what settles in steps 10 to
19, and the early reading's recall was measured at step 50, with every step recorded."""


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

"""Whether the steps of a group are made together or run by run: whatever is faster here, by a margin.

The first steps of a group are made in turns in either way, which leaves the same bits: the measurement costs nothing.
Run by run means stretches of steps of one member: from step to step each would find the caches full of the others.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

WORTH: Final = 1.3
"""So much less time a member's step must take together; below, a group only holds up others who wait for its runs."""
TRIED: Final = 8
"""Steps of a stretch by which the ways are told apart; the first ``COLD`` of each bring the weights into the caches."""
COLD: Final = 2
STRETCHES: Final = 2
"""Of each way."""
TOGETHER, ALONE, APART = 93, 3, 64
"""Steps of a stretch once the ways are told apart. Those that a group makes alone say what remedies cost."""


@dataclass(slots=True)
class Pace:
    """Of one structure and number of members. ``gain``: a member's time alone over its time together, once known."""

    gain: float | None = None
    _stretches: int = 0
    _seconds: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})

    def stretch(self) -> tuple[bool, int]:
        """Whether the next steps are made together, and how many."""
        together = self._stretches % 2 == 0
        self._stretches += 1
        if self.gain is None and self._stretches > 2 * STRETCHES:
            self._judge()
        if self.gain is None:
            return together, TRIED
        if self.gain < WORTH:
            return False, APART
        return together, TOGETHER if together else ALONE

    def took(self, seconds: float, *, together: bool) -> None:
        """A member's part of a step that is not the first of its stretch."""
        if self.gain is None:
            self._seconds[together].append(seconds)

    @property
    def is_apart(self) -> bool:
        return self.gain is not None and self.gain < WORTH

    def _judge(self) -> None:
        if not all(self._seconds.values()):
            self._stretches = 1  # no step of some way was timed: once more
            return
        # What disturbs a step adds to it, so the fastest of each way are told most surely.
        of_way = {way: min(its) for way, its in self._seconds.items()}
        self.gain = of_way[False] / of_way[True] if of_way[True] > 0.0 else math.inf


@dataclass(slots=True)
class Always(Pace):
    """Of a group whose steps are all made together."""

    gain: float | None = math.inf

    def stretch(self) -> tuple[bool, int]:
        return True, TOGETHER


@dataclass(slots=True)
class Paces:
    """What a process has found out so far."""

    _known: dict[tuple[Hashable, int], Pace] = field(default_factory=dict)

    def of(self, structure: Hashable, members: int) -> Pace:
        return self._known.setdefault((structure, members), Pace())

    def may_be_worth(self, structure: Hashable, members: int) -> bool:
        """Not where as many or more were no faster together."""
        return not any(its == structure and n >= members and pace.is_apart for (its, n), pace in self._known.items())

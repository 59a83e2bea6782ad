"""Whether the steps of a group are made together or run by run: whatever is faster here, by a margin.

The first steps of a group are made in turns in either way, which leaves the same bits: the measurement costs nothing.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

WORTH: Final = 1.3
"""So much less time a member's step must take together; below, a group only holds up others who wait for its runs."""
WARM_UP, TIMED = 3, 8
"""Steps of each way: those that allocate and compile, and those that count."""

ALONE_EVERY = 32
"""One step in so many is made by each member alone: what remedies cost is told from these."""


@dataclass(slots=True)
class Pace:
    """Of one structure and number of members. ``gain``: a member's time alone over its time together, once known."""

    gain: float | None = None
    _seconds: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})

    def is_together(self, step: int) -> bool:
        """Of the step that is due."""
        if self.gain is None:
            # By pairs: every second step alone would be recorded always or never where every second one is.
            return step // 2 % 2 == 0
        return self.gain >= WORTH and step % ALONE_EVERY != ALONE_EVERY - 1

    def took(self, seconds: float, *, together: bool) -> None:
        """A member's part of a step of that way."""
        if self.gain is None:
            self._seconds[together].append(seconds)
            if all(len(its) >= WARM_UP + TIMED for its in self._seconds.values()):
                # What disturbs a step adds to it, so the fastest of each way are told most surely.
                of_way = {way: min(its[WARM_UP:]) for way, its in self._seconds.items()}
                self.gain = of_way[False] / of_way[True] if of_way[True] > 0.0 else math.inf

    @property
    def is_apart(self) -> bool:
        return self.gain is not None and self.gain < WORTH


@dataclass(slots=True)
class Paces:
    """What a process has found out so far."""

    _known: dict[tuple[Hashable, int], Pace] = field(default_factory=dict)

    def of(self, structure: Hashable, members: int) -> Pace:
        return self._known.setdefault((structure, members), Pace())

    def may_be_worth(self, structure: Hashable, members: int) -> bool:
        """Not where as many or more were no faster together."""
        return not any(its == structure and n >= members and pace.is_apart for (its, n), pace in self._known.items())

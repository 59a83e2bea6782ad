"""How long records are gathered for one message: by how long messages take, which says how busy the service is."""

import random
from typing import Final

FLUSH_S: Final = 1.0
"""Usually; a live view lags behind by this."""
SLOWEST_S: Final = 5.0
"""However busy it is."""
SPREAD: Final = 0.5, 1.5
"""Of each gathering: trainings that a sweep starts at once shall not go on to send at once."""
_SHARE: Final = 10.0
"""Gathering takes so many times as long as sending: of fifty writers five then send at once."""
_NEWEST: Final = 0.25
"""How much the newest message counts beside those before it: one that is slow by chance changes little."""


class Pace:
    def __init__(self) -> None:
        self._takes_s = 0.0
        self._random = random.Random()  # noqa: S311 -- no secret; and its own, as the training draws from the shared one

    def took(self, seconds: float) -> None:
        """So long a message was on its way until it was answered."""
        self._takes_s += _NEWEST * (seconds - self._takes_s)

    def next_s(self) -> float:
        """Of the next message."""
        return self.gathers_s * self._random.uniform(*SPREAD)

    @property
    def gathers_s(self) -> float:
        """On average."""
        return min(max(FLUSH_S, _SHARE * self._takes_s), SLOWEST_S)

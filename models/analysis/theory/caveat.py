"""One caveat of a prediction."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Caveat:
    """``about``: what it warns of, for a table; ``sentence``: the same to be read."""

    about: str
    sentence: str
    axis: Literal["depth", "time"] | None = None
    """Of a recurrent network: the one axis whose numbers it concerns; None where it concerns all."""

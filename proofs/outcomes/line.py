"""One thing that a training has to show, and what it shows here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that has to hold, and what was seen."""

    case: str
    required: str
    seen: str
    held: bool

"""One line of the closing table: what is promised, and what was found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Promise:
    """``held`` None where nothing was promised: the figure is for knowing only."""

    what: str
    promised: str
    measured: str
    held: bool | None = None

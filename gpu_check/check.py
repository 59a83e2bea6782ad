"""One thing that has to hold on the device, and what came of looking."""

from collections.abc import Callable
from dataclasses import dataclass


class Wrong(Exception):  # noqa: N818 -- a finding, told in its line
    """What was seen is not what has to be."""


@dataclass(frozen=True, slots=True)
class Check:
    """``look`` says what was seen, or raises ``Wrong``."""

    name: str
    look: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    held: bool
    seen: str

    def __str__(self) -> str:
        return f"{'ok' if self.held else 'FAILED':<8}{self.name}: {self.seen}"


def looked(check: Check) -> Line:
    """A check that cannot be made has failed: a device that breaks down under it is a finding too."""
    try:
        return Line(check.name, held=True, seen=check.look())
    except Wrong as wrong:
        return Line(check.name, held=False, seen=str(wrong))
    except Exception as error:  # noqa: BLE001 -- as said
        return Line(check.name, held=False, seen=f"{type(error).__name__}: {error}")

"""What a log holds, whatever its form: numbers by name, each at a step, in the order in which they were written."""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gradient_clinic.values import Array

Steps = npt.NDArray[np.int64]


class Point(NamedTuple):
    """``value``: NaN and ±∞ are values; what was not logged has no point."""

    name: str
    step: int
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """(n,) each, steps in order and each once."""

    steps: Steps
    values: Array


@dataclass(slots=True)
class Written:
    """One name's numbers as they were written: 16 bytes each, as a log may have millions."""

    steps: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, step: int, value: float) -> None:
        self.steps.append(step)
        self.values.append(value)

    def in_order(self) -> Series:
        """Of a step that was written twice the later value: a training that is taken up again writes its last steps
        anew.
        """
        steps, values = np.array(self.steps, dtype=np.int64), np.array(self.values)
        # The first in reverse is the last that was written.
        kept, places = np.unique(steps[::-1], return_index=True)
        return Series(kept, values[::-1][places])

    @property
    def repeated(self) -> int:
        return len(self.steps) - len(set(self.steps))


def gathered(points: Iterator[Point], wanted: Callable[[str], bool]) -> dict[str, Written]:
    """By name, in the order in which they came; nothing is kept of those that are not ``wanted``."""
    found: dict[str, Written] = {}
    kept: dict[str, bool] = {}
    for name, step, value in points:
        if name not in found:
            found[name], kept[name] = Written(), wanted(name)
        if kept[name]:
            found[name].add(step, value)
    return found

"""What the readers of formats hand to each other: the files of a request, how much they may unpack, raw arrays."""

from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from api.uploads.refusals import too_large

AnyArray = npt.NDArray[Any]
Form = Literal["vector", "image", "sequence"]
MOST_NUMBERS = 64_000_000
"""Inputs of a whole set, padding counted: MNIST has 55 million. Training standardises them in memory."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file as it was sent. ``name`` is for messages and tells training files from test files; never a path."""

    name: str
    file: BinaryIO

    def head(self, size: int = 8) -> bytes:
        self.file.seek(0)
        found = self.file.read(size)
        self.file.seek(0)
        return found


@dataclass(slots=True)
class Allowance:
    """How many more bytes may be unpacked."""

    limit: int
    used: int = 0

    @property
    def left(self) -> int:
        return self.limit - self.used

    def take(self, size: int, where: str) -> None:
        """413 where it is too much; called before anything of this size is held."""
        if size > self.left:
            message = f"unpacked this would have {self.used + size:,} bytes or more"
            raise too_large(where, message, self.limit)
        self.used += size


@dataclass(frozen=True, slots=True)
class RawSet:
    """A data set as a format gave it: x (cases, …), y (cases,), lengths (cases,) where x is padded, nothing checked."""

    x: AnyArray
    y: AnyArray
    format: str
    lengths: AnyArray | None = None
    is_sequence: bool = False
    class_names: list[str] | None = None


def check_numbers(count: int, what: str) -> None:
    """413 for more inputs than training could hold."""
    if count > MOST_NUMBERS:
        raise too_large("x", f"{what} are {count:,} numbers", MOST_NUMBERS)


def padded(cases: list[npt.NDArray[np.float32]]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """(cases, longest, features) with zeros behind each end, and the lengths. 413 before too much is asked for."""
    lengths = np.array([len(case) for case in cases], np.int64)
    longest, features = int(lengths.max()), cases[0].shape[1]
    what = f"{len(cases):,} sequences, each padded to {longest:,} steps of {features},"
    check_numbers(len(cases) * longest * features, what)
    x = np.zeros((len(cases), longest, features), np.float32)
    for row, case in zip(x, cases, strict=True):
        row[: len(case)] = case
    return x, lengths

"""What the readers of formats hand to each other: the files of a request, arrays as headers announce them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from api.refusals import invalid, too_large

AnyArray = npt.NDArray[Any]
Form = Literal["vector", "image", "sequence"]
Task = Literal["classification", "regression"]
Features = Literal["log_mel", "raw"]
Missing = Literal["refuse", "drop", "fill"]
MOST_NUMBERS = 64_000_000
"""Inputs of a whole set, padding counted: MNIST has 55 million. Training standardises them in memory."""
# Far beyond every limit on bytes, and their product fits what numpy multiplies in.
_LONGEST_AXIS, _MOST_AXES = 2**31, 8


@dataclass(frozen=True, slots=True)
class Asked:
    """How a request wants its files to be read. ``header``, ``target``, ``ignore`` and ``missing`` are of tables:
    whether the first line has names, the column to be learned, those to be left out, and what becomes of gaps.
    ``is_table``: a name or a content type says CSV, which counts where the content leaves it open.
    """

    features: Features = "log_mel"
    form: Form | None = None
    task: Task | None = None
    header: bool | None = None
    target: str | None = None
    ignore: Sequence[str] = ()
    missing: Missing = "refuse"
    is_table: bool = False


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


@dataclass(frozen=True, slots=True)
class Announced:
    """An array as its header has it. Nothing of it is held before it is read, so what it would take can be refused."""

    where: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    read: Callable[[], AnyArray]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize


def held(where: str, array: AnyArray) -> Announced:
    """What was computed from the file and is in memory already."""
    return Announced(where, array.dtype, array.shape, lambda: array)


@dataclass(frozen=True, slots=True)
class RawSet:
    """A data set as a format gives it, in parts that belong behind each other: x (cases, …), y (cases,), and lengths
    (cases,) where x is padded. Nothing is checked yet.
    """

    x: Sequence[Announced]
    y: Sequence[Announced]
    format: str
    lengths: Sequence[Announced] = ()
    is_sequence: bool = False
    class_names: list[str] | None = None
    note: str = ""
    """How it was read, where a format leaves that open."""
    columns_apart: dict[str, object] | None = None
    """Of a table: see ``apart.py``."""


def check_shape(shape: Sequence[int], where: str) -> None:
    """422 for axes that no array has; their sizes may have thousands of digits, so they are not shown."""
    if len(shape) > _MOST_AXES or not all(0 <= size < _LONGEST_AXIS for size in shape):
        raise invalid(where, "no array has this shape", allowed=f"up to {_MOST_AXES} axes of at most {_LONGEST_AXIS:,}")


def check_numbers(count: int, what: str) -> None:
    """413 for more inputs than training could hold."""
    if count > MOST_NUMBERS:
        raise too_large("x", f"{what} are {count:,} numbers", MOST_NUMBERS)


def check_kept(numbers: int, itemsize: int, cases: int, limit: int) -> None:
    """413 for what would be kept as more than ``limit`` bytes: inputs, labels and lengths."""
    size = numbers * itemsize + 16 * cases
    if size > limit:
        raise too_large("x", f"{cases:,} cases with {numbers:,} numbers would take {size:,} bytes", limit)

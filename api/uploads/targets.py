"""What the cases of a data set are to be told by: labels, or amounts. Whole numbers may be either, so the answer says
which they were taken for, and the request may say it first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from api.refusals import invalid
from api.uploads.parts import Announced, AnyArray, RawSet, Task
from models.specs.bounds import MOST_CLASSES

Labels = npt.NDArray[np.int64]

LONGEST_NAME = 200
_STRETCH_BYTES = 1 << 24
_LAST_CODE_POINT, _SURROGATES = 0x10FFFF, (0xD800, 0xDFFF)
MANY_LABELS: Final = 20
"""Of more different whole numbers, or where some between them are missing, it is said that they may be amounts."""
_KINDS: dict[Task, tuple[str, list[str]]] = {
    "classification": ("biufU", ["integers", "text"]),
    "regression": ("biuf", ["numbers"]),
}


@dataclass(frozen=True, slots=True)
class Targets:
    """``y``: labels (cases,) int64 from 0, or amounts (cases, ``classes``) float32; ``names`` where they were text."""

    y: AnyArray
    classes: int
    names: list[str] | None = None
    note: str = ""


def task_of(raw: RawSet, asked: Task | None) -> Task:
    """As asked for; else numbers with a fraction's type are amounts, and text and whole numbers labels."""
    are_text = raw.class_names is not None or any(part.dtype.kind == "U" for part in raw.y)
    if asked == "regression" and are_text:
        raise invalid("task", "the labels are text, which is no amount", asked, "classification")
    if asked is not None:
        return asked
    return "regression" if any(part.dtype.kind == "f" for part in raw.y) else "classification"


def read_targets(raw: RawSet, task: Task, asked: Task | None) -> Targets:
    if task == "regression":
        return _amounts(raw.y, asked)
    y, classes, names = _labels(raw)
    return Targets(y, classes, names, "" if names is not None or asked is not None else _note_of_labels(y, classes))


def _note_of_labels(y: Labels, classes: int) -> str:
    different = len(np.unique(y))
    if different <= MANY_LABELS and different == classes:
        return ""
    return f"{different:,} different whole numbers were read as labels; if they are amounts, send task=regression"


def _amounts(parts: Sequence[Announced], asked: Task | None) -> Targets:
    """(cases, outputs). What does not fit float32, or never varies, is refused."""
    read = [part.read() for part in parts]
    with np.errstate(all="ignore"):  # what becomes infinite is found and refused
        y = np.concatenate(read).astype(np.float32).reshape(sum(map(len, read)), -1)
    if not 1 <= y.shape[1] <= MOST_CLASSES:
        message = f"every case has {y.shape[1]:,} amounts"
        raise invalid(parts[0].where, message, y.shape[1], f"1 to {MOST_CLASSES:,}")
    wrong = ~np.isfinite(y)
    if wrong.any():
        case = int(np.argmax(wrong.any(axis=1)))
        message = f"case {case} is the first with an amount that is not finite in float32"
        where, value = f"y[{case}]", str(y[case][np.argmax(wrong[case])])
        raise invalid(where, message, value, "finite numbers")
    if (y == y[0]).all():
        raise invalid("y", "all cases have one amount", float(y[0, 0]), "amounts that vary")
    are_whole = y.shape[1] == 1 and asked is None and bool((y == np.round(y)).all())
    note = "whole numbers of a type with fractions were read as amounts; if they are labels, send task=classification"
    return Targets(y, y.shape[1], note=note if are_whole else "")


def check_targets(parts: Sequence[Announced], task: Task) -> None:
    """Types alone, before anything is read."""
    kinds, allowed = _KINDS[task]
    for part in parts:
        if part.dtype.kind not in kinds:
            what = "amounts are numbers" if task == "regression" else "labels are whole numbers or text"
            raise invalid(part.where, what, str(part.dtype)[:100], allowed)
        if part.dtype.kind == "U" and part.dtype.itemsize > 4 * LONGEST_NAME:
            message = f"the labels have room for {part.dtype.itemsize // 4:,} characters"
            raise invalid(part.where, message, part.dtype.itemsize // 4, f"1 to {LONGEST_NAME} characters")
    if len({part.dtype.kind == "U" for part in parts}) > 1:
        given = [str(part.dtype) for part in parts]
        raise invalid("y", "the labels of one part are text, and of the other numbers", given, "one kind in all parts")


def _labels(raw: RawSet) -> tuple[Labels, int, list[str] | None]:
    """(labels from 0, classes, their names where they came as text). Text is numbered in its order."""
    names = raw.class_names
    if raw.y[0].dtype.kind == "U":
        y, names = _from_text(raw.y)
    else:
        y = np.concatenate([_from_numbers(part) for part in raw.y])
    _check_names(names)
    low, high = int(y.min()), int(y.max())
    if low == high:
        raise invalid("y", "all cases have one label", low, "at least 2 classes")
    return y, high + 1, names


def _from_numbers(part: Announced) -> Labels:
    y = part.read()
    fractions = ~(np.isfinite(y) & (y == np.round(y))) if y.dtype.kind == "f" else np.zeros(0, bool)
    if fractions.any():
        at = int(np.argmax(fractions))
        where = f"{part.where}[{at}]"
        raise invalid(where, "no class has this number", str(y[at]), "whole numbers; for amounts send task=regression")
    # The extremes alone: if these two fit, all labels between them do.
    for wrong in (y.min(), y.max()) if len(y) else ():
        if not 0 <= wrong < MOST_CLASSES:
            where = f"{part.where}[{int(np.argmax(y == wrong))}]"
            allowed = f"0 to {MOST_CLASSES - 1:,}; for amounts send task=regression"
            raise invalid(where, "no class has this number", int(wrong), allowed)
    return y.astype(np.int64)


def _from_text(parts: Sequence[Announced]) -> tuple[Labels, list[str]]:
    """In stretches: sorting all labels at once would take many times their size."""
    stretches: list[tuple[Labels, list[str]]] = []
    names: set[str] = set()
    for part in parts:
        for stretch in _stretches(part.read()):
            _check_text(stretch, part.where)
            found, numbers = np.unique(stretch, return_inverse=True)
            stretches.append((numbers.astype(np.int64), [str(name) for name in found.tolist()]))
            names.update(stretches[-1][1])
            if len(names) > MOST_CLASSES:
                message = f"there are more than {MOST_CLASSES:,} different labels"
                raise invalid(part.where, message, allowed=f"at most {MOST_CLASSES:,}")
    # Labels are numbered in the order of their names, which is known only when all have been seen.
    ordered = sorted(names)
    place = {name: number for number, name in enumerate(ordered)}
    numbered = [np.array([place[name] for name in found], np.int64)[numbers] for numbers, found in stretches]
    return np.concatenate(numbered), ordered


def _stretches(array: AnyArray) -> Iterator[AnyArray]:
    rows = max(1, _STRETCH_BYTES // array.dtype.itemsize)
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def _check_text(text: AnyArray, where: str) -> None:
    """numpy keeps any number as a character; Python comes down on what is none, and UTF-8 cannot write a half one."""
    codes = text.view(np.uint32)
    low, high = _SURROGATES
    wrong = (codes > _LAST_CODE_POINT) | ((codes >= low) & (codes <= high))
    if wrong.any():
        message = f"a label is no text: it holds 0x{int(codes[np.argmax(wrong)]):X}, which is no character"
        raise invalid(where, message, allowed="Unicode without surrogates")


def _check_names(names: list[str] | None) -> None:
    if names is not None:
        wrong = next((name for name in names if not name or len(name) > LONGEST_NAME or "\0" in name), None)
        if wrong is not None:
            raise invalid("y", "no class has this name", wrong[:LONGEST_NAME], f"1 to {LONGEST_NAME} characters")

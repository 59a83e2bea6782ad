"""What every data set must be before it is kept, whatever it came as; and the one form in which it is kept.

Inputs become bytes or float32, labels 0 to classes − 1, sequences are cut at the longest and zero behind each end.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from api.uploads.parts import AnyArray, Form, RawSet, check_numbers
from api.uploads.refusals import invalid
from models.specs.uploaded import MOST_CLASSES, UploadedFacts

_AXES: dict[Form, str] = {
    "vector": "(cases, features)",
    "image": "(cases, height, width), or with channels before or behind",
    "sequence": "(cases, steps, features), with lengths where they vary",
}
_MOST_CHANNELS = 4
_LONGEST_NAME = 200
_STEP = 1 << 22


@dataclass(frozen=True, slots=True)
class CheckedSet:
    """A data set that may be kept."""

    x: AnyArray
    y: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64] | None
    facts: UploadedFacts
    class_names: list[str] | None

    def arrays(self) -> dict[str, AnyArray]:
        given = {"x": self.x, "y": self.y}
        return given if self.lengths is None else given | {"lengths": self.lengths}


def checked(raw: RawSet, form: Form | None) -> CheckedSet:
    """``form`` decides where the axes do not. 422 for what cannot be, 413 for what is too much."""
    _check_counts(raw)
    y, classes, names = _labels(raw)
    form = form or _form_of(raw)
    x = _shaped(raw.x, form)
    check_numbers(x.size, f"{len(x):,} cases of {x.shape[1:]}")
    x, lengths = _cut(_numbers(x), _lengths(raw, x, form))
    _check_finite(x)
    facts = UploadedFacts(
        cases=len(x),
        shape=tuple(int(size) for size in x.shape[1:]),
        classes=classes,
        form=form,
        varying_length=lengths is not None,
        format=raw.format,
    )
    return CheckedSet(x, y, lengths, facts, names)


def _check_counts(raw: RawSet) -> None:
    if raw.x.ndim == 0 or raw.y.ndim != 1:
        message = f"the labels have the shape {raw.y.shape}"
        raise invalid("y", message, list(raw.y.shape), "(cases,): one whole number or text for each case")
    if len(raw.x) != len(raw.y):
        raise invalid("y", f"{len(raw.x)} cases, and {len(raw.y)} labels", len(raw.y), "a label for each case")
    if len(raw.x) < 2:
        raise invalid("x", f"there are {len(raw.x)} cases", len(raw.x), "at least 2 cases")


def _labels(raw: RawSet) -> tuple[npt.NDArray[np.int64], int, list[str] | None]:
    """(labels from 0, classes, their names where they came as text). Text is numbered in its order."""
    y, names = raw.y, raw.class_names
    if y.dtype.kind == "U":
        found, y = np.unique(y, return_inverse=True)
        names = _texts(found)
    elif y.dtype.kind not in "biu":
        raise invalid("y", "labels are whole numbers or text", str(y.dtype), ["integers", "text"])
    low, high = int(y.min()), int(y.max())
    for wrong in (low, high):
        if not 0 <= wrong < MOST_CLASSES:
            where = f"y[{int(np.argmax(y == wrong))}]"
            raise invalid(where, "no class has this number", wrong, f"0 to {MOST_CLASSES - 1:,}")
    if low == high:
        raise invalid("y", "all cases have one label", low, "at least 2 classes")
    _check_names(names)
    return y.astype(np.int64), high + 1, names


def _texts(found: AnyArray) -> list[str]:
    try:
        names = [str(name) for name in found.tolist()]
        "".join(names).encode()
    except ValueError as error:
        raise invalid("y", f"a label is no text: {error}") from error
    return names


def _check_names(names: list[str] | None) -> None:
    if names is not None:
        wrong = next((name for name in names if not name or len(name) > _LONGEST_NAME or "\0" in name), None)
        if wrong is not None:
            raise invalid("y", "no class has this name", wrong[:_LONGEST_NAME], f"1 to {_LONGEST_NAME} characters")


def _form_of(raw: RawSet) -> Form:
    if raw.is_sequence:
        return "sequence"
    return "vector" if raw.x.ndim == 2 else "image"


def _shaped(x: AnyArray, form: Form) -> AnyArray:
    """(cases, features), (cases, channels, height, width) or (cases, steps, features)."""
    if x.dtype.kind not in "biuf":
        raise invalid("x", "inputs are numbers", str(x.dtype), ["integers", "floats"])
    allowed = {"vector": {2}, "image": {3, 4}, "sequence": {2, 3}}[form]
    if x.ndim not in allowed or 0 in x.shape:
        raise invalid("x", f"the shape {x.shape} is no {form}'s", list(x.shape), _AXES[form])
    if form == "sequence":
        return x[..., None] if x.ndim == 2 else x
    if form == "image" and x.ndim == 3:
        return x[:, None]
    if form == "image" and x.shape[1] > _MOST_CHANNELS >= x.shape[3]:
        return np.moveaxis(x, 3, 1)
    return x


def _numbers(x: AnyArray) -> AnyArray:
    """Bytes stay bytes, a quarter of the room; all else becomes what training computes in. Always a copy of its own."""
    if x.dtype == np.uint8:
        return np.array(x, order="C")
    with np.errstate(over="ignore"):  # what becomes infinite is found and refused
        return np.array(x, np.float32, order="C")


def _lengths(raw: RawSet, x: AnyArray, form: Form) -> npt.NDArray[np.int64] | None:
    if raw.lengths is None:
        return None
    if form != "sequence":
        raise invalid("lengths", f"a {form} has no length", allowed="form=sequence, or no lengths")
    if raw.lengths.shape != (len(x),) or raw.lengths.dtype.kind not in "iu":
        message = f"the lengths have the shape {raw.lengths.shape} and the type {raw.lengths.dtype}"
        raise invalid("lengths", message, list(raw.lengths.shape), f"({len(x)},), whole numbers")
    wrong = (raw.lengths < 1) | (raw.lengths > x.shape[1])
    if wrong.any():
        at = int(np.argmax(wrong))
        where = f"lengths[{at}]"
        raise invalid(where, "no case is so long", int(raw.lengths[at]), f"1 to {x.shape[1]}")
    return raw.lengths.astype(np.int64)


def _cut(x: AnyArray, lengths: npt.NDArray[np.int64] | None) -> tuple[AnyArray, npt.NDArray[np.int64] | None]:
    """What lies behind an end is zero, whatever was sent there. Where all are equally long nothing varies."""
    if lengths is None:
        return x, None
    longest = int(lengths.max())
    x = np.ascontiguousarray(x[:, :longest])
    x[np.arange(longest) >= lengths[:, None]] = 0
    return x, None if (lengths == longest).all() else lengths


def _check_finite(x: AnyArray) -> None:
    """In stretches, so that looking costs no second array of this size."""
    if x.dtype.kind != "f":
        return
    flat = x.reshape(-1)
    for start in range(0, len(flat), _STEP):
        wrong = ~np.isfinite(flat[start : start + _STEP])
        if wrong.any():
            case, *place = (int(at) for at in np.unravel_index(start + int(np.argmax(wrong)), x.shape))
            value, where = str(flat[start + int(np.argmax(wrong))]), f"x[{case}]"
            message = f"case {case} is the first with a number that is not finite in float32"
            raise invalid(where, message, value, {"place": place, "allowed": "finite numbers"})

"""What every data set must be before it is kept, whatever it came as; and the one form in which it is kept.

Inputs become bytes or float32, labels 0 to classes − 1, amounts float32; sequences are cut at the longest and zero
behind each end.
All that headers tell is checked before any array is read: types, shapes, counts, and sizes unpacked and as kept.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from api.refusals import invalid, too_large
from api.uploads.parts import Announced, AnyArray, Form, RawSet, Task, check_kept, check_numbers
from api.uploads.targets import Labels, check_targets, read_targets, task_of

_AXES: dict[Form, str] = {
    "vector": "(cases, features)",
    "image": "(cases, height, width), or with channels before or behind",
    "sequence": "(cases, steps, features), with lengths where they vary",
}
_NUMBERS = "biuf"
_MOST_CHANNELS = 4
_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found in the data; see ``UploadedFacts``, which is made of it."""

    cases: int
    shape: tuple[int, ...]
    classes: int
    form: Form
    varying_length: bool
    format: str
    task: Task
    note: str
    columns_apart: dict[str, object] | None


@dataclass(frozen=True, slots=True)
class CheckedSet:
    """A data set that may be kept."""

    x: AnyArray
    y: AnyArray
    lengths: Labels | None
    facts: Facts
    class_names: list[str] | None

    def arrays(self) -> dict[str, AnyArray]:
        given: dict[str, AnyArray] = {"x": self.x, "y": self.y}
        return given if self.lengths is None else given | {"lengths": self.lengths}

    def version(self) -> str:
        """The digest of the arrays, their names, types and shapes, and of what gives them their meaning."""
        notes = {"form": self.facts.form, "class_names": self.class_names}
        # What gives numbers their meaning is content as well: digits 0 and 1 under other names are other data.
        digest = hashlib.blake2b(json.dumps(notes, sort_keys=True).encode(), digest_size=32)
        for name, array in sorted(self.arrays().items()):
            digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data.cast("B"))
        return digest.hexdigest()

    def told(self) -> dict[str, object]:
        """All but the arrays, as JSON has it."""
        size = sum(array.nbytes for array in self.arrays().values())
        return {
            "version": self.version(),
            "facts": asdict(self.facts),
            "class_names": self.class_names,
            "arrays": list(self.arrays()),
            "size": size,
        }


def checked(raw: RawSet, form: Form | None, asked: Task | None, limit: int) -> CheckedSet:
    """``form`` decides where the axes do not, and ``asked`` what ``y`` is. 422 for what cannot be, 413 for what is too
    much.
    """
    # All that headers tell comes first; the arrays are read from ``read_targets`` on.
    _check_unpacked(raw, limit)
    task = task_of(raw, asked)
    cases = _check_counts(raw, {1, 2} if asked == "regression" else {1})
    form = form or _form_of(raw)
    kept = _kept_type(raw.x)
    check_targets(raw.y, task)
    _check_lengths(raw, form, cases)
    _check_shape(raw.x[0], form)
    _check_kept(raw, cases, kept, limit)
    targets = read_targets(raw, task, asked)
    lengths = _lengths(raw)
    x = _inputs(raw.x, kept, form, None if lengths is None else int(lengths.max()))
    if lengths is not None:
        # Whatever stands behind an end is no content, and must not make another version.
        x[np.arange(x.shape[1]) >= lengths[:, None]] = 0
    if lengths is not None and (lengths == lengths[0]).all():
        lengths = None  # nothing varies
    _check_finite(x)
    shape = tuple(int(size) for size in x.shape[1:])
    note = "; ".join(filter(None, (raw.note, targets.note)))
    facts = Facts(cases, shape, targets.classes, form, lengths is not None, raw.format, task, note, raw.columns_apart)
    return CheckedSet(x, targets.y, lengths, facts, targets.names)


def _check_unpacked(raw: RawSet, limit: int) -> None:
    unpacked = sum(part.nbytes for part in (*raw.x, *raw.y, *raw.lengths))
    if unpacked > limit:
        largest = max((*raw.x, *raw.y, *raw.lengths), key=lambda part: part.nbytes)
        message = f"the headers announce {unpacked:,} bytes, this one {largest.nbytes:,} of them"
        raise too_large(largest.where, message, limit)


def _check_counts(raw: RawSet, axes: set[int]) -> int:
    """How many cases there are; every part has a label for each of its own, and cases as in the first part. ``y`` has
    one of so many ``axes``: one-hot labels, taken for amounts, would train as something else than was meant.
    """
    first = raw.x[0]
    for x, y in zip(raw.x, raw.y, strict=True):
        is_none = not x.shape or len(y.shape) not in axes or 0 in y.shape[1:]
        if is_none or y.shape[1:] != raw.y[0].shape[1:]:
            message = f"the inputs have the shape {x.shape}, and the labels {y.shape}"
            allowed = "(cases,): one number or text for each case; with task=regression also (cases, outputs)"
            raise invalid(y.where, message, list(y.shape), allowed)
        if x.shape[0] != y.shape[0]:
            message = f"{x.shape[0]} cases, and {y.shape[0]} labels in {y.where}"
            raise invalid(x.where, message, x.shape[0], "a label for each case")
        # One array is kept of all parts, whose cases stand behind each other.
        if x.shape[1:] != first.shape[1:]:
            message = f"cases of {x.shape[1:]}, and of {first.shape[1:]} in {first.where}"
            raise invalid(x.where, message, list(x.shape), "one shape in all parts")
    cases = sum(x.shape[0] for x in raw.x)
    if cases < 2:
        raise invalid(first.where, f"there are {cases} cases", cases, "at least 2 cases")
    return cases


def _form_of(raw: RawSet) -> Form:
    if raw.is_sequence:
        return "sequence"
    return "vector" if len(raw.x[0].shape) == 2 else "image"


def _kept_type(parts: Sequence[Announced]) -> npt.DTypeLike:
    """Bytes stay bytes, a quarter of the room; all else becomes what training computes in."""
    wrong = next((part for part in parts if part.dtype.kind not in _NUMBERS), None)
    if wrong is not None:
        raise invalid(wrong.where, "inputs are numbers", str(wrong.dtype)[:100], ["integers", "floats"])
    are_bytes = [part.dtype == np.uint8 for part in parts]
    if any(are_bytes) != all(are_bytes):
        given = [str(part.dtype) for part in parts]
        raise invalid("x", "one part has bytes and the other has none", given, "bytes in all parts, or in none")
    return np.uint8 if all(are_bytes) else np.float32


def _check_lengths(raw: RawSet, form: Form, cases: int) -> None:
    if raw.lengths and form != "sequence":
        raise invalid("lengths", f"a {form} has no length", allowed="form=sequence, or no lengths")
    for part, x in zip(raw.lengths, raw.x, strict=False):
        if part.shape != x.shape[:1] or part.dtype.kind not in "iu":
            message = f"the lengths have the shape {part.shape} and the type {part.dtype}"
            raise invalid(part.where, message, list(part.shape), f"{x.shape[:1]}, whole numbers; {cases} in all")


def _check_shape(first: Announced, form: Form) -> None:
    allowed = {"vector": {2}, "image": {3, 4}, "sequence": {2, 3}}[form]
    if len(first.shape) not in allowed or 0 in first.shape[1:]:
        raise invalid(first.where, f"the shape {first.shape} is no {form}'s", list(first.shape), _AXES[form])


def _check_kept(raw: RawSet, cases: int, kept: npt.DTypeLike, limit: int) -> None:
    numbers, itemsize = sum(part.size for part in raw.x), np.dtype(kept).itemsize
    check_numbers(numbers, f"{cases:,} cases of {raw.x[0].shape[1:]}")
    # One label a case is counted anyway; amounts may be as many as they like.
    check_kept(numbers + sum(part.size - part.shape[0] for part in raw.y) * 4 // itemsize, itemsize, cases, limit)


def _lengths(raw: RawSet) -> Labels | None:
    if not raw.lengths:
        return None
    read = []
    for part, x in zip(raw.lengths, raw.x, strict=True):
        lengths = part.read()
        wrong = (lengths < 1) | (lengths > x.shape[1])
        if wrong.any():
            at = int(np.argmax(wrong))
            where = f"{part.where}[{at}]"
            raise invalid(where, "no case is so long", int(lengths[at]), f"1 to {x.shape[1]}")
        read.append(lengths.astype(np.int64))
    return np.concatenate(read)


def _inputs(parts: Sequence[Announced], kept: npt.DTypeLike, form: Form, longest: int | None) -> AnyArray:
    """(cases, features), (cases, channels, height, width) or (cases, steps, features), as kept. One part at a time is
    held besides. What becomes infinite in float32 is found and refused afterwards.
    """
    cases = sum(part.shape[0] for part in parts)
    x: AnyArray | None = None
    at = 0
    for part in parts:
        read = _with_axes(part.read(), form)[:, :longest]
        if x is None:
            # Made once and filled part by part: no second array of this size is ever held.
            x = np.empty((cases, *read.shape[1:]), kept)
        with np.errstate(all="ignore"):
            x[at : at + len(read)] = read
        at += len(read)
    assert x is not None  # a set has parts
    return x


def _with_axes(x: AnyArray, form: Form) -> AnyArray:
    if form == "sequence" and x.ndim == 2:
        return x[..., None]
    if form == "image" and x.ndim == 3:
        return x[:, None]
    if form == "image" and x.shape[1] > _MOST_CHANNELS >= x.shape[3]:
        return np.moveaxis(x, 3, 1)
    return x


def _check_finite(x: AnyArray) -> None:
    """Looks at stretches, so that it needs no second array of this size."""
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

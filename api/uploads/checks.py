"""What every data set must be before it is kept, whatever it came as; and the one form in which it is kept.

Inputs become bytes or float32, labels 0 to classes − 1, sequences are cut at the longest and zero behind each end.
All that headers tell is checked before any array is read: types, shapes, counts, and sizes unpacked and as kept.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from api.refusals import invalid, too_large
from api.uploads.parts import Announced, AnyArray, Form, RawSet, check_kept, check_numbers
from models.specs.bounds import MOST_CLASSES

Labels = npt.NDArray[np.int64]

_AXES: dict[Form, str] = {
    "vector": "(cases, features)",
    "image": "(cases, height, width), or with channels before or behind",
    "sequence": "(cases, steps, features), with lengths where they vary",
}
_NUMBERS = "biuf"
_MOST_CHANNELS = 4
LONGEST_NAME = 200
_STEP = 1 << 20
_STRETCH_BYTES = 1 << 24
_LAST_CODE_POINT, _SURROGATES = 0x10FFFF, (0xD800, 0xDFFF)


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found in the data; see ``UploadedFacts``, which is made of it."""

    cases: int
    shape: tuple[int, ...]
    classes: int
    form: Form
    varying_length: bool
    format: str


@dataclass(frozen=True, slots=True)
class CheckedSet:
    """A data set that may be kept."""

    x: AnyArray
    y: Labels
    lengths: Labels | None
    facts: Facts
    class_names: list[str] | None

    def arrays(self) -> dict[str, AnyArray]:
        given: dict[str, AnyArray] = {"x": self.x, "y": self.y}
        return given if self.lengths is None else given | {"lengths": self.lengths}

    def version(self) -> str:
        """The digest of the arrays, their names, types and shapes, and of what gives them their meaning."""
        notes = {"form": self.facts.form, "class_names": self.class_names}
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


def checked(raw: RawSet, form: Form | None, limit: int) -> CheckedSet:
    """``form`` decides where the axes do not. 422 for what cannot be, 413 for what is too much."""
    _check_unpacked(raw, limit)
    cases = _check_counts(raw)
    form = form or _form_of(raw)
    kept = _kept_type(raw.x)
    _check_labels(raw.y)
    _check_lengths(raw, form, cases)
    _check_shape(raw.x[0], form)
    _check_kept(raw, cases, kept, limit)
    y, classes, names = _labels(raw)
    lengths = _lengths(raw)
    x = _inputs(raw.x, kept, form, None if lengths is None else int(lengths.max()))
    if lengths is not None:
        x[np.arange(x.shape[1]) >= lengths[:, None]] = 0
    if lengths is not None and (lengths == lengths[0]).all():
        lengths = None  # nothing varies
    _check_finite(x)
    shape = tuple(int(size) for size in x.shape[1:])
    return CheckedSet(x, y, lengths, Facts(cases, shape, classes, form, lengths is not None, raw.format), names)


def _check_unpacked(raw: RawSet, limit: int) -> None:
    unpacked = sum(part.nbytes for part in (*raw.x, *raw.y, *raw.lengths))
    if unpacked > limit:
        largest = max((*raw.x, *raw.y, *raw.lengths), key=lambda part: part.nbytes)
        message = f"the headers announce {unpacked:,} bytes, this one {largest.nbytes:,} of them"
        raise too_large(largest.where, message, limit)


def _check_counts(raw: RawSet) -> int:
    """How many cases there are; every part has a label for each of its own, and cases as in the first part."""
    first = raw.x[0]
    for x, y in zip(raw.x, raw.y, strict=True):
        if not x.shape or len(y.shape) != 1:
            message = f"the inputs have the shape {x.shape}, and the labels {y.shape}"
            raise invalid(y.where, message, list(y.shape), "(cases,): one whole number or text for each case")
        if x.shape[0] != y.shape[0]:
            message = f"{x.shape[0]} cases, and {y.shape[0]} labels in {y.where}"
            raise invalid(x.where, message, x.shape[0], "a label for each case")
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


def _check_labels(parts: Sequence[Announced]) -> None:
    for part in parts:
        if part.dtype.kind not in "biuU":
            raise invalid(part.where, "labels are whole numbers or text", str(part.dtype)[:100], ["integers", "text"])
        if part.dtype.kind == "U" and part.dtype.itemsize > 4 * LONGEST_NAME:
            message = f"the labels have room for {part.dtype.itemsize // 4:,} characters"
            raise invalid(part.where, message, part.dtype.itemsize // 4, f"1 to {LONGEST_NAME} characters")
    if len({part.dtype.kind == "U" for part in parts}) > 1:
        given = [str(part.dtype) for part in parts]
        raise invalid("y", "the labels of one part are text, and of the other numbers", given, "one kind in all parts")


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
    numbers = sum(part.size for part in raw.x)
    check_numbers(numbers, f"{cases:,} cases of {raw.x[0].shape[1:]}")
    check_kept(numbers, np.dtype(kept).itemsize, cases, limit)


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
    for wrong in (int(y.min()), int(y.max())) if len(y) else ():
        if not 0 <= wrong < MOST_CLASSES:
            where = f"{part.where}[{int(np.argmax(y == wrong))}]"
            raise invalid(where, "no class has this number", wrong, f"0 to {MOST_CLASSES - 1:,}")
    return y.astype(np.int64)


def _from_text(parts: Sequence[Announced]) -> tuple[Labels, list[str]]:
    """Works in stretches: sorting all labels at once would take many times their size."""
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

"""numpy's npz: a zip of npy files. Read here member by member, so that nothing is unpickled and no header believed."""

import math
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.lib import format as npy

from api.uploads.parts import Allowance, AnyArray, RawSet, check_numbers
from api.uploads.refusals import invalid
from models.idx import fill

_WHOLE = ("x", "y")
_PARTS = ("x_train", "y_train", "x_test", "y_test")
_LENGTHS = {"x": "lengths", "x_train": "lengths_train", "x_test": "lengths_test"}
_LONGEST_HEADER = 10_000


def read_npz(archive: zipfile.ZipFile, allowance: Allowance) -> RawSet:
    """x and y, or the four of a split set training part first; ``lengths`` beside each x where it is padded."""
    members = {its.filename.removesuffix(".npy"): its for its in archive.infolist() if its.filename.endswith(".npy")}
    names = next((names for names in (_PARTS, _WHOLE) if set(names) <= set(members)), None)
    if names is None:
        allowed = [list(_WHOLE), list(_PARTS), "lengths, lengths_train and lengths_test may be added"]
        raise invalid("npz", "these arrays are not a data set", sorted(members)[:20], allowed)
    wanted = [*names, *(_LENGTHS[name] for name in names if _LENGTHS.get(name) in members)]
    arrays = {name: _read(archive, members[name], allowance) for name in wanted}
    return _together(arrays, [name for name in names if name.startswith("x")])


def _together(arrays: Mapping[str, AnyArray], inputs: list[str]) -> RawSet:
    first = arrays[inputs[0]]
    given = [_LENGTHS[name] in arrays for name in inputs]
    if any(given) != all(given):
        raise invalid("lengths", "one part has lengths and the other has none", sorted(arrays))
    for name in inputs:
        label = f"y{name[1:]}"
        if arrays[name].ndim == 0 or arrays[label].ndim == 0 or len(arrays[name]) != len(arrays[label]):
            message = f"the shapes {arrays[name].shape} and {arrays[label].shape} of {label} do not go together"
            raise invalid(name, message, list(arrays[name].shape), "a label for each case")
        if arrays[name].shape[1:] != first.shape[1:]:
            message = f"cases of {arrays[name].shape[1:]}, and of {first.shape[1:]} in {inputs[0]}"
            raise invalid(name, message, list(arrays[name].shape), "one shape in both parts")
    check_numbers(sum(arrays[name].size for name in inputs), "all cases")
    lengths = _joined([arrays[_LENGTHS[name]] for name in inputs]) if all(given) else None
    x = _joined([arrays[name] for name in inputs])
    y = _joined([arrays[f"y{name[1:]}"] for name in inputs])
    return RawSet(x, y, "npz", lengths, is_sequence=lengths is not None)


def _joined(arrays: list[AnyArray]) -> AnyArray:
    if len(arrays) == 1:
        return arrays[0]
    try:
        return np.concatenate(arrays)
    except (TypeError, ValueError) as error:
        raise invalid("npz", f"the two parts do not go together: {error}") from error


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, allowance: Allowance) -> AnyArray:
    """The announced size is what is unpacked at most: zipfile stops there."""
    allowance.take(member.file_size, member.filename)
    with archive.open(member) as stream:
        dtype, shape, fortran = _header(cast("BinaryIO", stream), member.filename)
        expected = math.prod(shape) * dtype.itemsize
        if expected > member.file_size:
            message = f"the header announces {expected:,} bytes, and the file has {member.file_size:,}"
            raise invalid(member.filename, message, list(shape))
        data = np.empty(expected, np.uint8)
        if fill(cast("BinaryIO", stream), data.data) < expected or stream.read(1):
            message = f"the header announces {expected:,} bytes, and other than those follow"
            raise invalid(member.filename, message, list(shape))
    array = data.view(dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _header(stream: BinaryIO, name: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream, max_header_size=_LONGEST_HEADER)
    except ValueError as error:
        raise invalid(name, f"this is no npy file: {str(error)[:200]}") from error
    if dtype.kind not in "biufU" or dtype.itemsize == 0:
        message = "only plain numbers are read; objects would need pickle, which could run code"
        raise invalid(name, message, str(dtype)[:100], ["integers", "floats", "booleans", "text labels"])
    if any(size < 0 for size in shape) or len(shape) > 8:
        raise invalid(name, "no array has this shape", [int(size) for size in shape[:20]])
    return dtype, shape, fortran

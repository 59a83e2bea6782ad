"""numpy's npz: a zip of npy files. Read here member by member, so that nothing is unpickled and no header believed."""

import math
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.lib import format as npy

from api.refusals import invalid
from api.uploads.parts import Announced, AnyArray, RawSet, check_shape
from models.storage.idx import fill, in_native_order

_WHOLE = ("x", "y")
_PARTS = ("x_train", "y_train", "x_test", "y_test")
_LENGTHS = {"x": "lengths", "x_train": "lengths_train", "x_test": "lengths_test"}
_LONGEST_HEADER = 10_000
Members = Mapping[str, zipfile.ZipInfo]


def read_npz(archive: zipfile.ZipFile, files: Sequence[zipfile.ZipInfo]) -> RawSet:
    """x and y, or the four of a split set training part first; ``lengths`` beside each x where it is padded."""
    members = {member.filename.removesuffix(".npy"): member for member in files}
    names = next((names for names in (_PARTS, _WHOLE) if set(names) <= set(members)), None)
    if names is None:
        allowed = [list(_WHOLE), list(_PARTS), "lengths, lengths_train and lengths_test may be added"]
        raise invalid("npz", "these arrays are not a data set", sorted(members)[:20], allowed)
    inputs = [name for name in names if name.startswith("x")]
    given = [_LENGTHS[name] in members for name in inputs]
    if any(given) != all(given):
        raise invalid("lengths", "one part has lengths and the other has none", sorted(members)[:20])
    x = [_announced(archive, members[name]) for name in inputs]
    y = [_announced(archive, members[f"y{name[1:]}"]) for name in inputs]
    lengths = [_announced(archive, members[_LENGTHS[name]]) for name in inputs if all(given)]
    return RawSet(x, y, "npz", lengths, is_sequence=all(given))


def _announced(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Announced:
    with archive.open(member) as stream:
        dtype, shape, _ = _header(cast("BinaryIO", stream), member.filename)
    expected = math.prod(shape) * dtype.itemsize
    if expected > member.file_size:
        message = f"the header announces {expected:,} bytes, and the file has {member.file_size:,}"
        raise invalid(member.filename, message, list(shape))
    return Announced(member.filename, dtype, shape, partial(_read, archive, member))


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> AnyArray:
    """The array, in the machine's byte order."""
    with archive.open(member) as stream:
        dtype, shape, fortran = _header(cast("BinaryIO", stream), member.filename)
        expected = math.prod(shape) * dtype.itemsize
        # As bytes, so that the stream is read into place, whatever the type.
        data = np.empty(expected, np.uint8)
        if fill(cast("BinaryIO", stream), data.data) < expected or stream.read(1):
            message = f"the header announces {expected:,} bytes, and other than those follow"
            raise invalid(member.filename, message, list(shape))
    if dtype.kind == "b":  # other bytes than 0 and 1 would be neither true nor false
        np.minimum(data, 1, out=data)
    return in_native_order(data.view(dtype)).reshape(shape, order="F" if fortran else "C")


def _header(stream: BinaryIO, name: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python 2 wrote is read too
            version = npy.read_magic(stream)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(stream, max_header_size=_LONGEST_HEADER)
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise  # of the zip, which says so itself
    except Exception as error:  # numpy reads the header as Python, and lets out whatever that raises
        raise invalid(name, f"this is no npy file: {str(error)[:200]}") from error
    if dtype.kind not in "biufU" or dtype.itemsize == 0:
        message = "only plain numbers are read; objects would need pickle, which could run code"
        raise invalid(name, message, str(dtype)[:100], ["integers", "floats", "booleans", "text labels"])
    check_shape(shape, name)
    return dtype, tuple(int(size) for size in shape), fortran

"""Reads IDX, the format of MNIST's files, from a stream: two zero bytes, a type, the number of axes, their sizes, the
numbers. Nothing is read beyond what the header announces, and no header is believed beyond a limit.
"""

import math
import struct
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

# Everything in the file is big-endian.
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_AXES = 8
_STEP = 1 << 20


class IdxError(ValueError):
    """This is no IDX file, or its header and what follows disagree."""


class IdxTooLargeError(IdxError):
    """The header announces more than is allowed; nothing behind it was read."""


def read_idx(stream: BinaryIO, most_bytes: int) -> npt.NDArray[Any]:
    """The array, in the machine's byte order. Memory is used as bytes arrive, never more than ``most_bytes``."""
    dtype, shape = read_header(stream)
    # In Python's integers: eight sizes of 32 bits each would overflow numpy's.
    expected = math.prod(shape) * dtype.itemsize
    sizes = "×".join(map(str, shape))
    if expected > most_bytes:
        message = f"the header announces {sizes} numbers, {expected:,} bytes; at most {most_bytes:,} are allowed"
        raise IdxTooLargeError(message)
    # Not zeroed: pages that no byte arrives for are never touched, so a lying header costs nothing.
    data = np.empty(expected, np.uint8)
    found = fill(stream, data.data)
    if found < expected or stream.read(1):
        there = "more" if found == expected else f"{found:,}"
        message = f"the header announces {sizes} numbers, {expected:,} bytes; {there} follow it"
        raise IdxError(message)
    return in_native_order(data.view(dtype).reshape(shape))


def in_native_order(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same numbers in the machine's byte order, turned where they lie: no second array is made."""
    if array.dtype.isnative:
        return array
    return array.byteswap(inplace=True).view(array.dtype.newbyteorder("="))


def fill(stream: BinaryIO, target: memoryview) -> int:
    """Read until ``target`` is full or the stream ends, in steps, as a packed stream unpacks what it is asked for."""
    found = 0
    while found < len(target):
        chunk = stream.read(min(_STEP, len(target) - found))
        if not chunk:
            break
        target[found : found + len(chunk)] = chunk
        found += len(chunk)
    return found


def read_header(stream: BinaryIO) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """(type, shape) that the file announces; the stream is then at the first number."""
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        message = f"an IDX file begins with two zero bytes, a type and a number of axes; here is 0x{start.hex()}"
        raise IdxError(message)
    code, axes = start[2], start[3]
    if code not in TYPES:
        allowed = ", ".join(f"0x{each:02X}" for each in TYPES)
        message = f"there is no IDX type 0x{code:02X}; there are {allowed}"
        raise IdxError(message)
    if not 1 <= axes <= MOST_AXES:
        message = f"an IDX file has 1 to {MOST_AXES} axes; this one says {axes}"
        raise IdxError(message)
    sizes = stream.read(4 * axes)
    if len(sizes) < 4 * axes:
        message = f"an IDX header of {axes} axes has {4 + 4 * axes} bytes; here are {4 + len(sizes)}"
        raise IdxError(message)
    return np.dtype(TYPES[code]), struct.unpack(f">{axes}I", sizes)

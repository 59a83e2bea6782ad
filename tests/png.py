"""PNG files as pixels, by the rules of the format (ISO/IEC 15948, 9.2): 8 bits a channel, not interlaced."""

import struct
import zlib

import numpy as np
import numpy.typing as npt

CHANNELS = {2: 3, 6: 4}


def pixels(content: bytes) -> npt.NDArray[np.uint8]:
    """height × width × channels."""
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", content, 16)
    assert (depth, interlaced) == (8, 0)
    channels = CHANNELS[colour]
    data = zlib.decompress(b"".join(body for kind, body in _chunks(content) if kind == b"IDAT"))
    lines = np.frombuffer(data, dtype=np.uint8).reshape(height, 1 + width * channels)
    above = [0] * (width * channels)
    rows = []
    for kind, *line in lines.tolist():
        above = _unfiltered(kind, line, above, channels)
        rows.append(above)
    return np.array(rows, dtype=np.uint8).reshape(height, width, channels)


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    at, found = 8, []
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        found.append((kind, content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _unfiltered(kind: int, line: list[int], above: list[int], channels: int) -> list[int]:
    for at in range(len(line)):
        left = line[at - channels] if at >= channels else 0
        corner = above[at - channels] if at >= channels else 0
        guess = (0, left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))[kind]
        line[at] = (line[at] + guess) % 256
    return line


def _paeth(left: int, above: int, corner: int) -> int:
    whole = left + above - corner
    return min((left, above, corner), key=lambda one: abs(whole - one))

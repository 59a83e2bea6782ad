"""Heat maps as small PNG pictures inside the page: one pixel per layer and bucket, one colour scale for all.

The scale is diverging: blue where gradients are smaller than at the last hidden layer, red where larger, grey where
they are exactly zero, black where nothing finite was seen. Zero of the scale is white on every map, so two maps can be
compared by eye.
"""

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

# Dark blue, blue, white, red, dark red: readable with the common kinds of colour blindness.
STOPS = np.array([[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]], dtype=np.float64)
NOT_FINITE = (20, 20, 20)
SILENT = (150, 150, 150)
OPAQUE = 255.0
SMALLEST_LIMIT = 12.0
"""Four times the cut of the verdict: a healthy map stays pale, and nothing within the cut gets a dark colour."""


def scale_limit(maps: Sequence[Array]) -> float:
    """The largest |r| of all maps, so that one scale holds for them."""
    finite = [np.abs(one[np.isfinite(one)]) for one in maps]
    largest = max((float(one.max()) for one in finite if one.size), default=SMALLEST_LIMIT)
    return max(largest, SMALLEST_LIMIT)


def colours(values: Array, limit: float, *, blank: bool = False) -> Bytes:
    """(rows, columns) → (rows, columns, 3). By the square root, so that one exploded step leaves the rest readable.

    −∞ is the logarithm of an exact zero; NaN and +∞ are what is not finite. With ``blank`` NaN was never there and is
    transparent: (rows, columns, 4).
    """
    place = (np.clip(np.sign(values) * np.sqrt(np.abs(values) / limit), -1.0, 1.0) + 1.0) / 2.0 * (len(STOPS) - 1)
    place = np.where(np.isfinite(place), place, 0.0)
    below = np.minimum(place.astype(np.int64), len(STOPS) - 2)
    share = (place - below)[..., np.newaxis]
    mixed = (1.0 - share) * STOPS[below] + share * STOPS[below + 1]
    finite, silent = np.isfinite(values)[..., np.newaxis], np.isneginf(values)[..., np.newaxis]
    painted = np.where(finite, mixed, np.where(silent, np.array(SILENT), np.array(NOT_FINITE)))
    if blank:
        painted = np.concatenate([painted, np.where(np.isnan(values), 0.0, OPAQUE)[..., np.newaxis]], axis=2)
    return painted.astype(np.uint8)


KINDS = {3: 2, 4: 6}
"""The specification's number of a kind of colour, by its parts."""


def png(pixels: Bytes) -> bytes:
    """An uncommented PNG (W3C PNG specification) of (rows, columns, 3), RGB, or (rows, columns, 4), RGBA."""
    rows, columns, parts = pixels.shape
    lines = b"".join(b"\x00" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", columns, rows, 8, KINDS[parts], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def data_uri(values: Array, limit: float, *, blank: bool = False) -> str:
    return "data:image/png;base64," + base64.b64encode(png(colours(values, limit, blank=blank))).decode()

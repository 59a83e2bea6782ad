"""Arrays on the wire, quickly. As JSON what is not finite becomes null, and whole counts stay whole; packed, a picture
of 100 layers in 2,000 buckets is a fifth of that, and a browser takes it as it lies.
"""

import struct
from typing import Any

import numpy as np
import orjson
from fastapi import Response

from api.http.negotiation import PACKED
from gradient_clinic.values import Array


def _plain(value: Any) -> Any:
    """orjson writes contiguous arrays; ``nonfinite`` counts are whole numbers held as floats."""
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value)
    if isinstance(value, dict):
        return {
            key: _plain(one.astype(np.int64) if key == "nonfinite" else one)
            if isinstance(one, np.ndarray)
            else _plain(one)
            for key, one in value.items()
        }
    return value


def _taken_out(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """The value without its arrays of numbers, which go into ``arrays`` under their path."""
    if isinstance(value, dict):
        left = {key: _taken_out(one, f"{name}.{key}" if name else key, arrays) for key, one in value.items()}
        # A null that was there before stays.
        return {key: one for key, one in left.items() if one is not None or value[key] is None}
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        arrays[name] = value
        return None
    return _plain(value)


def picture_response(body: dict[str, Any], kind: str, headers: dict[str, str]) -> Response:
    """As JSON, or packed: the length of a head (uint32), the head, and the numbers in float32, all little-endian.

    The head is the JSON without its arrays, and ``arrays`` with name and shape of each, in the order of the numbers.
    Its length is a multiple of 4. What is not finite is there as it is.
    """
    if kind != PACKED:
        return json_response(body, headers)
    arrays: dict[str, Array] = {}
    head = _taken_out(body, "", arrays)
    head["arrays"] = [{"name": name, "shape": array.shape} for name, array in arrays.items()]
    text = orjson.dumps(head, option=orjson.OPT_SERIALIZE_NUMPY)
    # A browser's Float32Array can begin at a multiple of 4 alone; else it would have to copy the numbers.
    text += b" " * (-len(text) % 4)
    with np.errstate(over="ignore"):  # beyond float32 it is drawn as infinite
        numbers = [np.ascontiguousarray(array, dtype="<f4").tobytes() for array in arrays.values()]
    return Response(b"".join([struct.pack("<I", len(text)), text, *numbers]), headers=headers, media_type=PACKED)


def json_response(body: dict[str, Any], headers: dict[str, str]) -> Response:
    content = orjson.dumps(_plain(body), option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, headers=headers, media_type="application/json")

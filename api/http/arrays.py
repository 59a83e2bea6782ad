"""Arrays as JSON, quickly: what is not finite becomes null, whole counts stay whole."""

from typing import Any

import numpy as np
import orjson
from fastapi import Response


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


def json_response(body: dict[str, Any], headers: dict[str, str]) -> Response:
    content = orjson.dumps(_plain(body), option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, headers=headers, media_type="application/json")

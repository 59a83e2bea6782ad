"""Shapes of the instrument in JSON and back: what is stored of them and what is answered."""

import json
from typing import Any, TypeVar

from pydantic import TypeAdapter

Shape = TypeVar("Shape")
_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}
"""To make one takes as long as a hundred uses."""


def as_json(value: object) -> Any:
    """Strict JSON: no NaN and no infinity but in words."""
    text = _adapter(type(value)).dump_json(value)
    return json.loads(json.dumps(json.loads(text), allow_nan=False))


def from_json(shape: type[Shape], stored: object) -> Shape:
    found: Shape = _adapter(shape).validate_python(stored)
    return found


def _adapter(shape: Any) -> TypeAdapter[Any]:
    if shape not in _ADAPTERS:
        _ADAPTERS[shape] = TypeAdapter(shape)
    return _ADAPTERS[shape]

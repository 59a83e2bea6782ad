"""Shapes of the instrument in JSON and back: what is stored of them and what is answered."""

import json
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

Shape = TypeVar("Shape")


def as_json(value: object) -> Any:
    """Strict JSON: no NaN and no infinity but in words."""
    text = _adapter(type(value)).dump_json(value)
    return json.loads(json.dumps(json.loads(text), allow_nan=False))


def from_json(shape: type[Shape], stored: object) -> Shape:
    found: Shape = _adapter(shape).validate_python(stored)
    return found


@cache  # to make one takes as long as a hundred uses
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)

"""What answers are made of: arrays, and frozen values that Pydantic, where there is one, takes as they are."""

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def finite_or_none(value: float | None) -> float | None:
    """What JSON can say of a number: null for NaN and ±∞."""
    return value if value is not None and math.isfinite(value) else None


def fields_of(value: "Value") -> dict[str, Any]:
    """By name, the values themselves: what a larger shape is made of beside its own."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


@dataclass(frozen=True, slots=True)
class Value:
    """One shape of an answer. What it is read from has no other keys."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class Finite(Value):
    """A shape whose numbers are null where they are not finite, or not known."""

    def __post_init__(self) -> None:
        for name, value in fields_of(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                object.__setattr__(self, name, None)


@dataclass(frozen=True, slots=True)
class Exact(Value):
    """A shape whose numbers return from JSON as they were, NaN and ±∞ included."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "ser_json_inf_nan": "strings"}

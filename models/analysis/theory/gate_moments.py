"""Moments of a gate σ(a) over a Gaussian argument."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from gradient_clinic.values import Array

_NODE, _WEIGHT = np.polynomial.hermite_e.hermegauss(48)
_WEIGHT = _WEIGHT / _WEIGHT.sum()


@dataclass(frozen=True, slots=True)
class Gate:
    """E σ, E σ² and E σ'²."""

    mean: float
    square: float
    slope: float


@functools.lru_cache(maxsize=4096)
def gate_moments(q: float, mean: float = 0.0) -> Gate:
    """Of a gate whose argument is N(mean, q)."""
    # Beyond 709 the exponential is no float any more.
    opened: Array = 1.0 / (1.0 + np.exp(-np.clip(mean + math.sqrt(q) * _NODE, -700.0, 700.0)))
    return Gate(float(_WEIGHT @ opened), float(_WEIGHT @ opened**2), float(_WEIGHT @ (opened * (1.0 - opened)) ** 2))

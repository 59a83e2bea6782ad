"""How alike two steps of a case are behind φ: cosines of φ(u), φ(v) and of their slopes over correlated Gaussians.

E φ(u)φ(v) at correlation ρ is E_w[(E_z φ(√q(√ρ·w + √(1 − ρ)·z)))²], w and z independent: what two steps share is w
(Poole et al. 2016, the correlation map). Both are read off a table over the angle arccos ρ, in which they are smooth.
"""

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from gradient_clinic.activations import Activation
from gradient_clinic.values import Array

_NODE, _WEIGHT = np.polynomial.hermite_e.hermegauss(48)
_WEIGHT = _WEIGHT / _WEIGHT.sum()
_ANGLES: Final = np.linspace(0.0, math.pi, 25)


@dataclass(frozen=True, slots=True)
class Likeness:
    """Cosines of φ and of φ' at the angles of the table."""

    values: Array
    slopes: Array

    def of_values(self, cosine: Array) -> Array:
        return np.interp(np.arccos(np.clip(cosine, -1.0, 1.0)), _ANGLES, self.values)

    def of_slopes(self, cosine: Array) -> Array:
        return np.interp(np.arccos(np.clip(cosine, -1.0, 1.0)), _ANGLES, self.slopes)


@functools.lru_cache(maxsize=512)
def likeness(activation: Activation, q: float) -> Likeness:
    """Behind ``activation`` at the length ``q``."""
    cosines = np.cos(_ANGLES)[:, None, None]
    shared, own = np.sqrt(np.abs(cosines)), np.sqrt(1.0 - np.abs(cosines))
    # (angles, shared, own): what two steps share on one axis, what is a step's own on the other.
    h = math.sqrt(q) * (shared * _NODE[:, None] + own * _NODE)
    found = [_cosines(f, cosines.ravel()) for f in (activation.phi(h), activation.dphi(h))]
    return Likeness(*found)


def _cosines(f: Array, cosine: Array) -> Array:
    """``f`` (angles, shared, own). Below 0 the other step sees the shared part with the other sign: nodes are even."""
    inner = f @ _WEIGHT
    other = np.where(cosine[:, None] < 0.0, inner[:, ::-1], inner)
    product = (inner * other) @ _WEIGHT
    return product / product[0] if product[0] > 0.0 else np.where(cosine == 1.0, 1.0, 0.0)

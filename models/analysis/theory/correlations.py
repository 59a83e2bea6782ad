"""How alike two cases become on their way through plain layers, and how far dropout's noise drowns what is left.

The correlation of two cases' h goes through a map of φ from layer to layer (Poole et al. 2016). Dropout multiplies it
by 1 − p: two passes of one case draw two masks, and their correlation falls too (Schoenholz et al. 2017, section 5).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from gradient_clinic.activations import Activation
from gradient_clinic.quadrature import HOMOGENEOUS
from models.plan.tree import NetworkPlan, Normalise, Residual, walk

_NODE, _WEIGHT = np.polynomial.hermite_e.hermegauss(48)
_WEIGHT = _WEIGHT / _WEIGHT.sum()
_ONE: Final = np.array([-1.0])


@dataclass(frozen=True, slots=True)
class Correlations:
    """Where the output layer meets them: of one case under two masks, and of two cases that are uncorrelated inputs."""

    of_one: float = 1.0
    of_two: float = 0.0

    @property
    def told_apart(self) -> float:
        """1 without noise; 0 where no layer above can tell a case from another."""
        return self.of_one - self.of_two


def correlations(network: NetworkPlan, *, dropout: float | None = None) -> Correlations | None:
    """At h of variance 1, biases aside; with another ``dropout`` in the layers that have one, where it is given. None
    where a norm, a skip or a recurrence makes another map of it.
    """
    if network.recurrent or any(isinstance(node, Residual | Normalise) for node in walk(network.body)):
        return None
    one, two = 1.0, 0.0
    for layer in network.hidden:
        if layer.normalization is not None or layer.activation is None:
            return None
        kept = 1.0 - (layer.dropout if dropout is None or layer.dropout == 0.0 else dropout)
        one, two = (kept * cosine_behind(layer.activation, cosine) for cosine in (one, two))
    return Correlations(one, two)


@lru_cache(maxsize=4_096)  # deep networks come to a fixed point, and runs of a variant ask alike
def cosine_behind(activation: Activation, cosine: float) -> float:
    """E φ(u)φ(v)/E φ² of standard normals u, v with this correlation, 0 to 1.

    Of ReLU and its like in closed form (Cho & Saul 2009, the arc-cosine kernel); else u and v share √c·w, so that
    it is E_w[(E_z φ(√c·w + √(1 − c)·z))²].
    """
    if activation.function in HOMOGENEOUS:
        below = -float(activation.phi(_ONE)[0])  # φ(z) = odd·z + even·|z|
        odd, even = ((1.0 + below) / 2.0) ** 2, ((1.0 - below) / 2.0) ** 2
        of_sizes = (math.sqrt(max(1.0 - cosine**2, 0.0)) + cosine * math.asin(min(cosine, 1.0))) * 2.0 / math.pi
        return (odd * cosine + even * of_sizes) / (odd + even)
    inner = activation.phi(math.sqrt(cosine) * _NODE[:, None] + math.sqrt(max(1.0 - cosine, 0.0)) * _NODE) @ _WEIGHT
    size = float(activation.phi(_NODE) ** 2 @ _WEIGHT)
    return float(inner**2 @ _WEIGHT) / size if size > 0.0 else 1.0

"""What theory carries through a network: mean squares of h and of δ at every place (pixel or step) of a case.

A vector has one place, an image height × width, a sequence its steps. Units of one place are alike in expectation, so
one number stands for all of them.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.activations import Activation, Array
from models.analysis.meanfield import UNBOUNDED
from models.analysis.quadrature import SMALLEST_Q, gaussian_moments
from models.plan.layers import Activate, Shape

HOMOGENEOUS: Final = {"identity", "relu", "leaky_relu", "prelu"}
"""φ(a·h) = a·φ(h): the slope does not ask how long h is."""
ALIKE: Final = 1e-9
FEW: Final = 12
NODES: Final = 9


@dataclass(frozen=True, slots=True)
class Signal:
    """Mean square of a tensor, place by place: ``spread`` differs between cases, ``common`` is the same in all.

    ``offset`` is the square of the mean over units, which a norm over units takes away.
    """

    spread: Array
    common: Array
    offset: Array
    gaussian: bool = True
    """Made by many random weights, so that a unit is normal over networks."""
    known: bool = True
    """False where ``spread`` is an estimate, as behind pooling."""
    below: Activate | None = None
    """The activation that it left."""

    @property
    def square(self) -> Array:
        return np.minimum(self.spread + self.common, UNBOUNDED)


@dataclass(frozen=True, slots=True)
class Delta:
    """Mean square of δ, place by place, times e^``log``. ``breaks`` counts the factors on its way that nobody knows."""

    square: Array
    log: float = 0.0
    breaks: int = 0
    alike: bool = False
    """Equal in all steps, as a mean over steps sends it back."""

    @property
    def level(self) -> float:
        """ln rms over all places."""
        mean = float(self.square.mean())
        return 0.5 * (self.log + math.log(mean)) if 0.0 < mean < math.inf else _limit(mean)

    def with_square(self, square: Array, breaks: int = 0) -> "Delta":
        """Rescaled to a largest entry of 1, so that no depth leaves the range of a float. 0·∞ is what δ was before."""
        if np.isnan(square).any():
            square = np.where(np.isnan(square), math.inf if np.isinf(self.square).any() else 0.0, square)
        largest = float(square.max(initial=0.0))
        if 0.0 < largest < math.inf:
            return Delta(square / largest, self.log + math.log(largest), self.breaks + breaks, self.alike)
        return Delta(square, self.log, self.breaks + breaks, self.alike)

    def plus(self, other: "Delta") -> "Delta":
        """Of two paths whose gradients are independent."""
        log = max(self.log, other.log)
        square = self.square * math.exp(self.log - log) + other.square * math.exp(other.log - log)
        return Delta(square, log, max(self.breaks, other.breaks), self.alike).with_square(square)


def _limit(mean: float) -> float:
    return -math.inf if mean == 0.0 else mean  # ∞ or NaN stay


@dataclass(frozen=True, slots=True)
class PlaceMoments:
    """E φ, Var φ and E φ'² at every place."""

    mean: Array
    variance: Array
    slope: Array


def moments_at(activation: Activation, q: Array) -> PlaceMoments:
    """The moments of φ over N(0, q) for an array of q; between a few lengths they are interpolated."""
    low, high = max(float(q.min()), SMALLEST_Q), max(float(q.max()), SMALLEST_Q)
    if high / low - 1.0 < ALIKE:
        its = gaussian_moments(activation, high)
        return PlaceMoments(*(np.full(q.shape, value) for value in (its.mean, its.variance, its.slope_square)))
    if activation.function in HOMOGENEOUS:
        its = gaussian_moments(activation, 1.0)
        return PlaceMoments(its.mean * np.sqrt(q), its.variance * q, np.full(q.shape, its.slope_square))
    several = np.unique(q)
    lengths = several if several.size <= FEW else np.geomspace(low, high, NODES)
    found = [(float(length), gaussian_moments(activation, float(length))) for length in lengths]
    at, known = np.log(np.maximum(q, SMALLEST_Q)), np.log(lengths)
    mean = np.interp(at, known, [its.mean / math.sqrt(length) for length, its in found])
    variance = np.interp(at, known, [its.variance / length for length, its in found])
    return PlaceMoments(mean * np.sqrt(q), variance * q, np.interp(at, known, [its.slope_square for _, its in found]))


def places_of(shape: Shape) -> tuple[int, ...]:
    return {"vector": (1,), "image": shape.size[1:], "sequence": shape.size[:1], "tokens": shape.size}[shape.form]


def row_per_token(signal: Signal, variance: float) -> Signal:
    nothing = np.zeros_like(signal.spread)
    return Signal(np.full_like(signal.spread, variance), nothing, nothing)

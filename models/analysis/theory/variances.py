"""What theory carries through a network: mean squares of h and of δ at every place (pixel or step) of a case.

A vector has one place, an image height × width, a sequence its steps. Units of one place are alike in expectation, so
one number stands for all of them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gradient_clinic.activations import Activation
from gradient_clinic.quadrature import HOMOGENEOUS, SMALLEST_Q, UNBOUNDED, gaussian_moments
from gradient_clinic.values import Array
from models.plan.tree import Activate, Shape

ALIKE: Final = 1e-9
FEW: Final = 12
NODES: Final = 9
MOST_STEPS: Final = 96
SMALLEST_SHARE: Final = 1e-4
"""Of a variance, in the direction that varies least."""
Steps = npt.NDArray[np.int64]


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
    alike: Array | None = None
    """(steps, steps) of the ``followed`` ones: the cosines between a case's vectors at any two; None where no more than
    ``common`` is shared.
    """

    @property
    def square(self) -> Array:
        return np.minimum(self.spread + self.common, UNBOUNDED)

    @property
    def covariance(self) -> Array:
        """(steps, steps) of the ``followed`` ones, over units."""
        at = followed(self.spread.size)
        length, shared = np.sqrt(self.square[at]), np.sqrt(self.common[at])
        if self.alike is not None:
            return np.asarray(self.alike * np.outer(length, length))
        return np.outer(shared, shared) + np.diag(length**2 - shared**2)


@dataclass(frozen=True, slots=True)
class Delta:
    """Mean square of δ, place by place, times e^``log``. ``breaks`` counts the factors on its way that nobody knows."""

    square: Array
    log: float = 0.0
    breaks: int = 0
    alike: Array | None = None
    """(steps, steps) of the ``followed`` ones: the cosines between δ at any two; None where they are independent."""

    @property
    def level(self) -> float:
        """ln rms over all places."""
        mean = float(self.square.mean())
        if 0.0 < mean < math.inf:
            return 0.5 * (self.log + math.log(mean))
        return -math.inf if mean == 0.0 else mean  # ∞ or NaN stay

    def with_square(self, square: Array, breaks: int = 0) -> "Delta":
        """Rescaled to a largest entry of 1, so that no depth leaves the range of a float. 0·∞ is what δ was before."""
        if np.isnan(square).any():
            square = np.where(np.isnan(square), math.inf if np.isinf(self.square).any() else 0.0, square)
        largest = float(square.max(initial=0.0))
        if 0.0 < largest < math.inf:
            return Delta(square / largest, self.log + math.log(largest), self.breaks + breaks, self.alike)
        return Delta(square, self.log, self.breaks + breaks, self.alike)

    @property
    def covariance(self) -> Array:
        """(steps, steps) of the ``followed`` ones over units, in the unit of ``square``."""
        length = np.sqrt(self.square[followed(self.square.size)])
        return np.diag(length**2) if self.alike is None else self.alike * np.outer(length, length)

    def with_covariance(self, covariance: Array, breaks: int = 0) -> "Delta":
        square = at_all_steps(np.diag(covariance), self.square.size)
        return replace(self, alike=cosines(covariance)).with_square(square, breaks)

    def plus(self, other: "Delta") -> "Delta":
        """Of two paths whose gradients are independent."""
        # In the larger unit: the smaller path may round to 0 beside it, and nothing overflows.
        log = max(self.log, other.log)
        mine, theirs = math.exp(self.log - log), math.exp(other.log - log)
        square = self.square * mine + other.square * theirs
        both = Delta(square, log, max(self.breaks, other.breaks))
        if self.alike is not None or other.alike is not None:
            both = replace(both, alike=cosines(self.covariance * mine + other.covariance * theirs))
        return both.with_square(square)


Back = Callable[[Delta], Delta]
"""The way of δ back through a step."""
Step = tuple[Signal, Back]


def followed(steps: int) -> Steps:
    """Whose likeness is followed: all, or of many the first and the last."""
    half = MOST_STEPS // 2
    return np.arange(steps) if steps <= MOST_STEPS else np.r_[:half, steps - half : steps]


def at_all_steps(values: Array, steps: int) -> Array:
    """From the ``followed`` steps; what lies between is on a line."""
    return np.interp(np.arange(steps), followed(steps), values)


def cosines(covariance: Array) -> Array:
    """Where a variance is 0, or not finite, nothing is alike but each with itself."""
    length = np.sqrt(covariance.diagonal())
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = np.asarray(covariance / (length[:, None] * length))
    found[~np.isfinite(found)] = 0.0
    # In place, as this is over pairs of steps. Rounding may leave a cosine beyond ±1.
    np.maximum(np.minimum(found, 1.0, out=found), -1.0, out=found)
    found.flat[:: len(found) + 1] = 1.0
    return found


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
        one = gaussian_moments(activation, high)
        return PlaceMoments(*(np.full(q.shape, value) for value in (one.mean, one.variance, one.slope_square)))
    if activation.function in HOMOGENEOUS:
        # φ(az) = a·φ(z): one length tells all.
        one = gaussian_moments(activation, 1.0)
        return PlaceMoments(one.mean * np.sqrt(q), one.variance * q, np.full(q.shape, one.slope_square))
    several = np.unique(q)
    lengths = several if several.size <= FEW else np.geomspace(low, high, NODES)
    found = [(float(length), gaussian_moments(activation, float(length))) for length in lengths]
    at, known = np.log(np.maximum(q, SMALLEST_Q)), np.log(lengths)
    # Over ln q, and less the power of q that a linear φ would have: nearly flat, so few lengths do.
    mean = np.interp(at, known, [moments.mean / math.sqrt(length) for length, moments in found])
    variance = np.interp(at, known, [moments.variance / length for length, moments in found])
    slope = np.interp(at, known, [moments.slope_square for _, moments in found])
    return PlaceMoments(mean * np.sqrt(q), variance * q, slope)


def places_of(shape: Shape) -> tuple[int, ...]:
    return {"vector": (1,), "image": shape.size[1:], "sequence": shape.size[:1], "tokens": shape.size}[shape.form]


def row_per_token(signal: Signal, variance: float) -> Signal:
    nothing = np.zeros_like(signal.spread)
    return Signal(np.full_like(signal.spread, variance), nothing, nothing, alike=signal.alike)


def toeplitz(alike: tuple[float, ...], steps: int) -> Array:
    """(steps, steps) of the correlations 0, 1, 2, … steps apart; the last one holds for all beyond. Brought to the
    nearest covariance, which correlations read off one by one need not be.
    """
    at, known = followed(steps), np.array((1.0, *(alike or (0.0,))))
    asked = known[np.minimum(np.abs(np.subtract.outer(at, at)), known.size - 1)]
    if not any(alike):
        return asked
    values, vectors = np.linalg.eigh(asked)
    return cosines((vectors * np.maximum(values, SMALLEST_SHARE)) @ vectors.T)

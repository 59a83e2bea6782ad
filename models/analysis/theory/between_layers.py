"""The rules of steps that hold no layer: lengths after a step, and the way back for the mean square of δ."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from gradient_clinic.quadrature import HOMOGENEOUS, SMALLEST_Q, UNBOUNDED
from gradient_clinic.values import Array
from models.analysis.theory.likeness import likeness
from models.analysis.theory.variances import Delta, Signal, Step, cosines, followed, moments_at
from models.plan import tree as plan

SELU_FLOOR: Final = -1.7580993408473766
"""What alpha dropout puts in place of a unit: −λ·α."""


def activate(node: plan.Activate, signal: Signal) -> Step:
    moments = moments_at(node.activation, signal.square)
    scale_free = node.activation.function in HOMOGENEOUS
    # The slope hangs on a length that is only estimated, or on an h that is not Gaussian: a break.
    lost = not (signal.known or scale_free) or not (signal.gaussian or node.activation.function == "identity")
    p, kept, squared = node.dropout, 1.0 - node.dropout, moments.mean**2
    factor, common, spread = 1.0 / kept, squared, moments.variance + (moments.variance + squared) * p / kept
    if node.alpha_dropout and p > 0.0:
        factor = 1.0 / (1.0 + p * SELU_FLOOR**2)
        common, spread = factor * kept * squared, factor * (moments.variance + p * (moments.mean - SELU_FLOOR) ** 2)
    gaussian = signal.gaussian and node.activation.function == "identity"
    through, alike = None, None
    if signal.alike is not None:
        # One length for the likeness of all steps, to 6 digits: a table serves many layers.
        typical = min(max(float(signal.square.mean()), SMALLEST_Q), UNBOUNDED)
        through = likeness(node.activation, float(f"{typical:.6g}"))
        alike = _thinned(through.of_values(signal.alike), p)
    out = Signal(spread, common, common, gaussian, signal.known, node, alike)

    def back(delta: Delta) -> Delta:
        if delta.alike is not None and through is not None and signal.alike is not None:
            slopes = _thinned(through.of_slopes(signal.alike), p)
            delta = replace(delta, alike=delta.alike * slopes)
        return delta.with_square(delta.square * moments.slope * factor, int(lost))

    return out, back


def _thinned(alike: Array, p: float) -> Array:
    """Masks of different steps are independent."""
    thinned = alike * (1.0 - p)
    np.fill_diagonal(thinned, 1.0)
    return thinned


def drop(node: plan.Dropout, signal: Signal) -> Step:
    kept = 1.0 - node.p
    alike = None if signal.alike is None else _thinned(signal.alike, node.p)
    out = replace(signal, spread=signal.spread + signal.square * node.p / kept, alike=alike)

    def back(delta: Delta) -> Delta:
        thinned = delta if delta.alike is None else replace(delta, alike=_thinned(delta.alike, node.p))
        return thinned.with_square(delta.square / kept)

    return out, back


def _one_place(signal: Signal, *, known: bool) -> Signal:
    spread, common, offset = (np.array([part.mean()]) for part in (signal.spread, signal.common, signal.offset))
    return replace(signal, spread=spread, common=common, offset=offset, known=known, alike=None)


def flatten(_: plan.Flatten, signal: Signal) -> Step:
    given = signal.spread.shape
    return _one_place(signal, known=signal.known), lambda delta: replace(delta, square=np.full(given, delta.square[0]))


def rows(_: plan.Rows, signal: Signal) -> Step:
    given = signal.spread.shape
    spread, common, offset = (part.mean(axis=1) for part in (signal.spread, signal.common, signal.offset))
    out = replace(signal, spread=spread, common=common, offset=offset)
    return out, lambda delta: replace(delta, square=np.repeat(delta.square[:, None], given[1], axis=1))


def pool(node: plan.Pool, signal: Signal) -> Step:
    """Neighbouring pixels share their inputs, so the length behind a pool is an estimate. The way back through a mean
    is exact; through a maximum δ goes to one pixel of each window, and which one hangs on φ.
    """
    size, given = node.size, signal.spread.shape
    high, wide = given[0] // size, given[1] // size

    def pooled(x: Array) -> Array:
        # Pixels beyond the last whole window are read by none.
        return np.asarray(x[: high * size, : wide * size].reshape(high, size, wide, size).mean(axis=(1, 3)))

    out = Signal(pooled(signal.spread), pooled(signal.common), pooled(signal.offset), gaussian=False, known=False)
    # A maximum sends δ² to one of size² pixels, a mean sends (δ/size²)² to each.
    share = size**-2 if node.how == "max" else size**-4

    def back(delta: Delta) -> Delta:
        square = np.zeros(given)
        square[: high * size, : wide * size] = np.repeat(np.repeat(delta.square, size, axis=0), size, axis=1)
        return delta.with_square(square * share, int(node.how == "max"))

    return out, back


def average_pixels(_: plan.GlobalAverage, signal: Signal) -> Step:
    given = signal.spread.shape
    out = _one_place(signal, known=False)
    return out, lambda delta: delta.with_square(np.full(given, delta.square[0] / signal.spread.size**2))


def read_out(node: plan.Readout, signal: Signal) -> Step:
    steps = signal.spread.size
    if node.how == "mean":
        out = _one_place(signal, known=False)
        # Every step gets the same δ, so on the way back all are alike.
        ones = np.ones((len(followed(steps)),) * 2)
        return out, lambda delta: replace(delta.with_square(np.full(steps, delta.square[0] / steps**2)), alike=ones)
    spread, common, offset = (part[-1:] for part in (signal.spread, signal.common, signal.offset))
    only_last = np.zeros(steps)
    only_last[-1] = 1.0
    return (
        replace(signal, spread=spread, common=common, offset=offset, alike=None),
        lambda delta: replace(delta, square=only_last * delta.square[0], alike=None),
    )


def position(node: plan.Positions, signal: Signal) -> Step:
    out = replace(signal, common=signal.common + node.init_std**2)
    apart = signal.covariance + node.init_std**2 * np.eye(len(signal.covariance))
    return replace(out, alike=None if signal.alike is None else cosines(apart)), lambda delta: delta


BETWEEN: Final[dict[type, Callable[[Any, Signal], Step]]] = {
    plan.Activate: activate,
    plan.Dropout: drop,
    plan.Flatten: flatten,
    plan.Rows: rows,
    plan.Pool: pool,
    plan.GlobalAverage: average_pixels,
    plan.Readout: read_out,
    plan.Positions: position,
}

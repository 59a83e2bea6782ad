"""Attention of untrained weights: what softmax(Q·Kᵀ/√d) makes of the steps' lengths and likeness, and its way back.

Queries, keys and values are Gaussian with the covariance of what they read, so the scores of one head have a closed
distribution. Their softmax has none: means over heads drawn from a fixed seed stand for it. Lengths and likeness are
those of all steps, as in Cowsik et al. 2024 (arXiv:2403.02579), which has them for equal steps. Heads are drawn in
single precision, as they scatter ten thousand times as much as it rounds.

    forward   E A·C·Aᵀ                                        A the attention, C the covariance of values over steps
    back      values Aᵀ·E·A, queries E dS·K·Kᵀ·dSᵀ/d, keys E dSᵀ·Q·Qᵀ·dS/d, dS = A∘(G − (A∘G)·1·1ᵀ), G = δ·Vᵀ
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from gradient_clinic.values import Array
from models.analysis.theory.variances import Delta, Signal, at_all_steps, cosines
from models.plan.tree import Attend

DRAWN: Final = 1_500
"""Heads times steps."""
FEWEST_HEADS: Final = 12
MOST_HEADS: Final = 128
SEED: Final = 2
KEPT: Final = 250_000
"""Heads × steps × width up to which draws are kept for the next block: 4 MB."""
MOST: Final = 4_000_000
"""The same beyond which no heads are drawn: 64 MB."""
SCORES: Final = 1e4
"""Beyond which a softmax has long been a maximum."""
ALMOST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Heads:
    """Of the drawn heads: attention (steps, heads, steps), queries, keys and values (steps, heads, width).

    Steps lie outside, so that what is summed over heads is one product of matrices and not one for each head.
    """

    attention: Array
    queries: Array
    keys: Array
    values: Array
    draws: Array
    """Standard normal, (steps, heads, width), for the way back."""

    def forward(self, covariance: Array) -> Array:
        steps, heads, _ = self.attention.shape
        read = self.attention.reshape(-1, steps) @ covariance.astype(np.float32)
        return np.asarray(_product(read.reshape(steps, -1), self.attention.reshape(steps, -1)) / heads)

    def back(self, covariance: Array) -> Array:
        """Of δ behind the heads; the mean over what enters queries, keys and values."""
        steps, heads, width = self.values.shape
        sent = (covariance.astype(np.float32) @ self.attention.reshape(steps, -1)).reshape(-1, steps)
        of_values = _product(self.attention.reshape(-1, steps).T, sent.T) / heads
        delta = _mixed(_factor(covariance), self.draws)
        # G = δ·Vᵀ, made into dS = A∘(G − (A∘G)·1·1ᵀ) in place: arrays over pairs of steps are the largest here.
        scores = _outside(_by_head(delta) @ _by_head(self.values).transpose(0, 2, 1))
        scores *= self.attention
        scores -= self.attention * scores.sum(axis=-1, keepdims=True)
        of_queries = _over_units(_by_head(scores) @ _by_head(self.keys)) / width
        of_keys = _over_units(_by_head(scores).transpose(0, 2, 1) @ _by_head(self.queries)) / width
        return np.asarray((of_values + of_queries + of_keys) / 3.0)


def heads_drawn(steps: int) -> int:
    return min(max(DRAWN // steps, FEWEST_HEADS), MOST_HEADS)


def _draws(heads: int, steps: int, width: int) -> tuple[Array, Array]:
    """Standard normal, (steps, 3·heads, width) for the way forward and (steps, heads, width) for the way back."""
    random = np.random.default_rng(SEED)
    forward, back = random.standard_normal((3 * heads, steps, width)), random.standard_normal((heads, steps, width))
    return _outside(forward).astype(np.float32), _outside(back).astype(np.float32)


_kept_draws = functools.lru_cache(maxsize=1)(_draws)
"""Every block of a network asks for the same."""


def drawn_heads(node: Attend, covariance: Array) -> Heads:
    """Heads that read queries, keys and values of this covariance over steps."""
    steps, width = len(covariance), node.units // node.heads
    heads = heads_drawn(steps)
    forward, back = (_kept_draws if heads * steps * width <= KEPT else _draws)(heads, steps, width)
    drawn = _mixed(_factor(covariance), forward)
    queries, keys, values = (drawn[:, start : start + heads] for start in (0, heads, 2 * heads))
    scores = _outside(_by_head(queries) @ _by_head(keys).transpose(0, 2, 1))
    scores /= math.sqrt(width)
    np.clip(scores, -SCORES, SCORES, out=scores)
    if node.causal:
        # In place of weights of 0: a later step takes no part in the softmax.
        scores[np.broadcast_to(np.tri(steps)[:, None] == 0.0, scores.shape)] = -math.inf
    # The softmax is the same, and no exponential overflows.
    scores -= scores.max(axis=-1, keepdims=True)
    weight = np.exp(scores, out=scores)
    weight /= weight.sum(axis=-1, keepdims=True)
    return Heads(weight, queries, keys, values, back)


def attend(node: Attend, signal: Signal) -> tuple[Signal, Callable[[Delta], Delta]]:
    """The signal behind the heads, and the way back to queries, keys and values side by side."""
    covariance = signal.covariance
    heads = drawn_heads(node, covariance)
    mixed = heads.forward(covariance)
    # Long sequences are followed at some steps, which stand for all.
    square = at_all_steps(np.diag(mixed), signal.spread.size)
    common = np.minimum(signal.common, square)
    out = Signal(square - common, common, np.zeros_like(square), known=signal.known, alike=cosines(mixed))
    return out, lambda delta: delta.with_covariance(heads.back(delta.covariance))


def _factor(covariance: Array) -> Array:
    """A root of it; what is not quite a covariance is brought to the nearest one."""
    # An infinite length has no eigenvalues; steps then go on as if independent.
    if not np.isfinite(covariance).all():
        return np.diag(np.sqrt(np.diag(covariance)))
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, ALMOST * max(float(values[-1]), 0.0))))


def _by_head(rows: Array) -> Array:
    """(steps, heads, …) → (heads, steps, …), not copied."""
    return rows.transpose(1, 0, 2)


def _outside(rows: Array) -> Array:
    """(heads, steps, …) → (steps, heads, …)."""
    return np.ascontiguousarray(rows.transpose(1, 0, 2))


def _mixed(factor: Array, rows: Array) -> Array:
    """``factor`` over the steps of (steps, heads, width)."""
    return (factor.astype(np.float32) @ rows.reshape(len(rows), -1)).reshape(rows.shape)


def _product(left: Array, right: Array) -> Array:
    """left·rightᵀ, in double precision from here on."""
    return np.asarray(left @ right.T, dtype=np.float64)


def _over_units(rows: Array) -> Array:
    """(heads, steps, width) → the covariance over steps."""
    heads, steps, width = rows.shape
    side_by_side = _outside(rows).reshape(steps, -1)
    return np.asarray(_product(side_by_side, side_by_side) / (heads * width))

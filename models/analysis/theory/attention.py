"""Attention of untrained weights: what softmax(Q·Kᵀ/√d) makes of the steps' lengths and likeness, and its way back.

Queries, keys and values are Gaussian with the covariance of what they read, so the scores of one head have a closed
distribution, and the softmax of them none: means over some heads drawn from a fixed seed stand for it. Lengths
and likeness are those of all steps, as in Cowsik et al. 2024 (arXiv:2403.02579), which has them for equal steps.

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
"""Heads × steps × width up to which draws are kept for the next block: 8 MB."""
MOST: Final = 4_000_000
"""The same beyond which no heads are drawn: 128 MB."""
SCORES: Final = 1e4
"""Beyond which a softmax has long been a maximum."""
ALMOST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Heads:
    """Of each drawn head: attention (heads, steps, steps), queries, keys and values (heads, steps, width)."""

    attention: Array
    queries: Array
    keys: Array
    values: Array
    draws: Array
    """Standard normal, for the way back."""

    def forward(self, covariance: Array) -> Array:
        return np.asarray((self.attention @ covariance @ self.attention.transpose(0, 2, 1)).mean(axis=0))

    def back(self, covariance: Array) -> Array:
        """Of δ behind the heads; the mean over what enters queries, keys and values."""
        turned = self.attention.transpose(0, 2, 1)
        of_values = (turned @ covariance @ self.attention).mean(axis=0)
        width = self.values.shape[-1]
        delta = _factor(covariance) @ self.draws
        pulled = self.attention * (delta @ self.values.transpose(0, 2, 1))
        scores = pulled - self.attention * pulled.sum(axis=-1, keepdims=True)
        of_queries = _over_units(scores @ self.keys) / width
        of_keys = _over_units(scores.transpose(0, 2, 1) @ self.queries) / width
        return np.asarray((of_values + of_queries + of_keys) / 3.0)


def heads_drawn(steps: int) -> int:
    return min(max(DRAWN // steps, FEWEST_HEADS), MOST_HEADS)


def _draws(heads: int, steps: int, width: int) -> tuple[Array, Array]:
    """Standard normal, (3, heads, steps, width) for the way forward and (heads, steps, width) for the way back."""
    random = np.random.default_rng(SEED)
    return random.standard_normal((3, heads, steps, width)), random.standard_normal((heads, steps, width))


_kept_draws = functools.lru_cache(maxsize=1)(_draws)
"""Every block of a network asks for the same."""


def drawn_heads(node: Attend, covariance: Array) -> Heads:
    """Heads that read queries, keys and values of this covariance over steps."""
    steps, width = len(covariance), node.units // node.heads
    heads = heads_drawn(steps)
    forward, back = (_kept_draws if heads * steps * width <= KEPT else _draws)(heads, steps, width)
    drawn = _factor(covariance) @ forward
    scores = np.clip(drawn[0] @ drawn[1].transpose(0, 2, 1) / math.sqrt(width), -SCORES, SCORES)
    if node.causal:
        scores = np.where(np.tril(np.ones((steps, steps))) > 0.0, scores, -math.inf)
    weight = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return Heads(weight / weight.sum(axis=-1, keepdims=True), drawn[0], drawn[1], drawn[2], back)


def attend(node: Attend, signal: Signal) -> tuple[Signal, Callable[[Delta], Delta]]:
    """The signal behind the heads, and the way back to queries, keys and values side by side."""
    covariance = signal.covariance
    heads = drawn_heads(node, covariance)
    mixed = heads.forward(covariance)
    square = at_all_steps(np.diag(mixed), signal.spread.size)
    common = np.minimum(signal.common, square)
    out = Signal(square - common, common, np.zeros_like(square), known=signal.known, alike=cosines(mixed))
    return out, lambda delta: delta.with_covariance(heads.back(delta.covariance))


def _factor(covariance: Array) -> Array:
    """A root of it; what is not quite a covariance is brought to the nearest one."""
    if not np.isfinite(covariance).all():
        return np.diag(np.sqrt(np.diag(covariance)))
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, ALMOST * max(float(values[-1]), 0.0))))


def _over_units(rows: Array) -> Array:
    """(heads, steps, width) → the covariance over steps."""
    heads, _, width = rows.shape
    return np.asarray((rows @ rows.transpose(0, 2, 1)).sum(axis=0) / (heads * width))

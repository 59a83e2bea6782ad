"""Batch norm over a batch of finite size: χ(B), of which E[φ'²]/Var φ is the limit B → ∞.

Yang et al. 2019 (arXiv:1902.08129): deep in a wide network the cases of a batch are alike, so a unit's B values are
uniform on the sphere of radius √B among the vectors without mean. Taking the trace of the backward map there:

    χ(B) = [B·E d₁² − (E d₁² − E d₁d₂) − (E d₁²h₁² − E d₁h₁d₂h₂)] / [(B − 3)·(E f₁² − E f₁f₂)]

with f = dropout(φ(h)), d = its slope, 1 and 2 two cases. The subtracted terms are what the norm projects out (the
mean and h itself), B/(B − 3) is E[1/s²] of a batch variance. Linear φ gives (B − 2)/(B − 3).
"""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from gradient_clinic.activations import Activation
from gradient_clinic.quadrature import composite_rule, edges_of
from gradient_clinic.values import Array

SMALLEST_BATCH: Final = 4
"""With 3 cases E[1/s²] is infinite; with 2 every h is ±1 and the gradient is of the order of ε."""
DEGREES: Final = 30
_EDGES_H: Final = tuple(side * edge for side in (-1.0, 1.0) for edge in (0.0, 1.0, 2.0, 3.0, 4.0, 5.5, 7.0, 9.0, 12.0))


@functools.lru_cache(maxsize=256)
def batch_norm_multiplier(activation: Activation, batch_size: int, dropout: float = 0.0) -> float:
    """χ(B) between two equally wide layers; infinite below ``SMALLEST_BATCH``."""
    if batch_size < SMALLEST_BATCH:
        return math.inf
    h, weight = sphere_rule(activation, batch_size)
    value, slope = activation.phi(h), activation.dphi(h)
    (f_f, f_g), (d_d, d_e), (dh_dh, dh_eh) = (
        _one_and_two_cases(f, h, weight, batch_size, dropout) for f in (value, slope, slope * h)
    )
    kept = batch_size * d_d - (d_d - d_e) - (dh_dh - dh_eh)
    return kept / ((batch_size - 3) * (f_f - f_g))


def sphere_rule(activation: Activation, batch_size: int) -> tuple[Array, Array]:
    """Nodes h and weights of one case's value: h = √(B−1)·sin θ with density ∝ cos^{B−3} θ."""
    radius = math.sqrt(batch_size - 1)
    angles = [math.asin(min(1.0, max(-1.0, edge / radius))) for edge in (*edges_of(activation).tolist(), *_EDGES_H)]
    # Over the angle: the density in h has no finite slope at the ends for small batches.
    theta, weight = composite_rule(np.array([*angles, -math.pi / 2, math.pi / 2]), math.pi / 2)
    density = weight * np.cos(theta) ** (batch_size - 3)
    return radius * np.sin(theta), density / density.sum()


def _one_and_two_cases(f: Array, h: Array, weight: Array, batch_size: int, dropout: float) -> tuple[float, float]:
    """E f(h₁)² and E f(h₁)f(h₂): dropout's masks count in the first and are independent in the second.

    Funk-Hecke: with p_k the orthonormal polynomials of a coordinate t on the sphere, two points at cosine ρ have
    E f₁f₂ = Σ_k E[f·p_k]²·p_k(ρ)/p_k(1), and two cases of a batch without mean have ρ = −1/(B − 1).
    """
    cosine = -1.0 / (batch_size - 1)
    # The last two points are ρ and 1, for p_k(ρ)/p_k(1).
    points = np.append(h / math.sqrt(batch_size - 1), (cosine, 1.0))
    across = 0.0
    for values in itertools.islice(_gegenbauer(points, batch_size), DEGREES):
        across += float(weight @ (f * values[:-2])) ** 2 * float(values[-2] / values[-1])
    return float(weight @ f**2) / (1.0 - dropout), across


def _gegenbauer(t: Array, batch_size: int) -> Iterator[Array]:
    """p₀, p₁, … at ``t``, orthonormal under the density (1 − t²)^{(B−4)/2} of a coordinate on the (B−2)-sphere."""
    twice = batch_size - 3.0  # 2λ
    before, now, step_before = np.zeros_like(t), np.ones_like(t), 0.0
    for k in itertools.count(1):
        yield now
        half = twice / 2.0
        step = math.sqrt(k * (k + twice - 1.0) / (4.0 * (k + half) * (k + half - 1.0)))
        before, now, step_before = now, (t * now - step_before * before) / step, step

"""Mean-field theory of wide random layers: how the length of h and of its gradient travels from layer to layer.

Sources: Poole et al. 2016 (length map), Schoenholz et al. 2017, arXiv:1611.01232 (χ₁), Yang et al. 2019,
arXiv:1902.08129 (batch norm). Infinite width throughout; what a batch of finite size does is in
``batch_statistics.py``, which networks the theory is asked about in ``prediction.py``.

    h^l = norm(W^l·dropout(φ(h^{l−1})) + b^l),   σw² = fan_in·Var W,  σb² = Var b,  γ = 1, β = 0 of the norm
    no norm     v = σw²·E[φ²]/(1 − p) + σb²,            q = v,            χ = σw²·E[φ'²]/(1 − p)
    layer norm  v = σw²·E[φ²]/(1 − p) + σb²,            q = v/(v + ε),    χ = σw²·E[φ'²]/(1 − p)/(v + ε)
    (so root mean square and group norm: the mean over many units of a linear map's h is 0)
    batch norm  v = σw²·(E[φ²]/(1 − p) − E[φ]²),        q = v/(v + ε),    χ = σw²·E[φ'²]/(1 − p)/(v + ε)

E over h ~ N(0, q) of the layer below. χ multiplies E[δ²] from one hidden layer to the one below it; without a norm
it is also the slope of the correlation map at c = 1.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import scipy  # which loads scipy.optimize where it is first used, as most processes never do

from gradient_clinic.activations import Activation
from gradient_clinic.quadrature import UNBOUNDED, Moments, gaussian_moments, integrated_moments

Norm = Literal["none", "batch_norm", "layer_norm", "rms_norm", "group_norm"]

VANISHED: Final = 1e-16
"""A length below is zero: no φ bends that early."""
SETTLED: Final = 1e-13
PLAIN_STEPS: Final = 12
CRITICAL: Final = 1e-4
"""|ln χ| below which gradients reach any depth."""
NO_SLOPE: Final = 1e-100


@dataclass(frozen=True, slots=True)
class LayerMap:
    """From one hidden layer to the next: φ and dropout of the lower, weights and norm of the upper one."""

    activation: Activation
    weight_variance: float
    bias_variance: float = 0.0
    dropout: float = 0.0
    norm: Norm = "none"
    eps: float = 0.0

    def length_before_norm(self, moments: Moments) -> float:
        """v: the mean square of W·φ(h) + b; under batch norm its variance over the batch, where b cancels."""
        noise = moments.square * self.dropout / (1.0 - self.dropout)  # E φ²/(1 − p) = E φ² + noise
        if self.norm == "batch_norm":
            return self.weight_variance * (moments.variance + noise)
        return self.weight_variance * (moments.square + noise) + self.bias_variance

    def normalised(self, before_norm: float) -> float:
        """q from v."""
        return before_norm if self.norm == "none" else before_norm / (before_norm + self.eps)

    def length(self, q: float) -> float:
        """The length map: q of the layer above."""
        return self.normalised(self.length_before_norm(gaussian_moments(self.activation, q)))

    def gradient_multiplier(self, q: float) -> float:
        """χ at length ``q``, for equal widths. Infinite where a norm without ε divides by zero."""
        moments = gaussian_moments(self.activation, q)
        slope = self.weight_variance * moments.slope_square / (1.0 - self.dropout)
        if self.norm == "none":
            return slope
        scale = self.length_before_norm(moments) + self.eps
        return slope / scale if scale > 0.0 else math.inf

    def length_of_inputs(self, mean_square: float) -> float:
        """q of a first layer with these weights, which reads inputs instead of φ(h)."""
        bias = 0.0 if self.norm == "batch_norm" else self.bias_variance
        return self.normalised(self.weight_variance * mean_square + bias)


def fixed_point(layer: LayerMap, start: float) -> float:
    """q*, where repeating the layer leads from ``start``: 0 and ∞ included.

    E[φ(√q z)²] grows with q for every activation here, so the lengths move monotonically to the nearest fixed point. Of
    several (tanhshrink has 0, an unstable one and ∞) this is the one that a network reaches.
    """
    # Plain steps settle most maps. Near the critical line they would take thousands, a search for the root a few.
    q = start
    for _ in range(PLAIN_STEPS):
        if not VANISHED < q < UNBOUNDED:
            return 0.0 if q <= VANISHED else math.inf
        longer = layer.length(q)
        if abs(longer - q) <= SETTLED * q:
            return longer
        q = longer
    return _next_crossing(lambda x: layer.length(x) - x, q)


def _next_crossing(excess: Callable[[float], float], start: float) -> float:
    """The first zero of ``excess`` on the side where its sign at ``start`` leads; 0 or ∞ where there is none."""
    rising = excess(start) > 0.0
    near = start
    while VANISHED < near < UNBOUNDED:
        far = near * 2.0 if rising else near / 2.0
        if (excess(far) > 0.0) != rising:
            # The relative tolerance alone decides: lengths may be as small as 1e-16.
            return float(scipy.optimize.brentq(excess, near, far, xtol=1e-300, rtol=1e-14))
        near = far
    return math.inf if rising else 0.0


def asymptotic_multiplier(layer: LayerMap, q_star: float) -> float:
    """χ at q*; for q* = 0 this is σw²·φ'(0)², for q* = ∞ it takes the two asymptotes of φ."""
    return layer.gradient_multiplier(min(q_star, UNBOUNDED))


@lru_cache(maxsize=256)  # the layers of a stack ask for the same
def critical_weight_variance(activation: Activation, bias_variance: float) -> float | None:
    """The critical line σw²(σb²), where χ = 1 at the q* that standardised inputs lead to; None where there is none.

    Along q: σw² = 1/E[φ'²] and σb² = q − E[φ²]/E[φ'²]. GELU, SiLU and mish meet both at q = 0 only, and lengths run
    away from 0, so without bias they have no critical point. ReLU with a bias has χ = 1 at σw² = 2, but no q*.
    """
    for q in _critical_lengths(activation, bias_variance):
        layer = LayerMap(activation, 1.0 / gaussian_moments(activation, q).slope_square, bias_variance)
        # A fixed point counts only where inputs of mean square 1 lead to it: others repel.
        q_star = fixed_point(layer, layer.length_of_inputs(1.0))
        if abs(asymptotic_multiplier(layer, q_star) - 1.0) < CRITICAL:
            return layer.weight_variance
    return None


def _critical_lengths(activation: Activation, bias_variance: float) -> Iterator[float]:
    """Every q (one per decade at most) at which σw² = 1/E[φ'²] makes a fixed point of the length map."""

    def missing(q: float, moments_of: Callable[[Activation, float], Moments] = integrated_moments) -> float:
        moments = moments_of(activation, q)
        if moments.slope_square < NO_SLOPE:
            return -math.inf
        return q - moments.square / moments.slope_square - bias_variance

    for q in (10.0**exponent for exponent in range(-12, 6)):
        if abs(missing(q)) <= 1e-11 * q:  # q → 0, or φ(az) = a·φ(z), critical at every q
            yield q
        elif missing(q) < 0.0 < missing(10.0 * q):
            yield float(scipy.optimize.brentq(missing, q, 10.0 * q, (gaussian_moments,), xtol=1e-300, rtol=1e-14))

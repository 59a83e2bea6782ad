"""Activation functions as plain mathematics: values, derivatives, kinks and regions. No torch.

Theory integrates them, the probe takes its thresholds from here, the catalogue lists them. The trained
function is torch's own of the same name; a test holds both equal.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from gradient_clinic.values import Array

Interval = tuple[float, float]

INFINITY = math.inf
SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772
SATURATED_BELOW = 0.01
"""An entry is saturated where |φ'(h)| is below this share of its maximum."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One function φ(z, a), where ``a`` is its parameter (negative slope or alpha; unused by most).

    ``kinks``: points where φ' jumps; quadrature splits there. ``active``: the open intervals where φ' ≠ 0,
    or None for everywhere. ``unsaturated``: the open interval where |φ'| is at least 1 % of its maximum,
    for bounded functions only.
    """

    title: str
    formula: str
    phi: Callable[[Array, float], Array]
    dphi: Callable[[Array, float], Array]
    kinks: tuple[float, ...] = ()
    active: tuple[Interval, ...] | None = None
    unsaturated: Interval | None = None
    parameter: str | None = None
    default: float = 0.0
    paper: str = ""


def _sigmoid(z: Array, _: float = 0.0) -> Array:
    return np.asarray(special.expit(z))


def _dsigmoid(z: Array, _: float = 0.0) -> Array:
    return np.asarray(special.expit(z) * special.expit(-z))


def _dtanh(z: Array, _: float) -> Array:
    return np.asarray(1.0 / np.cosh(np.clip(z, -350.0, 350.0)) ** 2)


def _elu(z: Array, a: float) -> Array:
    return np.where(z > 0, z, a * np.expm1(np.minimum(z, 0.0)))


def _delu(z: Array, a: float) -> Array:
    return np.where(z > 0, 1.0, a * np.exp(np.minimum(z, 0.0)))


def _celu(z: Array, a: float) -> Array:
    return np.where(z > 0, z, a * np.expm1(np.minimum(z, 0.0) / a))


def _dcelu(z: Array, a: float) -> Array:
    return np.where(z > 0, 1.0, np.exp(np.minimum(z, 0.0) / a))


def _normal_density(z: Array) -> Array:
    return np.asarray(np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi))


def _gelu(z: Array, _: float) -> Array:
    return np.asarray(z * special.ndtr(z))


def _dgelu(z: Array, _: float) -> Array:
    return np.asarray(special.ndtr(z) + z * _normal_density(z))


def _dsilu(z: Array, _: float) -> Array:
    return _sigmoid(z) + z * _dsigmoid(z)


def _softplus(z: Array, _: float = 0.0) -> Array:
    with np.errstate(invalid="ignore"):  # of all ufuncs here it alone warns of a NaN that it hands on
        return np.asarray(np.logaddexp(0.0, z))


def _dmish(z: Array, _: float) -> Array:
    tanh = np.tanh(_softplus(z))
    return np.asarray(tanh + z * (1.0 - tanh * tanh) * _sigmoid(z))


def _between(low: float, high: float) -> Callable[[Array, float], Array]:
    """The indicator of low < z < high."""
    return lambda z, _: ((z > low) & (z < high)).astype(np.float64)


def _dhardswish(z: Array, _: float) -> Array:
    return np.where(z <= -3.0, 0.0, np.where(z >= 3.0, 1.0, z / 3.0 + 0.5))


_TANH_EDGE = math.atanh(math.sqrt(1.0 - SATURATED_BELOW))
_SIGMOID_EDGE = 2.0 * _TANH_EDGE  # σ(z) = (1 + tanh(z/2))/2, so both lose 99 % of their slope at one tanh value
_SOFTSIGN_EDGE = 1.0 / math.sqrt(SATURATED_BELOW) - 1.0

SHAPES: dict[str, Shape] = {
    "identity": Shape("Identity", "φ(z) = z", lambda z, _: z, lambda z, _: np.ones_like(z)),
    "relu": Shape(
        "ReLU",
        "φ(z) = max(0, z)",
        lambda z, _: np.maximum(z, 0.0),
        _between(0.0, INFINITY),
        kinks=(0.0,),
        active=((0.0, INFINITY),),
        paper="Nair & Hinton 2010",
    ),
    "leaky_relu": Shape(
        "Leaky ReLU",
        "φ(z) = max(0, z) + a·min(0, z)",
        lambda z, a: np.where(z > 0, z, a * z),
        lambda z, a: np.where(z > 0, 1.0, a),
        kinks=(0.0,),
        parameter="negative_slope",
        default=0.01,
        paper="Maas et al. 2013",
    ),
    "prelu": Shape(
        "Parametric ReLU",
        "φ(z) = max(0, z) + a·min(0, z), a learned per layer",
        lambda z, a: np.where(z > 0, z, a * z),
        lambda z, a: np.where(z > 0, 1.0, a),
        kinks=(0.0,),
        parameter="negative_slope",
        default=0.25,
        paper="He et al. 2015, arXiv:1502.01852",
    ),
    "elu": Shape(
        "ELU",
        "φ(z) = z for z > 0, else a·(eᶻ − 1)",
        _elu,
        _delu,
        kinks=(0.0,),
        parameter="alpha",
        default=1.0,
        paper="Clevert et al. 2015, arXiv:1511.07289",
    ),
    "celu": Shape(
        "CELU",
        "φ(z) = max(0, z) + min(0, a·(e^(z/a) − 1))",
        _celu,
        _dcelu,
        kinks=(0.0,),
        parameter="alpha",
        default=1.0,
        paper="Barron 2017, arXiv:1704.07483",
    ),
    "selu": Shape(
        "SELU",
        "φ(z) = λ·z for z > 0, else λ·α·(eᶻ − 1); λ = 1.0507, α = 1.6733",
        lambda z, _: SELU_SCALE * _elu(z, SELU_ALPHA),
        lambda z, _: SELU_SCALE * _delu(z, SELU_ALPHA),
        kinks=(0.0,),
        paper="Klambauer et al. 2017, arXiv:1706.02515",
    ),
    "gelu": Shape("GELU", "φ(z) = z·Φ(z)", _gelu, _dgelu, paper="Hendrycks & Gimpel 2016, arXiv:1606.08415"),
    "silu": Shape("SiLU (swish)", "φ(z) = z·σ(z)", lambda z, _: z * _sigmoid(z), _dsilu, paper="Elfwing et al. 2017"),
    "mish": Shape(
        "Mish", "φ(z) = z·tanh(ln(1 + eᶻ))", lambda z, _: z * np.tanh(_softplus(z)), _dmish, paper="Misra 2019"
    ),
    "tanh": Shape(
        "Hyperbolic tangent", "φ(z) = tanh z", lambda z, _: np.tanh(z), _dtanh, unsaturated=(-_TANH_EDGE, _TANH_EDGE)
    ),
    "sigmoid": Shape(
        "Logistic sigmoid",
        "φ(z) = 1/(1 + e⁻ᶻ)",
        _sigmoid,
        _dsigmoid,
        unsaturated=(-_SIGMOID_EDGE, _SIGMOID_EDGE),
    ),
    "softsign": Shape(
        "Softsign",
        "φ(z) = z/(1 + |z|)",
        lambda z, _: z / (1.0 + np.abs(z)),
        lambda z, _: 1.0 / (1.0 + np.abs(z)) ** 2,
        unsaturated=(-_SOFTSIGN_EDGE, _SOFTSIGN_EDGE),
        paper="Bergstra et al. 2009",
    ),
    "softplus": Shape("Softplus", "φ(z) = ln(1 + eᶻ)", _softplus, _sigmoid, paper="Dugas et al. 2001"),
    "logsigmoid": Shape("Log-sigmoid", "φ(z) = ln σ(z)", lambda z, _: -_softplus(-z), lambda z, _: _sigmoid(-z)),
    "tanhshrink": Shape("Tanhshrink", "φ(z) = z − tanh z", lambda z, _: z - np.tanh(z), lambda z, _: np.tanh(z) ** 2),
    "hardtanh": Shape(
        "Hard tanh",
        "φ(z) = min(1, max(−1, z))",
        lambda z, _: np.clip(z, -1.0, 1.0),
        _between(-1.0, 1.0),
        kinks=(-1.0, 1.0),
        active=((-1.0, 1.0),),
        unsaturated=(-1.0, 1.0),
        paper="Collobert 2004",
    ),
    "hardsigmoid": Shape(
        "Hard sigmoid",
        "φ(z) = min(1, max(0, z/6 + ½))",
        lambda z, _: np.clip(z / 6.0 + 0.5, 0.0, 1.0),
        lambda z, a: _between(-3.0, 3.0)(z, a) / 6.0,
        kinks=(-3.0, 3.0),
        active=((-3.0, 3.0),),
        unsaturated=(-3.0, 3.0),
        paper="Courbariaux et al. 2015",
    ),
    "hardswish": Shape(
        "Hard swish",
        "φ(z) = z·min(1, max(0, z/6 + ½))",
        lambda z, _: z * np.clip(z / 6.0 + 0.5, 0.0, 1.0),
        _dhardswish,
        kinks=(-3.0, 3.0),
        active=((-3.0, INFINITY),),
        paper="Howard et al. 2019, arXiv:1905.02244",
    ),
    "relu6": Shape(
        "ReLU6",
        "φ(z) = min(6, max(0, z))",
        lambda z, _: np.clip(z, 0.0, 6.0),
        _between(0.0, 6.0),
        kinks=(0.0, 6.0),
        active=((0.0, 6.0),),
        unsaturated=(0.0, 6.0),
        paper="Krizhevsky 2010",
    ),
    "softshrink": Shape(
        "Soft shrinkage",
        "φ(z) = sign(z)·max(0, |z| − ½)",
        lambda z, _: np.sign(z) * np.maximum(np.abs(z) - 0.5, 0.0),
        lambda z, _: (np.abs(z) > 0.5).astype(np.float64),
        kinks=(-0.5, 0.5),
        active=((-INFINITY, -0.5), (0.5, INFINITY)),
    ),
    "hardshrink": Shape(
        "Hard shrinkage",
        "φ(z) = z where |z| > ½, else 0",
        lambda z, _: np.where(np.abs(z) <= 0.5, 0.0, z),
        lambda z, _: (np.abs(z) > 0.5).astype(np.float64),
        kinks=(-0.5, 0.5),
        active=((-INFINITY, -0.5), (0.5, INFINITY)),
    ),
}


@dataclass(frozen=True, slots=True)
class Activation:
    """A function with its parameter filled in: what a layer of a plan carries."""

    function: str
    parameter: float = 0.0

    @property
    def shape(self) -> Shape:
        return SHAPES[self.function]

    @property
    def bounded(self) -> bool:
        return self.shape.unsaturated is not None

    def phi(self, z: Array) -> Array:
        return self.shape.phi(z, self.parameter)

    def dphi(self, z: Array) -> Array:
        """φ'(z); at a kink the one-sided value that torch uses is not promised."""
        return self.shape.dphi(z, self.parameter)

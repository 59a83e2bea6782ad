"""What each initialisation means to mean-field theory: σw² = fan_in·Var W and σb² = Var b of one layer."""

import math
from dataclasses import dataclass
from typing import Final, assert_never

from models.specs.init import (
    GaussianInit,
    InitSpec,
    KaimingNormalInit,
    KaimingUniformInit,
    LecunNormalInit,
    NormalInit,
    OrthogonalInit,
    TorchDefaultInit,
    XavierNormalInit,
    XavierUniformInit,
)

KAIMING_GAIN: Final = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "leaky_relu": math.sqrt(2.0),
    "selu": 0.75,
}
"""``torch.nn.init.calculate_gain``, as ``kaiming_*_`` calls it (negative slope a = 0)."""


@dataclass(frozen=True, slots=True)
class InitialVariance:
    weight: float
    """σw² = fan_in·Var W."""
    bias: float = 0.0
    """σb² = Var b."""


def initial_variance(init: InitSpec, fan_in: int, fan_out: int) -> InitialVariance:
    """(σw², σb²) of a weight tensor fan_out × fan_in drawn by ``init``; the distribution's shape does not count.

    Orthogonal: the smaller Gram matrix is gain²·I, so Σ W² = gain²·min(fan_in, fan_out) and an entry has variance
    gain²/max(fan_in, fan_out).
    """
    bias = 0.0
    match init:
        case TorchDefaultInit():  # both U(±1/√fan_in)
            weight, bias = 1.0 / 3.0, 1.0 / (3.0 * fan_in)
        case XavierNormalInit() | XavierUniformInit():
            weight = init.gain**2 * 2.0 * fan_in / (fan_in + fan_out)
        case KaimingNormalInit() | KaimingUniformInit():
            fan = fan_in if init.mode == "fan_in" else fan_out
            weight = KAIMING_GAIN[init.nonlinearity] ** 2 * fan_in / fan
        case LecunNormalInit():
            weight = 1.0
        case OrthogonalInit():
            weight = init.gain**2 * fan_in / max(fan_in, fan_out)
        case GaussianInit():
            weight, bias = init.weight_variance, init.bias_variance
        case NormalInit():
            weight = fan_in * init.std**2
        case _:
            assert_never(init)
    return InitialVariance(weight, bias)

"""What each initialisation means to mean-field theory: σw² = fan_in·Var W and σb² = Var b of one layer.

``initial_variance`` is of a plain matrix. ``layer_variance`` adds what a layer of a plan has beside its init: gates
drawn one by one, PyTorch's default fan, a factor, a weight rule, kernels that are zero but at their centre.
"""

import math
from dataclasses import dataclass
from typing import Final, assert_never

from models.plan.tree import LayerPlan, NetworkPlan
from models.specs.init import (
    ConstantInit,
    DeltaOrthogonalInit,
    FixupInit,
    GaussianInit,
    Gpt2Init,
    IdentityInit,
    InitSpec,
    KaimingNormalInit,
    KaimingUniformInit,
    LecunNormalInit,
    LsuvInit,
    NormalInit,
    OrthogonalInit,
    TorchDefaultInit,
    UniformInit,
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
ORTHOGONAL: Final = {"orthogonal", "delta_orthogonal", "identity", "lsuv"}
"""Inits whose smaller Gram matrix is a multiple of the identity."""


@dataclass(frozen=True, slots=True)
class InitialVariance:
    weight: float
    """σw² = fan_in·Var W."""
    bias: float = 0.0
    """σb² = Var b."""
    mean: float = 0.0
    """E W. Theory takes weights to be random around 0 and has no number for others."""


def initial_variance(init: InitSpec, fan_in: int, fan_out: int) -> InitialVariance:  # noqa: C901 -- a case per kind
    """(σw², σb²) of a weight tensor fan_out × fan_in drawn by ``init``; the distribution's shape does not count.

    Orthogonal: the smaller Gram matrix is gain²·I, so Σ W² = gain²·min(fan_in, fan_out) and an entry has variance
    gain²/max(fan_in, fan_out); weights on the diagonal alone (identity) have the same. LSUV starts orthonormal: what
    the data make of it depends on h (``node_pass.py``). Fixup is He's and GPT-2's a fixed deviation; their factors for
    branches are ``LayerPlan.scale``.
    """
    bias = mean = 0.0
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
        case OrthogonalInit() | DeltaOrthogonalInit() | IdentityInit():
            weight = init.gain**2 * fan_in / max(fan_in, fan_out)
        case LsuvInit():
            weight = fan_in / max(fan_in, fan_out)
        case FixupInit():
            weight = 2.0
        case GaussianInit():
            weight, bias = init.weight_variance, init.bias_variance
        case NormalInit() | Gpt2Init():
            weight = fan_in * init.std**2
        case UniformInit():
            weight, mean = fan_in * (init.high - init.low) ** 2 / 12.0, (init.low + init.high) / 2.0
        case ConstantInit():
            weight, mean = 0.0, init.value
        case _:
            assert_never(init)
    return InitialVariance(weight, bias, mean)


def centre_only(layer: LayerPlan) -> bool:
    """Whether a convolution's kernel is zero but at its centre, so that it reads one pixel and no border."""
    return layer.kind == "conv2d" and layer.init.kind in {"identity", "delta_orthogonal"}


def layer_variance(layer: LayerPlan, fan_in: int | None = None) -> InitialVariance:
    """(σw², σb²) of ``layer`` as drawn; with ``fan_in`` as if it had so many inputs.

    Where only a kernel's centre is drawn, σw² is per channel of the input. Under spectral norm σ₁ is that of a wide
    random matrix, √Var W·(√rows + √columns), or of an orthogonal one.
    """
    area = layer.kernel_size**2 if centre_only(layer) else 1
    columns = (fan_in or layer.fan_in) // area
    rows = layer.units if layer.init.kind in ORTHOGONAL else layer.fan_out  # a kernel is made orthogonal as a matrix
    drawn = initial_variance(layer.init, columns, rows // layer.gates)
    of_bias = drawn if layer.bias_init is None else initial_variance(layer.bias_init, columns, rows // layer.gates)
    weight, bias = drawn.weight, of_bias.bias if layer.bias else 0.0
    if layer.init.kind == "torch_default" and layer.kind == "embedding":
        weight = float(columns)  # N(0, 1) per entry
    elif layer.init.kind == "torch_default" and layer.default_fan is not None and fan_in is None:
        weight, bias = columns / (3.0 * layer.default_fan), bias * layer.fan_in / layer.default_fan
    if layer.weight_rule == "spectral_norm":
        return InitialVariance(_over_largest_singular_value(layer, weight, columns), bias, drawn.mean)
    return InitialVariance(weight * layer.scale**2, bias, drawn.mean * layer.scale)


def _over_largest_singular_value(layer: LayerPlan, weight: float, columns: int) -> float:
    """σw² after W ← W/σ₁, whatever factor W had; torch flattens a kernel into its columns."""
    if weight == 0.0 or layer.scale == 0.0:
        return 0.0
    rows = layer.units
    if layer.init.kind in ORTHOGONAL and layer.gates == 1:
        return columns / max(columns, rows)
    return columns / (math.sqrt(columns) + math.sqrt(rows)) ** 2


def has_means(network: NetworkPlan) -> bool:
    """Whether weights below the output have a mean: then units are alike, and their sums are no longer random."""
    return any(layer_variance(layer).mean != 0.0 for layer in network.layers[:-1])

"""Draws the weights of a layer as its plan says, in float64 on the CPU, from generators of its own.

Inits of one family share the draw and differ by a factor only, so that pairs of runs differ by that factor alone.
"""

import math

import torch
from torch import Tensor, nn

from models.plan import LayerPlan
from models.specs.init import InitSpec
from worker.randomness import generator


@torch.no_grad()
def initialise(weight: Tensor, bias: Tensor | None, layer: LayerPlan, seed: int) -> None:
    """Weight (units, …, fan in), a block of rows per gate; bias (units,)."""
    weights, biases = generator(seed, "weights", layer.name), generator(seed, "biases", layer.name)
    # Gate by gate: an orthogonal draw is of each gate's own matrix, not of all gates together.
    for gate in weight.chunk(layer.gates):
        _draw(gate, layer, weights)
    # After the draw: inits that differ by a factor share their random numbers.
    weight.mul_(layer.scale)
    if bias is not None:
        _draw_bias(bias, layer, biases)


def _draw(weight: Tensor, layer: LayerPlan, weights: torch.Generator) -> None:
    init = layer.init
    match init.kind:
        case "orthogonal" | "lsuv":
            nn.init.orthogonal_(weight, gain=init.gain if init.kind == "orthogonal" else 1.0, generator=weights)
        case "delta_orthogonal" if weight.dim() > 2:
            # Orthogonal in its middle tap and zero around it, so the whole convolution keeps norms (Xiao et al. 2018).
            centre = torch.empty(weight.shape[:2], dtype=weight.dtype)
            nn.init.orthogonal_(centre, gain=init.gain, generator=weights)
            weight.zero_()
            weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2] = centre
        case "delta_orthogonal":
            nn.init.orthogonal_(weight, gain=init.gain, generator=weights)
        case "identity":
            nn.init.eye_(weight) if weight.dim() == 2 else nn.init.dirac_(weight)
            weight.mul_(init.gain)
        case "torch_default" if layer.kind == "embedding":
            weight.normal_(generator=weights)
        case "torch_default" | "xavier_uniform" | "kaiming_uniform":
            # U(−a, a) has the variance a²/3.
            weight.uniform_(-1.0, 1.0, generator=weights).mul_(math.sqrt(3.0) * _std(init, layer))
        case "gaussian" if init.distribution == "uniform":
            weight.uniform_(-1.0, 1.0, generator=weights).mul_(math.sqrt(3.0) * _std(init, layer))
        case "uniform":
            weight.uniform_(-1.0, 1.0, generator=weights).mul_((init.high - init.low) / 2.0)
            weight.add_((init.low + init.high) / 2.0)
        case "constant":
            weight.fill_(init.value)
        case _:
            weight.normal_(generator=weights).mul_(_std(init, layer))


def _draw_bias(bias: Tensor, layer: LayerPlan, biases: torch.Generator) -> None:
    init = layer.bias_init or layer.init
    match init.kind:
        case "torch_default":
            bias.uniform_(-1.0, 1.0, generator=biases).mul_(1.0 / math.sqrt(layer.default_fan or layer.fan_in))
        case "gaussian" if init.distribution == "uniform":
            bias.uniform_(-1.0, 1.0, generator=biases).mul_(math.sqrt(3.0 * init.bias_variance))
        case "gaussian":
            bias.normal_(generator=biases).mul_(math.sqrt(init.bias_variance))
        case _:
            bias.zero_()


def _std(init: InitSpec, layer: LayerPlan) -> float:
    """The standard deviation of the weights, for all inits that draw each entry for itself."""
    # Of one gate: torch's formulas would take the stacked matrices of all gates for one wide layer.
    fan_out = layer.fan_out // layer.gates
    match init.kind:
        case "torch_default":
            variance = 1.0 / (3.0 * (layer.default_fan or layer.fan_in))
        case "xavier_normal" | "xavier_uniform":
            variance = init.gain**2 * 2.0 / (layer.fan_in + fan_out)
        case "kaiming_normal" | "kaiming_uniform":
            fan = layer.fan_in if init.mode == "fan_in" else fan_out
            variance = nn.init.calculate_gain(init.nonlinearity, 0) ** 2 / fan
        case "fixup":
            variance = 2.0 / layer.fan_in
        case "lecun_normal":
            variance = 1.0 / layer.fan_in
        case "gaussian":
            variance = init.weight_variance / layer.fan_in
        case "normal" | "gpt2":
            variance = init.std**2
        case _:
            message = f"the weights of {init.kind} have no standard deviation of their own"
            raise ValueError(message)
    return math.sqrt(variance)

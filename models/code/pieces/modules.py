"""The parts of a network: one class for each kind of step."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from models.code.pieces.randomness import generator

Draw = Callable[[Tensor, int, int, torch.Generator], object]


class Layer(nn.Module):
    """W·x + b, then the norm where there is one; what comes out is h of the layer of this ``name`` in the traces.

    W and b are drawn in float64, each from a generator of its own. ``gates``: so many matrices one below the other.
    ``scale`` multiplies W as drawn, and ``fan`` stands in the place of its inputs.
    """

    unit_variance = 0.0, 0
    """How near to 1 the first batch is to bring the variance of h, and in how many rounds at most."""

    def __init__(
        self,
        seed: int,
        name: str,
        linear: nn.Linear | nn.Conv2d | nn.Embedding,
        norm: nn.Module | None = None,
        *,
        init: Draw,
        bias_init: Draw | None = None,
        gates: int = 1,
        scale: float = 1.0,
        fan: int | None = None,
    ) -> None:
        super().__init__()
        self.name, self.linear, self.norm = name, linear.double(), norm
        self._draw(seed, init, bias_init, gates, scale, fan)

    @torch.no_grad()
    def _draw(self, seed: int, init: Draw, bias_init: Draw | None, gates: int, scale: float, fan: int | None) -> None:
        weight, bias = self.linear.weight, getattr(self.linear, "bias", None)
        area = math.prod(weight.shape[2:])
        fan_in, fan_out = weight.shape[1] * area, weight.shape[0] // gates * area
        if isinstance(self.linear, nn.Embedding):
            fan_in, fan_out = fan_out, fan_in
        random = generator(seed, "weights", self.name)
        for gate in weight.chunk(gates):
            init(gate, fan or fan_in, fan_out, random)
        weight.mul_(scale)
        if bias is not None:
            bias.zero_()
            if bias_init is not None:
                bias_init(bias, fan or fan_in, fan_out, generator(seed, "biases", self.name))

    @property
    def weight(self) -> nn.Parameter:
        """What is trained: W, or under a weight rule what W is made of (of weight norm its V, and not its g)."""
        return [parameter for parameter in self.linear.parameters() if parameter.dim() > 1][-1]

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        return x if self.norm is None else self.norm(x)


def weight_norm(layer: Layer) -> Layer:
    """W = g·V/‖V‖ for each unit (Salimans & Kingma 2016)."""
    parametrizations.weight_norm(layer.linear, dim=1 if isinstance(layer.linear, nn.Embedding) else 0)
    return layer


def spectral_norm(seed: int, layer: Layer) -> Layer:
    """W = V/σ(V), σ by power iteration (Miyato 2018), which starts from vectors of its own."""
    parametrizations.spectral_norm(layer.linear)
    random = generator(seed, "spectral_norm", layer.name)
    rule: Any = layer.linear.parametrizations.weight[0]  # type: ignore[union-attr,index]
    with torch.no_grad():
        for vector in (rule._u, rule._v):
            vector.copy_(functional.normalize(torch.empty_like(vector).normal_(generator=random), dim=0))
        rule._power_method(layer.weight.flatten(1), 15)
    return layer


def frozen(layer: Layer) -> Layer:
    """It keeps its weights, bias and norm as they start."""
    layer.requires_grad_(requires_grad=False)
    return layer


def to_unit_variance(layer: Layer, tolerance: float = 0.1, most: int = 10) -> Layer:
    """To be scaled by the first batch, see ``scale_by_data``."""
    layer.unit_variance = tolerance, most
    return layer


@torch.no_grad()
def scale_by_data(network: nn.Module, given: tuple[Tensor, ...]) -> None:
    """Layer-sequential unit variance (Mishkin & Matas 2015): W ← W/√Var(h) on one batch, layer by layer."""
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    for layer in [module for module in network.modules() if isinstance(module, Layer)]:
        tolerance, most = layer.unit_variance
        # Of weight norm it is g that scales W.
        weight = next(parameter for parameter in layer.linear.parameters() if parameter.dim() > 1)
        for _ in range(most):
            variance = variance_of(network, layer, given)
            if not math.isfinite(variance) or variance == 0.0 or abs(variance - 1.0) < tolerance:
                break
            weight.div_(math.sqrt(variance))
    for name, buffer in network.named_buffers():
        buffer.copy_(buffers[name])


def variance_of(network: nn.Module, layer: Layer, given: tuple[Tensor, ...]) -> float:
    """Of h over cases, units and places; steps behind a case's end are none."""
    seen: list[float] = []

    def see(_module: nn.Module, _inputs: object, h: Tensor) -> None:
        if len(given) > 1 and h.dim() == 3:
            h = h[torch.arange(h.shape[1], device=h.device) < given[1][:, None]]
        seen.append(float(h.double().var()))

    handle = layer.register_forward_hook(see)
    network.eval()
    network(*given)
    network.train()
    handle.remove()
    return seen[-1]


class Residual(nn.Module):
    """x + scale·body(x); where the shapes differ a shortcut stands in for x."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None, scale: float = 1.0) -> None:
        super().__init__()
        self.body, self.shortcut, self.scale = body, shortcut, scale

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.body(x)
        beside: Tensor = x if self.shortcut is None else self.shortcut(x)
        return beside + (branch if self.scale == 1.0 else self.scale * branch)


class LearnedResidual(nn.Module):
    """x + α·body(x) with α learned: one number, or one for each unit."""

    def __init__(self, body: nn.Module, alpha: Tensor, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.alpha = nn.Parameter(alpha)
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.body(x)
        beside: Tensor = x if self.shortcut is None else self.shortcut(x)
        return beside + self.alpha * branch


class Highway(nn.Module):
    """T·body(x) + (1 − T)·x with T = σ(W_T·x + b_T) (Srivastava 2015)."""

    def __init__(self, body: nn.Module, gate: Layer, bias: float) -> None:
        super().__init__()
        self.body, self.gate = body, gate
        nn.init.constant_(gate.linear.bias, bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.body(x)
        opened: Tensor = self.gate(x).sigmoid()
        return x + opened * (branch - x)


class Dropout(nn.Module):
    """Inverted dropout whose masks come from a generator of its own."""

    def __init__(self, seed: int, name: str, p: float) -> None:
        super().__init__()
        self.p, self.purpose = p, (seed, "dropout", name)
        self.masks: torch.Generator | None = None

    def kept(self, x: Tensor) -> Tensor:
        if self.masks is None:
            self.masks = generator(*self.purpose, device=x.device)
        return torch.empty_like(x).bernoulli_(1.0 - self.p, generator=self.masks)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.kept(x) / (1.0 - self.p) if self.training else x


class AlphaDropout(Dropout):
    """Dropped units take what SELU gives far below zero; mean 0 and variance 1 stay (Klambauer 2017)."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        floor, keep = -1.7580993408473766, self.kept(x)
        scale = 1.0 / math.sqrt((1.0 - self.p) * (1.0 + self.p * floor**2))
        return scale * (x * keep + floor * (1.0 - keep) - self.p * floor)


class GroupNormOverLast(nn.GroupNorm):
    """Groups of the last axis; every step is a case of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, x.shape[-1])).reshape(x.shape)


class Rows(nn.Module):
    """An image as a sequence of its rows: (cases, channels, height, width) → (cases, height, channels·width)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2)


class MeanOverPixels(nn.Module):
    """(cases, channels, height, width) → (cases, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))

"""The small modules that networks are made of: activations, norms, dropout with masks of its own."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gradient_clinic.activations import SHAPES, Activation
from models.specs.normalization import NormalizationSpec
from worker.randomness import generator

ACTIVATIONS: dict[str, Callable[[float], nn.Module]] = {
    "identity": lambda _: nn.Identity(),
    "relu": lambda _: nn.ReLU(),
    "leaky_relu": nn.LeakyReLU,
    "prelu": lambda slope: nn.PReLU(init=slope),
    "elu": nn.ELU,
    "celu": nn.CELU,
    "selu": lambda _: nn.SELU(),
    "gelu": lambda _: nn.GELU(),
    "silu": lambda _: nn.SiLU(),
    "mish": lambda _: nn.Mish(),
    "tanh": lambda _: nn.Tanh(),
    "sigmoid": lambda _: nn.Sigmoid(),
    "softsign": lambda _: nn.Softsign(),
    "softplus": lambda _: nn.Softplus(),
    "logsigmoid": lambda _: nn.LogSigmoid(),
    "tanhshrink": lambda _: nn.Tanhshrink(),
    "hardtanh": lambda _: nn.Hardtanh(),
    "hardsigmoid": lambda _: nn.Hardsigmoid(),
    "hardswish": lambda _: nn.Hardswish(),
    "relu6": lambda _: nn.ReLU6(),
    "softshrink": lambda _: nn.Softshrink(),
    "hardshrink": lambda _: nn.Hardshrink(),
}
assert ACTIVATIONS.keys() == SHAPES.keys()  # a function known to theory and not to training, or reverse

SELU_FLOOR = -1.7580993408473766
"""−λ·α: what SELU gives far below zero, and what alpha dropout puts in place of a unit."""


def activation_module(activation: Activation) -> nn.Module:
    return ACTIVATIONS[activation.function](activation.parameter)


class Dropout(nn.Module):
    """Inverted dropout with a generator of its own, so that one layer's masks never shift another's.

    ``alpha``: dropped units take SELU's floor and all are scaled so that mean 0 and variance 1 stay (Klambauer 2017).
    """

    def __init__(self, p: float, seed: int, name: str, *, alpha: bool = False) -> None:
        super().__init__()
        self.p, self.alpha = p, alpha
        self._seed = (seed, "dropout", name)
        self._generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return self.masked(x, self.draw(torch.empty_like(x)))

    def draw(self, keep: Tensor) -> Tensor:
        """The next mask, into ``keep``: 1 where a unit is kept."""
        # torch's own dropout draws from the global generator, which layers would share.
        return keep.bernoulli_(1.0 - self.p, generator=self.masks(keep.device))

    def masked(self, x: Tensor, keep: Tensor) -> Tensor:
        if not self.alpha:
            return x * keep / (1.0 - self.p)
        # The variance that a mix of kept units and floors has, taken back to 1.
        scale = 1.0 / math.sqrt((1.0 - self.p) * (1.0 + self.p * SELU_FLOOR**2))
        return scale * (x * keep + SELU_FLOOR * (1.0 - keep) - self.p * SELU_FLOOR)

    def masks(self, device: torch.device) -> torch.Generator:
        # At the first pass, which knows the device that masks are drawn on.
        if self._generator is None:
            self._generator = generator(*self._seed, device=device)
        return self._generator


def norm_module(norm: NormalizationSpec, units: int, *, image: bool = False) -> nn.Module:
    """Over the last axis; of an image over channels. Its layer norm is over all numbers of a case, γ per channel."""
    match norm.kind:
        case "batch_norm":
            kind = nn.BatchNorm2d if image else nn.BatchNorm1d
            return kind(units, eps=norm.eps, momentum=norm.momentum, affine=norm.affine)
        case "layer_norm" if image:
            return nn.GroupNorm(1, units, eps=norm.eps, affine=norm.affine)
        case "layer_norm":
            return nn.LayerNorm(units, eps=norm.eps, elementwise_affine=norm.affine)
        case "rms_norm":
            return nn.RMSNorm(units, eps=norm.eps, elementwise_affine=norm.affine)
        case "group_norm":
            group = nn.GroupNorm(norm.groups, units, eps=norm.eps, affine=norm.affine)
            return group if image else _OverLast(group)


class _OverLast(nn.Module):
    """GroupNorm takes units on axis 1; here they are on the last, and every step is a case of its own."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(x.reshape(-1, x.shape[-1])).reshape(x.shape)
        return result

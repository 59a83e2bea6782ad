"""A tower whose layers are gated by a second map of what enters them: no list of layers of the clinic says that."""

import math
from itertools import pairwise

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn


class GatedTower(BaseModel):
    """What a spec may say in ``parameters``."""

    depth: int = Field(default=8, ge=1, le=200, description="Gated layers.")
    width: int = Field(default=32, ge=1, le=4096, description="Units of each.")
    gate_bias: float = Field(default=0.0, description="Of every gate at the start: high ones let signals through.")


class Gated(nn.Module):
    """tanh(W·x + b) ⊙ σ(V·x + c)."""

    def __init__(self, entering: int, width: int, gate_bias: float) -> None:
        super().__init__()
        self.value = nn.Linear(entering, width)
        self.gate = nn.Linear(entering, width)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.value(x)) * torch.sigmoid(self.gate(x))


class Tower(nn.Module):
    def __init__(self, parameters: GatedTower, entering: int, outputs: int) -> None:
        super().__init__()
        widths = pairwise([entering] + [parameters.width] * parameters.depth)
        self.layers = nn.ModuleList(Gated(before, after, parameters.gate_bias) for before, after in widths)
        self.head = nn.Linear(parameters.width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers:
            x = layer(x)
        result: Tensor = self.head(x)
        return result


def gated_tower(parameters: GatedTower, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A tower of gated layers, for cases of any shape"""
    return Tower(parameters, math.prod(shape), outputs)

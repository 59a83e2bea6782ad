"""Plug-ins that misbehave, each in one way; a file of its own, as ``tests.plugged`` installs it as a package."""

import sys
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, Field, model_validator
from torch import Tensor, nn


class Nothing(BaseModel):
    pass


class Choosy(BaseModel):
    """What no JSON schema says."""

    low: int = 1
    high: int = Field(default=2, le=9)

    @model_validator(mode="after")
    def _in_order(self) -> "Choosy":
        if self.low >= self.high:
            raise ValueError("low has to be below high")
        return self


class Cases(BaseModel):
    facts: ClassVar = {"cases": 60, "shape": [2], "classes": 2}


class Faceless(BaseModel):
    cases: int = 60


class Vague(BaseModel):
    facts: ClassVar = {"cases": "many", "shape": [2], "classes": 2}


class Layers(nn.Module):
    """Registered in another order than they run; a mask is drawn in each pass."""

    def __init__(self, entering: int, outputs: int, *, fails_at: int | None = None) -> None:
        super().__init__()
        self.output = nn.Linear(8, outputs)
        self.second = nn.Linear(8, 8)
        self.first = nn.Linear(entering, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.25)
        self.passes, self.fails_at = 0, fails_at

    def forward(self, x: Tensor) -> Any:
        self.passes += self.training
        if self.fails_at is not None and self.passes > self.fails_at:
            raise ValueError("a pass too many")
        x = torch.tanh(self.first(x.flatten(1)))
        result: Tensor = self.output(self.drop(torch.relu(self.norm(self.second(x)))))
        return result


class Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004 -- torch's signature
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:  # noqa: ARG004
        raise ArithmeticError("no way back")


class Wayless(Layers):
    def forward(self, x: Tensor) -> Any:
        return Backward.apply(super().forward(x))  # type: ignore[no-untyped-call]


class Twofold(Layers):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x), x


class Wide(Layers):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).repeat(1, 2)


def good(parameters: Nothing, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A network that is well"""
    return Layers(int(np.prod(shape)), outputs)


def half_frozen(parameters: Nothing, shape: tuple[int, ...], outputs: int) -> nn.Module:
    network = Layers(int(np.prod(shape)), outputs)
    network.second.weight.requires_grad = False
    return network


def choosy(parameters: Choosy, shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Layers(int(np.prod(shape)), outputs)


def raises(parameters: Nothing, shape: tuple[int, ...], outputs: int) -> nn.Module:
    raise LookupError("no such tower")


def leaves(parameters: Nothing, shape: tuple[int, ...], outputs: int) -> nn.Module:
    sys.exit("good bye")


def raises_later(parameters: Nothing, shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Layers(int(np.prod(shape)), outputs, fails_at=4)


def no_way_back(parameters: Nothing, shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Wayless(int(np.prod(shape)), outputs)


def gives_two(parameters: Nothing, shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Twofold(int(np.prod(shape)), outputs)


def too_wide(parameters: Nothing, shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Wide(int(np.prod(shape)), outputs)


def no_module(parameters: Nothing, shape: tuple[int, ...], outputs: int) -> object:
    return {"layers": 3}


def learns_nothing(parameters: Nothing, shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Flatten()


def one_layer(parameters: Nothing, shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), outputs))


def no_annotation(parameters, shape, outputs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    return nn.Flatten()


def two_parameters(parameters: Nothing, shape: tuple[int, ...]) -> nn.Module:
    return nn.Flatten()


def data_good(parameters: Cases, seed: int) -> tuple[Tensor, Tensor]:
    """Points on a side"""
    chance = torch.Generator().manual_seed(seed)
    x = torch.randn(60, 2, generator=chance)
    return x, (x[:, 0] > 0).long()


def data_raises(parameters: Cases, seed: int) -> tuple[Tensor, Tensor]:
    raise OSError("no such disk")


def data_not_finite(parameters: Cases, seed: int) -> tuple[Tensor, Tensor]:
    x = torch.zeros(60, 2)
    x[3, 1] = torch.nan
    return x, torch.zeros(60, dtype=torch.int64)


def data_few(parameters: Cases, seed: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(59, 2), torch.zeros(59, dtype=torch.int64)


def data_whole(parameters: Cases, seed: int) -> tuple[Any, Any]:
    return np.zeros((60, 2), dtype=np.int32), np.zeros(60, dtype=np.int64)


def data_third_label(parameters: Cases, seed: int) -> tuple[Any, Any]:
    return np.zeros((60, 2)), np.arange(60) % 3


def data_amounts(parameters: Cases, seed: int) -> tuple[Any, Any]:
    return np.zeros((60, 2)), np.zeros(60)


def data_alone(parameters: Cases, seed: int) -> Any:
    return torch.zeros(60, 2)


def data_faceless(parameters: Faceless, seed: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(60, 2), torch.zeros(60)


def data_vague(parameters: Vague, seed: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(60, 2), torch.zeros(60)

"""Arms of a spiral in the plane, told apart by a network that bends."""

import math
from typing import ClassVar

import torch
from pydantic import BaseModel, Field
from torch import Tensor


class Spirals(BaseModel):
    """What a spec may say in ``parameters``. ``facts``: what the cases will be, so that experiments can be planned
    where this code is not; a text names the parameter that says the number.
    """

    facts: ClassVar = {"cases": "cases", "shape": [2], "classes": "arms"}

    cases: int = Field(default=600, ge=50, le=100_000)
    arms: int = Field(default=3, ge=2, le=10, description="Classes.")
    turns: float = Field(default=0.75, gt=0, le=5, description="Of each arm.")
    noise: float = Field(default=0.05, ge=0, le=1)


def spirals(parameters: Spirals, seed: int) -> tuple[Tensor, Tensor]:
    """Arms of a spiral: features (cases, 2), labels (cases,)"""
    chance = torch.Generator().manual_seed(seed)
    labels = torch.arange(parameters.cases) % parameters.arms
    radius = torch.rand(parameters.cases, generator=chance).sqrt()
    angle = 2 * math.pi * (parameters.turns * radius + labels / parameters.arms)
    points = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    return points + parameters.noise * torch.randn(points.shape, generator=chance), labels

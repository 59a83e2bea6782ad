"""Clipping by the norm over all parameters: g ← g·min(1, c/(‖g‖ + 1e-6)) (Pascanu et al. 2013; torch's rule)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.specs.remedy import ClipNormRemedy
from worker.remedies.base import Clipping


class ClipNorm(Clipping):
    def __init__(self, spec: ClipNormRemedy) -> None:
        self._max_norm = spec.max_norm

    @torch.no_grad()
    def clip(self, parameters: Sequence[nn.Parameter], total_norm: Tensor) -> Tensor:
        # In float64: a norm above 3e38 is no float32 number, and clipping is for exactly such gradients.
        factor = (self._max_norm / (total_norm + 1e-6)).clamp(max=1.0)
        gradients = [its.grad for its in parameters if its.grad is not None]
        torch._foreach_mul_(gradients, factor.to(gradients[0].dtype))
        return total_norm * factor

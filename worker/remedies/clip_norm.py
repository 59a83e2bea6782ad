"""Clipping by the norm over all parameters: g ← g·min(1, c/(‖g‖ + 1e-6)) (Pascanu et al. 2013; torch's rule)."""

import torch
from torch import Tensor

from models.specs.training_remedies import ClipNormRemedy
from worker.remedies.base import Bound, Clipping


class ClipNorm(Clipping):
    def __init__(self, spec: ClipNormRemedy) -> None:
        self._max_norm = spec.max_norm

    @torch.no_grad()
    def clip(self, bound: Bound, total_norm: Tensor) -> Tensor:
        # In float64: a norm above 3e38 is no float32 number, and clipping is for exactly such gradients.
        factor = (self._max_norm / (total_norm + 1e-6)).clamp(max=1.0)
        gradients = bound.gradients()
        torch._foreach_mul_(gradients, factor.to(gradients[0].dtype))
        return total_norm * factor

"""Clipping by value: every entry of every gradient into [−c, c] (torch's ``clip_grad_value_``)."""

import torch
from torch import Tensor

from models.specs.training_remedies import ClipValueRemedy
from worker.remedies.base import Bound, Clipping
from worker.remedies.norms import norm_of


class ClipValue(Clipping):
    def __init__(self, spec: ClipValueRemedy) -> None:
        self._max_value = spec.max_value

    @torch.no_grad()
    def clip(self, bound: Bound, total_norm: Tensor) -> Tensor:  # noqa: ARG002 -- others stand on it
        gradients = bound.gradients()
        torch._foreach_clamp_min_(gradients, -self._max_value)
        torch._foreach_clamp_max_(gradients, self._max_value)
        return norm_of(gradients)

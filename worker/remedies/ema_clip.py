"""Clipping against the norm's own history: ZClip (Kumar et al. 2025, arXiv:2504.02507).

With μ and σ running over ‖g‖, a step with z = (‖g‖ − μ)/σ above z* is scaled down to the norm μ + z*²·σ/z. The first
``warm_up`` steps only measure; a norm that is not finite neither counts nor is scaled.
"""

from typing import Any

import torch
from torch import Tensor

from models.specs.training_remedies import EmaClipRemedy
from worker.remedies.base import Bound, Clipping


class EmaClip(Clipping):
    def __init__(self, spec: EmaClipRemedy) -> None:
        self._z, self._decay, self._warm_up = spec.z, spec.decay, spec.warm_up
        self._steps = 0
        self._mean = self._square = torch.zeros((), dtype=torch.float64)

    @torch.no_grad()
    def clip(self, bound: Bound, total_norm: Tensor) -> Tensor:
        self._mean, self._square = self._mean.to(total_norm.device), self._square.to(total_norm.device)
        self._steps += 1
        if self._steps <= self._warm_up:
            self._remember(total_norm, 1.0 / self._steps)
            return total_norm
        deviation = (self._square - self._mean.square()).clamp(min=0.0).sqrt()
        z = (total_norm - self._mean) / deviation
        wanted = torch.where(z > self._z, self._mean + self._z**2 * deviation / z, total_norm)
        factor = torch.where(total_norm.isfinite() & (z > self._z), wanted / total_norm, 1.0)
        gradients = bound.gradients()
        torch._foreach_mul_(gradients, factor.to(gradients[0].dtype))
        self._remember(total_norm * factor, 1.0 - self._decay)
        return total_norm * factor

    def _remember(self, norm: Tensor, share: float) -> None:
        seen = torch.where(norm.isfinite(), norm, self._mean)
        squared = torch.where(norm.isfinite(), norm.square(), self._square)
        self._mean = self._mean + share * (seen - self._mean)
        self._square = self._square + share * (squared - self._square)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self._steps, "mean": self._mean, "square": self._square}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._steps, self._mean, self._square = state["steps"], state["mean"], state["square"]

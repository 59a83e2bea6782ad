"""Clipping against the norm's own history: ZClip (Kumar et al. 2025, arXiv:2504.02507).

With μ and σ² running over ‖g‖, a step with z = (‖g‖ − μ)/σ above z* is scaled down to the norm μ + z*²·σ/z, and that
norm is remembered: μ ← α·μ + (1 − α)·‖g‖, then σ² ← α·σ² + (1 − α)·(‖g‖ − μ)². The first ``warm_up`` norms are only
measured, by their plain mean and variance. A norm that is not finite neither counts nor is scaled. Two things of the
paper are left out: its fixed ``max_grad_norm``, which is ``clip_norm``, and the 1e-6 beside σ, in which small norms
drown.
"""

from typing import Any

import torch
from torch import Tensor

from models.specs.training_remedies import EmaClipRemedy
from worker.remedies.base import Bound, Clipping


class EmaClip(Clipping):
    """Its memory is on the gradients' device: nothing waits for it."""

    def __init__(self, spec: EmaClipRemedy) -> None:
        self._z, self._decay, self._warm_up = spec.z, spec.decay, spec.warm_up
        self._count = self._mean = self._variance = torch.zeros((), dtype=torch.float64)

    @torch.no_grad()
    def clip(self, bound: Bound, total_norm: Tensor) -> Tensor:
        # It is made on the CPU, and a checkpoint is loaded there; from the second step on this moves nothing.
        self.load_state_dict({name: value.to(total_norm.device) for name, value in self.state_dict().items()})
        deviation = self._variance.sqrt()
        z = (total_norm - self._mean) / deviation
        # As tensors and without an ``if``: a branch would wait for the device in every step.
        spike = total_norm.isfinite() & (self._count >= self._warm_up) & (z > self._z)
        after = torch.where(spike, self._mean + self._z**2 * deviation / z, total_norm)
        gradients = bound.gradients()
        torch._foreach_mul_(gradients, torch.where(spike, after / total_norm, 1.0).to(gradients[0].dtype))
        self._remember(after)
        return after

    def _remember(self, norm: Tensor) -> None:
        known, warming = norm.isfinite(), self._count < self._warm_up
        count = self._count + known
        # 1/count makes a plain mean while warming up; afterwards 1 − α forgets.
        share = torch.where(warming, 1.0 / count, 1.0 - self._decay)
        mean = self._mean + share * (norm - self._mean)
        # Welford's update makes the plain variance of all norms so far.
        square = (norm - mean) * (norm - torch.where(warming, self._mean, mean))
        variance = self._variance + share * (square - self._variance)
        self._count = count
        self._mean = torch.where(known, mean, self._mean)
        self._variance = torch.where(known, variance, self._variance)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self._count, "mean": self._mean, "variance": self._variance}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._count, self._mean, self._variance = state["count"], state["mean"], state["variance"]

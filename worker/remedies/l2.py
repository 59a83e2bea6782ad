"""The L2 term λ·Σ‖W‖² of the loss: its gradient is 2·λ·W, added exactly, apart from the data's gradient."""

import torch
from torch import Tensor

from models.specs.training_remedies import L2Remedy
from worker.remedies.base import Bound, Penalty


class L2(Penalty):
    def __init__(self, spec: L2Remedy) -> None:
        self._strength, self._layers = spec.strength, spec.layers

    @torch.no_grad()
    def add_gradient(self, bound: Bound) -> None:
        # A layer that took no part in this step has none.
        weights = [weight for weight in bound.weights(self._layers) if weight.grad is not None]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        torch._foreach_add_(gradients, weights, alpha=2.0 * self._strength)

    @torch.no_grad()
    def penalty(self, bound: Bound) -> Tensor:
        norms = torch._foreach_norm(bound.weights(self._layers), 2, dtype=torch.float64)  # noqa: SLF001 -- no public name
        return self._strength * torch.stack(norms).square().sum()

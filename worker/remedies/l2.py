"""The L2 term λ·Σ‖W‖² of the loss: its gradient is 2·λ·W, added exactly, apart from the data's gradient."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.specs.remedy import L2Remedy
from worker.remedies.base import Penalty


class L2(Penalty):
    def __init__(self, spec: L2Remedy) -> None:
        self._strength = spec.strength
        self._all = spec.layers == "all"

    @torch.no_grad()
    def add_gradient(self, hidden: Sequence[Tensor], output: Tensor) -> None:
        weights = self._weights(hidden, output)
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        torch._foreach_add_(gradients, weights, alpha=2.0 * self._strength)

    @torch.no_grad()
    def penalty(self, hidden: Sequence[Tensor], output: Tensor) -> Tensor:
        norms = torch._foreach_norm(self._weights(hidden, output), 2, dtype=torch.float64)  # noqa: SLF001 -- no public name
        return self._strength * torch.stack(norms).square().sum()

    def _weights(self, hidden: Sequence[Tensor], output: Tensor) -> list[Tensor]:
        return [*hidden, output] if self._all else list(hidden)

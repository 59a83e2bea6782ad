"""The L2 term λ·Σ‖W‖² of the loss: its gradient is 2·λ·W, added exactly, apart from the data's gradient."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.specs.remedy import L2Remedy
from worker.remedies.base import RunTimeRemedy


class L2(RunTimeRemedy):
    def __init__(self, spec: L2Remedy) -> None:
        self._strength = spec.strength
        self._all = spec.layers == "all"

    @torch.no_grad()
    def penalise(self, hidden: Sequence[nn.Parameter], output: nn.Parameter) -> Tensor:
        weights = [*hidden, output] if self._all else list(hidden)
        total = torch.zeros((), dtype=torch.float64, device=output.device)
        for weight in weights:
            assert weight.grad is not None  # noqa: S101 -- called after backward
            total += torch.linalg.vector_norm(weight, dtype=torch.float64) ** 2
            weight.grad.add_(weight, alpha=2.0 * self._strength)
        return self._strength * total

"""Adaptive gradient clipping: ‖g_i‖ ≤ λ·max(‖w_i‖, ε) per unit i (Brock et al. 2021, arXiv:2102.06171).

A unit is a row of a weight (all axes but the first); a bias or norm parameter is one unit. The output layer's weight is
left as it is, as in the paper.
"""

import torch
from torch import Tensor

from models.specs.training_remedies import AgcRemedy
from worker.remedies.base import Bound, Clipping
from worker.remedies.norms import norm_of


class Agc(Clipping):
    def __init__(self, spec: AgcRemedy) -> None:
        self._clipping, self._eps = spec.clipping, spec.eps

    @torch.no_grad()
    def clip(self, bound: Bound, total_norm: Tensor) -> Tensor:  # noqa: ARG002 -- others stand on it
        for parameter in bound.parameters:
            if parameter.grad is not None and parameter is not bound.output:
                largest = self._clipping * _per_unit(parameter).clamp(min=self._eps)
                norm = _per_unit(parameter.grad)
                # Units within their bound keep their gradient bit for bit: the factor is 1.
                parameter.grad.mul_(torch.where(norm > largest, largest / norm, 1.0).to(parameter.dtype))
        return norm_of(bound.gradients())


def _per_unit(tensor: Tensor) -> Tensor:
    axes = tuple(range(1, tensor.dim())) or None
    norms: Tensor = torch.linalg.vector_norm(tensor, dim=axes, keepdim=True, dtype=torch.float64)
    return norms

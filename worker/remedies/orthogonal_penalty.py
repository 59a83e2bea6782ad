"""The penalty λ·Σ‖G − I‖²_F, G the smaller Gram matrix of W; its gradient is 4·λ·(G − I)·W, added exactly."""

import torch
from torch import Tensor

from models.specs.training_remedies import OrthogonalPenaltyRemedy
from worker.remedies.base import Bound, Penalty


class OrthogonalPenalty(Penalty):
    def __init__(self, spec: OrthogonalPenaltyRemedy) -> None:
        self._strength = spec.strength

    @torch.no_grad()
    def add_gradient(self, bound: Bound) -> None:
        for weight in bound.hidden:
            if weight.grad is not None:
                flat = weight.flatten(1)
                # Of the two Gram matrices only the smaller one can become I: the other has no full rank.
                wide = flat if flat.shape[0] <= flat.shape[1] else flat.T
                pull = 4.0 * self._strength * (_excess(wide) @ wide)
                weight.grad.add_((pull if wide is flat else pull.T).reshape(weight.shape))

    @torch.no_grad()
    def penalty(self, bound: Bound) -> Tensor:
        flat = [weight.flatten(1) for weight in bound.hidden]
        excess = [_excess(matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T) for matrix in flat]
        return self._strength * torch.stack([gram.double().square().sum() for gram in excess]).sum()


def _excess(wide: Tensor) -> Tensor:
    """W·Wᵀ − I of a matrix with no more rows than columns."""
    gram = wide @ wide.T
    gram.diagonal().sub_(1.0)
    return gram

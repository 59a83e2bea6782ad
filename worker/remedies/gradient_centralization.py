"""Gradient centralisation: g ← g − mean(g) over all axes but the first, of weights (Yong et al. 2020, 2004.01461)."""

import torch

from models.specs.training_remedies import GradientCentralizationRemedy
from worker.remedies.base import Bound, GradientRule


class GradientCentralization(GradientRule):
    def __init__(self, _: GradientCentralizationRemedy) -> None:
        pass

    @torch.no_grad()
    def change(self, bound: Bound) -> None:
        for gradient in bound.gradients():
            # A unit with one entry, as in a convolution's layer scale, is its own mean: it would never train.
            if gradient.dim() > 1 and gradient[0].numel() > 1:
                gradient.sub_(gradient.mean(dim=tuple(range(1, gradient.dim())), keepdim=True))

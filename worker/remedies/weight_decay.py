"""Decoupled weight decay: W ← W − lr·λ·W beside the optimiser's own step (Loshchilov & Hutter 2017, 1711.05101)."""

import torch

from models.specs.training_remedies import WeightDecayRemedy
from worker.remedies.base import Bound, Decay


class WeightDecay(Decay):
    def __init__(self, spec: WeightDecayRemedy) -> None:
        self._strength, self._layers = spec.strength, spec.layers

    @torch.no_grad()
    def shrink(self, bound: Bound, learning_rate: float) -> None:
        torch._foreach_mul_(bound.weights(self._layers), 1.0 - learning_rate * self._strength)

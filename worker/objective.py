"""What training minimises, and what an evaluation counts: by the target of the data and the loss that was asked for."""

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from models.plan import Plan
from worker.datasets.chance import class_weights, least_losses
from worker.datasets.split import IGNORED, Part, TrialData

OF_NUMBERS: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": functional.huber_loss,
    "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
}
"""(outputs, what they should be): the mean over both axes. Huber's δ is 1."""


class Objective:
    """The loss of one run. ``outputs`` (cases, …, outputs) are the network's, ``y`` is that of a ``Part``."""

    def __init__(self, plan: Plan, data: TrialData, device: torch.device) -> None:
        asked = plan.objective
        self._metric = plan.experiment.metric
        self._kind, self._target, self._classes = asked.loss, data.target, data.classes
        self._smoothing, self._weights, self._least = asked.label_smoothing, None, None
        # Weights that are all 1 serve the least loss alone: the loss itself is then torch's unweighted mean.
        if asked.class_weights is not None or asked.label_smoothing > 0.0:
            weights = class_weights(data.label_counts(), asked)
            self._weights = weights.to(device) if asked.class_weights is not None else None
            self._least = least_losses(weights, asked.label_smoothing).to(device)
        self._scale = None if data.target_scale is None else data.target_scale.to(device)

    @property
    def is_plain_cross_entropy(self) -> bool:
        """The mean of −log softmax at the labels, and nothing else."""
        return self._kind == "cross_entropy" and self._weights is None and self._smoothing == 0.0

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Mean data loss over the batch, weighted where classes are. Cross entropy is of labels; the others are of
        numbers, and of classes against one-hot labels, over cases and classes.
        """
        if self._kind == "cross_entropy":
            return self._cross_entropy(outputs.flatten(0, -2), y.flatten())
        wanted = y if self._target == "value" else functional.one_hot(y, self._classes).to(outputs.dtype)
        return OF_NUMBERS[self._kind](outputs, wanted)

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """logits (labels, classes). With smoothed labels, what lies above the least that they allow."""
        weights = None if self._weights is None else self._weights.to(logits.dtype)
        loss = functional.cross_entropy(logits, labels, weights, ignore_index=IGNORED, label_smoothing=self._smoothing)
        if self._smoothing == 0.0 or self._least is None:
            return loss
        # IGNORED is negative and would index from the end; clamped, its entry is looked up and multiplied by 0.
        at_least = (self._least[labels.clamp(min=0)] * (labels != IGNORED)).sum()
        return loss - (at_least / self.weight(labels)).to(loss.dtype)

    def weight(self, y: Tensor) -> Tensor:
        """What the mean of ``loss`` is over, float64: labels or values, or the weights of the labels' classes."""
        if self._target == "value":
            return y.new_tensor(y.numel(), dtype=torch.float64)
        known = y != IGNORED
        return known.sum().double() if self._weights is None else (self._weights[y.clamp(min=0)] * known).sum()

    def tally(self, outputs: Tensor, y: Tensor) -> Tensor:
        """What the metric is made of, float64, to be summed over stretches of a part: right labels and
        all labels, together or class by class. Of values they are the squared error and the count.
        """
        if self._target == "value":
            return torch.stack([self._as_sent(outputs - y).square().sum(), self.weight(y)])
        known = y != IGNORED
        right = (outputs.argmax(dim=-1) == y) & known
        if self._metric != "balanced_accuracy":
            return torch.stack([right.sum().double(), known.sum().double()])
        # Of chosen labels: with weights CUDA has no deterministic bincount.
        return torch.cat([y[chosen].bincount(minlength=self._classes) for chosen in (right, known)]).double()

    def metric(self, tally: Tensor, part: Part) -> float:
        """Accuracy, its mean over the classes that occur, or R² = 1 − squared error / variance of the values, NaN where
        they do not vary.
        """
        right, counted = tally.chunk(2)
        if self._target != "value":
            # A class without a case would be 0/0.
            return float((right / counted)[counted > 0].mean())
        y = self._as_sent(part.y)
        variance = float((y - y.mean(0)).square().mean())
        return 1.0 - float(right / counted) / variance if variance > 0 else math.nan

    def _as_sent(self, values: Tensor) -> Tensor:
        """Differences of values in the unit that the data came in, float64."""
        return values.double() if self._scale is None else values.double() * self._scale

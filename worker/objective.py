"""What training minimises, and what an evaluation counts: by the target of the data and the loss that was asked for."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from models.plan import Plan
from worker.datasets.split import IGNORED, Part, TrialData


class Objective:
    """The loss of one run. ``outputs`` (cases, …, outputs) are the network's, ``y`` is that of a ``Part``."""

    def __init__(self, plan: Plan, data: TrialData, device: torch.device) -> None:
        self._kind, self._target, self._classes = plan.experiment.loss, data.target, data.classes
        self._scale = None if data.target_scale is None else data.target_scale.to(device)

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Mean data loss over the batch; mse of classes is against one-hot labels, over cases and classes."""
        if self._target == "value":
            return functional.mse_loss(outputs, y)
        if self._kind == "cross_entropy":
            return functional.cross_entropy(outputs.flatten(0, -2), y.flatten(), ignore_index=IGNORED)
        return functional.mse_loss(outputs, functional.one_hot(y, self._classes).to(outputs.dtype))

    def right(self, outputs: Tensor, y: Tensor) -> Tensor:
        """(what counts for the metric, out of how much): right labels, or of values the squared error and its count."""
        if self._target == "value":
            return torch.stack([self._as_sent(outputs - y).square().sum(), outputs.new_tensor(y.numel()).double()])
        known = y != IGNORED
        return torch.stack([((outputs.argmax(dim=-1) == y) & known).sum().double(), known.sum().double()])

    def metric(self, mean: float, part: Part) -> float:
        """Accuracy is the mean; R² = 1 − squared error / variance of the values, NaN where they do not vary."""
        if self._target != "value":
            return mean
        y = self._as_sent(part.y)
        variance = float((y - y.mean(0)).square().mean())
        return 1.0 - mean / variance if variance > 0 else math.nan

    def _as_sent(self, values: Tensor) -> Tensor:
        """Differences of values in the unit that the data came in, float64."""
        return values.double() if self._scale is None else values.double() * self._scale

"""What is minimised beyond torch's own functions, and what is counted."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.code.pieces.cases import Part


def label_counts(labels: Tensor, classes: int) -> Tensor:
    """(classes,) float64; steps behind a case's end have the label −100 and do not count."""
    return torch.bincount(labels[labels != -100], minlength=classes).double()


def balanced(counts: Tensor) -> Tensor:
    """n/(classes·n_c): all classes weigh the same."""
    return counts.sum() / (len(counts) * counts.clamp(min=1.0))


def least_losses(weights: Tensor, smoothing: float) -> Tensor:
    """(classes,): the least that a case of each can cost under smoothed labels s: Σ_j s_j·ln(S/s_j), S = Σ_j s_j."""
    own, others = (1.0 - smoothing) * weights, smoothing / len(weights) * weights
    total = own + others.sum()
    apart = torch.special.xlogy(others, others)
    logs = apart.sum() - apart + torch.special.xlogy(own + others, own + others)
    least: Tensor = torch.special.xlogy(total, total) - logs
    return least


class CrossEntropy:
    """With a weight for each class, or smoothed labels and then less the least that such labels allow."""

    def __init__(self, classes: int, *, weights: Tensor | None = None, smoothing: float = 0.0) -> None:
        self.weights, self.smoothing = weights, smoothing
        self.least = least_losses(torch.ones(classes).double() if weights is None else weights.cpu(), smoothing)

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        logits, labels = outputs.flatten(0, -2), y.flatten()
        weights = None if self.weights is None else self.weights.to(logits.dtype)
        loss = functional.cross_entropy(logits, labels, weights, label_smoothing=self.smoothing)
        if self.smoothing == 0.0:
            return loss
        known = labels != -100
        at_least = (self.least.to(labels.device)[labels.clamp(min=0)] * known).sum()
        counted = known.sum() if self.weights is None else (self.weights[labels.clamp(min=0)] * known).sum()
        return loss - (at_least / counted).to(loss.dtype)


def accuracy(outputs: Tensor, y: Tensor) -> float:
    known = y != -100
    return float(((outputs.argmax(dim=-1) == y) & known).sum().double() / known.sum())


def balanced_accuracy(outputs: Tensor, y: Tensor) -> float:
    """The mean over the classes that occur of the share of theirs that is right."""
    right, known = outputs.argmax(dim=-1) == y, y != -100
    return float(torch.stack([right[y == label].double().mean() for label in set(y[known].tolist())]).mean())


def r2(outputs: Tensor, y: Tensor, scale: Tensor | float = 1.0) -> float:
    """1 − squared error / variance of the values, in the unit of ``scale``."""
    error = ((outputs - y).double() * scale).square().mean()
    values = y.double() * scale
    variance = float((values - values.mean(0)).square().mean())
    return 1.0 - float(error) / variance if variance > 0 else math.nan


@torch.no_grad()
def answers(network: nn.Module, part: Part) -> Tensor:
    """The outputs for all cases in evaluation mode, 4,096 at a time."""
    network.eval()
    chosen = torch.split(torch.arange(len(part), device=part.y.device), 4096)
    outputs = torch.cat([network(*part.take(some).given) for some in chosen])
    network.train()
    return outputs

"""The loss of one who knows how the training targets are distributed, and nothing of a case: the chance level.

It is the least loss of any constant answer over the training cases, exactly. Labels that are smoothed cannot be met, so
that every loss here, and every one that training records, is told above the least that they allow (``least_losses``):
0 is perfect whatever the smoothing.
"""

import torch
from torch import Tensor

from models.specs.loss import Objective


def chance_of_values(y: Tensor) -> float:
    """MSE of the mean; y (cases, outputs)."""
    y = y.double()
    return float((y - y.mean(0)).square().mean())


def chance_of_labels(counts: Tensor, objective: Objective) -> float:
    """Of classes with so many labels each, (classes,) float64.

    Under cross entropy with weights w and smoothing ε the classes have the mass A_c = w_c·((1 − ε)·n_c + ε·n/K), a
    constant answer is best at A/ΣA, and leaves H(A/ΣA)·ΣA/Σ w_c·n_c. Under mse it is best at the classes' shares.
    """
    share = counts / counts.sum()
    if objective.loss == "mse":
        return float((share * (1.0 - share)).mean())
    weights = class_weights(counts, objective)
    mass = weights * (
        (1.0 - objective.label_smoothing) * counts + objective.label_smoothing * counts.sum() / len(counts)
    )
    total = (weights * counts).sum()
    least = (counts * least_losses(weights, objective.label_smoothing)).sum() / total
    return float(torch.special.entr(mass / mass.sum()).sum() * (mass.sum() / total) - least)


def class_weights(counts: Tensor, objective: Objective) -> Tensor:
    """(classes,) float64. Balanced, a class without a case counts as if it had one."""
    if objective.class_weights == "balanced":
        return counts.sum() / (len(counts) * counts.clamp(min=1.0))
    if objective.class_weights is None:
        return torch.ones_like(counts)
    return torch.tensor(objective.class_weights, dtype=torch.float64)


def least_losses(weights: Tensor, smoothing: float) -> Tensor:
    """(classes,): the least that a case of each class can cost, before it is divided by the weights of its batch."""
    shares = torch.diag((1.0 - smoothing) * weights) + smoothing / len(weights) * weights
    total = shares.sum(dim=1)
    least: Tensor = total * torch.special.entr(shares / total[:, None]).sum(dim=1)
    return least

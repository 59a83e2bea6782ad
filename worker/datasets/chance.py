"""The loss of one who knows how the training targets are distributed, and nothing of a case: the chance level.

It is the least loss of any constant answer over the training cases, exactly. No output can match smoothed labels. So
every loss here, and every one that training records, is counted from the least that such labels allow
(``least_losses``): 0 is perfect whatever the smoothing.
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from models.specs.loss import Objective

HALVINGS: Final = 50
"""Of the span of the values: the loss is flat where it is least, so that half the digits of a place give all of its."""


def chance_of_values(y: Tensor, objective: Objective) -> float:
    """y (cases, outputs): the MSE of the mean, the mean distance from the median, or the least Huber loss."""
    y = y.double()
    match objective.loss:
        case "mae":
            return float((y - y.median(dim=0).values).abs().mean())
        case "huber":
            return float(functional.huber_loss(_least_huber(y).expand_as(y), y))
    return float((y - y.mean(0)).square().mean())


def _least_huber(y: Tensor) -> Tensor:
    """(outputs,): where Σ clamp(c − y, ±1), the slope of the loss, is 0. It only rises, so halving finds it."""
    low, high = y.amin(0), y.amax(0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        rises = (middle - y).clamp(-1.0, 1.0).sum(0) > 0
        low, high = torch.where(rises, low, middle), torch.where(rises, middle, high)
    return (low + high) / 2.0


def chance_of_labels(counts: Tensor, objective: Objective) -> float:
    """Of classes with so many labels each, (classes,) float64.

    Under cross entropy with weights w and smoothing ε the classes have the mass A_c = w_c·((1 − ε)·n_c + ε·n/K), a
    constant answer is best at A/ΣA, and leaves H(A/ΣA)·ΣA/Σ w_c·n_c. The other losses have one-hot labels, and are best
    at the classes' shares.
    """
    # p·(1 − p) is the squared error of the constant p on labels that are 1 with probability p.
    share = counts / counts.sum()
    if objective.loss == "mse":
        return float((share * (1.0 - share)).mean())
    if objective.loss == "binary_cross_entropy":
        return float((torch.special.entr(share) + torch.special.entr(1.0 - share)).mean())
    weights = class_weights(counts, objective)
    # Smoothing gives every class ε/K of each case, so ε·n/K in all.
    mass = weights * (
        (1.0 - objective.label_smoothing) * counts + objective.label_smoothing * counts.sum() / len(counts)
    )
    total = (weights * counts).sum()
    # Torch divides by the weights of the labels as they were before smoothing, and so does this mean.
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
    # Σ_j s_j·ln(S/s_j) over a smoothed label s, S its sum; a table of all pairs of classes may not fit in memory.
    own, others = (1.0 - smoothing) * weights, smoothing / len(weights) * weights
    total = own + others.sum()
    apart = torch.special.xlogy(others, others)
    logs = apart.sum() - apart + torch.special.xlogy(own + others, own + others)
    least: Tensor = torch.special.xlogy(total, total) - logs
    return least

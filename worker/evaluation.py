"""Loss and metric of cases that a network was not trained on, and what it says of those that it was."""

import math

import torch
from torch import nn

from worker.datasets.split import Part
from worker.objective import Objective

AT_ONCE = 4096
"""Cases in one forward pass: no part of a data set is too large for the device."""


@torch.no_grad()
def evaluate(model: nn.Module, objective: Objective, part: Part, at_once: int = AT_ONCE) -> tuple[float, float]:
    """(loss, metric) in evaluation mode: accuracy, or R² of values; NaN for an empty part."""
    if len(part) == 0:
        return math.nan, math.nan
    # No masks, and batch norm by its running moments: an evaluation must not move the training.
    model.eval()
    device = part.x.device
    sums = torch.zeros((), dtype=torch.float64, device=device)
    for chosen in torch.split(torch.arange(len(part), device=device), at_once):
        some = part.take(chosen)
        outputs = model(some.x, some.lengths)
        weight = objective.weight(some.y)
        # Each stretch's mean times what it is a mean over: stretches of unlike weight then add up exactly.
        loss = torch.stack([objective.loss(outputs, some.y).double() * weight, weight])
        sums = sums + torch.cat([loss, objective.tally(outputs, some.y)])
    model.train()
    # The one wait for the device.
    sums = sums.cpu()
    return float(sums[0] / sums[1]), objective.metric(sums[2:], part)


@torch.no_grad()
def balanced_accuracy(model: nn.Module, part: Part, most: int = AT_ONCE) -> float:
    """The mean over the labels of the first ``most`` cases, which come in no order, of the share of theirs that is
    right, in evaluation mode.
    """
    some = part.take(torch.arange(min(most, len(part)), device=part.x.device))
    model.eval()
    right = (model(some.x, some.lengths).argmax(dim=-1) == some.y).double()
    model.train()
    return float(torch.stack([right[some.y == label].mean() for label in set(some.y.tolist())]).mean())

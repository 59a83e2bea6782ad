"""What cases tell of their labels without a network: how often the nearest neighbours of a case are right."""

from typing import Final

import torch
from torch import Tensor

from worker.datasets.split import TrialData

NEIGHBOURS: Final = 15
VOTES: Final = (NEIGHBOURS, 1)
"""How many have a vote: of few cases in a fine pattern 15 lie beyond its parts, and only the nearest is of the same."""
MOST_FEATURES: Final = 20
"""With more, the nearest of some thousand cases are far, and say little of what the features could tell."""
MOST_TRAINING, MOST_TEST = 2_048, 1_024
"""Cases that are looked at: a few milliseconds."""


def neighbour_accuracy(data: TrialData) -> float | None:
    """The share of test cases to which most of their 15 nearest training cases give the right label, or to which the
    nearest one does if that is more; by Euclidean distance where each feature has variance 1 (Cover & Hart 1967). Of
    two labels and cases without end a vote of k errs at most 1 + √(2/k) times as often as the best rule there is
    (Devroye, Györfi & Lugosi 1996, ch. 5): 1.4 here.

    None where cases have no label each or more than a few features, and where a part has too few cases.
    """
    train, test = data.train, data.test
    if data.target != "class" or train.x.dim() != 2 or not train.x.is_floating_point():
        return None
    if train.x.shape[1] > MOST_FEATURES or len(train) < NEIGHBOURS or not len(test):
        return None
    x, y = train.x[:MOST_TRAINING].double(), train.y[:MOST_TRAINING]
    mean, sd = x.mean(0), x.std(0, correction=0)
    sd = torch.where(sd > 0, sd, 1.0)
    asked = (test.x[:MOST_TEST].double() - mean) / sd
    nearest = y[torch.cdist(asked, (x - mean) / sd).topk(NEIGHBOURS, dim=1, largest=False).indices]
    found = (_voted(nearest[:, :count], data.classes) for count in VOTES)
    return max(float((labels == test.y[:MOST_TEST]).double().mean()) for labels in found)


def _voted(labels: Tensor, classes: int) -> Tensor:
    """(cases,) int64: the commonest of the labels (cases, neighbours); of several the first."""
    votes = torch.zeros(len(labels), classes, dtype=torch.int64)
    return votes.scatter_add_(1, labels, torch.ones_like(labels)).argmax(dim=1)

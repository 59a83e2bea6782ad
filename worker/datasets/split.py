"""From raw arrays to the tensors of a trial, exactly as the contract says: split, standardised, chance level."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.specs.dataset import DatasetSpec, split_sizes

Features = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """Cases of one part of the split: x (cases, features) float32, y (cases,) int64 class labels."""

    x: Tensor
    y: Tensor

    def to(self, device: torch.device, dtype: torch.dtype) -> "Part":
        return Part(self.x.to(device, dtype), self.y.to(device))

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, slots=True)
class TrialData:
    """The three parts, on the CPU, and how many classes there are."""

    train: Part
    validation: Part
    test: Part
    classes: int

    def chance_level(self, loss: str) -> float:
        """The training loss of one who knows the labels' frequencies only: their entropy, or the MSE of their mean."""
        share = torch.bincount(self.train.y, minlength=self.classes).double() / len(self.train)
        if loss == "mse":
            return float((share * (1.0 - share)).mean())
        return float(torch.special.entr(share).sum())


def split(x: Features, y: Labels, spec: DatasetSpec, seed: int) -> TrialData:
    """Permute by numpy's ``default_rng``, cut, and standardise by the training cases alone."""
    order = np.random.default_rng(seed if spec.split_seed is None else spec.split_seed).permutation(len(x))
    sizes = split_sizes(len(x), spec.validation_fraction, spec.test_fraction)
    cuts = np.split(order, [sizes.train, sizes.train + sizes.validation])
    mean, sd = _moments(x[cuts[0]], spec.standardise)
    train, validation, test = (
        Part(torch.from_numpy(((x[cut] - mean) / sd).astype(np.float32)), torch.from_numpy(y[cut])) for cut in cuts
    )
    return TrialData(train, validation, test, classes=spec.facts.classes)


def _moments(train: Features, standardise: str) -> tuple[Features, Features]:
    if standardise == "none":
        return np.zeros(1), np.ones(1)
    axis = 0 if standardise == "feature" else None
    sd = np.atleast_1d(train.std(axis=axis))
    # A feature that never changes in training carries nothing: it is centred and left.
    return np.atleast_1d(train.mean(axis=axis)), np.where(sd > 0, sd, 1.0)

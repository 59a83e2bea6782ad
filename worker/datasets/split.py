"""From raw arrays to the tensors of a trial, as clients can make them too: split, standardised, chance level."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gradient_clinic.verdict.facts.of_losses import UNBALANCED
from models.specs.dataset import DatasetSpec, Target, split_sizes
from models.specs.loss import Objective
from worker.datasets.chance import chance_of_labels, chance_of_values

Features = npt.NDArray[np.float64]
IGNORED = -100
"""The label of a step behind a sequence's end: it counts in no loss and no metric (torch's ``ignore_index``)."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """A data set as it was read, in the order of its source.

    x (cases, *shape): numbers, or int64 tokens. y: int64 labels (cases,) or (cases, steps), or values (cases, outputs).
    ``lengths`` (cases,) int64 where they vary: x is 0 and a step's label ``IGNORED`` behind a case's end.
    """

    x: npt.NDArray[Any]
    y: npt.NDArray[Any]
    lengths: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Cases of one part of the split: x float32 or int64 tokens, y int64 labels or float32 values; see ``Arrays``."""

    x: Tensor
    y: Tensor
    lengths: Tensor | None = None

    def to(self, device: torch.device, dtype: torch.dtype) -> "Part":
        """On ``device``, its numbers in ``dtype``; labels, tokens and lengths stay whole numbers."""
        x, y = (tensor.to(device, dtype if tensor.is_floating_point() else None) for tensor in (self.x, self.y))
        return Part(x, y, None if self.lengths is None else self.lengths.to(device))

    def take(self, chosen: Tensor) -> "Part":
        """The cases of these indices (cases,)."""
        lengths = None if self.lengths is None else self.lengths.index_select(0, chosen)
        return Part(self.x.index_select(0, chosen), self.y.index_select(0, chosen), lengths)

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, slots=True)
class TrialData:
    """The three parts, on the CPU; how many classes (or outputs) there are, and what the target is."""

    train: Part
    validation: Part
    test: Part
    classes: int
    target: Target = "class"
    target_scale: Tensor | None = None
    """(outputs,) float64: what standardised values are multiplied by to be in the unit that they came in."""

    def chance_level(self, objective: Objective) -> float:
        """The training loss of one who knows the distribution of the targets only; see ``chance.py``."""
        if self.target == "value":
            return chance_of_values(self.train.y, objective)
        return chance_of_labels(self.label_counts(), objective)

    def label_counts(self) -> Tensor:
        """(classes,) float64: of the training cases."""
        return torch.bincount(self.train.y[self.train.y != IGNORED], minlength=self.classes).double()

    def is_uneven(self) -> bool:
        """Whether one label has far more than half of the training cases, where cases have a label each."""
        return self.target == "class" and float(self.label_counts().max()) > UNBALANCED * len(self.train)

    def target_offset(self) -> float | None:
        """The largest |mean| of an output's training values, over their standard deviation. None of labels, and where
        values do not vary.
        """
        if self.target != "value":
            return None
        y = self.train.y.double()
        offsets = y.mean(0).abs() / y.std(0, correction=0)
        return float(offsets.max()) if bool(offsets.isfinite().all()) else None

    def majority_share(self) -> float | None:
        """The accuracy on the test part of always saying the commonest training label. None where cases have no label
        each (a sequence's steps are no independent cases), or where there is no test part.
        """
        if self.target != "class" or not len(self.test):
            return None
        commonest = torch.bincount(self.train.y, minlength=self.classes).argmax()
        return float((self.test.y == commonest).double().mean())


def split(arrays: Arrays, spec: DatasetSpec, seed: int) -> TrialData:
    """Permute by numpy's ``default_rng``, cut, and standardise by the training cases alone."""
    cases = len(arrays.x)
    # numpy's own permutation: a client makes the same split with one line.
    order = np.random.default_rng(seed if spec.split_seed is None else spec.split_seed).permutation(cases)
    sizes = split_sizes(cases, spec.validation_fraction, spec.test_fraction)
    cuts = np.split(order, [sizes.train, sizes.train + sizes.validation])
    # By the training cases alone, as validation and test must not enter what is trained on.
    mean, sd = _moments(arrays, cuts[0], spec.standardise)
    of_targets = _moments_of_targets(arrays, cuts[0]) if spec.standardise_targets else None
    train, validation, test = (_part(arrays, cut, mean, sd, of_targets) for cut in cuts)
    scale = None if of_targets is None else torch.from_numpy(of_targets[1])
    facts = spec.facts
    return TrialData(train, validation, test, classes=facts.classes, target=facts.target, target_scale=scale)


def _part(
    arrays: Arrays,
    cut: npt.NDArray[np.int64],
    mean: Features,
    sd: Features,
    of_targets: tuple[Features, Features] | None,
) -> Part:
    x, y = arrays.x[cut], arrays.y[cut]
    if of_targets is not None:
        y = (y - of_targets[0]) / of_targets[1]
    lengths = None if arrays.lengths is None else torch.from_numpy(arrays.lengths[cut])
    if x.dtype.kind == "f":
        x = ((x - mean) / sd).astype(np.float32)
        if lengths is not None:
            # Standardising has moved what lies behind a case's end off its zero.
            x[np.arange(x.shape[1]) >= arrays.lengths[cut][:, None]] = 0.0  # type: ignore[index]  # not None, as said
    return Part(torch.from_numpy(x), torch.from_numpy(y.astype(np.float32) if y.dtype.kind == "f" else y), lengths)


def _moments(arrays: Arrays, cut: npt.NDArray[np.int64], standardise: str) -> tuple[Features, Features]:
    """(mean, sd) over the training cases: of all numbers, or of each; a sequence's features are those of its steps."""
    if standardise == "none" or arrays.x.dtype.kind != "f":
        return np.zeros(1), np.ones(1)
    train = arrays.x[cut]
    if arrays.lengths is not None:
        # Padding would pull the mean towards 0 and narrow the spread.
        train = train[np.arange(train.shape[1]) < arrays.lengths[cut][:, None]]  # (steps of all cases, features)
    elif train.ndim == 3:  # (cases, steps, features); an image has four axes
        train = train.reshape(-1, train.shape[-1])
    axis = 0 if standardise == "feature" else None
    sd = np.atleast_1d(train.std(axis=axis))
    # A feature that never changes in training carries nothing: it is centred and left.
    return np.atleast_1d(train.mean(axis=axis)), np.where(sd > 0, sd, 1.0)


def _moments_of_targets(arrays: Arrays, cut: npt.NDArray[np.int64]) -> tuple[Features, Features]:
    """(mean, sd) of each output over the training cases, (outputs,) each; one that never changes is only centred."""
    train = arrays.y[cut].astype(np.float64)
    sd = train.std(axis=0)
    return train.mean(axis=0), np.where(sd > 0, sd, 1.0)

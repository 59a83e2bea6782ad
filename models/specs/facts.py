"""What every data set's spec shares: its split, and the facts that need no loading. The sets are in dataset.py."""

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from models.specs.base import Spec

Form = Literal["vector", "image", "sequence", "tokens"]
Target = Literal["class", "value", "class_per_step"]
Scaling = Literal["scalar", "feature", "none"]
"""One mean and deviation for all inputs, those of each, or as they are."""

MAX_NUMBERS = 32_000_000
"""Inputs and labels of a whole set. Reading, splitting and scaling so many was measured to stay below 1 GB."""

FOR_VECTORS = ("mlp", "residual_mlp", "sequential")
FOR_IMAGES = ("mlp", "cnn", "residual_mlp", "residual_cnn", "rnn", "transformer", "sequential")
FOR_SEQUENCES = ("rnn", "transformer", "sequential")
FOR_TOKENS = ("rnn", "transformer")
"""The network kinds that can take each form."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a data set before it is read: enough for shapes, steps and refusals.

    ``shape`` of one case: a vector (features,), an image (channels, height, width), a sequence (steps, features), or
    tokens (steps,) below ``vocabulary``; where the length varies, ``steps`` is the longest. ``classes`` are those of
    the labels, or the number of outputs where the target is a value.
    """

    cases: int
    shape: tuple[int, ...]
    classes: int
    real: bool
    licence: str
    source: str
    form: Form = "vector"
    target: Target = "class"
    vocabulary: int = 0
    varying_length: bool = False
    alike: tuple[float, ...] = ()
    """Correlation of a case's numbers 1, 2, … steps (rows of an image) apart, as standardised; the last for all beyond.
    Of tokens the share of equal ones. Empty where it is not known."""
    lengths: tuple[int, ...] = ()
    """Where the length varies: the middle one of each twentieth of the cases."""
    loudness: tuple[float, ...] = ()
    """Mean squares of single steps, as standardised: the middle one of each fifth. Empty where it is not known."""

    @property
    def features(self) -> int:
        """Numbers in one case."""
        return math.prod(self.shape)


class Split(Spec):
    """How a set is cut and scaled. Its own class adds ``kind``, ``about``, ``facts`` and parameters with defaults."""

    split_seed: int | None = Field(default=None, ge=0, lt=2**63)
    validation_fraction: float = Field(default=0.0, ge=0, lt=1)
    test_fraction: float = Field(default=0.2, ge=0, lt=1)
    standardise: Scaling = "scalar"
    standardise_targets: bool = False
    """Of values, each output for itself: mean 0 and variance 1 of the training cases, so that chance is 1."""

    @property
    def facts(self) -> Facts:
        """A property, since parameters may change them."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class SplitSizes:
    train: int
    validation: int
    test: int


def split_sizes(cases: int, validation_fraction: float, test_fraction: float) -> SplitSizes:
    """The first round(n·(1 − test)) cases are training, their tail validation."""
    front = round(cases * (1.0 - test_fraction))
    validation = round(cases * validation_fraction)
    return SplitSizes(front - validation, validation, cases - front)


def check_numbers(cases: int, per_case: int) -> None:
    """ValueError where a generated set would not fit in memory."""
    if cases * per_case > MAX_NUMBERS:
        message = (
            f"{cases} cases of {per_case} numbers each, labels counted, are more than {MAX_NUMBERS}; "
            f"at most {MAX_NUMBERS // per_case} cases of this size are allowed"
        )
        raise ValueError(message)

"""Cases as tensors: a part of them, their moments, and those of every step."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.code.pieces.randomness import generator


@dataclass(frozen=True)
class Part:
    """Cases: x (cases, …), their labels or values y, and ``lengths`` (cases,) where some end early."""

    x: Tensor
    y: Tensor
    lengths: Tensor | None = None

    @property
    def given(self) -> tuple[Tensor, ...]:
        """What the network is given."""
        return (self.x,) if self.lengths is None else (self.x, self.lengths)

    def take(self, chosen: Tensor) -> "Part":
        lengths = None if self.lengths is None else self.lengths.index_select(0, chosen)
        return Part(self.x.index_select(0, chosen), self.y.index_select(0, chosen), lengths)

    def to(self, device: torch.device) -> "Part":
        lengths = None if self.lengths is None else self.lengths.to(device)
        return Part(self.x.to(device), self.y.to(device), lengths)

    def __len__(self) -> int:
        return len(self.y)


def part_of(x: Any, y: Any, lengths: Any = None) -> Part:
    """From numpy: numbers become float32; tokens and labels stay int64."""
    x, y = (its.astype(np.float32) if its.dtype.kind == "f" else its for its in (x, y))
    return Part(torch.from_numpy(x), torch.from_numpy(y), None if lengths is None else torch.from_numpy(lengths))


def moments(values: Any, axis: int | None = None) -> tuple[Any, Any]:
    """(mean, standard deviation) of all numbers, or along an axis; what never changes is only centred."""
    sd = np.atleast_1d(values.std(axis=axis))
    return np.atleast_1d(values.mean(axis=axis)), np.where(sd > 0, sd, 1.0)


def batches(training: Part, seed: int, size: int, per_epoch: int) -> Iterator[Part]:
    """The cases of each step without end. Every epoch has an order of its own."""
    for epoch in itertools.count():
        order = torch.randperm(len(training), generator=generator(seed, "order", epoch)).to(training.y.device)
        for index in range(per_epoch):
            yield training.take(order[index * size : (index + 1) * size])

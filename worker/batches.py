"""The training cases of a run, and which of them each step takes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.datasets.split import Part
from worker.randomness import generator


@dataclass(slots=True)
class Batches:
    """``part`` on the device. The order of its cases is a function of seed and epoch alone."""

    part: Part
    seed: int
    size: int
    steps_per_epoch: int
    _order: tuple[int, Tensor] | None = None

    def of(self, step: int) -> Part:
        epoch, cases = self.place(step)
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, self.order(epoch).to(self.part.x.device)
        return self.part.take(self._order[1][cases])

    def place(self, step: int) -> tuple[int, slice]:
        """The epoch of a step, and which places of that epoch's order it takes."""
        # The step alone says which cases it takes, so no checkpoint holds an order.
        epoch, index = divmod(step, self.steps_per_epoch)
        return epoch, slice(index * self.size, (index + 1) * self.size)

    def order(self, epoch: int) -> Tensor:
        """Of the cases, on the CPU."""
        return torch.randperm(len(self.part), generator=generator(self.seed, "order", epoch))

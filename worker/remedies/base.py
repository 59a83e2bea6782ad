"""What a remedy that acts while training may do. The engine calls the hooks in the order in which they stand here.

A remedy is bound to the network's weights once, before the first step. Its state, where it has some, is plain tensors
and numbers, so that a run can go on from a checkpoint.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Bound:
    """The weights that are trained: of the hidden layers (branches too), of the output layer (None where it is frozen),
    and all parameters.
    """

    hidden: Sequence[Tensor]
    output: Tensor | None
    parameters: Sequence[nn.Parameter]

    def weights(self, layers: str) -> list[Tensor]:
        return [*self.hidden, self.output] if layers == "all" and self.output is not None else list(self.hidden)

    def gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]


class RunTimeRemedy(ABC):  # noqa: B024 -- what is abstract is each hook's own
    """The base of all remedies that act at run time. One without a memory of earlier steps has an empty state."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert not state  # it has none


class Schedule(RunTimeRemedy):
    @abstractmethod
    def factor(self, step: int) -> float:
        """The factor of the learning rate in this step."""


class Precision(RunTimeRemedy):
    """Another number type for the forward pass, and a factor of the loss."""

    scale: float = 1.0
    """The loss is multiplied by it before backward; gradients are recorded without it."""

    @abstractmethod
    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """Around the forward pass and the loss."""

    @abstractmethod
    def unscale(self, bound: Bound) -> bool:
        """Divide ``.grad`` by the scale; whether the step may be made. One synchronisation where there is a scale."""


class Penalty(RunTimeRemedy):
    """A term of the loss over weights, biases left out."""

    @abstractmethod
    def add_gradient(self, bound: Bound) -> None:
        """Add its gradient to ``.grad``, exactly and apart from the data's."""

    @abstractmethod
    def penalty(self, bound: Bound) -> Tensor:
        """Its value; asked for on recorded steps only."""


class GradientRule(RunTimeRemedy):
    @abstractmethod
    def change(self, bound: Bound) -> None:
        """Change ``.grad``, before clipping."""


class Clipping(RunTimeRemedy):
    @abstractmethod
    def clip(self, bound: Bound, total_norm: Tensor) -> Tensor:
        """Change ``.grad`` of all parameters, given its norm; the norm after."""


class Decay(RunTimeRemedy):
    @abstractmethod
    def shrink(self, bound: Bound, learning_rate: float) -> None:
        """Change the weights themselves, as a part of the update."""

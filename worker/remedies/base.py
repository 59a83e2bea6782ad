"""What a remedy that acts while training may do: add a penalty to the loss, or change the gradients in their turn."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn


class Penalty(ABC):
    """A term of the loss over the weights of the hidden layers and of the output layer, biases left out."""

    @abstractmethod
    def add_gradient(self, hidden: Sequence[Tensor], output: Tensor) -> None:
        """Add its gradient to ``.grad``, exactly and apart from the data's."""

    @abstractmethod
    def penalty(self, hidden: Sequence[Tensor], output: Tensor) -> Tensor:
        """Its value; asked for on recorded steps only."""


class Clipping(ABC):
    @abstractmethod
    def clip(self, parameters: Sequence[nn.Parameter], total_norm: Tensor) -> Tensor:
        """Change ``.grad`` of all parameters, given its norm; the norm after."""


RunTimeRemedy = Penalty | Clipping

"""What a remedy that acts while training may do; every hook does nothing unless a remedy overrides it."""

from collections.abc import Sequence

from torch import Tensor, nn


class RunTimeRemedy:
    """One remedy in one run. ``hidden`` and ``output`` are the weights of the layers, biases left out."""

    def penalise(self, hidden: Sequence[nn.Parameter], output: nn.Parameter) -> Tensor | None:
        """Add the penalty's gradient to ``.grad``; the penalty itself, or None where there is none."""

    def clip(self, parameters: Sequence[nn.Parameter], total_norm: Tensor) -> Tensor:
        """Change ``.grad`` of all parameters, given its norm; the norm after."""
        return total_norm

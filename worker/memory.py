"""The most memory that a run has needed at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from worker.begun import AnyNetwork
from worker.optimizers import tensors_of


def peak_bytes(  # noqa: PLR0913, PLR0917 -- all that takes memory
    model: AnyNetwork,
    trained: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    cases: int,
    members: int,
) -> int:
    """CUDA's count, an even part of it where ``members`` were trained as one. On the CPU parameters, gradients of those
    that are ``trained``, the optimiser's state and the activations of a batch of so many ``cases``.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // members
    # A sum, as the process's own high-water mark belongs to every run that it has trained (decision 1).
    gradients = (parameter.grad for parameter in trained if parameter.grad is not None)
    held = [*model.parameters(), *gradients, *tensors_of(optimizer)]
    stored = sum(tensor.numel() * tensor.element_size() for tensor in held)
    return stored + model.numbers_per_case * trained[0].element_size() * cases

"""Norms of many tensors together."""

from collections.abc import Sequence

import torch
from torch import Tensor


def norm_of(tensors: Sequence[Tensor]) -> Tensor:
    """‖·‖₂ over all of them, float64: no float32 square underflows. Nothing waits for the device."""
    norms = torch._foreach_norm(list(tensors), 2, dtype=torch.float64)  # noqa: SLF001 -- no public name
    return torch.stack(norms).square().sum().sqrt()

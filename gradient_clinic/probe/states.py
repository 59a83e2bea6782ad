"""The time axis of a recurrent layer: its states, and how much of the loss's gradient reaches each."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gradient_clinic.probe.points import Loop


def gradient_of(tensor: Tensor) -> Tensor:
    """∂L/∂ of it; zero where none reached it."""
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def inside_of(h: Tensor, lengths: Tensor | None) -> Tensor | None:
    """Which steps (batch, steps) of h (batch, steps, units) lie before the cases' ends; None where all do."""
    return None if lengths is None else torch.arange(h.shape[1], device=h.device) < lengths[:, None]


@torch.no_grad()
def side_by_side(steps: Sequence[tuple[Tensor, ...]]) -> Tensor:
    """(batch, steps, units of all parts) of what each step has in parts (batch, units)."""
    parts = [torch.stack(part, dim=1) for part in zip(*steps, strict=True)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def state_norms(loop: Loop, norms: Callable[[Sequence[Tensor]], Tensor]) -> Tensor:
    """(2, recorded states): rms of the state and of ∂L/∂state over cases and units, float64. ``norms``: ‖·‖₂ of each.

    Cases that end early are counted back from their end, where the loss sits; a state before a case's begin does not
    count. NaN where no case reaches so far back.
    """
    if loop.lengths is None:
        recorded = [loop.states[step] for step in loop.time_steps]
        found = norms([*(state.detach() for state in recorded), *map(gradient_of, recorded)])
        return found.reshape(2, -1) / math.sqrt(recorded[0].numel())
    gradients = torch.stack([gradient_of(state) for state in loop.states])
    both = torch.stack([torch.stack(loop.states), gradients]).detach()
    last = len(loop.states) - 1
    at = torch.arange(last + 1, device=both.device)[:, None] - last + loop.lengths  # (states, batch)
    index = at.clamp(min=0)[None, :, :, None].expand(2, -1, -1, both.shape[-1])
    # Cases are moved so that their ends meet; in front of a short one there is nothing, which counts as 0 here.
    aligned = both.gather(1, index).masked_fill((at < 0)[None, :, :, None], 0.0)
    # The rms over all cases, made one over those that reach so far back.
    cases = (at >= 0).sum(dim=1).double()
    return (_rms(aligned) * (at.shape[1] / cases).sqrt())[:, list(loop.time_steps)].masked_fill(
        (cases == 0)[list(loop.time_steps)], torch.nan
    )


def _rms(values: Tensor) -> Tensor:
    """Over the last two axes (batch, units), in float64: no float32 square underflows."""
    norms: Tensor = torch.linalg.vector_norm(values, dim=(-2, -1), dtype=torch.float64)
    rms: Tensor = norms / (values.shape[-2] * values.shape[-1]) ** 0.5
    return rms

"""One step of the optimisers, from its first forward pass to its update: what it has shown so far beside the rows."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.optim import Optimizer

from gradient_clinic.probe.meters.meter import Scalar
from gradient_clinic.watcher.shards import is_sharded


@dataclass(slots=True)
class Step:
    """Numbers stay on their device until the record is read."""

    norm: Scalar | None = None
    """‖g‖ over all parameters, once gradients were read."""
    stepped: set[int] = field(default_factory=set)
    """The optimisers that have."""
    losses: int = 0
    of_delta: float = 1.0
    """What δ, and what the gradients that the optimiser finds, are multiplied by."""
    of_gradient: float = 1.0
    _loss: Tensor | None = None
    _total: Tensor | None = None
    _limit: float = math.inf
    _found_inf: list[Tensor] = field(default_factory=list)

    def take_loss(self, loss: Tensor) -> None:
        its = loss.detach()
        self._loss = its if self._loss is None else self._loss + its
        self.losses += 1

    def take_clipping(self, norm: Tensor, limit: float) -> None:
        """The norm of shards is a sum over ranks that nobody has asked for yet: then it is that of the record."""
        self._total, self._limit = None if is_sharded(norm) else norm.detach(), limit

    def take_scales(self, optimizer: Optimizer, scaler: GradScaler | None) -> None:
        """Fused optimisers get gradients as they are, with what to divide them by and whether to skip the step."""
        found_inf, scale = getattr(optimizer, "found_inf", None), getattr(optimizer, "grad_scale", None)
        if isinstance(found_inf, Tensor):
            self._found_inf.append(found_inf)
        self.of_gradient = float(scale) if isinstance(scale, Tensor) else 1.0
        self.of_delta = self.of_gradient if scaler is None else scaler.get_scale()

    def scalars(self, rate: Scalar) -> list[Scalar]:
        """What ``curves`` wants to know the values of."""
        norm = math.nan if self.norm is None else self.norm
        skipped = torch.stack([its.reshape(()) for its in self._found_inf]).sum() if self._found_inf else 0.0
        loss = math.nan if self._loss is None else self._loss / self.losses
        return [rate, skipped, norm, norm if self._total is None else self._total, loss]

    def clipped(self, total: float) -> dict[str, float]:
        """``total``: the norm before clipping, without a scale."""
        limit = self._limit / self.of_gradient
        return {"clipped_gradient_norm": min(total, limit), "clipped": float(total > limit)}

    def curves(self, values: list[float]) -> tuple[dict[str, float], bool]:
        """By name; without a loss where none was told. And whether loss scaling skipped the step."""
        rate, skipped, norm, total, loss = values
        found = {
            "learning_rate": rate,
            "gradient_norm": norm / self.of_gradient,
            "total_gradient_norm": total / self.of_gradient,
            **self.clipped(total / self.of_gradient),
            "loss_scale": self.of_delta,
        }
        return (found if self._loss is None else found | {"loss": loss}), bool(skipped)


def bare(optimizer: Optimizer) -> Optimizer:
    """The optimiser that steps, out of what Accelerate or Lightning wraps around it."""
    inner = getattr(optimizer, "optimizer", None)
    return bare(inner) if isinstance(inner, Optimizer) else optimizer

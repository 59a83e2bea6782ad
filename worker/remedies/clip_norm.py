"""Clipping by the norm over all parameters: g ← g·min(1, c/(‖g‖ + 1e-6)) (Pascanu et al. 2013; torch's rule)."""

from collections.abc import Sequence

from torch import Tensor, nn

from models.specs.remedy import ClipNormRemedy
from worker.remedies.base import RunTimeRemedy


class ClipNorm(RunTimeRemedy):
    def __init__(self, spec: ClipNormRemedy) -> None:
        self._max_norm = spec.max_norm

    def clip(self, parameters: Sequence[nn.Parameter], total_norm: Tensor) -> Tensor:
        nn.utils.clip_grads_with_norm_(parameters, self._max_norm, total_norm.to(parameters[0].dtype))
        factor = (self._max_norm / (total_norm + 1e-6)).clamp(max=1.0)
        return total_norm * factor

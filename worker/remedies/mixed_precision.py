"""Half precision in the forward pass, with dynamic loss scaling for float16 (Micikevicius et al. 2017, 1710.03740).

bfloat16 has float32's range and needs no scale. For float16 the rule is that of torch's GradScaler: a step whose
gradients overflow is skipped and the scale halved; after ``growth_interval`` good steps in a row it is doubled.
``.grad`` is unscaled here, before penalties and clipping; δ and ∂L/∂W are recorded as backward left them, divided by
the scale by the probe. Evaluation is in full precision.
"""

from contextlib import AbstractContextManager
from typing import Any

import torch

from models.specs.training_remedies import MixedPrecisionRemedy
from worker.remedies.base import Bound, Precision
from worker.remedies.norms import norm_of

BACKOFF, GROWTH = 0.5, 2.0
SMALLEST, LARGEST = 2.0**-126, 2.0**127
"""Of a scale: float32's normal powers of two. Where every step overflows it would halve to a zero to divide by."""
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class MixedPrecision(Precision):
    def __init__(self, spec: MixedPrecisionRemedy) -> None:
        self._dtype, self._interval = DTYPES[spec.dtype], spec.growth_interval
        self._good_steps = 0
        self.scale = spec.initial_scale if spec.dtype == "float16" else 1.0
        self._scaling = spec.dtype == "float16"

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        return torch.autocast(device.type, dtype=self._dtype)

    @torch.no_grad()
    def unscale(self, bound: Bound) -> bool:
        if not self._scaling:
            return True
        gradients = bound.gradients()
        # The one wait for the device: whether to step is decided on the host.
        fine = bool(norm_of(gradients).isfinite())
        torch._foreach_mul_(gradients, 1.0 / self.scale)
        self._good_steps = self._good_steps + 1 if fine else 0
        if not fine:
            self.scale = max(self.scale * BACKOFF, SMALLEST)
        elif self._good_steps == self._interval:
            self.scale, self._good_steps = min(self.scale * GROWTH, LARGEST), 0
        return fine

    def state_dict(self) -> dict[str, Any]:
        return {"scale": self.scale, "good_steps": self._good_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scale, self._good_steps = state["scale"], state["good_steps"]

"""Linear warm-up of the learning rate: lr·(s + (1 − s)·(t + 1)/steps) in step t, then lr (Goyal et al. 2017)."""

from models.specs.training_remedies import WarmUpRemedy
from worker.remedies.base import Schedule


class WarmUp(Schedule):
    def __init__(self, spec: WarmUpRemedy) -> None:
        self._steps, self._start = spec.steps, spec.start_factor

    def factor(self, step: int) -> float:
        return min(1.0, self._start + (1.0 - self._start) * (step + 1) / self._steps)

"""Linear warm-up of the learning rate: lr·(s + (1 − s)·(t + 1)/steps) in step t, then lr (Goyal et al. 2017)."""

from models.plan.over_steps import risen
from models.specs.training_remedies import WarmUpRemedy
from worker.remedies.base import Schedule


class WarmUp(Schedule):
    def __init__(self, spec: WarmUpRemedy) -> None:
        self._spec = spec

    def factor(self, step: int) -> float:
        return risen(self._spec, step)

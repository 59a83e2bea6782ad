"""What schedules and decay amount to over the steps of a run."""

import math
import operator
from statistics import fmean
from typing import Final

from models.plan.variants import Plan
from models.specs.schedule import ScheduleSpec
from models.specs.training_remedies import WarmUpRemedy

LOOKED_AT: Final = 1_000
"""Steps at most, evenly spread, over which a mean is taken: a run may have millions."""


def factor_of(schedule: ScheduleSpec, step: int, steps: int) -> float:
    """Of the learning rate, in ``step`` (from 0) of a run of so many ``steps``; what comes after the run stays at its
    last factor.
    """
    if step < schedule.warm_up:
        return (step + 1) / schedule.warm_up
    since = step - schedule.warm_up
    match schedule.kind:
        case "cosine":
            # From the last warm-up step to the run's last one.
            way = min(1.0, since / (steps - schedule.warm_up))
            return schedule.final_factor + (1.0 - schedule.final_factor) * (1.0 + math.cos(math.pi * way)) / 2.0
        case "step":
            return float(schedule.factor ** (since // schedule.every))


def risen(warm_up: WarmUpRemedy, step: int) -> float:
    """What warm-up leaves of the learning rate in ``step`` (from 0)."""
    start = warm_up.start_factor
    return min(1.0, start + (1.0 - start) * (step + 1) / warm_up.steps)


def mean_rate(plan: Plan) -> float:
    """What schedule and warm-up leave of the learning rate, as a mean over all steps; 1 without any."""
    own = plan.optimizer.schedule
    warm_ups = [remedy for remedy in plan.run_time if remedy.kind == "warm_up"]
    if plan.steps == 0 or (own is None and not warm_ups):
        return 1.0
    chosen = range(0, plan.steps, max(1, plan.steps // LOOKED_AT))
    scheduled = [1.0 if own is None else factor_of(own, step, plan.steps) for step in chosen]
    rising = [math.prod(risen(warm_up, step) for warm_up in warm_ups) for step in chosen]
    return fmean(map(operator.mul, scheduled, rising))


def decay_of(plan: Plan) -> float:
    """What decay alone takes of a hidden weight by the last step, as an exponent: Σ rate·λ. An L2 term counts by its
    gradient 2λ·W, which it is under plain SGD.
    """
    own = float(getattr(plan.optimizer, "weight_decay", 0.0))
    beside = sum(remedy.strength for remedy in plan.run_time if remedy.kind == "weight_decay")
    terms = sum(2.0 * remedy.strength for remedy in plan.run_time if remedy.kind == "l2")
    strength = own + beside + terms
    return plan.optimizer.learning_rate * mean_rate(plan) * plan.steps * strength if strength else 0.0

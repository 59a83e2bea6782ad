"""The factor of the learning rate that an optimiser's schedule has in a step."""

import math

from models.specs.schedule import ScheduleSpec


def factor_of(schedule: ScheduleSpec, step: int, steps: int) -> float:
    """In ``step`` (from 0) of a run of so many ``steps``; what comes after the run stays at its last factor."""
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

"""Whether a GPU takes the steps of runs faster as one network: tried on networks that are thrown away."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from models.plan import Plan
from worker.datasets.split import TrialData
from worker.groups.mapped import MappedStep
from worker.groups.pace import COLD, TRIED, WORTH
from worker.trainer import Trainer

MEMBERS = 4
"""Of the group that is tried."""
LONG_S = 0.1
"""Of a step."""
LONGEST_S = 2.0
"""After which a way is tried no further."""
SHARE = 0.5
"""Of the free memory may go to a group; the rest is for evaluations, and for those who share the device."""


@dataclass(frozen=True, slots=True)
class Trial:
    """``gain``: a member's time alone over its time together. ``room``: members that the device has memory for."""

    gain: float
    room: float

    @property
    def is_worth_it(self) -> bool:
        return self.gain >= WORTH and self.room >= 2


def tried(plan: Plan, data: TrialData, seed: int, device: torch.device) -> Trial:
    """Of runs of ``plan``. One that has too few steps to tell is worth nothing, and so is one of long steps: what takes
    their time is no launch.
    """
    steps = min(TRIED, plan.steps)
    if steps <= COLD:
        return Trial(gain=0.0, room=math.inf)
    trainers = [
        Trainer(plan, data, seed=seed, device=device, dtype=torch.float32, record=True) for _ in range(MEMBERS + 1)
    ]
    try:
        one, *many = trainers
        alone = _seconds(one.step, steps, device)
        room = _room(device)
        if alone > LONG_S:
            return Trial(gain=0.0, room=room)
        joint = MappedStep(many)

        def together(step: int) -> None:
            for trainer in many:
                trainer.due = step
            joint.make()

        return Trial(alone / (_seconds(together, steps, device) / MEMBERS), room)
    finally:
        for trainer in trainers:
            trainer.close()


def _seconds(step: Callable[[int], object], steps: int, device: torch.device) -> float:
    """Of the fastest step that finds all in place: what disturbs a step adds to it."""
    taken = list[float]()
    for number in range(steps):
        if len(taken) > COLD and sum(taken) > LONGEST_S:
            break
        began = time.perf_counter()
        step(number)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - began)
    return min(taken[COLD:])


def _room(device: torch.device) -> float:
    if device.type != "cuda":
        return math.inf
    free, _ = torch.cuda.mem_get_info(device)
    return SHARE * free / max(1, torch.cuda.max_memory_allocated(device))

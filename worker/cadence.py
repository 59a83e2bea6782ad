"""How often a run may be recorded within a budget: measured once, before the run, on a copy that is thrown away."""

import math
import time
from itertools import count

import torch

from models.plan import Plan
from worker.datasets.split import TrialData
from worker.plugins.shelf import NO_SHELF, Shelf
from worker.trainer import Trainer

PAIRS = 25
WARM_UP = 5
"""Pairs of an unrecorded and a recorded step: those that are timed, and those before, which compile and allocate."""
LONGEST_S = 5.0
"""Steps that take longer than a few hundredths of a second are judged by fewer pairs, but by one at least."""


def cadence(plan: Plan, data: TrialData, *, seed: int, device: torch.device, shelf: Shelf = NO_SHELF) -> int:
    """The smallest ``every`` with which recording stays within the spec's budget, and never below the spec's own. The
    budget is the share that recording may add to the time of a step, on average. The spec's own where there is no
    budget.

    A trial of a few steps on weights of its own: the run itself begins as if there had been none.
    """
    asked = plan.experiment.trace
    if asked.budget is None or plan.steps == 0:
        return asked.every
    return max(asked.every, math.ceil(share(plan.recording_every(2), data, seed, device, shelf) / asked.budget))


def share(plan: Plan, data: TrialData, seed: int, device: torch.device, shelf: Shelf = NO_SHELF) -> float:
    """What recording adds to a step, over the step; ``plan`` records every other one."""
    # Recorded and plain steps of one training in turn: both meet the same weights, caches and neighbours.
    trainer = Trainer(plan, data, seed=seed, device=device, dtype=torch.float32, record=True, shelf=shelf)
    began = time.perf_counter()
    recorded, plain = [], []
    for step in count(step=2):
        recorded.append(_seconds(trainer, step, device))
        plain.append(_seconds(trainer, step + 1, device))
        late = time.perf_counter() - began > LONGEST_S
        if len(plain) == WARM_UP + PAIRS or (late and len(plain) > 1):
            break
    trainer.close()
    # Slow steps leave too few pairs for the whole warm-up, but the first pair compiles and is never counted.
    kept = WARM_UP if len(plain) > WARM_UP else 1
    # Whatever disturbs a step adds to it, so the fastest of each are told most surely on a machine that is not quiet.
    return max(0.0, min(recorded[kept:]) / min(plain[kept:]) - 1.0)


def _seconds(trainer: Trainer, step: int, device: torch.device) -> float:
    """The time of a step: on a CPU this process's own, whatever else the machine does; on a GPU by the clock."""
    if device.type != "cuda":
        began = time.process_time()
        trainer.step(step)
        return time.process_time() - began
    began = time.perf_counter()
    trainer.step(step)
    torch.cuda.synchronize(device)
    return time.perf_counter() - began

"""A run that a worker has claimed and trains: what its training yields goes to the recorder and to checkpoints."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from gradient_clinic.probe.probe import StepRecord
from models.plan import Plan
from models.plan.watched import AnyPlan
from models.runs import Claim
from worker.app import asked_to_stop
from worker.checkpoints import Keeper
from worker.heart import Watch
from worker.recorder import LeaseLostError, Recorder
from worker.results import EpochResult, RunResult, Seen, Snapshot


class CancelRequestedError(Exception):
    """The run's experiment was asked to stop."""


class HandedBackError(Exception):
    """This worker is being shut down: another one shall train the run."""


@dataclass(slots=True)
class Underway:
    """``recorded``: the plan as its traces are read; ``first``: the step that the attempt begins at."""

    claim: Claim
    watch: Watch
    plan: Plan
    recorded: AnyPlan
    recorder: Recorder
    keeper: Keeper
    first: int = 0
    _steps: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self._steps = itertools.count(self.first)

    def between_steps(self) -> None:
        # Counted before it obeys: the heart, in its own thread, says with each beat how many steps are done.
        self.watch.step = next(self._steps)
        if self.watch.stop == "cancelled":
            raise CancelRequestedError
        if self.watch.stop == "lost":
            raise LeaseLostError
        if asked_to_stop():
            raise HandedBackError

    def take(self, seen: Seen) -> RunResult | None:
        """Keep what training has yielded; its last word, when that is it."""
        match seen:
            case StepRecord():
                self.recorder.add(seen)
            case EpochResult():
                self.recorder.add_epoch(seen)
            case Snapshot():
                self.keeper.keep(seen)
            case RunResult():
                return seen
        return None

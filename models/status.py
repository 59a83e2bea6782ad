"""The states of a run and of an experiment. ``docs/run-life.md`` draws how one leads to another; ``models/runs/`` makes
each change a guarded update. No SQL here.
"""

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Of a run and of an experiment."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_finished(self) -> bool:
        return self not in {State.QUEUED, State.RUNNING}


class Source(StrEnum):
    """Who has trained: workers of this clinic, or a loop elsewhere that is watched."""

    TRAINED = "trained"
    INGESTED = "ingested"


class Phase(StrEnum):
    """What a run is for: to try a learning rate on a seed of its own, or to be compared."""

    TUNE = "tune"
    TRIAL = "trial"


def settled(counts: Mapping[State, int], *, cancel_accepted: bool) -> State | None:
    """The experiment's end state once all its runs have ended, else None (docs/run-life.md)."""
    if counts.get(State.QUEUED, 0) or counts.get(State.RUNNING, 0):
        return None
    if cancel_accepted and counts.get(State.CANCELLED, 0):
        return State.CANCELLED
    return State.SUCCEEDED if counts.get(State.SUCCEEDED, 0) else State.FAILED

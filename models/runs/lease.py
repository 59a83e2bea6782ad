"""What a worker holds while it trains a run."""

import uuid
from dataclasses import dataclass

from sqlalchemy import ColumnElement

from models.specs.experiment import ExperimentSpec
from models.storage.tables import Run


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a run: void as soon as the row holds another token."""

    run_id: uuid.UUID
    experiment_id: uuid.UUID
    token: uuid.UUID
    attempt: int

    def holds(self) -> ColumnElement[bool]:
        return (Run.id == self.run_id) & (Run.lease_token == self.token)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a run can go on: before step ``step``, with ``epochs`` behind it and the state that ``path`` holds."""

    step: int
    epochs: int
    path: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker gets with a lease: all that it needs to train, so that no session stays open."""

    lease: Lease
    spec: ExperimentSpec
    variant: str
    seed: int
    learning_rate: float | None = None
    """That tuning tries or has chosen; None: the variant's own."""
    trace_every: int | None = None
    """The cadence that an earlier attempt's recording budget chose."""
    checkpoint: Checkpoint | None = None
    """The newest one of earlier attempts; what is stored of the run ends there."""

"""How the runs of an experiment are trained as one network, where a GPU does so: decided once, for all of them."""

import uuid

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.runs.lease import Lease
from models.storage.tables import Attempt, Experiment


def are_mapped(session: Session, experiment_id: uuid.UUID) -> bool | None:
    """None: nobody has decided yet."""
    return session.execute(select(Experiment.mapped).where(Experiment.id == experiment_id)).scalar_one_or_none()


def decide(session: Session, experiment_id: uuid.UUID, *, mapped: bool) -> bool:
    """What holds for the experiment: what was decided first."""
    decided = func.coalesce(Experiment.mapped, mapped)
    row = update(Experiment).where(Experiment.id == experiment_id).values(mapped=decided).returning(Experiment.mapped)
    return bool(session.execute(row).scalar_one_or_none())


def batched_before(session: Session, lease: Lease) -> int:
    """With how many runs the attempt before this one was trained, itself included."""
    its = (Attempt.run_id == lease.run_id) & (Attempt.number == lease.attempt - 1)
    return session.execute(select(Attempt.batched).where(its)).scalar_one_or_none() or 1

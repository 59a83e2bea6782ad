"""The queries behind the answers. A constant number of statements for a page, however long it is."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from api.errors import not_found
from api.views import Progress, RunCounts
from models.status import State
from models.tables import Attempt, Experiment, Run


@dataclass(frozen=True, slots=True)
class Filter:
    """Which experiments a list holds; ``labels`` must all be there."""

    state: State | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None


def experiment_of(session: Session, owner: str, experiment_id: uuid.UUID) -> Experiment:
    """The caller's experiment; another owner's does not exist for it (404)."""
    row = session.execute(
        select(Experiment).where(Experiment.id == experiment_id, Experiment.owner == owner)
    ).scalar_one_or_none()
    if row is None:
        raise not_found("experiment", experiment_id)
    return row


def run_of(session: Session, owner: str, run_id: uuid.UUID) -> tuple[Run, Experiment]:
    row = session.execute(
        select(Run, Experiment)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .where(Run.id == run_id, Experiment.owner == owner)
    ).one_or_none()
    if row is None:
        raise not_found("run", run_id)
    return row.tuple()


def experiments(
    session: Session, owner: str, wanted: Filter, before: uuid.UUID | None, limit: int
) -> Sequence[Experiment]:
    """Newest first: ids are in order of time."""
    query = select(Experiment).where(Experiment.owner == owner).order_by(Experiment.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Experiment.id < before)
    if wanted.state is not None:
        query = query.where(Experiment.state == wanted.state)
    if wanted.labels:
        query = query.where(Experiment.labels.contains(dict(wanted.labels)))
    if wanted.created_after is not None:
        query = query.where(Experiment.created_at > wanted.created_after)
    if wanted.created_before is not None:
        query = query.where(Experiment.created_at < wanted.created_before)
    return session.execute(query).scalars().all()


def progress_of(session: Session, experiment_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Progress]:
    """Counts and share of steps done, of all these experiments in one statement."""
    steps = func.greatest(Run.steps, 1)
    done = func.sum(case((Run.state.in_([State.QUEUED, State.RUNNING]), Run.step), else_=steps))
    rows = session.execute(
        select(Run.experiment_id, Run.state, func.count(), done, func.sum(steps))
        .where(Run.experiment_id.in_(experiment_ids))
        .group_by(Run.experiment_id, Run.state)
    ).all()
    answer: dict[uuid.UUID, Progress] = {}
    for experiment_id in experiment_ids:
        mine = [row for row in rows if row[0] == experiment_id]
        counts = RunCounts(**{row[1]: row[2] for row in mine})
        total = sum(int(row[4]) for row in mine)
        answer[experiment_id] = Progress(
            counts=counts, share=sum(int(row[3]) for row in mine) / total if total else 0.0
        )
    return answer


def runs(session: Session, experiment_id: uuid.UUID, after: int | None, limit: int) -> Sequence[Run]:
    query = select(Run).where(Run.experiment_id == experiment_id).order_by(Run.position).limit(limit)
    if after is not None:
        query = query.where(Run.position > after)
    return session.execute(query).scalars().all()


def attempts_of(session: Session, run_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Attempt]]:
    found: dict[uuid.UUID, list[Attempt]] = {run_id: [] for run_id in run_ids}
    query = select(Attempt).where(Attempt.run_id.in_(run_ids)).order_by(Attempt.run_id, Attempt.number)
    for attempt in session.execute(query).scalars():
        found[attempt.run_id].append(attempt)
    return found

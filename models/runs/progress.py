"""How far experiments are: how many runs in each state, and the share of all their steps that is done."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Uuid, any_, bindparam, case, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models.status import State
from models.storage.tables import Experiment, Run


@dataclass(frozen=True, slots=True)
class Progress:
    """``counts`` has the states that some run is in; ``share`` is of steps, 0 to 1."""

    counts: Mapping[State, int]
    share: float


# A run of no steps weighs as much as one step: its end has to show in the share.
_STEPS = func.greatest(Run.steps, 1)
_DONE = func.sum(case((Run.state.in_([State.QUEUED, State.RUNNING]), Run.step), else_=_STEPS))
# Put together once, as nearly every answer has it: that takes as long as asking it.
_PROGRESS = (
    select(Run.experiment_id, Run.state, func.count(), _DONE, func.sum(_STEPS))
    .where(Run.experiment_id == any_(bindparam("experiment_ids", type_=ARRAY(Uuid))))
    .group_by(Run.experiment_id, Run.state)
)


def progress_of(session: Session, experiment_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Progress]:
    """The progress of all these experiments, in one statement. A run that has ended counts whole."""
    rows = session.execute(_PROGRESS, {"experiment_ids": list(experiment_ids)}).all()
    return {its: _counted([row[1:] for row in rows if row[0] == its]) for its in experiment_ids}


def _counted(rows: Sequence[Sequence[Any]]) -> Progress:
    """Of one experiment: a row per state, with the number of runs, their steps that are done, and all of them."""
    total = sum(int(row[3]) for row in rows)
    share = sum(int(row[2]) for row in rows) / total if total else 0.0
    return Progress({State(row[0]): row[1] for row in rows}, share)


@dataclass(frozen=True, slots=True)
class Standing:
    """An experiment's own state, and that of its runs, of one moment."""

    state: State
    cancel_requested: bool
    progress: Progress


_STANDING = (
    select(
        Experiment.state, Experiment.cancel_requested_at.is_not(None), Run.state, func.count(), _DONE, func.sum(_STEPS)
    )
    .join(Run, Run.experiment_id == Experiment.id)
    .where(Experiment.id == bindparam("experiment_id", type_=Uuid))
    .group_by(Experiment.id, Run.state)
)


def standing_of(session: Session, experiment_id: uuid.UUID) -> Standing | None:
    """None: there is no such experiment. Of one that this transaction has locked by an earlier statement it is what
    stays true up to the commit: all that who had the lock before have written is counted.
    """
    rows = session.execute(_STANDING, {"experiment_id": experiment_id}).all()
    if not rows:
        return None
    return Standing(State(rows[0][0]), bool(rows[0][1]), _counted([row[2:] for row in rows]))


def seconds_left(session: Session, experiment_id: uuid.UUID, share: float) -> float | None:
    """Until all its steps are done, if they go on as fast as this ``share`` was; None where none is done.

    By the database's clock, from the first start on: what waits for a worker counts as time, as it will again.
    """
    if share == 0:
        return None
    age = func.extract("epoch", func.clock_timestamp() - Experiment.started_at)
    started_s_ago = session.execute(select(age).where(Experiment.id == experiment_id)).scalar_one_or_none()
    return None if started_s_ago is None else float(started_s_ago) * (1 - share) / share

"""How far experiments are: how many runs in each state, and the share of all their steps that is done."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    answer: dict[uuid.UUID, Progress] = {}
    for experiment_id in experiment_ids:
        mine = [row for row in rows if row[0] == experiment_id]
        total = sum(int(row[4]) for row in mine)
        share = sum(int(row[3]) for row in mine) / total if total else 0.0
        answer[experiment_id] = Progress({State(row[1]): row[2] for row in mine}, share)
    return answer


def seconds_left(session: Session, experiment_id: uuid.UUID, share: float) -> float | None:
    """Until all its steps are done, if they go on as fast as this ``share`` was; None where none is done.

    By the database's clock, from the first start on: what waits for a worker counts as time, as it will again.
    """
    if share == 0:
        return None
    age = func.extract("epoch", func.clock_timestamp() - Experiment.started_at)
    started_s_ago = session.execute(select(age).where(Experiment.id == experiment_id)).scalar_one_or_none()
    return None if started_s_ago is None else float(started_s_ago) * (1 - share) / share

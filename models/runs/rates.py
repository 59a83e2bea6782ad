"""Between tuning and trial: once all rates of a variant have been tried, its runs get the best one.

The trial's runs are queued from the first, and held: nobody publishes or claims them. Releasing them is a guarded
write of the dispatchers, of which any number may do it at once. Nothing is decided where a run of tuning ends, as two
that end at once would not see each other.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session, aliased

from models import runs
from models.analysis.comparison.tuning import Tried, choose
from models.runs import events
from models.status import Phase, State
from models.storage.tables import Run

_UNTUNED = {"title": "Tuning failed", "detail": "no learning rate of tune trained to an end without diverging"}


@dataclass(frozen=True, slots=True)
class _Arm:
    experiment_id: uuid.UUID
    variant: str


def release(session: Session) -> int:
    """Give every variant whose tuning has ended its learning rate, and its runs to the queue. How many runs."""
    return sum(_release(session, arm) for arm in _tuned(session))


def _tuned(session: Session) -> list[_Arm]:
    """Variants with runs that are held, and none left to wait for."""
    # Nothing is locked here: whoever releases asks once more, under the lock.
    return [_Arm(row.experiment_id, row.variant) for row in session.execute(_TUNED)]


_trying = aliased(Run)
_unfinished = exists().where(
    _trying.experiment_id == Run.experiment_id,
    _trying.variant == Run.variant,
    _trying.phase == Phase.TUNE,
    _trying.state.in_([State.QUEUED, State.RUNNING]),
)
# Put together once, as every look of a dispatcher asks it: that takes longer than asking.
_TUNED = (
    select(Run.experiment_id, Run.variant)
    .where(Run.held, Run.state == State.QUEUED, ~_unfinished)
    .distinct()
    .order_by(Run.experiment_id, Run.variant)
)


def _release(session: Session, arm: _Arm) -> int:
    of_arm = Run.experiment_id == arm.experiment_id, Run.variant == arm.variant
    tuning = select(Run).where(*of_arm, Run.phase == Phase.TUNE).order_by(Run.position)
    chosen = choose(tried_of(session.execute(tuning).scalars().all()))
    # Another dispatcher may have released them since they were found: then none is left to lock.
    ids = runs.lock_runs(session, *of_arm, Run.held.is_(True), Run.state == State.QUEUED)
    waiting = update(Run).where(runs.among(ids))
    if chosen is not None:
        session.execute(waiting.values(held=False, learning_rate=chosen))
        return len(ids)
    # Still held: a retry tries the rates again, and then these.
    session.execute(waiting.values(state=State.FAILED, ended_at=func.clock_timestamp(), error=_UNTUNED))
    if ids:
        events.tell_runs(session, arm.experiment_id, ids, _UNTUNED["detail"])
        runs.settle(session, arm.experiment_id)
    return 0


def tried_of(rows: Iterable[Run]) -> list[Tried]:
    """What each run of tuning among these has found. Runs that have not ended are left out."""
    return [_tried(row) for row in rows if row.phase == Phase.TUNE and State(row.state).is_finished]


def _tried(row: Run) -> Tried:
    assert row.learning_rate is not None  # every run of tuning tries one
    if row.summary is None:
        return Tried(row.learning_rate, None, diverged=False, device_seconds=row.device_s)
    facts = row.summary.facts
    return Tried(row.learning_rate, facts.validation_loss, facts.outcome == "diverged", facts.device_seconds)

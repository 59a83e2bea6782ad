"""What ends runs from outside: a client's cancel, a latest start, a latest end."""

import uuid
from collections import defaultdict

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from models.runs import events
from models.runs.endings import end_error, settle
from models.runs.writes import CANCEL_CHANNEL, among, lock_runs, notify
from models.status import State
from models.storage.database import changed_rows
from models.storage.tables import Experiment, Run

_LATE = {"title": "Deadline passed", "detail": "the experiment's deadline passed before the run started"}
_UNFINISHED = Experiment.state.in_([State.QUEUED, State.RUNNING])


def cancel(session: Session, experiment_id: uuid.UUID) -> bool:
    """Ask an experiment to stop: queued runs end now, running ones between two steps. False if it had ended."""
    error = end_error(session, experiment_id)
    reason = "cancelled before it started" if error is None else error["detail"]
    # Runs before their experiment, as everywhere: a claim that comes in between waits, and finds its run ended.
    queued = lock_runs(session, Run.experiment_id == experiment_id, Run.state == State.QUEUED)
    ended = {"state": State.CANCELLED, "ended_at": func.clock_timestamp(), "error": error}
    session.execute(update(Run).where(among(queued)).values(**ended))
    asked = (
        update(Experiment)
        .where(Experiment.id == experiment_id, _UNFINISHED)
        .values(cancel_requested_at=func.coalesce(Experiment.cancel_requested_at, func.clock_timestamp()))
    )
    if not changed_rows(session, asked):
        return False
    notify(session, CANCEL_CHANNEL, experiment_id)
    events.tell_runs(session, experiment_id, queued, reason)
    settle(session, experiment_id)
    return True


def end_overdue(session: Session, *conditions: ColumnElement[bool]) -> int:
    """Cancel the experiments, those that meet the conditions, whose latest end has passed. How many.

    Whoever comes first does it: dispatchers, a claim, and the wardens for what their workers hold.
    """
    overdue = (
        select(Experiment.id)
        .where(Experiment.end_before <= func.clock_timestamp(), Experiment.cancel_requested_at.is_(None), _UNFINISHED)
        .where(*conditions)
        # In order, as below.
        .order_by(Experiment.id)
    )
    return sum(cancel(session, experiment_id) for experiment_id in session.execute(overdue).scalars().all())


def expire(session: Session, *conditions: ColumnElement[bool]) -> int:
    """Fail the queued runs, those that meet the conditions, of experiments whose latest start has passed. How many."""
    late = select(Experiment.id).where(Experiment.start_before <= func.clock_timestamp(), _UNFINISHED)
    locked = lock_runs(session, Run.experiment_id.in_(late), Run.state == State.QUEUED, *conditions)
    if not locked:
        return 0
    expired = session.execute(
        update(Run)
        .where(among(locked))
        .values(state=State.FAILED, ended_at=func.clock_timestamp(), error=_LATE)
        .returning(Run.experiment_id, Run.id)
    )
    failed: dict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
    for experiment_id, run_id in expired:
        failed[experiment_id].append(run_id)
    # In order: telling locks an experiment, and two sweeps that take several must not cross.
    for experiment_id in sorted(failed):
        events.tell_runs(session, experiment_id, failed[experiment_id], _LATE["detail"])
        settle(session, experiment_id)
    return sum(map(len, failed.values()))

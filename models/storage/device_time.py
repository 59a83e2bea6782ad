"""How long an owner has held devices within a day: by the clock, from the start of each attempt to its end."""

import datetime as dt
import uuid
from typing import Final

from sqlalchemy import ColumnElement, Interval, Subquery, delete, func, insert, literal, or_, select, union_all
from sqlalchemy.orm import Session

from models.status import Source
from models.storage.owner_tables import DeletedAttempt
from models.storage.tables import Attempt, Experiment, Run

DAY: Final = dt.timedelta(days=1)
_SECONDS: Final = (
    func.extract("epoch", func.coalesce(Attempt.ended_at, func.clock_timestamp()) - Attempt.started_at)
    / Attempt.batched
).label("seconds")
"""Of one attempt, so far: its part where several are trained as one."""


def used_s(session: Session, owner: str) -> float:
    """Seconds of the attempts that go on or have ended within a day, each whole; of deleted experiments too."""
    spent = _spent(owner)
    return float(session.execute(select(func.coalesce(func.sum(spent.c.seconds), 0.0))).scalar_one())


def until_below_s(session: Session, owner: str, allowed: float) -> float | None:
    """Seconds until enough of what has ended lies more than a day back; None where what goes on alone is too much."""
    spent = _spent(owner)
    going_on = select(func.coalesce(func.sum(spent.c.seconds), 0.0)).where(spent.c.ended_at.is_(None))
    running = float(session.execute(going_on).scalar_one())
    if running >= allowed:
        return None
    ended = (
        select(spent.c.ended_at, func.sum(spent.c.seconds).over(order_by=spent.c.ended_at.desc()).label("newer"))
        .where(spent.c.ended_at.is_not(None))
        .subquery()
    )
    # The newest attempt whose seconds, with all that ended after it, are too many: when it has gone there is room.
    last = select(func.max(ended.c.ended_at)).where(ended.c.newer + running >= allowed)
    left = func.extract("epoch", last.scalar_subquery() - _since())
    # That attempt may leave the day between two of these statements.
    return max(1.0, float(session.execute(select(func.coalesce(left, 0))).scalar_one()))


def keep(session: Session, experiment_id: uuid.UUID) -> None:
    """Before an experiment is deleted, and with its runs locked: what it has used counts to the end of the day."""
    of_day = select(Experiment.owner, func.coalesce(Attempt.ended_at, func.clock_timestamp()), _SECONDS)
    of_day = of_day.select_from(Attempt).join(Run, Run.id == Attempt.run_id)
    of_day = of_day.join(Experiment, Experiment.id == Run.experiment_id)
    of_day = of_day.where(Experiment.id == experiment_id, *_of_day())
    session.execute(insert(DeletedAttempt).from_select(["owner", "ended_at", "seconds"], of_day))


def forget_old(session: Session) -> None:
    """Remove what no longer counts."""
    session.execute(delete(DeletedAttempt).where(DeletedAttempt.ended_at <= _since()))


def _spent(owner: str) -> Subquery:
    """Of each attempt that counts its seconds and its end, NULL while it goes on. One statement sees what a deletion
    moves on one of the two sides, never on both or on neither.
    """
    there = (
        select(Attempt.ended_at, _SECONDS)
        .join(Run, Run.id == Attempt.run_id)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .where(Experiment.owner == owner, *_of_day())
    )
    deleted = select(DeletedAttempt.ended_at, DeletedAttempt.seconds)
    deleted = deleted.where(DeletedAttempt.owner == owner, DeletedAttempt.ended_at > _since())
    return union_all(there, deleted).subquery()


def _of_day() -> tuple[ColumnElement[bool], ...]:
    """Attempts at runs trained here that go on, or have ended within a day."""
    since = _since()
    return (
        # So that the runs of old experiments, and the attempts at old runs, are not gone through.
        or_(Experiment.ended_at.is_(None), Experiment.ended_at > since),
        or_(Run.ended_at.is_(None), Run.ended_at > since),
        Run.source == Source.TRAINED,
        or_(Attempt.ended_at.is_(None), Attempt.ended_at > since),
    )


def _since() -> ColumnElement[dt.datetime]:
    # Not the clock, which may be another one for each row: no index is asked for such a value.
    return func.statement_timestamp() - literal(DAY, Interval)

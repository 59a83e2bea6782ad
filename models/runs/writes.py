"""What every write of a run or an experiment shares: who is told, which rows are locked, and in what order."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Interval, Uuid, any_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models.storage.tables import Run

QUEUE_CHANNEL = "clinic_queue"
CANCEL_CHANNEL = "clinic_cancel"


def seconds(value: float) -> ColumnElement[dt.timedelta]:
    """An interval for arithmetic with the database's clock."""
    return literal(dt.timedelta(seconds=value), Interval)


def notify(session: Session, channel: str, payload: object = "") -> None:
    session.execute(select(func.pg_notify(channel, str(payload))))


def lock_runs(session: Session, *conditions: ColumnElement[bool], ends: bool = False) -> Sequence[uuid.UUID]:
    """Lock the runs that meet the conditions. Locks are taken in one order everywhere, runs by their id and before
    their experiment: whoever writes several runs takes them here, so that no two writers wait for each other. ``ends``:
    their rows will be deleted.
    """
    ordered = select(Run.id).where(*conditions).order_by(Run.id)
    # The weaker lock lets others insert rows that refer to the run; who deletes it has to wait for these.
    return session.execute(ordered.with_for_update(key_share=not ends)).scalars().all()


def among(run_ids: Sequence[uuid.UUID]) -> ColumnElement[bool]:
    """Whether a run is one of these; one parameter of a statement, which has at most 65,535, however many they are."""
    return Run.id == any_(literal(list(run_ids), ARRAY(Uuid)))


NO_CHECKPOINT: Mapping[str, Any] = {"checkpoint_step": None, "checkpoint_epochs": None, "checkpoint_path": None}
"""Of a run that begins at step 0."""

"""What workers say of themselves while they live, and who waits because none of them does.

Ages are the database's: no clock of a worker is believed.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Uuid, any_, bindparam, delete, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from models.storage.tables import Experiment
from models.storage.worker_tables import Worker

RENEW_S: Final = 10.0
"""A worker says so often that it is there, and what it has."""
ABSENT_S: Final = 3 * RENEW_S
"""What no worker has said for so long holds no more."""


def since() -> ColumnElement[dt.datetime]:
    """What was said later than this holds."""
    return func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, ABSENT_S)


def renew(session: Session, name: str, device: str) -> None:
    """Say that this worker is there. Those that have said nothing for long are forgotten."""
    said = {"device": device, "seen_at": func.clock_timestamp()}
    new = insert(Worker).values(name=name, **said)
    session.execute(new.on_conflict_do_update(index_elements=[Worker.name], set_=said))
    # When the database has been away all are silent, and come back at once: who speaks now is not waited for.
    silent = select(Worker.name).where(Worker.seen_at < since(), Worker.name != name)
    session.execute(delete(Worker).where(Worker.name.in_(silent.with_for_update(skip_locked=True))))


def forget(session: Session, name: str) -> None:
    """Say that this worker has ended."""
    session.execute(delete(Worker).where(Worker.name == name))


_ASKED = func.jsonb_extract_path_text(Experiment.spec, "device")
_TAKER = select(Worker.name).where(Worker.seen_at >= since(), or_(_ASKED == "auto", Worker.device == _ASKED))
# Put together once: every look at a queued experiment asks it.
_WITHOUT = select(Experiment.id).where(
    Experiment.id == any_(bindparam("experiment_ids", type_=ARRAY(Uuid))),
    or_(Experiment.not_before.is_(None), Experiment.not_before <= func.clock_timestamp()),
    ~_TAKER.correlate(Experiment).exists(),
)


def without_worker(session: Session, experiment_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Of these that are queued those that may begin, and ask for a device that no worker which is there has."""
    return set(session.execute(_WITHOUT, {"experiment_ids": list(experiment_ids)}).scalars())

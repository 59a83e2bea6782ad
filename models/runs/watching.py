"""What a warden asks about worker processes: which runs they hold, for how long, and what waits for them.

Ages are the database's: no clock of a worker is believed.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Float, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from models.runs import Lease
from models.status import State
from models.storage.tables import Attempt, Experiment, Run


@dataclass(frozen=True, slots=True)
class Held:
    """A run in the hands of ``worker``. ``lapsed_for_s``: since its lease ran out, negative before that;
    ``cancelled_for_s``: None where nobody has asked it to stop.
    """

    lease: Lease
    worker: str
    step: int
    for_s: float
    lapsed_for_s: float
    cancelled_for_s: float | None


def held_by(session: Session, workers: Sequence[str]) -> list[Held]:
    """The runs that these worker processes hold now: one each, or several that are trained together."""
    rows = session.execute(
        select(
            Run.id,
            Run.experiment_id,
            Run.lease_token,
            Run.attempt,
            Run.worker,
            Run.step,
            _age_s(Attempt.started_at).label("for_s"),
            _age_s(Run.lease_until).label("lapsed_for_s"),
            _age_s(Experiment.cancel_requested_at).label("cancelled_for_s"),
        )
        .join(Experiment, Experiment.id == Run.experiment_id)
        .join(Attempt, (Attempt.run_id == Run.id) & (Attempt.number == Run.attempt))
        .where(Run.state == State.RUNNING, Run.worker.in_(workers))
        .order_by(Run.experiment_id)
    )
    # Ages come from the database's clock, which gave the leases; a host's own may be hours off.
    return [
        Held(
            Lease(row.id, row.experiment_id, row.lease_token, row.attempt),
            row.worker,
            row.step,
            row.for_s,
            row.lapsed_for_s,
            row.cancelled_for_s,
        )
        for row in rows
    ]


def published(session: Session, devices: Sequence[str]) -> frozenset[uuid.UUID]:
    """The runs that workers have been told of and nobody has claimed, of experiments that ask for these devices. Those
    of plug-ins are left out: a worker that has others leaves them, and is not deaf.
    """
    rows = session.execute(
        select(Run.id)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .where(
            Run.state == State.QUEUED,
            Run.published_at.is_not(None),
            func.jsonb_extract_path_text(Experiment.spec, "device").in_(devices),
            *(
                func.jsonb_extract_path_text(Experiment.spec, part, "kind") != "plugin"
                for part in ("network", "dataset")
            ),
        )
    )
    return frozenset(rows.scalars())


def _age_s(instant: InstrumentedAttribute[Any]) -> ColumnElement[float]:
    return cast(func.extract("epoch", func.clock_timestamp() - instant), Float)

"""A small experiment that runs can be trained together of, and what is stored of its runs."""

import uuid
from typing import Any

from sqlalchemy import select

from gradient_clinic.signals import CURVES, SIGNALS
from models import runs
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from models.storage.tables import Attempt, Run
from models.storage.trace_tables import CurveChunk, TraceChunk

SPEC: dict[str, Any] = {
    "name": "together",
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "hidden": [16] * 5, "dropout": 0.2},
    "optimizer": {"kind": "adam"},
    "batch_size": 32,
    "steps": 40,
    "seeds": [0, 1, 2],
    "remedies": [{"kind": "clip_norm", "max_norm": 0.5}],
}


def submitted(database: Database, **changes: Any) -> list[uuid.UUID]:
    """The runs of a new experiment, in the queue's order."""
    spec = ExperimentSpec.model_validate({**SPEC, **changes})
    with database.begin() as session:
        experiment_id = runs.submit(session, spec, expand(spec), owner="local")
    with database.begin() as session:
        query = select(Run.id).where(Run.experiment_id == experiment_id).order_by(Run.position)
        return list(session.execute(query).scalars())


def row(database: Database, run_id: uuid.UUID) -> Run:
    with database.begin() as session:
        return session.get_one(Run, run_id)


def attempts(database: Database, run_id: uuid.UUID) -> list[int]:
    """With how many runs each attempt was trained."""
    with database.begin() as session:
        query = select(Attempt.batched).where(Attempt.run_id == run_id).order_by(Attempt.number)
        return list(session.execute(query).scalars())


def left(database: Database, run_id: uuid.UUID) -> list[Any]:
    """What the run has left but its times."""
    curves = [name for name in CURVES if name != "step_seconds"]
    left: list[Any] = []
    with database.begin() as session:
        for table, names in ((TraceChunk, SIGNALS), (CurveChunk, curves)):
            columns = [getattr(table, name) for name in ("first_step", *names)]
            order = (table.layer_index, table.chunk) if table is TraceChunk else (table.chunk,)
            left += [
                repr(its) for its in session.execute(select(*columns).where(table.run_id == run_id).order_by(*order))
            ]
        run = session.get_one(Run, run_id)
        facts = None if run.summary is None else (run.summary.verdict, run.summary.facts.test_loss)
        left += [run.state, run.outcome, run.step, repr(facts)]  # where NaN is NaN
    return left

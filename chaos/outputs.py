"""All that a run has stored but its timings, as bytes: two runs are alike only where every bit is."""

import uuid
from collections.abc import Iterator

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.chunks import read_curves, read_epochs, read_signals
from models.plan import Plan
from models.signals import CURVES, SIGNALS
from models.tables import Run
from models.traces import read_rollup

Outputs = dict[str, bytes]
"""By the name of the part."""
MOST_POINTS = 10_000


def outputs_of(session: Session, run_id: uuid.UUID, plan: Plan) -> Outputs:
    """The states of recurrent layers have rows of their own, behind those of the layers."""
    rows = list(range(1, len(plan.network.rows) + 1))
    signals = read_signals(session, run_id, SIGNALS, rows, 0, plan.steps)
    curves = read_curves(session, run_id, CURVES, 0, plan.steps)
    return (
        {"steps": signals.steps.tobytes(), "steps of curves": curves.steps.tobytes()}
        | {name: values.tobytes() for name, values in zip(SIGNALS, signals.values, strict=True)}
        | {name: values.tobytes() for name, values in zip(CURVES, curves.values, strict=True) if name != "step_seconds"}
        | {"epochs": np.array(read_epochs(session, run_id)).tobytes()}
        | {f"rollup of {signal}": buckets for signal, buckets in _rollups(session, run_id, rows)}
        | {"end": _end(session, run_id)}
    )


def _end(session: Session, run_id: uuid.UUID) -> bytes:
    row = session.execute(select(Run.state, Run.outcome, Run.step, Run.summary).where(Run.id == run_id)).one()
    verdict = None if row.summary is None else row.summary.verdict.model_dump_json()
    return f"{row.state} {row.outcome} {row.step} {verdict}".encode()


def _rollups(session: Session, run_id: uuid.UUID, rows: list[int]) -> Iterator[tuple[str, bytes]]:
    for signal in SIGNALS:
        picture = read_rollup(session, run_id, signal, rows, MOST_POINTS)
        if picture is not None:
            yield signal, b"".join(values.tobytes() for values in (picture.steps, *picture.buckets.arrays))

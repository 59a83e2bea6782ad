"""Runs with traces made by hand, written as a worker would: in blocks, flush by flush."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import select

from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array
from models import runs
from models.plan import Plan, expand
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from models.storage.tables import Run
from models.traces.rollups import CHUNK_RECORDS
from models.traces.writer import Block, TraceWriter


def new_run(database: Database, **changes: Any) -> tuple[uuid.UUID, Plan]:
    """A queued run of three layers, and its plan; ``changes`` replace keys of the spec."""
    spec = ExperimentSpec.model_validate(
        {
            "name": "stored",
            "dataset": {"kind": "digits"},
            "network": {"kind": "mlp", "depth": 3, "width": 4},
            "optimizer": {"kind": "sgd"},
            "steps": 10,
            "seeds": [0],
            **changes,
        }
    )
    variants = expand(spec)
    with database.begin() as session:
        experiment_id = runs.submit(session, spec, variants, owner="local")
        run_id = session.execute(select(Run.id).where(Run.experiment_id == experiment_id)).scalar_one()
    return run_id, variants[0].plan


def writer_of(run_id: uuid.UUID, plan: Plan) -> TraceWriter:
    return TraceWriter(run_id, plan.network.rows, plan.experiment.trace.every, plan.recorded_steps)


def some_values(layers: int, records: int, seed: int, *, broken: float = 0.01) -> tuple[Array, Array]:
    """Signals (signals, layers, records), positive and held by float32, and curves; a share ``broken`` not finite."""
    random = np.random.default_rng(seed)
    signals = np.exp(random.standard_normal((len(SIGNALS), layers, records))).astype(np.float32).astype(np.float64)
    signals[SIGNALS.index("nonfinite_count")] = 0.0
    curves = np.exp(random.standard_normal((len(CURVES), records)))
    for values in (signals, curves):
        values[random.random(values.shape) < broken] = random.choice([np.nan, np.inf, -np.inf])
    return signals, curves


def flushes(signals: Array, curves: Array, cuts: Sequence[int]) -> Iterator[tuple[list[Block], bool]]:
    """What a recorder hands over when it writes at each of these record counts and at the end; (blocks, ended)."""
    total, written = curves.shape[-1], 0
    for upto in [*sorted(cut for cut in set(cuts) if cut < total), total]:
        first = written // CHUNK_RECORDS * CHUNK_RECORDS
        spans = [(begin, min(begin + CHUNK_RECORDS, upto)) for begin in range(first, upto, CHUNK_RECORDS)]
        yield [Block(begin, signals[..., begin:end], curves[..., begin:end]) for begin, end in spans], upto == total
        written = upto


def write_all(database: Database, writer: TraceWriter, signals: Array, curves: Array, cuts: Sequence[int] = ()) -> None:
    """All of it, and its end."""
    for blocks, ended in flushes(signals, curves, cuts):
        with database.begin() as session:
            writer.write(session, blocks, ended=ended)

"""Experiments that nobody trained: submitted, claimed, written and ended by the code that the API and workers use."""

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.verdict.shapes import RunFacts
from models import runs
from models.analysis.verdict.summary import summarise
from models.plan import Plan, expand, plan_variant
from models.runs import Lease, comparing
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from models.storage.tables import Run
from models.traces.reader import read_run
from models.traces.rollups import CHUNK_RECORDS
from models.traces.writer import Block, TraceWriter

Doubles = npt.NDArray[np.float64]
CHUNKS_A_WRITE = 5
LEASE_S = 3600.0
"""No sweep may take such a run for lost, however long it is written."""
OWNER = "local"


def spec(**changes: Any) -> ExperimentSpec:
    """A small experiment on digits; ``changes`` replace whole keys."""
    small = {
        "name": "benchmark",
        "dataset": {"kind": "digits"},
        "network": {"kind": "mlp", "depth": 50, "width": 8},
        "optimizer": {"kind": "sgd"},
        "steps": 4,
        "seeds": [0],
    }
    return ExperimentSpec.model_validate(small | changes)


def submit(database: Database, asked: ExperimentSpec) -> tuple[uuid.UUID, list[uuid.UUID]]:
    """The experiment's id and those of its runs in order of position."""
    with database.begin() as session:
        experiment_id = runs.submit(session, asked, expand(asked), OWNER)
        query = select(Run.id).where(Run.experiment_id == experiment_id).order_by(Run.position)
        return experiment_id, list(session.execute(query).scalars())


def claim(database: Database, run_id: uuid.UUID) -> tuple[Lease, Plan]:
    with database.begin() as session:
        claimed = runs.claim(session, run_id, "benchmark:1", LEASE_S)
    if claimed is None:
        message = f"run {run_id} was taken by somebody else"
        raise RuntimeError(message)
    return claimed.lease, plan_variant(claimed.spec, claimed.variant)


def values(layers: int, records: int, seed: int) -> tuple[Doubles, Doubles]:
    """(signals, layers, records) and (curves, records): every value differs, so nothing can be squeezed; all finite."""
    random = np.random.default_rng(seed)
    signals = np.exp(random.standard_normal((len(SIGNALS), layers, records)))
    return signals, np.exp(random.standard_normal((len(CURVES), records)))


def healthy(signals: Doubles) -> Doubles:
    """The same as a run without a fault would have it: nothing non-finite."""
    signals[SIGNALS.index("nonfinite_count")] = 0.0
    return signals


def writes(signals: Doubles, curves: Doubles, steps: int) -> Iterator[list[Block]]:
    """Blocks for ``steps`` records, a few chunks to a write; every chunk holds the same values."""
    for first in range(0, steps, CHUNK_RECORDS * CHUNKS_A_WRITE):
        begins = range(first, min(first + CHUNK_RECORDS * CHUNKS_A_WRITE, steps), CHUNK_RECORDS)
        records = [min(CHUNK_RECORDS, steps - begin) for begin in begins]
        yield [Block(begin, signals[..., :n], curves[..., :n]) for begin, n in zip(begins, records, strict=True)]


def writer(lease: Lease, plan: Plan) -> TraceWriter:
    return TraceWriter(lease.run_id, plan.network.rows, plan.experiment.trace.every, plan.recorded_steps)


def write(database: Database, lease: Lease, plan: Plan, signals: Doubles, curves: Doubles) -> None:
    """The whole run's trace, a transaction per write, each one beating as a worker's does."""
    one = writer(lease, plan)
    for blocks in writes(signals, curves, plan.recorded_steps):
        with database.begin() as session:
            runs.beat(session, lease, LEASE_S, step=blocks[-1].first + blocks[-1].records)
            one.write(session, blocks)


def finish(database: Database, lease: Lease, plan: Plan) -> None:
    """Summary, verdict and, with the experiment's last run, its comparison."""
    with database.begin() as session:
        summary = summarise(plan, read_run(session, lease.run_id, plan), _facts(plan))
        runs.finish(session, lease, summary, "cpu", {})
        comparing.store_if_ended(session, lease.experiment_id)


def _facts(plan: Plan) -> RunFacts:
    return RunFacts(
        steps_asked=plan.steps,
        stopped_by=None,
        outcome="finished",
        chance_level=2.3,
        test_metric=0.9,
        test_loss=0.3,
        conditions=plan.conditions,
        step_seconds=0.01,
        device_seconds=0.01 * plan.steps,
        peak_memory_bytes=1_000_000,
        parameters=plan.network.parameters,
        overhead=1.1,
    )

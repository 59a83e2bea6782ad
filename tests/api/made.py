"""Experiments made by hand: submitted through the API, their runs ended as a worker would, with nothing trained."""

import uuid
from collections.abc import Sequence
from typing import Any

import httpx2
import numpy as np
from sqlalchemy import select

from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array
from models import runs
from models.analysis.verdict.summary import summarise
from models.plan import Plan, plan_variant
from models.runs import Lease, comparing
from models.storage.database import Database
from models.storage.tables import Run
from models.traces.ending import read_ending
from models.traces.rollups import CHUNK_RECORDS
from models.traces.writer import Block, TraceWriter, write_epoch
from tests.models.analysis.synthetic import even, facts_of, trace_of

Json = dict[str, Any]
VERSIONS = {"torch": "2.13.0"}


def spec(**changes: Any) -> Json:
    """Three layers on digits, two seeds; ``changes`` replace whole keys, None removes one."""
    small: Json = {
        "name": "small",
        "dataset": {"kind": "digits"},
        "network": {"kind": "mlp", "depth": 4, "width": 8},
        "optimizer": {"kind": "sgd"},
        "steps": 4,
        "seeds": [0, 1],
    }
    return {key: value for key, value in (small | changes).items() if value is not None}


def submit(client: httpx2.Client, **changes: Any) -> Json:
    response = client.post("/v1/experiments", json=spec(**changes))
    assert response.status_code == 202, response.text
    experiment: Json = response.json()
    return experiment


def problem(response: httpx2.Response, status: int) -> Json:
    """The problem details of a refusal, once it is certain that it is one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: Json = response.json()
    assert set(body) == {"type", "title", "status", "detail", "instance", "errors"}
    assert body["status"] == status
    assert body["detail"]
    return body


def run_ids(database: Database, experiment: Json) -> list[uuid.UUID]:
    """In order of position."""
    with database.begin() as session:
        query = select(Run.id).where(Run.experiment_id == uuid.UUID(experiment["id"])).order_by(Run.position)
        return list(session.execute(query).scalars())


def claim(database: Database, run_id: uuid.UUID) -> tuple[Lease, Plan]:
    with database.begin() as session:
        claimed = runs.claim(session, run_id, "host:1", 60.0)
    assert claimed is not None
    return claimed.lease, plan_variant(claimed.spec, claimed.variant)


def values(plan: Plan, gain: float) -> Array:
    """(signals, layers, records): δ shrinks by ``gain`` per layer toward the input; the rest is quiet and finite."""
    trace = trace_of(plan, even(len(plan.network.hidden), gain), loss=0.2, every=plan.experiment.trace.every)
    return np.stack([trace.signals[signal] for signal in SIGNALS])


def write(
    database: Database,
    lease: Lease,
    plan: Plan,
    signals: Array,
    curves: Array | None = None,
    *,
    ended: bool = False,
) -> None:
    """Store records from step 0 on; the curves all hold the number of their record unless they are given."""
    records = signals.shape[-1]
    if curves is None:
        curves = np.broadcast_to(np.arange(records, dtype=float), (len(CURVES), records))
    names = plan.network.rows
    writer = TraceWriter(lease.run_id, names, plan.experiment.trace.every, plan.recorded_steps)
    cuts = [slice(first, first + CHUNK_RECORDS) for first in range(0, records, CHUNK_RECORDS)]
    with database.begin() as session:
        blocks = [Block(cut.start, signals[..., cut], curves[..., cut], untrained=plan.steps == 0) for cut in cuts]
        writer.write(session, blocks, ended=ended)
        runs.beat(session, lease, 60.0, step=(records - 1) * plan.experiment.trace.every + 1)


def finish(database: Database, lease: Lease, plan: Plan, **facts: Any) -> None:
    with database.begin() as session:
        known = facts_of(plan, **facts)
        summary = summarise(plan, read_ending(session, lease.run_id, plan, known), known)
        assert runs.finish(session, lease, summary, "cpu", VERSIONS)
        comparing.store_if_ended(session, lease.experiment_id)


def train(database: Database, run_id: uuid.UUID, gain: float = 0.0, **facts: Any) -> None:
    """One run from claim to finish."""
    lease, plan = claim(database, run_id)
    write(database, lease, plan, values(plan, gain), ended=True)
    finish(database, lease, plan, **facts)


def train_all(database: Database, experiment: Json, gains: Sequence[float] = (0.0,)) -> None:
    """Every run; ``gains`` in turn, so that seeds differ."""
    for index, run_id in enumerate(run_ids(database, experiment)):
        train(database, run_id, gains[index % len(gains)])


def end_epoch(database: Database, run_id: uuid.UUID, epoch: int, loss: float, metric: float) -> None:
    with database.begin() as session:
        write_epoch(session, run_id, epoch, loss, metric)

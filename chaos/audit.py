"""What a run has left, bit by bit, and what became of all of them beside their undisturbed references."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.analysis.trace import RunTrace
from models.chunks import read_epochs, read_run
from models.database import Database
from models.plan import Plan, expand
from models.signals import SIGNALS
from models.specs.experiment import ExperimentSpec
from models.status import State
from models.tables import Experiment, Run
from models.traces import read_rollup

Arm = tuple[str, str, int]
"""Experiment by name, variant, seed: runs of one arm must be alike."""
Left = dict[str, bytes]
"""All that a run has left but its timings, by the name of the part."""

_PLACES = text(
    "SELECT count(*) AS held, count(DISTINCT (layer_index, step)) AS places FROM layer_trace "
    "WHERE run_id = :run_id AND step BETWEEN 0 AND :steps - 1"
)
MOST_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class _Trained:
    id: uuid.UUID
    experiment_id: uuid.UUID
    name: str
    spec: ExperimentSpec
    variant: str
    seed: int
    state: str
    outcome: str | None
    attempt: int
    error: dict[str, Any] | None


@dataclass(slots=True)
class Findings:
    """``lost`` and ``doubled`` count steps of layers; ``different`` says which runs differ, and where."""

    lost: int = 0
    doubled: int = 0
    hanging: int = 0
    identical: int = 0
    runs: int = 0
    different: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return not (self.lost or self.doubled or self.hanging) and self.identical == self.runs > 0

    def __str__(self) -> str:
        return f"lost={self.lost} doubled={self.doubled} identical={self.identical}/{self.runs} hanging={self.hanging}"


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What the references have left, by arm, and which runs they are."""

    left: Mapping[Arm, Left]
    run_ids: frozenset[uuid.UUID]


def references(database: Database) -> Undisturbed:
    """Every run that there is: asked before the first fault."""
    with database.begin() as session:
        rows = _runs(session)
        left = {_arm(row): _left(session, row) for row in rows}
    return Undisturbed(left, frozenset(row.id for row in rows))


def compare(database: Database, undisturbed: Undisturbed, submitted: int) -> Findings:
    """Every run beside the reference of its arm, one transaction each; ``submitted`` experiments must be there.

    A reference is looked at again and counted only if it is no longer what it was.
    """
    with database.begin() as session:
        rows = _runs(session)
    findings = Findings(runs=len(rows) - len(undisturbed.run_ids))
    for row in rows:
        with database.begin() as session:
            _judge(session, row, undisturbed, findings)
    stored = len({row.experiment_id for row in rows})
    if stored != submitted:
        findings.different.append(f"{submitted} experiments were submitted and {stored} are stored")
        findings.lost += max(0, submitted - stored)
        findings.doubled += max(0, stored - submitted)
    return findings


def _judge(session: Session, row: _Trained, undisturbed: Undisturbed, findings: Findings) -> None:
    if not State(row.state).is_finished:
        findings.hanging += 1
        findings.different.append(f"{_arm(row)} {row.id}: {row.state} after {row.attempt} attempts")
        return
    plan = _plan(row)
    counted = session.execute(_PLACES, {"run_id": row.id, "steps": plan.steps}).one()
    lost = plan.recorded_steps * len(plan.network.rows) - counted.places
    doubled = counted.held - counted.places
    findings.lost += lost
    findings.doubled += doubled
    known = row.id in undisturbed.run_ids
    # A trace with gaps has no arrays to compare.
    reference = undisturbed.left[_arm(row)]
    left = {} if lost or doubled else _left(session, row)
    parts = [part for part in reference if left.get(part) != reference[part]]
    if parts:
        findings.runs += known
        error = f"; {row.error}" if row.error else ""
        findings.different.append(f"{_arm(row)} {row.id}, {row.attempt} attempts: other {', '.join(parts)}{error}")
    else:
        findings.identical += not known


def _runs(session: Session) -> list[_Trained]:
    rows = session.execute(
        select(
            Run.id,
            Run.experiment_id,
            Experiment.name,
            Experiment.spec,
            Run.variant,
            Run.seed,
            Run.state,
            Run.outcome,
            Run.attempt,
            Run.error,
        )
        .join(Experiment, Experiment.id == Run.experiment_id)
        .order_by(Run.experiment_id, Run.position)
    )
    return [_Trained(*row) for row in rows]


def _arm(row: _Trained) -> Arm:
    return (row.name, row.variant, row.seed)


def _plan(row: _Trained) -> Plan:
    return next(variant.plan for variant in expand(row.spec) if variant.name == row.variant)


def _left(session: Session, row: _Trained) -> Left:
    plan = _plan(row)
    trace = read_run(session, row.id, plan)
    return (
        {"end": f"{row.state} {row.outcome}".encode()}
        | _recorded(trace)
        | {"epochs": np.array(read_epochs(session, row.id)).tobytes()}
        | {f"rollup of {signal}": its for signal, its in _rollups(session, row.id, plan)}
    )


def _recorded(trace: RunTrace) -> Left:
    # As bytes: one NaN is like another only bit by bit, and nothing else is asked for.
    signals = {name: values.tobytes() for name, values in trace.signals.items()}
    curves = {name: values.tobytes() for name, values in trace.curves.items() if name != "step_seconds"}
    return {"steps": trace.steps.tobytes()} | signals | curves


def _rollups(session: Session, run_id: uuid.UUID, plan: Plan) -> Iterator[tuple[str, bytes]]:
    layers = list(range(1, len(plan.network.rows) + 1))
    for signal in SIGNALS:
        picture = read_rollup(session, run_id, signal, layers, MOST_POINTS)
        if picture is not None:
            yield signal, b"".join(values.tobytes() for values in (picture.steps, *picture.buckets.arrays))

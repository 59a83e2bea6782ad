"""Compares all runs with their undisturbed references, and all experiments with those that clients expect."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from gradient_clinic.signals import CURVES, SIGNALS
from models.plan import Plan, plan_variant
from models.specs.experiment import ExperimentSpec
from models.status import State
from models.storage.database import Database
from models.storage.tables import Experiment, Run
from models.traces.pictures import read_rollup
from models.traces.reader import read_curves, read_epochs, read_signals
from proofs.faults import invariants
from proofs.faults.client import Expected
from proofs.promise import Promise

Arm = tuple[str, str, int]
"""Experiment by name, variant, seed: runs of one arm must be alike."""
Outputs = dict[str, bytes]
"""All that a run has stored but its timings, by the name of the part: runs are alike only where every bit is."""
MOST_POINTS = 10_000
"""Of a rollup: more than it has buckets, so that it is compared as it is stored and never merged."""

_HELD = text("""
SELECT
    (SELECT coalesce(sum(cardinality(weight_norm)), 0) FROM trace_chunk WHERE run_id = :run_id)
        + (SELECT coalesce(sum(cardinality(loss)), 0) FROM curve_chunk WHERE run_id = :run_id) AS held,
    (SELECT count(DISTINCT (layer_index, step)) FROM layer_trace WHERE run_id = :run_id AND step BETWEEN 0 AND :last)
        + (SELECT count(DISTINCT first_step + stride * (i - 1)) FROM curve_chunk, generate_subscripts(loss, 1) AS i
           WHERE run_id = :run_id AND first_step + stride * (i - 1) BETWEEN 0 AND :last) AS places
""")


@dataclass(frozen=True, slots=True)
class _Trained:
    id: uuid.UUID
    experiment_id: uuid.UUID
    name: str
    spec: ExperimentSpec
    variant: str
    seed: int
    state: str
    attempt: int
    error: dict[str, Any] | None

    @property
    def arm(self) -> Arm:
        return (self.name, self.variant, self.seed)

    @property
    def plan(self) -> Plan:
        return plan_variant(self.spec, self.variant)


@dataclass(slots=True)
class Findings:
    """``lost`` and ``doubled`` count experiments, and steps of layers and curves. ``wrong`` has a line for all that
    is not right. Runs that were cancelled in time are not among ``runs``.
    """

    lost: int = 0
    doubled: int = 0
    hanging: int = 0
    identical: int = 0
    runs: int = 0
    attempts: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return all(promise.held for promise in self.promises())

    def promises(self) -> Iterator[Promise]:
        for what, number in (
            ("experiments and steps that are lost", self.lost),
            ("experiments and steps that are doubled", self.doubled),
            ("runs without an end", self.hanging),
            ("all that is wrong, line by line above", len(self.wrong)),
        ):
            yield Promise(what, "0", str(number), number == 0)
        identical = f"{self.identical} of {self.runs}"
        yield Promise("runs like their reference, bit for bit", "all", identical, self.identical == self.runs > 0)

    def __str__(self) -> str:
        return f"lost={self.lost} doubled={self.doubled} identical={self.identical}/{self.runs} hanging={self.hanging}"


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What the references have stored, by arm, and which experiments they are."""

    outputs: Mapping[Arm, Outputs]
    experiment_ids: frozenset[uuid.UUID]


def references(database: Database) -> Undisturbed:
    """Every run that there is, before the first fault."""
    with database.begin() as session:
        rows = _runs(session)
        outputs = {row.arm: outputs_of(session, row.id, row.plan) for row in rows}
    return Undisturbed(outputs, frozenset(row.experiment_id for row in rows))


def compare(database: Database, undisturbed: Undisturbed, expected: Expected) -> Findings:
    """Every run is compared with the reference of its arm, in a transaction of its own, and every experiment with what
    is expected. A reference is compared with itself: it counts as a run only if it is no longer what it was.
    """
    with database.begin() as session:
        rows = _runs(session)
        findings = Findings(attempts=sum(row.attempt for row in rows))
        findings.wrong += invariants.violations(session)
        findings.wrong += invariants.leftovers(session, list(expected.deleted))
    _count_experiments(frozenset(row.experiment_id for row in rows), expected, findings)
    for row in rows:
        with database.begin() as session:
            _judge(session, row, undisturbed, expected, findings)
    return findings


def _count_experiments(stored: frozenset[uuid.UUID], expected: Expected, findings: Findings) -> None:
    # A deletion that was requested may not have been made yet: such an experiment is neither lost nor doubled.
    lost, doubled = expected.stored - expected.deleted - stored, stored - expected.stored
    findings.lost += len(lost)
    findings.doubled += len(doubled)
    findings.wrong += [f"experiment {each} was accepted and is not stored" for each in sorted(lost)]
    findings.wrong += [f"experiment {each} is stored and was answered to nobody" for each in sorted(doubled)]


def _judge(session: Session, row: _Trained, undisturbed: Undisturbed, expected: Expected, findings: Findings) -> None:
    state, plan = State(row.state), row.plan
    # Held beside distinct places: values of one step twice are doubled, places that are missing are lost.
    counted = session.execute(_HELD, {"run_id": row.id, "last": plan.steps - 1}).one()
    doubled = int(counted.held - counted.places)
    findings.doubled += doubled
    if not state.is_finished:
        findings.runs += 1
        findings.hanging += 1
        findings.wrong.append(f"{row.arm} {row.id}: {state} after {row.attempt} attempts")
        return
    # It was asked to stop, and how far it came is chance.
    if state is State.CANCELLED and row.experiment_id in expected.cancelled:
        return
    lost = plan.recorded_steps * (len(plan.network.rows) + 1) - counted.places
    findings.lost += lost
    # A trace with gaps or doubled steps has no arrays to compare.
    outputs = {} if lost or doubled else outputs_of(session, row.id, plan)
    reference = undisturbed.outputs[row.arm]
    parts = [part for part in reference if outputs.get(part) != reference[part]]
    known = row.experiment_id in undisturbed.experiment_ids
    # A reference that is no longer what it was is counted as a run that went wrong.
    findings.runs += not known or bool(parts)
    findings.identical += not known and not parts
    if parts:
        error = f"; {row.error}" if row.error else ""
        findings.wrong.append(f"{row.arm} {row.id}, {row.attempt} attempts: other {', '.join(parts)}{error}")


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
            Run.attempt,
            Run.error,
        )
        .join(Experiment, Experiment.id == Run.experiment_id)
        .order_by(Run.experiment_id, Run.position)
    )
    return [_Trained(*row) for row in rows]


def outputs_of(session: Session, run_id: uuid.UUID, plan: Plan) -> Outputs:
    """The states of recurrent layers have rows of their own, behind those of the layers."""
    rows = list(range(1, len(plan.network.rows) + 1))
    signals = read_signals(session, run_id, SIGNALS, rows, 0, plan.steps)
    curves = read_curves(session, run_id, CURVES, 0, plan.steps)
    return (
        {"steps": signals.steps.tobytes(), "steps of curves": curves.steps.tobytes()}
        | {name: values.tobytes() for name, values in zip(SIGNALS, signals.values, strict=True)}
        | {name: values.tobytes() for name, values in zip(CURVES, curves.values, strict=True) if name != "step_seconds"}
        | {"epochs": np.array([its[:2] for its in read_epochs(session, run_id)]).tobytes()}
        | {f"rollup of {signal}": buckets for signal, buckets in _rollups(session, run_id, rows)}
        | {"end": _end(session, run_id)}
    )


def _end(session: Session, run_id: uuid.UUID) -> bytes:
    row = session.execute(select(Run.state, Run.outcome, Run.step, Run.summary).where(Run.id == run_id)).one()
    verdict = None if row.summary is None else row.summary.verdict
    return f"{row.state} {row.outcome} {row.step} {verdict}".encode()


def _rollups(session: Session, run_id: uuid.UUID, rows: list[int]) -> Iterator[tuple[str, bytes]]:
    for signal in SIGNALS:
        picture = read_rollup(session, run_id, signal, rows, MOST_POINTS)
        if picture is not None:
            yield signal, b"".join(values.tobytes() for values in (picture.steps, *picture.buckets.arrays))

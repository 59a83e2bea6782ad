"""Verdicts by the rules of this version, over runs that were judged by earlier ones."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gradient_clinic.verdict.shapes import RunSummary
from models.analysis.verdict.summary import summarise, summary_of
from models.plan import Plan, expand
from models.runs import comparing
from models.specs.experiment import ExperimentSpec
from models.status import State
from models.storage.tables import Experiment, Run
from models.traces.ending import read_ending


@dataclass(frozen=True, slots=True)
class Judged:
    """A run before and after. ``measured_again``: from its trace; false where retention has dropped that: then from its
    stored numbers.
    """

    run_id: uuid.UUID
    variant: str
    seed: int
    before: str
    after: str
    measured_again: bool


def judge_again(session: Session, experiment_id: uuid.UUID) -> list[Judged]:
    """Judge every succeeded run of an experiment again, and compare them; the verdicts take the place of the old ones.

    The experiment must exist. It keeps its comparison where it has not ended.
    """
    experiment = session.execute(select(Experiment).where(Experiment.id == experiment_id)).scalar_one()
    judged = list(_judged(session, experiment.spec, experiment_id))
    if experiment.ended_at is not None:
        comparing.store(session, experiment_id, experiment.ended_at)
    return judged


def _judged(session: Session, spec: ExperimentSpec, experiment_id: uuid.UUID) -> Iterator[Judged]:
    plans = {variant.name: variant.plan for variant in expand(spec)}
    succeeded = (
        select(Run)
        .where(Run.experiment_id == experiment_id, Run.state == State.SUCCEEDED)
        .order_by(Run.position)
        .with_for_update()
    )
    for run in session.execute(succeeded).scalars().all():
        assert run.summary is not None  # a run succeeds with one
        # Read before the update, which puts the new summary into this object as well.
        before = run.summary.verdict.kind
        summary = _summary(session, run, plans[run.variant].at_rate(run.learning_rate))
        session.execute(update(Run).where(Run.id == run.id).values(summary=summary))
        after = summary.verdict.kind
        yield Judged(run.id, run.variant, run.seed, before, after, measured_again=run.raw_dropped_at is None)


def _summary(session: Session, run: Run, plan: Plan) -> RunSummary:
    assert run.summary is not None  # as above
    if run.raw_dropped_at is not None:
        return summary_of(plan, run.summary)
    # The cadence that the run was recorded with; a recording budget may have chosen another than the spec's.
    every = plan.experiment.trace.every if run.trace_every is None else run.trace_every
    plan = plan.recording_every(every)
    return summarise(plan, read_ending(session, run.id, plan, run.summary.facts), run.summary.facts)

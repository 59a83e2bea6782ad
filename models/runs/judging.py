"""Verdicts by the rules of this version, over runs that were judged by earlier ones."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gradient_clinic.verdict.shapes import RunSummary
from models.analysis.verdict.summary import summarise, summary_of
from models.plan import Plan, expand
from models.plan.watched import AnyPlan
from models.runs import comparing
from models.runs.planned import found_plan, plan_of
from models.specs.experiment import ExperimentSpec
from models.specs.ingested import StoredSpec
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


def _judged(session: Session, spec: StoredSpec, experiment_id: uuid.UUID) -> Iterator[Judged]:
    # Planned once for all seeds; of what others have trained each run has said its own.
    plans = {its.name: its.plan for its in expand(spec)} if isinstance(spec, ExperimentSpec) else {}
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
        plan = _as_trained(plans[run.variant], run) if plans else plan_of(spec, run)
        summary = _summary(session, run, plan)
        session.execute(update(Run).where(Run.id == run.id).values(summary=summary))
        after = summary.verdict.kind
        yield Judged(run.id, run.variant, run.seed, before, after, measured_again=run.raw_dropped_at is None)


def _as_trained(plan: Plan, run: Run) -> AnyPlan:
    """At the rate that tuning chose, and with the cadence that a recording budget did."""
    plan = plan.at_rate(run.learning_rate)
    return found_plan(plan if run.trace_every is None else plan.recording_every(run.trace_every), run)


def _summary(session: Session, run: Run, plan: AnyPlan) -> RunSummary:
    assert run.summary is not None  # as above
    if run.raw_dropped_at is not None:
        return summary_of(plan, run.summary)
    return summarise(plan, read_ending(session, run.id, plan, run.summary.facts), run.summary.facts)

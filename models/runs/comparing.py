"""An experiment's comparison: computed from the summaries of its runs, stored once the last run has ended."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models.analysis.comparison.compare import Comparison, RunRow, Trial, compare
from models.plan import Variant, expand
from models.plan.watched import AnyVariant, WatchedVariant, plan_code, plan_watched
from models.runs import events, lineage
from models.runs.rates import tried_of
from models.specs.experiment import ExperimentSpec
from models.specs.ingested import IngestedSpec, StoredSpec
from models.status import Phase
from models.storage.tables import Experiment, Run

BASELINE: Final = "baseline"


def compute(session: Session, *experiment_ids: uuid.UUID, held: bool = False) -> Comparison:
    """From what is stored now; honest about runs that are missing. The experiments must exist; ``held``: those before
    the first one do until the transaction ends.

    Several are compared with the baseline of the first; SpecError where their data differ.
    """
    (trial, origin), *others = (_read(session, experiment_id) for experiment_id in experiment_ids)
    earlier = () if origin is None else lineage.earlier(session, experiment_ids[0], trial.spec, held=held)
    return compare(trial, *(other for other, _ in others), earlier=earlier)


def _read(session: Session, experiment_id: uuid.UUID) -> tuple[Trial, uuid.UUID | None]:
    """With the experiment that it was suggested from."""
    asked = select(Experiment.spec, Experiment.suggested_from).where(Experiment.id == experiment_id)
    spec, origin = session.execute(asked).one()
    query = select(Run).where(Run.experiment_id == experiment_id).order_by(Run.position)
    rows = session.execute(query).scalars().all()
    trials = [
        RunRow(
            variant=row.variant,
            seed=row.seed,
            state=row.state,
            summary=row.summary,
            learning_rate=row.learning_rate,
            reason=None if row.error is None else row.error.get("title"),
        )
        for row in rows
        if row.phase == Phase.TRIAL
    ]
    # Variants in the order of their runs, each once.
    tuned = dict.fromkeys(row.variant for row in rows if row.phase == Phase.TUNE)
    tried = {name: tried_of(row for row in rows if row.variant == name) for name in tuned}
    return Trial(str(experiment_id), spec, variants_of(spec, rows), trials, tried), origin


def variants_of(spec: StoredSpec, rows: Sequence[Run]) -> Sequence[AnyVariant]:
    """The baseline first. ``rows``: the experiment's runs by position, which alone know networks that are code."""
    if not isinstance(spec, ExperimentSpec):
        return _watched_variants(spec, rows)
    planned = expand(spec)
    return planned if spec.network.kind != "plugin" else [_built(variant, rows) for variant in planned]


def _built(variant: Variant, rows: Sequence[Run]) -> WatchedVariant:
    """As the first of its runs that has begun has found its network."""
    found = (row.found for row in rows if row.variant == variant.name and row.found is not None)
    return WatchedVariant(variant.name, plan_code(variant.plan, next(found, None)), variant.remedies)


def _watched_variants(spec: IngestedSpec, rows: Sequence[Run]) -> Sequence[WatchedVariant]:
    """As their first runs were; where none is called baseline the one that came first stands for it."""
    first = {row.variant: row for row in reversed(rows)}
    names = sorted(dict.fromkeys(row.variant for row in rows), key=lambda name: name != BASELINE)
    found = ((name, first[name]) for name in names)
    return [WatchedVariant(name, plan_watched(spec, its.watched, its.steps)) for name, its in found if its.watched]


def missing(session: Session, limit: int) -> Sequence[uuid.UUID]:
    """Experiments that have ended and have no comparison stored: the last run was cancelled in the queue, or its worker
    has died. At most ``limit``, those first that ended first.
    """
    query = (
        select(Experiment.id)
        .where(Experiment.ended_at.is_not(None), Experiment.comparison.is_(None))
        .order_by(Experiment.ended_at)
        .limit(limit)
    )
    return session.execute(query).scalars().all()


def store_if_ended(session: Session, experiment_id: uuid.UUID) -> None:
    """Keep the comparison of an experiment that has ended, so that reading it costs one row."""
    ended = select(Experiment.ended_at).where(Experiment.id == experiment_id, Experiment.comparison.is_(None))
    ended_at = session.execute(ended).scalar_one_or_none()
    if ended_at is not None:
        store(session, experiment_id, ended_at)


def store(session: Session, experiment_id: uuid.UUID, ended_at: dt.datetime) -> None:
    """Keep the comparison as it is now, and its verdict on the baseline; not after a retry, which ends otherwise."""
    # What is told of experiments before it must go with them (``lineage.forget``): they wait until it is there.
    comparison = compute(session, experiment_id, held=True)
    verdict = comparison.variants[0].verdict
    session.execute(
        update(Experiment)
        .where(Experiment.id == experiment_id, Experiment.ended_at == ended_at)
        .values(comparison=comparison.model_dump(mode="json"), verdict=None if verdict is None else verdict.kind)
    )
    # After a retry, or by other rules, it tells those behind it something else.
    lineage.forget(session, experiment_id, deleted=False)
    events.wake(session, [experiment_id])

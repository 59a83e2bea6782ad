"""Runs that are trained elsewhere: opened, written and ended by the one watcher that holds their token.

They are rows as any other and are written by the same writer; only their lease is a long one, and no worker is ever
offered them. What comes twice is stored once: a message names its first record, and what is there is passed over.
"""

import math
import uuid
from dataclasses import dataclass, replace

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.orm import Session
from uuid6 import uuid7

from gradient_clinic.signals import CURVES
from gradient_clinic.verdict.shapes import RunFacts
from models.analysis.verdict.summary import summarise
from models.plan.watched import WatchedPlan, plan_watched
from models.runs import comparing, events
from models.runs.claims import beat
from models.runs.endings import fail, finish, settle, stop
from models.runs.lease import Lease
from models.runs.logged import keep_evaluations, log_facts
from models.runs.writes import seconds
from models.specs.experiment import MAX_LABELS, MAX_RUNS, MAX_STEPS
from models.specs.ingested import EndingRequest, IngestedSpec, OpeningRequest, RecordsRequest, StoredSpec
from models.status import Source, State
from models.storage.tables import Attempt, Experiment, Run
from models.traces.ending import read_ending
from models.traces.growing import close_rollups, grow
from models.traces.reader import extent
from models.traces.writer import Block

SILENCE_S = 86_400.0
"""After so long without a word of its watcher a run has failed."""
LOSS = CURVES.index("loss")


class NotYoursError(Exception):
    """Another writer has, or had, the run, or it has ended; the message says what happened."""


class GapError(Exception):
    """Records between what is stored and what was sent are missing. ``stored``: how many there are."""

    def __init__(self, stored: int) -> None:
        super().__init__(f"{stored} records are stored: the next one has number {stored}")
        self.stored = stored


@dataclass(frozen=True, slots=True)
class Opened:
    """``records``: so many of the run are stored, by the same writer before."""

    experiment_id: uuid.UUID
    run_id: uuid.UUID
    records: int


def open_run(session: Session, owner: str, asked: OpeningRequest) -> Opened:
    """Begin a run, or find it as this writer has begun it. NotYoursError where the variant has that seed already."""
    # One writer opens at a time under a name: the second one finds what the first one has made.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"clinic ingest {owner} {asked.experiment}"))))
    experiment_id = _experiment(session, owner, asked)
    same = select(Run).where(Run.experiment_id == experiment_id, Run.variant == asked.variant, Run.seed == asked.seed)
    run = session.execute(same).scalar_one_or_none()
    if run is None:
        return Opened(experiment_id, _new_run(session, experiment_id, asked), 0)
    if run.watched is None or run.watched.token != asked.token:
        message = f"seed {run.seed} of {run.variant!r} is there: {_fate(run)}; choose another seed, variant or name"
        raise NotYoursError(message)
    return Opened(experiment_id, run.id, extent(session, run.id).records)


def _experiment(session: Session, owner: str, asked: OpeningRequest) -> uuid.UUID:
    known = select(Experiment).where(
        Experiment.owner == owner, Experiment.name == asked.experiment, Experiment.source == Source.INGESTED
    )
    experiment = session.execute(known.with_for_update(key_share=True)).scalar_one_or_none()
    if experiment is not None:
        _must_fit(experiment, asked)
        labels = _labels(experiment, asked)
        session.execute(update(Experiment).where(Experiment.id == experiment.id).values(labels=labels))
        return experiment.id
    experiment_id = uuid.UUID(int=uuid7().int)
    spec = IngestedSpec(
        source="ingested", name=asked.experiment, data=asked.data, metric=asked.metric, labels=asked.labels
    )
    session.execute(
        insert(Experiment).values(
            id=experiment_id,
            owner=owner,
            name=asked.experiment,
            source=Source.INGESTED,
            priority=5,
            labels=asked.labels,
            spec=spec,
        )
    )
    return experiment_id


def _labels(experiment: Experiment, asked: OpeningRequest) -> dict[str, str]:
    """Those of all its runs. NotYoursError where they would become too many."""
    labels = {**experiment.labels, **asked.labels}
    # One that has more already, from before there was a limit, takes runs that bring no new ones.
    if len(labels) > max(MAX_LABELS, len(experiment.labels)):
        message = (
            f"the experiment {experiment.name!r} would have {len(labels)} labels, which are those of all its runs, and "
            f"takes {MAX_LABELS}; leave out what tells one run from another, or choose another name"
        )
        raise NotYoursError(message)
    return labels


def _must_fit(experiment: Experiment, asked: OpeningRequest) -> None:
    """NotYoursError where it takes no runs now, or none like this."""
    if experiment.cancel_requested_at is not None and experiment.ended_at is None:
        message = f"the experiment {experiment.name!r} was asked to stop, and its last runs have not ended yet"
        raise NotYoursError(message)
    spec = experiment.spec
    assert isinstance(spec, IngestedSpec)  # it was asked for by that
    if (spec.data, spec.metric) != (asked.data, asked.metric):
        message = (
            f"the experiment {experiment.name!r} has data {spec.data!r} and metric {spec.metric!r}, and not "
            f"{asked.data!r} and {asked.metric!r}: figures would not compare"
        )
        raise NotYoursError(message)


def _new_run(session: Session, experiment_id: uuid.UUID, asked: OpeningRequest) -> uuid.UUID:
    """It is under way at once, and so is its experiment, be it ended before."""
    run_id = uuid.UUID(int=uuid7().int)
    last = select(func.max(Run.position)).where(Run.experiment_id == experiment_id)
    position = session.execute(last).scalar()
    position = 0 if position is None else position + 1
    if position >= MAX_RUNS:
        message = f"the experiment {asked.experiment!r} has {MAX_RUNS:,} runs, and takes no more; choose another name"
        raise NotYoursError(message)
    session.execute(
        insert(Run).values(
            id=run_id,
            experiment_id=experiment_id,
            variant=asked.variant,
            position=position,
            seed=asked.seed,
            source=Source.INGESTED,
            state=State.RUNNING,
            steps=asked.network.steps or 0,
            attempt=1,
            worker=asked.writer,
            lease_token=asked.token,
            lease_until=func.clock_timestamp() + seconds(SILENCE_S),
            started_at=func.clock_timestamp(),
            device=asked.device,
            versions=asked.versions,
            watched=asked.watched,
            trace_every=None,
        )
    )
    session.execute(insert(Attempt).values(run_id=run_id, number=1, worker=asked.writer))
    session.execute(
        update(Experiment)
        .where(Experiment.id == experiment_id)
        .values(
            state=State.RUNNING,
            started_at=func.coalesce(Experiment.started_at, func.clock_timestamp()),
            ended_at=None,
            cancel_requested_at=None,
            comparison=None,
            verdict=None,
        )
    )
    events.tell_runs(session, experiment_id, [run_id])
    settle(session, experiment_id)
    return run_id


@dataclass(frozen=True, slots=True)
class Kept:
    """``records``: so many of the run are stored now. ``cancelled``: it was asked to stop, and has.

    ``loss``: that of the newest record, None where nothing was new.
    """

    records: int
    cancelled: bool = False
    loss: float | None = None


def append(session: Session, run: Run, experiment: Experiment, first: int, sent: RecordsRequest) -> Kept:
    """Store the records from number ``first`` on, and pass over those that are there; ``run``, locked, and its
    ``experiment`` as they were read. NotYoursError, GapError.
    """
    if run.watched is None or run.lease_token != sent.token:
        raise NotYoursError(_fate(run))
    spec = experiment.spec
    assert isinstance(spec, IngestedSpec)  # as its run is watched
    plan = plan_watched(spec, run.watched, run.steps)
    stored = extent(session, run.id).records
    if experiment.cancel_requested_at is not None:
        stop(session, Lease(run.id, experiment.id, sent.token, run.attempt))
        return Kept(stored, cancelled=True)
    if first > stored:
        raise GapError(stored)
    signals, curves = (values[..., stored - first :] for values in sent.arrays(len(plan.layers), plan.told))
    after = stored + curves.shape[1]
    if after > MAX_STEPS:
        message = f"a run has at most {MAX_STEPS:,} records"
        raise NotYoursError(message)
    if after > stored:
        grow(session, run.id, plan, Block(stored, signals, curves))
    far = {"step": (after - 1) * plan.every + 1 if after > stored else 0, "chance_level": sent.chance_level}
    session.execute(_HEARD, {"run_id": run.id, **far})
    return Kept(after, loss=float(curves[LOSS, -1]) if after > stored else None)


# Put together once, as every message makes it. ``step``: 0 where nothing was new.
_HEARD = (
    update(Run)
    .where(Run.id == bindparam("run_id"))
    .values(
        lease_until=func.clock_timestamp() + seconds(SILENCE_S),
        step=func.greatest(Run.step, bindparam("step")),
        steps=func.greatest(Run.steps, bindparam("step")),
        chance_level=func.coalesce(bindparam("chance_level", type_=DOUBLE_PRECISION), Run.chance_level),
    )
    .execution_options(synchronize_session=False)
)


def tell(session: Session, run: Run, kept: Kept) -> None:
    """In a transaction of its own: what is told locks the experiment, for which its other runs wait."""
    if kept.loss is not None:
        events.outlives_no_crash(session)
        events.tell_progress(session, run.experiment_id, run.id, kept.loss)


def end(session: Session, run: Run, spec: StoredSpec, sent: EndingRequest) -> None:
    """Judge the run by all that is stored of it; nothing where it has ended before. NotYoursError."""
    session.refresh(run, with_for_update={"key_share": True})
    if run.watched is not None and run.watched.token == sent.token and State(run.state).is_finished:
        return
    lease, plan = _held(session, run, spec, sent.token)
    stored = extent(session, run.id).records
    if sent.error is not None or not stored:
        fail(session, lease, {"title": "Not watched to its end", "detail": sent.error or "no record came of it"})
    else:
        session.execute(update(Run).where(lease.holds()).values(steps=sent.steps))
        close_rollups(session, run.id, plan, stored)
        if sent.evaluations is not None:
            keep_evaluations(session, run.id, sent.evaluations)
        facts = _facts(sent, plan)
        if not plan.layers:
            log, chance = log_facts(session, run.id, plan, extent(session, run.id), sent.chance_level)
            facts = replace(facts, log=log, chance_level=chance)
        summary = summarise(plan, read_ending(session, run.id, plan, facts), facts)
        assert run.watched is not None  # its token was right
        finish(session, lease, summary, run.watched.device, run.watched.versions, summary.last_loss)
    comparing.store_if_ended(session, lease.experiment_id)
    session.refresh(run)


def _held(session: Session, run: Run, spec: StoredSpec, token: uuid.UUID) -> tuple[Lease, WatchedPlan]:
    """Its lease, lengthened, and the row locked: of two messages of one run the second one waits."""
    lease = Lease(run.id, run.experiment_id, token, run.attempt)
    if run.watched is None or not beat(session, lease, SILENCE_S):
        session.refresh(run)
        raise NotYoursError(_fate(run))
    assert isinstance(spec, IngestedSpec)  # as its run is watched
    return lease, plan_watched(spec, run.watched, run.steps)


def _fate(run: Run) -> str:
    """What has happened to the run, for whoever may not write it."""
    if run.watched is None:
        return "a worker of this clinic trains it"
    if not State(run.state).is_finished:
        return f"{run.worker} writes it, and has come to step {run.step}"
    assert run.ended_at is not None  # it has
    why = "" if run.error is None else f" ({run.error.get('detail')})"
    return f"it was written by {run.worker}, and has {run.state} at {run.ended_at.isoformat(timespec='seconds')}{why}"


def _facts(sent: EndingRequest, plan: WatchedPlan) -> RunFacts:
    def known(value: float | None) -> float:
        return math.nan if value is None else value

    return RunFacts(
        steps_asked=sent.steps,
        stopped_by=None,
        outcome=sent.outcome,
        chance_level=known(sent.chance_level),
        test_metric=known(sent.test_metric),
        test_loss=known(sent.test_loss),
        conditions=sent.conditions,
        step_seconds=known(sent.step_seconds),
        device_seconds=sent.seconds,
        peak_memory_bytes=0,
        parameters=plan.network.parameters,
        overhead=sent.overhead,
        validation_loss=sent.validation_loss,
    )

"""State changes of experiments and runs, each one guarded write: 0 rows changed means it is no longer yours.

The clock is the database's. Every function takes a session inside the caller's transaction and leaves the commit
to it. NOTIFY goes out with the commit: ``clinic_queue`` wakes dispatchers, ``clinic_changed`` those who wait for
an experiment, ``clinic_cancel`` the workers. What changes is told in the same transaction (``models/events.py``).
"""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Interval, Uuid, any_, delete, func, insert, literal, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from uuid6 import uuid7

from models import events
from models.analysis.summary import RunSummary
from models.plan import Variant
from models.progress import progress_of
from models.specs.experiment import ExperimentSpec
from models.status import Phase, State, settled
from models.tables import Attempt, CurveChunk, CurveRollup, EpochValue, Experiment, Run, TraceChunk, TraceRollup

QUEUE_CHANNEL = "clinic_queue"
CHANGED_CHANNEL = "clinic_changed"
CANCEL_CHANNEL = "clinic_cancel"
_LATE = {"title": "Deadline passed", "detail": "the experiment's deadline passed before the run started"}
_SPENT = {"title": "Budget spent", "detail": "the experiment's device_seconds were spent before it started"}


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a run: void as soon as the row holds another token."""

    run_id: uuid.UUID
    experiment_id: uuid.UUID
    token: uuid.UUID
    attempt: int

    def holds(self) -> ColumnElement[bool]:
        return (Run.id == self.run_id) & (Run.lease_token == self.token)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a run can go on: before step ``step``, with ``epochs`` behind it and the state that ``path`` holds."""

    step: int
    epochs: int
    path: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker gets with a lease: all that it needs to train, so that no session stays open."""

    lease: Lease
    spec: ExperimentSpec
    variant: str
    seed: int
    learning_rate: float | None = None
    """That tuning tries or has chosen; None: the variant's own."""
    trace_every: int | None = None
    """The cadence that an earlier attempt's recording budget chose."""
    checkpoint: Checkpoint | None = None
    """The newest one of earlier attempts; what is stored of the run ends there."""


def seconds(value: float) -> ColumnElement[dt.timedelta]:
    """An interval for arithmetic with the database's clock."""
    return literal(dt.timedelta(seconds=value), Interval)


def _notify(session: Session, channel: str, payload: object = "") -> None:
    session.execute(select(func.pg_notify(channel, str(payload))))


def lock_runs(session: Session, *conditions: ColumnElement[bool], ends: bool = False) -> Sequence[uuid.UUID]:
    """Lock the runs that meet the conditions. Locks are taken in one order everywhere, runs by their id and before
    their experiment: whoever writes several runs takes them here, so that no two writers wait for each other. ``ends``:
    their rows will be deleted.
    """
    ordered = select(Run.id).where(*conditions).order_by(Run.id)
    return session.execute(ordered.with_for_update(key_share=not ends)).scalars().all()


def among(run_ids: Sequence[uuid.UUID]) -> ColumnElement[bool]:
    """Whether a run is one of these; one parameter of a statement, which has at most 65,535, however many they are."""
    return Run.id == any_(literal(list(run_ids), ARRAY(Uuid)))


_NO_CHECKPOINT: Mapping[str, Any] = {"checkpoint_step": None, "checkpoint_epochs": None, "checkpoint_path": None}


# --- submit, cancel, delete --------------------------------------------------------------------------------------


def submit(session: Session, spec: ExperimentSpec, variants: Sequence[Variant], owner: str) -> uuid.UUID:
    """Write the experiment and all its runs as queued. The rows are the outbox; nothing else is sent."""
    experiment_id = uuid.UUID(int=uuid7().int)
    session.execute(
        insert(Experiment).values(
            id=experiment_id,
            owner=owner,
            name=spec.name,
            priority=spec.priority,
            labels=spec.labels,
            spec=spec,
            not_before=spec.not_before,
            deadline=spec.deadline,
            max_parallel=spec.max_parallel,
            budget_s=None if spec.budget is None else spec.budget.device_seconds,
        )
    )
    arms = list(_arms(spec, variants))
    run_ids = [uuid.UUID(int=uuid7().int) for _ in arms]
    session.execute(
        insert(Run),
        [
            {
                "id": run_ids[position],
                "experiment_id": experiment_id,
                "variant": arm.variant.name,
                "position": position,
                "seed": arm.seed,
                "steps": arm.variant.plan.steps,
                "phase": arm.phase,
                "learning_rate": arm.learning_rate,
                "held": spec.tune is not None and arm.phase is Phase.TRIAL,
            }
            for position, arm in enumerate(arms)
        ],
    )
    events.tell_experiment(session, experiment_id)
    events.tell_runs(session, experiment_id, run_ids)
    _notify(session, QUEUE_CHANNEL)
    return experiment_id


@dataclass(frozen=True, slots=True)
class _Arm:
    variant: Variant
    seed: int
    phase: Phase = Phase.TRIAL
    learning_rate: float | None = None


def _arms(spec: ExperimentSpec, variants: Sequence[Variant]) -> Iterator[_Arm]:
    """Tuning first. Seeds outermost: every variant has its first seed before any has its second, so that a partial
    answer compares.
    """
    if spec.tune is not None:
        for seed in spec.tune.seed_list():
            for variant in variants:
                yield from (_Arm(variant, seed, Phase.TUNE, rate) for rate in spec.tune.learning_rate)
    for seed in spec.seed_list():
        yield from (_Arm(variant, seed) for variant in variants)


def existing(session: Session, experiment_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the experiments that there are."""
    asked = literal(list(experiment_ids), ARRAY(Uuid))
    return set(session.execute(select(Experiment.id).where(Experiment.id == any_(asked))).scalars())


def cancel(session: Session, experiment_id: uuid.UUID) -> bool:
    """Ask an experiment to stop: queued runs end now, running ones between two steps. False if it had ended."""
    cancelled = lock_runs(session, Run.experiment_id == experiment_id, Run.state == State.QUEUED)
    session.execute(update(Run).where(among(cancelled)).values(state=State.CANCELLED, ended_at=func.clock_timestamp()))
    asked = session.execute(
        update(Experiment)
        .where(Experiment.id == experiment_id, Experiment.state.in_([State.QUEUED, State.RUNNING]))
        .values(cancel_requested_at=func.coalesce(Experiment.cancel_requested_at, func.clock_timestamp()))
    )
    if not asked.rowcount:  # type: ignore[attr-defined]
        return False
    _notify(session, CANCEL_CHANNEL, experiment_id)
    events.tell_runs(session, experiment_id, cancelled, "cancelled before it started")
    settle(session, experiment_id)
    return True


def retry(session: Session, experiment_id: uuid.UUID) -> int:
    """Queue the failed runs again, each with all its attempts before it. How many; 0 changes nothing."""
    retried = lock_runs(session, Run.experiment_id == experiment_id, Run.state == State.FAILED)
    if not retried:
        return 0
    session.execute(
        update(Run)
        .where(among(retried))
        .values(
            state=State.QUEUED,
            error=None,
            ended_at=None,
            published_at=None,
            forgiven=Run.attempt,
            # What failed may fail again from there, so a retry begins at step 0.
            **_NO_CHECKPOINT,
        )
    )
    session.execute(
        update(Experiment)
        .where(Experiment.id == experiment_id)
        .values(state=State.RUNNING, ended_at=None, cancel_requested_at=None, comparison=None, verdict=None)
    )
    events.tell_runs(session, experiment_id, retried, "retried")
    events.tell_experiment(session, experiment_id)
    _notify(session, QUEUE_CHANNEL)
    _notify(session, CHANGED_CHANNEL, experiment_id)
    return len(retried)


def remove(session: Session, experiment_id: uuid.UUID) -> None:
    """Delete an experiment with all its rows. A worker that trains one of its runs finds its lease void."""
    lock_runs(session, Run.experiment_id == experiment_id, ends=True)
    session.execute(delete(Experiment).where(Experiment.id == experiment_id))
    _notify(session, CANCEL_CHANNEL, experiment_id)
    _notify(session, CHANGED_CHANNEL, experiment_id)


def expire(session: Session, *conditions: ColumnElement[bool]) -> int:
    """Fail the queued runs, those that meet the conditions, of experiments whose deadline has passed. How many."""
    late = select(Experiment.id).where(
        Experiment.deadline <= func.clock_timestamp(), Experiment.state.in_([State.QUEUED, State.RUNNING])
    )
    locked = lock_runs(session, Run.experiment_id.in_(late), Run.state == State.QUEUED, *conditions)
    if not locked:
        return 0
    expired = session.execute(
        update(Run)
        .where(among(locked))
        .values(state=State.FAILED, ended_at=func.clock_timestamp(), error=_LATE)
        .returning(Run.experiment_id, Run.id)
    )
    failed: dict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
    for experiment_id, run_id in expired:
        failed[experiment_id].append(run_id)
    for experiment_id in sorted(failed):
        events.tell_runs(session, experiment_id, failed[experiment_id], _LATE["detail"])
        settle(session, experiment_id)
    return sum(map(len, failed.values()))


# --- the worker's side -------------------------------------------------------------------------------------------


class _OverCapError(Exception):
    """One run more than may be under way at once."""


def claim(
    session: Session, run_id: uuid.UUID, worker: str, lease_s: float, owner_limit: int | None = None
) -> Claim | None:
    """Take a queued run. None where another has it, it has ended, or its experiment is gone. A message may come late:
    where the deadline has passed the run fails here; where one more would exceed the experiment's ``max_parallel`` or
    ``owner_limit`` runs of its owner, it waits to be published again.
    """
    if expire(session, Run.id == run_id):
        return None
    try:
        with session.begin_nested():
            return _claim(session, run_id, worker, lease_s, owner_limit)
    except _OverCapError:
        session.execute(update(Run).where(Run.id == run_id, Run.state == State.QUEUED).values(published_at=None))
        return None


def _claim(session: Session, run_id: uuid.UUID, worker: str, lease_s: float, owner_limit: int | None) -> Claim | None:
    token = uuid.uuid4()
    row = session.execute(
        update(Run)
        .where(Run.id == run_id, Run.state == State.QUEUED, ~Run.held)
        .values(
            state=State.RUNNING,
            attempt=Run.attempt + 1,
            lease_token=token,
            lease_until=func.clock_timestamp() + seconds(lease_s),
            worker=worker,
            step=func.coalesce(Run.checkpoint_step, 0),
            raw_dropped_at=None,
            started_at=func.coalesce(Run.started_at, func.clock_timestamp()),
        )
        .returning(
            Run.experiment_id,
            Run.variant,
            Run.seed,
            Run.attempt,
            Run.learning_rate,
            Run.trace_every,
            Run.checkpoint_step,
            Run.checkpoint_epochs,
            Run.checkpoint_path,
        )
    ).one_or_none()
    if row is None:
        return None
    lease = Lease(run_id, row.experiment_id, token, row.attempt)
    session.execute(insert(Attempt).values(run_id=run_id, number=row.attempt, worker=worker))
    checkpoint = None
    if row.checkpoint_step is not None:
        checkpoint = Checkpoint(row.checkpoint_step, row.checkpoint_epochs, row.checkpoint_path)
    if row.attempt > 1:
        _erase_trace(session, run_id, checkpoint)
    asked = select(Experiment.spec, Experiment.owner).where(Experiment.id == row.experiment_id)
    spec, owner = session.execute(asked).one()
    _start(session, row.experiment_id)
    events.tell_runs(session, row.experiment_id, [run_id])
    # From here on no other claim of this experiment comes between.
    _keep_to_caps(session, row.experiment_id, spec.max_parallel, owner, owner_limit)
    events.tell_experiment(session, row.experiment_id)
    _notify(session, QUEUE_CHANNEL)
    _notify(session, CHANGED_CHANNEL, row.experiment_id)
    return Claim(lease, spec, row.variant, row.seed, row.learning_rate, row.trace_every, checkpoint)


def _keep_to_caps(
    session: Session, experiment_id: uuid.UUID, max_parallel: int | None, owner: str, owner_limit: int | None
) -> None:
    """_OverCapError where too many runs are under way, this one counted. The experiment is locked."""
    running = select(func.count()).select_from(Run).where(Run.state == State.RUNNING)
    if max_parallel is not None:
        abreast = session.execute(running.where(Run.experiment_id == experiment_id)).scalar_one()
        if abreast > max_parallel:
            raise _OverCapError
    if owner_limit is not None:
        # The last lock of a claim, and of claims alone.
        session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"clinic owner {owner}"))))
        of_owner = running.join(Experiment, Experiment.id == Run.experiment_id).where(Experiment.owner == owner)
        if session.execute(of_owner).scalar_one() > owner_limit:
            raise _OverCapError


def _erase_trace(session: Session, run_id: uuid.UUID, checkpoint: Checkpoint | None) -> None:
    """What an earlier attempt left beyond the checkpoint, or at all: nothing of it may stand beside the new one."""
    step, epochs = (0, 0) if checkpoint is None else (checkpoint.step, checkpoint.epochs)
    # A checkpoint lies between two chunks; of rollups the parts that reach beyond it go, and are folded anew.
    for chunks in (TraceChunk, CurveChunk):
        session.execute(delete(chunks).where(chunks.run_id == run_id, chunks.first_step >= step))
    for rollups in (TraceRollup, CurveRollup):
        end = rollups.first_step + rollups.records * rollups.stride
        session.execute(delete(rollups).where(rollups.run_id == run_id, end > step))
    session.execute(delete(EpochValue).where(EpochValue.run_id == run_id, EpochValue.epoch >= epochs))


def _start(session: Session, experiment_id: uuid.UUID) -> None:
    session.execute(
        update(Experiment)
        .where(Experiment.id == experiment_id, Experiment.state == State.QUEUED)
        .values(state=State.RUNNING, started_at=func.clock_timestamp())
    )


def beat(session: Session, lease: Lease, lease_s: float, step: int | None = None) -> bool:
    """Lengthen the lease, and say how far the run is. False: the lease is void, stop and write nothing."""
    values: dict[str, Any] = {"lease_until": func.clock_timestamp() + seconds(lease_s)}
    if step is not None:
        values["step"] = func.greatest(Run.step, step)  # of the heart and the recorder either may be ahead
    beaten = session.execute(update(Run).where(lease.holds()).values(**values))
    if step is not None:
        _notify(session, CHANGED_CHANNEL, lease.experiment_id)
    return bool(beaten.rowcount)  # type: ignore[attr-defined]


def keep_chance_level(session: Session, lease: Lease, chance_level: float) -> None:
    """Note what early losses are measured against; in a transaction that has beaten just now."""
    session.execute(update(Run).where(lease.holds()).values(chance_level=chance_level))


def keep_cadence(session: Session, lease: Lease, every: int) -> bool:
    """Store what the recording budget chose, for this attempt and later ones. False: the lease is void."""
    kept = session.execute(update(Run).where(lease.holds()).values(trace_every=every))
    return bool(kept.rowcount)  # type: ignore[attr-defined]


def keep_checkpoint(session: Session, lease: Lease, checkpoint: Checkpoint) -> bool:
    """Note where the run can go on, together with the trace up to there. False: the lease is void."""
    kept = session.execute(
        update(Run)
        .where(lease.holds())
        .values(checkpoint_step=checkpoint.step, checkpoint_epochs=checkpoint.epochs, checkpoint_path=checkpoint.path)
    )
    return bool(kept.rowcount)  # type: ignore[attr-defined]


def start_over(session: Session, lease: Lease) -> bool:
    """The checkpoint is of no use: forget it and all that is stored of the run. False: the lease is void."""
    begun = session.execute(update(Run).where(lease.holds()).values(step=0, **_NO_CHECKPOINT))
    if not begun.rowcount:  # type: ignore[attr-defined]
        return False
    _erase_trace(session, lease.run_id, None)
    _notify(session, CHANGED_CHANNEL, lease.experiment_id)
    return True


def cancel_requested(session: Session, lease: Lease) -> bool:
    """Whether the run's experiment was asked to stop (or is gone)."""
    asked = select(Experiment.cancel_requested_at).where(Experiment.id == lease.experiment_id)
    row = session.execute(asked).one_or_none()
    return row is None or row.cancel_requested_at is not None


def finish(  # noqa: PLR0913, PLR0917 -- all that the end of a run brings
    session: Session,
    lease: Lease,
    summary: RunSummary,
    device: str,
    versions: Mapping[str, str],
    loss: float | None = None,
) -> bool:
    """running → succeeded, with what the trial learned, and its last loss. False: the lease is void."""
    return _end(
        session,
        lease,
        State.SUCCEEDED,
        "finished",
        loss,
        outcome=summary.facts.outcome,
        summary=summary,
        device=device,
        versions=dict(versions),
        step=Run.steps,
        device_s=summary.facts.device_seconds,
    )


def fail(session: Session, lease: Lease, error: Mapping[str, Any]) -> bool:
    """running → failed: the work could not be done, and trying again would not help."""
    return _end(session, lease, State.FAILED, str(error.get("detail", "failed")), error=dict(error))


def stop(session: Session, lease: Lease, reason: str = "cancelled") -> bool:
    """running → cancelled, as asked."""
    return _end(session, lease, State.CANCELLED, reason)


def give_back(session: Session, lease: Lease, reason: str) -> bool:
    """running → queued: the worker cannot go on (it is being shut down), another may."""
    return _end(session, lease, State.QUEUED, reason, published_at=None)


def _end(session: Session, lease: Lease, state: State, reason: str, loss: float | None = None, **values: Any) -> bool:
    ended_at = func.clock_timestamp() if state.is_finished else None
    unaffordable = _unaffordable(session, lease, values["device_s"]) if state is State.SUCCEEDED else []
    ended = session.execute(
        update(Run)
        .where(lease.holds())
        .values(state=state, lease_token=None, lease_until=None, ended_at=ended_at, **values)
    )
    if not ended.rowcount:  # type: ignore[attr-defined]
        return False
    _end_attempts(session, [(lease.run_id, lease.attempt)], reason)
    _stop_unaffordable(session, unaffordable)
    # The experiment is locked from here on, so no run may be locked any more.
    if loss is not None:
        events.tell_progress(session, lease.experiment_id, lease.run_id, loss)
    events.tell_runs(session, lease.experiment_id, [lease.run_id], None if state is State.SUCCEEDED else reason)
    events.tell_runs(session, lease.experiment_id, unaffordable, _SPENT["detail"])
    settle(session, lease.experiment_id)
    _notify(session, QUEUE_CHANNEL)
    return True


def _end_attempts(session: Session, attempts: Sequence[tuple[uuid.UUID, int]], reason: str) -> None:
    session.execute(
        update(Attempt)
        .where(tuple_(Attempt.run_id, Attempt.number).in_(attempts))
        .values(ended_at=func.clock_timestamp(), reason=reason)
    )


def _unaffordable(session: Session, lease: Lease, device_s: float) -> Sequence[uuid.UUID]:
    """The queued runs that are not to start, where this one spends its experiment's budget; locked together with it."""
    others = select(func.coalesce(func.sum(Run.device_s), 0.0)).where(
        Run.experiment_id == lease.experiment_id, Run.id != lease.run_id
    )
    spent = others.scalar_subquery() + device_s
    overdrawn = select(Experiment.id).where(Experiment.id == lease.experiment_id, Experiment.budget_s <= spent)
    concerned = or_(Run.state == State.QUEUED, Run.id == lease.run_id)
    locked = lock_runs(session, Run.experiment_id.in_(overdrawn), concerned)
    return [run_id for run_id in locked if run_id != lease.run_id]


def _stop_unaffordable(session: Session, run_ids: Sequence[uuid.UUID]) -> None:
    if run_ids:
        stopped = {"state": State.CANCELLED, "ended_at": func.clock_timestamp(), "error": _SPENT}
        session.execute(update(Run).where(among(run_ids)).values(**stopped))


def settle(session: Session, experiment_id: uuid.UUID) -> None:
    """Give the experiment its end state if that was its last run. Its row is locked: two ends come one by one."""
    row = session.execute(
        select(Experiment.state, Experiment.cancel_requested_at)
        .where(Experiment.id == experiment_id)
        # The lock that telling takes as well, so that none is ever raised to a stronger one.
        .with_for_update(key_share=True)
    ).one_or_none()
    if row is None:
        return
    progress = progress_of(session, [experiment_id])[experiment_id]
    state = settled(progress.counts, cancel_accepted=row.cancel_requested_at is not None)
    if state is not None and not State(row.state).is_finished:
        session.execute(
            update(Experiment)
            .where(Experiment.id == experiment_id)
            .values(state=state, ended_at=func.clock_timestamp())
        )
    events.tell_experiment(session, experiment_id, progress)
    _notify(session, CHANGED_CHANNEL, experiment_id)

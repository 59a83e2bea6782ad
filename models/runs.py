"""State changes of experiments and runs, each one guarded write: 0 rows changed means it is no longer yours.

The clock is the database's. Every function takes a session inside the caller's transaction and leaves the commit
to it. NOTIFY goes out with the commit: ``clinic_queue`` wakes dispatchers, ``clinic_changed`` those who wait for
an experiment, ``clinic_cancel`` the workers.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Interval, delete, func, insert, literal, or_, select, text, tuple_, update
from sqlalchemy.orm import Session
from uuid6 import uuid7

from models.analysis.summary import RunSummary
from models.plan import Variant
from models.specs.experiment import ExperimentSpec
from models.status import State, settled
from models.tables import Attempt, CurveChunk, EpochValue, Experiment, Run, TraceChunk, TraceRollup

QUEUE_CHANNEL = "clinic_queue"
CHANGED_CHANNEL = "clinic_changed"
CANCEL_CHANNEL = "clinic_cancel"


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
class Claim:
    """What a worker gets with a lease: all that it needs to train, so that no session stays open."""

    lease: Lease
    spec: ExperimentSpec
    variant: str
    seed: int


@dataclass(frozen=True, slots=True)
class Queued:
    """A run to publish, and the device its experiment asks for."""

    run_id: uuid.UUID
    device: str


def seconds(value: float) -> ColumnElement[dt.timedelta]:
    """An interval for arithmetic with the database's clock."""
    return literal(dt.timedelta(seconds=value), Interval)


def _notify(session: Session, channel: str, payload: object = "") -> None:
    session.execute(select(func.pg_notify(channel, str(payload))))


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
    # Seeds outermost: every variant has its first seed before any has its second, so a partial answer compares.
    arms = [(variant, seed) for seed in spec.seed_list() for variant in variants]
    session.execute(
        insert(Run),
        [
            {
                "id": uuid.UUID(int=uuid7().int),
                "experiment_id": experiment_id,
                "variant": variant.name,
                "position": position,
                "seed": seed,
                "steps": variant.plan.steps,
            }
            for position, (variant, seed) in enumerate(arms)
        ],
    )
    _notify(session, QUEUE_CHANNEL)
    return experiment_id


def cancel(session: Session, experiment_id: uuid.UUID) -> bool:
    """Ask an experiment to stop: queued runs end now, running ones between two steps. False if it had ended."""
    # Locks are taken in one order everywhere, runs before their experiment, so that no two writers deadlock.
    session.execute(
        update(Run)
        .where(Run.experiment_id == experiment_id, Run.state == State.QUEUED)
        .values(state=State.CANCELLED, ended_at=func.clock_timestamp())
    )
    asked = session.execute(
        update(Experiment)
        .where(Experiment.id == experiment_id, Experiment.state.in_([State.QUEUED, State.RUNNING]))
        .values(cancel_requested_at=func.coalesce(Experiment.cancel_requested_at, func.clock_timestamp()))
    )
    if not asked.rowcount:  # type: ignore[attr-defined]
        return False
    _notify(session, CANCEL_CHANNEL, experiment_id)
    _settle(session, experiment_id)
    return True


def retry(session: Session, experiment_id: uuid.UUID) -> int:
    """Queue the failed runs again, each with all its attempts before it. How many; 0 changes nothing."""
    retried = session.execute(
        update(Run)
        .where(Run.experiment_id == experiment_id, Run.state == State.FAILED)
        .values(state=State.QUEUED, error=None, ended_at=None, published_at=None, forgiven=Run.attempt)
    )
    if not retried.rowcount:  # type: ignore[attr-defined]
        return 0
    session.execute(
        update(Experiment)
        .where(Experiment.id == experiment_id)
        .values(state=State.RUNNING, ended_at=None, cancel_requested_at=None, comparison=None)
    )
    _notify(session, QUEUE_CHANNEL)
    _notify(session, CHANGED_CHANNEL, experiment_id)
    return int(retried.rowcount)  # type: ignore[attr-defined]


def remove(session: Session, experiment_id: uuid.UUID) -> None:
    """Delete an experiment with all its rows. A worker that trains one of its runs finds its lease void."""
    session.execute(select(Run.id).where(Run.experiment_id == experiment_id).with_for_update())
    session.execute(delete(Experiment).where(Experiment.id == experiment_id))
    _notify(session, CANCEL_CHANNEL, experiment_id)
    _notify(session, CHANGED_CHANNEL, experiment_id)


# --- the worker's side -------------------------------------------------------------------------------------------


def claim(session: Session, run_id: uuid.UUID, worker: str, lease_s: float) -> Claim | None:
    """Take a queued run. None where another has it, it has ended, or its experiment is gone."""
    token = uuid.uuid4()
    row = session.execute(
        update(Run)
        .where(Run.id == run_id, Run.state == State.QUEUED)
        .values(
            state=State.RUNNING,
            attempt=Run.attempt + 1,
            lease_token=token,
            lease_until=func.clock_timestamp() + seconds(lease_s),
            worker=worker,
            step=0,
            started_at=func.coalesce(Run.started_at, func.clock_timestamp()),
        )
        .returning(Run.experiment_id, Run.variant, Run.seed, Run.attempt)
    ).one_or_none()
    if row is None:
        return None
    lease = Lease(run_id, row.experiment_id, token, row.attempt)
    session.execute(insert(Attempt).values(run_id=run_id, number=row.attempt, worker=worker))
    if row.attempt > 1:
        _erase_trace(session, run_id)
    _start(session, row.experiment_id)
    _notify(session, QUEUE_CHANNEL)
    spec = session.execute(select(Experiment.spec).where(Experiment.id == row.experiment_id)).scalar_one()
    return Claim(lease, spec, row.variant, row.seed)


def _erase_trace(session: Session, run_id: uuid.UUID) -> None:
    """A new attempt starts from step 0: nothing of an earlier one may stand beside it."""
    for table in (TraceChunk, CurveChunk, TraceRollup, EpochValue):
        session.execute(delete(table).where(table.run_id == run_id))


def _start(session: Session, experiment_id: uuid.UUID) -> None:
    started = session.execute(
        update(Experiment)
        .where(Experiment.id == experiment_id, Experiment.state == State.QUEUED)
        .values(state=State.RUNNING, started_at=func.clock_timestamp())
    )
    if started.rowcount:  # type: ignore[attr-defined]
        _notify(session, CHANGED_CHANNEL, experiment_id)


def beat(session: Session, lease: Lease, lease_s: float, step: int | None = None) -> bool:
    """Lengthen the lease, and say how far the run is. False: the lease is void, stop and write nothing."""
    values: dict[str, Any] = {"lease_until": func.clock_timestamp() + seconds(lease_s)}
    if step is not None:
        values["step"] = step
    beaten = session.execute(update(Run).where(lease.holds()).values(**values))
    if step is not None:
        _notify(session, CHANGED_CHANNEL, lease.experiment_id)
    return bool(beaten.rowcount)  # type: ignore[attr-defined]


def cancel_requested(session: Session, lease: Lease) -> bool:
    """Whether the run's experiment was asked to stop (or is gone)."""
    asked = select(Experiment.cancel_requested_at).where(Experiment.id == lease.experiment_id)
    row = session.execute(asked).one_or_none()
    return row is None or row.cancel_requested_at is not None


def finish(session: Session, lease: Lease, summary: RunSummary, device: str, versions: Mapping[str, str]) -> bool:
    """running → succeeded, with what the trial learned. False: the lease is void."""
    return _end(
        session,
        lease,
        State.SUCCEEDED,
        "finished",
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


def stop(session: Session, lease: Lease) -> bool:
    """running → cancelled, as asked."""
    return _end(session, lease, State.CANCELLED, "cancelled")


def give_back(session: Session, lease: Lease, reason: str) -> bool:
    """running → queued: the worker cannot go on (it is being shut down), another may."""
    return _end(session, lease, State.QUEUED, reason, published_at=None)


def _end(session: Session, lease: Lease, state: State, reason: str, **values: Any) -> bool:
    ended_at = func.clock_timestamp() if state.is_finished else None
    ended = session.execute(
        update(Run)
        .where(lease.holds())
        .values(state=state, lease_token=None, lease_until=None, ended_at=ended_at, **values)
    )
    if not ended.rowcount:  # type: ignore[attr-defined]
        return False
    _end_attempts(session, [(lease.run_id, lease.attempt)], reason)
    if state is State.SUCCEEDED:
        _spend(session, lease.experiment_id)
    _settle(session, lease.experiment_id)
    _notify(session, QUEUE_CHANNEL)
    return True


def _end_attempts(session: Session, attempts: Sequence[tuple[uuid.UUID, int]], reason: str) -> None:
    session.execute(
        update(Attempt)
        .where(tuple_(Attempt.run_id, Attempt.number).in_(attempts))
        .values(ended_at=func.clock_timestamp(), reason=reason)
    )


def _spend(session: Session, experiment_id: uuid.UUID) -> None:
    """Cancel what has not started once the experiment's budget of device time is spent."""
    spent = select(func.sum(Run.device_s)).where(Run.experiment_id == experiment_id).scalar_subquery()
    overdrawn = select(Experiment.id).where(Experiment.id == experiment_id, Experiment.budget_s <= spent)
    session.execute(
        update(Run)
        .where(Run.experiment_id.in_(overdrawn), Run.state == State.QUEUED)
        .values(
            state=State.CANCELLED,
            ended_at=func.clock_timestamp(),
            error={"title": "Budget spent", "detail": "the experiment's device_seconds were spent before it started"},
        )
    )


def _settle(session: Session, experiment_id: uuid.UUID) -> None:
    """Give the experiment its end state if that was its last run. Its row is locked: two ends come one by one."""
    row = session.execute(
        select(Experiment.state, Experiment.cancel_requested_at).where(Experiment.id == experiment_id).with_for_update()
    ).one_or_none()
    if row is None:
        return
    state = settled(counts(session, experiment_id), cancel_accepted=row.cancel_requested_at is not None)
    if state is not None and not State(row.state).is_finished:
        session.execute(
            update(Experiment)
            .where(Experiment.id == experiment_id)
            .values(state=state, ended_at=func.clock_timestamp())
        )
    _notify(session, CHANGED_CHANNEL, experiment_id)


def counts(session: Session, experiment_id: uuid.UUID) -> dict[State, int]:
    """How many runs of the experiment are in each state."""
    rows = session.execute(
        select(Run.state, func.count()).where(Run.experiment_id == experiment_id).group_by(Run.state)
    )
    return {State(state): count for state, count in rows}


# --- the dispatcher's side ---------------------------------------------------------------------------------------


def take_unpublished(session: Session, window: int, republish_after_s: float) -> list[Queued]:
    """Mark as published, and return, the queued runs whose turn it is: highest priority first, then fair
    between owners, then oldest first. At most ``window`` published runs are left unclaimed at any time;
    what nobody claimed in ``republish_after_s`` is published again, so a lost message costs time only.
    """
    stale = func.clock_timestamp() - seconds(republish_after_s)
    waiting = session.execute(
        select(func.count()).where(Run.state == State.QUEUED, Run.published_at > stale)
    ).scalar_one()
    if waiting >= window:
        return []
    ranked = text(_NEXT_RUNS)
    parameters = {"stale_s": republish_after_s, "limit": window - waiting}
    chosen = [(row.id, row.device) for row in session.execute(ranked, parameters)]
    marked = session.execute(
        update(Run)
        .where(
            Run.id.in_([run_id for run_id, _ in chosen]),
            Run.state == State.QUEUED,
            or_(Run.published_at.is_(None), Run.published_at < stale),
        )
        .values(published_at=func.clock_timestamp())
        .returning(Run.id)
    ).scalars()
    still_queued = set(marked)
    return [Queued(run_id, device) for run_id, device in chosen if run_id in still_queued]


# Fairness: an owner's k-th waiting run counts behind the runs that the owner has under way already.
# SKIP LOCKED keeps several dispatchers from publishing one run twice.
_NEXT_RUNS = """
WITH busy AS (
    SELECT e.owner, count(*) AS n FROM run r JOIN experiment e ON e.id = r.experiment_id
    WHERE r.state = 'running' OR (r.state = 'queued' AND r.published_at IS NOT NULL)
    GROUP BY e.owner
), parallel AS (
    SELECT r.experiment_id AS id, count(*) AS n FROM run r
    WHERE r.state = 'running' OR (
        r.state = 'queued' AND r.published_at >= clock_timestamp() - make_interval(secs => :stale_s)
    )
    GROUP BY r.experiment_id
), waiting AS (
    SELECT r.id, e.priority, e.spec ->> 'device' AS device, e.created_at, r.position,
        coalesce(b.n, 0) + row_number() OVER (
            PARTITION BY e.owner ORDER BY e.priority DESC, e.created_at, e.id, r.position
        ) AS turn,
        row_number() OVER (PARTITION BY e.id ORDER BY r.position) + coalesce(p.n, 0) AS abreast,
        e.max_parallel
    FROM run r JOIN experiment e ON e.id = r.experiment_id
        LEFT JOIN busy b ON b.owner = e.owner LEFT JOIN parallel p ON p.id = e.id
    WHERE r.state = 'queued' AND (e.not_before IS NULL OR e.not_before <= clock_timestamp())
        AND (r.published_at IS NULL OR r.published_at < clock_timestamp() - make_interval(secs => :stale_s))
)
SELECT r.id, w.device FROM waiting w JOIN run r ON r.id = w.id
WHERE w.max_parallel IS NULL OR w.abreast <= w.max_parallel
ORDER BY w.priority DESC, w.turn, w.created_at, w.position
LIMIT :limit
FOR UPDATE OF r SKIP LOCKED
"""


def expire(session: Session) -> int:
    """Fail the queued runs of experiments whose deadline has passed. How many."""
    late = (
        select(Experiment.id)
        .where(Experiment.deadline < func.clock_timestamp(), Experiment.state.in_([State.QUEUED, State.RUNNING]))
        .order_by(Experiment.id)
    )
    expired = session.execute(
        update(Run)
        .where(Run.experiment_id.in_(late), Run.state == State.QUEUED)
        .values(
            state=State.FAILED,
            ended_at=func.clock_timestamp(),
            error={"title": "Deadline passed", "detail": "the experiment's deadline passed before the run started"},
        )
        .returning(Run.experiment_id)
    ).scalars()
    experiments = sorted(expired)
    for experiment_id in dict.fromkeys(experiments):
        _settle(session, experiment_id)
    return len(experiments)


def reap(session: Session, max_attempts: int) -> int:
    """Give back every run whose lease has run out; those tried ``max_attempts`` times fail. How many."""
    return _reap_where(session, Run.lease_until < func.clock_timestamp(), "lease lost", max_attempts)


def reap_worker(session: Session, run_id: uuid.UUID, worker: str, max_attempts: int) -> int:
    """Give back at once the run of a worker process known to be dead. How many runs: 0 or 1."""
    held = (Run.id == run_id) & (Run.worker == worker)
    return _reap_where(session, held, "worker process died", max_attempts)


def _reap_where(session: Session, condition: ColumnElement[bool], reason: str, max_attempts: int) -> int:
    lost = session.execute(
        select(
            Run.id,
            Run.lease_token,
            Run.experiment_id,
            Run.attempt,
            (Run.attempt - Run.forgiven).label("tried"),
            Experiment.cancel_requested_at,
        )
        .join(Experiment, Experiment.id == Run.experiment_id)
        .where(Run.state == State.RUNNING, condition)
        .order_by(Run.experiment_id)
        .with_for_update(of=Run, skip_locked=True)
    ).all()
    for row in lost:
        lease = Lease(row.id, row.experiment_id, row.lease_token, row.attempt)
        if row.cancel_requested_at is not None:
            stop(session, lease)
        elif row.tried >= max_attempts:
            detail = f"{reason} in the last of {row.tried} attempts; no more are made"
            fail(session, lease, {"title": "Worker lost", "detail": detail})
        else:
            give_back(session, lease, reason)
    return len(lost)

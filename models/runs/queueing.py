"""Which run is next, and which was lost: the dispatcher's questions, each one guarded write.

Order is decided here in SQL, never in Redis. Any number of dispatchers may ask at once.
"""

import uuid
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select, text, update
from sqlalchemy.orm import Session

from models import runs
from models.status import Source, State
from models.storage.tables import Attempt, Experiment, Run


@dataclass(frozen=True, slots=True)
class Queued:
    """A run to publish, the device its experiment asks for, and whether it trains a plug-in."""

    run_id: uuid.UUID
    device: str
    plugins: bool


def take_unpublished(
    session: Session, window: int, republish_after_s: float, owner_limit: int | None = None
) -> list[Queued]:
    """Mark as published, and return, the queued runs whose turn it is: highest priority first, then fair between
    owners, then oldest first. At most ``window`` published runs of each ``device``, and as many of plug-ins, are left
    unclaimed at any time, so that runs without a worker hold up nobody else. What nobody claimed in
    ``republish_after_s`` is published again, so a lost message costs time only.

    Neither an experiment's ``max_parallel`` nor ``owner_limit`` runs of one owner are exceeded.
    """
    # One dispatcher chooses at a time: what another one has just marked counts.
    session.execute(_ONE_AT_A_TIME)
    parameters = {"stale_s": republish_after_s, "owner_limit": owner_limit, "window": window}
    chosen = [Queued(row.id, row.device, row.plugins) for row in session.execute(_NEXT_RUNS, parameters)]
    if not chosen:
        return []
    stale = func.clock_timestamp() - runs.seconds(republish_after_s)
    marked = session.execute(
        update(Run)
        .where(
            Run.id.in_([run.run_id for run in chosen]),
            Run.state == State.QUEUED,
            or_(Run.published_at.is_(None), Run.published_at < stale),
        )
        .values(published_at=func.clock_timestamp())
        .returning(Run.id)
    ).scalars()
    still_queued = set(marked)
    return [run for run in chosen if run.run_id in still_queued]


_ONE_AT_A_TIME = select(func.pg_advisory_xact_lock(func.hashtext(runs.QUEUE_CHANNEL)))

# Fairness: an owner's k-th waiting run counts behind the runs that the owner has under way already. Caps come first,
# so that a run which has to wait takes nobody's turn. FOR UPDATE SKIP LOCKED passes by what a worker claims just now.
# Of an experiment no more than a window's runs are looked at: each has those before it in front of it, so no other one
# can be among the next. What a spec says is read once for an experiment: one of thousands of seeds is long.
_NEXT_RUNS = text("""
WITH asked AS MATERIALIZED (
    SELECT id, owner, priority, created_at, max_parallel, not_before, start_before, end_before,
        spec ->> 'device' AS device,
        coalesce('plugin' IN (spec #>> '{network,kind}', spec #>> '{dataset,kind}'), false) AS plugins
    FROM experiment WHERE state IN ('queued', 'running')
), under_way AS (
    SELECT r.experiment_id, e.owner, r.state, e.device, e.plugins
    FROM run r JOIN asked e ON e.id = r.experiment_id
    WHERE (r.state = 'running' AND r.source = 'trained') OR (
        r.state = 'queued' AND r.published_at >= clock_timestamp() - make_interval(secs => :stale_s)
    )
), parallel AS (
    SELECT experiment_id AS id, count(*) AS n FROM under_way GROUP BY experiment_id
), busy AS (
    SELECT owner, count(*) AS n FROM under_way GROUP BY owner
), unclaimed AS (
    SELECT device, plugins, count(*) AS n FROM under_way WHERE state = 'queued' GROUP BY device, plugins
), waiting AS (
    SELECT r.id, r.position, e.id AS experiment_id, e.owner, e.priority, e.created_at, e.max_parallel,
        e.device, e.plugins,
        coalesce(p.n, 0) + row_number() OVER (PARTITION BY e.id ORDER BY r.position) AS abreast
    FROM asked e LEFT JOIN parallel p ON p.id = e.id CROSS JOIN LATERAL (
        SELECT id, position FROM run
        WHERE experiment_id = e.id AND state = 'queued' AND NOT held
            AND (published_at IS NULL OR published_at < clock_timestamp() - make_interval(secs => :stale_s))
        ORDER BY position LIMIT :window
    ) r
    WHERE (e.start_before IS NULL OR e.start_before > clock_timestamp())
        AND (e.end_before IS NULL OR e.end_before > clock_timestamp())
        AND (e.not_before IS NULL OR e.not_before <= clock_timestamp())
), allowed AS (
    SELECT w.*, coalesce(b.n, 0) + row_number() OVER (
        PARTITION BY w.owner ORDER BY w.priority DESC, w.created_at, w.experiment_id, w.position
    ) AS turn
    FROM waiting w LEFT JOIN busy b ON b.owner = w.owner
    WHERE w.max_parallel IS NULL OR w.abreast <= w.max_parallel
), next AS (
    SELECT a.*, coalesce(u.n, 0) + row_number() OVER (
        PARTITION BY a.device, a.plugins ORDER BY a.priority DESC, a.turn, a.created_at, a.position
    ) AS place
    FROM allowed a LEFT JOIN unclaimed u ON u.device = a.device AND u.plugins = a.plugins
    WHERE CAST(:owner_limit AS bigint) IS NULL OR a.turn <= CAST(:owner_limit AS bigint)
)
SELECT r.id, n.device, n.plugins FROM next n JOIN run r ON r.id = n.id
WHERE n.place <= :window
ORDER BY n.priority DESC, n.turn, n.created_at, n.position
FOR UPDATE OF r SKIP LOCKED
""")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued run, the rate that it is trained at (None: its variant's own), and with how many its last attempt was
    trained (None: it had none).
    """

    run_id: uuid.UUID
    variant: str
    learning_rate: float | None
    batched: int | None


@dataclass(frozen=True, slots=True)
class Beside:
    """The runs that wait beside one that is claimed, and whether as many as were asked for wait in all experiments."""

    waiting: list[Waiting]
    is_long: bool


def waiting_beside(
    session: Session, experiment_id: uuid.UUID, enough: int, checkpoint_step: int | None = None
) -> Beside:
    """The runs of an experiment that could be claimed now and begin at this step (None: the first), in the queue's
    order; none where runs of a higher priority wait, whose turn comes before theirs.
    """
    its = select(Experiment.priority).where(Experiment.id == experiment_id).scalar_subquery()
    claimable = (Run.state == State.QUEUED, ~Run.held)
    urgent = select(Run.id).join(Experiment).where(*claimable, Experiment.priority > its, _may_begin())
    some = select(Run.id).join(Experiment).where(*claimable, _may_begin()).limit(enough).subquery()
    are_enough = (select(func.count()).select_from(some).scalar_subquery() >= enough).label("are_enough")
    rows = session.execute(
        select(Run.id, Run.variant, Run.learning_rate, Attempt.batched, are_enough)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .outerjoin(Attempt, (Attempt.run_id == Run.id) & (Attempt.number == Run.attempt))
        .where(Run.experiment_id == experiment_id, *claimable, _may_begin())
        .where(Run.checkpoint_step.is_not_distinct_from(checkpoint_step))
        .where(~urgent.exists())
        .order_by(Run.position)
        .limit(BESIDE)
    ).all()
    return Beside([Waiting(*row[:-1]) for row in rows], any(row.are_enough for row in rows))


BESIDE = 1_000
"""How many are looked at: enough for every worker to have some of one structure left."""


def _may_begin() -> ColumnElement[bool]:
    now = func.clock_timestamp()
    return (
        or_(Experiment.not_before.is_(None), Experiment.not_before <= now)
        & or_(Experiment.start_before.is_(None), Experiment.start_before > now)
        & or_(Experiment.end_before.is_(None), Experiment.end_before > now)
    )


def reap(session: Session, max_attempts: int) -> int:
    """Give back every run whose lease has run out; those tried ``max_attempts`` times fail. How many."""
    return _reap_where(session, Run.lease_until < func.clock_timestamp(), "lease lost", max_attempts)


def reap_worker(
    session: Session, run_id: uuid.UUID, worker: str, max_attempts: int, reason: str = "worker process died"
) -> int:
    """Give back at once the run of a worker process that is dead, or about to be. How many runs: 0 or 1."""
    held = (Run.id == run_id) & (Run.worker == worker)
    return _reap_where(session, held, reason, max_attempts)


def reap_dead(session: Session, worker: str, max_attempts: int) -> int:
    """Give back at once all runs of a worker process that is dead. How many."""
    return _reap_where(session, Run.worker == worker, "worker process died", max_attempts)


def _reap_where(session: Session, condition: ColumnElement[bool], reason: str, max_attempts: int) -> int:
    lost = session.execute(
        select(
            Run.id,
            Run.lease_token,
            Run.experiment_id,
            Run.attempt,
            Run.source,
            (Run.attempt - Run.forgiven).label("tried"),
            Experiment.cancel_requested_at,
        )
        .join(Experiment, Experiment.id == Run.experiment_id)
        .where(Run.state == State.RUNNING, condition)
        .order_by(Run.experiment_id)
        # A row that is locked now is being written by somebody who knows more; the next sweep looks again.
        .with_for_update(of=Run, skip_locked=True)
    ).all()
    for row in lost:
        lease = runs.Lease(row.id, row.experiment_id, row.lease_token, row.attempt)
        # What is to be cancelled is not tried again, however few attempts it had.
        if row.cancel_requested_at is not None:
            runs.stop(session, lease)
        elif row.source == Source.INGESTED:
            runs.fail(session, lease, {"title": "Not watched to its end", "detail": "its watcher has fallen silent"})
        elif row.tried >= max_attempts:
            detail = f"{reason} in the last of {row.tried} attempts; no more are made"
            runs.fail(session, lease, {"title": "Worker lost", "detail": detail})
        else:
            runs.give_back(session, lease, reason)
    return len(lost)

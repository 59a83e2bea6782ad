"""The worker's side while a run is trained: claim it, keep its lease, note how far it is."""

import math
import uuid
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, literal_column, select, text, update
from sqlalchemy.orm import Session

from models.runs import events
from models.runs.lease import Checkpoint, Claim, Lease
from models.runs.progress import standing_of
from models.runs.stopping import end_overdue, expire
from models.runs.writes import NO_CHECKPOINT, among, lock_runs
from models.specs.experiment import ExperimentSpec
from models.specs.ingested import WatchedSpec
from models.specs.plugin import PluginKey, plugins_of
from models.status import Source, State
from models.storage.database import changed_rows
from models.storage.tables import Attempt, Experiment, Run
from models.storage.trace_tables import CurveChunk, CurveRollup, EpochValue, TraceChunk, TraceRollup


class _OverCapError(Exception):
    """One run more than may be under way at once."""


def claim(  # noqa: PLR0913, PLR0917 -- a run, who asks for it and what limits that
    session: Session,
    run_id: uuid.UUID,
    worker: str,
    lease_s: float,
    owner_limit: int | None = None,
    plugins: AbstractSet[PluginKey] = frozenset(),
) -> Claim | None:
    """Take a queued run. None where another has it, it has ended, or its experiment is gone. A message may come late.
    Where the latest start or end has passed by then, the run ends here. Where it would exceed the experiment's
    ``max_parallel``, or ``owner_limit`` runs of its owner, it waits to be published again; so it does where it needs
    other ``plugins`` than this worker has, but not at once: the message would come back here.
    """
    asked = session.execute(_ASKED, {"run_id": run_id}).one_or_none()
    if asked is None or _ended(session, asked):
        return None
    spec = asked.spec
    assert isinstance(spec, ExperimentSpec)  # what others train is never queued
    if plugins_of(spec.network, spec.dataset) - plugins:
        return None
    if spec.max_parallel is None and owner_limit is None:
        return _claim(session, run_id, worker, lease_s, spec)
    try:
        # A savepoint: over a cap all of the claim is undone, and this transaction can still free the run.
        with session.begin_nested():
            return _claim(session, run_id, worker, lease_s, spec, _Cap(spec.max_parallel, asked.owner, owner_limit))
    except _OverCapError:
        session.execute(update(Run).where(Run.id == run_id, Run.state == State.QUEUED).values(published_at=None))
        return None


def _ended(session: Session, asked: Any) -> bool:
    """Whether the run was not to start any more, or to be trained any more; what that ends is ended here."""
    if asked.overdue:
        end_overdue(session, Experiment.id == asked.experiment_id)
    elif asked.late:
        expire(session, Run.id == asked.run_id)
    return bool(asked.overdue or asked.late)


_NOW = func.clock_timestamp()
# The commit of a claim waits for no disk (some 3 ms, of every run). A server that begins anew without it finds the run
# queued: it is claimed again, and who has it now holds a lease that is void.
_NO_WAIT: ColumnElement[str] = literal_column("set_config('synchronous_commit', 'off', true)")
_ASKED = (
    select(
        Run.id.label("run_id"),
        Run.experiment_id,
        Experiment.spec,
        Experiment.owner,
        (Experiment.end_before <= _NOW).label("overdue"),
        (Experiment.start_before <= _NOW).label("late"),
        _NO_WAIT,
    )
    .join(Experiment, Experiment.id == Run.experiment_id)
    .where(Run.id == bindparam("run_id"), Run.state == State.QUEUED)
)


@dataclass(frozen=True, slots=True)
class _Cap:
    """What a claim is held against: the experiment's own ``max_parallel``, and a limit of all runs of its owner."""

    max_parallel: int | None
    owner: str
    owner_limit: int | None


def _claim(  # noqa: PLR0913, PLR0917 -- as above
    session: Session, run_id: uuid.UUID, worker: str, lease_s: float, spec: ExperimentSpec, cap: _Cap | None = None
) -> Claim | None:
    taken = _take(session, run_id, worker, lease_s)
    if taken is None:
        return None
    experiment_id = taken.lease.experiment_id
    events.tell_runs(session, experiment_id, [run_id])
    # From here on no other claim of this experiment comes between.
    if cap is not None and _room(session, experiment_id, cap) < 0:
        raise _OverCapError
    _tell_taken(session, experiment_id)
    return taken.claim(spec)


def claim_beside(  # noqa: PLR0913, PLR0917 -- as ``claim``
    session: Session,
    first: Claim,
    run_ids: Sequence[uuid.UUID],
    most: int,
    worker: str,
    lease_s: float,
    owner_limit: int | None = None,
) -> list[Claim]:
    """Of these queued runs of ``first``'s experiment, in this order, at most so many, and as many as may be under way
    with it: those that nobody else is taking just now. All are told to be trained as one, ``first`` as well.
    """
    experiment_id = first.lease.experiment_id
    # Runs before their experiment, and all at once: whoever holds one of them is not waited for with others in hand.
    free = select(Run.id).where(Run.id.in_(run_ids), Run.state == State.QUEUED, ~Run.held).order_by(Run.id)
    locked = set(session.execute(free.with_for_update(skip_locked=True)).scalars())
    asked = select(Experiment.owner).where(Experiment.id == experiment_id).with_for_update(key_share=True)
    owner = session.execute(asked).scalar_one_or_none()
    if owner is None:
        return []
    room = _room(session, experiment_id, _Cap(first.spec.max_parallel, owner, owner_limit))
    chosen = [run_id for run_id in run_ids if run_id in locked][: int(min(max(0, room), most))]
    if not chosen:
        return []
    batched = len(chosen) + 1
    found = [_take(session, run_id, worker, lease_s, batched) for run_id in chosen]
    taken = [its for its in found if its is not None]
    session.execute(
        update(Attempt)
        .where(Attempt.run_id == first.lease.run_id, Attempt.number == first.lease.attempt)
        .values(batched=batched)
    )
    events.tell_runs(session, experiment_id, [its.lease.run_id for its in taken])
    _tell_taken(session, experiment_id)
    return [its.claim(first.spec) for its in taken]


@dataclass(frozen=True, slots=True)
class _Taken:
    """A run's row in the moment in which it was taken."""

    lease: Lease
    row: Any
    checkpoint: Checkpoint | None

    def claim(self, spec: ExperimentSpec) -> Claim:
        row = self.row
        return Claim(self.lease, spec, row.variant, row.seed, row.learning_rate, row.trace_every, self.checkpoint)


def _take(session: Session, run_id: uuid.UUID, worker: str, lease_s: float, batched: int = 1) -> _Taken | None:
    token = uuid.uuid4()
    asked = {"run_id": run_id, "token": token, "lease_s": lease_s, "worker": worker, "batched": batched}
    row = session.execute(_TAKE, asked).one_or_none()
    if row is None:
        return None
    found = row.checkpoint_step, row.checkpoint_epochs, row.checkpoint_path
    checkpoint = None if row.checkpoint_step is None else Checkpoint(*found)
    if row.attempt > 1:  # a first attempt is spared the deletes, which would find nothing
        _erase_trace(session, run_id, checkpoint)
    return _Taken(Lease(run_id, row.experiment_id, token, row.attempt), row, checkpoint)


# Look and take are one statement: of two workers that heard of the run one finds it queued, the other waits for this
# row and then finds it running. What training needs comes back with it, so no session stays open meanwhile. The lease
# begins now and not with the transaction: a claim that waited for a lock would get a shorter one. This attempt writes
# raw values again, whatever retention took of an earlier one.
_TAKE = text("""
WITH taken AS (
    UPDATE run SET state = 'running', attempt = attempt + 1, lease_token = :token,
        lease_until = clock_timestamp() + make_interval(secs => :lease_s), worker = :worker,
        step = coalesce(checkpoint_step, 0), raw_dropped_at = NULL,
        started_at = coalesce(started_at, clock_timestamp())
    WHERE id = :run_id AND state = 'queued' AND NOT held
    RETURNING id, experiment_id, variant, seed, attempt, learning_rate, trace_every, checkpoint_step, checkpoint_epochs,
        checkpoint_path
), begun AS (
    INSERT INTO attempt (run_id, number, worker, batched) SELECT id, attempt, :worker, :batched FROM taken
)
SELECT * FROM taken
""")


def _tell_taken(session: Session, experiment_id: uuid.UUID) -> None:
    """Runs of it have been told, so it is locked. Dispatchers hear with it that a message less lies unclaimed."""
    standing = standing_of(session, experiment_id)
    assert standing is not None  # one of its runs was taken just now
    if standing.state is State.QUEUED:
        started = {"state": State.RUNNING, "started_at": func.clock_timestamp()}
        session.execute(update(Experiment).where(Experiment.id == experiment_id).values(**started))
    events.tell_experiment(session, experiment_id, standing.progress)


def _room(session: Session, experiment_id: uuid.UUID, cap: _Cap) -> float:
    """How many runs more may be under way; below 0 where too many are. The experiment is locked."""
    # Counted with what was taken: two claims that count before they take would both find the last place free.
    room = math.inf
    running = select(func.count()).select_from(Run).where(Run.state == State.RUNNING, Run.source == Source.TRAINED)
    if cap.max_parallel is not None:
        abreast = session.execute(running.where(Run.experiment_id == experiment_id)).scalar_one()
        room = cap.max_parallel - abreast
    if cap.owner_limit is not None:
        # The last lock of a claim, and of claims alone.
        session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"clinic owner {cap.owner}"))))
        of_owner = running.join(Experiment, Experiment.id == Run.experiment_id).where(Experiment.owner == cap.owner)
        room = min(room, cap.owner_limit - session.execute(of_owner).scalar_one())
    return room


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


@dataclass(frozen=True, slots=True)
class Beat:
    """What a worker says of a run that it holds: how far it is, in steps, and once what its early losses are measured
    against.
    """

    lease: Lease
    step: int = 0
    chance_level: float | None = None


# By the clock at this statement: the transaction may have waited for the row before it. Of the heart and the recorder
# either may be ahead.
_BEAT = text("""
UPDATE run SET lease_until = clock_timestamp() + make_interval(secs => :lease_s), step = greatest(run.step, held.step),
    chance_level = coalesce(held.chance_level, run.chance_level)
FROM unnest(CAST(:ids AS uuid[]), CAST(:tokens AS uuid[]), CAST(:steps AS integer[]), CAST(:levels AS float8[]))
    AS held (id, token, step, chance_level)
WHERE run.id = held.id AND run.lease_token = held.token
RETURNING run.id
""")


def beat(session: Session, lease: Lease, lease_s: float, step: int = 0, chance_level: float | None = None) -> bool:
    """Lengthen the lease, and say how far the run is. False: the lease is void, stop and write nothing."""
    return bool(_beaten(session, [Beat(lease, step, chance_level)], lease_s))


def beat_all(session: Session, held: Sequence[Beat], lease_s: float) -> AbstractSet[uuid.UUID]:
    """``beat`` of several runs. Those whose lease still holds."""
    lock_runs(session, among([its.lease.run_id for its in held]))  # in the order of all who lock several
    return _beaten(session, held, lease_s)


def _beaten(session: Session, held: Sequence[Beat], lease_s: float) -> AbstractSet[uuid.UUID]:
    values = {
        "ids": [its.lease.run_id for its in held],
        "tokens": [its.lease.token for its in held],
        "steps": [its.step for its in held],
        "levels": [its.chance_level for its in held],
    }
    return set(session.execute(_BEAT, {"lease_s": lease_s, **values}).scalars())


def keep_cadence(session: Session, lease: Lease, every: int) -> bool:
    """Store what the recording budget chose, for this attempt and later ones. False: the lease is void."""
    return changed_rows(session, update(Run).where(lease.holds()).values(trace_every=every)) > 0


def keep_apart(session: Session, leases: Sequence[Lease]) -> None:
    """Note that what was claimed together is trained run by run."""
    for lease in leases:
        its = (Attempt.run_id == lease.run_id) & (Attempt.number == lease.attempt)
        session.execute(update(Attempt).where(its).values(batched=1))


def keep_found(session: Session, lease: Lease, found: WatchedSpec) -> bool:
    """Store what a plug-in's network is. False: the lease is void."""
    return changed_rows(session, update(Run).where(lease.holds()).values(found=found)) > 0


def keep_checkpoint(session: Session, lease: Lease, checkpoint: Checkpoint) -> bool:
    """Note where the run can go on, together with the trace up to there. False: the lease is void."""
    place = {
        "checkpoint_step": checkpoint.step,
        "checkpoint_epochs": checkpoint.epochs,
        "checkpoint_path": checkpoint.path,
    }
    return changed_rows(session, update(Run).where(lease.holds()).values(**place)) > 0


def start_over(session: Session, lease: Lease) -> bool:
    """The checkpoint is of no use: forget it and all that is stored of the run. False: the lease is void."""
    if not changed_rows(session, update(Run).where(lease.holds()).values(step=0, **NO_CHECKPOINT)):
        return False
    _erase_trace(session, lease.run_id, None)
    events.wake(session, [lease.experiment_id])
    return True


def cancel_requested(session: Session, lease: Lease) -> bool:
    """Whether the run's experiment was asked to stop (or is gone)."""
    asked = select(Experiment.cancel_requested_at).where(Experiment.id == lease.experiment_id)
    row = session.execute(asked).one_or_none()
    return row is None or row.cancel_requested_at is not None

"""How a run ends, or goes back to the queue, and its experiment with it."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from gradient_clinic.verdict.shapes import RunSummary
from models.runs import events
from models.runs.lease import Lease
from models.runs.progress import standing_of
from models.runs.writes import among, lock_runs
from models.status import State, settled
from models.storage.database import changed_rows
from models.storage.tables import Attempt, Experiment, Run

_OUT_OF_TIME = {"title": "End passed", "detail": "the experiment's end_before passed before the run ended"}
_SPENT = {"title": "Budget spent", "detail": "the experiment's device_seconds were spent before it started"}


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


def stop(session: Session, lease: Lease, remark: str = "") -> bool:
    """running → cancelled, as asked, or where the experiment had to end by now. ``remark``: what else is to be said."""
    error = end_error(session, lease.experiment_id)
    reason = "cancelled" if error is None else error["detail"]
    return _end(session, lease, State.CANCELLED, reason + remark, error=error)


def end_error(session: Session, experiment_id: uuid.UUID) -> dict[str, str] | None:
    """Why its runs are stopped, where no client has asked for it before its latest end."""
    asked = func.coalesce(Experiment.cancel_requested_at, func.clock_timestamp())
    passed = select(Experiment.id).where(Experiment.id == experiment_id, Experiment.end_before <= asked)
    return _OUT_OF_TIME if session.execute(passed).one_or_none() else None


def give_back(session: Session, lease: Lease, reason: str) -> bool:
    """running → queued: the worker cannot go on (it is being shut down), another may."""
    return _end(session, lease, State.QUEUED, reason, published_at=None)


def _end(session: Session, lease: Lease, state: State, reason: str, loss: float | None = None, **values: Any) -> bool:
    ended_at = func.clock_timestamp() if state.is_finished else None
    # Before the run's own row is written: several runs are locked together, and by id (``lock_runs``).
    unaffordable = _unaffordable(session, lease, values["device_s"]) if state is State.SUCCEEDED else []
    ended = (
        update(Run)
        .where(lease.holds())
        .values(state=state, lease_token=None, lease_until=None, ended_at=ended_at, **values)
    )
    # Not one statement with the attempt's: a run that this session has read must be read anew, as it ends here.
    if not changed_rows(session, ended):
        return False
    # Past this line the lease is ours to the commit, and what follows needs no guard.
    attempt = update(Attempt).where(Attempt.run_id == lease.run_id, Attempt.number == lease.attempt)
    session.execute(attempt.values(ended_at=func.clock_timestamp(), reason=reason))
    _stop_unaffordable(session, unaffordable)
    # The experiment is locked from here on, so no run may be locked any more.
    if loss is not None:
        events.tell_progress(session, lease.experiment_id, lease.run_id, loss, last=True)
    events.tell_runs(session, lease.experiment_id, [lease.run_id], None if state is State.SUCCEEDED else reason)
    events.tell_runs(session, lease.experiment_id, unaffordable, _SPENT["detail"])
    settle(session, lease.experiment_id)
    return True


def _unaffordable(session: Session, lease: Lease, device_s: float) -> Sequence[uuid.UUID]:
    """The queued runs that are not to start, where this one spends its experiment's budget; locked together with it."""
    others = select(func.coalesce(func.sum(Run.device_s), 0.0)).where(
        Run.experiment_id == lease.experiment_id, Run.id != lease.run_id
    )
    spent = others.scalar_subquery() + device_s
    overdrawn = select(Experiment.id).where(Experiment.id == lease.experiment_id, Experiment.budget_s <= spent)
    concerned = or_(Run.state == State.QUEUED, Run.id == lease.run_id)
    # No row is locked while there is budget left, so that ends of runs seldom wait for each other.
    locked = lock_runs(session, Run.experiment_id.in_(overdrawn), concerned)
    return [run_id for run_id in locked if run_id != lease.run_id]


def _stop_unaffordable(session: Session, run_ids: Sequence[uuid.UUID]) -> None:
    if run_ids:
        stopped = {"state": State.CANCELLED, "ended_at": func.clock_timestamp(), "error": _SPENT}
        session.execute(update(Run).where(among(run_ids)).values(**stopped))


def settle(session: Session, experiment_id: uuid.UUID) -> None:
    """Give the experiment its end state if that was its last run, and tell how it stands. Runs of it have been told, so
    its row is locked: two ends come one by one.
    """
    standing = standing_of(session, experiment_id)
    if standing is None:
        return
    state = settled(standing.progress.counts, cancel_accepted=standing.cancel_requested)
    if state is not None and not standing.state.is_finished:
        session.execute(
            update(Experiment)
            .where(Experiment.id == experiment_id)
            .values(state=state, ended_at=func.clock_timestamp())
        )
    events.tell_experiment(session, experiment_id, standing.progress)

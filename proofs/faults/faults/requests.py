"""Requests at the wrong moment, and an API that dies when it has done what was asked and has not said so."""

import signal
from contextlib import closing
from http.client import HTTPConnection
from typing import Literal

from sqlalchemy import select

from models import runs
from models.status import State
from models.storage.tables import Idempotency, Run
from proofs.faults.client import Change, RefusedError, Submission
from proofs.faults.faults.base import victim_in
from proofs.faults.processes import send
from proofs.faults.target import Target

STORED_WITHIN_S = 3.0


def done_and_not_said(target: Target) -> str | None:
    """The API is killed when it has committed a submission and no byte of the answer has left. It is sent again later.

    Where the answer was quicker the API is killed all the same, and this fault counts as missed.
    """
    pid, submission = target.clinic.pid("api"), target.submit()
    if pid is None or submission is None:
        return None
    with target.database.listening(runs.QUEUE_CHANNEL) as notices:
        try:
            connection = target.client.submit_unread(submission)
        except OSError:  # the API is away
            return None
        with closing(connection):
            # Every NOTIFY is a commit that may be ours: the API stands still before it is looked at.
            if not any(
                _stopped_behind_commit(target, pid, submission) for _ in notices.notifies(timeout=STORED_WITHIN_S)
            ):
                return None
            send(pid, signal.SIGKILL)
            answered = _was_answered(connection)
    return None if answered else f"process {pid} with {submission.key} stored and not answered"


def _stopped_behind_commit(target: Target, pid: int, submission: Submission) -> bool:
    """Any commit may have been this submission's own: there is no time to look before the API is stopped."""
    send(pid, signal.SIGSTOP)
    stored = False
    try:
        stored = _is_stored(target, submission)
    finally:
        if not stored:
            send(pid, signal.SIGCONT)
    return stored


def _is_stored(target: Target, submission: Submission) -> bool:
    with target.database.begin() as session:
        return session.execute(select(Idempotency.key).where(Idempotency.key == submission.key)).first() is not None


def _was_answered(connection: HTTPConnection) -> bool:
    try:
        # What had left before the kill lies in our socket still, and is read although the API is dead.
        return bool(connection.sock.recv(1))
    except OSError:
        return False


def crowd(target: Target) -> str | None:
    submission = target.submit()
    if submission is None:
        return None
    answered = target.client.submit_at_once(submission)
    return (
        f"32 requests under {submission.key} at once: {answered} were told of the same experiment" if answered else None
    )


def cancel(target: Target) -> str | None:
    return _changed(target, "cancel")


def delete(target: Target) -> str | None:
    return _changed(target, "delete")


def _changed(target: Target, kind: Literal["cancel", "delete"]) -> str | None:
    victim = victim_in(target)
    if victim is None or victim.experiment_id in target.references:
        return None
    target.client.change(Change(kind, victim.experiment_id))
    target.client.send()
    return f"experiment {victim.experiment_id}, of which {victim.worker} trains a run"


def retry(target: Target) -> str | None:
    """Nothing fails here, so a retry is refused, whatever else has happened to the experiment."""
    with target.database.begin() as session:
        ended = select(Run.experiment_id).where(Run.state == State.SUCCEEDED).order_by(Run.id)
        succeeded = list(session.execute(ended).scalars())
    if not succeeded:
        return None
    experiment_id = target.rng.choice(succeeded)
    refused = target.client.refuses_to_retry(experiment_id)
    if refused is None:
        return None
    if not refused:
        message = f"a retry of {experiment_id} was accepted, and none of its runs has failed"
        raise RefusedError(message)
    return f"experiment {experiment_id}, and was refused"


REQUESTS = {
    "done and not said": done_and_not_said,
    "32 at once": crowd,
    "cancelled": cancel,
    "deleted": delete,
    "retried": retry,
}

"""Messages that are lost, doubled, stale or late, and dispatchers that die before they send."""

import base64
import json
import signal
import time
import uuid
from collections.abc import Callable

import redis
from sqlalchemy import func, select

from models.status import State
from models.storage.tables import Run
from proofs.faults.faults.base import victim_in
from proofs.faults.processes import send
from proofs.faults.target import DISPATCHERS, Target
from worker.app import ANY_QUEUE

PAUSE_MS = 20_000
"""Longer than a mark is waited for; and should this program die, Redis goes on by itself."""
MARKED_WITHIN_S = 6.0


def flushed(target: Target) -> str | None:
    with target.broker() as broker:
        broker.flushall()
    return "every message"


def doubled(target: Target) -> str | None:
    """While one child trains it, and while it waits in the queue for its next message."""
    victim = victim_in(target)
    if victim is None:
        return None
    for _ in range(target.rng.randint(1, 4)):
        target.message(victim.run_id)
    return f"messages for {victim.run_id}, which is being trained"


def stale(target: Target) -> str | None:
    ended = target.ended()
    if not ended:
        return None
    run_id, _ = target.rng.choice(ended)
    target.message(run_id)
    target.message(uuid.UUID(int=target.rng.getrandbits(128)))
    return f"messages for {run_id}, which has ended, and for a run that never was"


def delayed(target: Target) -> str | None:
    """Taken out and put back: before it is published again, after that, or when its run has long ended."""
    with target.broker() as broker:
        taken = broker.lpop(ANY_QUEUE, target.rng.randint(1, 4)) or []
    for raw in taken:
        target.later.after(target.rng.choice([1.0, 5.0, 15.0, 40.0]), _put_back(target, raw))
    return f"the messages for {', '.join(_run_of(raw) for raw in taken)}" if taken else None


def _put_back(target: Target, raw: bytes) -> Callable[[], bool]:
    def put() -> bool:
        try:
            with target.broker() as broker:
                # Kombu puts at this end and takes at the other: it comes as if it had just been sent.
                broker.lpush(ANY_QUEUE, raw)
        except redis.RedisError:
            return False
        return True

    return put


def _run_of(raw: bytes) -> str:
    # Kombu's envelope around Celery's second protocol: base64 of [arguments, keywords, embedded].
    arguments, *_ = json.loads(base64.b64decode(json.loads(raw)["body"]))
    return str(arguments[0])


def marked_and_not_sent(target: Target) -> str | None:
    """Both dispatchers are killed when one has marked a run as published and Redis has not taken its message.

    Redis is made to hold back all that is written to it, so a dispatcher that sends waits. Its connection is closed
    before Redis goes on, so that what it had asked for is forgotten.
    """
    pids = [pid for name in DISPATCHERS if (pid := target.clinic.pid(name)) is not None]
    with target.broker() as broker:
        broker.execute_command("CLIENT", "PAUSE", PAUSE_MS, "WRITE")
        try:
            marked = _newly_marked(target)
            killed = [pid for pid in pids if marked and send(pid, signal.SIGKILL)]
        finally:
            # Ours is spared by SKIPME: it has to end the pause.
            broker.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            broker.execute_command("CLIENT", "UNPAUSE")
    return f"processes {' and '.join(map(str, killed))} with {marked} marked" if marked and killed else None


def _newly_marked(target: Target) -> uuid.UUID | None:
    """A run that a dispatcher has marked from now on, while it cannot be sent."""
    with target.database.begin() as session:
        # The database's clock, by which dispatchers mark: one worker's here is an hour ahead.
        began = session.execute(select(func.clock_timestamp())).scalar_one()
    marked = select(Run.id).where(Run.state == State.QUEUED, Run.published_at > began).limit(1)
    deadline = time.monotonic() + MARKED_WITHIN_S
    # Where all is published already nobody would mark anything.
    target.submit()
    while time.monotonic() < deadline:
        target.client.send()
        with target.database.begin() as session:
            run_id = session.execute(marked).scalar_one_or_none()
        if run_id is not None:
            return run_id
        target.tend(0.02)
    return None


MESSAGES = {
    "redis flushed": flushed,
    "message doubled": doubled,
    "message stale": stale,
    "message delayed": delayed,
    "marked and not sent": marked_and_not_sent,
}

"""Messages that are lost, doubled, stale or late, and dispatchers that die before they send."""

import base64
import json
import signal
import time
import uuid
from collections.abc import Callable

import redis
from sqlalchemy import func, select

from chaos.clinic import DISPATCHERS
from chaos.faults.base import victim_in
from chaos.processes import send
from chaos.town import Town
from models.status import State
from models.tables import Run
from worker.app import ANY_QUEUE

PAUSE_MS = 20_000
MARKED_WITHIN_S = 6.0


def flushed(town: Town) -> str | None:
    with town.broker() as broker:
        broker.flushall()
    return "every message"


def doubled(town: Town) -> str | None:
    """While one child trains it, and while it waits in the queue for its next message."""
    victim = victim_in(town)
    if victim is None:
        return None
    for _ in range(town.dice.randint(1, 4)):
        town.message(victim.run_id)
    return f"messages for {victim.run_id}, which is being trained"


def stale(town: Town) -> str | None:
    ended = town.ended()
    if not ended:
        return None
    run_id, _ = town.dice.choice(ended)
    town.message(run_id)
    town.message(uuid.UUID(int=town.dice.getrandbits(128)))
    return f"messages for {run_id}, which has ended, and for a run that never was"


def delayed(town: Town) -> str | None:
    """Taken out and put back: before it is published again, after that, or when its run has long ended."""
    with town.broker() as broker:
        taken = broker.lpop(ANY_QUEUE, town.dice.randint(1, 4)) or []
    for raw in taken:
        town.later.after(town.dice.choice([1.0, 5.0, 15.0, 40.0]), _put_back(town, raw))
    return f"the messages for {', '.join(_run_of(raw) for raw in taken)}" if taken else None


def _put_back(town: Town, raw: bytes) -> Callable[[], bool]:
    def put() -> bool:
        try:
            with town.broker() as broker:
                broker.lpush(ANY_QUEUE, raw)
        except redis.RedisError:
            return False
        return True

    return put


def _run_of(raw: bytes) -> str:
    arguments, *_ = json.loads(base64.b64decode(json.loads(raw)["body"]))
    return str(arguments[0])


def marked_and_not_sent(town: Town) -> str | None:
    """Both dispatchers are killed when one has marked a run as published and Redis has not taken its message.

    Redis is made to hold back all that is written to it, so a dispatcher that sends waits. Its connection is closed
    before Redis goes on, so that what it had asked for is forgotten.
    """
    pids = [pid for name in DISPATCHERS if (pid := town.clinic.pid(name)) is not None]
    with town.broker() as broker:
        broker.execute_command("CLIENT", "PAUSE", PAUSE_MS, "WRITE")
        try:
            marked = _newly_marked(town)
            killed = [pid for pid in pids if marked and send(pid, signal.SIGKILL)]
        finally:
            broker.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            broker.execute_command("CLIENT", "UNPAUSE")
    return f"processes {' and '.join(map(str, killed))} with {marked} marked" if marked and killed else None


def _newly_marked(town: Town) -> uuid.UUID | None:
    """A run that a dispatcher has marked from now on, while it cannot be sent."""
    with town.database.begin() as session:
        began = session.execute(select(func.clock_timestamp())).scalar_one()
    marked = select(Run.id).where(Run.state == State.QUEUED, Run.published_at > began).limit(1)
    deadline = time.monotonic() + MARKED_WITHIN_S
    town.order()
    while time.monotonic() < deadline:
        town.orders.ask()
        with town.database.begin() as session:
            found = session.execute(marked).scalar_one_or_none()
        if found is not None:
            return found
        town.tend(0.02)
    return None


MESSAGES = {
    "redis flushed": flushed,
    "message doubled": doubled,
    "message stale": stale,
    "message delayed": delayed,
    "marked and not sent": marked_and_not_sent,
}

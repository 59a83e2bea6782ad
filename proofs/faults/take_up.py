"""How long a dead host's run waits for the next worker, with every setting as in production.

A worker's parent and children are killed in one moment, as if their machine had lost its power: nobody gives the lease
back. Another worker lives on, and has nothing to do.
"""

import datetime as dt
import signal
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import func, select

from local.errors import LocalError
from models.storage.tables import Attempt, Experiment
from proofs.faults.client import Change
from proofs.faults.experiments import ENDLESS
from proofs.faults.processes import descendants, send
from proofs.faults.target import PRODUCTION, WORKERS, Target, UnderWay
from proofs.promise import Promise

T = TypeVar("T")

PROMISE_S = 30.0
"""A lease of 20 s and a sweep of 2 s, with room for the claim of a machine that is busy."""
WITHIN_S = 120.0


def take_ups(times: int, seed: int, say: Callable[[str], None]) -> list[Promise]:
    """A promise for each."""
    if times == 0:
        return []
    say("starting a clinic with settings as in production …")
    with Target.started(PRODUCTION, seed) as target:
        took = [_once(target) for _ in range(times)]
    say(f"take-up: {', '.join(f'{seconds:.1f} s' for seconds in took)} (promise {PROMISE_S:g} s)")
    return [
        Promise("a dead host's run is taken up", f"≤ {PROMISE_S:g} s", f"{seconds:.1f} s", seconds <= PROMISE_S)
        for seconds in took
    ]


def _once(target: Target) -> float:
    """Seconds from the death to the next attempt, by the database's clock."""
    target.client.submit(ENDLESS)
    held = _wait(target, lambda: _ready(target), "a run under way and a second worker")
    target.tend(target.rng.uniform(0.0, 7.0))  # a lease is lengthened every third of it: any moment in between
    with target.database.begin() as session:
        # Asked just before the kill, so that the time told is rather too long than too short.
        died_at = session.execute(select(func.clock_timestamp())).scalar_one()
    _lose(target, held.worker)
    next_at = _wait(target, lambda: _started_at(target, held.run_id, held.attempt + 1), "the next attempt")
    target.client.change(Change("delete", held.experiment_id))
    # The next measurement begins with idle workers again.
    _wait(target, lambda: True if _is_empty(target) else None, "the experiment's deletion")
    return float((next_at - died_at).total_seconds())


def _ready(target: Target) -> UnderWay | None:
    """A run in a child of one worker, once the other one has a child as well."""
    alive = [name for name in WORKERS if (pid := target.clinic.pid(name)) is not None and descendants(pid)]
    held = target.under_way()
    return held[0] if held and len(alive) == len(WORKERS) else None


def _lose(target: Target, name: str) -> None:
    parent = target.clinic.pid(name)
    if parent is None:
        message = f"{name} is away, and nothing has been done to it yet"
        raise LocalError(message)
    send(parent, signal.SIGSTOP)  # or it would see its children die, and give their runs back
    for pid in (*descendants(parent), parent):
        send(pid, signal.SIGKILL)


def _started_at(target: Target, run_id: uuid.UUID, number: int) -> dt.datetime | None:
    with target.database.begin() as session:
        started = select(Attempt.started_at).where(Attempt.run_id == run_id, Attempt.number == number)
        return session.execute(started).scalar_one_or_none()


def _is_empty(target: Target) -> bool:
    with target.database.begin() as session:
        return not session.execute(select(func.count()).select_from(Experiment)).scalar_one()


def _wait(target: Target, look: Callable[[], T | None], what: str) -> T:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        target.tend(0.05)
        target.client.send()
        seen = look()
        if seen is not None:
            return seen
    message = f"{what}: not in {WITHIN_S:g} s"
    raise LocalError(message)

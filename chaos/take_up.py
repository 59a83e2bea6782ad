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

from chaos.clinic import PRODUCTION, WORKERS, own_clinic
from chaos.experiments import ENDLESS
from chaos.orders import Wish
from chaos.processes import descendants, send
from chaos.town import Town, UnderWay
from local.errors import LocalError
from models.tables import Attempt, Experiment

T = TypeVar("T")

PROMISE_S = 30.0
WITHIN_S = 120.0


def take_ups(times: int, seed: int, say: Callable[[str], None]) -> bool:
    """Whether each of them kept the promise."""
    if times == 0:
        return True
    say("starting a clinic with settings as in production …")
    with own_clinic(PRODUCTION) as (clinic, files), Town.around(clinic, files, seed) as town:
        took = [_once(town) for _ in range(times)]
    say(f"take-up: {', '.join(f'{each:.1f} s' for each in took)} (promise {PROMISE_S:g} s)")
    return max(took) <= PROMISE_S


def _once(town: Town) -> float:
    """Seconds from the death to the next attempt, by the database's clock."""
    town.orders.new(ENDLESS)
    held = _wait(town, lambda: _ready(town), "a run under way and a second worker")
    town.tend(town.dice.uniform(0.0, 7.0))  # a lease is lengthened every third of it: any moment in between
    with town.database.begin() as session:
        died_at = session.execute(select(func.clock_timestamp())).scalar_one()
    _lose(town, held.worker)
    next_at = _wait(town, lambda: _started_at(town, held.run_id, held.attempt + 1), "the next attempt")
    town.orders.wish(Wish("delete", held.experiment_id))
    _wait(town, lambda: True if _is_empty(town) else None, "the experiment's deletion")
    return float((next_at - died_at).total_seconds())


def _ready(town: Town) -> UnderWay | None:
    """A run in a child of one worker, once the other one has a child as well."""
    alive = [name for name in WORKERS if (pid := town.clinic.pid(name)) is not None and descendants(pid)]
    held = town.under_way()
    return held[0] if held and len(alive) == len(WORKERS) else None


def _lose(town: Town, name: str) -> None:
    parent = town.clinic.pid(name)
    if parent is None:
        message = f"{name} is away, and nothing has been done to it yet"
        raise LocalError(message)
    send(parent, signal.SIGSTOP)  # or it would see its children die, and give their runs back
    for pid in (*descendants(parent), parent):
        send(pid, signal.SIGKILL)


def _started_at(town: Town, run_id: uuid.UUID, number: int) -> dt.datetime | None:
    with town.database.begin() as session:
        started = select(Attempt.started_at).where(Attempt.run_id == run_id, Attempt.number == number)
        return session.execute(started).scalar_one_or_none()


def _is_empty(town: Town) -> bool:
    with town.database.begin() as session:
        return not session.execute(select(func.count()).select_from(Experiment)).scalar_one()


def _wait(town: Town, look: Callable[[], T | None], what: str) -> T:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        town.tend(0.05)
        town.orders.ask()
        found = look()
        if found is not None:
            return found
    message = f"{what}: not in {WITHIN_S:g} s"
    raise LocalError(message)

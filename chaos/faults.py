"""The faults, by name. Each strikes once and says what it hit; None: nothing was there to be hit just now."""

import random
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping

import redis
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from chaos.clinic import LEASE_S
from chaos.processes import send
from chaos.town import Town, UnderWay
from models.status import State
from models.tables import Run

Fault = Callable[[Town], str | None]
AWAY = (DBAPIError, BrokerError, redis.RedisError)
"""A fault may find that an earlier one has still not passed."""


def _victim(town: Town) -> UnderWay | None:
    held = town.under_way()
    return town.dice.choice(held) if held else None


def _to_a_child(number: signal.Signals) -> Fault:
    def strike(town: Town) -> str | None:
        victim = _victim(town)
        if victim is None or not send(victim.pid, number):
            return None
        return f"process {victim.pid} in attempt {victim.attempt} at {victim.run_id}"

    return strike


def _to_a_process(name: str) -> Fault:
    def strike(town: Town) -> str | None:
        pid = town.clinic.pid(name)
        return f"process {pid}" if pid is not None and send(pid, signal.SIGKILL) else None

    return strike


def _child_sleeps(town: Town) -> str | None:
    """Beyond its lease, so that its run is another's when it wakes; now and then not quite so long."""
    victim = _victim(town)
    if victim is None:
        return None
    for_s = town.dice.uniform(0.8, 3.0) * LEASE_S
    town.sleepers.stop(victim.pid, for_s)
    return f"process {victim.pid} for {for_s:.1f} s, in attempt {victim.attempt} at {victim.run_id}"


def _flush(town: Town) -> str | None:
    with town.broker() as broker:
        broker.flushall()
    return "every message"


def _double(town: Town) -> str | None:
    """While one child trains it, and while it waits in the queue for its next message."""
    victim = _victim(town)
    if victim is None:
        return None
    for _ in range(town.dice.randint(1, 4)):
        town.message(victim.run_id)
    return f"messages for {victim.run_id}, which is being trained"


def _stale(town: Town) -> str | None:
    ended = town.ended()
    if not ended:
        return None
    run_id = town.dice.choice(ended)
    town.message(run_id)
    town.message(uuid.UUID(int=town.dice.getrandbits(128)))
    return f"messages for {run_id}, which has ended, and for a run that never was"


def _take_lease(town: Town) -> str | None:
    victim = _victim(town)
    if victim is None:
        return None
    with town.database.begin() as session:
        taken = session.execute(
            update(Run)
            .where(Run.id == victim.run_id, Run.state == State.RUNNING, Run.attempt == victim.attempt)
            .values(lease_token=uuid.uuid4())
            .returning(Run.id)
        ).one_or_none()
    return None if taken is None else f"the lease of process {victim.pid} on {victim.run_id}"


def _cut(town: Town) -> str | None:
    """The server lives on, so that whoever writes can say at once what happened to it, and be wrong."""
    with town.database.begin() as session:
        cut = session.execute(_CUT).scalar_one()
    return f"{cut} connections to the database" if cut else None


_CUT = text(
    "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)

FAULTS: Mapping[str, Fault] = {
    "child killed": _to_a_child(signal.SIGKILL),
    "child terminated": _to_a_child(signal.SIGTERM),
    "child stopped": _child_sleeps,
    "worker killed": _to_a_process("worker"),
    "dispatcher killed": _to_a_process("dispatcher"),
    "api killed": _to_a_process("api"),
    "redis flushed": _flush,
    "redis killed": _to_a_process("redis"),
    "postgres killed": _to_a_process("postgres"),
    "connections cut": _cut,
    "message doubled": _double,
    "message stale": _stale,
    "lease taken": _take_lease,
}
SEVERAL = {"child killed": 3, "child stopped": 2}
"""Out of a round of faults, so many are of this kind; of every other kind there is one."""


def dealt(dice: random.Random) -> Iterator[str]:
    """Names of faults without end: round after round, each kind in every round, in an order of chance."""
    while True:
        cards = [name for name in FAULTS for _ in range(SEVERAL.get(name, 1))]
        dice.shuffle(cards)
        yield from cards


def strike(town: Town, name: str) -> str | None:
    try:
        return FAULTS[name](town)
    except AWAY:
        return None

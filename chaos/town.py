"""What faults are done to: the clinic with the ways to it, and what is under way in it now."""

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from sqlalchemy import func, select

from chaos.clinic import WORKERS
from chaos.experiments import EXPERIMENTS
from chaos.orders import Order, Orders
from chaos.processes import Later, Sleepers, descendants
from local.supervisor import Clinic
from models.database import Database
from models.status import State
from models.tables import Run
from worker.app import ANY_QUEUE, RUN_TASK
from worker.slots import worker_name


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run and the process of one of our workers that holds it."""

    run_id: uuid.UUID
    experiment_id: uuid.UUID
    attempt: int
    pid: int
    worker: str
    """The program whose child it is."""


@dataclass(slots=True)
class Town:
    clinic: Clinic
    files: Path
    database: Database
    celery: "Celery[Any]"
    orders: Orders
    dice: random.Random
    references: frozenset[uuid.UUID] = frozenset()
    """Experiments that nobody cancels or deletes."""
    sleepers: Sleepers = field(default_factory=Sleepers)
    later: Later = field(default_factory=Later)

    @classmethod
    @contextmanager
    def around(cls, clinic: Clinic, files: Path, seed: int) -> Iterator["Town"]:
        database = Database(clinic.database_url, pool_size=1, max_overflow=0)
        celery: Celery[Any] = Celery(broker=clinic.redis_url)
        orders = Orders(clinic.address)
        town = cls(clinic, files, database, celery, orders, random.Random(seed))  # noqa: S311 -- can be repeated
        try:
            yield town
        finally:
            town.sleepers.wake(all_of_them=True)  # a server process that sleeps hears no signal to end
            orders.close()
            celery.close()
            database.dispose()

    def tend(self, for_s: float) -> None:
        """Lets time pass: what has ended is started again, who has slept enough is woken, what is due is done."""
        until = time.monotonic() + for_s
        while True:
            self.clinic.tend()
            self.sleepers.wake()
            self.later.tend()
            if time.monotonic() >= until:
                return
            time.sleep(0.05)

    def order(self) -> Order | None:
        """One more experiment is asked for from now on. None while an earlier request is without an answer."""
        return None if self.orders.unanswered else self.orders.new(self.dice.choice(EXPERIMENTS))

    def under_way(self) -> list[UnderWay]:
        """The runs that living children of our workers hold now."""
        parents = [(name, pid) for name in WORKERS if (pid := self.clinic.pid(name)) is not None]
        ours = {worker_name(pid): (pid, name) for name, parent in parents for pid in descendants(parent)}
        with self.database.begin() as session:
            rows = session.execute(
                select(Run.id, Run.experiment_id, Run.worker, Run.attempt)
                .where(Run.state == State.RUNNING, Run.worker.in_(ours))
                .order_by(Run.id)
            ).all()
        held = [UnderWay(row.id, row.experiment_id, row.attempt, *ours[row.worker]) for row in rows]
        return [one for one in held if not self.sleepers.holds(one.pid)]

    def ended(self) -> list[tuple[uuid.UUID, uuid.UUID]]:
        """(run, experiment) of all that has ended."""
        with self.database.begin() as session:
            ended = select(Run.id, Run.experiment_id).where(Run.ended_at.is_not(None)).order_by(Run.id)
            return [(row.id, row.experiment_id) for row in session.execute(ended)]

    def count(self) -> dict[State, int]:
        """How many runs are in each state."""
        with self.database.begin() as session:
            rows = session.execute(select(Run.state, func.count()).group_by(Run.state)).all()
        return {State(state): number for state, number in rows}

    def message(self, run_id: uuid.UUID) -> None:
        """Tell the workers of a run by hand, whether or not it is theirs to train."""
        self.celery.send_task(RUN_TASK, args=[str(run_id)], queue=ANY_QUEUE, retry=False)

    def broker(self) -> "redis.Redis":
        return redis.Redis.from_url(self.clinic.redis_url, socket_timeout=2.0)

"""What faults are done to: the clinic with the ways to it, and what is under way in it now."""

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis
from celery import Celery
from sqlalchemy import func, select

from chaos.processes import Sleepers, children
from local.supervisor import Clinic
from models.database import Database
from models.status import State
from models.tables import Run
from worker.app import ANY_QUEUE, RUN_TASK
from worker.slots import worker_name


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run and the child of our worker that holds it."""

    run_id: uuid.UUID
    pid: int
    attempt: int


@dataclass(slots=True)
class Town:
    clinic: Clinic
    database: Database
    celery: "Celery[Any]"
    dice: random.Random
    sleepers: Sleepers = field(default_factory=Sleepers)

    @classmethod
    @contextmanager
    def around(cls, clinic: Clinic, seed: int) -> Iterator["Town"]:
        database = Database(clinic.database_url, pool_size=1, max_overflow=0)
        celery: Celery[Any] = Celery(broker=clinic.redis_url)
        try:
            yield cls(clinic, database, celery, random.Random(seed))  # noqa: S311 -- chance that can be repeated
        finally:
            celery.close()
            database.dispose()

    def tend(self, for_s: float) -> None:
        """Lets time pass: what has ended is started again, who has slept enough is woken."""
        until = time.monotonic() + for_s
        while True:
            self.clinic.tend()
            self.sleepers.wake()
            if time.monotonic() >= until:
                return
            time.sleep(0.05)

    def under_way(self) -> list[UnderWay]:
        """The runs that living children of our worker hold now."""
        parent = self.clinic.pid("worker")
        ours = {worker_name(pid): pid for pid in (children(parent) if parent is not None else [])}
        with self.database.begin() as session:
            rows = session.execute(
                select(Run.id, Run.worker, Run.attempt)
                .where(Run.state == State.RUNNING, Run.worker.in_(ours))
                .order_by(Run.id)
            ).all()
        held = [UnderWay(row.id, ours[row.worker], row.attempt) for row in rows]
        return [one for one in held if not self.sleepers.holds(one.pid)]

    def ended(self) -> list[uuid.UUID]:
        with self.database.begin() as session:
            return list(session.execute(select(Run.id).where(Run.ended_at.is_not(None)).order_by(Run.id)).scalars())

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

"""The target of the faults: a clinic of this program's own with the ways to it, and the runs that it trains now.

Beside what every clinic has it has a second dispatcher, and a second worker whose wall clock is an hour ahead.
"""

import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from sqlalchemy import func, select

from local.commands import COMMANDS, Command
from local.supervisor import Clinic
from models.status import State
from models.storage.database import Database
from models.storage.tables import Run
from proofs.clinic import own_clinic
from proofs.faults.client import Client, Submission
from proofs.faults.experiments import EXPERIMENTS
from proofs.faults.processes import Later, Sleepers, descendants
from worker.app import ANY_QUEUE, RUN_TASK
from worker.slots import worker_name

LEASE_S = 2.0
AHEAD_S = 3_600
WORKERS = ("worker", "worker-ahead")
DISPATCHERS = ("dispatcher", "dispatcher-second")

PRODUCTION = {"CLINIC_WORKERS": "1", "CLINIC_DEVICE": "cpu"}
"""Every other setting as it is by default: leases, sweeps, checkpoints."""
QUICK = {
    "CLINIC_LEASE_S": str(LEASE_S),
    "CLINIC_SWEEP_S": "0.5",
    "CLINIC_WORKERS": "1",  # of each of the two: most of the time goes into starting them again
    "CLINIC_MAX_ATTEMPTS": "1000",  # what is proved is that none is lost, however often it is tried
    "CLINIC_CHECKPOINT_S": "0.001",  # at every border, so that faults land before, in and behind one
    "CLINIC_RUNS_PER_CHILD": "100",  # children are replaced in the midst of it
    "CLINIC_DEVICE": "cpu",
}


_, _DISPATCHER, _WORKER = COMMANDS
_AHEAD = ("-m", "proofs.faults.clock_skew", str(AHEAD_S))
TWO_OF_EACH = (
    *COMMANDS,
    Command(DISPATCHERS[1], ("-m", "worker.dispatcher"), _DISPATCHER.death_signal, _DISPATCHER.stop_timeout_s),
    Command(WORKERS[1], _AHEAD, _WORKER.death_signal, _WORKER.stop_timeout_s),
)
"""The API, dispatchers and workers."""


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
class Target:
    clinic: Clinic
    folder: Path
    database: Database
    celery: "Celery[Any]"
    client: Client
    rng: random.Random
    references: frozenset[uuid.UUID] = frozenset()
    """Experiments that nobody cancels or deletes."""
    sleepers: Sleepers = field(default_factory=Sleepers)
    later: Later = field(default_factory=Later)

    @classmethod
    @contextmanager
    def started(
        cls, settings: Mapping[str, str], seed: int, commands: Sequence[Command] = TWO_OF_EACH
    ) -> Iterator["Target"]:
        """``seed`` is that of the one generator of chance."""
        with own_clinic(settings, commands) as (clinic, folder):
            # One connection: faults that cut or stop "all others" tell it by its process id, and spare no second one.
            database = Database(clinic.database_url, pool_size=1, max_overflow=0)
            celery: Celery[Any] = Celery(broker=clinic.redis_url)
            client, rng = Client(clinic.address), random.Random(seed)  # noqa: S311 -- a proof can be repeated
            target = cls(clinic, folder.path, database, celery, client, rng)
            try:
                yield target
            finally:
                target.sleepers.wake(all_of_them=True)  # a server process that sleeps hears no signal to end
                client.close()
                celery.close()
                database.dispose()

    def tend(self, for_s: float) -> None:
        """Lets time pass: starts again what has ended, wakes those who have slept enough, does what is due."""
        until = time.monotonic() + for_s
        while True:
            self.clinic.tend()
            self.sleepers.wake()
            self.later.tend()
            if time.monotonic() >= until:
                return
            time.sleep(0.05)

    def submit(self) -> Submission | None:
        """One more experiment. None while an earlier request is without an answer."""
        return None if self.client.unanswered else self.client.submit(self.rng.choice(EXPERIMENTS))

    def under_way(self) -> list[UnderWay]:
        """The runs that living children of our workers hold now."""
        parents = [(name, pid) for name in WORKERS if (pid := self.clinic.pid(name)) is not None]
        # By the names that rows have: other clinics' workers on this machine are never among them.
        ours = {worker_name(pid): (pid, name) for name, parent in parents for pid in descendants(parent)}
        with self.database.begin() as session:
            rows = session.execute(
                select(Run.id, Run.experiment_id, Run.worker, Run.attempt)
                .where(Run.state == State.RUNNING, Run.worker.in_(ours))
                .order_by(Run.id)
            ).all()
        held = [UnderWay(row.id, row.experiment_id, row.attempt, *ours[row.worker]) for row in rows]
        # One that stands still already cannot be hit: a second fault would count and change nothing.
        return [run for run in held if not self.sleepers.holds(run.pid)]

    def ended(self) -> list[tuple[uuid.UUID, uuid.UUID]]:
        """(run, experiment) of all runs that have ended."""
        with self.database.begin() as session:
            ended = select(Run.id, Run.experiment_id).where(Run.ended_at.is_not(None)).order_by(Run.id)
            return [(row.id, row.experiment_id) for row in session.execute(ended)]

    def count(self) -> dict[State, int]:
        """How many runs are in each state."""
        with self.database.begin() as session:
            rows = session.execute(select(Run.state, func.count()).group_by(Run.state)).all()
        return {State(state): number for state, number in rows}

    def message(self, run_id: uuid.UUID) -> None:
        """Send the workers a message for a run, whether or not it is theirs to train."""
        # Not tried again: where Redis is away the fault has found nothing to hit, and the next one has its turn.
        self.celery.send_task(RUN_TASK, args=[str(run_id)], queue=ANY_QUEUE, retry=False)

    def broker(self) -> "redis.Redis":
        # A Redis that an earlier fault holds back must not hold this program back as well.
        return redis.Redis.from_url(self.clinic.redis_url, socket_timeout=2.0)

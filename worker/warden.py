"""A process beside the Celery parent that ends what does not listen: ``python -m worker.warden PARENT``.

Training asks between two steps whether it shall stop, and the parent hears of messages in its event loop. Where a step
never ends, memory runs out, or the loop hangs, neither can help itself. The warden needs neither: it knows the
processes from the operating system, and from Postgres what they should be doing. It never loads torch or Celery.

A run is taken from its process before the process is ended: nothing more can be written then. Where the process sits on
the run's row it is ended at once, and its transaction with it.
"""

import math
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
import redis
import structlog
from psycopg.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from models import logs, runs
from models.runs import queueing, watching
from models.runs.watching import Held
from models.settings import Settings
from models.storage import presence
from models.storage.database import Database
from models.storage.tables import Experiment
from worker.slots import devices, worker_name

log = structlog.get_logger()

LOOK_S = 1.0
DEAF_S = 60.0
"""Several times the dispatchers' pause before they publish again: what was published for so long while slots were idle
did not reach the worker."""
LAPSED_S = 5.0
"""Beyond the end of its lease. The dispatchers have not taken up the run in the meantime: its process, frozen inside a
transaction, keeps the row locked."""
LOCK_S = 2.0
_SOON = text(f"SET LOCAL lock_timeout = '{LOCK_S}s'")
STOP_S = 20.0
"""So long a deaf parent has to hand its other runs back."""

End = Callable[[Session], object]


@dataclass(slots=True)
class Warden:
    """``look`` does all there is to do now; ``keep_looking`` does it until the parent has ended."""

    parent: psutil.Process
    database: Database
    settings: Settings
    deaf_s: float = DEAF_S
    _steps: dict[uuid.UUID, tuple[int, float]] = field(default_factory=dict)
    """By lease token: the step that a run is at, and since when."""
    _said_at: float = -math.inf
    """When the parent was last said to be there."""
    _waiting: dict[uuid.UUID, float] = field(default_factory=dict)
    """Published runs that idle slots have not taken, and since when."""

    def keep_looking(self) -> None:
        # An orphan has another parent: then the worker has ended, whatever now has its number.
        while os.getppid() == self.parent.pid:
            with suppress(psutil.NoSuchProcess):
                self.look()
            time.sleep(LOOK_S)
        with suppress(DBAPIError), self.database.begin() as session:
            presence.forget(session, worker_name(self.parent.pid))

    def look(self) -> None:
        # The warden is a child of the parent as well.
        children = {worker_name(child.pid): child for child in self.parent.children() if child.pid != os.getpid()}
        try:
            with self.database.begin() as session:
                held = watching.held_by(session, list(children))
                waiting = watching.published(session, devices(self.settings))
            self._steps = {run.lease.token: self._since(run) for run in held}
            for run in held:
                self._judge(run, children[run.worker])
            self._end_overdue(held)
            self._say_it_is_there()
        except DBAPIError as error:
            log.warning("the warden cannot ask the database", error=str(error).splitlines()[0])
            # Without the database no slot can claim either, so what waited proves nothing.
            self._waiting.clear()
            return
        if self._is_deaf(waiting, idle=len({run.worker for run in held}) < self.settings.workers):
            self._end_parent()

    def _say_it_is_there(self) -> None:
        if time.monotonic() - self._said_at >= presence.RENEW_S:
            with self.database.begin() as session:
                presence.renew(session, worker_name(self.parent.pid), devices(self.settings)[1])
            self._said_at = time.monotonic()

    def _since(self, held: Held) -> tuple[int, float]:
        step, since = self._steps.get(held.lease.token, (-1, 0.0))
        return (step, since) if step == held.step else (held.step, time.monotonic())

    def _end_overdue(self, held: Sequence[Held]) -> None:
        """Dispatchers do so as well; where none is left a worker keeps to its time by itself."""
        if held:
            with self.database.begin() as session:
                session.execute(_SOON)
                runs.end_overdue(session, Experiment.id.in_([run.lease.experiment_id for run in held]))

    def _judge(self, held: Held, child: psutil.Process) -> None:
        end = self._end_of(held, child)
        if end is not None and self._is_taken(end):
            log.warning("a process that does not listen is ended", run=str(held.lease.run_id), worker=held.worker)
            child.kill()

    def _is_taken(self, end: End) -> bool:
        """Whether the process must die: its run has been taken from it, or it sits on the row, and dies before that."""
        try:
            with self.database.begin() as session:
                session.execute(_SOON)
                return bool(end(session))
        except OperationalError as error:
            if isinstance(error.orig, LockNotAvailable):
                return True
            raise

    def _end_of(self, held: Held, child: psutil.Process) -> End | None:
        """What shall become of the run, if it may not go on."""
        limits = self.settings
        # Nothing is to be said to the row: whoever takes it up once the lock is gone says it.
        if held.lapsed_for_s > LAPSED_S:
            return lambda _: True
        if held.cancelled_for_s is not None and held.cancelled_for_s > limits.cancel_grace_s:
            return lambda session: runs.stop(session, held.lease, "; its process did not listen")
        if limits.time_limit_s is not None and held.for_s > limits.time_limit_s:
            detail = f"this attempt has taken {held.for_s:.0f} s; CLINIC_TIME_LIMIT_S allows {limits.time_limit_s:g}"
            return lambda session: runs.fail(session, held.lease, {"title": "Time limit", "detail": detail})
        rss: int = child.memory_info().rss
        if limits.memory_limit_bytes is not None and rss > limits.memory_limit_bytes:
            detail = f"its process has taken {rss} bytes; CLINIC_MEMORY_LIMIT_BYTES allows {limits.memory_limit_bytes}"
            return lambda session: runs.fail(session, held.lease, {"title": "Out of memory", "detail": detail})
        if time.monotonic() - self._steps[held.lease.token][1] > limits.stall_limit_s:
            reason = f"no step in {limits.stall_limit_s:g} s"
            return lambda session: queueing.reap_worker(
                session, held.lease.run_id, held.worker, limits.max_attempts, reason
            )
        return None

    def _is_deaf(self, waiting: frozenset[uuid.UUID], *, idle: bool) -> bool:
        """Whether runs have been published for so long that an idle slot must have taken them."""
        now = time.monotonic()
        self._waiting = {run_id: self._waiting.get(run_id, now) for run_id in waiting} if idle else {}
        longest = max((now - since for since in self._waiting.values()), default=0.0)
        return longest > self.deaf_s and self._broker_answers()

    def _broker_answers(self) -> bool:
        assert self.settings.redis_url is not None  # the Celery app has seen to it
        broker = redis.Redis.from_url(self.settings.redis_url.get_secret_value(), socket_timeout=LOOK_S)
        try:
            return bool(broker.ping())
        except redis.RedisError:
            return False
        finally:
            broker.close()

    def _end_parent(self) -> None:
        """Whoever keeps the worker up starts another one."""
        log.error("the worker does not hear of published runs; it is ended", pid=self.parent.pid)
        # A stopped process hears no SIGTERM before it is continued.
        self.parent.send_signal(signal.SIGCONT)
        self.parent.terminate()
        try:
            self.parent.wait(STOP_S)
        except psutil.TimeoutExpired:
            self.parent.kill()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, and the warden ends after it
    logs.configure()
    settings = Settings()
    database = Database(*settings.database_urls(), pool_size=1, max_overflow=0)
    Warden(psutil.Process(int(sys.argv[1])), database, settings).keep_looking()


if __name__ == "__main__":
    main()

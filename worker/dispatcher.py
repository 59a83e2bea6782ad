"""Publishes queued runs, publishes again what nobody claimed, reaps lost leases, stores comparisons that no worker
could, drops traces that retention lets go and checkpoints that nobody needs; a process of its own.

Any number of dispatchers may run side by side. NOTIFY makes it immediate, a slow sweep makes it certain: every
message may be lost, doubled or late, and nothing changes but the time.
"""

import math
import signal
import threading
import time
import uuid
from collections import defaultdict
from types import FrameType
from typing import Any

import psycopg
import structlog
from kombu.exceptions import OperationalError as BrokerError
from redis import RedisError
from sqlalchemy.exc import DBAPIError

from models import logs, runs
from models.owners import audit
from models.runs import comparing, idempotency, queueing, rates, retention
from models.settings import Settings
from models.storage import checkpoints, device_time
from models.storage.checkpoints import CheckpointFiles
from models.storage.database import Database
from worker.app import RUN_TASK, ClinicCelery, create_app, queue_of
from worker.posting import Post
from worker.postman import HANDS, Postman

log = structlog.get_logger()

WINDOW = 16
"""Runs of each kind of device that are published and unclaimed: enough to keep workers busy, few enough that order is
decided in SQL, not in Redis."""
MOST_MESSAGES = 4 * WINDOW
"""In Redis: those of runs that were claimed beside others lie there until a worker takes and drops them."""
REST = 4.0
"""After a look, as a multiple of its time: each claim and each end of a run is a notice, and among thousands of queued
runs a look takes a while. All notices of this time are seen to with the next one."""
REPUBLISH_S = 10.0
RETENTION_S = 60.0
"""Between two looks for traces that are too old, once none was left."""
COLLECT_S = 60.0
"""Between two looks for files of checkpoints that are of no more use."""
COMPARED_AT_ONCE = 10
_RETRY_S = 0.5


class Dispatcher:
    """``sweep`` once does all there is to do now; ``serve`` does it whenever woken, and every ``sweep_s``."""

    def __init__(self, database: Database, celery: ClinicCelery, settings: Settings) -> None:
        self._database = database
        self._celery = celery
        self._settings = settings
        self._closing = threading.Event()
        self._incomparable: set[uuid.UUID] = set()

    def close(self) -> None:
        self._closing.set()

    def serve(self) -> None:
        """Until ``close``; a database or broker that is away is waited for."""
        while not self._closing.is_set():
            try:
                self._listen()
            except (psycopg.OperationalError, DBAPIError, BrokerError, RedisError) as error:
                log.warning("the dispatcher lost a connection; trying again", error=str(error).splitlines()[0])
                self._closing.wait(_RETRY_S)

    def _listen(self) -> None:
        with self._database.listening(runs.QUEUE_CHANNEL) as connection:
            # LISTEN stands before the first look at the queue, so no run can be queued unheard between the two.
            reaped_at = retained_at = collected_at = -math.inf
            while not self._closing.is_set():
                if time.monotonic() - reaped_at >= self._settings.sweep_s:
                    self.reap()
                    self.compare()
                    reaped_at = time.monotonic()
                    # A batch with each sweep: deleting a long run takes minutes, and nobody waits for it.
                    if reaped_at - retained_at >= RETENTION_S and not self.retain():
                        retained_at = reaped_at
                    if reaped_at - collected_at >= COLLECT_S:
                        self.collect()
                        collected_at = reaped_at
                began = time.monotonic()
                self.release()
                self.publish()
                # No longer than a sweep: a look that waited for a lock says nothing of the next one.
                self._closing.wait(min(REST * (time.monotonic() - began), self._settings.sweep_s))
                # One notice is enough to look again; the rest of a burst is swallowed with it.
                # The wait is no longer than a sweep, as time alone makes leases lapse and notices may be lost.
                for _ in connection.notifies(timeout=self._settings.sweep_s, stop_after=1):
                    pass

    def reap(self) -> int:
        with self._database.begin() as session:
            lost = queueing.reap(session, self._settings.max_attempts)
            idempotency.forget_old(session)
            audit.forget_old(session, self._settings.audit_retention_days)
            device_time.forget_old(session)
        # One by one: what was told above keeps its experiment locked, whose runs are locked below.
        with self._database.begin() as session:
            late = runs.expire(session)
        with self._database.begin() as session:
            overdue = runs.end_overdue(session)
        if lost:
            log.warning("leases lost, runs queued again", runs=lost)
        if late:
            log.warning("latest starts passed, runs failed", runs=late)
        if overdue:
            log.warning("latest ends passed, experiments stopped", experiments=overdue)
        return lost

    def compare(self) -> None:
        """Store the comparisons that no worker could store."""
        with self._database.begin() as session:
            # Those that failed before come back in each answer, so as many more are asked for.
            ended = comparing.missing(session, COMPARED_AT_ONCE + len(self._incomparable))
        for experiment_id in ended:
            if experiment_id not in self._incomparable:
                self._compare(experiment_id)

    def _compare(self, experiment_id: uuid.UUID) -> None:
        try:
            with self._database.begin() as session:
                comparing.store_if_ended(session, experiment_id)
        except DBAPIError:
            # A database that is away says nothing of this experiment: ``serve`` waits for it.
            raise
        except Exception:  # one that cannot be compared must not hold up every other run
            log.exception("an experiment cannot be compared", experiment=str(experiment_id))
            self._incomparable.add(experiment_id)

    def retain(self) -> int:
        """Delete one batch of what is older than ``trace_retention_days``, if that is set. How many rows."""
        if self._settings.trace_retention_days is None:
            return 0
        with self._database.begin() as session:
            return retention.drop_raw(session, self._settings.trace_retention_days)

    def collect(self) -> int:
        """Remove the checkpoints that no attempt will read. How many; storage that is away is asked again later."""
        try:
            return checkpoints.collect(self._database, CheckpointFiles(self._settings.files_url()))
        except OSError as error:
            log.warning("checkpoints could not be looked through", error=str(error))
            return 0

    def release(self) -> int:
        """Give tuned variants their learning rates. How many runs may be published now that were held."""
        with self._database.begin() as session:
            return rates.release(session)

    def publish(self) -> int:
        """Mark first, then send: a death in between costs ``REPUBLISH_S``, never a run. How many were marked.

        Where no worker takes what Redis holds, more would only pile up.
        """
        with self._database.begin() as session:
            limit = self._settings.max_parallel_per_owner
            queued = queueing.take_unpublished(session, WINDOW, REPUBLISH_S, limit)
        by_queue: dict[str, list[uuid.UUID]] = defaultdict(list)
        for run in queued:
            by_queue[queue_of(run.device, plugins=run.plugins)].append(run.run_id)
        for queue, run_ids in by_queue.items():
            for run_id in run_ids[: MOST_MESSAGES - self._untaken(queue)]:
                # Not tried again here: what Redis did not take is published anew after REPUBLISH_S.
                self._celery.send_task(RUN_TASK, args=[str(run_id)], queue=queue, retry=False)
        return len(queued)

    def _untaken(self, queue: str) -> int:
        """How many messages lie in a queue, ``MOST_MESSAGES`` at most."""
        with self._celery.pool.acquire(block=True) as connection:
            channel: Any = connection.default_channel  # type: ignore[attr-defined]  # a connection, not a producer
            return min(MOST_MESSAGES, int(channel.client.llen(queue)))


def main() -> None:
    logs.configure()
    app = create_app(Settings())
    database = Database(*app.settings.database_urls(), pool_size=1, max_overflow=1, silence_s=app.settings.silence_s)
    dispatcher = Dispatcher(database, app, app.settings)
    post_office = Database(
        *app.settings.database_urls(), pool_size=HANDS + 1, max_overflow=1, silence_s=app.settings.silence_s
    )
    postman = Postman(post_office, Post(private=app.settings.webhook_private), app.settings.sweep_s)

    def close(_signal: int, _frame: FrameType | None) -> None:
        dispatcher.close()

    signal.signal(signal.SIGTERM, close)
    signal.signal(signal.SIGINT, close)
    log.info("dispatching")
    postman.start()
    dispatcher.serve()
    postman.close()
    database.dispose()
    post_office.dispose()


if __name__ == "__main__":
    main()

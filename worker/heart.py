"""A thread that keeps a run's lease alive and hears when the run must stop.

It has a connection of its own, so a long training step or a slow write of traces never lets the lease lapse.
One per worker process; it watches one run at a time.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError

from models import runs
from models.database import Database
from models.runs import Lease

log = structlog.get_logger()

StopReason = Literal["cancelled", "lost"]
_LISTEN_S = 0.25
_REMEMBERED = 1_000


@dataclass(slots=True)
class Watch:
    """What the training loop asks between steps. ``stop`` stays None while the run may go on."""

    lease: Lease
    beaten_at: float
    stop: StopReason | None = None


class Heart:
    """``with heart.watch(lease) as watch`` beats every third of the lease until the block ends."""

    def __init__(self, database: Database, lease_s: float) -> None:
        self._database = database
        self._lease_s = lease_s
        self._watch: Watch | None = None
        self._cancelled: deque[str] = deque(maxlen=_REMEMBERED)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._live, name="heart", daemon=True)
        self._thread.start()

    @contextmanager
    def watch(self, lease: Lease) -> Iterator[Watch]:
        """Watch a lease that was claimed just now."""
        self._watch = Watch(lease, time.monotonic())
        # A cancel may have been heard between the claim and this line.
        self._hear_cancels()
        try:
            yield self._watch
        finally:
            self._watch = None

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _live(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen()
            except (psycopg.Error, DBAPIError) as error:
                log.warning("the heart lost its database connection; trying again", error=str(error))
                self._give_up_lapsed()
                self._closing.wait(_LISTEN_S)

    def _listen(self) -> None:
        with self._database.listening(runs.CANCEL_CHANNEL) as connection:
            self._beat()
            while not self._closing.is_set():
                for notice in connection.notifies(timeout=_LISTEN_S):
                    self._cancelled.append(notice.payload)
                    self._hear_cancels()
                if self._due():
                    self._beat()

    def _due(self) -> bool:
        watch = self._watch
        return watch is not None and time.monotonic() - watch.beaten_at >= self._lease_s / 3

    def _beat(self) -> None:
        watch = self._watch
        if watch is None or watch.stop is not None:
            return
        began = time.monotonic()
        with self._database.begin() as session:
            ours = runs.beat(session, watch.lease, self._lease_s)
            cancelled = runs.cancel_requested(session, watch.lease)
        watch.beaten_at = began
        if not ours:
            watch.stop = "lost"
        elif cancelled:
            watch.stop = "cancelled"

    def _hear_cancels(self) -> None:
        watch = self._watch
        if watch is not None and watch.stop is None and str(watch.lease.experiment_id) in self._cancelled:
            watch.stop = "cancelled"

    def _give_up_lapsed(self) -> None:
        """Without a database for a whole lease, another worker may have the run by now."""
        watch = self._watch
        if watch is not None and time.monotonic() - watch.beaten_at > self._lease_s:
            watch.stop = "lost"
